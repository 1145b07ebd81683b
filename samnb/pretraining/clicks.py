"""Simulated users: boxes around objects, with a shaking hand, and clicks inside regions."""

import torch
from torch import Tensor


def box_of(masks: Tensor) -> Tensor:
    """Tight boxes (R, 4) x_min, y_min, x_max, y_max (max exclusive) of bool masks (R, H, W)."""
    columns, rows = masks.any(dim=1), masks.any(dim=2)

    def ends(line: Tensor) -> tuple[Tensor, Tensor]:
        first = line.long().argmax(dim=1)
        last = line.shape[1] - line.flip(1).long().argmax(dim=1)
        return first, last

    (left, right), (top, bottom) = ends(columns), ends(rows)
    return torch.stack([left, top, right, bottom], dim=1).float()


def jitter_boxes(boxes: Tensor, side: int, largest: float = 0.15) -> Tensor:
    """Move every edge by Gaussian noise; each box (R, 4) has its own spread, up to `largest`.

    The spread is a share of the box's side. Boxes stay inside the image and at least 2 pixels wide.
    """
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    spread = largest * torch.rand(len(boxes), 1, device=boxes.device)
    moved = boxes + torch.randn_like(boxes) * spread * size
    low = moved[:, :2].clamp(min=0, max=side - 2)
    high = torch.maximum(moved[:, 2:].clamp(max=side), low + 2)
    return torch.cat([low, high], dim=1)


def random_click(regions: Tensor) -> Tensor:
    """One pixel (R, 2) x, y drawn uniformly from each region (R, H, W) bool."""
    flat = regions.flatten(1)
    luck = torch.rand(flat.shape, device=flat.device) * flat
    place = luck.argmax(dim=1)
    width = regions.shape[2]
    return torch.stack([place % width, place // width], dim=1).float()
