"""Cached slices: scans are sliced once, then read from memory-mapped arrays.

A cache is a folder named by a hash of its source files, its settings and the code that cuts:

    images.npy   (N, C, side, side) uint16, 0–65535 for 0–1, one for each channel
    masks.npy    (N, K, side, side) uint8, 0 or 1, one for each target
    labels.npy   (N, K) int8, 1: the target is in the slice, 0: it is not, -1: not known
    index.csv    one row per slice, in the order of the arrays
    scans.json   one record per scan: files, window, and the geometry that takes masks back to it
    faults.json  the scans that were left out, and why
    content.json a hash of what the slices are

It is built beside its final place and moved there when whole, so a cache that exists is finished.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0

from samnb.base.definitions import digest, reached
from samnb.base.errors import DataError
from samnb.base.files import read_json, write_json
from samnb.data import geometry as geo
from samnb.data.caches import (
    CONTENT,
    Recipe,
    content,
    hash_of,
    key_of,
    plain_numbers,
    prepare_cache,
)
from samnb.data.layouts import ScanFiles
from samnb.data.parts import build_part, read_part_arrays, read_part_tables
from samnb.data.settings import SliceSettings
from samnb.data.slicing import LEVELS, UNKNOWN, check_settings

__all__ = ["SliceSet", "content", "load", "prepare", "scan_key"]

NAMES = ("image", "label", "targets")  # of a scan's record: they change no pixel
# Where the code begins that decides what a cache holds.
CUTTING = ("samnb.data.parts.build_part", "samnb.data.slices.join_parts")


@dataclass(frozen=True)
class SliceSet:
    """Slices of a cohort. `index` has one row per slice, numbered as the arrays are.

    Its columns: patient; scan; slice (canonical, from the feet up); plane (the same in the scan's
    own count); label (1: any target present, 0: none, -1: not known); mask_pixels of all targets
    together on the model grid and native_mask_pixels on the scan's; spacing_z, spacing_row,
    spacing_column of the model grid and native_row, native_column of the scan, mm; source (the
    image file).
    """

    folder: Path
    images: np.memmap  # (N, C, side, side) uint16
    masks: np.memmap  # (N, K, side, side) uint8
    labels: np.ndarray  # (N, K) int8: 1, 0, or -1 where it is not known
    index: pd.DataFrame
    scans: dict[str, dict[str, Any]]  # by scan, see scans.json

    def __len__(self) -> int:
        return len(self.index)

    @property
    def side(self) -> int:
        return self.images.shape[-1]

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the K targets."""
        return tuple(next(iter(self.scans.values()))["targets"])

    @property
    def patients(self) -> list[str]:
        """In the order of their slices."""
        return list(self.index["patient"].unique())

    def load(
        self, rows: Sequence[int] | np.ndarray, target: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, C, side, side) float32 from 0 to 1, masks (n, K, side, side) uint8.

        target: the number of one, whose masks alone are wanted: (n, side, side).
        """
        rows = np.asarray(rows, dtype=np.intp)
        images = self.images[rows].astype(np.float32)
        images /= LEVELS
        masks = np.asarray(self.masks[rows])
        return images, masks if target is None else masks[:, target]

    def rows_of(self, patients: Sequence[str]) -> np.ndarray:
        """Row numbers of all slices of these patients."""
        return np.flatnonzero(self.index["patient"].isin(list(patients)))

    def geometry(self, scan: str) -> geo.Geometry:
        """What `geometry.restore_mask` needs to put masks back on the scan's own grid."""
        return geo.from_record(self.scans[scan])


def prepare(
    scans: Sequence[ScanFiles],
    settings: SliceSettings,
    root: Path,
    workers: int = 2,
    progress: bool = True,
    labelled: bool = True,
) -> tuple[SliceSet, list[DataError]]:
    """Slice these scans into a cache below `root`, or reuse the finished one.

    Bad scans cost nothing but themselves: the good ones are finished, the faults of the others are
    returned, and tried anew by the next call. `labelled=False` takes scans without segmentation.
    """
    check_settings(settings)
    recipe = Recipe(build_part, _join, _cutting_code())
    root = Path(root)
    folder, faults = prepare_cache(scans, settings, labelled, root, recipe, workers, progress)
    return load(folder), faults


