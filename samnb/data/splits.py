"""Who is trained on and who is tested on: splits by patient, and nested labelled subsets.

Every draw is an order of names by the hash of seed and name. It depends on neither the order in
which a folder is listed, nor the version of a random generator, nor the other names: a scan that is
added later moves nobody else.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from samnb.base.errors import DataError, LeakError, SamnbError
from samnb.base.files import atomic_path
from samnb.data.scan import natural_key
from samnb.data.settings import SplitSettings


@dataclass(frozen=True)
class Split:
    """Patients of each part, naturally sorted. `unused` ones are in none of the three."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[str, ...]]:
        return {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "unused": self.unused,
        }

    @property
    def used(self) -> tuple[str, ...]:
        return tuple(sorted((*self.train, *self.validation, *self.test), key=natural_key))


@dataclass(frozen=True)
class LabelledSubset:
    """Slices whose masks may be used: row numbers of the index table, and whose they are."""

    rows: np.ndarray  # (count,) int, in the order of the draw
    patients: tuple[str, ...]


def hash_order(names: Iterable[str], seed: int) -> list[str]:
    """The names in an order that is random, but fixed by the seed and each name alone."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())


def split_patients(patients: Iterable[str], settings: SplitSettings, seed: int) -> Split:
    """Deal the patients out in hash order: first the test, then the validation, then the train set.

    The test set comes first, so that more or fewer training patients never change it. With
    `settings.blocks`, whole blocks of so many neighbours are dealt out, each by its first name.
    """
    order = _block_order(patients, settings, seed)
    wanted = settings.test + settings.validation + settings.train
    if len(order) < wanted:
        raise SamnbError(
            f"The split asks for {wanted} patients ({settings.train} train, "
            f"{settings.validation} validation, {settings.test} test), but there are {len(order)}.",
            "add the missing scans, or ask for fewer in the profile.",
        )
    ends = np.cumsum([0, settings.test, settings.validation, settings.train, len(order) - wanted])
    test, validation, train, unused = (
        tuple(sorted(order[start:stop], key=natural_key)) for start, stop in pairwise(ends)
    )
    return assert_disjoint(Split(train, validation, test, unused))


def split_by_list(patients: Iterable[str], settings: SplitSettings, seed: int) -> Split:
    """The published test patients; of the others validation and training, in hash order."""
    known = set(patients)
    if lost := sorted(set(settings.tested) - known, key=natural_key):
        raise SamnbError(
            f"The test list names {lost[0]}, and no scan is of that patient.",
            "add the missing scans, or correct `tested` in the profile.",
        )
    if len(set(settings.tested)) != settings.test:
        raise SamnbError(
            f"{len(set(settings.tested))} test patients are listed and {settings.test} asked for.",
            "let `test` be their number.",
        )
    others = split_patients(known - set(settings.tested), replace(settings, test=0), seed)
    tested = tuple(sorted(set(settings.tested), key=natural_key))
    return assert_disjoint(replace(others, test=tested))


def _block_order(patients: Iterable[str], settings: SplitSettings, seed: int) -> list[str]:
    """Hash order of whole blocks of neighbours; those of a last block that is not full come last.

    Unlike single patients, blocks shift when a scan is added before them.
    """
    size = settings.blocks
    if size < 1 or any(n % size for n in (settings.train, settings.validation, settings.test)):
        raise SamnbError(
            f"Blocks of {size} patients do not give a split of {settings.train} train, "
            f"{settings.validation} validation, {settings.test} test.",
            "ask for multiples of `blocks` in the profile, and for blocks of at least 1.",
        )
    members = sorted(set(patients), key=lambda patient: (natural_key(patient), patient))
    full = len(members) - len(members) % size
    blocks = {members[start]: members[start : start + size] for start in range(0, full, size)}
    order = [patient for first in hash_order(blocks, seed) for patient in blocks[first]]
    return order + members[full:]


def assert_disjoint(parts: Split | Mapping[str, Iterable[str] | pd.DataFrame]):
    """Raise `LeakError` if one patient stands in two parts; else return the parts as they came.

    A part is a list of patients, or rows of an index table with their column `patient`.
    """
    named = parts.parts() if isinstance(parts, Split) else parts
    members = {
        name: set(part["patient"] if isinstance(part, pd.DataFrame) else part)
        for name, part in named.items()
    }
    for (first, here), (second, there) in combinations(members.items(), 2):
        if shared := sorted(here & there, key=natural_key):
            raise LeakError(
                f"Leak: {', '.join(shared[:5])}{' and others' if len(shared) > 5 else ''} "
                f"in both {first} and {second}.",
                "split by patient, never by slice; every patient belongs to one part.",
            )
    return parts


def labelled_subsets(
    index: pd.DataFrame, patients: Sequence[str], counts: Sequence[int], seed: int
) -> dict[int, LabelledSubset]:
    """Nested subsets of the training slices whose masks may be used, by their size.

    Drawn from the slices of `patients` that show the target: a labelled slice without it would
    teach the segmentation nothing, and the paper counts labelled slices as segmented ones. Which
    slices, and of how many patients, the paper does not say; here the draw is a plain one.
    """
    positive = index[index["patient"].isin(list(patients)) & (index["label"] == 1)]
    names = positive["scan"] + "/" + positive["slice"].astype(str)
    rows = dict(zip(names, positive.index, strict=True))
    if len(rows) < max(counts):
        raise SamnbError(
            f"{max(counts)} labelled slices are asked for, but only {len(rows)} slices of "
            f"{len(patients)} training patients show the target.",
            "ask for fewer in the profile, or add training patients.",
        )
    order = [rows[name] for name in hash_order(names, seed)]
    return {count: _subset(index, order[:count]) for count in sorted(counts)}


def _subset(index: pd.DataFrame, rows: Sequence[int]) -> LabelledSubset:
    patients = sorted(set(index.loc[list(rows), "patient"]), key=natural_key)
    return LabelledSubset(np.array(rows, dtype=np.intp), tuple(patients))


def write_split(path: Path, split: Split) -> None:
    """Write a split as a table with the columns patient, split; in natural order of patients."""
    pairs = [(patient, name) for name, part in split.parts().items() for patient in part]
    _write_table(path, pd.DataFrame(sorted(pairs, key=_by_patient), columns=["patient", "split"]))


def _by_patient(pair: tuple[str, str]) -> list[tuple[bool, int | str]]:
    return natural_key(pair[0])


def read_split(path: Path) -> Split:
    """Read what `write_split` wrote, or a list of one's own of the same form."""
    table = _read_table(path, ["patient", "split"])
    parts = {name: tuple(part["patient"]) for name, part in table.groupby("split", sort=False)}
    if unknown := sorted(set(parts) - set(Split().parts())):
        raise DataError(
            path,
            f"unknown split {', '.join(unknown)}.",
            "the splits are train, validation, test, unused.",
        )
    return assert_disjoint(Split(**parts))


