"""The published numbers of Cheap Lunch, and which row of theirs stands beside which of ours."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from samnb.base.errors import SamnbError

_FILE = Path(__file__).with_name("paper_lunch.yaml")
ALL = "all"  # exemplars, where every training slice was used


def published_lunch(table: int) -> pd.DataFrame:
    """Table 1 to 6 of the paper, one row per system and number of exemplars, in its order.

    Columns: system, exemplars (text: a number, "all", or "" where nothing is learned), said (what
    the paper writes beside it), dice (0-1, as everywhere in this book; the paper has percent), hd
    (HD95 without a unit), and on Synapse one column for each organ's Dice. `attrs`: cohort, user,
    organs.
    """
    entry = _entry(table)
    organs = organs_of(entry["cohort"])
    names = ["dice", "hd", *organs]
    rows = []
    for row in entry["rows"]:
        numbers = dict(zip(names, map(float, row["printed"].split()), strict=True))
        shares = {name: round(value / 100, 6) for name, value in numbers.items() if name != "hd"}
        exemplars = "" if row["exemplars"] is None else str(row["exemplars"])
        rows.append({"system": row["system"], "exemplars": exemplars, "said": row["said"],
                     **numbers, **shares})  # fmt: skip
    found = pd.DataFrame(rows)[["system", "exemplars", "said", *names]]
    found.attrs = {"cohort": entry["cohort"], "user": entry["user"], "organs": organs}
    return found


def organs_of(cohort: str) -> list[str]:
    """The organs that the tables of a cohort have columns for, by this book's names."""
    return list(_read()["organs"]) if cohort == "synapse" else []


def printed_numbers(table: int) -> list[list[str]]:
    """The numbers of a table as they are printed, row by row."""
    return [row["printed"].split() for row in _entry(table)["rows"]]


def match_exemplars(ours: Sequence[int], papers: Sequence[int]) -> dict[int, int]:
    """Which number of the paper's stands beside which of ours.

    The same number where the paper has all of ours. Else, if there are as many, the number at the
    same place from below: a small study has the paper's shares of its own, fewer slices. Else none.
    """
    ours, papers = sorted(ours), sorted(papers)
    if set(ours) <= set(papers):
        return {number: number for number in ours}
    return dict(zip(ours, papers, strict=True)) if len(ours) == len(papers) else {}


def exemplar_counts(cohort: str) -> list[int]:
    """The numbers of exemplars that the paper has of a cohort."""
    rows = [row for entry in _read()["tables"].values() if entry["cohort"] == cohort
            for row in entry["rows"]]  # fmt: skip
    return sorted({row["exemplars"] for row in rows if isinstance(row["exemplars"], int)})


def _entry(table: int) -> dict:
    tables = _read()["tables"]
    if table not in tables:
        raise SamnbError(f"Cheap Lunch has no table {table}.", f"its tables are {sorted(tables)}.")
    return tables[table]


@cache
def _read() -> dict:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))
