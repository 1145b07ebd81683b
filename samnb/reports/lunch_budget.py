"""Is a system of Cheap Lunch's study only short of time? The same run with more steps."""

from collections.abc import Mapping

import pandas as pd

from samnb.prompts.users import NOBODY
from samnb.reports.differences import difference
from samnb.reports.style import COHORT_NAMES

LONGER = r"learning\.\w+\.epochs=\d+"  # the only change of such a run


def with_more_steps(cases: Mapping[str, pd.DataFrame], user: str = "point") -> pd.DataFrame:
    """Dice over scans and targets as in the tables and after a longer training, of the same seed.

    cases: by cohort, as of `lunch.all_scans`. Rows: cohort, system. Columns: tables, longer,
    difference (longer minus tables), low, high (interval over patients).
    """
    rows = {}
    for cohort, table in cases.items():
        asked = table[table["user"].isin([user, str(NOBODY)])]
        longer = asked[asked["change"].str.fullmatch(LONGER)]
        for (name, seed), more in longer.groupby(["system", "seed"], sort=False):
            own = asked["system"].eq(name) & asked["seed"].eq(seed) & asked["change"].eq("")
            few = asked[own]
            found = difference(more, few)
            title = COHORT_NAMES.get(cohort, cohort)
            rows[title, name] = (few["dice"].mean(), more["dice"].mean(), *found)
    names = ["tables", "longer", "difference", "low", "high"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    table.index = pd.MultiIndex.from_tuples(rows, names=["cohort", "system"])
    return table
