"""Segment Anything at any size and input side, made of the `segment_anything` package's classes.

`build_sam` makes the network, `encode` turns images into embeddings, and `prompting.py`
beside this file turns embeddings and prompts into masks.
"""

from dataclasses import dataclass
from functools import partial

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from samnb.base.errors import SamnbError
from samnb.networks.sam.attention import FastAttention

SIDES = (64, 1024)  # smallest and largest input side, pixels


@dataclass(frozen=True)
class SamSize:
    """Widths and depths of one SAM."""

    width: int  # channels of the image encoder
    depth: int  # its transformer blocks
    heads: int
    global_blocks: tuple[int, ...]  # blocks that attend to the whole image; the others to windows
    patch: int = 16  # pixels per token side
    window: int = 14  # tokens per window side; 0: every block is global
    relative_positions: bool = True
    prompt_width: int = 256  # channels of prompts, image embedding and mask decoder
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    mask_channels: int = 16
    side: int = 1024  # input side of the published weights


SAM_SIZES = {
    "pocket": SamSize(
        width=160,
        depth=6,
        heads=2,
        global_blocks=(),
        patch=8,
        window=0,
        relative_positions=False,
        prompt_width=96,
        decoder_heads=4,
        decoder_mlp=256,
        side=128,
    ),
    "vit_b": SamSize(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": SamSize(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": SamSize(1280, 32, 16, (7, 15, 23, 31)),
}


class Encoder(ImageEncoderViT):
    """The library's image encoder, with gradient checkpointing as an option."""

    checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        """x: normalised images (N, 3, S, S) -> embeddings (N, prompt width, S/patch, S/patch)."""
        x = self.patch_embed(x)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


def build_sam(size: str, side: int | None = None, fast: bool = True, checkpointing=False) -> Sam:
    """Make a SAM with fresh random weights.

    size: a key of `SAM_SIZES`; side: input side in pixels, a multiple of the patch (default: that
    of the published weights); fast: attention without the big matrix (equal up to rounding);
    checkpointing: trade time for memory when the encoder is trained.
    """
    if size not in SAM_SIZES:
        raise SamnbError(f"No SAM of size '{size}'.", f"use one of {', '.join(SAM_SIZES)}.")
    shape = SAM_SIZES[size]
    side = side or shape.side
    if side % shape.patch or not SIDES[0] <= side <= SIDES[1]:
        raise SamnbError(
            f"SAM '{size}' cannot take images of side {side}.",
            f"use a multiple of {shape.patch} from {SIDES[0]} to {SIDES[1]}.",
        )
    grid = side // shape.patch
    sam = Sam(
        image_encoder=_build_encoder(shape, side),
        prompt_encoder=PromptEncoder(
            embed_dim=shape.prompt_width,
            image_embedding_size=(grid, grid),
            input_image_size=(side, side),
            mask_in_chans=shape.mask_channels,
        ),
        mask_decoder=_build_decoder(shape),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    sam.image_encoder.checkpointing = checkpointing
    if fast:
        _use_fast_attention(sam, shape, grid)
    return sam


def _build_encoder(shape: SamSize, side: int) -> Encoder:
    return Encoder(
        img_size=side,
        patch_size=shape.patch,
        embed_dim=shape.width,
        depth=shape.depth,
        num_heads=shape.heads,
        mlp_ratio=4,
        out_chans=shape.prompt_width,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=shape.relative_positions,
        window_size=shape.window,
        global_attn_indexes=shape.global_blocks,
    )


def _build_decoder(shape: SamSize) -> MaskDecoder:
    return MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(
            depth=2,
            embedding_dim=shape.prompt_width,
            mlp_dim=shape.decoder_mlp,
            num_heads=shape.decoder_heads,
        ),
        transformer_dim=shape.prompt_width,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )


def _use_fast_attention(sam: Sam, shape: SamSize, grid: int) -> None:
    """Exchange the attention of this one model; the library's classes stay as they are."""
    for block in sam.image_encoder.blocks:
        window = block.window_size or grid
        block.attn = FastAttention(
            shape.width,
            num_heads=shape.heads,
            use_rel_pos=shape.relative_positions,
            input_size=(window, window),
        )


def encode(sam: Sam, images: Tensor) -> Tensor:
    """Images (N, 1 or 3, S, S), 0-1 -> embeddings (N, prompt width, S/patch, S/patch).

    Grey images are tripled, then normalised as SAM's own training images were.
    """
    side = sam.image_encoder.img_size
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[-2:] != (side, side):
        raise SamnbError(
            f"Images of shape {tuple(images.shape)}; this SAM takes (N, 1 or 3, {side}, {side}).",
            "resize them, or build the SAM at their side.",
        )
    if not torch.isfinite(images).all():
        raise SamnbError("The images hold NaN or infinite values.", "clean or window them first.")
    return sam.image_encoder((images * 255 - sam.pixel_mean) / sam.pixel_std)
