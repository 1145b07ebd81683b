"""The part of a volume that a network of cubes looks at: around the first click.

Nothing but the click decides where the cube lies, so no truth is needed. A window is named by the
voxel that it starts from, (z, y, x); a volume that is smaller than the cube lies in its middle.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def window_starts(points: Tensor, size: Sequence[int], side: int) -> Tensor:
    """Starts (R, 3) long of cubes with these points (R, 3) in their middle.

    Or as near to it as the volume of `size` (D, H, W) allows.
    """
    spare = torch.tensor(size, device=points.device) - side
    starts = points.long() - side // 2
    starts = torch.minimum(starts.clamp(min=0), spare.clamp(min=0))
    return torch.where(spare < 0, torch.div(spare, 2, rounding_mode="floor"), starts)


def cut_windows(images: Tensor, image: Tensor, starts: Tensor, side: int) -> Tensor:
    """Cubes (R, C, side, side, side) of images (N, C, D, H, W), 0 where a volume ends.

    image: (R,) which of them each is cut from; starts: (R, 3).
    """
    size = images.shape[2:]
    low = [max(0, -int(start)) for start in starts.min(dim=0).values]
    high = [max(0, int(start) + side - length)
            for start, length in zip(starts.max(dim=0).values, size, strict=True)]  # fmt: skip
    padding = [part for pair in zip(reversed(low), reversed(high), strict=True) for part in pair]
    padded = F.pad(images, padding)
    cubes = []
    for number, start in zip(image.tolist(), starts.tolist(), strict=True):
        inside = [slice(at + more, at + more + side) for at, more in zip(start, low, strict=True)]
        cubes.append(padded[number][:, *inside])
    return torch.stack(cubes)


def put_window(volume: Tensor, window: Tensor, start: Tensor) -> None:
    """Write a cube (side, side, side) into its place in a volume (D, H, W), as far as it is in."""
    side, place, held = len(window), [], []
    for at, length in zip(start.tolist(), volume.shape, strict=True):
        low, high = max(0, at), min(length, at + side)
        place.append(slice(low, high))
        held.append(slice(low - at, high - at))
    volume[*place] = window[*held]
