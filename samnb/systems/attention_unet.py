"""Attention U-Net (Oktay et al., 2018), fully supervised: a U-Net whose skips are weighed.

MONAI's network; with widths 64 to 1024 it has 31.74 million parameters. Cheap Lunch quotes its
numbers and says nothing of its training: here Dice + cross-entropy over all classes.
"""

from dataclasses import dataclass

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import AttentionUnet
from torch import Tensor

from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.classes import class_map, masks_of_classes
from samnb.networks.sides import check_side
from samnb.systems.system import Declared, System

HALVINGS = 4


@dataclass(frozen=True)
class AttentionUNetSettings:
    width: int = 64  # channels of the first stage, doubled by each of the four below


class AttentionUNet(Method):
    """Learns from the marked slices alone, and needs no prompts."""

    def __init__(self, settings: AttentionUNetSettings, targets: int):
        super().__init__()
        widths = [settings.width * 2**stage for stage in range(HALVINGS + 1)]
        self.network = AttentionUnet(2, 1, targets + 1, widths, [2] * HALVINGS)
        self.loss = DiceCELoss(softmax=True, to_onehot_y=True, batch=True)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 1, S, S), 0-1 -> (N, K + 1, S, S), the background first."""
        check_side(images, "Attention U-Net", 2**HALVINGS)
        return self.network((images - 0.5) * 2).float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        classes = class_map(batch.masks)[:, None].float()
        return {"loss": self.loss(self.logits(batch.marked), classes)}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1."""
        return Answer(masks_of_classes(self.logits(images)))


def build(profile: Declared, seed: int) -> AttentionUNet:
    """With random weights of torch's generator, which the caller seeds."""
    return AttentionUNet(profile.attention_unet, len(profile.data.targets))


SYSTEMS = {
    "attention_unet": System(
        "Attention U-Net", build, {"attention_unet": AttentionUNetSettings},
        learning="attention_unet", labels="either",
    )
}  # fmt: skip
