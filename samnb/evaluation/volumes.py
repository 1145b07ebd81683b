"""Methods that see whole volumes, examined as those that see slices are: a row per scan and target.

Everything is measured in mm, on the grid of the volumes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from monai.inferers import SlidingWindowInferer
from torch import Tensor

from samnb.data.volumes import VolumeSet
from samnb.evaluation.answers import consult, examining
from samnb.evaluation.examine import SCAN_COLUMNS, SCAN_TOLERANCE
from samnb.evaluation.metrics import measure
from samnb.method import Answer, Method
from samnb.prompts.users import NOBODY, User

OVERLAP = 0.5  # of neighbouring windows


def examine_volumes(
    method: Method,
    volumes: VolumeSet,
    rows: np.ndarray,
    cohort: str,
    precision: str = "float32",
    user: User = NOBODY,
) -> pd.DataFrame:
    """Ask `method` about these volumes, one at a time, and measure its masks: one row per target.

    Columns: cohort, target, user, patient, scan, and the metrics of scans.
    """
    device = next(method.parameters()).device
    found = []
    for row in rows:
        images, truths = (torch.from_numpy(part).to(device) for part in volumes.load([row]))
        scan = volumes.index.loc[row]
        with examining(method, device, precision):
            answer = consult(method, images, truths.bool(), [f"{cohort}:{scan['scan']}"], user)
        for number, target in enumerate(volumes.targets):
            named = {"cohort": cohort, "target": target, "user": str(user)}
            named |= {"patient": scan["patient"], "scan": scan["scan"]}
            found.append(named | _measured(answer, truths, number, volumes.spacing(row)))
    return pd.DataFrame(found)


def _measured(
    answer: Answer, truths: Tensor, target: int, spacing: Sequence[float]
) -> dict[str, float]:
    """The metrics of one target of the one volume that an answer is about."""
    mask, truth = (each[0, target].cpu().numpy().astype(bool) for each in (answer.masks, truths))
    measured = measure(mask, truth, SCAN_TOLERANCE, spacing)
    return {name: measured[name] for name in SCAN_COLUMNS}


def by_windows(network: Callable[[Tensor], Tensor], images: Tensor, size: Sequence[int]) -> Tensor:
    """Logits of volumes that are larger than a network takes, seen window by window.

    images (N, C, D, H, W) -> (N, K, D, H, W). Where windows overlap their logits are averaged, each
    with more weight in its middle. A smaller volume is padded to one window.
    """
    inferer = SlidingWindowInferer(tuple(size), sw_batch_size=1, overlap=OVERLAP, mode="gaussian")
    return inferer(images, network)
