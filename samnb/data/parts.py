"""Parts of a slice cache: one file per scan, made by worker processes, whole or absent.

A killed build leaves the parts it finished; the next one makes only the others.
"""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import atomic_path
from samnb.base.workers import end_with_parent
from samnb.data.layouts import ScanFiles
from samnb.data.settings import SliceSettings
from samnb.data.slicing import ScanSlices, slice_scan


@dataclass(frozen=True)
class Job:
    """One scan to slice, and the part file it becomes."""

    files: ScanFiles
    settings: SliceSettings
    labelled: bool
    part: Path


def build_parts(jobs: list[Job], workers: int, progress: bool) -> dict[Path, DataError]:
    """Make every part that is not there yet. Returns the faults of bad scans by part."""
    pending = [job for job in jobs if not job.part.exists()]
    faults = {}
    bar = tqdm(
        total=len(jobs),
        initial=len(jobs) - len(pending),
        desc="slices",
        unit="scan",
        disable=None if progress else True,  # None: only where a terminal shows it
    )
    with bar:
        for job, fault in _results(pending, workers):
            bar.update()
            if fault is not None:
                faults[job.part] = fault
    return faults


def _results(jobs: list[Job], workers: int) -> Iterator[tuple[Job, DataError | None]]:
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, build_part(job)
        return
    # "spawn" works on every system and beside threads, which "fork" does not.
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        running = {pool.submit(build_part, job): job for job in jobs}
        for done in as_completed(running):
            yield running[done], done.result()
    except BrokenProcessPool as error:
        raise SamnbError(
            "A worker process died while slicing scans, probably for want of memory.",
            "run again with fewer workers; the finished scans are kept.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the workers are the parallelism
    end_with_parent()


def build_part(job: Job) -> DataError | None:
    """Slice one scan into its part file; a fault of the scan is returned, not raised."""
    try:
        slices = slice_scan(job.files, job.settings, job.labelled)
    except DataError as fault:
        return fault
    try:
        write_part(job.part, slices)
    except OSError as error:
        raise write_error(job.part.parent, error) from error
    return None


def write_part(path: Path, slices: ScanSlices) -> None:
    """One line of JSON with the table and the scan's record, then images, then masks."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(json.dumps([slices.columns, slices.record]).encode() + b"\n")
        np.save(file, slices.images)
        np.save(file, slices.masks)


def read_part_tables(path: Path) -> tuple[dict[str, list[int]], dict[str, Any]]:
    """Columns of the index table and record of the scan, without its arrays."""
    with path.open("rb") as file:
        columns, record = json.loads(file.readline())
    return columns, record


def read_part_arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, C, side, side) uint16 and masks (n, K, side, side) uint8."""
    with path.open("rb") as file:
        file.readline()
        return np.load(file), np.load(file)


def write_error(folder: Path, error: OSError) -> SamnbError:
    return SamnbError(
        f"Cannot write the slices below {folder}: {error.strerror or error}.",
        "free some space or make the folder writable (the environment variable SAMNB_DATA chooses "
        "another one), then run again; the finished scans are kept.",
    )
