"""One orientation for every scan, one square grid for every slice, and the way back.

Canonical arrays have the axes (slice z: feet to head, row y: front to back, column x: the patient's
right to left). The patient's right side, and with it the liver, is then on the left of the picture,
as radiologists look at a scan.

A slice is brought to the square model grid as a photograph is brought into a frame: its longer side
in millimetres fills the frame, the shorter one keeps its proportion and is centred, and what stays
free is zero (air). A square CT slice fills the frame entirely.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from nibabel.orientations import io_orientation

from samnb.base.errors import SamnbError

# World axes are right, anterior, superior (RAS+), in mm. For z, row and column: the world axis and
# the direction along it.
CANONICAL = ((2, +1), (1, -1), (0, -1))

# Written on the picture's left, right, top and bottom edge by whoever draws it.
EDGES = {"left": "R", "right": "L", "top": "A", "bottom": "P"}


def canonical_axes(affine: np.ndarray) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Native axis that becomes z, row, column, and whether it is then reversed.

    `affine` is 4 x 4, voxel indices to RAS+ mm. An oblique scan goes by its nearest axes: turning
    it exactly upright would blur its slices and cost the exact way back.
    """
    affine = np.asarray(affine, dtype=np.float64)
    matrix = affine[:3, :3]
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(matrix) < 3:
        raise SamnbError(
            "The affine is singular or not finite, so the scan has no orientation.",
            "repair the header, or export the scan again.",
        )
    orientation = io_orientation(affine)
    world = [int(axis) for axis in orientation[:, 0]]
    axes = tuple(world.index(axis) for axis, _ in CANONICAL)
    flips = tuple(
        int(orientation[native, 1]) != direction
        for native, (_, direction) in zip(axes, CANONICAL, strict=True)
    )
    return axes, flips


@dataclass(frozen=True)
class Geometry:
    """All that is needed to take a scan's planes to the model grid and masks back to the scan."""

    shape: tuple[int, int, int]  # native voxels
    affine: tuple[tuple[float, ...], ...]  # 4 x 4, native voxel indices to RAS+ mm
    side: int  # of the square model grid, pixels

    @cached_property
    def _axes_and_flips(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        return canonical_axes(np.array(self.affine))

    @property
    def axes(self) -> tuple[int, int, int]:
        """Native axes of z, row, column."""
        return self._axes_and_flips[0]

    @property
    def flips(self) -> tuple[bool, bool, bool]:
        """Whether z, row, column run against their native axis."""
        return self._axes_and_flips[1]

    @property
    def canonical_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) of the scan's own voxels."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between slices, rows and columns of the scan's own voxels."""
        steps = np.linalg.norm(np.array(self.affine)[:3, :3], axis=0)
        return tuple(float(steps[axis]) for axis in self.axes)

    @property
    def frame(self) -> tuple[slice, slice]:
        """Rows and columns of the model grid that the slice covers; the rest is padding."""
        _, rows, columns = self.canonical_shape
        _, row_step, column_step = self.spacing
        extents = (rows * row_step, columns * column_step)
        frame = []
        for extent in extents:
            length = max(1, round(self.side * extent / max(extents)))
            start = (self.side - length) // 2
            frame.append(slice(start, start + length))
        return tuple(frame)

    @property
    def model_spacing(self) -> tuple[float, float, float]:
        """As `spacing`, on the model grid: between slices, rows and columns, mm."""
        _, rows, columns = self.canonical_shape
        z_step, row_step, column_step = self.spacing
        down, across = (part.stop - part.start for part in self.frame)
        return z_step, row_step * rows / down, column_step * columns / across

    def native_plane(self, z: int) -> int:
        """Index along native axis `axes[0]` of canonical slice `z`."""
        return self.canonical_shape[0] - 1 - z if self.flips[0] else z

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON; `from_record` reads them back exactly."""
        return {"shape": self.shape, "affine": self.affine, "side": self.side}


def geometry_of(shape: Sequence[int], affine: np.ndarray, side: int) -> Geometry:
    """Geometry of a scan of native `shape` on a model grid of `side` x `side` pixels."""
    rows = tuple(tuple(float(value) for value in row) for row in np.asarray(affine))
    geometry = Geometry(tuple(int(length) for length in shape), rows, int(side))
    canonical_axes(affine)  # a scan without orientation is refused here, not later
    return geometry


def from_record(record: dict[str, Any]) -> Geometry:
    return geometry_of(record["shape"], np.array(record["affine"]), record["side"])


def to_canonical(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    """View of a native array, or of some planes of it along `axes[0]`, as (z, row, column)."""
    turned = np.transpose(array, geometry.axes)
    steps = tuple(slice(None, None, -1 if flip else None) for flip in geometry.flips)
    return turned[steps]


def to_native(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    """View of a canonical (z, row, column) array in the scan's own axis order."""
    steps = tuple(slice(None, None, -1 if flip else None) for flip in geometry.flips)
    return np.transpose(array[steps], np.argsort(geometry.axes))


def fit_image(plane: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Bilinear: canonical plane (rows, columns) -> float32 (side, side), padding 0.

    Pixel centres are kept in place, so halving a slice averages 2 x 2 pixels.
    """
    rows, columns = geometry.frame
    size = (columns.stop - columns.start, rows.stop - rows.start)
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    square = np.zeros((geometry.side, geometry.side), np.float32)
    square[rows, columns] = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
    return square


def fit_mask(plane: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Nearest: canonical plane (rows, columns) of bool or labels -> (side, side), padding 0."""
    rows, columns = geometry.frame
    square = np.zeros((geometry.side, geometry.side), plane.dtype)
    square[rows, columns] = _nearest(plane, (rows.stop - rows.start, columns.stop - columns.start))
    return square


def restore_mask(masks: np.ndarray, slices: Sequence[int], geometry: Geometry) -> np.ndarray:
    """Put masks back on the scan's own grid, nearest neighbour.

    `masks` is (n, side, side), `slices` the n canonical z they belong to. Returns an array of
    `geometry.shape` with the masks' dtype; slices that are not given stay 0.
    """
    size = geometry.canonical_shape[1:]
    return _restore(masks, slices, geometry, lambda plane: _nearest(plane, size), 0)


def restore_logits(
    logits: np.ndarray, slices: Sequence[int], geometry: Geometry, fill: float = -np.inf
) -> np.ndarray:
    """As `restore_mask` for scores: bilinear, float32; slices that are not given hold `fill`."""
    height, width = geometry.canonical_shape[1:]

    def enlarge(plane: np.ndarray) -> np.ndarray:
        plane = np.ascontiguousarray(plane, dtype=np.float32)
        return cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)

    return _restore(np.asarray(logits, np.float32), slices, geometry, enlarge, fill)


def _restore(planes, slices, geometry, enlarge, fill) -> np.ndarray:
    if planes.shape != (len(slices), geometry.side, geometry.side):
        raise ValueError(
            f"expected {len(slices)} planes of side {geometry.side}, found {planes.shape}"
        )
    restored = np.full(geometry.shape, fill, planes.dtype, order="F")
    canonical = to_canonical(restored, geometry)  # a view: writing here writes there
    rows, columns = geometry.frame
    for plane, z in zip(planes, slices, strict=True):
        canonical[z] = enlarge(plane[rows, columns])
    return restored


def _nearest(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour resize to (rows, columns), by pixel centres as the bilinear one."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(size, plane.shape, strict=True)
    )
    return plane.take(rows, axis=0).take(columns, axis=1)
