"""Every system is measured alike, from its answers: a table per slice and per scan.

Slices are measured in pixels and scans in mm, both on the model's grid; a scan is made of the
slices that the profile keeps of it, in their order.
"""

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor

from samnb.data.slices import SliceSet
from samnb.evaluation.answers import Answers, ask, scan_rows, segment
from samnb.evaluation.metrics import METRICS, dice, measure, measure_slices
from samnb.method import Method
from samnb.prompts.boxes import box_iou, box_of
from samnb.prompts.users import NOBODY, User

SLICE_TOLERANCE = 2.0  # pixels, of the surface Dice
SCAN_TOLERANCE = 2.0  # mm
SPACING = ["spacing_z", "spacing_row", "spacing_column"]
SCAN_COLUMNS = ["dice", "hd95", "surface_dice", "hd", "iou"]


def examine(
    method: Method,
    slices: SliceSet,
    rows: np.ndarray,
    cohort: str,
    precision: str = "float32",
    progress: bool = False,
    user: User = NOBODY,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask `method` about these rows of `slices` and measure: tables of slices and of scans."""
    answers = ask(method, slices, rows, cohort, precision, progress, user)
    return measure_answers(answers, slices, cohort, user)


def measure_answers(
    answers: Answers, slices: SliceSet, cohort: str, user: User = NOBODY
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of one cohort, one row per slice and one per scan, target after target.

    In the table of slices, box_iou compares the box of the answer with the tight box of the truth,
    and hit says whether the maximum of the activation map lies inside the truth; both are NaN
    where there is no target, no box or no map.
    """
    slice_tables, scan_tables = [], []
    for number, target in enumerate(slices.targets):
        start = 0
        for rows in scan_rows(slices, answers.rows):
            places = slice(start, start := start + len(rows))
            table = slices.index.loc[rows].assign(label=slices.labels[rows, number])
            truths = np.asarray(slices.masks[rows, number]).astype(bool)
            named = {"cohort": cohort, "target": target, "user": str(user)}
            named |= {name: table[name].iloc[0] for name in ("patient", "scan")}
            slice_tables.append(_slice_rows(named, table, truths, answers, places, number))
            spacing = table[SPACING].iloc[0].tolist()
            measured = measure(answers.masks(places, number), truths, SCAN_TOLERANCE, spacing)
            scan_tables.append(named | {name: measured[name] for name in SCAN_COLUMNS})
    return pd.concat(slice_tables, ignore_index=True), pd.DataFrame(scan_tables)


def _slice_rows(
    named: dict[str, str],
    table: pd.DataFrame,
    truths: np.ndarray,
    answers: Answers,
    places: slice,
    target: int,
) -> pd.DataFrame:
    """Rows of one scan and one target, whose truths (n, S, S) are given."""
    said = {
        name: None if value is None else value[places, target]
        for name, value in (("presence", answers.presence), ("boxes", answers.boxes),
                            ("peaks", answers.peaks))
    }  # fmt: skip
    nothing = np.full(len(table), np.nan)
    presence = nothing if said["presence"] is None else said["presence"]
    columns = {"slice": table["slice"], "label": table["label"], "presence": presence}
    columns |= measure_slices(answers.masks(places, target), truths, SLICE_TOLERANCE)
    columns["box_iou"] = nothing if said["boxes"] is None else box_fit(
        torch.from_numpy(said["boxes"]), truths
    )  # fmt: skip
    columns["hit"] = nothing if said["peaks"] is None else hits(said["peaks"], truths)
    rows = pd.DataFrame({name: np.asarray(value) for name, value in columns.items()})
    for place, (name, value) in enumerate(named.items()):
        rows.insert(place, name, value)
    return rows


def box_fit(boxes: Tensor, truths: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) with the tight boxes of masks (N, S, S); NaN where either is missing."""
    found = np.full(len(truths), np.nan)
    known = truths.any(axis=(1, 2)) & ~torch.isnan(boxes).any(dim=1).numpy()
    if known.any():
        found[known] = box_iou(boxes[known].float(), box_of(torch.from_numpy(truths[known])))
    return found


def hits(peaks: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """The pointing game: 1 where the pixel (row, column) lies inside the mask (N, S, S), else 0.

    NaN where the mask is empty. peaks: (N, 2), as `answers.peaks` reads them off a map.
    """
    inside = truths[np.arange(len(truths)), peaks[:, 0], peaks[:, 1]].astype(float)
    return np.where(truths.any(axis=(1, 2)), inside, np.nan)


def mean_dice(
    method: Method,
    slices: SliceSet,
    rows: np.ndarray,
    precision: str = "float32",
    user: User = NOBODY,
    cohort: str = "",
) -> float:
    """Mean Dice over these rows and all targets; what a training is watched by."""
    answer = segment(method, slices, rows, precision, user, cohort)
    truths = np.asarray(slices.masks[rows])
    side = truths.shape[-2:]
    return float(dice(answer.masks.numpy().reshape(-1, *side), truths.reshape(-1, *side)).mean())


def area_under_curve(labels: np.ndarray, scores: np.ndarray) -> float:
    """How often a slice with the target scores above one without; ties count half.

    labels: (N,), 1 with the target, 0 without, others are left out. NaN unless both occur.
    """
    present, absent = scores[labels == 1], scores[labels == 0]
    if len(present) == 0 or len(absent) == 0 or np.isnan(scores).any():
        return float("nan")
    return float(mannwhitneyu(present, absent).statistic / (len(present) * len(absent)))


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of the table of slices, by cohort: the mean of every metric over slices, and the AUC.

    Of several users only the first counts: means over oracles and others would mean nothing.
    """
    found = {}
    table = table[table["user"] == table["user"].iloc[0]]
    for cohort, rows in table.groupby("cohort", sort=False):
        found[cohort] = rows[[*METRICS, "box_iou", "hit"]].mean().to_dict()
        labels, scores = rows["label"].to_numpy(), rows["presence"].to_numpy(dtype=float)
        found[cohort]["auc"] = area_under_curve(labels, scores)
    return found
