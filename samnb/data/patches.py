"""Random patches of a volume, some of them around the target."""

from collections.abc import Sequence

import numpy as np


def patches(
    volume: np.ndarray,
    masks: np.ndarray,
    size: Sequence[int],
    count: int,
    generator: np.random.Generator,
    around_target: float = 1 / 3,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut `count` patches (n, C, d, h, w) and (n, K, d, h, w) out of (C, D, H, W) and (K, D, H, W).

    The last ones, the share `around_target` of them, have a voxel of a target in their middle, or
    as near to it as the edge of the volume allows; each target is drawn as often as the others,
    however small it is. The rest lie anywhere. A volume smaller than a patch is padded with 0.
    """
    present = [number for number, mask in enumerate(masks) if mask.any()]
    forced = round(count * around_target) if present else 0
    starts = []
    for number in range(count):
        spare = np.subtract(volume.shape[1:], size)
        if number < count - forced:
            start = [int(generator.integers(0, max(0, room) + 1)) for room in spare]
        else:
            middle = _voxel_of(masks[generator.choice(present)], generator)
            start = np.clip(np.subtract(middle, np.array(size) // 2), 0, np.maximum(spare, 0))
        # Where the volume is the smaller one, it lies in the middle of the patch.
        starts.append(
            [int(at) if room >= 0 else room // 2 for at, room in zip(start, spare, strict=True)]
        )
    cut = [(_cut(volume, start, size), _cut(masks, start, size)) for start in starts]
    return np.stack([each for each, _ in cut]), np.stack([each for _, each in cut])


def _voxel_of(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One of the voxels of a mask, each as likely as the others."""
    inside = np.flatnonzero(mask)
    return np.array(np.unravel_index(inside[generator.integers(inside.size)], mask.shape))


def _cut(array: np.ndarray, start: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """A box of (channels, D, H, W) from `start`, with 0 where it goes beyond the array."""
    box = np.zeros((len(array), *size), array.dtype)
    ends = zip(start, size, array.shape[1:], strict=True)
    held = [(max(0, at), min(room, at + length)) for at, length, room in ends]
    inner = [slice(low - at, high - at) for (low, high), at in zip(held, start, strict=True)]
    box[:, *inner] = array[:, *(slice(low, high) for low, high in held)]
    return box
