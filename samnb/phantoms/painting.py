"""From fields to planes of Hounsfield units: shapes are painted one over another, edges soft."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samnb.phantoms.fields import Field, warp


@dataclass(frozen=True)
class Structure:
    """One shape and its layers, outermost first: each is (depth below the surface in mm, HU).

    `label` is the number in the label map of everything inside the surface (None: keep what is
    there; 0: clear). A layer of negative depth is a coat of fat outside the organ. `grain` is the
    strength (HU) of the tissue's own texture.
    """

    field: Field
    layers: tuple[tuple[float, float], ...]
    label: int | None = 0
    grain: float = 0.0
    fixed: bool = False  # does not turn with the patient: the table
    sheet: float | None = None  # paint only within this many mm of the surface, on both sides


@dataclass(frozen=True)
class Pose:
    """How the standard body lies in the scanner: scale per axis (z, y, x), degrees about z."""

    scale: tuple[float, float, float]
    turn: float

    def matrix(self, pixel: float, corner: tuple[float, float], fixed: bool = False) -> np.ndarray:
        """2 × 3: from (column, row) of a plane to (x, y) of the standard body, both mm.

        `corner` is the scanner position (y, x) of the first pixel's centre.
        """
        angle = 0.0 if fixed else np.radians(self.turn)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        shrink = np.diag([1 / self.scale[2], 1 / self.scale[1]])
        linear = shrink @ turn
        return np.column_stack([linear * pixel, linear @ np.array([corner[1], corner[0]])])


@dataclass(frozen=True)
class Frame:
    """The planes to paint: pixel (mm), scanner position (y, x) of the first one, side in pixels."""

    pixel: float
    corner: tuple[float, float]
    shape: tuple[int, int]


class Painter:
    """Paints planes of one patient in one frame."""

    def __init__(
        self, structures: Sequence[Structure], pose: Pose, frame: Frame, texture: np.ndarray
    ):
        self.pose, self.frame, self.texture = pose, frame, texture
        self.placed = [(item, self._matrix(item)) for item in structures]

    def _matrix(self, item: Structure) -> np.ndarray:
        """2 × 3: from pixels (column, row) to nodes (column, row) of the structure's own grid."""
        grid, frame = item.field.grid, self.frame
        matrix = self.pose.matrix(frame.pixel, frame.corner, item.fixed)
        matrix = (matrix - np.array([[0, 0, grid.origin[2]], [0, 0, grid.origin[1]]])) / np.array(
            [[grid.step[2]], [grid.step[1]]]
        )
        return matrix

    def _box(
        self, source: np.ndarray, matrix: np.ndarray, reach: float
    ) -> tuple[slice, slice] | None:
        """The pixels (rows, columns) where a plane of distances lies within `reach` mm."""
        near = source < reach
        columns, rows = np.flatnonzero(near.any(axis=0)), np.flatnonzero(near.any(axis=1))
        if not len(columns):
            return None
        spans = [(c, r) for c in columns[[0, -1]] + [-1, 1] for r in rows[[0, -1]] + [-1, 1]]
        pixels = np.linalg.solve(matrix[:, :2], (np.array(spans) - matrix[:, 2]).T)
        limit = self.frame.shape[::-1]
        low = np.clip(np.floor(pixels.min(axis=1)), 0, limit).astype(int)
        high = np.clip(np.ceil(pixels.max(axis=1)) + 1, 0, limit).astype(int)
        if np.any(high <= low):
            return None
        return slice(low[1], high[1]), slice(low[0], high[0])

    def plane(self, z: float, labels: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """HU (float32) and, if wanted, labels (uint8) of the plane at scanner height z (mm)."""
        hu = np.full(self.frame.shape, -1000.0, np.float32)
        label = np.zeros(self.frame.shape, np.uint8) if labels else None
        grain = self._grain(z)
        edge = max(self.frame.pixel, 0.8) * 1.1
        for item, matrix in self.placed:
            source = item.field.plane(z / self.pose.scale[0])
            if source is None:
                continue
            box = self._box(source, matrix, edge - item.layers[0][0] + (item.sheet or 0))
            if box is None:
                continue
            shift = matrix[:, :2] @ np.array([box[1].start, box[0].start])
            local = np.column_stack([matrix[:, :2], matrix[:, 2] + shift])
            distance = warp(source, local, hu[box].shape)
            if item.sheet is not None:
                distance = np.abs(distance) - np.float32(item.sheet)
            _paint(hu[box], distance, item, grain[box], edge)
            if label is not None and item.label is not None:
                label[box][distance < 0] = item.label
        return hu, label

    def _grain(self, z: float) -> np.ndarray:
        """The tissue texture in this plane: the periodic block at 2 mm, turned with the body."""
        block = self.texture
        at = z / 2.0
        low = int(np.floor(at))
        share = at - low
        plane = cv2.addWeighted(
            block[low % len(block)], 1 - share, block[(low + 1) % len(block)], share, 0
        )
        plane /= np.sqrt(share**2 + (1 - share) ** 2)
        scale = self.frame.pixel / 2.0
        matrix = np.array([[scale, 0.1, 0], [-0.1, scale, 0]])
        return cv2.warpAffine(
            plane, matrix, self.frame.shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip


def _paint(
    hu: np.ndarray, distance: np.ndarray, item: Structure, grain: np.ndarray, edge: float
) -> None:
    """Blend the layers of one structure into `hu` in place."""
    for depth, value in item.layers:
        share = np.clip(distance * np.float32(-1 / edge) + np.float32(0.5 - depth / edge), 0, 1)
        colour = grain * np.float32(item.grain) + np.float32(value) if item.grain else value
        hu += share * (colour - hu)
