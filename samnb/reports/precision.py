"""Half precision against full: is what bfloat16 changes more than what another seed changes?

The rule was written down when only one system had been run in both. A pair is one system with one
seed in both precisions. The mean difference over all pairs gets a bootstrap interval; systems are
drawn, each with its seeds, since a system may like one precision better. If the whole interval is
narrower than the deviation between seeds, to either side, then the two are called equal: to
choose a precision matters less than to choose a seed.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from samnb.evaluation.statistics import patient_interval
from samnb.reports.systems import in_order
from samnb.runs.records import Record

HALF, FULL = "bfloat16", "float32"


def precision_pairs(records: Iterable[Record], cohorts: Sequence[str]) -> pd.DataFrame:
    """One row per cohort, system and seed that has both: mean Dice in either, float32 - bfloat16.

    Only runs of the profile as it is, and those in which nothing but the precision was changed.
    """
    rows = [
        (cohort, record.name, record.facts["seed"], record.facts["precision"],
         record.facts["summary"][cohort]["dice"])
        for record in records
        if all(".precision=" in change for change in record.facts["changes"])
        for cohort in cohorts
    ]  # fmt: skip
    long = pd.DataFrame(rows, columns=["cohort", "system", "seed", "precision", "dice"])
    wide = long.pivot_table("dice", ["cohort", "system", "seed"], "precision", sort=False)
    both = wide.reindex(columns=[HALF, FULL]).dropna().rename_axis(columns=None).reset_index()
    return both.assign(difference=both[FULL] - both[HALF])


def by_system(pairs: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """One row per system: mean and deviation over its seeds in either precision."""
    rows = pairs[pairs["cohort"] == cohort].groupby("system")
    table = pd.DataFrame(
        {
            HALF: rows[HALF].mean(),
            f"{HALF}_deviation": rows[HALF].std(),
            FULL: rows[FULL].mean(),
            f"{FULL}_deviation": rows[FULL].std(),
            "difference": rows["difference"].mean(),
        }
    )
    return table.loc[in_order(table.index)].rename_axis("System")


def equality(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per cohort: mean difference, its interval over systems, deviation between seeds.

    spread: root of the mean variance over the seeds of a system in one precision; equal: "yes" if
    the whole interval lies within it, to either side.
    """
    rows = []
    for cohort, own in pairs.groupby("cohort", sort=False):
        drawn = own.rename(columns={"system": "patient"}).assign(system="all")
        found = patient_interval(drawn, "difference").iloc[0]
        mean, low, high = found[["mean", "low", "high"]]
        spread = float(np.sqrt(own.groupby("system")[[HALF, FULL]].var(ddof=1).to_numpy().mean()))
        equal = "yes" if max(-low, high) < spread else "no"
        rows.append((cohort, len(own), mean, low, high, spread, equal))
    names = ["Cohort", "pairs", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=[*names, "spread", "equal"]).set_index("Cohort")
