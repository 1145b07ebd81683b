"""Methods that see whole volumes, examined as those that see slices are: a row per scan and target.

Everything is measured in mm, on the grid of the volumes; HD95 in voxels as well.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor
from tqdm import tqdm

from samnb.data.volumes import VolumeSet
from samnb.evaluation.answers import consult, examining
from samnb.evaluation.examine import SCAN_COLUMNS, SCAN_TOLERANCE
from samnb.evaluation.metrics import dice, hausdorff, measure
from samnb.evaluation.protocols import VOXELS
from samnb.method import Answer, Method
from samnb.prompts.users import NOBODY, User

OVERLAP = 0.5  # of neighbouring windows


@dataclass(frozen=True)
class VolumeAnswers:
    """Answers about K targets in N volumes, each of its own size: all that is needed to measure.

    rows: (N,) rows of the volumes
    shapes: (N, 3) voxels of each
    bits: uint8, the masks (K, D, H, W) of one volume after another as packed bits, each from a byte
        of its own; `masks` unpacks them
    seconds: in the network
    """

    rows: np.ndarray
    shapes: np.ndarray
    bits: np.ndarray
    seconds: float = float("nan")

    def masks(self, place: int) -> np.ndarray:
        """Masks (K, D, H, W) bool of the volume at this place."""
        voxels = self.shapes.astype(np.int64).prod(axis=1)
        targets = len(self.bits) // int((-(-voxels // 8)).sum())
        starts = np.cumsum([0, *(-(-voxels // 8) * targets)])
        bits = self.bits[starts[place] : starts[place + 1]].reshape(targets, -1)
        flat = np.unpackbits(bits, axis=1, count=int(voxels[place]))
        return flat.reshape(targets, *self.shapes[place]).astype(bool)


def pack_volumes(rows: np.ndarray, masks: Sequence[np.ndarray], seconds: float) -> VolumeAnswers:
    """Answers from the masks (K, D, H, W) bool of the volumes of these rows."""
    bits = [np.packbits(each.reshape(len(each), -1), axis=1).ravel() for each in masks]
    shapes = np.array([each.shape[1:] for each in masks], dtype=np.int32)
    return VolumeAnswers(np.asarray(rows), shapes, np.concatenate(bits), seconds)


def examine_volumes(
    method: Method,
    volumes: VolumeSet,
    rows: np.ndarray,
    cohort: str,
    precision: str = "float32",
    user: User = NOBODY,
) -> pd.DataFrame:
    """Ask `method` about these volumes, one at a time, and measure its masks: one row per target.

    Columns: cohort, target, user, patient, scan, the metrics of scans, and VOXELS.
    """
    answers = ask_volumes(method, volumes, rows, cohort, precision, user)
    return measure_volume_answers(answers, volumes, cohort, user)


def ask_volumes(
    method: Method,
    volumes: VolumeSet,
    rows: np.ndarray,
    title: str,
    precision: str = "float32",
    user: User = NOBODY,
    progress: bool = False,
) -> VolumeAnswers:
    """Answers of `method` about these volumes, one at a time, to a user who prompts.

    title: the cohort; with a scan's name the seed of what the user does at random.
    """
    masks, seconds = [], 0.0
    for row in tqdm(rows, desc=f"testing on {title}", disable=not progress, leave=False):
        began = time.perf_counter()
        masks.append(segment_volume(method, volumes, row, title, precision, user).masks[0].numpy())
        seconds += time.perf_counter() - began
    return pack_volumes(rows, masks, seconds)


def segment_volume(
    method: Method,
    volumes: VolumeSet,
    row: int,
    cohort: str,
    precision: str = "float32",
    user: User = NOBODY,
) -> Answer:
    """The method's masks (1, K, D, H, W) of one volume, on the CPU."""
    device = next(method.parameters()).device
    images, truths = (torch.from_numpy(part).to(device) for part in volumes.load([row]))
    name = f"{cohort}:{volumes.index.loc[row, 'scan']}"
    with examining(method, device, precision):
        answer = consult(method, images, truths.bool(), [name], user)
    return Answer(answer.masks.cpu())


def measure_volume_answers(
    answers: VolumeAnswers, volumes: VolumeSet, cohort: str, user: User = NOBODY
) -> pd.DataFrame:
    """One row per volume and target, target after target, as of the scans of a study of slices."""
    found = []
    for place, row in enumerate(answers.rows):
        masks, truths = answers.masks(place), np.asarray(volumes.arrays(row)[1]).astype(bool)
        scan = volumes.index.loc[row]
        for number, target in enumerate(volumes.targets):
            named = {"cohort": cohort, "target": target, "user": str(user)}
            named |= {"patient": scan["patient"], "scan": scan["scan"]}
            measured = _measured(masks[number], truths[number], volumes.spacing(row))
            found.append((number, named | measured))
    return pd.DataFrame([columns for _, columns in sorted(found, key=lambda each: each[0])])


def _measured(mask: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> dict[str, float]:
    """The metrics of one target of one volume: (D, H, W) bool each."""
    measured = measure(mask, truth, SCAN_TOLERANCE, spacing)
    counted = hausdorff(mask, truth, percentile=95), int(truth.sum()), int(mask.sum())
    columns = {name: measured[name] for name in SCAN_COLUMNS}
    return columns | dict(zip(VOXELS, counted, strict=True))


def mean_volume_dice(
    method: Method,
    volumes: VolumeSet,
    rows: np.ndarray,
    precision: str = "float32",
    user: User = NOBODY,
) -> float:
    """Mean Dice over these volumes and all targets; what a training is watched by."""
    found = [
        dice(
            segment_volume(method, volumes, row, "", precision, user).masks[0].numpy(),
            np.asarray(volumes.arrays(row)[1]),
        )
        for row in rows
    ]
    return float(np.mean(found))


def summarise_volumes(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By cohort the mean of every metric over volumes and targets, for the first user alone."""
    table = table[table["user"] == table["user"].iloc[0]]
    return {
        cohort: rows[SCAN_COLUMNS].mean().to_dict()
        for cohort, rows in table.groupby("cohort", sort=False)
    }


def by_windows(network: Callable[[Tensor], Tensor], images: Tensor, size: Sequence[int]) -> Tensor:
    """Logits of volumes that are larger than a network takes, seen window by window.

    images (N, C, D, H, W) -> (N, K, D, H, W). Where windows overlap their logits are averaged, each
    with more weight in its middle. A smaller volume is padded to one window.
    """
    inferer = SlidingWindowInferer(tuple(size), sw_batch_size=1, overlap=OVERLAP, mode="gaussian")
    return inferer(images, network)
