"""Shapes as fields: the distance to a surface in mm on a coarse grid, negative inside.

A distance varies smoothly, so a 3 mm grid of it still draws a sharp, rounded edge at any finer
spacing, and one field draws several nested layers (a wall, its lumen) by its level sets.
Arrays and points are in (z, y, x) order: z up, y to the back, x to the patient's left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

FAR = 40.0  # mm; distances beyond it need not be known

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A regular grid: position of its first node and distance between nodes (mm), and its size."""

    origin: Point
    step: Point
    shape: tuple[int, int, int]

    @classmethod
    def around(
        cls, low: Sequence[float], high: Sequence[float], step: float | Point = 3.0
    ) -> "Grid":
        """The grid that covers the box from `low` to `high`."""
        steps = (step, step, step) if isinstance(step, (int, float)) else step
        shape = [int(np.ceil((h - a) / s)) + 1 for a, h, s in zip(low, high, steps, strict=True)]
        return cls(tuple(map(float, low)), tuple(map(float, steps)), tuple(shape))

    def axes(self) -> list[np.ndarray]:
        """Coordinates along z, y and x, float32, shaped to broadcast to the whole grid."""
        lines = [
            np.float32(a) + np.float32(s) * np.arange(n, dtype=np.float32)
            for a, s, n in zip(self.origin, self.step, self.shape, strict=True)
        ]
        return [lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :]]

    @property
    def end(self) -> Point:
        return tuple(
            a + s * (n - 1) for a, s, n in zip(self.origin, self.step, self.shape, strict=True)
        )


@dataclass(frozen=True)
class Field:
    """Distances (mm) on a grid, float32 (z, y, x); far outside wherever the grid does not reach."""

    grid: Grid
    values: np.ndarray

    def plane(self, z: float) -> np.ndarray | None:
        """Distances (y, x) at height z, or None where the shape does not reach."""
        at = (z - self.grid.origin[0]) / self.grid.step[0]
        below = int(np.floor(at))
        if not 0 <= below < len(self.values) - 1:
            return None
        first, second = self.values[below], self.values[below + 1]
        return cv2.addWeighted(first, 1.0 - (at - below), second, at - below, 0.0)

    def onto(self, grid: Grid) -> np.ndarray:
        """The same distances on another grid."""
        _, height, width = grid.shape
        here = self.grid
        matrix = np.array(
            [
                [grid.step[2] / here.step[2], 0, (grid.origin[2] - here.origin[2]) / here.step[2]],
                [0, grid.step[1] / here.step[1], (grid.origin[1] - here.origin[1]) / here.step[1]],
            ]
        )
        result = np.full(grid.shape, FAR, np.float32)
        for index, z in enumerate(grid.axes()[0].ravel()):
            plane = self.plane(float(z))
            if plane is not None:
                result[index] = warp(plane, matrix, (height, width))
        return result

    def keep_off(self, other: "Field", gap: float) -> "Field":
        """This shape with everything nearer than `gap` mm to `other` taken away."""
        return Field(self.grid, np.maximum(self.values, gap - other.onto(self.grid)))

    def keep_in(self, other: "Field", gap: float) -> "Field":
        """This shape with all that is outside `other`, or within `gap` mm of its edge, cut off."""
        return Field(self.grid, np.maximum(self.values, gap + other.onto(self.grid)))

    def volume(self) -> float:
        """Millilitres inside."""
        return float(np.count_nonzero(self.values < 0) * np.prod(self.grid.step) / 1000)


