"""From a scan's own voxels to the grid of its volume, and back.

The scan is turned to (slice, row, column), resampled to a wanted spacing with its edges kept in
place, and cut or padded to a size. As for slices, the centres of voxels are what counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from samnb.data.geometry import Geometry, geometry_of, to_native


@dataclass(frozen=True)
class VolumeGeometry:
    """All that is needed to take a scan to its volume and a mask back. Axes: z, row, column."""

    scan: Geometry
    whole: tuple[int, int, int]  # voxels of the resampled scan, before it is cut
    start: tuple[int, int, int]  # of the volume in it; negative where the volume is padded
    size: tuple[int, int, int]  # voxels of the volume

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Of the volume, mm: what was wanted, but for the rounding to whole voxels."""
        steps = zip(self.scan.spacing, self.scan.canonical_shape, self.whole, strict=True)
        return tuple(step * old / new for step, old, new in steps)

    @cached_property
    def inside(self) -> tuple[range, range, range]:
        """Which voxels of the resampled scan the volume holds."""
        return tuple(
            range(max(0, start), min(whole, start + size))
            for whole, start, size in zip(self.whole, self.start, self.size, strict=True)
        )

    @property
    def place(self) -> tuple[slice, slice, slice]:
        """Where in the volume these lie; the rest is padding."""
        return tuple(
            slice(inside.start - start, inside.stop - start)
            for inside, start in zip(self.inside, self.start, strict=True)
        )

    def positions(self, axis: int) -> np.ndarray:
        """Where the centres of the voxels inside lie in the scan's own, as fractions of them.

        Never beyond the outermost centres: there the scan goes on as it ends.
        """
        old, new = self.scan.canonical_shape[axis], self.whole[axis]
        return np.clip((np.array(self.inside[axis]) + 0.5) * old / new - 0.5, 0, old - 1)

    def nearest(self, axis: int) -> np.ndarray:
        """The scan's own voxel that holds the centre of each voxel inside."""
        return _nearest(np.array(self.inside[axis]), self.whole[axis], self._own(axis))

    def restore(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the volume, (D, H, W), on the scan's own grid, by the nearest voxel.

        What lies outside of the volume is 0. The dtype stays.
        """
        if mask.shape != self.size:
            raise ValueError(f"expected a mask of {self.size}, found {mask.shape}")
        restored = np.zeros(self.scan.canonical_shape, mask.dtype)
        kept, taken = [], []
        for axis in range(3):
            own = self._own(axis)
            there = _nearest(np.arange(own), own, self.whole[axis]) - self.start[axis]
            held = np.flatnonzero((there >= 0) & (there < self.size[axis]))
            kept.append(held)
            taken.append(there[held])
        restored[np.ix_(*kept)] = mask[np.ix_(*taken)]
        return to_native(restored, self.scan)

    def _own(self, axis: int) -> int:
        return self.scan.canonical_shape[axis]

    def to_record(self) -> dict[str, Any]:
        """Plain values for JSON; `from_record` reads them back exactly."""
        grid = {"whole": self.whole, "start": self.start, "size": self.size}
        return {"shape": self.scan.shape, "affine": self.scan.affine, **grid}


def from_record(record: dict[str, Any]) -> VolumeGeometry:
    scan = geometry_of(record["shape"], np.array(record["affine"]), side=1)
    return VolumeGeometry(scan, *(tuple(record[name]) for name in ("whole", "start", "size")))


def volume_geometry(
    scan: Geometry,
    spacing: Sequence[float] | None,
    size: Sequence[int] | None,
    centre: Sequence[float] | None = None,
) -> VolumeGeometry:
    """Grid of a volume of this spacing (mm) and size (voxels); None keeps the scan's.

    `centre`: its middle in the scan's own voxels, counted from the outer edge of the first, so that
    half their number is the middle of the scan, which None means.
    """
    own = scan.canonical_shape
    whole = tuple(
        max(1, round(count * step / wanted))
        for count, step, wanted in zip(own, scan.spacing, spacing or scan.spacing, strict=True)
    )
    size = whole if size is None else tuple(size)
    middle = [count / 2 for count in own] if centre is None else centre
    start = tuple(
        int(np.floor(at * new / old - length / 2 + 0.5))
        for at, new, old, length in zip(middle, whole, own, size, strict=True)
    )
    return VolumeGeometry(scan, whole, start, size)


def linear(array: np.ndarray, axis: int, positions: np.ndarray) -> np.ndarray:
    """Values between those of a float32 array along one axis; three such steps are trilinear."""
    low = np.floor(positions).astype(np.intp)
    if np.array_equal(low, positions):
        return array.take(low, axis)
    high = np.minimum(low + 1, array.shape[axis] - 1)
    share = np.expand_dims((positions - low).astype(np.float32), tuple(range(1, array.ndim - axis)))
    below = array.take(low, axis)
    return below + (array.take(high, axis) - below) * share


def _nearest(voxels: np.ndarray, count: int, other: int) -> np.ndarray:
    """Which of `other` voxels hold the centres of `voxels`, `count` of which are as long."""
    return ((voxels + 0.5) * other / count).astype(np.intp)
