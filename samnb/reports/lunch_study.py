"""A study of Cheap Lunch as the chapter of its results reads it: records, cases, pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from samnb.data.slices import SliceSet
from samnb.evaluation.answers import Answers
from samnb.evaluation.metrics import dice
from samnb.prompts.users import find_user
from samnb.reports.lunch import all_scans
from samnb.reports.systems import shown_name
from samnb.runs.records import Record, all_records
from samnb.studies import Profile, load_profile
from samnb.studies.cohorts import cohort_slices, cohort_split

RULE = ("best", "median", "worst")


@dataclass(frozen=True)
class Study:
    """Looked up when it is asked for: a study without records has no rows, and no pictures."""

    cohort: str
    profile: Profile

    @cached_property
    def made(self) -> list[Record]:
        return all_records(self.profile)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """As `lunch.all_scans` gives them."""
        return all_scans(self.made, self.profile)

    @cached_property
    def slices(self) -> SliceSet:
        return cohort_slices(self.profile, self.cohort)

    @property
    def labelled(self) -> list[int]:
        """The numbers of exemplars."""
        return sorted(self.profile.data.labelled)

    @cached_property
    def training(self) -> int:
        """Slices of the training scans that show a target."""
        rows = self.slices.rows_of(cohort_split(self.profile, self.cohort).train)
        return int((self.slices.labels[rows] == 1).any(axis=1).sum())


def read_study(size: str, name: str) -> Study:
    """A study of one cohort, such as "cheap-lunch-brats", in a size such as "pocket"."""
    profile = load_profile(size, name)
    (cohort,) = profile.data.cohorts
    return Study(cohort, profile)


@dataclass(frozen=True)
class Shown:
    """A few test slices, and what systems answered about them.

    images (R, S, S), 0-1, in colour (R, S, S, 3); truths (R, K, S, S) bool; masks: by system the
    same; points (R, K, 2) x, y of the user in the middle, NaN where the slice lacks the target (of
    users of several points so many for each target); titles (R,); targets (K,); boxes (R, K, 4) of
    a user of boxes.
    """

    images: Sequence[np.ndarray]
    truths: Sequence[np.ndarray]
    masks: Mapping[str, Sequence[np.ndarray]]
    points: Sequence[np.ndarray]
    titles: list[str]
    targets: Sequence[str]
    boxes: Sequence[np.ndarray] | None = None


def shown_slices(study: Study, seed: int) -> Shown | None:
    """Four slices as the paper's figures have them: see `chosen_rows`.

    Systems: the frozen SAM, and with the middle number of exemplars SAMed and Cheap Lunch without
    and with synthesis; Cheap Lunch with all slices. The last but one is the reference: None if it
    has no record of this seed.
    """
    middle = study.labelled[len(study.labelled) // 2]
    reference = f"Cheap Lunch-{middle}"
    few = [f"SAMed_s-{middle}", f"Cheap Lunch without synthesis-{middle}", reference]
    systems = ["SAM", *few, "Cheap Lunch"]
    answers = _answers(study, systems, seed)
    if reference not in answers:
        return None
    rows = answers[reference].rows
    truths = np.asarray(study.slices.masks[rows]).astype(bool)
    places = np.arange(len(rows))
    chosen = chosen_rows(truths, _masks(answers[reference], places))
    picked = np.array(list(chosen.values()))
    numbers = study.slices.index.loc[rows[picked], "slice"]
    titles = [f"{rule}\nslice {number}" for rule, number in zip(chosen, numbers, strict=True)]
    masks = {name: _masks(given, picked) for name, given in answers.items()}
    images, truths = study.slices.load(rows[picked])[0][:, 0], truths[picked]
    return Shown(images, truths, masks, middles(truths), titles, study.slices.targets)


def _answers(study: Study, systems: Sequence[str], seed: int) -> dict[str, Answers]:
    """Of the records of one seed, by system: about all test slices, to the first user who asked."""
    found = {
        shown_name(record.facts): next(
            given for (cohort, _), given in record.answers.items() if cohort == study.cohort
        )
        for record in study.made
        if record.facts["seed"] == seed and shown_name(record.facts) in systems
    }
    return {name: found[name] for name in systems if name in found}


def _masks(answers: Answers, places: np.ndarray) -> np.ndarray:
    """(n, K, S, S) bool."""
    targets = range(answers.bits.shape[1])
    return np.stack([answers.masks(places, target) for target in targets], axis=1)


def chosen_rows(truths: np.ndarray, answers: np.ndarray) -> dict[str, int]:
    """Rows by RULE, and "without": the middle one of those without any target.

    truths, answers: (R, K, S, S) bool. Best, median and worst by the mean Dice over the targets in
    a slice, of the slices with at least half as many targets as the richest one. Of two in the
    middle the lower one is the median; of equal ones the first.
    """
    present = truths.any(axis=(2, 3))
    scores = np.array([dice(*pair) for pair in zip(answers, truths, strict=True)])
    counts = present.sum(axis=1)
    means = (scores * present).sum(axis=1) / np.maximum(counts, 1)
    shown = np.flatnonzero((counts > 0) & (2 * counts >= counts.max()))
    falling = shown[np.argsort(-means[shown], kind="stable")]
    places = {"best": 0, "median": len(shown) // 2, "worst": len(shown) - 1}
    found = {rule: int(falling[places[rule]]) for rule in RULE} if len(shown) else {}
    if len(empty := np.flatnonzero(counts == 0)):
        found["without"] = int(empty[len(empty) // 2])
    return found


def middles(truths: np.ndarray) -> np.ndarray:
    """The user's points, x and y, for truths (R, K, S, S): NaN where there is no target."""
    names = [str(number) for number in range(len(truths))]  # nothing is drawn by chance
    said = find_user("point").prompts(torch.from_numpy(truths), names)
    points = said.points[:, :, 0].numpy().copy()
    points[said.labels[:, :, 0].numpy() != 1] = np.nan
    return points
