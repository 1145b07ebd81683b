"""TransUNet (Chen et al., 2021): a ResNet stem, a vision transformer on its map, a U-Net upwards.

The released R50-ViT-B/16 layout: weight-standardised convolutions and group normalisation in the
stem, 3, 4 and 9 bottlenecks, a 1x1 patch embedding of the map at 1/16 with learned positions, 12
transformer layers, and a cascaded upsampler with skips at 1/8, 1/4 and 1/2. With random weights, as
SAM-Mix says. Loss: 0.5 cross-entropy + 0.5 Dice with squared denominators, background included.
With several targets, most of which a slice does not show, Dice is of a step's slices at once, as
released; of one target it is of each slice. Targets that may overlap, which it does not know, have
an output and a sigmoid each.
"""

from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.sides import check_channels, check_exact_side, check_side
from samnb.networks.targets import SliceTargets
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class TransUNetSettings:
    """Sizes of TransUNet: ResNet stem, vision transformer, and an upsampler as wide as the stem."""

    stem: int = 64  # channels of the first convolution; the others follow
    units: tuple[int, ...] = (3, 4, 9)  # bottlenecks per stage of the stem
    embed: int = 768
    layers: int = 12
    heads: int = 12
    channels: int = 3  # 3: the published stem, grey is tripled, colour enters as it is


PATCH = 16  # pixels of the slice per token and axis
CLASSES = 2  # background and target