def load(folder: Path) -> SliceSet:
    """Open a finished cache; nothing is read into memory but its index."""
    index = pd.read_csv(
        folder / "index.csv", dtype=dict.fromkeys(("patient", "scan", "source"), str)
    )
    return SliceSet(
        folder,
        np.load(folder / "images.npy", mmap_mode="r"),
        np.load(folder / "masks.npy", mmap_mode="r"),
        np.load(folder / "labels.npy"),
        index,
        read_json(folder / "scans.json"),
    )


def scan_key(scan: ScanFiles, settings: SliceSettings, labelled: bool = True) -> str:
    """Hash of what a scan's slices come from: its files, the settings, the code that cuts."""
    return key_of(scan, settings, labelled, _cutting_code())


@cache
def _cutting_code() -> str:
    """Hash of the code between a file and its slices; comments and other places are no part."""
    return digest(reached(CUTTING, lambda each: not each.file.startswith("samnb/data/")).values())


def _content(folder: Path) -> str:
    """Every bit of the masks, the table, the geometry; of the pictures the middle one of each scan.

    Pictures are gigabytes, and may differ in the last bit between processors, so they count by mean
    and deviation, rounded.
    """
    slices = load(folder)
    index = slices.index.drop(columns="source")
    middles = index.groupby("scan", sort=False).apply(_middle, include_groups=False).to_numpy()
    looks = [[round(float(each), 4) for each in (picture.mean(), picture.std())]
             for picture in slices.load(middles)[0].astype(float)]  # fmt: skip
    masks = hashlib.sha256(np.ascontiguousarray(slices.masks)).hexdigest()
    table = index.to_csv(index=False, float_format="%.5g", lineterminator="\n")
    return hash_of([masks, table, [_geometry(scan) for scan in slices.scans.values()], looks])


def _middle(rows: pd.DataFrame) -> int:
    return int(rows.index[len(rows) // 2])


def _geometry(scan: dict[str, Any]) -> dict[str, Any]:
    """A scan's record without its place, numbers to five digits."""
    return {name: plain_numbers(value) for name, value in scan.items() if name not in NAMES}


def _join(parts: Sequence[Path], folder: Path) -> None:
    join_parts(parts, folder)
    write_json(folder / CONTENT, {"content": _content(folder)})


def join_parts(parts: Sequence[Path], folder: Path) -> None:
    """Write the parts of all scans as one pair of arrays and one index table."""
    tables = [read_part_tables(part) for part in parts]
    index = pd.concat([_index_rows(*table) for table in tables], ignore_index=True)
    index.to_csv(folder / "index.csv", index=False)
    write_json(folder / "scans.json", {record["scan"]: record for _, record in tables})
    np.save(folder / "labels.npy", np.concatenate([_labels(part) for part in parts]))
    with (folder / "images.npy").open("wb") as images, (folder / "masks.npy").open("wb") as masks:
        # Written piece by piece, not through a memory map: its pages would count as ours.
        for file, dtype in ((images, np.uint16), (masks, np.uint8)):
            inner = read_part_arrays(parts[0])[0 if file is images else 1].shape[1:]
            header = {"descr": np.dtype(dtype).str, "fortran_order": False}
            write_array_header_1_0(file, header | {"shape": (len(index), *inner)})
        for part in parts:
            for file, array in zip((images, masks), read_part_arrays(part), strict=True):
                file.write(array.data)
        for file in (images, masks):
            file.flush()
            os.fsync(file.fileno())


def _labels(part: Path) -> np.ndarray:
    """Which targets each slice of a part shows: (n, K) int8; -1 where nothing is segmented."""
    known = np.array(read_part_tables(part)[0]["label"]) != UNKNOWN
    present = read_part_arrays(part)[1].any(axis=(2, 3))
    return np.where(known[:, None], present, UNKNOWN).astype(np.int8)


def _index_rows(columns: dict[str, list[int]], record: dict[str, Any]) -> pd.DataFrame:
    geometry = geo.from_record(record)
    rows = pd.DataFrame(columns)
    rows.insert(0, "patient", record["patient"])
    rows.insert(1, "scan", record["scan"])
    names = ("spacing_z", "spacing_row", "spacing_column")
    for name, millimetres in zip(names, geometry.model_spacing, strict=True):
        rows[name] = millimetres
    _, rows["native_row"], rows["native_column"] = geometry.spacing
    rows["source"] = record["image"]
    return rows
