"""Where does a map point? Inside the target, or some pixels aside and always to the same side."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from samnb.data.slices import SliceSet
from samnb.evaluation.examine import area_under_curve
from samnb.prompts.users import NOBODY
from samnb.runs.records import Record


def where_maps_point(
    made: Iterable[Record], systems: Sequence[str], slices: SliceSet, cohort: str
) -> pd.DataFrame:
    """What a classifier knows of *whether*, and what its point says of *where*.

    Rows: system, seed, in the order of `systems`. Columns: auc (of the probability that the target
    is in a slice); over the slices that show it, whatever was said of its presence: inside (percent
    of the points that lie in the target), down and right (pixels from the target's centre of mass
    to the point, mean), away (pixels, mean length).
    """
    rows = {}
    for record in made:
        if record.name not in systems or record.facts["changes"]:
            continue
        given = record.answers[cohort, str(NOBODY)]
        whether = area_under_curve(slices.labels[given.rows, 0], given.presence[:, 0])
        where = _of_points(given.rows, given.peaks[:, 0], slices)
        rows[record.name, record.facts["seed"]] = (whether, *where)
    ordered = sorted(rows, key=lambda row: (systems.index(row[0]), row[1]))
    names = ["auc", "inside", "down", "right", "away"]
    table = pd.DataFrame([rows[row] for row in ordered], columns=names)
    table.index = pd.MultiIndex.from_tuples(ordered, names=["system", "seed"])
    return table


def _of_points(rows: np.ndarray, peaks: np.ndarray, slices: SliceSet) -> tuple[float, ...]:
    """rows (N,) of slices, peaks (N, 2) row and column."""
    aside, inside = [], []
    for row, (down, right) in zip(rows, peaks.astype(int), strict=True):
        mask = np.asarray(slices.masks[row, 0])
        if mask.any():
            inside.append(bool(mask[down, right]))
            aside.append((down, right) - np.argwhere(mask).mean(axis=0))
    means = np.mean(aside, axis=0)
    return 100 * np.mean(inside), means[0], means[1], np.linalg.norm(aside, axis=1).mean()
