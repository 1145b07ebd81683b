"""The prompt encoder of SAM in three dimensions: places and earlier masks become embeddings.

Names of modules are those of SAM-Med3D's state dict. A place is (z, y, x), as the arrays are.
"""

import math

import torch
from torch import Tensor, nn

from samnb.networks.sam3d.image_encoder import LayerNorm3d

STRAIGHT = (0, 1, 2)  # the axes of a cell's place in the order of the arrays


class PositionEncoding(nn.Module):
    """Random Fourier features of a place: sine, cosine, and the sine again, as SAM-Med3D has it."""

    def __init__(self, width: int, cell_axes: tuple[int, int, int] = STRAIGHT):
        """width: channels, a multiple of 3; cell_axes: see `samnb.networks.sam3d.published`."""
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, width // 3))
        self.cell_axes = cell_axes

    def forward(self, places: Tensor) -> Tensor:
        """Places (..., 3) as shares of the volume's sides, 0-1 -> (..., width)."""
        turns = (2 * places - 1) @ self.positional_encoding_gaussian_matrix * (2 * math.pi)
        return torch.cat([turns.sin(), turns.cos(), turns.sin()], dim=-1)

    def of_cells(self, grid: int) -> Tensor:
        """The encoding of every cell's middle: (1, width, g, g, g)."""
        device = self.positional_encoding_gaussian_matrix.device
        middles = (torch.arange(grid, device=device) + 0.5) / grid
        places = torch.stack(torch.meshgrid(middles, middles, middles, indexing="ij"), dim=-1)
        return self(places[..., self.cell_axes]).movedim(-1, 0)[None]


class PromptEncoder3D(nn.Module):
    """Tokens for points and corners of boxes, a dense embedding for an earlier mask."""

    def __init__(
        self,
        width: int,
        grid: int,
        side: int,
        mask_channels: int,
        boxes: bool,
        cell_axes: tuple[int, int, int] = STRAIGHT,
    ):
        """grid: cells per side of the image embedding; side: voxels per side of the volume.

        boxes: whether there are embeddings for a box's corners; SAM-Med3D has none.
        """
        super().__init__()
        self.grid, self.side, self.boxes = grid, side, boxes
        self.pe_layer = PositionEncoding(width, cell_axes)
        # background, foreground, and the first and the last corner of a box
        self.point_embeddings = nn.ModuleList(
            [nn.Embedding(1, width) for _ in range(4 if boxes else 2)]
        )
        self.not_a_point_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, mask_channels // 4, kernel_size=2, stride=2),
            LayerNorm3d(mask_channels // 4),
            nn.GELU(),
            nn.Conv3d(mask_channels // 4, mask_channels, kernel_size=2, stride=2),
            LayerNorm3d(mask_channels),
            nn.GELU(),
            nn.Conv3d(mask_channels, width, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, width)

    def embed_tokens(self, places: Tensor, kinds: Tensor) -> Tensor:
        """Places (R, T, 3) in voxels and kinds (R, T) from -1 (padding) on -> (R, T, width)."""
        table = torch.cat(
            [self.not_a_point_embed.weight, *(item.weight for item in self.point_embeddings)]
        )
        where = self.pe_layer((places + 0.5) / self.side)
        return where * (kinds >= 0)[..., None] + table[kinds + 1]

    def embed_masks(self, masks: Tensor | None) -> Tensor:
        """Logits (R, 1, 4g, 4g, 4g) -> (R, width, g, g, g); a row of NaN has no mask."""
        none = self.no_mask_embed.weight.reshape(1, -1, 1, 1, 1)
        if masks is None:
            return none.expand(-1, -1, self.grid, self.grid, self.grid)
        given = ~masks.isnan().flatten(1).any(dim=1)
        embedded = self.mask_downscaling(masks.nan_to_num())
        return torch.where(given[:, None, None, None, None], embedded, none)
