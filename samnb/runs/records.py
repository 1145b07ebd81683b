"""What remains of runs: small folders of tables that every number of the book comes from.

A record lies in RESULTS/runs/PROFILE/SYSTEM/LABELS/seed-N[/CHANGES]:

    record.json     settings, hashes, costs, history, summary; written last, so it says "whole"
    cases.csv.gz    one row per cohort and test slice (pixels of the model's grid), then one per
                    cohort and test scan, without a slice (3D, mm, of the slices used, on that grid)
    answers.npz     the masks of all test slices as packed bits, presence, boxes, peaks of maps; and
                    of a few of them, for pictures, all that the system said

Of a run on volumes the table has rows of scans alone, and the masks are those of whole volumes.
"""

import gzip
import math
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import read_json, write_json
from samnb.evaluation.answers import Answers
from samnb.evaluation.protocols import VOXELS
from samnb.evaluation.volumes import VolumeAnswers
from samnb.method import Answer
from samnb.prompts.users import NOBODY
from samnb.runs.run import Run, runs_folder
from samnb.studies import Profile

RECORD, CASES, ANSWERS = "record.json", "cases.csv.gz", "answers.npz"
Asked = tuple[str, str]  # cohort, user

PICTURED = "picture "  # before the names of arrays of pictures
ABOUT_TARGETS = {field.name for field in fields(Answer)}  # arrays of pictures (n, K, ...)
DECIMALS = 5  # of the tables
OF_SCANS = ["dice", "hd95", "surface_dice", "hd", "iou"]


