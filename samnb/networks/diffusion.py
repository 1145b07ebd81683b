"""Denoising diffusion on masks: a schedule of noise, and the way back from noise to a mask.

Ho et al., 2020, with the linear schedule of variances; the way back is deterministic (DDIM, Song et
al., 2021), so that a mask depends on the noise that it begins with and on nothing else.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from samnb.base.errors import SamnbError

REFERENCE_STEPS = 1000  # for which the variances run from FIRST to LAST; fewer steps have larger
FIRST, LAST = 1e-4, 0.02
LEAST_STEPS = round(REFERENCE_STEPS * LAST)  # the last of so few would leave nothing of the mask


class NoiseSchedule(nn.Module):
    """kept: (steps,) share of the mask's own variance that is left after each step."""

    def __init__(self, steps: int):
        super().__init__()
        if steps <= LEAST_STEPS:
            raise SamnbError(
                f"{steps} steps of diffusion would each add more noise than there is room for.",
                f"use more than {LEAST_STEPS} steps; the way back may have fewer.",
            )
        scale = REFERENCE_STEPS / steps
        added = torch.linspace(scale * FIRST, scale * LAST, steps, dtype=torch.float64)
        kept = torch.cumprod(1 - added, dim=0).float()
        self.register_buffer("kept", kept, persistent=False)

    def noisy(self, clean: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """clean and noise (N, ...), step (N,) long -> what is left of each after its step."""
        kept = self.kept[step].view(-1, *[1] * (clean.ndim - 1))
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def denoise(
        self, predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, count: int
    ) -> Tensor:
        """From noise (N, ...) to what it may have been, -1 to 1, in `count` of the steps.

        predict: (noisy, step (N,)) -> the noise in it. The steps lie evenly between last and first.
        """
        times = torch.linspace(len(self.kept) - 1, 0, count).round().long().tolist()
        value = noise
        for now, later in zip(times, [*times[1:], None], strict=True):
            kept = self.kept[now]
            left = self.kept.new_ones(()) if later is None else self.kept[later]
            step = torch.full((len(value),), now, device=value.device)
            said = predict(value, step)
            clean = ((value - (1 - kept).sqrt() * said) / kept.sqrt()).clamp(-1, 1)
            # The noise that goes with the mask as it was clipped.
            said = (value - kept.sqrt() * clean) / (1 - kept).sqrt()
            value = left.sqrt() * clean + (1 - left).sqrt() * said
        return value


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it; the last is scaled and added."""

    GROWTH, SCALE = 32, 0.2

    def __init__(self, width: int):
        super().__init__()
        ends = [self.GROWTH] * 4 + [width]
        self.layers = nn.ModuleList(
            nn.Conv2d(width + number * self.GROWTH, end, 3, padding=1)
            for number, end in enumerate(ends)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, width, h, w) -> the same shape."""
        seen = images
        for layer in self.layers[:-1]:
            new = nn.functional.leaky_relu(layer(seen), 0.2)
            seen = torch.cat([seen, new], dim=1)
        return images + self.SCALE * self.layers[-1](seen)


class ImageFeatures(nn.Module):
    """The encoder of SegDiff: residual dense blocks in residuals (RRDB), no normalisation."""

    def __init__(self, channels: int, width: int, blocks: int):
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(DenseBlock(width) for _ in range(3))) for _ in range(blocks)
        )
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, width, h, w)."""
        start = self.first(images)
        features = start
        for block in self.blocks:
            features = features + DenseBlock.SCALE * block(features)
        return start + self.last(features)
