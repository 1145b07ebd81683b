"""Two segmentations that learn nothing: a threshold, and a copy of the most similar slice.

They are no competitors. The threshold says how far intensity alone goes, the copy how much a leak
is worth (both in chapter 1).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from samnb.evaluation.metrics import dice


def intensity_range(
    images: np.ndarray, masks: np.ndarray, inner: float = 0.9
) -> tuple[float, float]:
    """Range that holds the central `inner` part of the pixels under the masks.

    `images` (N, H, W) in any unit, `masks` (N, H, W) true inside; the range is in the same unit.
    """
    inside = images[masks.astype(bool)]
    edge = (1.0 - inner) / 2
    low, high = np.quantile(inside, [edge, 1.0 - edge])
    return float(low), float(high)


def best_range(
    images: np.ndarray, masks: np.ndarray, inner: Sequence[float] = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
) -> tuple[float, float]:
    """The `intensity_range` whose largest pieces have the best mean Dice on these slices."""
    ranges = [intensity_range(images, masks, part) for part in inner]
    scores = [dice(largest_pieces(threshold(images, *each)), masks).mean() for each in ranges]
    return ranges[int(np.argmax(scores))]


def threshold(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """All pixels in [low, high]: (N, H, W) → bool (N, H, W)."""
    return (images >= low) & (images <= high)


def opened(masks: np.ndarray, width: int = 3) -> np.ndarray:
    """Masks without what is narrower than `width` pixels: specks, and bridges between pieces."""
    kernel = np.ones((width, width), np.uint8)
    masks = masks.astype(np.uint8)
    return np.stack([cv2.morphologyEx(m, cv2.MORPH_OPEN, kernel) for m in masks]).astype(bool)


def largest_pieces(masks: np.ndarray) -> np.ndarray:
    """The largest 8-connected piece of each mask: (N, H, W) → bool (N, H, W)."""
    return np.stack([_largest_piece(mask) for mask in masks.astype(np.uint8)])


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 1:  # background only
        return mask.astype(bool)
    return labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def thumbnails(images: np.ndarray, side: int = 32) -> np.ndarray:
    """Each slice (N, H, W) shrunk to `side` × `side` and flattened: float32 (N, side²)."""
    size = (side, side)
    small = [cv2.resize(np.float32(image), size, interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).reshape(len(images), side * side)


def most_similar(new: np.ndarray, known: np.ndarray) -> np.ndarray:
    """For each new thumbnail (N, D) the index of the nearest known one (M, D): int (N,)."""
    distances = (new**2).sum(1)[:, None] - 2 * new @ known.T + (known**2).sum(1)[None]
    return distances.argmin(axis=1)


def copy_score(images: np.ndarray, masks: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Mean Dice if each slice of `test` is given the mask of the most similar slice of `train`.

    `images` are thumbnails (N, D), `masks` (N, H, W), `train` and `test` row numbers.
    """
    copied = masks[train[most_similar(images[test], images[train])]]
    return float(dice(copied, masks[test]).mean())


def held_out_draws(
    groups: np.ndarray, share: float, draws: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random splits of rows into (train, test) row numbers; a group (N,) is never divided.

    Give patients as groups to split by patient, `np.arange(N)` to split by row.
    """
    generator = np.random.default_rng(seed)
    names = np.unique(groups)
    count = max(1, round(share * len(names)))
    drawn = [np.isin(groups, generator.permutation(names)[:count]) for _ in range(draws)]
    return [(np.flatnonzero(~held), np.flatnonzero(held)) for held in drawn]
