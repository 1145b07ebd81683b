"""What a run may look at while it learns: slices of the training cohort, by their use."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from samnb.base.errors import SamnbError
from samnb.data.slices import SliceSet
from samnb.evaluation.answers import evenly
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split, labelled_rows, training_slices
from samnb.systems.registry import find_system

WATCHED = 96  # slices of validation patients at most


@dataclass(frozen=True)
class TrainingData:
    """Slices of the training cohort, and rows of them by their use."""

    slices: SliceSet  # or what reads like one
    classified: np.ndarray  # of the training patients, used with their image label
    labelled: np.ndarray  # whose masks somebody has drawn
    marked: np.ndarray  # whose masks are learned from: those, or synthetic ones made of them
    watched: np.ndarray  # of the validation patients; empty without any masks


def training_cohort(profile: Profile) -> str:
    """The first cohort of the profile that has patients to train on."""
    for name, sizes in profile.data.splits.items():
        if sizes.train:
            return name
    raise SamnbError(
        f"The profile {profile.name} trains on nobody.", "give a cohort of it `train` patients."
    )


def test_cohorts(profile: Profile) -> list[str]:
    """Cohorts with test patients, the training cohort's own first."""
    return [name for name, sizes in profile.data.splits.items() if sizes.test]


def find_training_data(run: Any) -> TrainingData:
    """What a `samnb.runs.run.Run` may look at while it learns."""
    profile, system = run.settings, find_system(run.system)
    cohort = training_cohort(profile)
    slices, split = cohort_slices(profile, cohort), cohort_split(profile, cohort)
    every = slices.rows_of(split.train)
    nothing = np.empty(0, dtype=np.intp)
    labelled = every if run.labels is None else labelled_rows(profile, cohort, run.labels)
    useful = slices.labels[labelled].any(axis=1) | (not system.needs_target)
    shown, marked = training_slices(profile, cohort, labelled[useful], run.labels, run.seed)
    return TrainingData(
        shown,
        classified=every if system.labels in ("image", "few") else nothing,
        labelled=labelled,
        marked=marked,
        watched=evenly(slices.rows_of(split.validation), WATCHED) if len(labelled) else nothing,
    )
