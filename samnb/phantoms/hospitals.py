"""Hospitals that send brains to one cohort: field strength, coils and how each weights an image.

The scanners of mr.py are of one make with a range of settings. Here they are of several makes, and
a patient is scanned by one of them: what varies between patients is then not noise about a mean
but a mixture, which is what makes a cohort of many institutions hard to learn from a few.
"""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.mr import SIGNALS, Scanners

# Half axes (mm; z, y, x) and centre of the head that a coil surrounds, in the standard head.
HEAD, CENTRE = (76.0, 90.0, 72.0), (6.0, 16.0, 0.0)


@dataclass(frozen=True)
class Hospital:
    """One institution: how many of the patients it sends, its scanner, its coil."""

    share: float
    scanners: Scanners
    coil: tuple[float, float]  # log signal at the skull over that in the centre of the head


def weighted(*powers: float) -> dict[str, tuple[float, ...]]:
    """SIGNALS with another contrast in each of SEQUENCES, white matter keeping its signal.

    A power of one leaves a sequence as it is; above, all tissues lie further from white matter, as
    with a stronger weighting or an inversion pulse; below, nearer, as in a plain spin echo.
    """
    white = SIGNALS["white"]
    return {
        tissue: tuple(w * (s / w) ** p for w, s, p in zip(white, signals, powers, strict=True))
        for tissue, signals in SIGNALS.items()
    }


HOSPITALS = (
    # 3 T, everything in volumes: no thick slices, many small coils, inversion before T1.
    Hospital(
        0.34,
        Scanners(
            noise=(0.014, 0.034), bias=(0.08, 0.16), blur=(0.4, 0.75), thick=0.05, contrast=0.06,
            conspicuity=0.34, scale=(150, 700), signals=weighted(0.9, 1.15, 1.1, 1.0),
        ),
        (0.1, 0.4),
    ),
    # 3 T, slices but for T1ce; its short waves make the middle of the head bright.
    Hospital(
        0.28,
        Scanners(
            noise=(0.012, 0.030), bias=(0.06, 0.15), blur=(0.35, 0.6), thick=0.7,
            slice_blur=(0.9, 1.7), contrast=0.06, conspicuity=0.34, scale=(1200, 6000),
            signals=weighted(1.15, 1.3, 1.0, 1.1),
        ),
        (-0.25, -0.05),
    ),
    # 1.5 T, spin echo in slices of 5 mm: grey and white matter alike in T1, a fainter rim.
    Hospital(
        0.22,
        Scanners(
            noise=(0.016, 0.040), bias=(0.02, 0.07), blur=(0.4, 0.8), thick=0.9,
            slice_blur=(1.3, 2.2), contrast=0.07, conspicuity=0.34, scale=(200, 1000),
            signals=weighted(0.95, 0.6, 0.75, 0.9),
        ),
        (0.0, 0.12),
    ),
    # 1.5 T of an earlier day, in a hurry: noise, thick slices, little contrast.
    Hospital(
        0.16,
        Scanners(
            noise=(0.035, 0.060), bias=(0.03, 0.10), blur=(0.7, 1.1), thick=0.95,
            slice_blur=(1.5, 2.2), contrast=0.09, conspicuity=0.34, scale=(60, 400),
            signals=weighted(0.75, 0.7, 0.85, 0.8),
        ),
        (0.05, 0.3),
    ),
)  # fmt: skip


def draw_hospital(generator: np.random.Generator) -> Hospital:
    """One of HOSPITALS, by their shares."""
    return HOSPITALS[generator.choice(len(HOSPITALS), p=[each.share for each in HOSPITALS])]


def coil_shading(points: np.ndarray, strength: float) -> np.ndarray:
    """How much signal a coil around the head gets from points (3, N) of it, about one on average.

    `strength` is the log of the signal at the skull over that in the centre: a ring of coils
    hears best what is near; at 3 T the waves meet in the middle, and it is below zero.
    """
    inward = (points - np.float32(CENTRE)[:, None]) / np.float32(HEAD)[:, None]
    return np.exp(np.float32(strength) * ((inward * inward).sum(axis=0) - np.float32(0.5)))
