"""The LiTS-like cohort: many hospitals, mostly portal venous phase, liver and tumour labelled."""

from pathlib import Path

import numpy as np

from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import ORGANS
from samnb.phantoms.draws import Phantom, make_phantom
from samnb.phantoms.nifti_files import flip, to_world, write_nifti
from samnb.phantoms.scanner import Protocol

MIX = Mix(phases=(0.08, 0.14, 0.66, 0.12), fat=(11.0, 7.0), tumours=0.75, fatty_liver=0.35)
STREAM = 1

# Lowest and highest slice (mm from the first lumbar vertebra), chance, thinnest slices (mm).
COVERAGES = (
    ((-75, 150), 0.24, 0.7),  # upper abdomen
    ((-110, 205), 0.14, 1.0),  # with the lung bases
    ((-320, 150), 0.28, 1.5),  # abdomen and pelvis
    ((-325, 245), 0.34, 2.0),  # chest, abdomen and pelvis
)
THICKNESSES = (0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)


def draw_protocol(patient: Patient, side: int) -> Protocol:
    generator = patient.stream("protocol")
    chosen = generator.choice(len(COVERAGES), p=[chance for _, chance, _ in COVERAGES])
    (low, high), _, thinnest = COVERAGES[chosen]
    scale = patient.scale[0]
    low = scale * (low + generator.normal(0, 10))
    high = scale * (high + generator.normal(0, 8))
    thickness = float(generator.choice([t for t in THICKNESSES if t >= thinnest]))
    width = patient.scale[2] * 2 * (152 + 0.9 * patient.fat)
    view = float(np.clip(width * generator.uniform(1.02, 1.2), 300, 450))
    sharp = generator.random() < 0.25
    return Protocol(
        bottom=low,
        slices=int((high - low) / thickness) + 1,
        thickness=thickness,
        pixel=view / side,
        shape=(side, side),
        centre=(float(generator.normal(-30, 8)), float(generator.normal(0, 6))),
        noise=float(generator.uniform(8, 16) * (1.4 if sharp else 1.0)),
        blur=float(generator.uniform(0.45, 0.6) if sharp else generator.uniform(0.65, 1.0)),
        sharpen=0.5 if sharp else 0.0,
        round_view=bool(generator.random() < 0.5),
    )


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return make_phantom(patient, draw_protocol(patient, side))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `volume-N.nii` and `segmentation-N.nii`, stored in one of eight orientations."""
    phantom = make_patient(seed, number, side)
    generator = phantom.patient.stream("orientation")
    mask = np.zeros(phantom.labels.shape, np.uint8)
    mask[phantom.labels == ORGANS["liver"]] = 1
    mask[phantom.labels == ORGANS["liver_tumour"]] = 2
    flips = [axis for axis in range(3) if generator.random() < (0.5, 0.5, 0.2)[axis]]
    table = generator.uniform((-900, -20, -20), (-200, 20, 20))  # where the scanner's zero was
    first = tuple(np.add(phantom.first, table))
    paths = []
    for name, array in (("volume", phantom.hu), ("segmentation", mask)):
        affine = to_world(array.shape, phantom.spacing, first)
        array = array.T
        for axis in flips:
            array, affine = flip(array, affine, axis)
        paths.append(folder / f"{name}-{number}.nii")
        write_nifti(paths[-1], array, affine)
    return paths