@dataclass(frozen=True)
class Record:
    """A finished run, as it lies in its folder."""

    facts: dict[str, Any]  # record.json
    folder: Path

    @property
    def name(self) -> str:
        """As tables print it: SAM-Mix-50."""
        return self.facts["name"]

    @property
    def is_prompted(self) -> bool:
        """Whether users who know the truth prompted it."""
        return record_users(self.facts) != [str(NOBODY)]

    @property
    def cases(self) -> pd.DataFrame:
        """Slices and scans in one table; scans have no slice."""
        return _read_table(self.folder / CASES)

    @property
    def slices(self) -> pd.DataFrame:
        cases = self.cases
        return cases[cases["slice"].notna()].astype({"slice": int, "label": int})

    @property
    def scans(self) -> pd.DataFrame:
        cases = self.cases
        rows = cases[cases["slice"].isna()].reset_index(drop=True)
        more = [name for name in VOXELS if name in rows]
        return rows[["cohort", "target", "user", "patient", "scan", *OF_SCANS, *more]]

    @property
    def answers(self) -> dict[Asked, Answers | VolumeAnswers]:
        """By cohort and user, of all test slices; empty for a record older than they are."""
        stored = self._stored()
        asked = [name.split("/")[:2] for name in stored if name.endswith("/bits")]
        if any(name.endswith("/shapes") for name in stored):
            return {
                (cohort, user): VolumeAnswers(
                    *(stored[f"{cohort}/{user}/{name}"] for name in ("rows", "shapes", "bits"))
                )
                for cohort, user in asked
            }
        return {
            (cohort, user): Answers(
                **{
                    field.name: stored.get(f"{cohort}/{user}/{field.name}")
                    for field in fields(Answers)
                    if field.name not in ("side", "seconds")
                },
                side=int(stored["side"]),
            )
            for cohort, user in asked
        }

    @property
    def pictures(self) -> dict[str, np.ndarray]:
        """Answers about the first target on a few test slices, by name; masks (n, S, S) bool."""
        return {
            name: value[:, 0] if name in ABOUT_TARGETS else value
            for name, value in self.all_pictures.items()
        }

    @property
    def all_pictures(self) -> dict[str, np.ndarray]:
        """The same about all targets: masks (n, K, S, S) bool; of a run on volumes none."""
        stored = self._stored()
        if "side" not in stored:
            return {}
        side = int(stored["side"])
        shown = {name.removeprefix(PICTURED): value
                 for name, value in stored.items() if name.startswith(PICTURED)}  # fmt: skip
        for name in ("masks", "alternatives"):
            if name in shown:
                shown[name] = np.unpackbits(shown[name], axis=-1, count=side).astype(bool)
        if shown["masks"].ndim == 3:  # a record of one target, made before there could be more
            shown = {name: value[:, None] if name in ABOUT_TARGETS else value
                     for name, value in shown.items()}  # fmt: skip
        return shown

    def _stored(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / ANSWERS, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def record_users(facts: dict[str, Any]) -> list[str]:
    """Who prompted; records from before there were users had nobody."""
    return facts.get("users", [str(NOBODY)])


@dataclass(frozen=True)
class Contents:
    """All that a record is written from; `facts` becomes record.json.

    pictures: as `Record.all_pictures` gives them.
    """

    facts: dict[str, Any]
    cases: pd.DataFrame
    answers: dict[Asked, Answers | VolumeAnswers]
    pictures: dict[str, np.ndarray]


def read_record(run: Run) -> Record | None:
    """The run's record if there is one, fresh or not."""
    return _read(run.folder) if (run.folder / RECORD).is_file() else None


def all_records(profile: Profile) -> list[Record]:
    """Every record of the profile, by folder."""
    return [_read(path.parent) for path in sorted(runs_folder(profile).rglob(RECORD))]


def automatic_records(profile: Profile) -> list[Record]:
    """Those of systems that nobody prompts: the only ones that are ranked with each other."""
    return [record for record in all_records(profile) if not record.is_prompted]


def run_of(record: Record, profile: Profile) -> Run:
    """Which run left this record."""
    facts = record.facts
    changes = tuple(facts["changes"])
    return Run(profile, facts["system"], facts["labels"], facts["seed"], changes)


def load_cases(profile: Profile, what: str = "slices", user: str = "nobody") -> pd.DataFrame:
    """The tables of all records of the profile as one; what: "slices" or "scans".

    user: who prompted. One at a time: who knows the truth is not ranked with who does not.

    Before the table's own columns: system (its name, such as SAM-Mix-50), seed, change ("" for the
    profile as it is).
    """
    if what not in ("slices", "scans"):
        raise SamnbError(f"No table '{what}'.", "use slices or scans.")
    tables = []
    for record in all_records(profile):
        if user not in record_users(record.facts):
            continue
        table = record.slices if what == "slices" else record.scans
        table = table[table["user"] == user]
        table.insert(0, "system", record.name)
        table.insert(1, "seed", record.facts["seed"])
        table.insert(2, "change", run_of(record, profile).slug)
        tables.append(table)
    if not tables:
        raise SamnbError(
            f"{runs_folder(profile)}: no record is here.",
            f"make them: samnb run --all --profile {profile.name}",
        )
    return pd.concat(tables, ignore_index=True)


def write_record(run: Run, contents: Contents) -> Record:
    """Put a record into the run's folder, in place of an older one.

    All is written elsewhere first. A process that is killed leaves the old record, the new one, or
    none.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=run.folder, prefix=".writing-") as name:
        written = Path(name)
        _write_table(written / CASES, contents.cases)
        np.savez_compressed(written / ANSWERS, **_packed(contents))
        write_json(written / RECORD, plain(contents.facts))
        # The folder itself stays: changed runs have theirs inside it.
        (run.folder / RECORD).unlink(missing_ok=True)
        for path in sorted(written.iterdir(), key=lambda path: path.name == RECORD):
            path.replace(run.folder / path.name)
    return _read(run.folder)


def _packed(contents: Contents) -> dict[str, np.ndarray]:
    """The arrays of answers and pictures under the names they have in the file."""
    shown = dict(contents.pictures)
    stored = {"side": np.int64(shown["masks"].shape[-1])} if shown else {}
    for name in ("masks", "alternatives"):
        if name in shown:
            shown[name] = np.packbits(shown[name], axis=-1)
    for (cohort, user), given in contents.answers.items():
        for field in fields(given):
            value = getattr(given, field.name)
            if isinstance(value, np.ndarray):
                stored[f"{cohort}/{user}/{field.name}"] = value
    return stored | {f"{PICTURED}{name}": value for name, value in shown.items()}


def plain(value: Any) -> Any:
    """The value as JSON knows it: what is not a number is null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table_text(table: pd.DataFrame) -> str:
    """A table as it is written: rounded, so that equal tables are equal texts."""
    return table.round(DECIMALS).to_csv(index=False, lineterminator="\n")


def _write_table(path: Path, table: pd.DataFrame) -> None:
    # No time in the archive: the same table is the same file.
    path.write_bytes(gzip.compress(table_text(table).encode(), mtime=0))


def _read_table(path: Path) -> pd.DataFrame:
    kinds = dict.fromkeys(("cohort", "target", "user", "patient", "scan"), str)
    try:
        return pd.read_csv(path, dtype=kinds | dict.fromkeys(("slice", "label"), "Int64"))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(path, f"cannot be read as a table ({error})", "run it again.") from error


def _read(folder: Path) -> Record:
    try:
        return Record(read_json(folder / RECORD), folder)
    except ValueError as error:
        raise DataError(folder / RECORD, f"not valid JSON ({error})", "run it again.") from error
