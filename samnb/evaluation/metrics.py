"""How well masks fit the truth: Dice, IoU, Hausdorff distance, its 95th percentile, surface Dice.

What is measured is pinned here, because tools of the same names differ:

- The **border** of a mask is every pixel of it that has a pixel outside the mask beside it (across
  a side, not a corner). What lies beyond the image is outside.
- A **distance** runs from the centre of a border pixel to the centre of the nearest border pixel of
  the other mask. It is float32, so that 3 × 0.1 mm is within a tolerance of 0.3 mm.
- A percentile (HD95) is taken **per direction**, interpolated linearly, and the larger of the two
  counts. Pooling both directions first gives another number.
- Surface Dice counts border pixels; it does not weigh them by the area they stand for.

These are MONAI's definitions. Without `spacing` distances are in pixels; with it, in its unit (mm).

**Empty masks.** Both empty: Dice, IoU and surface Dice 1, distances 0. One empty: Dice, IoU and
surface Dice 0, and both distances the diagonal of the whole image, in the same unit. Nothing is
ever left out of a mean.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import KDTree

METRICS = ("dice", "iou", "hd", "hd95", "surface_dice")
MATRIX_LIMIT = 400_000  # entries of a distance matrix above which a tree is faster
MATRIX_SIDE = 1024  # pixels along a side up to which that matrix is exact


def dice(predictions: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Dice of each pair of masks: (N, ...) of anything that is true inside → (N,) float64.

    Two empty masks are equal: 1. One empty mask misses everything: 0.
    """
    shared, total = _counts(predictions, truths)
    return _share(2 * shared, total)


