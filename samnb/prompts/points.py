"""Where to point inside a region: in its middle, spread over it, or at random.

A region is a bool array, (H, W) or (D, H, W). A place is one index along each of its axes, and
distances are in pixels. Beyond the array there is nothing, so its border is an edge of the region.
"""

from collections.abc import Iterable

import cv2
import numpy as np

Place = tuple[int, ...]


def window_of(region: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest window that holds a region; None if there is nothing to hold."""
    window = []
    for axis in range(region.ndim):
        others = tuple(other for other in range(region.ndim) if other != axis)
        occupied = np.flatnonzero(region.any(axis=others))
        if not len(occupied):
            return None
        window.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(window)


def deepest(region: np.ndarray, barred: Iterable[Place] = ()) -> tuple[Place, float] | None:
    """The place farthest from the region's edge (the first of equals), and how far it is.

    That is the maximum of the Euclidean distance transform. `barred` places are passed over; where
    no other is left, the answer is None.
    """
    window = window_of(region)
    if window is None:
        return None
    inner = np.pad(region[window], 1)
    first = [part.start - 1 for part in window]
    planes = inner if region.ndim == 3 else inner[None]
    squared = np.stack([_squared_depth(plane) for plane in planes])
    within = np.array(list(barred), dtype=int).reshape(-1, region.ndim) - first
    within = within[((within >= 0) & (within < inner.shape)).all(axis=1)]
    closed = np.ravel_multi_index(tuple(within.T), inner.shape)
    found = _deepest_flat(squared, closed) if region.ndim == 3 else _largest(squared, closed)
    if found is None:
        return None
    place = np.unravel_index(found[0], inner.shape)
    return tuple(int(i) + start for i, start in zip(place, first, strict=True)), found[1] ** 0.5


def _squared_depth(plane: np.ndarray) -> np.ndarray:
    """Squared distance of each pixel (H, W) to the nearest one outside: whole numbers, float32."""
    depth = cv2.distanceTransform(plane.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(depth * depth, out=depth)


def _largest(values: np.ndarray, closed: np.ndarray) -> tuple[int, float] | None:
    """The flat index of the largest value above zero that is not closed, and the value."""
    open_values = values.ravel().copy()
    open_values[closed] = 0
    best = int(open_values.argmax())
    return (best, float(open_values[best])) if open_values[best] > 0 else None


def _deepest_flat(squared: np.ndarray, closed: np.ndarray) -> tuple[int, float] | None:
    """The largest squared depth in a volume, from those within its planes: (D, H, W).

    The squared depth of a voxel is the least of squared[z ± s] + s² over the planes of its column.
    The whole distance transform of a large organ takes seconds. So we take the exact depth of one
    voxel in each plane, and follow only those that can still be as deep. The first and the last
    plane are empty.
    """
    columns = squared.reshape(len(squared), -1)
    tops, rows = columns.argmax(axis=1), np.arange(len(columns))
    exact = (columns[:, tops] + (rows[:, None] - rows) ** 2).min(axis=0)
    exact[np.isin(rows * columns.shape[1] + tops, closed)] = 0
    bound = max(1.0, float(exact.max()))
    alive = columns >= bound
    alive.ravel()[closed] = False
    step = int(np.ceil(bound**0.5)) - 1
    while step:
        wide_enough = columns >= bound - step**2
        alive[:step] = alive[-step:] = False
        alive[step:] &= wide_enough[:-step]
        alive[:-step] &= wide_enough[step:]
        step //= 2
    places = np.flatnonzero(alive)
    z, column = np.divmod(places, columns.shape[1])
    values, step = columns[z, column], 0
    while len(values) and values.max() > step**2:
        step += 1
        for other in (np.maximum(z - step, 0), np.minimum(z + step, len(columns) - 1)):
            values = np.minimum(values, columns[other, column] + step**2)
        kept = values >= bound
        places, z, column, values = places[kept], z[kept], column[kept], values[kept]
    if not len(values):
        return None
    best = int(values.argmax())
    return int(places[best]), float(values[best])


def spread_points(region: np.ndarray, number: int) -> list[Place]:
    """The deepest place, then each time the one farthest from the edge and from those before.

    A region of fewer pixels has fewer points.
    """
    rest, places = region.copy(), []
    while len(places) < number and (found := deepest(rest)):
        places.append(found[0])
        rest[found[0]] = False
    return places


def random_points(region: np.ndarray, number: int, generator: np.random.Generator) -> list[Place]:
    """Different places, drawn uniformly; a region of fewer pixels has fewer."""
    inside = np.flatnonzero(region)
    drawn = generator.choice(inside, min(number, len(inside)), replace=False)
    return [tuple(map(int, np.unravel_index(place, region.shape))) for place in drawn]