class StandardisedConv(nn.Conv2d):
    """A convolution without bias whose filters have mean 0 and variance 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(variance + 1e-5)
        return F.conv2d(x, weight, None, self.stride, self.padding)


def group_norm(channels: int) -> nn.GroupNorm:
    """32 groups as published; a narrow network has as many as divide its channels."""
    return nn.GroupNorm(gcd(32, channels), channels, eps=1e-6)


class Bottleneck(nn.Module):
    """1x1, 3x3 (stride), 1x1, each normalised, beside a shortcut.

    It activates after the sum, as the released code does, although its class is named PreAct.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        middle = outputs // 4
        self.reduce = nn.Sequential(StandardisedConv(inputs, middle, 1), group_norm(middle))
        self.spatial = nn.Sequential(
            StandardisedConv(middle, middle, 3, stride), group_norm(middle)
        )
        self.expand = nn.Sequential(StandardisedConv(middle, outputs, 1), group_norm(outputs))
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                StandardisedConv(inputs, outputs, 1, stride), nn.GroupNorm(outputs, outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        y = F.relu(self.spatial(F.relu(self.reduce(x))))
        return F.relu(self.shortcut(x) + self.expand(F.relu(y)))


class Stem(nn.Module):
    """The first three stages of a ResNet-50: stem width w gives maps of w, 4w, 8w, 16w channels."""

    def __init__(self, channels: int, width: int, units: tuple[int, ...]):
        super().__init__()
        self.root = nn.Sequential(
            StandardisedConv(channels, width, 7, 2), group_norm(width), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.stages = nn.ModuleList()
        inputs = width
        for stage, count in enumerate(units):
            outputs = 4 * width * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            sizes = [inputs] + [outputs] * (count - 1)
            blocks = [
                Bottleneck(size, outputs, stride)
                for size, stride in zip(sizes, strides, strict=True)
            ]
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, channels, S, S) -> maps at 1/2, 1/4, 1/8 and 1/16 of the side."""
        maps = [self.root(x)]
        y = self.pool(maps[0])
        for stage in self.stages:
            y = stage(y)
            maps.append(y)
        return maps


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class UpBlock(nn.Module):
    """Twice as large, beside a skip if there is one, and two convolutions."""

    def __init__(self, inputs: int, skip: int, outputs: int):
        super().__init__()
        self.convs = nn.Sequential(conv_block(inputs + skip, outputs), conv_block(outputs, outputs))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """x (N, inputs, h, w), skip (N, skip, 2h, 2w) or None -> (N, outputs, 2h, 2w)."""
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.convs(x if skip is None else torch.cat([x, skip], dim=1))


class TransUNetNetwork(nn.Module):
    """The network: slices (N, 1 or channels, S, S), 0-1 -> logits (N, classes, S, S)."""

    def __init__(self, side: int, settings: TransUNetSettings, classes: int = CLASSES):
        super().__init__()
        width, embed = settings.stem, settings.embed
        self.side, self.channels = side, settings.channels
        self.stem = Stem(settings.channels, width, settings.units)
        self.patch = nn.Conv2d(16 * width, embed, 1)
        self.positions = nn.Parameter(torch.zeros(1, (side // PATCH) ** 2, embed))
        # Built one by one: nn.TransformerEncoder would start all its layers with equal weights.
        layers = [
            nn.TransformerEncoderLayer(
                embed, settings.heads, 4 * embed, 0.1, "gelu", 1e-6, True, norm_first=True
            )
            for _ in range(settings.layers)
        ]
        self.dropout = nn.Dropout(0.1)
        self.layers = nn.Sequential(*layers, nn.LayerNorm(embed, eps=1e-6))
        self.down = conv_block(embed, 8 * width)
        inputs = [8 * width, 4 * width, 2 * width, width]
        skips = [8 * width, 4 * width, width, 0]
        outputs = [4 * width, 2 * width, width, width // 4]
        self.ups = nn.ModuleList(
            UpBlock(*sizes) for sizes in zip(inputs, skips, outputs, strict=True)
        )
        self.head = nn.Conv2d(outputs[-1], classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        half, quarter, eighth, last = self.stem(images.expand(-1, self.channels, -1, -1))
        tokens = self.patch(last).flatten(2).transpose(1, 2) + self.positions
        y = self.layers(self.dropout(tokens)).transpose(1, 2).unflatten(2, last.shape[-2:])
        y = self.down(y)
        for up, skip in zip(self.ups, (eighth, quarter, half, None), strict=True):
            y = up(y, skip)
        return self.head(y)


class TransUNet(Method):
    """Learns from the marked slices alone."""

    def __init__(
        self, side: int, settings: TransUNetSettings, targets: int = 1, exclusive: bool = False
    ):
        super().__init__()
        check_side(torch.empty(0, 1, side, side), "TransUNet", PATCH)
        dice = {"batch": targets > 1, "squared_pred": True}
        self.targets = SliceTargets(targets, exclusive, weight=0.5, **dice)
        self.network = TransUNetNetwork(side, settings, self.targets.outputs)

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 1 or 3, S, S), 0-1 -> (N, K + 1, S, S), the background first, or, of several
        targets that may overlap, (N, K, S, S).
        """
        check_stem(images, self.network.channels)
        check_exact_side(images, "TransUNet", self.network.side)
        return self.network(images).float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        numbers = self.targets.numbers(batch.masks)[:, None]
        return {"loss": self.targets.loss(self.logits(batch.marked), numbers)}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1 or 3, S, S), 0-1. It needs no prompts."""
        return Answer(self.targets.masks(self.logits(images)))


def check_stem(images: Tensor, channels: int) -> None:
    """Refuse images (N, C, S, S) that are neither grey nor of the stem's channels."""
    remedy = f"set transunet.channels of the profile to {images.shape[1]} and build it anew."
    check_channels(images, "TransUNet", sorted({1, channels}), remedy)


def build(profile: Declared, seed: int) -> TransUNet:
    """The TransUNet of a profile, with random weights of torch's generator: the caller seeds it."""
    data, settings = profile.data, profile.transunet
    side = data.slices.side
    check_stem(torch.empty(0, data.channels, side, side), settings.channels)
    return TransUNet(side, settings, len(data.targets), data.exclusive)


SYSTEMS = {
    "transunet": System(
        "TransUNet", build, {"transunet": TransUNetSettings}, learning="supervised", labels="full"
    )
}
