"""Phantoms: procedural patients, scanned and written to disk as the real data sets are."""

from samnb.phantoms.body import ORGANS
from samnb.phantoms.brain_draws import BrainPhantom
from samnb.phantoms.cohorts import KINDS, Cohort, draw_patient, write_cohort
from samnb.phantoms.draws import Phantom
from samnb.phantoms.picture import PicturePhantom

__all__ = [
    "KINDS",
    "ORGANS",
    "BrainPhantom",
    "Cohort",
    "Phantom",
    "PicturePhantom",
    "draw_patient",
    "write_cohort",
]
