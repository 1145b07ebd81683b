"""Prompts: from activation maps (Eq. 5 to 8), or as a simulated user gives them.

Boxes are x_min, y_min, x_max, y_max in pixels, max exclusive; points are x, y.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import masks_to_boxes

from samnb.base.errors import SamnbError


@dataclass(frozen=True)
class PromptingSettings:
    """How an activation map becomes a box (Eq. 5 to 8)."""

    threshold: float = 0.5  # omega: share of the map's maximum above which a pixel is active
    regions: str = "one"  # "one" box around all active pixels, or "each" connected region its own
    margin: float = 0.0  # widens the box on every side, as a share of its side
    jitter: float = 0.1  # noise on the edges of boxes while training, as a share of the box's side
    activation: str = "evidence"  # "evidence": w1 - w0; "class": the letter of Eq. 4


def box_of(masks: Tensor) -> Tensor:
    """Tight boxes (R, 4) x_min, y_min, x_max, y_max of bool masks (R, H, W), none of them empty.

    The largest indices are exclusive here, inclusive in torchvision's own boxes.
    """
    return masks_to_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0], device=masks.device)


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
    may lose its area first. Kept for the table of `bench/zero_shot.py`, which it made; users draw
    with `samnb.prompts.users.box_with_overlap`, which reaches any overlap and hangs on no batch.
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


# ---- from activation maps to boxes (SAM-Mix) ---------------------------------------------------


class MapBoxes(NamedTuple):
    """Boxes found in the maps of N slices; a slice has one or more.

    image: (R,) long, the slice of each box; boxes: (R, 4); main: (N,) long, for each slice the row
    of the box around the map's maximum.
    """

    image: Tensor
    boxes: Tensor
    main: Tensor


def active_pixels(maps: Tensor, threshold: float, side: int) -> Tensor:
    """Eq. 5 and 6 on the slice's own pixels: maps (N, h, w) -> (N, side, side) bool.

    A map that points nowhere (no value above zero, or the same everywhere) has no active pixel.
    """
    size = (side, side)
    fine = F.interpolate(maps[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]
    peak, floor = fine.amax(dim=(1, 2)), fine.amin(dim=(1, 2))
    points = (peak > 0) & (peak > floor)
    return (fine >= threshold * peak[:, None, None]) & points[:, None, None]


def boxes_of_maps(maps: Tensor, settings: PromptingSettings, side: int) -> MapBoxes:
    """Eq. 7 and 8 for a batch: maps (N, h, w) -> boxes in pixels of the slice.

    Where a map points nowhere the whole slice is the box: that the slice has no target is for the
    classifier to say, not for the map.
    """
    if settings.regions not in ("one", "each"):
        raise SamnbError(f"No box rule '{settings.regions}'.", "regions: use one or each.")
    active = active_pixels(maps, settings.threshold, side)
    active = active | ~active.any(dim=(1, 2), keepdim=True)
    number = torch.arange(len(maps), device=maps.device)
    if settings.regions == "one":
        return MapBoxes(number, widen(box_of(active), settings.margin, side), number)
    image, regions, main = _connected_regions(active, maps)
    return MapBoxes(image, widen(box_of(regions), settings.margin, side), main)


def _connected_regions(active: Tensor, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Every 8-connected region: slices (R,), regions (R, S, S), and each slice's main row (N,)."""
    side = active.shape[1]
    peaks = maps.flatten(1).argmax(dim=1).tolist()
    image, regions, main = [], [], []
    for number, pixels in enumerate(active.cpu().numpy().astype(np.uint8)):
        count, labels = cv2.connectedComponents(pixels, connectivity=8)
        row, column = divmod(peaks[number], maps.shape[2])
        # The pixel in the middle of the map's largest cell; interpolation may leave it out.
        y = min(side - 1, int((row + 0.5) * side / maps.shape[1]))
        x = min(side - 1, int((column + 0.5) * side / maps.shape[2]))
        main.append(len(image) + max(0, int(labels[y, x]) - 1))
        image += [number] * (count - 1)
        regions += [labels == label for label in range(1, count)]
    device = active.device
    stacked = torch.from_numpy(np.stack(regions)).to(device)
    return torch.tensor(image, device=device), stacked, torch.tensor(main, device=device)


def widen(boxes: Tensor, margin: float, side: int) -> Tensor:
    """Boxes (R, 4) moved out on every side by `margin` times their size, within the slice."""
    more = (boxes[:, 2:] - boxes[:, :2]) * margin
    return torch.cat([boxes[:, :2] - more, boxes[:, 2:] + more], dim=1).clamp(0, side)
