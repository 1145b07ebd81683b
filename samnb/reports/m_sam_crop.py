"""What it is worth to be shown the right part of a scan: a crop of the truth against an honest way.

The public code crops every volume around the box of its label, of test volumes, too: whoever cuts
so knows where the tumour is. That helps systems that are told where, and far more those that work
alone. The honest way is the profile's own, and is the one that all other tables have.
"""

import pandas as pd

from samnb.evaluation.statistics import holm
from samnb.reports.lunch_tests import FIRST, SECOND, Compared, compared
from samnb.reports.m_sam import of_set, system_of, track_in_words
from samnb.reports.m_sam_names import HONEST, MOST, SETS, TRUE_CROP, count_of

COLUMNS = ["set", "track", "honest", "cropped", "change", "change_low", "change_high",
           "spread", "p", "better"]  # fmt: skip
HELPS, HURTS = "the crop of the truth", "the honest way"


def crop_gaps(cases: pd.DataFrame, name: str, number: int = MOST) -> dict[str, Compared]:
    """By row: cropped by the truth against the honest way, the same patients and seeds apart.

    cases: of `m_sam.all_cases`. Only rows that were run both ways, told so many clicks or nothing.
    """
    ways = {way: of_set(cases, name, way) for way in (HONEST, TRUE_CROP)}
    rows = [row for row in ways[TRUE_CROP]["system"].unique()
            if row in set(ways[HONEST]["system"]) and _is_asked(row, number)]  # fmt: skip
    sides = {row: [ways[way][ways[way]["system"] == row] for way in (TRUE_CROP, HONEST)]
             for row in rows}  # fmt: skip
    return {row: compared(*both) for row, both in sides.items()}


def crop_table(cases: pd.DataFrame, number: int = MOST) -> pd.DataFrame:
    """What the crop is worth, by system and set: of all that was run both ways.

    Columns: set; track; honest and cropped (Dice); change, cropped minus honest over the same
    patients, with its 95 % interval; spread over seeds; p (of the paired Wilcoxon test, corrected
    over all rows); better: HELPS, HURTS, or what `Compared.better` says.
    """
    rows = []
    for name in SETS:
        ways = {way: of_set(cases, name, way) for way in (HONEST, TRUE_CROP)}
        for row, found in crop_gaps(cases, name, number).items():
            honest, cropped = (ways[way].loc[ways[way]["system"] == row, "dice"].mean()
                               for way in (HONEST, TRUE_CROP))  # fmt: skip
            better = {FIRST: HELPS, SECOND: HURTS}.get(found.better(), found.better())
            rows.append((row, name, track_in_words(row), honest, cropped, *found.difference,
                         found.spread, found.p, better))  # fmt: skip
    table = pd.DataFrame(rows, columns=["System", *COLUMNS]).set_index("System")
    return table.assign(p=holm(table["p"].to_numpy(dtype=float)))


def _is_asked(row: str, number: int) -> bool:
    return count_of(row.removeprefix(f"{system_of(row)}, ")) in (None, number)
