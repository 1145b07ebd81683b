"""Ways through a body that is built already: found in its fields, kept off what lies there."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import map_coordinates

from samnb.phantoms.fields import FAR, Field, Grid

Obstacle = tuple[Field, float]  # a shape, and the gap (mm) to leave between surfaces


def distance_at(field: Field, points: np.ndarray) -> np.ndarray:
    """Distances (mm) to a shape at points (n, 3) in z, y, x: (n,)."""
    nodes = (np.asarray(points, float) - field.grid.origin) / np.array(field.grid.step)
    return map_coordinates(field.values, nodes.T, order=1, cval=FAR)


def outward(field: Field, points: np.ndarray, step: float = 3.0) -> np.ndarray:
    """Unit vectors (n, 3) that lead away from a shape; zero where its distance is flat."""
    slope = np.stack(
        [
            distance_at(field, points + offset) - distance_at(field, points - offset)
            for offset in step * np.eye(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(slope, axis=1, keepdims=True)
    return slope / np.maximum(length, 1e-6)


def ease(path: np.ndarray, obstacles: Sequence[Obstacle], rounds: int = 40) -> np.ndarray:
    """A path of rows (z, y, x, radius) pushed off obstacles and kept smooth; its ends stay."""
    path = np.array(path, float)
    for _ in range(rounds):
        middle = path[1:-1, :3]
        for field, gap in obstacles:
            lacking = path[1:-1, 3] + gap - distance_at(field, middle)
            middle += 0.5 * np.clip(lacking, 0, 6)[:, None] * outward(field, middle)
        middle += 0.3 * ((path[:-2, :3] + path[2:, :3]) / 2 - middle)
    return path


def settle(
    points: np.ndarray, radius: float, obstacles: Sequence[Obstacle], rounds: int = 40
) -> np.ndarray:
    """How far (z, y, x; mm) a stiff set of points (n, 3) must move to be clear of obstacles.

    It moves within its plane only: the height of an organ stays what it is.
    """
    move = np.zeros(3)
    for _ in range(rounds):
        for field, gap in obstacles:
            moved = points + move
            lacking = np.clip(radius + gap - distance_at(field, moved), 0, 6)
            push = (lacking[:, None] * outward(field, moved)).sum(axis=0)
            move += [0, *0.5 * push[1:] / max(np.count_nonzero(lacking), 1)]
    return move


def nodes_inside(field: Field, depth: float = 0.0) -> np.ndarray:
    """Positions (n, 3) of the grid's nodes that lie deeper than `depth` mm in a shape."""
    return np.argwhere(field.values < -depth) * np.array(field.grid.step) + field.grid.origin


def nearest(points: np.ndarray, place: Sequence[float]) -> np.ndarray:
    """The one of some points (n, 3) that is nearest to a place."""
    return points[np.argmin(np.linalg.norm(points - np.asarray(place), axis=1))]


def grown(field: Field, more: float) -> Field:
    """A shape that is `more` mm thicker all around."""
    return Field(field.grid, (field.values - np.float32(more)).astype(np.float32))


def trunk(field: Field, bottom: float) -> Field:
    """A vertical vessel without its branches, above height `bottom`: of each plane the widest.

    Around the middle of what lies deepest, so far as that is deep: a branch begins beyond.
    """
    z, y, x = field.grid.axes()
    keep = np.full(field.grid.shape, FAR, np.float32)
    for index, height in enumerate(z.ravel()):
        plane = field.values[index]
        depth = -float(plane.min())
        if height < bottom or depth <= 0:
            continue
        deep = np.maximum(-plane - 0.5 * depth, 0)
        centre = [float((axis[0] * deep).sum() / deep.sum()) for axis in (y, x)]
        round_off = np.hypot(y[0] - centre[0], x[0] - centre[1]) - (depth + 2.5)
        keep[index] = np.maximum(plane, round_off)
    return Field(field.grid, keep)


def around(points: np.ndarray, margin: float, step: float) -> Grid:
    """The grid about some points (n, 3), `margin` mm beyond them."""
    return Grid.around(points.min(axis=0) - margin, points.max(axis=0) + margin, step)
