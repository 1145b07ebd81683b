"""Cohorts on disk: written by patient, in parallel, whole or not at all, continued after a kill."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from samnb.base.definitions import digest, reached
from samnb.base.errors import SamnbError
from samnb.base.files import read_json, write_json
from samnb.base.workers import end_with_parent
from samnb.phantoms import (
    brats18,
    brats21,
    btcv,
    isic,
    kits19,
    lits,
    lits_tumour,
    lung100,
    msd_hepatic,
    msd_lung,
    msd_pancreas,
    refuge,
    refuge_raters,
    totalsegmentator,
    ultrasound,
)
from samnb.phantoms.brain_draws import BrainPhantom
from samnb.phantoms.draws import Phantom
from samnb.phantoms.picture import PicturePhantom

AnyPhantom = Phantom | BrainPhantom | PicturePhantom
MARKERS = ".phantom"  # one small JSON file per finished patient


@dataclass(frozen=True)
class Cohort:
    """What a kind of cohort must be able to do. A new one is an entry in KINDS, nothing else."""

    make_patient: Callable[[int, int, int], AnyPhantom]  # (seed, number, side)
    write_patient: Callable[[Path, int, int, int], list[Path]]  # (folder, seed, number, side)
    write_table: Callable[[Path, int, int], None] | None = None  # (folder, seed, patients)


KINDS = {
    "lits": Cohort(lits.make_patient, lits.write_patient),
    "totalsegmentator": Cohort(
        totalsegmentator.make_patient, totalsegmentator.write_patient, totalsegmentator.write_table
    ),
    "brats18": Cohort(brats18.make_patient, brats18.write_patient),
    "brats21": Cohort(brats21.make_patient, brats21.write_patient),
    "btcv": Cohort(btcv.make_patient, btcv.write_patient),
    "kits19": Cohort(kits19.make_patient, kits19.write_patient),
    "msd_lung": Cohort(msd_lung.make_patient, msd_lung.write_patient, msd_lung.write_table),
    "lung100": Cohort(lung100.make_patient, lung100.write_patient),
    "msd_pancreas": Cohort(
        msd_pancreas.make_patient, msd_pancreas.write_patient, msd_pancreas.write_table
    ),
    "msd_hepatic": Cohort(
        msd_hepatic.make_patient, msd_hepatic.write_patient, msd_hepatic.write_table
    ),
    "lits_tumour": Cohort(lits_tumour.make_patient, lits_tumour.write_patient),
    "refuge": Cohort(refuge.make_patient, refuge.write_patient),
    "refuge_raters": Cohort(refuge.make_patient, refuge_raters.write_patient),
    "isic": Cohort(isic.make_patient, isic.write_patient),
    "ultrasound": Cohort(ultrasound.make_patient, ultrasound.write_patient),
}


def draw_patient(kind: str, number: int, seed: int = 2025, side: int = 256) -> AnyPhantom:
    """Patient `number` of a cohort in memory: images and labels (z, y, x), spacing, who it is.

    Of CT a Phantom with HU, of brains a BrainPhantom with four sequences, of the rest a
    PicturePhantom, (rows, columns) of pixels that no spacing is known of.
    """
    return _cohort(kind).make_patient(seed, number, side)


def write_cohort(
    kind: str,
    folder: Path,
    patients: int,
    side: int,
    seed: int,
    workers: int = 2,
    progress: bool = True,
) -> None:
    """Write patients 0 .. patients - 1 into `folder`; what is there already is kept.

    A patient depends on (kind, seed, number, side) alone, byte for byte, never on the workers.
    """
    cohort = _cohort(kind)
    folder = Path(folder)
    _claim(folder)
    settings = {"kind": kind, "seed": seed, "side": side, "generator": _generator_version(kind)}
    _remove_surplus(folder, patients)
    left = [number for number in range(patients) if not _finished(folder, number, settings)]
    bar = tqdm(total=patients, initial=patients - len(left), desc=f"{kind} phantoms",
               unit="patient", disable=not progress)  # fmt: skip
    with bar:
        for _ in _run(folder, left, settings, workers):
            bar.update()
    if cohort.write_table:
        cohort.write_table(folder, seed, patients)


def _cohort(kind: str) -> Cohort:
    if kind not in KINDS:
        raise SamnbError(f"No phantom cohort '{kind}'.", f"use one of {', '.join(KINDS)}.")
    return KINDS[kind]


def _run(folder: Path, numbers: list[int], settings: dict[str, Any], workers: int):
    """Yield each patient's number once it is on disk."""
    if workers <= 1 or len(numbers) <= 1:
        for number in numbers:
            yield _write_one(folder, number, settings)
        return
    # A fresh interpreter per worker: a fork would inherit other libraries' threads half alive.
    context = multiprocessing.get_context("spawn")
    size = min(workers, len(numbers))
    with ProcessPoolExecutor(size, context, initializer=end_with_parent) as pool:
        tasks = [pool.submit(_write_one, folder, number, settings) for number in numbers]
        try:
            for task in as_completed(tasks):
                yield task.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_one(folder: Path, number: int, settings: dict[str, Any]) -> int:
    cohort = KINDS[settings["kind"]]
    paths = cohort.write_patient(folder, settings["seed"], number, settings["side"])
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    write_json(_marker(folder, number), {**settings, "files": sizes})
    return number


def _marker(folder: Path, number: int) -> Path:
    return folder / MARKERS / f"{number}.json"


def _finished(folder: Path, number: int, settings: dict[str, Any]) -> bool:
    """Whether a patient was written to the end, by this generator, and is still there."""
    marker = _marker(folder, number)
    if not marker.is_file():
        return False
    found = read_json(marker)
    files = found.pop("files")
    whole = all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in files.items()
    )
    if found == settings and whole:
        return True
    _remove(folder, marker)
    return False


def _claim(folder: Path) -> None:
    """Make the folder, and never write among files that are not phantoms."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARKERS).is_dir():
        raise SamnbError(
            f"{folder} holds files that are not phantoms.", "choose another folder, or empty it."
        )
    (folder / MARKERS).mkdir(exist_ok=True)


def _remove_surplus(folder: Path, patients: int) -> None:
    """Remove patients of an earlier, larger cohort, so that the folder holds what was asked for."""
    for marker in (folder / MARKERS).glob("*.json"):
        if int(marker.stem) >= patients:
            _remove(folder, marker)


def _remove(folder: Path, marker: Path) -> None:
    for name in read_json(marker)["files"]:
        (folder / name).unlink(missing_ok=True)
        for parent in list((folder / name).parents):
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
    marker.unlink()


@cache
def _generator_version(kind: str) -> str:
    """A hash of the code that draws a patient: phantoms made by older code are made anew."""
    roots = [f"samnb.phantoms.{kind}.write_patient"]
    return digest(reached(roots, lambda each: not each.file.startswith("samnb/phantoms/")).values())
