"""Caches of prepared scans: what slices and volumes have in common.

A cache is a folder named by a hash of what it comes from. Workers make one part file per scan, the
parts are joined beside the final place, and the folder is moved there when whole: a cache that
exists is finished, and a killed build leaves the parts it had.
"""

import hashlib
import json
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
from filelock import FileLock, Timeout
from tqdm import tqdm

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import read_json, write_json
from samnb.base.workers import end_with_parent
from samnb.data.layouts import ScanFiles

FAULTS, CONTENT = "faults.json", "content.json"


@dataclass(frozen=True)
class Job:
    """One scan to prepare, by SliceSettings or VolumeSettings, and the part file it becomes."""

    files: ScanFiles
    settings: Any
    labelled: bool
    part: Path


Build = Callable[[Job], DataError | None]


@dataclass(frozen=True)
class Recipe:
    """How a kind of cache is made, and a hash of the code that does it."""

    build: Build  # makes the part of a job, or returns the fault of its scan
    join: Callable[[Sequence[Path], Path], None]  # writes parts into a folder
    code: str


def prepare_cache(
    scans: Sequence[ScanFiles],
    settings: Any,
    labelled: bool,
    root: Path,
    recipe: Recipe,
    workers: int,
    progress: bool,
) -> tuple[Path, list[DataError]]:
    """The finished cache of these scans below `root`, and the faults of those it lacks.

    Faulty scans are tried anew by every call.
    """
    _check_scans(scans)
    keys = [key_of(scan, settings, labelled, recipe.code) for scan in scans]
    folder = root / hash_of(keys)
    if not folder.is_dir() or faults_of(folder):
        parts = [root / "parts" / f"{key}.part" for key in keys]
        jobs = [
            Job(scan, settings, labelled, part) for scan, part in zip(scans, parts, strict=True)
        ]
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _lock(root, progress):
                if not folder.is_dir() or faults_of(folder):
                    _build(jobs, folder, recipe, workers, progress)
        except OSError as error:
            raise write_error(root, error) from error
    return folder, faults_of(folder)


def key_of(scan: ScanFiles, settings: Any, labelled: bool, code: str) -> str:
    """Hash of what a prepared scan comes from: its files, the settings, the code.

    Files count by name, size and time of change. Their contents are not read, so a cohort of a
    hundred gigabytes is known again in milliseconds.
    """
    reading = asdict(scan) | {
        "images": [_fingerprint(path) for path in scan.images],
        "labels": [_fingerprint(path) for path in scan.labels],
    }
    return hash_of([code, asdict(settings), labelled, reading])


def hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def faults_of(folder: Path) -> list[DataError]:
    """Of the scans that a cache had to leave out."""
    return [DataError(*fault) for fault in read_json(folder / FAULTS)]


def content(folder: Path) -> str:
    """Hash of what a cache holds, wherever its scans lie."""
    return read_json(folder / CONTENT)["content"]


def plain_numbers(value: Any) -> Any:
    """Lists and numbers as JSON has them, to five digits: what differs less is the same content."""
    if isinstance(value, list):
        return [plain_numbers(item) for item in value]
    return f"{value:.5g}" if isinstance(value, float) else value


def _fingerprint(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of a file, or of every file of a folder (a DICOM series)."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    known = []
    for file in files:
        try:
            stat = file.stat()
        except OSError:  # a missing file is the reader's to report
            known.append((file.name, -1, 0))
        else:
            known.append((file.name, stat.st_size, stat.st_mtime_ns))
    return known


def _check_scans(scans: Sequence[ScanFiles]) -> None:
    if not scans:
        raise SamnbError("There are no scans to prepare.", "check the folder: samnb data check.")
    names = [scan.scan for scan in scans]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SamnbError(
            f"Several scans are named {', '.join(twice[:5])}.", "give every scan its own name."
        )


@contextmanager
def _lock(root: Path, progress: bool) -> Iterator[None]:
    """Held while a cache is built, so that two processes never build the same one."""
    lock = FileLock(root / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            print("Another process is preparing scans; waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(jobs: Sequence[Job], folder: Path, recipe: Recipe, workers: int, progress: bool) -> None:
    faults = build_parts(jobs, recipe.build, workers, progress)
    parts = [job.part for job in jobs if job.part not in faults]
    if not parts:
        raise SamnbError(f"None of the {len(jobs)} scans can be used. {faults[jobs[0].part]}")
    found = [faults[job.part] for job in jobs if job.part in faults]
    if folder.is_dir() and list(map(str, found)) == list(map(str, faults_of(folder))):
        return  # what could not be read the last time still cannot
    building = folder.with_name(f"{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    recipe.join(parts, building)
    write_json(building / FAULTS, [[str(fault.file), fault.fault, fault.remedy] for fault in found])
    shutil.rmtree(folder, ignore_errors=True)  # an earlier one with other faults
    building.replace(folder)
    if not found:  # else the parts stay: when the bad scan is mended, only that one is prepared
        for part in parts:
            part.unlink()


def build_parts(
    jobs: Sequence[Job], build: Build, workers: int, progress: bool
) -> dict[Path, DataError]:
    """Make every part that is not there yet. Returns the faults of bad scans by part."""
    pending = [job for job in jobs if not job.part.exists()]
    faults = {}
    bar = tqdm(
        total=len(jobs),
        initial=len(jobs) - len(pending),
        desc="preparing",
        unit="scan",
        disable=None if progress else True,  # None: only where a terminal shows it
    )
    with bar:
        for job, fault in _results(pending, build, workers):
            bar.update()
            if fault is not None:
                faults[job.part] = fault
    return faults


def _results(
    jobs: Sequence[Job], build: Build, workers: int
) -> Iterator[tuple[Job, DataError | None]]:
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, build(job)
        return
    # "spawn" works on every system and beside threads, which "fork" does not.
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    try:
        running = {pool.submit(build, job): job for job in jobs}
        for done in as_completed(running):
            yield running[done], done.result()
    except BrokenProcessPool as error:
        raise SamnbError(
            "A worker process died while preparing scans, probably for want of memory.",
            "run again with fewer workers; the finished scans are kept.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the workers are the parallelism
    end_with_parent()


def write_error(folder: Path, error: OSError) -> SamnbError:
    return SamnbError(
        f"Cannot write below {folder}: {error.strerror or error}.",
        "free some space or make the folder writable (the environment variable SAMNB_DATA chooses "
        "another one), then run again; the finished scans are kept.",
    )
