"""The cohort like BraTS 2018: gliomas of many hospitals, four sequences, skull stripped, 1 mm."""

from pathlib import Path

import numpy as np

from samnb.phantoms.brain import BrainMix
from samnb.phantoms.brain_draws import BrainCohort, BrainPhantom, make_brain_phantom, write_case
from samnb.phantoms.glioma import GliomaMix
from samnb.phantoms.mr import Scanners

STREAM = 3
COHORT = BrainCohort(STREAM, BrainMix(), GliomaMix(), Scanners())
SITES = ("TCIA01", "TCIA02", "TCIA03", "TCIA04", "TCIA06", "TCIA08", "2013", "CBICA")


def make_patient(seed: int, number: int, side: int) -> BrainPhantom:
    return make_brain_phantom(COHORT, seed, number, side)


def case_name(seed: int, number: int) -> str:
    """`Brats18_TCIA02_117_1`: the site, a number that rises with gaps, the time point."""
    generator = np.random.default_rng([seed, STREAM, number])
    site = SITES[generator.integers(len(SITES))]
    return f"Brats18_{site}_{101 + 7 * number + int(generator.integers(7))}_1"


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `HGG/CASE/CASE_flair.nii.gz` and its siblings, or in `LGG`."""
    phantom = make_patient(seed, number, side)
    name = case_name(seed, number)
    grade = "HGG" if phantom.patient.high_grade else "LGG"
    return write_case(folder / grade / name, name, phantom)
