"""Cached volumes: whole scans on one grid, read from memory-mapped arrays.

A cache is a folder named by a hash of its source files, its settings and the code that makes it.
For the scan of row N of the index it holds

    N.images.npy  (C, D, H, W) uint16, 0–65535 for 0–1, one for each channel
    N.masks.npy   (K, D, H, W) uint8, 0 or 1, one for each target

and labels.npy, index.csv, scans.json, faults.json, content.json, as the cache of slices does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from samnb.base.definitions import digest, reached
from samnb.base.errors import DataError, SamnbError
from samnb.base.files import read_json, write_json
from samnb.data.caches import CONTENT, Job, Recipe, hash_of, plain_numbers, prepare_cache
from samnb.data.geometry import Geometry, geometry_of
from samnb.data.grid import VolumeGeometry, from_record, linear, volume_geometry
from samnb.data.layouts import Scan, ScanFiles, open_scan
from samnb.data.parts import keep_part, read_part_arrays, read_part_tables
from samnb.data.settings import VolumeSettings
from samnb.data.slicing import (
    LEVELS,
    UNKNOWN,
    canonical_blocks,
    check_window,
    label_planes,
    levels_of,
    open_labelled,
    source_name,
    windows_of,
)
from samnb.data.volume import Volume

# Where the code begins that decides what a cache holds.
MAKING = ("samnb.data.volumes.build_volume", "samnb.data.volumes.join_volumes")
NAMES = ("image", "label", "targets")  # of a scan's record: they change no voxel


@dataclass(frozen=True)
class ScanVolume:
    """What one scan gives to a cache of volumes."""

    images: np.ndarray  # (C, D, H, W) uint16, see LEVELS
    masks: np.ndarray  # (K, D, H, W) uint8, 0 or 1
    columns: dict[str, list[int]]  # of the index table, one value each
    record: dict[str, Any]  # of the scan: files, geometry, windows


@dataclass(frozen=True)
class VolumeSet:
    """Volumes of a cohort. `index` has one row per scan, in the order of the labels.

    Its columns: patient; scan; label (1: any target present, 0: none, -1: not known); spacing_z,
    spacing_row, spacing_column of the volume and native_z, native_row, native_column of the scan,
    mm; source (the image file of the first channel).
    """

    folder: Path
    labels: np.ndarray  # (N, K) int8: 1, 0, or -1 where it is not known
    index: pd.DataFrame
    scans: dict[str, dict[str, Any]]  # by scan, see scans.json

    def __len__(self) -> int:
        return len(self.index)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the K targets."""
        return tuple(next(iter(self.scans.values()))["targets"])

    @property
    def patients(self) -> list[str]:
        """In the order of their scans."""
        return list(self.index["patient"].unique())

    def rows_of(self, patients: Sequence[str]) -> np.ndarray:
        """Row numbers of all scans of these patients."""
        return np.flatnonzero(self.index["patient"].isin(list(patients)))

    def arrays(self, row: int) -> tuple[np.memmap, np.memmap]:
        """Image (C, D, H, W) uint16, masks (K, D, H, W) uint8 of one scan, still on disk."""
        image, masks = (np.load(path, mmap_mode="r") for path in _paths(self.folder, row))
        return image, masks

    def load(self, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, C, D, H, W) float32 from 0 to 1, masks (n, K, D, H, W) uint8.

        They must have one size: either by the settings, or because only one is asked for.
        """
        found = [self.arrays(row) for row in rows]
        sizes = {image.shape[1:] for image, _ in found}
        if len(sizes) > 1:
            raise SamnbError(
                f"Volumes of different sizes, {' and '.join(map(str, sorted(sizes)[:2]))}.",
                "give VolumeSettings a size, or load them one by one.",
            )
        images = np.stack([image for image, _ in found]).astype(np.float32)
        images /= LEVELS
        return images, np.stack([masks for _, masks in found])

    def spacing(self, row: int) -> tuple[float, float, float]:
        """Of a volume between slices, rows and columns, mm."""
        return self.geometry(row).spacing

    def geometry(self, row: int) -> VolumeGeometry:
        return from_record(self.scans[self.index.loc[row, "scan"]])

    def restore(self, row: int, mask: np.ndarray) -> np.ndarray:
        """A mask (D, H, W) of a volume on its scan's own grid and axes, by the nearest voxel."""
        return self.geometry(row).restore(mask)


