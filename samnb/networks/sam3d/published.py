"""What SAM-Med3D's public code computes otherwise than it says, for weights trained by that code.

Three things there are not as they should be. A network trained with them has learned to live with
them, so whoever reads its weights has to repeat them; no other network should.

1. The position of a cell exchanges the first two axes: the dense encoding of cell (i, j, k) is the
   encoding of a point at (j, i, k). One matrix serves points and cells, so no permutation of the
   weights can undo that: `PositionEncoding` is told the order of the axes for its cells.
2. The relative positions along rows and columns are broadcast over the wrong axes of the scores.
   The bias of query (d, h, w) and key (d', h', w') should be

       q[d,h,w].R_d[d,d'] + q[d,h,w].R_h[h,h'] + q[d,h,w].R_w[w,w']

   and is

       q[d,h,w].R_d[d,w'] + q[d,h,d'].R_h[h,w'] + q[d,h,h'].R_w[h',w']

   so that other cells' queries decide. It only fits together where the volume is a cube.
3. Windows of 14 x 14 x 14 cells are laid over a grid of 8 x 8 x 8: 2,232 of 2,744 cells are
   padding, which is attended to like any other.

Padding has no content: all its queries, keys and values are those of a zero. Here they are filled
in after the projections, and no answer is computed for them.
"""

import torch
from segment_anything.modeling.image_encoder import get_rel_pos
from torch import Tensor
from torch.nn import functional as F

from samnb.networks.sam3d.attention import Attention3D

CELL_AXES = (1, 0, 2)  # of a cell's place, as the public code encodes it


class PublishedAttention(Attention3D):
    """Attention of SAM-Med3D's public code; same parameters and names as `Attention3D`.

    side: cells per side of the cube that the input is padded to.
    """

    def __init__(self, width: int, heads: int, cube: int, side: int):
        super().__init__(width, heads, cube)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, g, g, g, channels), g at most `side` -> same shape."""
        query, key, value = self._padded(x)
        bias = self._bias(query, x.shape[1])
        cells = [part.flatten(2, 4) for part in (query[:, :, *_inside(x)], key, value)]
        out = F.scaled_dot_product_attention(*cells, attn_mask=bias, scale=self.scale)
        return self._joined(out, x)

    def _padded(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values, each (batch, heads, n, n, n, width) with n = `side`."""
        empty = self._heads(x.new_zeros(1, 1, x.shape[-1]))  # (3, 1, heads, 1, width)
        padded = []
        for part, filling in zip(self._heads(x), empty, strict=True):
            batch, heads, _, width = part.shape
            whole = filling[:, :, None, None].expand(batch, -1, *(self.side,) * 3, -1).clone()
            whole[:, :, *_inside(x)] = part.reshape(batch, heads, *x.shape[1:4], width)
            padded.append(whole)
        return padded

    def _bias(self, query: Tensor, grid: int) -> Tensor:
        """The second formula above, for all queries and keys: (batch, heads, g^3, n^3)."""
        planes, rows, columns = (
            get_rel_pos(self.side, self.side, table).to(query.dtype)
            for table in (self.rel_pos_d, self.rel_pos_h, self.rel_pos_w)
        )
        query = query[:, :, :grid, :grid]  # planes and rows that ask; all their columns count
        by_plane = torch.einsum("bndhwc,dkc->bndhwk", query[:, :, :, :, :grid], planes[:grid])
        by_row = torch.einsum("bndhwc,hkc->bndhwk", query, rows[:grid])
        by_column = torch.einsum("bndhwc,wkc->bndhwk", query, columns)
        bias = (
            by_plane[:, :, :, :, :, None, None, :]
            + by_row[:, :, :, :, None, :, None, :]
            + by_column[:, :, :, :, None, None, :, :]
        )
        return bias.flatten(5, 7).flatten(2, 4)


def _inside(x: Tensor) -> tuple[slice, ...]:
    """Where the cells of x (batch, D, H, W, channels) stand in the padded cube."""
    return tuple(slice(0, length) for length in x.shape[1:4])
