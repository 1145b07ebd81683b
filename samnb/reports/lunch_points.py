"""Where does a map point? Inside the target, or some pixels aside and always to the same side."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from samnb.data.slices import SliceSet
from samnb.prompts.users import NOBODY
from samnb.runs.records import Record


def where_maps_point(
    made: Iterable[Record], systems: Iterable[str], slices: SliceSet, cohort: str
) -> pd.DataFrame:
    """Over the slices that show the target, whatever the classifier said of its presence.

    Rows: system, seed. Columns: inside (percent of the points that lie in the target), down and
    right (pixels from the target's centre of mass to the point, mean), away (pixels, mean length).
    """
    rows = {}
    for record in made:
        if record.name not in set(systems) or record.facts["changes"]:
            continue
        given = record.answers[cohort, str(NOBODY)]
        rows[record.name, record.facts["seed"]] = _of_answers(given.rows, given.peaks[:, 0], slices)
    names = ["inside", "down", "right", "away"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    table.index = pd.MultiIndex.from_tuples(rows, names=["system", "seed"])
    return table.sort_index()


def _of_answers(rows: np.ndarray, peaks: np.ndarray, slices: SliceSet) -> tuple[float, ...]:
    """rows (N,) of slices, peaks (N, 2) row and column."""
    aside, inside = [], []
    for row, (down, right) in zip(rows, peaks.astype(int), strict=True):
        mask = np.asarray(slices.masks[row, 0])
        if mask.any():
            inside.append(bool(mask[down, right]))
            aside.append((down, right) - np.argwhere(mask).mean(axis=0))
    means = np.mean(aside, axis=0)
    return 100 * np.mean(inside), means[0], means[1], np.linalg.norm(aside, axis=1).mean()
