"""Phantoms: procedural patients, scanned and written to disk as the real data sets are."""

from samnb.data.phantom.body import ORGANS
from samnb.data.phantom.cohorts import KINDS, Cohort, draw_patient, write_cohort
from samnb.data.phantom.draws import Phantom

__all__ = ["KINDS", "ORGANS", "Cohort", "Phantom", "draw_patient", "write_cohort"]
