"""MultiMix (Haque et al., 2021) without proxy labels: classify, and segment with its saliency.

One encoder serves two tasks. Image labels of all slices teach the classifier, the few masks teach
the decoder. The *saliency bridge* tells the decoder where the classifier looked: the gradient of
its larger logit with respect to the image.

SAM-Mix leaves out the proxy labels, so their term is not here. The published code adds
0.01 KL between the segmentations of slices with and without masks, but takes a softmax over one
channel, so the term is always zero. Here it compares something: at each pixel, the average
probability of the target over the marked slices of a step, which is held fixed, with that over the
others. Loss: cross-entropy + 5 Dice (smooth 1, over the batch as a whole) + 0.01 KL.
"""

from dataclasses import dataclass

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.method import Answer, Batch, Method, UserPrompts, about_one_target, with_one_target
from samnb.networks.sides import check_side
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class MultiMixSettings:
    width: int = 16  # channels of the first stage


HALVINGS = 4
DICE_WEIGHT, KL_WEIGHT = 5.0, 0.01
CERTAIN = 1e-4  # probabilities are kept this far from 0 and 1 before logarithms


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with instance norm, leaky ReLU and dropout."""
    layers: list[nn.Module] = []
    for size in (inputs, outputs):
        layers += [
            nn.Conv2d(size, outputs, 3, padding=1),
            nn.InstanceNorm2d(outputs),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.25),
        ]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Five stages and the linear layer that classifies."""

    def __init__(self, width: int):
        super().__init__()
        sizes = [1, *(width * 2**stage for stage in range(HALVINGS + 1))]
        self.stages = nn.ModuleList(map(double_conv, sizes[:-1], sizes[1:]))
        self.head = nn.Linear(sizes[-1], 2)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """images (N, 1, S, S) -> the five maps, finest first, and class logits (N, 2)."""
        maps = [self.stages[0](images)]
        for stage in self.stages[1:]:
            maps.append(stage(F.max_pool2d(maps[-1], 2)))
        pooled = F.max_pool2d(maps[-1], 2) if maps[-1].shape[-1] > 1 else maps[-1]
        return maps, self.head(pooled.mean(dim=(2, 3)))


class MultiMix(Method):
    """`width` is the number of channels of the first stage: 16 as published."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.encoder = Encoder(width)
        sizes = [width * 2**stage for stage in range(HALVINGS + 1)]
        # The deepest stage of the decoder also reads the image and its saliency: 2 channels.
        inputs = [sizes[4] + sizes[3] + 2, *(3 * size for size in sizes[2::-1])]
        self.ups = nn.ModuleList(map(double_conv, inputs, sizes[3::-1]))
        self.last = nn.Conv2d(width, 1, 1)
        self.dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0, batch=True)

    def saliency(self, images: Tensor) -> Tensor:
        """|d larger logit / d image|, dropout off: (N, 1, S, S) -> the same, no gradient left."""
        training = self.encoder.training
        self.encoder.eval()
        with torch.enable_grad():
            seen = images.detach().requires_grad_()
            logits = self.encoder(seen)[1].max(dim=1).values.sum()
            # Not autograd.grad, which torch's counter of operations cannot watch.
            logits.backward(inputs=[seen])
        self.encoder.train(training)
        return seen.grad.abs()

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (N, 1, S, S), 0-1 -> mask logits (N, 1, S, S) and class logits (N, 2)."""
        check_side(images, "MultiMix", 2**HALVINGS, 2 ** (HALVINGS + 1))
        maps, classes = self.encoder(images)
        bridge = torch.cat([images, self.saliency(images)], dim=1)
        bridge = F.interpolate(bridge, scale_factor=1 / 8, mode="bilinear")
        y = maps[-1]
        for up, skip in zip(self.ups, maps[-2::-1], strict=True):
            y = F.interpolate(y, scale_factor=2, mode="bilinear")
            extra = [bridge] if skip is maps[-2] else []
            y = up(torch.cat([y, skip, *extra], dim=1))
        return self.last(y).float(), classes.float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Slices without masks may be missing; then only the marked ones teach."""
        batch = with_one_target(batch)
        others = len(batch.images)
        masks, classes = self.look(torch.cat([batch.images, batch.marked]))
        marked_labels = batch.masks.flatten(1).any(dim=1).long()
        labels = torch.cat([batch.labels.to(marked_labels), marked_labels])
        losses = {
            "classification": F.cross_entropy(classes, labels),
            "dice": self.dice(masks[others:], batch.masks[:, None].float()),
        }
        loss = losses["classification"] + DICE_WEIGHT * losses["dice"]
        if others:
            losses["divergence"] = divergence(masks[others:], masks[:others])
            loss = loss + KL_WEIGHT * losses["divergence"]
        return {"loss": loss, **losses}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. It needs no prompts."""
        masks, classes = self.look(images)
        presence = classes.softmax(dim=1)[:, 1]
        return about_one_target(Answer(masks=masks[:, 0] > 0, presence=presence))


def divergence(marked: Tensor, others: Tensor) -> Tensor:
    """KL(p || q) per pixel, averaged; p and q are the mean answers. Logits (M or N, 1, S, S)."""
    p = marked.detach().sigmoid().mean(dim=0).clamp(CERTAIN, 1 - CERTAIN)
    q = others.sigmoid().mean(dim=0).clamp(CERTAIN, 1 - CERTAIN)
    return (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()


def build(profile: Declared, seed: int) -> MultiMix:
    """The MultiMix of a profile, with random weights of torch's generator: the caller seeds it."""
    return MultiMix(profile.multimix.width)


SYSTEMS = {
    "multimix": System("MultiMix", build, {"multimix": MultiMixSettings}, learning="multimix")
}
