"""U-Net (Ronneberger, Fischer and Brox, 2015), fully supervised: the baseline of all baselines.

MONAI's BasicUNet with the published widths 64 to 1024, batch normalisation and ReLU. Its last
upsampling keeps 128 channels where the original halves them to 64, which makes 0.2 % more
parameters. SAM-Mix does not name the loss of its U-Net; here it is Dice + binary cross-entropy,
the Dice of a whole step's slices at once, because one slice without target has none to raise.
"""

from dataclasses import dataclass

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from torch import Tensor

from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.sides import check_side
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class UNetSettings:
    width: int = 64  # channels of the first stage, doubled by each of the four below


HALVINGS = 4


class UNet(Method):
    """Learns from the marked slices alone; `width` is the number of channels of the first stage."""

    def __init__(self, width: int = 64):
        super().__init__()
        features = (width, 2 * width, 4 * width, 8 * width, 16 * width, width)
        relu = ("ReLU", {"inplace": True})
        self.network = BasicUNet(2, 1, 1, features, act=relu, norm="batch")
        self.loss = DiceCELoss(sigmoid=True, batch=True)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 1, S, S), 0-1 -> (N, 1, S, S), above 0 inside the target."""
        check_side(images, "U-Net", 2**HALVINGS)
        # Channels last in memory is about a third faster on a CPU, and every layer passes it on.
        # Copied, since a picture of one channel counts as being so already, and would stay.
        centred = torch.empty_like(images, memory_format=torch.channels_last)
        return self.network(centred.copy_((images - 0.5) * 2)).float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.loss(self.logits(batch.marked), batch.masks.float())}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. It needs no prompts."""
        return Answer(masks=self.logits(images) > 0)


def build(profile: Declared, seed: int) -> UNet:
    """The U-Net of a profile, with random weights of torch's generator, which the caller seeds."""
    return UNet(profile.unet.width)


SYSTEMS = {"unet": System("U-Net", build, {"unet": UNetSettings}, learning="unet", labels="either")}
