"""Part files of a cache: one scan each, made by a worker process, whole or absent."""

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from samnb.base.errors import DataError
from samnb.base.files import atomic_path
from samnb.data.caches import Job, write_error
from samnb.data.slicing import slice_scan


class Prepared(Protocol):
    """One scan as slices or as a volume."""

    images: np.ndarray
    masks: np.ndarray
    columns: dict[str, list[int]]
    record: dict[str, Any]


def build_part(job: Job) -> DataError | None:
    """Slice one scan into its part file; a fault of the scan is returned, not raised."""
    try:
        slices = slice_scan(job.files, job.settings, job.labelled)
    except DataError as fault:
        return fault
    return keep_part(job.part, slices)


def keep_part(path: Path, prepared: Prepared) -> None:
    """Write a part; a full disk is no fault of the scan, and ends the build."""
    try:
        write_part(path, prepared)
    except OSError as error:
        raise write_error(path.parent, error) from error


def write_part(path: Path, prepared: Prepared) -> None:
    """One line of JSON with the table and the scan's record, then images, then masks."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(json.dumps([prepared.columns, prepared.record]).encode() + b"\n")
        np.save(file, prepared.images)
        np.save(file, prepared.masks)


def read_part_tables(path: Path) -> tuple[dict[str, list[int]], dict[str, Any]]:
    """Columns of the index table and record of the scan, without its arrays."""
    with path.open("rb") as file:
        columns, record = json.loads(file.readline())
    return columns, record


def read_part_arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint16, masks uint8: of slices (n, C, side, side) and (n, K, side, side)."""
    with path.open("rb") as file:
        file.readline()
        return np.load(file), np.load(file)
