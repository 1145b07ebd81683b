"""How often has somebody to click? Dice after each click, and the clicks to a Dice of 0.8 or 0.9.

The clicks of two users are drawn apart: who clicks ten times does not begin with the three clicks
of who clicks three times. So a curve joins the answers to different clicks of the same patients,
and its points are as many as the records have users.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from samnb.evaluation.statistics import DIGITS, over_seeds, patient_interval
from samnb.reports.lunch import AUTOMATIC
from samnb.reports.lunch_tests import questions_tested
from samnb.reports.m_sam import of_set, system_of, track_of
from samnb.reports.m_sam_names import FROZEN, HONEST, OWN, PLAIN, PROMPTED, clicks
from samnb.reports.paper_m_sam import note
from samnb.reports.paper_med_sa import row_name

LEVELS = (0.8, 0.9)  # of Dice


def clicked_cases(cases: pd.DataFrame, name: str, change: str = HONEST) -> pd.DataFrame:
    """A patient's means on one set by number of clicks; `system` without its user."""
    chosen = of_set(cases, name, change)
    chosen = chosen[chosen["clicks"].notna()]  # clicks in every slice are no clicks in the volume
    own = chosen["system"].map(system_of)
    return chosen.assign(system=own, clicks=chosen["clicks"].astype(int))


def click_table(cases: pd.DataFrame, name: str) -> pd.DataFrame:
    """Dice on one set by number of clicks (rows) and system (columns), with ± over seeds."""
    chosen = clicked_cases(cases, name)
    table = pd.DataFrame(index=pd.Index(sorted(chosen["clicks"].unique()), name="Clicks"))
    for system in [system for system in PROMPTED if chosen["system"].eq(system).any()]:
        own = chosen[chosen["system"] == system]
        found = over_seeds(own, "dice", by=("clicks",)).set_index("clicks")
        table[system], table[f"{system}_deviation"] = found["mean"], found["deviation"]
    return table


def clicks_to(cases: pd.DataFrame, level: float) -> pd.DataFrame:
    """Clicks until a patient's Dice reaches a level: a row per system, seed and patient.

    cases: of `clicked_cases`. Columns: needed, the smallest number of clicks whose answer reaches
    it; the largest that was asked where none does; and reached.
    """
    keys = ["system", "seed", "patient"]
    there = cases["dice"].round(DIGITS) >= level
    asked = cases.groupby(keys, sort=False)["clicks"]
    first = cases[there].groupby(keys, sort=False)["clicks"].min()
    found = pd.DataFrame({"needed": first.reindex(asked.max().index), "most": asked.max()})
    found["reached"] = found["needed"].notna()
    found["needed"] = found["needed"].fillna(found["most"])
    return found.drop(columns="most").reset_index()


def needed_table(cases: pd.DataFrame, name: str, levels: Sequence[float] = LEVELS) -> pd.DataFrame:
    """One set, by system: how many clicks a Dice of each level needs.

    Columns for a level of 0.8: needed_0.8, the mean over patients and seeds (who never reaches it
    counts as the most clicks that were asked, so where many do not, the mean is too small) with its
    95 % interval over patients; reached_0.8, percent of patients; whole_0.8, the clicks at which
    the mean Dice of all is there (NaN: never).
    """
    chosen = clicked_cases(cases, name)
    columns: dict[str, pd.Series] = {}
    for level in levels:
        found = clicks_to(chosen, level)
        if found.empty:
            continue
        interval = patient_interval(found, "needed").set_index("system")
        columns |= {f"needed_{level:g}": interval["mean"], f"needed_{level:g}_low": interval["low"],
                    f"needed_{level:g}_high": interval["high"]}  # fmt: skip
        columns[f"reached_{level:g}"] = 100 * found.groupby("system")["reached"].mean()
        curves = chosen.groupby(["system", "clicks"], sort=True)["dice"].mean().reset_index()
        there = curves[curves["dice"].round(DIGITS) >= level]
        columns[f"whole_{level:g}"] = there.groupby("system")["clicks"].min().astype(float)
    table = pd.DataFrame(columns)
    table = table.reindex([system for system in PROMPTED if system in table.index])
    table.attrs["note"] = note()
    return table.rename_axis("System")


def click_tests(cases: pd.DataFrame, name: str, metric: str = "dice") -> pd.DataFrame:
    """Questions about clicks on one set, named before looking, all corrected together.

    The question is the index; see `lunch_tests.paired_tests`. Who was told where gets no verdict
    over who works alone.
    """
    chosen = of_set(cases, name)
    counts = sorted(clicked_cases(cases, name)["clicks"].unique())
    alone = [row for row in chosen["system"].unique() if track_of(row) == AUTOMATIC]

    def pairs(first: str, second: str) -> list[tuple[str, str]]:
        return [(row_name(first, clicks(n)), row_name(second, clicks(n))) for n in counts]

    wanted = {
        "Is the adapter worth it, beside all of SAM-Med3D trained?": pairs(OWN, PLAIN),
        "What does learning bring?": pairs(OWN, FROZEN) + pairs(PLAIN, FROZEN),
    }
    for system in (OWN, PLAIN):
        wanted[f"Do more clicks help {system}?"] = [
            (row_name(system, clicks(more)), row_name(system, clicks(less)))
            for less, more in pairwise(counts)
        ]
    wanted["Told where, against working alone?"] = [
        (row_name(OWN, clicks(n)), row) for n in counts for row in alone
    ]
    return questions_tested(wanted, chosen, metric, track_of)


def worth_of_alone(cases: pd.DataFrame, name: str) -> pd.DataFrame:
    """How many clicks of a system are worth as much as the best that works alone; by system.

    Not a ranking: it says at which number of clicks the mean Dice of who is told where reaches the
    mean of who is not. Columns: alone, its dice, clicks (NaN: at none that was asked).
    """
    chosen = of_set(cases, name)
    alone = chosen[[track_of(row) == AUTOMATIC for row in chosen["system"]]]
    curves = click_table(cases, name)
    if alone.empty:
        return pd.DataFrame(columns=["alone", "dice", "clicks"])
    means = alone.groupby("system", sort=False)["dice"].mean()
    best, level = means.idxmax(), round(means.max(), DIGITS)
    rows = {}
    for system in [name for name in PROMPTED if name in curves]:
        there = curves.index[curves[system].round(DIGITS) >= level]
        rows[system] = (best, level, float(there[0]) if len(there) else np.nan)
    columns = ["alone", "dice", "clicks"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("System")
