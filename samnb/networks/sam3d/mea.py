"""The mask-enhanced adapter of M-SAM (Shi et al., 2024): an image embedding that knows of a mask.

It stands between the image encoder and the mask decoder, where SAM adds the two embeddings. The
mutual feature enhancement block (Fig. 2 b) is two transformer blocks side by side, one for the
image I and one for the mask M, whose residuals are each other's:

    A_I  = MHSA_I(LN(E_I)) + E_M        A_M  = MHSA_M(LN(E_M)) + E_I
    E'_I = MLP_I(LN(A_I)) + A_M         E'_M = MLP_M(LN(A_M)) + A_I

Then follow the residuals of the originals, and fusion (Fig. 2 a, Eq. 1 and 2):

    E''_I = LN(E_I + E'_I)              E''_M = LN(E_M + E'_M)
    [Q, K, V] = (E''_I + E''_M) W_QKV   E_fused = MHSA(Q, K, V)
    updated E_I = MLP(LN(E_fused + E''_I))

A fresh adapter does not leave SAM's answers as they were, as LoRA does. The paper's last step is an
MLP behind a layer norm, without a residual around it: no start of its weights gives back E_I + E_M,
which SAM's decoder knows. That of the public code has a residual, but of a normed sum. So the
decoder has to be trained along.

What the paper leaves open is what a "3D transformer block" is. By the text alone ("plain") it is
attention and an MLP, and M-SAM has 106.4 million numbers, of which 13.5 million are trained. The
paper prints 118 and 25. So much it has with the parts of its public code ("released"): in front of
the attention a 3 x 3 x 3 and a pointwise convolution, behind it an MLP of its own, in all three
places. The wiring is the paper's in both.
"""

from dataclasses import dataclass

import torch
from segment_anything.modeling.common import MLPBlock
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.networks.sam3d.attention import Attention3D
from samnb.networks.sam3d.image_encoder import NORM

RELEASED, PLAIN = "released", "plain"


@dataclass(frozen=True)
class MeaSettings:
    heads: int = 6
    parts: str = RELEASED  # of a block: "released", as the paper counts, or "plain", as it says


class MaskEnhancedAdapter(nn.Module):
    """Image and mask embeddings (R, C, g, g, g) -> updated image embedding, of the same shape."""

    def __init__(self, width: int, grid: int, settings: MeaSettings):
        super().__init__()
        _check(width, settings)
        self.mutual = MutualBlock(width, grid, settings)
        self.norm_image = nn.LayerNorm(width, eps=NORM)
        self.norm_mask = nn.LayerNorm(width, eps=NORM)
        self.fusion = _attention(width, grid, settings)
        self.norm = nn.LayerNorm(width, eps=NORM)
        self.mlp = MLPBlock(width, 4 * width)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        image, mask = (each.movedim(1, -1) for each in (image, mask))
        new_image, new_mask = self.mutual(image, mask)
        new_image = self.norm_image(image + new_image)
        new_mask = self.norm_mask(mask + new_mask)
        fused = self.fusion(new_image + new_mask) + new_image
        return self.mlp(self.norm(fused)).movedim(-1, 1)


class MutualBlock(nn.Module):
    """Two transformer blocks in parallel, each with the residuals of the other."""

    def __init__(self, width: int, grid: int, settings: MeaSettings):
        super().__init__()
        self.image = _Branch(width, grid, settings)
        self.mask = _Branch(width, grid, settings)

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (R, g, g, g, C) of image and mask -> new ones of the same shape."""
        seen_image = self.image.attend(image) + mask
        seen_mask = self.mask.attend(mask) + image
        new_image = self.image.mlp(self.image.norm2(seen_image)) + seen_mask
        new_mask = self.mask.mlp(self.mask.norm2(seen_mask)) + seen_image
        return new_image, new_mask


class _Branch(nn.Module):
    """A transformer block without its residuals."""

    def __init__(self, width: int, grid: int, settings: MeaSettings):
        super().__init__()
        self.local = Local3D(width) if settings.parts == RELEASED else nn.Identity()
        self.norm1 = nn.LayerNorm(width, eps=NORM)
        self.attn = _attention(width, grid, settings)
        self.norm2 = nn.LayerNorm(width, eps=NORM)
        self.mlp = MLPBlock(width, 4 * width)

    def attend(self, x: Tensor) -> Tensor:
        return self.attn(self.norm1(self.local(x)))


class Local3D(nn.Module):
    """What cells tell their neighbours before all attend to all: (R, g, g, g, C) -> same shape."""

    def __init__(self, width: int):
        super().__init__()
        self.neighbours = nn.Conv3d(width, width, kernel_size=3, padding=1)
        self.norm1 = nn.LayerNorm(width, eps=NORM)
        self.mix = nn.Linear(width, width)  # the pointwise convolution
        self.norm2 = nn.LayerNorm(width, eps=NORM)

    def forward(self, x: Tensor) -> Tensor:
        near = self.neighbours(x.movedim(-1, 1)).movedim(1, -1)
        return self.norm2(x + self.mix(nn.functional.gelu(self.norm1(near))))


class AttentionWithMlp(nn.Module):
    """Attention of the public code: with a residual, and an MLP behind it without one."""

    def __init__(self, width: int, heads: int, grid: int):
        super().__init__()
        self.attn = Attention3D(width, heads, grid)
        self.norm = nn.LayerNorm(width, eps=NORM)
        self.mlp = MLPBlock(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """x: (R, g, g, g, C) -> same shape."""
        return self.mlp(self.norm(x + self.attn(x)))


def _attention(width: int, grid: int, settings: MeaSettings) -> nn.Module:
    """MHSA over all g^3 cells, with relative positions."""
    if settings.parts == RELEASED:
        return AttentionWithMlp(width, settings.heads, grid)
    return Attention3D(width, settings.heads, grid)


def build_mea(width: int, grid: int, settings: MeaSettings, seed: int = 0) -> MaskEnhancedAdapter:
    """A fresh adapter for embeddings of `width` channels and `grid` cells a side."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MaskEnhancedAdapter(width, grid, settings)


def _check(width: int, settings: MeaSettings) -> None:
    if settings.parts not in (RELEASED, PLAIN):
        raise SamnbError(
            f"No parts '{settings.parts}' of a mask-enhanced adapter.",
            f"use {RELEASED} or {PLAIN}.",
        )
    if settings.heads < 1 or width % settings.heads:
        raise SamnbError(
            f"{width} channels do not make {settings.heads} heads.",
            "set mea.heads to a number that divides them.",
        )
