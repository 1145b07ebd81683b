"""Which slices are the exemplars: the two rules of Cheap Lunch, section 3.2."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from samnb.base.errors import SamnbError
from samnb.data.scan import natural_key
from samnb.data.splits import LabelledSubset, hash_order, labelled_subsets

PIXELS = 10  # "having tumours with no fewer than 10 pixels"
APART = 20.0  # mm between two exemplars of one scan


def random_exemplars(
    index: pd.DataFrame,
    patients: Sequence[str],
    counts: Sequence[int],
    seed: int,
    pixels: int = PIXELS,
) -> dict[int, LabelledSubset]:
    """Any training slices whose target has at least so many pixels, by their number (BraTS).

    Pixels are those of the scan, as in the paper; on the model's grid one at least must be left.
    Nested: the exemplars of a smaller number are among those of a larger one.
    """
    large = index[(index["native_mask_pixels"] >= pixels) & (index["label"] == 1)]
    found = int(large["patient"].isin(list(patients)).sum())
    if found < max(counts):
        raise SamnbError(
            f"{max(counts)} exemplars are asked for, but only {found} slices of {len(patients)} "
            f"training patients have {pixels} pixels of target or more.",
            "ask for fewer in the profile, or add training patients.",
        )
    return labelled_subsets(large, patients, counts, seed)


def richest_exemplars(
    labels: np.ndarray,
    index: pd.DataFrame,
    patients: Sequence[str],
    counts: Sequence[int],
    seed: int,
    apart: float = APART,
) -> dict[int, LabelledSubset]:
    """The slices with most targets of each scan, scans in hash order, by their number (Synapse).

    labels: (N, K), 1 where slice n shows target k. First every scan gives one slice, then every
    scan a second one, and so on, so that 9 of 18 scans give one each, 36 exemplars two each, and
    smaller numbers are among the larger ones. Of slices with equally many targets the one with
    most pixels of them is taken, of equal ones the lower one. The paper does not say what a second
    slice is; here it is the best one at least `apart` mm from those already taken, since its
    neighbours look almost the same.
    """
    training = index[index["patient"].isin(list(patients)) & (index["label"] == 1)]
    shown = pd.Series((labels[training.index] == 1).sum(axis=1), training.index)
    ranked = training.assign(shown=shown).sort_values(
        ["shown", "mask_pixels", "slice"], ascending=[False, False, True], kind="stable"
    )
    by_scan = dict(list(ranked.groupby("scan", sort=False)))
    choices = [_apart(by_scan[scan], apart) for scan in hash_order(by_scan, seed)]
    rows = list(_in_turns(choices, max(counts)))
    if len(rows) < max(counts):
        raise SamnbError(
            f"{max(counts)} exemplars are asked for, but {len(by_scan)} training scans give only "
            f"{len(rows)} slices with targets that lie {apart:g} mm apart.",
            "ask for fewer in the profile, or add training patients.",
        )
    return {count: _subset(index, rows[:count]) for count in sorted(counts)}


def _apart(ranked: pd.DataFrame, apart: float) -> list[int]:
    """Rows of one scan, best first, without those nearer than `apart` mm to a better one."""
    chosen: list[int] = []
    heights: list[float] = []
    positions = ranked["slice"] * ranked["spacing_z"]
    for row, height in positions.items():
        if all(abs(height - other) >= apart for other in heights):
            chosen.append(int(row))
            heights.append(float(height))
    return chosen


def _in_turns(choices: Sequence[Sequence[int]], most: int) -> Iterator[int]:
    """The first of each, then the second of each that has one, and so on, up to `most` in all."""
    turns = max(map(len, choices), default=0)
    ordered = (each[turn] for turn in range(turns) for each in choices if turn < len(each))
    for _, row in zip(range(most), ordered, strict=False):
        yield row


def _subset(index: pd.DataFrame, rows: Sequence[int]) -> LabelledSubset:
    patients = sorted(set(index.loc[list(rows), "patient"]), key=natural_key)
    return LabelledSubset(np.array(rows, dtype=np.intp), tuple(patients))
