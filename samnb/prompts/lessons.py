"""The prompts of a lesson: how a SAM is prompted about masks it learns from.

A first click or box, and corrective clicks, each in the error of the answer to all before it. All
is drawn from torch's generator.
"""

from dataclasses import replace

import torch
from torch import Tensor

from samnb.networks.sam.prompting import BACKGROUND, FOREGROUND, PADDING, Prompts
from samnb.prompts.boxes import box_of, random_click

# SAM's own noise on boxes, and the largest step outwards of MedSAM's: pixels of an image of 1024.
SPREAD, LARGEST, OF_SIDE = 0.1, 20, 1024


def noisy_boxes(boxes: Tensor, side: int) -> Tensor:
    """As SAM was trained (Kirillov et al., 2023): every edge of boxes (R, 4) moves.

    By Gaussian noise of a tenth of the box's side, at most 20 pixels of 1024. Boxes stay inside the
    image and at least 2 pixels wide.
    """
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    most = LARGEST * side / OF_SIDE
    return _inside(boxes + (SPREAD * size * torch.randn_like(boxes)).clamp(-most, most), side)


def enlarged_boxes(boxes: Tensor, side: int) -> Tensor:
    """As MedSAM was trained (Ma et al., 2024): every edge moves out by up to 20 pixels of 1024."""
    step = torch.rand_like(boxes) * LARGEST * side / OF_SIDE
    return _inside(torch.cat([boxes[:, :2] - step[:, :2], boxes[:, 2:] + step[:, 2:]], 1), side)


def _inside(boxes: Tensor, side: int) -> Tensor:
    low = boxes[:, :2].clamp(min=0, max=side - 2)
    return torch.cat([low, torch.maximum(boxes[:, 2:].clamp(max=side), low + 2)], dim=1)


def first_prompts(image: Tensor, masks: Tensor, boxes: float) -> Prompts:
    """For each mask a box or a click: image (R,), masks (R, S, S) bool, none of them empty.

    boxes: the probability of a noisy box; else it is a pixel of the mask, drawn uniformly.
    """
    boxed = torch.rand(len(masks), device=masks.device) < boxes
    shaken = noisy_boxes(box_of(masks), masks.shape[-1])
    return Prompts(
        image,
        boxes=torch.where(boxed[:, None], shaken, torch.nan),
        points=random_click(masks)[:, None],
        labels=torch.where(boxed, PADDING, FOREGROUND)[:, None],
    )


def corrected(prompts: Prompts, found: Tensor, masks: Tensor) -> Prompts:
    """The same prompts and one click more: any pixel of what is wrong, none where nothing is.

    found, masks: (R, S, S) bool. A click on what is missing is positive, on what is too much
    negative.
    """
    wrong = found ^ masks
    places = random_click(wrong)
    x, y = places.long().unbind(1)
    inside = masks[torch.arange(len(masks), device=masks.device), y, x]
    said = torch.where(inside, FOREGROUND, BACKGROUND)
    labels = torch.where(wrong.flatten(1).any(dim=1), said, PADDING)
    return replace(
        prompts,
        points=torch.cat([prompts.points, places[:, None]], dim=1),
        labels=torch.cat([prompts.labels, labels[:, None]], dim=1),
    )
