"""The published numbers of SAM-Mix, typed in one place, with the table each comes from."""

from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from samnb.base.errors import SamnbError
from samnb.reports.systems import parse

_FILE = Path(__file__).with_name("paper_tables.yaml")

METRICS = {"dice": "high", "hd": "low"}  # and which end is better


def published(table: int) -> pd.DataFrame:
    """Table 1 (in-domain) or 2 (cross-domain) of the paper, one row per system in its order.

    Columns: system, supervision (full, limited), labels (slices with masks; <NA>: all, or not
    said), dice, dice_deviation, hd, hd_deviation (five trainings; HD without a unit), dice_place
    and hd_place (1 is best; equal numbers share a place), source.
    """
    tables = _read()["tables"]
    if table not in tables:
        raise SamnbError(f"The paper has no table {table}.", f"its tables are {sorted(tables)}.")
    rows = [_flat(row) for row in tables[table]["rows"]]
    found = pd.DataFrame(rows).astype({"labels": "Int64"})
    for metric, better in METRICS.items():
        places = found[metric].rank(method="dense", ascending=better == "low")
        found[f"{metric}_place"] = places.astype(int)
    return found.assign(source=tables[table]["source"])


def table_of(cohort: str) -> int:
    """The number of the paper's table about this cohort."""
    numbers = {entry["cohort"]: number for number, entry in _read()["tables"].items()}
    if cohort not in numbers:
        raise SamnbError(
            f"The paper has no table of the cohort '{cohort}'.", f"it has {', '.join(numbers)}."
        )
    return numbers[cohort]


def beside(names: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `published` that belong to these systems, indexed by `names`; NaN where none.

    A limited system whose labels the paper does not state (MultiMix) stands beside each number of
    labels.
    """
    rows = {}
    for _, row in table.iterrows():
        family, labels = parse(row["system"])
        anyone = labels is None and row["supervision"] == "limited"
        rows[family, "any" if anyone else labels] = row
    empty = pd.Series(dtype=object)
    found = []
    for name in names:
        family, labels = parse(name)
        found.append(rows.get((family, labels), rows.get((family, "any"), empty)))
    return pd.DataFrame(found, index=names).reindex(columns=table.columns)


@cache
def _read() -> dict:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def _flat(row: dict) -> dict:
    """Split mean and deviation into columns of their own."""
    pairs = {metric: row[metric] for metric in METRICS}
    rest = {key: value for key, value in row.items() if key not in pairs}
    for metric, (mean, deviation) in pairs.items():
        rest |= {metric: mean, f"{metric}_deviation": deviation}
    return rest