def prepare(
    scans: Sequence[ScanFiles],
    settings: VolumeSettings,
    root: Path,
    workers: int = 2,
    progress: bool = True,
    labelled: bool = True,
) -> tuple[VolumeSet, list[DataError]]:
    """Make volumes of these scans in a cache below `root`, or reuse the finished one.

    Bad scans cost nothing but themselves: the good ones are finished, the faults of the others are
    returned, and tried anew by the next call. `labelled=False` takes scans without segmentation.
    """
    check_settings(settings)
    recipe = Recipe(build_volume, _join, _making_code())
    root = Path(root)
    folder, faults = prepare_cache(scans, settings, labelled, root, recipe, workers, progress)
    return load(folder), faults


def check_settings(settings: VolumeSettings) -> None:
    """Refuse settings no volume can be made with."""
    check_window(settings)
    given = [values for values in (settings.spacing, settings.size) if values is not None]
    if any(len(values) != 3 or min(values) <= 0 for values in given):
        raise SamnbError(
            f"Volumes of spacing {settings.spacing} and size {settings.size} cannot be made.",
            "give three numbers above 0 each, for slices, rows and columns, or null.",
        )
    if settings.around_label and settings.size is None:
        raise SamnbError("A whole volume has no place around the label.", "give it a size.")


def load(folder: Path) -> VolumeSet:
    """Open a finished cache; nothing is read into memory but its tables."""
    names = dict.fromkeys(("patient", "scan", "source"), str)
    index = pd.read_csv(folder / "index.csv", dtype=names)
    return VolumeSet(
        folder, np.load(folder / "labels.npy"), index, read_json(folder / "scans.json")
    )


def build_volume(job: Job) -> DataError | None:
    """Make the part file of one scan; a fault of the scan is returned, not raised."""
    try:
        volume = volume_of(job.files, job.settings, job.labelled)
    except DataError as fault:
        return fault
    return keep_part(job.part, volume)


def volume_of(files: ScanFiles, settings: VolumeSettings, labelled: bool) -> ScanVolume:
    """Read one scan; any fault of it is a `DataError`.

    `labelled=False` takes scans without segmentation: masks are 0, the label `UNKNOWN`.
    """
    scan = open_labelled(files) if labelled else open_scan(files)
    native = geometry_of(scan.shape, scan.affine, side=1)
    centre = _label_centre(scan, native) if settings.around_label else None
    grid = volume_geometry(native, settings.spacing, settings.size, centre)
    windows = windows_of(scan, settings, native, range(native.canonical_shape[0]))
    channels = zip(scan.images, windows, strict=True)
    images = np.stack([_resampled(image, grid, window) for image, window in channels])
    masks = _masks(scan, grid)
    label = int(masks.any()) if scan.labels else UNKNOWN
    record = {
        "patient": files.patient,
        "scan": files.scan,
        "image": source_name(files.image),
        "label": source_name(files.label) if files.labels else None,
        "targets": list(scan.targets),
        "window": [value for window in windows for value in window],
        **grid.to_record(),
    }
    return ScanVolume(images, masks, {"label": [label]}, record)


def _label_centre(scan: Scan, native: Geometry) -> list[float] | None:
    """Middle of the box around all targets, as `volume_geometry` counts; None without any."""
    seen = [np.zeros(length, bool) for length in native.canonical_shape]
    for z, planes in label_planes(scan, native, range(native.canonical_shape[0])):
        found = np.any([scan.target_of(each, k) for k, each in enumerate(planes)], axis=0)
        seen[0][z] = found.any()
        seen[1] |= found.any(axis=1)
        seen[2] |= found.any(axis=0)
    if not seen[0].any():
        return None
    ends = [np.flatnonzero(along)[[0, -1]] for along in seen]
    return [float(first + last + 1) / 2 for first, last in ends]


