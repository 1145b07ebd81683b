"""What the 3D baselines share: a network that learns from patches and answers window by window."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.evaluation.volumes import by_windows
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.targets import TargetHead


class PatchNetwork(Method):
    """Learns from the patches with masks alone, and needs no prompts.

    network: patches (N, C, *patch) -> logits (N, head.outputs, *patch)
    """

    def __init__(self, network: nn.Module, head: TargetHead, patch: Sequence[int]):
        super().__init__()
        self.network, self.head, self.patch = network, head, tuple(patch)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, C, *patch), 0-1."""
        return self.network((images - 0.5) * 2).float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.head.loss(self.logits(batch.marked), batch.masks)}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, C, D, H, W), 0-1, of any size: windows of a patch's size, half overlapping."""
        return Answer(self.head.masks(by_windows(self.logits, images, self.patch)))


def check_patch(patch: Sequence[int], system: str, steps: Sequence[int]) -> None:
    """Refuse patches whose sides are no multiples of `steps`, or end as a single voxel.

    The norm of a map of one voxel is always 0: such a network learns nothing at its bottom.
    """
    fits = all(side > 0 and side % step == 0 for side, step in zip(patch, steps, strict=True))
    if fits and prod(side // step for side, step in zip(patch, steps, strict=True)) > 1:
        return
    fitting = [step * max(2, round(side / step)) for side, step in zip(patch, steps, strict=True)]
    raise SamnbError(
        f"{system} cannot take patches of {_product(patch)} voxels: its sides are multiples of "
        f"{_product(steps)}, and not all as small as that.",
        f"set data.patches.size of the profile to {fitting}.",
    )


def _product(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))
