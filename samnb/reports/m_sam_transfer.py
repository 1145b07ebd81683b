"""Table 2 of M-SAM: what is lost where a model has not been trained.

The paper calls its columns "before and after the transfer". Its numbers show what "before" is: of
the row from MSD Lung to Lung100 it is the score on Lung100 of a model trained there (82.17, as in
table 3), and in the opposite row that on MSD Lung (81.62, as in table 1). So here, too, before and
after are of the same patients, those of the target; the score on the source stands beside.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from samnb.reports.lunch import in_columns
from samnb.reports.lunch_tests import (
    FIRST,
    SECOND,
    TIE,
    Compared,
    compared,
    is_frozen,
    questions_tested,
)
from samnb.reports.m_sam import of_set, system_of, track_in_words, track_of
from samnb.reports.m_sam_names import MOST, OWN, PROMPTED, TRANSFERS, clicks
from samnb.reports.paper_m_sam import note, published_transfer
from samnb.reports.paper_med_sa import row_name

COLUMNS = ["track", "source", "before", "after", "change", "rate",
           "paper_before", "paper_after", "paper_change", "paper_rate", "better"]  # fmt: skip
OVERVIEW = ["before", "after", "change", "rate", "paper_change", "paper_rate"]
KEPT, LOST = "nothing lost that is sure", "lost"


class Sides(NamedTuple):
    """A patient's means of one transfer: on the target trained there, and trained on the source.

    source: those on the source itself, of the same training as after.
    """

    source: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame


def sides(cases: pd.DataFrame, transfer: str) -> Sides:
    """cases: of `m_sam.all_cases`; transfer: one of TRANSFERS."""
    source, target = TRANSFERS[transfer]
    return Sides(of_set(cases, source), of_set(cases, target), of_set(cases, target, source=source))


def transfer_table(cases: pd.DataFrame, transfer: str, number: int = MOST) -> pd.DataFrame:
    """One transfer: the paper's rows with those of ours that stand for them, then the rest of ours.

    number: of clicks. Columns: track; source, before, after (Dice); change, after minus before of
    the same patients, with its 95 % interval; rate, in percent of before; better: LOST or KEPT, by
    the rule of `lunch_tests`; the paper's four numbers. A system that learns nothing is left out.
    """
    found = sides(cases, transfer)
    published = published_transfer(transfer)
    rows: dict[str, dict] = {}
    for system, row in published.iterrows():
        own = [_row(name, number) for name in row["ours"]]
        there = [name for name in own if name in set(found.after["system"])]
        numbers = {f"paper_{name}": row[name] for name in ("before", "after", "rate")}
        numbers |= {"paper_change": row["difference"]}
        rows |= {name: dict(numbers) for name in there or [_row(system, number)]}
    for name in found.after["system"].unique():
        if name == _row(system_of(name), number) and not is_frozen(name):
            rows.setdefault(name, {})
    for name, row in rows.items():
        row |= {"track": track_in_words(name)} | _ours(found, name)
    table = in_columns(pd.DataFrame.from_dict(rows, orient="index"), COLUMNS)
    table.attrs["note"] = note()
    return table.rename_axis("System")


def transfer_overview(table: pd.DataFrame) -> pd.DataFrame:
    """Of `transfer_table` the columns that fit on a page."""
    return in_columns(table, OVERVIEW)


def compared_sides(cases: pd.DataFrame, transfer: str, row: str) -> Compared | None:
    """After against before, on the same patients of the target; None without both."""
    return _compared(sides(cases, transfer), row)


def losses(cases: pd.DataFrame, transfer: str) -> pd.DataFrame:
    """What every patient of the target gains (dice < 0: loses) by a training on the source.

    A row per system, seed and patient that both trainings have; dice: after minus before.
    """
    found, keys = sides(cases, transfer), ["system", "seed", "patient"]
    both = found.after.merge(found.before, on=keys, suffixes=("", "_before"))
    return both[keys].assign(dice=both["dice"] - both["dice_before"])


def loss_tests(cases: pd.DataFrame, number: int = MOST) -> pd.DataFrame:
    """Does M-SAM lose less than others on the way to another set? The transfer is the index.

    The first of a pair loses less where its difference is above nothing. See
    `lunch_tests.paired_tests`: who was told where gets no verdict over who works alone.
    """
    own, tables = _row(OWN, number), []
    for transfer in TRANSFERS:
        found = losses(cases, transfer)
        rows = [row for row in found["system"].unique()
                if row == _row(system_of(row), number) and not is_frozen(row)]  # fmt: skip
        pairs = {transfer: [(own, row) for row in rows if row != own]}
        tables.append(questions_tested(pairs, found, "dice", track_of))
    return pd.concat([each for each in tables if len(each)] or tables[:1])


def mean_rates(cases: pd.DataFrame, names: Sequence[str], number: int = MOST) -> pd.Series:
    """By row: the mean over these transfers of the change in percent; of rows that have all."""
    rates = [transfer_table(cases, name, number).get("rate", pd.Series(dtype=float))
             for name in names]  # fmt: skip
    return pd.concat(rates, axis=1).dropna().mean(axis=1).sort_values(ascending=False)


def _row(system: str, number: int) -> str:
    return row_name(system, clicks(number) if system in PROMPTED else "")


def _ours(found: Sides, name: str) -> Mapping[str, object]:
    """Of one row: what is known of it; NaN and "" for the rest."""
    means = {side: getattr(found, side).loc[lambda each: each["system"] == name, "dice"].mean()
             for side in Sides._fields}  # fmt: skip
    test = _compared(found, name)
    if test is None:
        return (
            means
            | dict.fromkeys(("change", "change_low", "change_high", "rate"), np.nan)
            | {"better": ""}
        )
    mean, low, high = test.difference
    verdict = {SECOND: LOST, FIRST: "gained", TIE: KEPT}
    return means | {"change": mean, "change_low": low, "change_high": high,
                    "rate": 100 * mean / means["before"],
                    "better": verdict.get(test.better(), test.better())}  # fmt: skip


def _compared(found: Sides, row: str) -> Compared | None:
    after, before = (side[side["system"] == row] for side in (found.after, found.before))
    return compared(after, before) if len(after) and len(before) else None
