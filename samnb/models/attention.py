"""SAM's attention without its big matrix.

The image encoder adds to every attention score a bias that depends on the rows and columns of the
query and the key (decomposed relative positions). Written out, that needs the whole score matrix:
at 1024 x 1024 pixels 4096 x 4096 numbers per head. Here the bias travels inside the dot product:

    scale * q.k + bias_row + bias_column
        = scale * [q, bias_rows / scale, bias_columns / scale] . [k, onehot(row), onehot(column)]

so that PyTorch's `scaled_dot_product_attention` needs no mask, its memory-saving kernels apply, and
the result is the same up to rounding, forward and backward.

The mask decoder keeps the library's attention: its queries are a handful of tokens.
"""

import torch
from segment_anything.modeling import image_encoder
from torch import Tensor
from torch.nn import functional as F


class FastAttention(image_encoder.Attention):
    """The image encoder's attention; same parameters and names as the library's own."""

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, rows, columns, channels) -> same shape."""
        batch, rows, columns, channels = x.shape
        width = channels // self.num_heads
        tokens = rows * columns
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, width).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # each (batch, heads, tokens, width)
        if self.use_rel_pos:
            query, key, value = self._with_positions(query, key, value, rows, columns)
        out = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        out = out[..., :width].transpose(1, 2).reshape(batch, rows, columns, channels)
        return self.proj(out)

    def _with_positions(
        self, query: Tensor, key: Tensor, value: Tensor, rows: int, columns: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Append the bias terms to the queries, the one-hot codes to the keys, zeros to the values.

        The width is padded to a multiple of eight, which the kernels of GPUs ask for.
        """
        batch, heads, tokens, width = query.shape
        row_table = image_encoder.get_rel_pos(rows, rows, self.rel_pos_h).to(query.dtype)
        column_table = image_encoder.get_rel_pos(columns, columns, self.rel_pos_w).to(query.dtype)
        grid = query.reshape(batch, heads, rows, columns, width)
        row_bias = torch.einsum("bnrcw,rkw->bnrck", grid, row_table) / self.scale
        column_bias = torch.einsum("bnrcw,ckw->bnrck", grid, column_table) / self.scale
        padding = -(width + rows + columns) % 8
        codes = self._codes(rows, columns, padding, key)
        query = torch.cat(
            [
                query,
                row_bias.reshape(batch, heads, tokens, rows),
                column_bias.reshape(batch, heads, tokens, columns),
                query.new_zeros(1).expand(batch, heads, tokens, padding),
            ],
            dim=-1,
        )
        key = torch.cat([key, codes.expand(batch, heads, -1, -1)], dim=-1)
        return query, key, F.pad(value, (0, query.shape[-1] - width))

    @staticmethod
    def _codes(rows: int, columns: int, padding: int, like: Tensor) -> Tensor:
        """One-hot row and column of every token: (tokens, rows + columns + padding)."""
        row = torch.eye(rows, dtype=like.dtype, device=like.device).repeat_interleave(columns, 0)
        column = torch.eye(columns, dtype=like.dtype, device=like.device).repeat(rows, 1)
        return F.pad(torch.cat([row, column], dim=1), (0, padding))
