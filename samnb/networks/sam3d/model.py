"""Segment Anything in three dimensions, as SAM-Med3D has it, at any size.

`build_sam3d` makes the network, `encode` turns volumes into embeddings, and `prompting.py` beside
this file turns embeddings and prompts into masks.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.networks.sam3d.attention import Attention3D
from samnb.networks.sam3d.image_encoder import Block3D, ImageEncoder3D, even_window
from samnb.networks.sam3d.mask_decoder import MaskDecoder3D
from samnb.networks.sam3d.prompt_encoder import STRAIGHT, PromptEncoder3D
from samnb.networks.sam3d.published import CELL_AXES, PublishedAttention

SMALLEST, LARGEST = 2, 16  # cells per side


@dataclass(frozen=True)
class Sam3DSize:
    """Widths and depths of one SAM for volumes."""

    width: int  # channels of the image encoder
    depth: int  # its transformer blocks
    heads: int
    global_blocks: tuple[int, ...]  # blocks that attend to the whole grid; the others to windows
    patch: int = 16  # voxels per side of a cell
    window: int = 14  # cells per side of a window, at most; 0: every block is global
    relative_positions: bool = True
    prompt_width: int = 384  # channels of prompts, image embedding and mask decoder
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    mask_channels: int = 16
    side: int = 128  # voxels per side of the volumes that its weights were trained on
    boxes: bool = False  # whether its weights know the corners of boxes
    as_published: bool = False  # trained by SAM-Med3D's code: see `published.py`


SAM3D_SIZES = {
    "pocket_3d": Sam3DSize(
        width=160,
        depth=6,
        heads=4,
        global_blocks=(),
        patch=8,
        window=0,
        prompt_width=96,
        decoder_heads=4,
        decoder_mlp=256,
        side=48,
        boxes=True,
    ),
    "sam_med3d": Sam3DSize(768, 12, 12, (2, 5, 8, 11), as_published=True),
}


class Sam3D(nn.Module):
    """The three parts of SAM; names as in SAM-Med3D's state dict."""

    def __init__(
        self,
        image_encoder: ImageEncoder3D,
        prompt_encoder: PromptEncoder3D,
        mask_decoder: MaskDecoder3D,
    ):
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder


def build_sam3d(
    size: str,
    side: int | None = None,
    boxes: bool | None = None,
    as_published: bool | None = None,
    checkpointing: bool = False,
) -> Sam3D:
    """Make a SAM for volumes, with fresh random weights.

    size: a key of `SAM3D_SIZES`; side: voxels per side of its volumes, a multiple of the patch;
    boxes: whether it can be prompted with boxes; as_published: compute as SAM-Med3D's public code
    does, errors included, as its published weights need; the defaults are those of the size;
    checkpointing: trade time for memory when the encoder is trained.
    """
    if size not in SAM3D_SIZES:
        raise SamnbError(
            f"No SAM for volumes of size '{size}'.", f"use one of {', '.join(SAM3D_SIZES)}."
        )
    shape = SAM3D_SIZES[size]
    side = shape.side if side is None else side
    boxes = shape.boxes if boxes is None else boxes
    as_published = shape.as_published if as_published is None else as_published
    largest = shape.window if as_published else LARGEST  # no window of the public code is split
    if side % shape.patch or not SMALLEST <= side // shape.patch <= largest:
        raise SamnbError(
            f"SAM '{size}' cannot take volumes of side {side}.",
            f"use a multiple of {shape.patch} from {SMALLEST * shape.patch} to "
            f"{largest * shape.patch}.",
        )
    grid = side // shape.patch
    blocks = [_build_block(shape, number, grid, as_published) for number in range(shape.depth)]
    encoder = ImageEncoder3D(side, shape.patch, shape.width, shape.prompt_width, blocks)
    encoder.checkpointing = checkpointing
    axes = CELL_AXES if as_published else STRAIGHT
    return Sam3D(
        encoder,
        PromptEncoder3D(shape.prompt_width, grid, side, shape.mask_channels, boxes, axes),
        MaskDecoder3D(shape.prompt_width, shape.decoder_heads, shape.decoder_mlp),
    )


def _build_block(shape: Sam3DSize, number: int, grid: int, as_published: bool) -> Block3D:
    whole = number in shape.global_blocks or not shape.window
    if as_published:
        # The windows of the public code reach beyond the grid: the attention pads by itself.
        cube = grid if whole else shape.window
        attention = PublishedAttention(shape.width, shape.heads, cube, side=cube)
        return Block3D(shape.width, attention, window=0)
    cube = grid if whole else shape.window
    attention = Attention3D(shape.width, shape.heads, cube, shape.relative_positions)
    window = grid if whole else even_window(grid, shape.window)
    return Block3D(shape.width, attention, window=window if window < grid else 0)


def encode(sam: Sam3D, volumes: Tensor) -> Tensor:
    """Volumes (N, 1, S, S, S), of any scale of greys -> embeddings (N, prompt width, g, g, g).

    Each is brought to mean 0 and spread 1 over its voxels above zero, as SAM-Med3D's own training
    volumes were.
    """
    side = sam.image_encoder.side
    if volumes.ndim != 5 or volumes.shape[1:] != (1, side, side, side):
        raise SamnbError(
            f"Volumes of shape {tuple(volumes.shape)}; this SAM takes (N, 1, {side}, {side}, "
            f"{side}).",
            "crop or resize them, or build the SAM at their side.",
        )
    if not torch.isfinite(volumes).all():
        raise SamnbError("The volumes hold NaN or infinite values.", "clean or window them first.")
    return sam.image_encoder(normalise(volumes))


def normalise(volumes: Tensor) -> Tensor:
    """Subtract the mean of each volume's voxels above zero, divide by their spread."""
    inside = volumes > 0
    axes = tuple(range(1, volumes.ndim))
    count = inside.sum(dim=axes, keepdim=True)
    mean = (volumes * inside).sum(dim=axes, keepdim=True) / count.clamp(min=1)
    squares = ((volumes - mean) ** 2 * inside).sum(dim=axes, keepdim=True)
    spread = (squares / (count - 1).clamp(min=1)).sqrt()
    return (volumes - mean) / torch.where(spread > 0, spread, 1)
