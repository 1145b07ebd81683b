"""The image encoder of SAM in three dimensions: a volume becomes a grid of embeddings.

Names of modules are those of SAM-Med3D's state dict.
"""

import torch
from segment_anything.modeling.common import MLPBlock
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

NORM = 1e-6  # epsilon of every layer norm of the encoder


class LayerNorm3d(nn.LayerNorm):
    """Layer norm over the channels of (N, C, D, H, W)."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=NORM)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class PatchEmbed3D(nn.Module):
    """Cubes of `patch` voxels a side, each to one vector."""

    def __init__(self, patch: int, width: int):
        super().__init__()
        self.proj = nn.Conv3d(1, width, kernel_size=patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, 1, S, S, S) -> (N, g, g, g, width), g = S / patch."""
        return self.proj(x).movedim(1, -1)


class Block3D(nn.Module):
    """One transformer block: attention within windows or in the whole grid, then an MLP."""

    def __init__(self, width: int, attention: nn.Module, window: int):
        """window: cells per side of a window that `attention` sees; 0: it sees the whole grid."""
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM)
        self.attn = attention
        self.norm2 = nn.LayerNorm(width, eps=NORM)
        self.mlp = MLPBlock(width, 4 * width)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, D, H, W, width) -> same shape."""
        normed = self.norm1(x)
        if self.window:
            windows = split_windows(normed, self.window)
            x = x + join_windows(self.attn(windows), self.window, x.shape)
        else:
            x = x + self.attn(normed)
        return x + self.mlp(self.norm2(x))


class ImageEncoder3D(nn.Module):
    """Volumes (N, 1, S, S, S) -> embeddings (N, prompt width, g, g, g)."""

    def __init__(self, side: int, patch: int, width: int, prompt_width: int, blocks: list[Block3D]):
        super().__init__()
        self.side = side
        grid = side // patch
        self.patch_embed = PatchEmbed3D(patch, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, grid, width))
        self.blocks = nn.ModuleList(blocks)
        self.neck = nn.Sequential(
            nn.Conv3d(width, prompt_width, kernel_size=1, bias=False),
            LayerNorm3d(prompt_width),
            nn.Conv3d(prompt_width, prompt_width, kernel_size=3, padding=1, bias=False),
            LayerNorm3d(prompt_width),
        )
        self.checkpointing = False  # trade time for memory when the encoder is trained

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.neck(x.movedim(-1, 1))


def even_window(grid: int, window: int) -> int:
    """Cells per side of as few windows as `window` allows, all of one size.

    A grid of 8 is one window of 8, not one of 14 that is mostly padding; one of 16 is two of 8.
    """
    return -(-grid // -(-grid // window))


def split_windows(x: Tensor, window: int) -> Tensor:
    """(N, D, H, W, C) -> (N * windows, window, window, window, C), zeros where the grid ends."""
    batch, *size, channels = x.shape
    ends = [-length % window for length in reversed(size)]
    x = F.pad(x, (0, 0, *(part for end in ends for part in (0, end))))
    counts = [length // window for length in x.shape[1:4]]
    x = x.reshape(batch, counts[0], window, counts[1], window, counts[2], window, channels)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, window, window, window, channels)


def join_windows(windows: Tensor, window: int, shape: torch.Size) -> Tensor:
    """The inverse of `split_windows`: back to `shape` (N, D, H, W, C), without the padding."""
    batch, *size, channels = shape
    counts = [-(-length // window) for length in size]
    x = windows.reshape(batch, *counts, window, window, window, channels)
    x = x.permute(0, 1, 4, 2, 5, 3, 6, 7)
    x = x.reshape(batch, *(count * window for count in counts), channels)
    return x[:, : size[0], : size[1], : size[2]]
