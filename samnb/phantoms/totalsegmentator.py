"""The TotalSegmentator-like cohort: everyday scans of every kind, a mask file for each organ."""

from pathlib import Path

import numpy as np

from samnb.base.files import write_text
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import ORGANS
from samnb.phantoms.draws import Phantom, make_phantom
from samnb.phantoms.nifti_files import to_world, write_nifti
from samnb.phantoms.scanner import Protocol

MIX = Mix(
    phases=(0.34, 0.26, 0.16, 0.24),
    fat=(14.0, 10.0),
    tumours=0.25,
    fatty_liver=0.38,
    ascites=0.2,
    splenomegaly=0.25,
    cysts=0.3,
    resected=0.15,
    cholecystectomy=0.25,
)
STREAM = 2

# Lowest and highest slice (mm from the first lumbar vertebra) and chance.
COVERAGES = (
    ((-70, 165), 0.30),  # upper abdomen
    ((-20, 235), 0.25),  # chest with the upper abdomen
    ((-240, 140), 0.30),  # abdomen and pelvis
    ((-45, 135), 0.15),  # the liver
)
COLUMNS = (
    "image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;"
    "pathology;pathology_location"
)
MASKS = {name: (number,) for name, number in ORGANS.items() if name != "liver_tumour"}
MASKS["liver"] = (ORGANS["liver"], ORGANS["liver_tumour"])


def draw_protocol(patient: Patient, side: int) -> Protocol:
    """1.5 mm isotropic at side 256; a smaller side has larger voxels, so the anatomy stays."""
    generator = patient.stream("protocol")
    chosen = generator.choice(len(COVERAGES), p=[chance for _, chance in COVERAGES])
    low, high = COVERAGES[chosen][0]
    scale = patient.scale[0]
    low = scale * (low + generator.normal(0, 12))
    high = scale * (high + generator.normal(0, 10))
    pixel = 1.5 * 256 / side
    width = patient.scale[2] * 2 * (150 + 0.9 * patient.fat) * generator.uniform(0.82, 1.06)
    height = patient.scale[1] * 2 * (104 + 0.9 * patient.fat) * generator.uniform(0.88, 1.12)
    return Protocol(
        bottom=low,
        slices=int((high - low) / pixel) + 1,
        thickness=pixel,
        pixel=pixel,
        shape=(int(np.clip(height, 220, 330) / pixel), int(np.clip(width, 270, 390) / pixel)),
        centre=(float(generator.normal(-34, 10)), float(generator.normal(0, 14))),
        noise=float(generator.uniform(13, 24)),
        blur=float(generator.uniform(0.45, 0.65)),
        sharpen=float(generator.uniform(0.5, 0.9)),
    )


def image_id(seed: int, number: int) -> str:
    """The real ids rise with gaps; so do these."""
    step = np.random.default_rng([seed, STREAM, number]).integers(0, 23)
    return f"s{23 * number + int(step):04d}"


def make_patient(seed: int, number: int, side: int) -> Phantom:
    patient = draw((seed, STREAM, number), MIX)
    return make_phantom(patient, draw_protocol(patient, side))


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `sNNNN/ct.nii.gz` and `sNNNN/segmentations/<organ>.nii.gz`."""
    phantom = make_patient(seed, number, side)
    affine = to_world(phantom.hu.shape, phantom.spacing, phantom.first)
    home = folder / image_id(seed, number)
    hu, labels = phantom.hu.T[::-1, ::-1], phantom.labels.T[::-1, ::-1]
    affine[:2, 3] += np.diag(affine)[:2] * (np.array(hu.shape[:2]) - 1)
    affine[[0, 1], [0, 1]] *= -1  # stored towards right-to-left and back-to-front: RAS
    paths = []
    for name, numbers in MASKS.items():
        paths.append(home / "segmentations" / f"{name}.nii.gz")
        write_nifti(paths[-1], np.isin(labels, numbers).astype(np.uint8), affine)
    paths.append(home / "ct.nii.gz")
    write_nifti(paths[-1], hu, affine)
    return paths


def write_table(folder: Path, seed: int, patients: int) -> None:
    """`meta.csv`, separated by semicolons as the real one is."""
    rows = [COLUMNS]
    for number in range(patients):
        patient = draw((seed, STREAM, number), MIX)
        generator = patient.stream("meta")
        found = [
            name
            for name, present in (
                ("tumor", patient.tumours), ("steatosis", patient.fatty_liver),
                ("ascites", patient.ascites), ("splenomegaly", patient.splenomegaly),
                ("cyst", patient.cysts), ("postoperative", patient.resected),
            ) if present
        ]  # fmt: skip
        study = "ct abdomen" if patient.phase == "native" else f"ct abdomen {patient.phase} phase"
        rows.append(
            f"{image_id(seed, number)};{patient.age};{'f' if patient.female else 'm'};"
            f"{'ABCDE'[generator.integers(5)]};{study};{'test' if number % 10 == 9 else 'train'};"
            f"phantom;procedural;{generator.choice([100, 110, 120, 130])};"
            f"{', '.join(found) or 'no_pathology'};{'abdomen' if found else ''}"
        )
    write_text(folder / "meta.csv", "\n".join(rows) + "\n")
