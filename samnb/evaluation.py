"""Every system is examined alike: the image alone in, tables per slice and per scan out.

Slices are measured in pixels and scans in mm, both on the model's grid; a scan is made of the
slices that the profile keeps of it, in their order.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor, nn
from tqdm import tqdm

from samnb.data.slices import SliceSet
from samnb.metrics import METRICS, dice, measure, measure_slices
from samnb.models.method import Answer
from samnb.prompts import box_iou, box_of

SLICE_TOLERANCE = 2.0  # pixels, of the surface Dice
SCAN_TOLERANCE = 2.0  # mm
CHUNK = 32  # slices segmented at once
PICTURED = {1: 6, 0: 2}  # slices kept for pictures, with and without the target
SPACING = ["spacing_z", "spacing_row", "spacing_column"]
SCAN_COLUMNS = ["dice", "hd95", "surface_dice", "hd", "iou"]


@dataclass(frozen=True)
class Examined:
    """Tables of one cohort, one row per slice and per scan, and the seconds in the network."""

    slices: pd.DataFrame
    scans: pd.DataFrame
    seconds: float


def examine(
    method: nn.Module,
    slices: SliceSet,
    rows: np.ndarray,
    cohort: str,
    precision: str = "float32",
    progress: bool = False,
) -> Examined:
    """Segment these rows of `slices` with `method` and measure the answers.

    In the table of slices, box_iou compares the box of the answer with the tight box of the truth,
    and hit says whether the maximum of the activation map lies inside the truth; both are NaN
    where there is no target, no box or no map.
    """
    scans = slices.index.loc[rows].groupby("scan", sort=False).indices
    slice_tables, scan_tables, seconds = [], [], 0.0
    bar = tqdm(scans.items(), desc=f"testing on {cohort}", disable=not progress, leave=False)
    for scan, places in bar:
        table = slices.index.loc[rows[places]].sort_values("slice")
        truths = np.asarray(slices.masks[table.index.to_numpy()]).astype(bool)
        began = time.perf_counter()
        answer = segment(method, slices, table.index.to_numpy(), precision)
        seconds += time.perf_counter() - began
        named = {"cohort": cohort, "patient": table["patient"].iloc[0], "scan": scan}
        slice_tables.append(_slice_rows(named, table, truths, answer))
        spacing = table[SPACING].iloc[0].tolist()
        measured = measure(answer.masks.numpy(), truths, SCAN_TOLERANCE, spacing)
        scan_tables.append(named | {name: measured[name] for name in SCAN_COLUMNS})
    return Examined(pd.concat(slice_tables, ignore_index=True), pd.DataFrame(scan_tables), seconds)


def _slice_rows(
    named: dict[str, str], table: pd.DataFrame, truths: np.ndarray, answer: Answer
) -> pd.DataFrame:
    nothing = np.full(len(table), np.nan)
    presence = nothing if answer.presence is None else answer.presence.numpy()
    columns = {"slice": table["slice"], "label": table["label"], "presence": presence}
    columns |= measure_slices(answer.masks.numpy(), truths, SLICE_TOLERANCE)
    columns["box_iou"] = nothing if answer.boxes is None else box_fit(answer.boxes, truths)
    columns["hit"] = nothing if answer.cams is None else hits(answer.cams, truths)
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


def hits(cams: Tensor, truths: np.ndarray) -> np.ndarray:
    """The pointing game: 1 where the middle of the strongest cell of a map (N, g, g) lies inside
    the mask (N, S, S), else 0; NaN where the mask is empty.
    """
    count, height, width = cams.shape
    row, column = np.divmod(cams.reshape(count, -1).argmax(dim=1).numpy(), width)
    side = truths.shape[-1]
    middle = [((place + 0.5) * side / cells).astype(int) for place, cells in
              ((row, height), (column, width))]  # fmt: skip
    inside = truths[np.arange(count), middle[0], middle[1]].astype(float)
    return np.where(truths.any(axis=(1, 2)), inside, np.nan)


def segment(
    method: nn.Module, slices: SliceSet, rows: np.ndarray, precision: str = "float32"
) -> Answer:
    """The method's answer for these rows, on the CPU, computed in chunks."""
    device = next(method.parameters()).device
    parts = []
    with _examining(method, device, precision):
        for start in range(0, len(rows), CHUNK):
            images, _ = slices.load(rows[start : start + CHUNK])
            parts.append(method.segment(torch.from_numpy(images).to(device)))
    joined = {}
    for field in fields(Answer):
        values = [getattr(part, field.name) for part in parts]
        joined[field.name] = None if values[0] is None else _plain(torch.cat(values))
    return Answer(**joined)


def _plain(values: Tensor) -> Tensor:
    """On the CPU, and in a precision that NumPy knows."""
    return (values.float() if values.is_floating_point() else values).cpu()


@contextmanager
def _examining(method: nn.Module, device: torch.device, precision: str) -> Iterator[None]:
    """As a finished method is used; afterwards it is as it was."""
    training = method.training
    method.eval()
    half = torch.autocast(device.type, getattr(torch, precision), enabled=precision != "float32")
    try:
        with torch.no_grad(), half:
            yield
    finally:
        method.train(training)


def mean_dice(
    method: nn.Module, slices: SliceSet, rows: np.ndarray, precision: str = "float32"
) -> float:
    """Mean Dice over these rows; what a training is watched by."""
    answer = segment(method, slices, rows, precision)
    return float(dice(answer.masks.numpy(), slices.masks[rows]).mean())


def area_under_curve(labels: np.ndarray, scores: np.ndarray) -> float:
    """How often a slice with the target scores above one without; ties count half.

    labels: (N,), 1 with the target, 0 without, others are left out. NaN unless both occur.
    """
    present, absent = scores[labels == 1], scores[labels == 0]
    if len(present) == 0 or len(absent) == 0 or np.isnan(scores).any():
        return float("nan")
    return float(mannwhitneyu(present, absent).statistic / (len(present) * len(absent)))


def summarise(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of the table of slices, by cohort: the mean of every metric over slices, and the AUC."""
    found = {}
    for cohort, rows in table.groupby("cohort", sort=False):
        found[cohort] = rows[[*METRICS, "box_iou", "hit"]].mean().to_dict()
        labels, scores = rows["label"].to_numpy(), rows["presence"].to_numpy(dtype=float)
        found[cohort]["auc"] = area_under_curve(labels, scores)
    return found


def pictured_rows(index: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Rows for pictures, evenly through the test set: six with the target, two without.

    The rule knows slices, not systems: all systems are shown on the same ones.
    """
    labels = index["label"].to_numpy()[rows]
    chosen = [evenly(rows[labels == label], count) for label, count in PICTURED.items()]
    return np.concatenate(chosen)


def evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, the middle of each of as many equal stretches."""
    count = min(count, len(rows))
    return rows[((np.arange(count) + 0.5) * len(rows) / max(1, count)).astype(int)]


def pictures(
    method: nn.Module, slices: SliceSet, rows: np.ndarray, cohort: str, precision: str = "float32"
) -> dict[str, np.ndarray]:
    """The whole answer on a few rows, as arrays; what the method does not know is left out."""
    index = slices.index.loc[rows]
    arrays = {"row": rows, "cohort": np.full(len(rows), cohort)}
    arrays |= {"scan": index["scan"].to_numpy(str), "slice": index["slice"].to_numpy()}
    answer = segment(method, slices, rows, precision)
    for field in fields(Answer):
        value = getattr(answer, field.name)
        if value is not None:
            arrays[field.name] = (value.half() if field.name == "cams" else value).numpy()
    return arrays
