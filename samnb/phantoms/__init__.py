"""Phantoms: procedural patients, scanned and written to disk as the real data sets are."""

from samnb.phantoms.body import ORGANS
from samnb.phantoms.brain_draws import BrainPhantom
from samnb.phantoms.cohorts import KINDS, Cohort, draw_patient, write_cohort
from samnb.phantoms.draws import Phantom

__all__ = ["KINDS", "ORGANS", "BrainPhantom", "Cohort", "Phantom", "draw_patient", "write_cohort"]
