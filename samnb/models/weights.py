"""Weights for SAM: fetched with their checksums, read safely, fitted to any input side."""

import re

from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F


def fit_to_side(weights: dict[str, Tensor], sam: Sam) -> dict[str, Tensor]:
    """Interpolate what depends on the input side to the side of `sam`; the rest stays as it is.

    That is the position table of the image encoder (1, g, g, width), bicubically, and the tables of
    relative positions of its global blocks (2 g - 1, head width), linearly.
    """
    wanted = sam.state_dict()
    fitted = dict(weights)
    for name, value in weights.items():
        if name not in wanted or wanted[name].shape == value.shape:
            continue
        if name == "image_encoder.pos_embed":
            fitted[name] = _resize_positions(value, wanted[name].shape[1])
        elif re.fullmatch(r"image_encoder\.blocks\.\d+\.attn\.rel_pos_[hw]", name):
            fitted[name] = _resize_relative(value, wanted[name].shape[0])
    return fitted


def _resize_positions(table: Tensor, grid: int) -> Tensor:
    moved = table.float().permute(0, 3, 1, 2)
    resized = F.interpolate(moved, (grid, grid), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).to(table.dtype)


def _resize_relative(table: Tensor, length: int) -> Tensor:
    resized = F.interpolate(table.float().T[None], length, mode="linear", align_corners=False)
    return resized[0].T.to(table.dtype)
