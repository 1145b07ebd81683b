"""Protocols of the tumour cohorts: how the scanners of one data set cover and expose a patient."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.scanner import Protocol

REAL_SIDE = 512  # rows and columns of the real scans
FLATTEST = 0.8  # distance between slices, as a share of a pixel: smaller sides have thicker slices


@dataclass(frozen=True)
class Scanners:
    """What the protocols of a cohort are drawn from.

    heights: (lowest, highest) slice in mm of the standard body, and its chance. thicknesses: mm
    between slices, and its chance. noise: HU. blur: mm, of the kernel. sharp: chance of a sharp
    kernel. view: mm, smallest and largest. loose: width of the view over that of the body.
    """

    heights: tuple[tuple[tuple[float, float], float], ...]
    thicknesses: tuple[tuple[float, float], ...]
    noise: tuple[float, float] = (9.0, 16.0)
    blur: tuple[float, float] = (0.65, 1.0)
    sharp: float = 0.0
    view: tuple[float, float] = (300.0, 500.0)
    loose: tuple[float, float] = (1.02, 1.2)
    round_view: float = 0.4

    def draw(self, patient: Patient, side: int) -> Protocol:
        """As the real scans at side 512; a smaller side has larger pixels and thicker slices."""
        generator = patient.stream("protocol")
        low, high = _one_of(generator, self.heights)
        real = float(_one_of(generator, self.thicknesses))
        low = patient.scale[0] * (low + generator.normal(0, 8))
        high = patient.scale[0] * (high + generator.normal(0, 6))
        width = patient.scale[2] * 2 * (152 + 0.9 * patient.fat)
        view = float(np.clip(width * generator.uniform(*self.loose), *self.view))
        sharp = generator.random() < self.sharp
        thickness = max(real, FLATTEST * view / side)
        return Protocol(
            bottom=low,
            slices=int((high - low) / thickness) + 1,
            thickness=thickness,
            pixel=view / side,
            shape=(side, side),
            centre=(float(generator.normal(-30, 8)), float(generator.normal(0, 6))),
            noise=float(generator.uniform(*self.noise) * (1.4 if sharp else 1.0)),
            blur=float(generator.uniform(*self.blur) * (0.6 if sharp else 1.0)),
            sharpen=0.6 if sharp else 0.0,
            round_view=bool(generator.random() < self.round_view),
        )


def _one_of(generator: np.random.Generator, choices: tuple) -> object:
    """One of some (value, chance)."""
    return choices[generator.choice(len(choices), p=[chance for _, chance in choices])][0]
