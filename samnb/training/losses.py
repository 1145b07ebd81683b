"""Losses of the papers, on tensors alone, under the numbers of their equations."""

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional as F

STEEPNESS = 8.0  # of the soft threshold: the map's maximum gets a probability near one


def focal_loss(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Eq. 3, averaged: -alpha (1 - p_t)^gamma log(p_t), p_t the probability of the true class.

    logits (N, 2), labels (N,) long. alpha weighs the positive class, 1 - alpha the negative one
    (the paper names neither value; these are those of the focal loss's own paper).
    """
    log_true = F.log_softmax(logits.float(), dim=1).gather(1, labels[:, None])[:, 0]
    weight = torch.where(labels == 1, alpha, 1 - alpha)
    return -(weight * (1 - log_true.exp()) ** gamma * log_true).mean()


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Eq. 9, averaged over slices: 1 - Dice. logits (N, h, w) or larger grids; masks (N, h, w)."""
    return DiceLoss(sigmoid=True)(logits[:, None].float(), masks[:, None].float())


def relative_logits(maps: Tensor, threshold: float) -> Tensor:
    """The box rule made soft: above zero exactly where Eq. 5 calls a pixel active.

    maps (N, h, w) -> STEEPNESS (g - omega max g) / max |g|, which gradients can pass.
    """
    maps = maps.float()
    peak = maps.amax(dim=(1, 2), keepdim=True).clamp(min=0)
    largest = maps.detach().abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    return STEEPNESS * (maps - threshold * peak) / largest


def map_loss(maps: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """How far what the box rule sees in a map is from the mask: Dice + cross-entropy.

    maps (N, h, w); masks (N, S, S), brought to the map's grid: a cell's target is how much of it
    the mask covers.
    """
    logits = relative_logits(maps, threshold)
    covered = F.adaptive_avg_pool2d(masks[:, None].float(), logits.shape[1:])[:, 0]
    entropy = F.binary_cross_entropy_with_logits(logits, covered)
    return segmentation_loss(logits, covered) + entropy
