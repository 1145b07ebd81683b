"""How the papers on volumes measure, beside how we do.

Several papers (Cheap Lunch, SAMed, TransUNet) measure each target once per scan, distances in
voxels, whatever a voxel's size. Their public code also has another rule for empty masks than ours:
where truth or answer is empty, the distance is 0 and not the image's diagonal, so that a target
that is missed altogether makes the mean distance smaller. `by_public_rule` says what it would say.
"""

import numpy as np
import pandas as pd

from samnb.data.slices import SliceSet
from samnb.evaluation.answers import Answers, scan_rows
from samnb.evaluation.examine import measure_answers
from samnb.evaluation.metrics import hausdorff
from samnb.prompts.users import NOBODY, User

# Columns of scans beside those of every study.
VOXELS = ["hd95_voxels", "truth_voxels", "answer_voxels"]


def measure_volumes(
    answers: Answers, slices: SliceSet, cohort: str, user: User = NOBODY
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `measure_answers`, for volumes with many targets, most of them in few slices.

    Of the table of slices only rows with something in them stay: the target, or an answer. The
    table of scans has the columns VOXELS too: HD95 in voxels of the model's grid, and the sizes.
    """
    of_slices, of_scans = measure_answers(answers, slices, cohort, user)
    shown = (of_slices["label"] == 1) | (of_slices["dice"] < 1)
    counted = [
        _voxels(answers, slices, number, rows, places)
        for number in range(len(slices.targets))
        for rows, places in _scans(answers, slices)
    ]
    return of_slices[shown].reset_index(drop=True), of_scans.join(pd.DataFrame(counted))


def _scans(answers: Answers, slices: SliceSet) -> list[tuple[np.ndarray, slice]]:
    """Rows of each scan, and their places among the answers."""
    found, start = [], 0
    for rows in scan_rows(slices, answers.rows):
        found.append((rows, slice(start, start := start + len(rows))))
    return found


def _voxels(
    answers: Answers, slices: SliceSet, target: int, rows: np.ndarray, places: slice
) -> dict[str, float]:
    given = answers.masks(places, target)
    truth = np.asarray(slices.masks[rows, target]).astype(bool)
    values = hausdorff(given, truth, percentile=95), int(truth.sum()), int(given.sum())
    return dict(zip(VOXELS, values, strict=True))


def by_public_rule(scans: pd.DataFrame) -> pd.DataFrame:
    """The table of scans with dice and hd95_voxels as the public code of TransUNet has them.

    Nothing there and something answered: Dice 1, distance 0. Any other empty mask: both 0.
    """
    nothing, silent = scans["truth_voxels"] == 0, scans["answer_voxels"] == 0
    dice = scans["dice"].mask(nothing & ~silent, 1.0).mask(silent, 0.0)
    distance = scans["hd95_voxels"].mask(nothing | silent, 0.0)
    return scans.assign(dice=dice, hd95_voxels=distance)
