"""SegDiff and EnsemDiff: masks of slices as what a diffusion model makes of noise, given the image.

Both learn to tell the noise in a noisy mask from the mask (mean squared error), and average the
masks that several draws of noise lead to. They differ in how the image joins: in EnsemDiff (Wolleb
et al., 2021) as further channels beside the noisy mask, in SegDiff (Amit et al., 2021) as features
of an encoder of its own (RRDB) that are added to those of the noisy mask.

The U-Net is MONAI's. Ours alone are: the way back is deterministic (DDIM) in all steps or in a few
of them; the variance of the steps is not learned; SegDiff's sum enters by one convolution more; and
a mask of several targets has a channel for each. The noise of a draw is the same for every slice:
an answer depends on the slice alone.
"""

from dataclasses import dataclass
from functools import partial
from math import gcd

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import exclusive
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.diffusion import ImageFeatures, NoiseSchedule
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class EnsemDiffSettings:
    """The defaults are EnsemDiff's."""

    side: int = 256  # of the slices that it works on, pixels; answers are enlarged
    steps: int = 1000  # of noise
    sampling: int = 1000  # steps of the way back
    samples: int = 5  # masks that are averaged
    widths: tuple[int, ...] = (128, 128, 256, 256, 512, 512)  # channels of the stages
    residual: int = 2  # residual blocks in each
    attended: tuple[int, ...] = (16,)  # sides of the maps with attention


@dataclass(frozen=True)
class SegDiffSettings(EnsemDiffSettings):
    steps: int = 100
    sampling: int = 100
    blocks: int = 3  # of the image's encoder


class MaskDiffusion(Method):
    """join: (what `look` makes of images, noisy masks (N, K, s, s)) -> what the U-Net gets."""

    def __init__(self, network: nn.Module, join: nn.Module, settings, targets: int, alone: bool):
        super().__init__()
        self.network, self.join, self.settings = network, join, settings
        self.targets, self.alone = targets, alone
        self.schedule = NoiseSchedule(settings.steps)

    def shrunk(self, images: Tensor) -> Tensor:
        """images (N, C, S, S), 0-1 -> (N, C, side, side), -1 to 1."""
        size = (self.settings.side,) * 2
        if images.shape[-2:] != size:
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        return images * 2 - 1

    def noise_in(self, looked: Tensor, noisy: Tensor, step: Tensor) -> Tensor:
        return self.network(self.join(looked, noisy), step).float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        clean = F.interpolate(batch.masks.float(), (self.settings.side,) * 2, mode="area") * 2 - 1
        step = torch.randint(self.settings.steps, (len(clean),), device=clean.device)
        noise = torch.randn_like(clean)
        looked = self.join.look(self.shrunk(batch.marked))
        found = self.noise_in(looked, self.schedule.noisy(clean, noise, step), step)
        return {"loss": F.mse_loss(found, noise)}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, C, S, S), 0-1. It needs no prompts."""
        looked, total = self.join.look(self.shrunk(images)), 0
        for number in range(self.settings.samples):
            noise = self._noise(number).to(images.device).expand(len(images), -1, -1, -1)
            way = partial(self.noise_in, looked)
            total = total + self.schedule.denoise(way, noise, self.settings.sampling)
        # Above 0 where the mean of the masks is above a half.
        fine = F.interpolate(total, images.shape[-2:], mode="bilinear")
        return Answer(exclusive(fine) if self.alone else fine > 0)

    def _noise(self, number: int) -> Tensor:
        """Of a draw: (1, K, side, side)."""
        side = self.settings.side
        generator = torch.Generator().manual_seed(number)
        return torch.randn(1, self.targets, side, side, generator=generator)


class Beside(nn.Module):
    """The image as channels beside the noisy mask."""

    def look(self, images: Tensor) -> Tensor:
        return images

    def forward(self, looked: Tensor, noisy: Tensor) -> Tensor:
        return torch.cat([looked, noisy], dim=1)


class Summed(nn.Module):
    """Features of the image and of the noisy mask, added; the image is encoded once."""

    def __init__(self, channels: int, targets: int, width: int, blocks: int):
        super().__init__()
        self.of_image = ImageFeatures(channels, width, blocks)
        self.of_mask = nn.Conv2d(targets, width, 3, padding=1)

    def look(self, images: Tensor) -> Tensor:
        return self.of_image(images)

    def forward(self, looked: Tensor, noisy: Tensor) -> Tensor:
        return looked + self.of_mask(noisy)


def unet(settings: EnsemDiffSettings, inputs: int, targets: int) -> DiffusionModelUNet:
    """(N, inputs, side, side), step (N,) -> the noise (N, targets, side, side)."""
    sides = [settings.side // 2**stage for stage in range(len(settings.widths))]
    if settings.side % 2 ** (len(sides) - 1):
        raise SamnbError(
            f"A diffusion U-Net of {len(sides)} stages cannot halve {settings.side} pixels so far.",
            f"give it a side that is a multiple of {2 ** (len(sides) - 1)}, or fewer widths.",
        )
    return DiffusionModelUNet(
        spatial_dims=2,
        in_channels=inputs,
        out_channels=targets,
        channels=settings.widths,
        num_res_blocks=settings.residual,
        attention_levels=[side in settings.attended for side in sides],
        num_head_channels=settings.widths,  # one head
        norm_num_groups=gcd(32, *settings.widths),
    )


def build_ensemdiff(profile: Declared, seed: int) -> MaskDiffusion:
    """With random weights of torch's generator, which the caller seeds."""
    data, settings = profile.data, profile.ensemdiff
    targets = len(data.targets)
    network = unet(settings, data.channels + targets, targets)
    return MaskDiffusion(network, Beside(), settings, targets, data.exclusive)


def build_segdiff(profile: Declared, seed: int) -> MaskDiffusion:
    """With random weights of torch's generator, which the caller seeds."""
    data, settings = profile.data, profile.segdiff
    targets, width = len(data.targets), settings.widths[0]
    join = Summed(data.channels, targets, width, settings.blocks)
    return MaskDiffusion(unet(settings, width, targets), join, settings, targets, data.exclusive)


SYSTEMS = {
    "segdiff": System(
        "SegDiff", build_segdiff, {"segdiff": SegDiffSettings}, "diffusion", labels="either"
    ),
    "ensemdiff": System(
        "EnsemDiff", build_ensemdiff, {"ensemdiff": EnsemDiffSettings}, "diffusion", labels="either"
    ),
}
