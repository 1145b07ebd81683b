"""Simulated users: boxes around objects, exact or not, and clicks inside regions.

Boxes are x_min, y_min, x_max, y_max in pixels, max exclusive; points are x, y.
"""

import cv2
import numpy as np
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


def middle_click(regions: Tensor) -> Tensor:
    """The pixel (R, 2) x, y of each region (R, H, W) bool that is farthest from its edge.

    The picture's border counts as an edge too.
    """
    places = []
    for region in regions.cpu().numpy():
        depth = cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, 3)
        y, x = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), region.shape)
        places.append((int(x), int(y)))
    return torch.tensor(places, dtype=torch.float32, device=regions.device)


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (R, 4) with boxes (R, 4), pair by pair -> (R,)."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    both = (high - low).clamp(min=0).prod(dim=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(dim=1) for box in (first, second)]
    return both / (areas[0] + areas[1] - both)


def boxes_with_iou(boxes: Tensor, wanted: float, side: int, generator: torch.Generator) -> Tensor:
    """Move the edges of boxes (R, 4) at random until each overlaps its own by the `wanted` IoU.

    A random direction is drawn for the four edges; how far to go along it is found by bisection.
    Boxes stay inside the image of `side` pixels, where the wanted overlap may be out of reach for
    a box that fills it: the nearest is taken. Meant for wanted >= 0.4: a box that moves further
    may lose its area first.
    """
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    direction = torch.randn(boxes.shape, generator=generator)
    direction = (direction / direction.abs().sum(dim=1, keepdim=True)).to(boxes.device) * size
    near, far = torch.zeros(len(boxes), 1), torch.full((len(boxes), 1), 2.0)
    for _ in range(30):
        middle = (near + far) / 2
        moved = (boxes + middle * direction).clamp(0, side)
        enough = (box_iou(moved, boxes) <= wanted)[:, None] | (moved[:, 2:] <= moved[:, :2]).any(
            dim=1, keepdim=True
        )
        far, near = torch.where(enough, middle, far), torch.where(enough, near, middle)
    return (boxes + near * direction).clamp(0, side)
