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
    """One set: how many clicks a Dice of each level needs, a row per level and system.

    Columns: level; needed, the mean over patients and seeds with its 95 % interval over patients
    (who never reaches the level counts with the most clicks that were asked, so where many do not
    the mean is too small); reached, percent of patients and seeds; whole, the clicks at which the
    mean Dice of all is there (NaN: never).
    """
    chosen = clicked_cases(cases, name)
    columns = ["level", "needed", "needed_low", "needed_high", "reached", "whole"]
    rows = []
    for level in levels:
        found = clicks_to(chosen, level)
        for system in [each for each in PROMPTED if found["system"].eq(each).any()]:
            own = found[found["system"] == system]
            (interval,) = patient_interval(own, "needed").to_dict("records")
            curve = chosen[chosen["system"] == system].groupby("clicks")["dice"].mean()
            there = curve.index[curve.round(DIGITS) >= level]
            needed = interval["mean"], interval["low"], interval["high"]
            whole = float(there.min()) if len(there) else np.nan
            rows.append((system, level, *needed, 100 * own["reached"].mean(), whole))
    table = pd.DataFrame(rows, columns=["System", *columns]).set_index("System")
    table.attrs["note"] = note()
    return table


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
