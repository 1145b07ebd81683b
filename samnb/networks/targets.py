"""K targets from one network, in slices and in volumes: as classes, or each on its own.

Where targets exclude each other the network has K + 1 outputs, the background first, and a softmax;
where they may overlap, K outputs with a sigmoid each, as nnU-Net does for the regions of BraTS.
"""

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.networks.classes import masks_of_classes


class TargetHead(nn.Module):
    """Loss and masks of logits (N, outputs, ...) about K targets."""

    def __init__(self, targets: int, exclusive: bool):
        super().__init__()
        self.exclusive = exclusive
        self.outputs = targets + 1 if exclusive else targets
        # Dice over a step's images at once: a patch without some target has none to raise.
        smooth = {"batch": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}
        self.of_classes = DiceCELoss(
            include_background=False, to_onehot_y=True, softmax=True, **smooth
        )
        self.of_each = DiceLoss(sigmoid=True, **smooth)

    def loss(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Dice + cross-entropy, without the background's Dice; masks (N, K, ...) 0 or 1.

        For targets that may overlap the entropy is that of each target by itself: MONAI's combined
        loss would make classes of them.
        """
        if self.exclusive:
            return self.of_classes(logits, class_numbers(masks)[:, None].float())
        masks = masks.float()
        entropy = F.binary_cross_entropy_with_logits(logits, masks)
        return self.of_each(logits, masks) + entropy

    def masks(self, logits: Tensor) -> Tensor:
        """(N, K, ...) bool."""
        if not self.exclusive:
            return logits > 0
        best = logits.argmax(dim=1, keepdim=True)
        return torch.cat([best == number for number in range(1, self.outputs)], dim=1)


class SliceTargets(nn.Module):
    """Loss and masks of logits (N, outputs, S, S) about K targets of slices.

    As `TargetHead`, but one target is two classes, background and itself, and a paper may weigh
    its loss by its own rule. weight: of cross-entropy and of Dice, each; background: whether it has
    a Dice among the classes; dice: how MONAI is to take the Dice.
    """

    def __init__(
        self, targets: int, exclusive: bool, weight: float = 1.0, background: bool = True, **dice
    ):
        super().__init__()
        self.exclusive, self.weight = exclusive or targets == 1, weight
        self.outputs = targets + 1 if self.exclusive else targets
        classes = {"include_background": background, "to_onehot_y": True, "softmax": True}
        self.of_classes = DiceCELoss(lambda_ce=weight, lambda_dice=weight, **classes, **dice)
        self.of_each = DiceLoss(sigmoid=True, **dice)

    def numbers(self, masks: Tensor) -> Tensor:
        """Masks (N, K, S, S) -> one number for each pixel, (N, S, S) long, which may be moved.

        That of its class; of targets that may overlap the sum over all that it lies in: 1 for the
        first, 2 for the second, 4 for the third.
        """
        return class_numbers(masks) if self.exclusive else (masks.bool() * bits(masks)).sum(dim=1)

    def loss(self, logits: Tensor, numbers: Tensor) -> Tensor:
        """Cross-entropy + Dice; numbers (N, 1, S, S).

        Targets that may overlap are each a yes or no; MONAI's combined loss would make classes of
        those too.
        """
        each = ((numbers.long() & bits(logits)) > 0).float()
        return (
            self.of_classes(logits, numbers)
            if self.exclusive
            else self.weight * self.of_each(logits, each)
            + self.weight * F.binary_cross_entropy_with_logits(logits, each)
        )

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, outputs, S, S): of each class, or of each target."""
        return logits.softmax(dim=1) if self.exclusive else logits.sigmoid()

    def masks(self, scores: Tensor, threshold: float = 0.0) -> Tensor:
        """(N, K, S, S) bool: where a class has the best score; of targets that may overlap, where
        their own lies above the threshold.
        """
        return masks_of_classes(scores) if self.exclusive else scores > threshold


def bits(channels: Tensor) -> Tensor:
    """1, 2, 4, ... for the channels of (N, C, S, S), as (C, 1, 1) long."""
    return 2 ** torch.arange(channels.shape[1], device=channels.device)[:, None, None]


def class_numbers(masks: Tensor) -> Tensor:
    """Masks (N, K, ...) -> numbers of classes (N, ...) long: 0 background, k the k-th target.

    Where two overlap, the later one counts.
    """
    numbers = torch.arange(1, masks.shape[1] + 1, device=masks.device)
    return (masks.bool() * numbers.view(-1, *[1] * (masks.ndim - 2))).amax(dim=1)
