"""The mask decoder of SAM in three dimensions: embeddings and prompt tokens become masks.

Names of modules are those of SAM-Med3D's state dict. The two-way transformer is SAM's own: it sees
a list of cells, whatever their number of axes.
"""

import torch
from segment_anything.modeling.mask_decoder import MLP
from segment_anything.modeling.transformer import TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.networks.sam3d.image_encoder import LayerNorm3d

MASKS = 4  # one for prompts that are clear, three alternatives for those that are not


class MaskDecoder3D(nn.Module):
    """Answers prompts with four masks of 4 x 4 x 4 voxels per cell, and a score for each."""

    def __init__(self, width: int, heads: int, mlp: int):
        super().__init__()
        self.transformer = TwoWayTransformer(
            depth=2, embedding_dim=width, mlp_dim=mlp, num_heads=heads
        )
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(MASKS, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose3d(width, width // 4, kernel_size=2, stride=2),
            LayerNorm3d(width // 4),
            nn.GELU(),
            nn.ConvTranspose3d(width // 4, width // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            [MLP(width, width, width // 8, 3) for _ in range(MASKS)]
        )
        self.iou_prediction_head = MLP(width, 256, MASKS, 3)

    def forward(self, source: Tensor, positions: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (R, 4, 4g, 4g, 4g) and predicted IoU (R, 4).

        source: image embeddings with those of earlier masks, (R, C, g, g, g);
        positions: of the cells, (1, C, g, g, g); sparse: prompt tokens (R, T, C)
        """
        outputs = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([outputs.expand(len(source), -1, -1), sparse], dim=1)
        hidden, cells = self.transformer(source.flatten(3), positions.flatten(3), tokens)
        kernels = torch.stack(
            [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        return self.paint(cells, kernels), self.iou_prediction_head(hidden[:, 0])

    def paint(self, cells: Tensor, kernels: Tensor) -> Tensor:
        """Upscale every cell to 4 x 4 x 4 voxels and multiply them with the masks' kernels.

        cells: (R, g^3, C); kernels: (R, 4, C / 8) -> logits (R, 4, 4g, 4g, 4g). The transposed
        convolutions have kernel 2 and stride 2, so no voxel sees a neighbouring cell: they are
        matrix products, and channels stay last, where they are fast.
        """
        first, norm, gelu, second, _ = self.output_upscaling
        halves = _upscale(cells, first)
        halves = gelu(F.layer_norm(halves, halves.shape[-1:], norm.weight, norm.bias, norm.eps))
        quarters = gelu(_upscale(halves, second))  # (R, g^3, 8, 8, C / 8)
        logits = kernels @ quarters.flatten(1, 3).transpose(1, 2)
        # Each axis is its cell, then the half of the cell, then the quarter.
        grid = round(cells.shape[1] ** (1 / 3))
        logits = logits.reshape(len(cells), MASKS, grid, grid, grid, *(2,) * 6)
        logits = logits.permute(0, 1, 2, 5, 8, 3, 6, 9, 4, 7, 10)
        return logits.reshape(len(cells), MASKS, 4 * grid, 4 * grid, 4 * grid)


def _upscale(x: Tensor, upscaling: nn.ConvTranspose3d) -> Tensor:
    """Every voxel's channels (..., C) to those of the 8 voxels that it falls into: (..., 8, D)."""
    weight = upscaling.weight.flatten(2).transpose(1, 2)  # (C, 8, D)
    return (x @ weight.flatten(1)).unflatten(-1, weight.shape[1:]) + upscaling.bias
