"""The cohort like BraTS 2021: another population than BraTS 2018's, scanned in more hospitals.

Who: more glioblastomas, older patients with more small-vessel disease, more often several masses,
cores of very different sizes, and some that are one thin-walled cyst. BraTS takes patients before
surgery, so a hollow in the tumour is such a cyst; it has the label of necrosis.
Where: one of several hospitals each, see hospitals.py. `bench/brains.py` measures both cohorts.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from samnb.phantoms.brain import BrainMix, draw_brain_patient, read_at
from samnb.phantoms.brain_draws import SIZE, BrainPhantom, brain_voxels, write_case
from samnb.phantoms.brain_tissue import healthy_shares, make_lesions
from samnb.phantoms.cortex import draw_brain
from samnb.phantoms.fields import Field
from samnb.phantoms.glioma import Focus, Glioma, GliomaMix, before_the_tumour, grow, paint_tumour
from samnb.phantoms.hospitals import coil_shading, draw_hospital
from samnb.phantoms.mr import SEQUENCES, Scanners, acquire, draw_acquisitions

STREAM = 4
FLAIR = SEQUENCES.index("flair")
PEOPLE = BrainMix(
    high_grade=0.92,
    high_grade_age=(63.0, 12.0),
    low_grade_age=(41.0, 13.0),
    size=(0.98, 0.045),
    lesions=1.5,
)
TUMOURS = GliomaMix(
    multifocal=0.28,
    infratentorial=0.05,
    high_grade_radius=(2.85, 0.42),
    low_grade_radius=(3.1, 0.3),
    push=(0.14, 0.40),
)
CYSTS = 0.18  # share of the larger glioblastomas whose core is one cyst
CYST_RADIUS = 12.0  # mm, of the smallest core that may be one; smaller ones are solid throughout
WALL = 0.5  # thickness of a cyst's wall, times that of a rim around necrosis
PROTEIN = (0.05, 0.3)  # of what a cyst holds: how far its signal is from CSF to white matter
STILL = 0.8  # share of its mottle that the core loses when it is fluid


def make_patient(seed: int, number: int, side: int) -> BrainPhantom:
    """`side` 240 is the real grid, 1 mm; a smaller one is coarser."""
    patient = draw_brain_patient((seed, STREAM, number), PEOPLE)
    hospital = draw_hospital(patient.stream("hospital"))
    scanners, voxel = hospital.scanners, SIZE[1] / side
    with threadpool_limits(1):
        brain = draw_brain(patient)
        glioma = grow(brain, TUMOURS)
        cystic = is_cystic(glioma.foci[0], patient.stream("cyst"))
        if cystic:
            protein = patient.stream("fluid").uniform(*PROTEIN)
            glioma, scanners = hollowed(glioma, scanners, protein)
        mask, points = brain_voxels(brain, voxel)
        standard = before_the_tumour(brain, glioma.foci, points)
        shares, ventricles = healthy_shares(brain, standard, voxel, make_lesions(brain))
        labels = np.zeros(mask.shape, np.uint8)
        labels[mask] = paint_tumour(glioma, points, shares, ventricles, voxel)
        mottle = read_at(glioma.mottle, points, 0.0)
        mottle = mottle * (1 - STILL * cystic * shares["core"])
        generator = patient.stream("scan")
        seen = shares.values * coil_shading(points, generator.uniform(*hospital.coil))
        ways = draw_acquisitions(generator, scanners, glioma.core_flair)
        images = [acquire(generator, way, seen, mottle, mask, voxel) for way in ways]
    return BrainPhantom(patient, np.stack(images), labels, (voxel, voxel, voxel))


def is_cystic(core: Focus, generator: np.random.Generator) -> bool:
    """Whether the core of a tumour is a cyst; lower grades are solid."""
    return bool(generator.random() < CYSTS) and not core.solid and core.radius >= CYST_RADIUS


def hollowed(glioma: Glioma, scanners: Scanners, protein: float) -> tuple[Glioma, Scanners]:
    """The same tumour with a thin wall around fluid, and the same scanners, that see this fluid."""
    csf, white = (np.array(scanners.signals[name]) for name in ("csf", "white"))
    fluid = csf + protein * (white - csf)
    rim = Field(glioma.rim.grid, glioma.rim.values * np.float32(WALL))
    glioma = replace(glioma, rim=rim, core_flair=float(fluid[FLAIR]))
    return glioma, replace(scanners, signals={**scanners.signals, "core": tuple(fluid)})


def case_name(number: int) -> str:
    """`BraTS2021_00002`: every fourth number is missing, as 1251 of 1667 have labels."""
    return f"BraTS2021_{number + number // 3:05}"


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `CASE/CASE_flair.nii.gz` and its siblings, all cases in one folder."""
    name = case_name(number)
    return write_case(folder / name, name, make_patient(seed, number, side))