def iou(predictions: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair of masks: (N, ...) → (N,) float64."""
    shared, total = _counts(predictions, truths)
    return _share(shared, total - shared)


def hausdorff(
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float] | None = None,
    percentile: float = 100.0,
) -> float:
    """Hausdorff distance of two masks (H, W) or (D, H, W); percentile=95 gives HD95.

    spacing: size of a pixel along each axis of the masks, in mm; None measures in pixels.
    """
    return _larger(surface_distances(prediction, truth, spacing), percentile)


def surface_dice(
    prediction: np.ndarray,
    truth: np.ndarray,
    tolerance: float,
    spacing: Sequence[float] | None = None,
) -> float:
    """Share of both borders within `tolerance` of the other border (NSD), for masks (H, W) or
    (D, H, W). The tolerance is in pixels, or in mm with `spacing`; a distance equal to it is
    within.
    """
    return _share_within(surface_distances(prediction, truth, spacing), tolerance)


def measure(
    prediction: np.ndarray,
    truth: np.ndarray,
    tolerance: float,
    spacing: Sequence[float] | None = None,
) -> dict[str, float]:
    """Every metric of METRICS for one pair of masks; the distances are computed once.

    A slice (H, W) without spacing is measured in pixels, a scan (D, H, W) with its spacing in mm;
    so is the tolerance of the surface Dice.
    """
    shared, total = _counts(prediction[None], truth[None])
    distances = surface_distances(prediction, truth, spacing)
    return {
        "dice": float(_share(2 * shared, total)[0]),
        "iou": float(_share(shared, total - shared)[0]),
        "hd": _larger(distances, 100.0),
        "hd95": _larger(distances, 95.0),
        "surface_dice": _share_within(distances, tolerance),
    }


def measure_slices(
    predictions: np.ndarray, truths: np.ndarray, tolerance: float
) -> dict[str, np.ndarray]:
    """Every metric of METRICS for each pair of slices (N, H, W), in pixels → name: (N,) float64."""
    predictions, truths = _pair(predictions, truths)
    cases = [
        measure(prediction, truth, tolerance)
        for prediction, truth in zip(predictions, truths, strict=True)
    ]
    return {name: np.array([case[name] for case in cases], dtype=float) for name in METRICS}


def surface_distances(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each border pixel of the prediction (P,) float32 to the truth's border, and
    from each border pixel of the truth (T,) to the prediction's. Masks are (H, W) or (D, H, W).

    Where a mask is empty, each direction has one distance: 0 if both are, else the diagonal.
    """
    prediction, truth = _pair(prediction, truth)
    if not (prediction.any() and truth.any()):
        alone = prediction.any() or truth.any()
        distance = _diagonal(prediction.shape, spacing) if alone else 0.0
        return (np.full(1, distance, np.float32),) * 2
    window = _bounding_window(prediction | truth)
    here, there = _border_points(prediction[window], truth[window])
    few = here.shape[1] * there.shape[1] <= MATRIX_LIMIT and max(truth.shape) <= MATRIX_SIDE
    if spacing is None and few:
        return _nearest_by_matrix(here, there)
    return _nearest_by_tree(here, there, 1.0 if spacing is None else spacing)


def _pair(predictions: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predictions, truths = np.asarray(predictions, dtype=bool), np.asarray(truths, dtype=bool)
    if predictions.shape != truths.shape:
        raise ValueError(f"masks of unequal shapes: {predictions.shape} and {truths.shape}")
    return predictions, truths


def _counts(predictions: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in both masks of each pair, and the sum of their two sizes: (N, ...) → (N,) int64."""
    predictions, truths = _pair(predictions, truths)
    return _sizes(predictions & truths), _sizes(predictions) + _sizes(truths)


def _sizes(masks: np.ndarray) -> np.ndarray:
    """Pixels inside each mask. One call per mask is far faster than count_nonzero along axes."""
    return np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of whole; 1 of nothing, by the rule for two empty masks."""
    return np.where(whole == 0, 1.0, part / np.maximum(whole, 1))


def _diagonal(shape: Sequence[int], spacing: Sequence[float] | None) -> float:
    """From corner to corner of the whole image: longer than any distance between its pixels."""
    return float(np.linalg.norm(np.multiply(shape, 1.0 if spacing is None else spacing)))


def _bounding_window(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest window that holds a mask which is not empty.

    No margin is needed: what lies beyond the window is outside, as beyond an image.
    """
    window = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = mask.any(axis=others)
        window.append(slice(occupied.argmax(), len(occupied) - occupied[::-1].argmax()))
        mask = mask[(slice(None),) * axis + (window[-1],)]
    return tuple(window)


def _border_points(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the border pixels of two masks of one shape: (axes, P) and (axes, T) int64.

    Both are laid into one array with a rim of False around each, and that is read as a line: the
    neighbours along an axis are then one fixed step before and behind, and no step leaves a mask.
    """
    padded = np.zeros((2, *(size + 2 for size in truth.shape)), dtype=bool)
    within = (slice(1, -1),) * truth.ndim
    padded[0][within], padded[1][within] = prediction, truth
    line = padded.ravel()
    inner = line.copy()
    for step in padded.strides[1:]:  # a bool is one byte, so bytes are steps
        inner[step:] &= line[:-step]
        inner[:-step] &= line[step:]
    found = np.flatnonzero(line ^ inner)
    points = np.array(np.unravel_index(found, padded.shape)[1:])
    first = np.searchsorted(found, padded[0].size)
    return points[:, :first], points[:, first:]


def _nearest_by_matrix(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels to the nearest point of the other set: (axes, P), (axes, T) → (P,), (T,) float32.

    One product of matrices gives every |a - b|² = -2ab + |a|² + |b|². Counted from a point of the
    masks these are whole numbers below 2²⁴ up to MATRIX_SIDE, which float32 holds exactly.
    """
    axes, origin = len(here), here[:, :1]
    left = np.ones((axes + 2, here.shape[1]), np.float32)
    right = np.ones((axes + 2, there.shape[1]), np.float32)
    left[:axes], right[:axes] = here - origin, there - origin
    left[axes], right[axes + 1] = ((points[:axes] ** 2).sum(axis=0) for points in (left, right))
    right[:axes] *= -2
    squared = (left.T @ right).view(np.int32)  # numbers ≥ 0 keep their order, and compare faster
    return tuple(np.sqrt(squared.min(axis=axis).view(np.float32)) for axis in (1, 0))


def _nearest_by_tree(
    here: np.ndarray, there: np.ndarray, spacing: Sequence[float] | float
) -> tuple[np.ndarray, np.ndarray]:
    """The same for many points, or in mm. Only borders are searched, never the whole volume."""
    shape = np.maximum(here.max(axis=1), there.max(axis=1)) + 1
    keys = [np.ravel_multi_index(tuple(points), tuple(shape)) for points in (here, there)]
    places = [points.T * np.asarray(spacing) for points in (here, there)]
    return (
        _nearest(places[0], places[1], _not_in(keys[0], keys[1], shape.prod())),
        _nearest(places[1], places[0], _not_in(keys[1], keys[0], shape.prod())),
    )


def _not_in(keys: np.ndarray, others: np.ndarray, size: int) -> np.ndarray:
    """Which of some whole numbers below `size` are not among others: a table is fastest."""
    among = np.zeros(size, dtype=bool)
    among[others] = True
    return ~among[keys]


def _nearest(points: np.ndarray, others: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Distances of points (P, axes) to the nearest of others; those not `apart` are among them."""
    tree = KDTree(others, leafsize=32, balanced_tree=False, compact_nodes=False)
    distances = np.zeros(len(points), dtype=np.float32)
    distances[apart] = tree.query(points[apart])[0]
    return distances


def _larger(distances: tuple[np.ndarray, np.ndarray], percentile: float) -> float:
    """The larger of the two directions' percentiles."""
    return max(_percentile(direction, percentile) for direction in distances)


def _percentile(values: np.ndarray, percentile: float) -> float:
    """What np.percentile gives for (N,) float32, without its overhead per slice."""
    rank = percentile / 100.0 * (len(values) - 1)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    ordered = np.partition(values, (low, high))
    return float(ordered[low]) + (rank - low) * float(ordered[high] - ordered[low])


def _share_within(distances: tuple[np.ndarray, np.ndarray], tolerance: float) -> float:
    """Share of the distances of both directions together that are at most the tolerance."""
    within = sum(np.count_nonzero(direction <= tolerance) for direction in distances)
    return float(within / sum(len(direction) for direction in distances))
