"""ResNet38 and its class activation maps: is the target in this slice, and where was it seen?

The network of Wu, Shen and van den Hengel ("Wider or deeper", 2019) as weakly supervised
segmentation uses it: output stride 8, so that its last feature map still knows places. At full
width the trunk has 105 million parameters; `width` scales the channels of every layer.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ClassifierSettings:
    """The classifier whose activation maps become prompts (ResNet38)."""

    width: float = 1.0  # of every layer's channels, as a share of the published ones
    channels: int = 3  # 3: the published trunk, grey is tripled
    gamma: float = 2.0  # focus of the focal loss (Eq. 3)
    alpha: float = 0.25  # weight of the positive class in it; the negative class has the rest


ABSENT, PRESENT = 0, 1  # the two classes: the target is not in the slice, or it is


class BasicUnit(nn.Module):
    """BN-ReLU-3x3, BN-ReLU-3x3, and a shortcut; the projection reads the activated input."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, stride: int, dilations: tuple[int, int]
    ):
        super().__init__()
        first, second = dilations
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, middle, 3, stride, padding=first, dilation=first, bias=False)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, outputs, 3, padding=second, dilation=second, bias=False)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        active = F.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(active)
        return skip + self.conv2(F.relu(self.norm2(self.conv1(active))))


class BottleneckUnit(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-dropout-3x3 dilated, BN-ReLU-dropout-1x1, and a projected shortcut."""

    def __init__(self, inputs: int, outputs: int, dilation: int, dropout: float):
        super().__init__()
        quarter, half = outputs // 4, outputs // 2
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(quarter)
        self.norm3 = nn.BatchNorm2d(half)
        self.conv1 = nn.Conv2d(inputs, quarter, 1, bias=False)
        self.conv2 = nn.Conv2d(quarter, half, 3, padding=dilation, dilation=dilation, bias=False)
        self.conv3 = nn.Conv2d(half, outputs, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, inputs, h, w) -> (N, outputs, h, w)."""
        active = F.relu(self.norm1(x))
        y = self.dropout(F.relu(self.norm2(self.conv1(active))))
        y = self.dropout(F.relu(self.norm3(self.conv2(y))))
        return self.shortcut(active) + self.conv3(y)


def resnet38(width: float = 1.0, channels: int = 1) -> nn.Sequential:
    """The trunk: images (N, channels, S, S) -> the last features (N, 4096 width, S / 8, S / 8)."""
    thin = [max(4, 4 * round(size * width / 4)) for size in (64, 128, 256, 512, 1024, 2048, 4096)]
    layers: list[nn.Module] = [nn.Conv2d(channels, thin[0], 3, padding=1, bias=False)]
    inputs = thin[0]
    for units, outputs in ((3, thin[1]), (3, thin[2]), (6, thin[3])):
        for unit in range(units):
            layers.append(BasicUnit(inputs, outputs, outputs, 1 if unit else 2, (1, 1)))
            inputs = outputs
    # No more strides from here on: dilation widens the view and places stay apart.
    for unit in range(3):
        layers.append(BasicUnit(inputs, thin[3], thin[4], 1, (2 if unit else 1, 2)))
        inputs = thin[4]
    layers += [BottleneckUnit(thin[4], thin[5], 4, 0.3), BottleneckUnit(thin[5], thin[6], 4, 0.5)]
    return nn.Sequential(*layers, nn.BatchNorm2d(thin[6]), nn.ReLU())


class Classifier(nn.Module):
    """Eq. 1 and 2: features of the last layer, their average over the image, two class logits."""

    def __init__(self, width: float = 1.0, channels: int = 1):
        super().__init__()
        self.trunk = resnet38(width, channels)
        self.head = nn.Linear(self.trunk[-2].num_features, 2)

    def features(self, images: Tensor) -> Tensor:
        """images (N, 1, S, S), 0-1 -> F_last (N, D, S / 8, S / 8)."""
        # Grey from 0 to 1 becomes about -1 to 1; a trunk for colour sees grey three times.
        channels = self.trunk[0].in_channels
        return self.trunk(((images - 0.5) * 2).expand(-1, channels, -1, -1))

    def logits(self, features: Tensor) -> Tensor:
        """F_last (N, D, h, w) -> class logits (N, 2): the linear layer of the average (Eq. 2)."""
        return self.head(features.mean(dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 1, S, S), 0-1 -> class logits (N, 2)."""
        return self.logits(self.features(images))


def class_activation(features: Tensor, head: nn.Linear, label: int = PRESENT) -> Tensor:
    """Eq. 4 in closed form: g = sum_i w_i F_i with the weights of one class.

    features (N, D, h, w) -> (N, h, w). What Grad-CAM gives on the last layer, times h w.
    """
    return torch.einsum("d,ndhw->nhw", head.weight[label], features)


def evidence(features: Tensor, head: nn.Linear) -> Tensor:
    """The map of w1 - w0: its average, plus the bias, is the logit that the network decides by.

    With two logits and a softmax the weights of one class are defined only up to a shift common to
    both, so Eq. 4 may hold anything; the difference cannot. features (N, D, h, w) -> (N, h, w).
    """
    return torch.einsum("d,ndhw->nhw", head.weight[PRESENT] - head.weight[ABSENT], features)
