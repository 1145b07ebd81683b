"""K targets from one network, in slices and in volumes: as classes, or each on its own.

Where targets exclude each other the network has K + 1 outputs, the background first, and a softmax;
where they may overlap, K outputs with a sigmoid each, as nnU-Net does for the regions of BraTS.
"""

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor, nn
from torch.nn import functional as F


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


def class_numbers(masks: Tensor) -> Tensor:
    """Masks (N, K, ...) -> numbers of classes (N, ...) long: 0 background, k the k-th target.

    Where two overlap, the later one counts.
    """
    numbers = torch.arange(1, masks.shape[1] + 1, device=masks.device)
    return (masks.bool() * numbers.view(-1, *[1] * (masks.ndim - 2))).amax(dim=1)
