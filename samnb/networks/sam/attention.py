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

SMALL = 256  # tokens; a window of 14 x 14 has 196


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
            query, key = self._with_positions(query, key, rows, columns)
        out = self._attend(query, key, value)
        return self.proj(out.transpose(1, 2).reshape(batch, rows, columns, channels))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries and keys may be wider than the values."""
        if query.device.type == "cpu" and query.dtype != torch.float32 and query.shape[2] <= SMALL:
            # PyTorch's kernel for processors takes 1.5 times as long in half precision (measured,
            # most of it backward), and a small matrix may as well be written out.
            scores = (query * self.scale) @ key.transpose(-2, -1)
            return scores.softmax(dim=-1).to(value.dtype) @ value
        width = value.shape[-1]
        value = F.pad(value, (0, query.shape[-1] - width))  # the kernels want equal widths
        return F.scaled_dot_product_attention(query, key, value, scale=self.scale)[..., :width]

    def _with_positions(
        self, query: Tensor, key: Tensor, rows: int, columns: int
    ) -> tuple[Tensor, Tensor]:
        """Append the bias terms to the queries, the one-hot codes to the keys.

        The width is padded to a multiple of eight, which the kernels of GPUs ask for.
        """
        batch, heads, tokens, width = query.shape
        row_table = image_encoder.get_rel_pos(rows, rows, self.rel_pos_h) / self.scale
        column_table = image_encoder.get_rel_pos(columns, columns, self.rel_pos_w) / self.scale
        grid = query.reshape(batch, heads, rows, columns, width)
        row_bias = torch.einsum("bnrcw,rkw->bnrck", grid, row_table.to(query.dtype))
        column_bias = torch.einsum("bnrcw,ckw->bnrck", grid, column_table.to(query.dtype))
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
        return query, torch.cat([key, codes.expand(batch, heads, -1, -1)], dim=-1)

    @staticmethod
    def _codes(rows: int, columns: int, padding: int, like: Tensor) -> Tensor:
        """One-hot row and column of every token: (tokens, rows + columns + padding)."""
        row = torch.eye(rows, dtype=like.dtype, device=like.device).repeat_interleave(columns, 0)
        column = torch.eye(columns, dtype=like.dtype, device=like.device).repeat(rows, 1)
        return F.pad(torch.cat([row, column], dim=1), (0, padding))
