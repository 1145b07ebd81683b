"""The studies of Med-SA as its chapters read them: records, cases, answers to look at."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from samnb.data.slices import SliceSet
from samnb.data.volumes import VolumeSet
from samnb.evaluation.answers import Answers
from samnb.evaluation.metrics import dice
from samnb.evaluation.volumes import VolumeAnswers
from samnb.prompts.users import INSIDE, NOBODY, find_user
from samnb.reports.lunch_figures import square_around
from samnb.reports.lunch_study import RULE, Shown, Study, read_study
from samnb.reports.lunch_tests import is_frozen
from samnb.reports.med_sa import EVERY_SLICE, PROMPTED, STUDIES, TASKS, all_cases
from samnb.reports.paper_med_sa import row_name
from samnb.studies import studies_of
from samnb.studies.volumes import cohort_view

COLOURS = 3  # channels of a picture in colour
MARGIN = 12  # pixels around what is shown


def read_studies(size: str = "pocket", begin: Sequence[str] = STUDIES) -> dict[str, Study]:
    """The studies of this paper by name, as far as the size has them, in the order of TASKS.

    begin: how their names begin, such as "med-sa-btcv" for organs in volumes and in slices. One
    without records has no rows.
    """
    known = studies_of(size)
    wanted = [
        name for name in STUDIES
        if any(name == each or name.startswith(f"{each}-") for each in begin)
    ]  # fmt: skip
    return {name: read_study(size, name) for name in wanted if name.replace("-", "_") in known}


def read_if_there(size: str, name: str) -> Study | None:
    """A study that answers a question beyond the paper, where the size has it."""
    return read_study(size, name) if name.replace("-", "_") in studies_of(size) else None


def study_cases(studies: Mapping[str, Study]) -> pd.DataFrame:
    """What their records measured, as `med_sa.all_cases` gives it."""
    return all_cases({name: study.cases for name, study in studies.items()})


def shown_answers(
    studies: Mapping[str, Study], task: str, systems: Sequence[str], seed: int, user: str
) -> Shown | None:
    """Three test cases of a task, and what systems answered to one user, or to nobody.

    The best, the median and the worst by the mean Dice of the last of the systems; of a volume the
    slice with most targets, then with most of them; cut to a square around the targets and all
    that was answered, so that a score of what is shown is that of the whole. Systems without a
    record of this seed are left out; None if the last one has none. All are of the task's first
    study.
    """
    settings = TASKS[task]
    study = studies.get(settings.studies[0])
    if study is None:
        return None
    answers = _answers(study, systems, seed, user)
    reference = _named(systems[-1], user)
    if reference not in answers:
        return None
    view = cohort_view(study.profile, study.cohort)
    targets = list(view.targets) if settings.target is None else [settings.target]
    numbers = [view.targets.index(name) for name in targets]
    scores = _scores(view, answers[reference], numbers)
    falling = np.argsort(-scores, kind="stable")
    places = [falling[place] for place in (0, len(falling) // 2, -1)]
    parts = [_Picture(view, answers, int(place), numbers) for place in places]
    prompts = [part.prompts(study.cohort, user) for part in parts]
    return Shown(
        images=[part.image for part in parts],
        truths=[part.truth for part in parts],
        masks={name: [part.masks[name] for part in parts] for name in answers},
        points=[points for points, _ in prompts],
        titles=[f"{rule}\n{part.title}" for rule, part in zip(RULE, parts, strict=True)],
        targets=targets,
        boxes=[boxes for _, boxes in prompts] if prompts[0][1] is not None else None,
    )


class _Picture:
    """One slice of one test case, cut: image, truth (K, S, S), masks by system, its title."""

    def __init__(self, view, answers, place: int, numbers: Sequence[int]):
        """place: among the answers, which are all about the same rows; numbers: of the targets."""
        row = next(iter(answers.values())).rows[place]
        images, truths = _load(view, row)
        truths = truths[numbers]
        sizes = truths.sum(axis=(2, 3))  # (K, D)
        depth = max(
            range(truths.shape[1]), key=lambda z: ((sizes[:, z] > 0).sum(), sizes[:, z].sum())
        )
        found = view.index.loc[row]
        self.scan, self.number = found["scan"], found.get("slice", depth)
        self.title = f"{self.scan}" if truths.shape[1] == 1 else f"{self.scan}, slice {depth}"
        self.whole = truths[:, depth]
        masks = {name: _masks(given, place, numbers)[:, depth] for name, given in answers.items()}
        marked = np.any([self.whole, *masks.values()], axis=(0, 1))
        self.window = square_around(marked.astype(float), MARGIN)
        colour = len(images) == COLOURS and truths.shape[1] == 1
        image = images[:, depth].transpose(1, 2, 0) if colour else images[0, depth]
        self.image, self.truth = image[self.window], self.whole[:, *self.window]
        self.masks = {name: mask[:, *self.window] for name, mask in masks.items()}

    def prompts(self, cohort: str, user: str) -> tuple[np.ndarray, np.ndarray | None]:
        """What the user said of this slice: points (P, 2), NaN where none; boxes (K, 4) or None."""
        name = f"{cohort}:{self.scan}:{self.number}"
        said = find_user(user).prompts(torch.from_numpy(self.whole[None]), [name])
        corner = np.array([self.window[1].start, self.window[0].start])  # x, y
        if said.points is None:
            return np.empty((0, 2)), said.boxes[0].numpy() - np.tile(corner, 2)
        points = said.points[0].numpy() - corner
        points[said.labels[0].numpy() != INSIDE] = np.nan
        return points.reshape(-1, 2), None


def _answers(
    study: Study, systems: Sequence[str], seed: int, user: str
) -> dict[str, Answers | VolumeAnswers]:
    """By row, of the profile as it is; in the order of the systems."""
    found = {}
    for record in study.made:
        name = record.name
        right = record.facts["seed"] == seed or is_frozen(name)
        if name in systems and right and not record.facts["changes"]:
            by_user = {who.removesuffix(EVERY_SLICE): given
                       for (_, who), given in record.answers.items()}  # fmt: skip
            given = by_user.get(user if name in PROMPTED else str(NOBODY))
            if given is not None:
                found[_named(name, user)] = given
    return {name: found[name] for name in (_named(each, user) for each in systems) if name in found}


def _named(system: str, user: str) -> str:
    return row_name(system, user if system in PROMPTED else "")


def _scores(view, answers: Answers | VolumeAnswers, numbers: Sequence[int]) -> np.ndarray:
    """The mean Dice over the targets, case by case."""
    scores = []
    for place, row in enumerate(answers.rows):
        pairs = zip(_masks(answers, place, numbers), _load(view, row)[1][numbers], strict=True)
        scores.append(np.mean([dice(given, truth) for given, truth in pairs]))
    return np.array(scores)


def _load(view: SliceSet | VolumeSet, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Image (C, D, H, W) and truths (K, D, H, W) bool of one row; a picture has D = 1."""
    images, truths = view.load([row])
    image, truth = images[0], truths[0].astype(bool)
    return (image[:, None], truth[:, None]) if image.ndim == 3 else (image, truth)


def _masks(answers: Answers | VolumeAnswers, place: int, numbers: Sequence[int]) -> np.ndarray:
    """Masks (K, D, H, W) bool of these targets of one case."""
    if isinstance(answers, VolumeAnswers):
        return answers.masks(place)[numbers]
    return np.stack([answers.masks(slice(place, place + 1), number) for number in numbers])
