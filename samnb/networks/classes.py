"""Targets that exclude each other as classes: one number for each pixel, 0 the background."""

import torch
from torch import Tensor


def class_map(masks: Tensor) -> Tensor:
    """Masks (N, K, h, w) of targets that exclude each other -> numbers of classes (N, h, w) long.

    0 is background, k the k-th target; where two overlap, the later one counts.
    """
    numbers = torch.arange(1, masks.shape[1] + 1, device=masks.device)
    return (masks.bool() * numbers[:, None, None]).amax(dim=1)


def masks_of_classes(logits: Tensor) -> Tensor:
    """Class logits (N, K + 1, h, w) -> masks (N, K, h, w) bool: each pixel has one class."""
    best = logits.argmax(dim=1, keepdim=True)
    numbers = torch.arange(1, logits.shape[1], device=logits.device)
    return best == numbers[:, None, None]