def _resampled(image: Volume, grid: VolumeGeometry, window: tuple[float, float]) -> np.ndarray:
    """One channel on the grid, trilinearly: (D, H, W) uint16, see `LEVELS`."""
    down, across = grid.positions(1), grid.positions(2)
    height = grid.positions(0)
    needed = range(int(np.floor(height[0])), int(np.ceil(height[-1])) + 1)
    planes = np.empty((len(needed), len(down), len(across)), np.float32)
    for places, block in canonical_blocks(image, grid.scan, needed):
        # Cut first, then resample: metal and bone would otherwise bleed into their neighbours.
        levels = linear(levels_of(block, window), 1, down)
        planes[places.start : places.stop] = linear(levels, 2, across)
    volume = np.zeros(grid.size, np.uint16)
    volume[grid.place] = np.rint(linear(planes, 0, height - needed.start))
    return volume


def _masks(scan: Scan, grid: VolumeGeometry) -> np.ndarray:
    """All targets on the grid, by the nearest voxel: (K, D, H, W) uint8."""
    masks = np.zeros((len(scan.targets), *grid.size), np.uint8)
    height, down, across = (grid.nearest(axis) for axis in range(3))
    needed = range(int(height[0]), int(height[-1]) + 1)
    inside = masks[:, *grid.place]
    for place, planes in label_planes(scan, grid.scan, needed):
        here = np.flatnonzero(height == needed[place])
        for number, values in enumerate(planes):
            # All values of a plane are looked at, those between the taken ones as well.
            target = scan.target_of(values, number)
            inside[number, here] = target.take(down, axis=0).take(across, axis=1)
    return masks


def join_volumes(parts: Sequence[Path], folder: Path) -> None:
    """Write the parts of all scans as a pair of arrays each, and their tables."""
    tables = [read_part_tables(part) for part in parts]
    index = pd.DataFrame([_index_row(*table) for table in tables])
    index.to_csv(folder / "index.csv", index=False)
    write_json(folder / "scans.json", {record["scan"]: record for _, record in tables})
    labels = []
    for row, part in enumerate(parts):
        image, masks = read_part_arrays(part)
        for path, array in zip(_paths(folder, row), (image, masks), strict=True):
            np.save(path, array)
        known = index.loc[row, "label"] != UNKNOWN
        labels.append(masks.any(axis=(1, 2, 3)) if known else np.full(len(masks), UNKNOWN))
    np.save(folder / "labels.npy", np.array(labels, np.int8))


def _index_row(columns: dict[str, list[int]], record: dict[str, Any]) -> dict[str, Any]:
    grid = from_record(record)
    row = {"patient": record["patient"], "scan": record["scan"], "label": columns["label"][0]}
    for kind, steps in (("spacing", grid.spacing), ("native", grid.scan.spacing)):
        row |= {
            f"{kind}_{axis}": mm for axis, mm in zip(("z", "row", "column"), steps, strict=True)
        }
    return row | {"source": record["image"]}


def _join(parts: Sequence[Path], folder: Path) -> None:
    join_volumes(parts, folder)
    write_json(folder / CONTENT, {"content": _content(folder)})


def _content(folder: Path) -> str:
    """Every bit of the masks and the geometry; pictures by mean and deviation, rounded, as they may
    differ in the last bit between processors.
    """
    volumes = load(folder)
    known = []
    for row, record in enumerate(volumes.scans[scan] for scan in volumes.index["scan"]):
        image, masks = volumes.arrays(row)
        scaled = (channel.astype(np.float32) / LEVELS for channel in image)
        looks = [[round(float(each), 4) for each in (one.mean(), one.std())] for one in scaled]
        kept = {key: plain_numbers(value) for key, value in record.items() if key not in NAMES}
        known.append([hashlib.sha256(masks).hexdigest(), looks, kept])
    return hash_of(known)


def _paths(folder: Path, row: int) -> tuple[Path, Path]:
    return folder / f"{row}.images.npy", folder / f"{row}.masks.npy"


@cache
def _making_code() -> str:
    """Hash of the code between a file and its volume; comments and other places are no part."""
    return digest(reached(MAKING, lambda each: not each.file.startswith("samnb/data/")).values())
