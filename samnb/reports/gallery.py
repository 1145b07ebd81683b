"""The test slices that records keep answers of: the same ones for every system."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samnb.data.slices import SliceSet
from samnb.reports.systems import in_order, parse, shown_name
from samnb.runs.records import Record


@dataclass(frozen=True)
class Pictured:
    """Slices of one cohort that all systems answered.

    rows (R,) of the cohort's slices; scans (R,) and numbers (R,) name them; images (R, S, S), 0-1;
    truths (R, S, S) bool; answers: by system, what the record keeps, each with R along its first
    axis.
    """

    rows: np.ndarray
    scans: np.ndarray
    numbers: np.ndarray
    images: np.ndarray
    truths: np.ndarray
    answers: Mapping[str, Mapping[str, np.ndarray]]

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """By system: (R, S, S) bool."""
        return {name: answer["masks"] for name, answer in self.answers.items()}


def pictured(
    records: Iterable[Record], slices: SliceSet, cohort: str, systems: Sequence[str], seed: int
) -> Pictured:
    """What records of one seed show of these systems; those without such a record are left out.

    slices: of the cohort, as the records saw it.
    """
    rows, answers = kept_answers(records, cohort, systems, seed)
    images, truths = slices.load(rows, target=0)
    index = slices.index.loc[rows]
    named = index["scan"].to_numpy(str), index["slice"].to_numpy()
    return Pictured(rows, *named, images[:, 0], truths.astype(bool), answers)


def kept_answers(
    records: Iterable[Record],
    cohort: str,
    systems: Sequence[str],
    seed: int,
) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Rows (R,) that records of one seed all keep answers of, and by system what they keep.

    Of the first target alone.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for record in records:
        system = shown_name(record.facts)
        if system in systems and record.facts["seed"] == seed:
            kept = record.pictures
            chosen = kept["cohort"] == cohort
            found[system] = {name: value[chosen] for name, value in kept.items()}
    rows = _shared([answer["row"] for answer in found.values()])
    return rows, {name: _at(found[name], rows) for name in systems if name in found}


def one_of_each(names: Iterable[str], labels: int) -> list[str]:
    """One system of each family, in the paper's order: with all masks, or with `labels` of them.

    A family with neither (a classifier has none) is shown as it is.
    """
    by_family: dict[str, dict[Any, str]] = {}
    for name in in_order(names):
        family, count = parse(name)
        by_family.setdefault(family, {})[count] = name
    return [
        known.get(None) or known.get(labels) or list(known.values())[-1]
        for known in by_family.values()
    ]


def _shared(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows that all have, in the order of the first."""
    if not rows:
        return np.array([], dtype=int)
    return np.array([row for row in rows[0] if all(row in each for each in rows)], dtype=int)


def _at(answer: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    places = {row: place for place, row in enumerate(answer["row"])}
    chosen = [places[row] for row in rows]
    return {name: value[chosen] for name, value in answer.items()}