def write_labelled(path: Path, index: pd.DataFrame, subset: LabelledSubset) -> None:
    """Write the largest labelled subset in the order of its draw; the first n rows are subset n.

    The column `patients` counts the different patients down to that row.
    """
    table = index.loc[subset.rows, ["patient", "scan", "slice"]].reset_index(drop=True)
    table.insert(0, "labelled", np.arange(1, len(table) + 1))
    table["patients"] = (~table["patient"].duplicated()).cumsum()
    _write_table(path, table)


def read_labelled(
    path: Path, index: pd.DataFrame, counts: Sequence[int]
) -> dict[int, LabelledSubset]:
    """Find the listed slices in the index table; one that is missing or empty is an error."""
    table = _read_table(path, ["scan", "slice"])
    positive = index[index["label"] == 1]
    rows = dict(
        zip(zip(positive["scan"], positive["slice"], strict=True), positive.index, strict=True)
    )
    listed = list(zip(table["scan"], table["slice"].astype(int), strict=True))[: max(counts)]
    lost = [f"slice {number} of {scan}" for scan, number in listed if (scan, number) not in rows]
    if lost or len(listed) < max(counts):
        raise DataError(
            path,
            f"{lost[0]} shows no target here." if lost else f"lists only {len(listed)} slices.",
            "the list belongs to other scans or settings; write it anew.",
        )
    return {count: _subset(index, [rows[each] for each in listed[:count]]) for count in counts}


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise DataError(path, f"cannot be read as a table ({error}).", "write it anew.") from error
    if not set(columns) <= set(table.columns) or table[columns].isna().any(axis=None):
        raise DataError(path, f"needs the columns {', '.join(columns)}, all filled.", "mend it.")
    return table
