"""Is lunch cheap for everybody? Other systems, taught by images made of their labelled slices."""

import pandas as pd

from samnb.reports.lunch_tests import compared
from samnb.reports.style import COHORT_NAMES
from samnb.runs.records import load_cases
from samnb.studies import Profile

MADE = r"synthesis\.images=\d+"  # the only change of such a run


def synthesis_gain(profile: Profile) -> pd.DataFrame:
    """Of systems that work alone, with images made of their labelled slices minus without.

    Rows: cohort, system. Columns: labelled (mean Dice over slices, taught by the labelled slices
    themselves), made (by images made of them), difference, low, high (each patient's mean over
    seeds, interval over patients), spread (of two trainings), better; see `lunch_tests.compared`.
    """
    cases = load_cases(profile)
    changed = cases[cases["change"].str.fullmatch(MADE)]
    rows = {}
    for (cohort, name), made in changed.groupby(["cohort", "system"], sort=False):
        same = cases["cohort"].eq(cohort) & cases["system"].eq(name) & cases["change"].eq("")
        plain = cases[same & cases["seed"].isin(made["seed"].unique())]
        found = compared(made, plain)
        means = plain["dice"].mean(), made["dice"].mean()
        rows[COHORT_NAMES[cohort], name] = (*means, *found.difference, found.spread, found.better())
    names = ["labelled", "made", "difference", "low", "high", "spread", "better"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["cohort", "system"])
    return table