def warp(plane: np.ndarray, matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`plane` read at matrix @ (column, row, 1) for each pixel of the new shape; FAR beyond it."""
    return cv2.warpAffine(
        plane,
        matrix,
        shape[::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FAR,
    )


def smooth_minimum(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Union of two shapes with the crease between them filled over about `width` mm."""
    overlap = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - overlap * overlap * (width / 4)


def smooth_maximum(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Intersection of two shapes with the edge between them rounded over about `width` mm."""
    return -smooth_minimum(-a, -b, width)


def waves(
    axes: Sequence[np.ndarray],
    generator: np.random.Generator,
    length: tuple[float, float],
    amplitude: float,
    count: int = 8,
) -> np.ndarray:
    """A smooth random field: plane waves of random direction, wavelength within `length` (mm).

    Its standard deviation is `amplitude`. Each wave is an outer product of three complex
    exponentials, so the whole costs one matrix product.
    """
    direction = generator.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction *= 2 * np.pi / generator.uniform(*length, size=(count, 1))
    phase = generator.uniform(0, 2 * np.pi, count)
    z, y, x = (
        np.exp(1j * np.outer(axis.ravel(), direction[:, index]), dtype=np.complex64)
        for index, axis in enumerate(axes)
    )
    z = z * (np.exp(1j * phase) * amplitude * np.sqrt(2 / count)).astype(np.complex64)
    planes = (z[:, None, :] * y[None, :, :]).reshape(-1, count)
    return (planes @ x.T).real.reshape(len(z), len(y), len(x))


def ellipsoid(
    axes: Sequence[np.ndarray], centre: Point, radii: Point, turn: np.ndarray | None = None
) -> np.ndarray:
    """Distance to an ellipsoid, near enough; `turn` rotates it (3 × 3, in z, y, x order)."""
    offset = [axis - np.float32(c) for axis, c in zip(axes, centre, strict=True)]
    if turn is not None:
        offset = [
            sum(np.float32(turn[j, i]) * offset[j] for j in range(3)) for i in range(3)
        ]  # the inverse rotation
    scaled = [d / np.float32(r) for d, r in zip(offset, radii, strict=True)]
    level = np.sqrt(sum(s * s for s in scaled))
    slope = np.sqrt(sum((s / np.float32(r)) ** 2 for s, r in zip(scaled, radii, strict=True)))
    return level * (level - 1) / np.maximum(slope, 1e-6)


def rotation(about_z: float = 0.0, about_y: float = 0.0, about_x: float = 0.0) -> np.ndarray:
    """Rotation matrix in (z, y, x) order from angles in degrees."""
    result = np.eye(3)
    for angle, (i, j) in ((about_z, (1, 2)), (about_y, (0, 2)), (about_x, (0, 1))):
        turn = np.eye(3)
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn[i, i], turn[j, j], turn[i, j], turn[j, i] = cos, cos, -sin, sin
        result = turn @ result
    return result


def smooth_path(points: Sequence[Sequence[float]], spacing: float = 6.0) -> np.ndarray:
    """A spline through rows of (z, y, x, radius ...), read about every `spacing` mm."""
    knots = np.asarray(points, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots[:, :3], axis=0), axis=1))])
    count = max(int(along[-1] / spacing), 1) + 1
    return CubicSpline(along, knots)(np.linspace(0, along[-1], count))


def tube(
    grid: Grid, path: np.ndarray, values: np.ndarray | None = None, reach: float = 12.0
) -> np.ndarray:
    """Distance to a tube along rows of (z, y, x, radius), joined to `values` if given.

    Only nodes within `reach` mm of the tube's surface are touched; the rest stay as they were.
    """
    if values is None:
        values = np.full(grid.shape, FAR, np.float32)
    origin, step = np.array(grid.origin), np.array(grid.step)
    axes = [axis.ravel() for axis in grid.axes()]
    for start, stop in pairwise(path):
        margin = max(start[3], stop[3]) + reach
        low = np.minimum(start[:3], stop[:3]) - margin
        high = np.maximum(start[:3], stop[:3]) + margin
        first = np.clip(np.floor((low - origin) / step), 0, grid.shape).astype(int)
        last = np.clip(np.ceil((high - origin) / step) + 1, 0, grid.shape).astype(int)
        if np.any(last <= first):
            continue
        box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        offset = np.ix_(*(axis[part] for axis, part in zip(axes, box, strict=True)))
        offset = [o - np.float32(s) for o, s in zip(offset, start[:3], strict=True)]
        way = (stop[:3] - start[:3]).astype(np.float32)
        share = sum(o * w for o, w in zip(offset, way, strict=True))
        share = np.clip(share / max(float(way @ way), 1e-6), 0, 1)
        square = sum((o - share * w) ** 2 for o, w in zip(offset, way, strict=True))
        radius = np.float32(start[3]) + share * np.float32(stop[3] - start[3])
        np.minimum(values[box], np.sqrt(square) - radius, out=values[box])
    return values


def tube_field(paths: Sequence[np.ndarray], step: float = 3.0, reach: float = 12.0) -> Field:
    """One field for a set of tubes, on the smallest grid that holds them."""
    points = np.concatenate(paths)
    margin = points[:, 3:4] + 2 * step
    grid = Grid.around(
        (points[:, :3] - margin).min(axis=0), (points[:, :3] + margin).max(axis=0), step
    )
    values = np.full(grid.shape, FAR, np.float32)
    for path in paths:
        tube(grid, path, values, reach)
    return Field(grid, values)
