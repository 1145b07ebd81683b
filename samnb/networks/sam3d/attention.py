"""Attention over the cells of a volume, without its big matrix.

The image encoder adds to every attention score a bias that depends on where the query and the key
stand along each of the three axes (decomposed relative positions):

    scale * q.k + q.R_d[d, d'] + q.R_h[h, h'] + q.R_w[w, w']

Written out, that needs the whole matrix of scores: 512 x 512 numbers per head for a grid of 8 x 8 x
8 cells. Here the bias travels inside the dot product, as in `samnb.networks.sam.attention`: each
query carries its biases, each key the one-hot codes of its place.
"""

import torch
from segment_anything.modeling.image_encoder import get_rel_pos
from torch import Tensor, nn
from torch.nn import functional as F


class Attention3D(nn.Module):
    """Multi-head attention among the cells of a cube; names as in SAM-Med3D's state dict."""

    def __init__(self, width: int, heads: int, cube: int, relative_positions: bool = True):
        """cube: cells per side that the tables of relative positions are made for, at most."""
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_positions = relative_positions
        if relative_positions:
            table = torch.zeros(2 * cube - 1, width // heads)
            self.rel_pos_d = nn.Parameter(table.clone())
            self.rel_pos_h = nn.Parameter(table.clone())
            self.rel_pos_w = nn.Parameter(table.clone())

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, D, H, W, channels) -> same shape."""
        query, key, value = self._heads(x)
        if self.relative_positions:
            query, key = self._with_positions(query, key, x.shape[1:4])
        width = value.shape[-1]
        value = F.pad(value, (0, query.shape[-1] - width))  # the kernels want equal widths
        out = F.scaled_dot_product_attention(query, key, value, scale=self.scale)[..., :width]
        return self._joined(out, x)

    def _heads(self, x: Tensor) -> Tensor:
        """Queries, keys and values (3, batch, heads, cells, width) of x (batch, ..., channels)."""
        batch, channels = x.shape[0], x.shape[-1]
        qkv = self.qkv(x).reshape(batch, -1, 3, self.heads, channels // self.heads)
        return qkv.permute(2, 0, 3, 1, 4)

    def _joined(self, out: Tensor, like: Tensor) -> Tensor:
        """What the heads found, (batch, heads, cells, width), in the shape of `like`."""
        return self.proj(out.transpose(1, 2).reshape(like.shape))

    def _with_positions(
        self, query: Tensor, key: Tensor, size: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """Append the biases of the three axes to the queries, the one-hot codes to the keys.

        The width is padded to a multiple of eight, which the kernels of GPUs ask for.
        """
        batch, heads, cells, width = query.shape
        grid = query.reshape(batch, heads, *size, width)
        biases = [
            torch.einsum(product, grid, self._table(table, length, query))
            for product, table, length in zip(
                ("bndhwc,dkc->bndhwk", "bndhwc,hkc->bndhwk", "bndhwc,wkc->bndhwk"),
                (self.rel_pos_d, self.rel_pos_h, self.rel_pos_w),
                size,
                strict=True,
            )
        ]
        padding = -(width + sum(size)) % 8
        query = torch.cat(
            [
                query,
                *(bias.reshape(batch, heads, cells, -1) for bias in biases),
                query.new_zeros(1).expand(batch, heads, cells, padding),
            ],
            dim=-1,
        )
        codes = F.pad(_codes(size, key), (0, padding))
        return query, torch.cat([key, codes.expand(batch, heads, -1, -1)], dim=-1)

    def _table(self, table: Tensor, length: int, like: Tensor) -> Tensor:
        """R of one axis (length, length, width): a row for each place of a query.

        A table made for a larger cube holds greater distances too, which are left out here.
        """
        spare = (len(table) + 1) // 2 - length
        table = table[spare : len(table) - spare]
        return (get_rel_pos(length, length, table) / self.scale).to(like.dtype)


def _codes(size: tuple[int, int, int], like: Tensor) -> Tensor:
    """One-hot place on each axis of every cell: (cells, D + H + W)."""
    depth, height, width = size
    planes, rows, columns = (torch.eye(n, dtype=like.dtype, device=like.device) for n in size)
    return torch.cat(
        [
            planes.repeat_interleave(height * width, 0),
            rows.repeat_interleave(width, 0).repeat(depth, 1),
            columns.repeat(depth * height, 1),
        ],
        dim=1,
    )
