"""Med-SA's image encoder: two adapters in each block, and attention over depth (SD-Trans).

A volume of D slices goes through SAM's encoder as D images. In every block the same attention runs
twice: over the tokens of each slice (or of each window of it), as SAM's own, and over the D tokens
that lie behind one another in one place. The second one's result is added to the first one's.

What the paper leaves open:

- Adding all of the second result would change SAM before anything is learned. Here it reaches the
  block through an adapter alone, which begins at zero.
- Windows. The columns of tokens are taken from the whole grid, after the norm and before it is cut
  into windows: a column needs none. (The released code cuts first, and so mixes windows for
  slices.)
- Relative positions. A column has D rows and one column: SAM's table of rows serves for the
  distances of slices, fitted to D by SAM's own rule, as for a grid of another size.
- One slice has no neighbours: nothing is added, so that a volume of one slice is a picture.
"""

import torch
from segment_anything.modeling import Sam, image_encoder
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from samnb.base.errors import SamnbError
from samnb.networks.sam.bottleneck import Adapter
from samnb.networks.sam.model import Encoder

# "none": slices know nothing of one another. "joined": added to what attention within the slice
# gives, before the first adapter. "own": through an adapter of its own, as in the released code.
DEPTHS = ("none", "joined", "own")


class AdaptedBlock(image_encoder.Block):
    """The library's block, same parameters and names, with adapters."""

    def __init__(self, block: image_encoder.Block, bottleneck: int, scale: float, depth: str):
        """scale: of the adapter beside the MLP; depth: one of `DEPTHS`."""
        nn.Module.__init__(self)  # the layers are those of `block`
        self.norm1, self.attn = block.norm1, block.attn
        self.norm2, self.mlp = block.norm2, block.mlp
        self.window_size, self.scale, self.depth = block.window_size, scale, depth
        width = block.norm1.normalized_shape[0]
        self.attention_adapter = Adapter(width, bottleneck)
        self.mlp_adapter = Adapter(width, bottleneck)
        if depth == "own":
            self.depth_adapter = Adapter(width, bottleneck)

    def forward(self, x: Tensor, depth: int = 1) -> Tensor:
        """x: (N D, rows, columns, width), the D = `depth` slices of a volume in order -> same."""
        normed = self.norm1(x)
        attended = self._over_space(normed)
        if depth == 1 or self.depth == "none":
            adapted = self.attention_adapter(attended)
        elif self.depth == "joined":
            adapted = self.attention_adapter(attended + self._over_depth(normed, depth))
        else:
            adapted = self.attention_adapter(attended)
            adapted = adapted + self.depth_adapter(self._over_depth(normed, depth))
        x = x + (attended + adapted)
        normed = self.norm2(x)
        return x + (self.mlp(normed) + self.scale * self.mlp_adapter(normed))

    def _over_space(self, normed: Tensor) -> Tensor:
        """SAM's own attention, in windows where the block has them."""
        if self.window_size == 0:
            return self.attn(normed)
        windows, padded = image_encoder.window_partition(normed, self.window_size)
        size = tuple(normed.shape[1:3])
        return image_encoder.window_unpartition(self.attn(windows), self.window_size, padded, size)

    def _over_depth(self, normed: Tensor, depth: int) -> Tensor:
        """The same attention along every column of tokens: no token sees another place."""
        _, rows, columns, width = normed.shape
        # Contiguous, or PyTorch would multiply token by token instead of all at once.
        behind = normed.reshape(-1, depth, rows * columns, width).transpose(1, 2).contiguous()
        mixed = self.attn(behind.reshape(-1, depth, 1, width))
        return mixed.reshape(behind.shape).transpose(1, 2).reshape(normed.shape)


class VolumeEncoder(Encoder):
    """The image encoder, same parameters and names, with adapted blocks that know of depth."""

    def __init__(self, encoder: Encoder, blocks: list[AdaptedBlock]):
        nn.Module.__init__(self)  # all other layers are those of `encoder`
        self.img_size, self.checkpointing = encoder.img_size, encoder.checkpointing
        self.patch_embed, self.pos_embed = encoder.patch_embed, encoder.pos_embed
        self.blocks = nn.ModuleList(blocks)
        self.neck = encoder.neck

    def forward(self, x: Tensor, depth: int = 1) -> Tensor:
        """x: normalised slices (N D, 3, S, S) -> embeddings (N D, prompt width, g, g)."""
        x = self.patch_embed(x)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, depth, use_reentrant=False)
            else:
                x = block(x, depth)
        return self.neck(x.permute(0, 3, 1, 2))


def slices_of(volumes: Tensor) -> Tensor:
    """Volumes (N, C, D, H, W) -> their slices (N D, C, H, W), volume after volume."""
    return volumes.movedim(2, 1).flatten(0, 1)


def encode_volumes(sam: Sam, volumes: Tensor) -> Tensor:
    """Volumes (N, 1 or 3, D, S, S), 0-1 -> embeddings (N D, prompt width, g, g) of their slices.

    All D slices of a volume see one another. Otherwise as `samnb.networks.sam.model.encode`.
    """
    side = sam.image_encoder.img_size
    if volumes.ndim != 5 or volumes.shape[1] not in (1, 3) or volumes.shape[-2:] != (side, side):
        raise SamnbError(
            f"Volumes of shape {tuple(volumes.shape)}; "
            f"this SAM takes (N, 1 or 3, D, {side}, {side}).",
            "resize their slices, or build the SAM at their side.",
        )
    if not torch.isfinite(volumes).all():
        raise SamnbError("The volumes hold NaN or infinite values.", "clean or window them first.")
    normalised = (slices_of(volumes) * 255 - sam.pixel_mean) / sam.pixel_std
    return sam.image_encoder(normalised, volumes.shape[2])


def encode_in_patches(sam: Sam, volumes: Tensor, thickness: int) -> Tensor:
    """As `encode_volumes`, but only `thickness` neighbouring slices see one another.

    The patches follow one another from the first slice on; the last one ends with the volume, and
    of it only those slices count that no patch before it had.
    """
    count, _, depth = volumes.shape[:3]
    if depth < thickness:
        raise SamnbError(
            f"A volume of {depth} slices is thinner than the patch of {thickness}.",
            f"let patches have {depth} slices or fewer, or leave the volume out.",
        )
    parts, seen = [], 0
    for start in (*range(0, depth - thickness, thickness), depth - thickness):
        patch = encode_volumes(sam, volumes[:, :, start : start + thickness])
        parts.append(patch.unflatten(0, (count, thickness))[:, seen - start :])
        seen = start + thickness
    return torch.cat(parts, dim=1).flatten(0, 1)
