"""What a run on volumes may look at while it learns: those of the training cohort, by use."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from samnb.data.volumes import VolumeSet
from samnb.evaluation.answers import evenly
from samnb.runs.data import training_cohort
from samnb.studies.cohorts import cohort_split, cohort_volumes
from samnb.studies.volumes import labelled_volumes
from samnb.systems.registry import find_system

WATCHED = 8  # volumes of validation patients at most


@dataclass(frozen=True)
class TrainingVolumes:
    """Volumes of the training cohort, and rows of them by their use.

    As `samnb.runs.data.TrainingData` of slices; a volume with an image label alone teaches nothing.
    """

    volumes: VolumeSet
    labelled: np.ndarray  # whose masks somebody has drawn
    marked: np.ndarray  # whose masks are learned from
    watched: np.ndarray  # of the validation patients; empty without any masks
    classified: np.ndarray  # none


def find_training_volumes(run: Any) -> TrainingVolumes:
    """What a `samnb.runs.run.Run` on volumes may look at while it learns."""
    profile, system = run.settings, find_system(run.system)
    cohort = training_cohort(profile)
    volumes, split = cohort_volumes(profile, cohort), cohort_split(profile, cohort)
    nothing = np.empty(0, dtype=np.intp)
    marked = volumes.rows_of(split.train) if run.labels is None else nothing
    if run.labels:
        marked = labelled_volumes(profile, cohort, run.labels)
    useful = marked[(volumes.labels[marked] == 1).any(axis=1) | (not system.needs_target)]
    watched = evenly(volumes.rows_of(split.validation), WATCHED) if len(marked) else nothing
    return TrainingVolumes(volumes, marked, useful, watched, nothing)
