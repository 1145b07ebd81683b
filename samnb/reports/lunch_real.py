"""Cheap Lunch on real brains, slice by slice: pictures have no millimetres, and no volumes."""

from collections.abc import Iterable

import pandas as pd

from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.reports.lunch import asked, in_exemplar_order, shown, track_of
from samnb.reports.systems import with_variants
from samnb.runs.records import Record, run_of
from samnb.studies import Profile


def real_slices(made: Iterable[Record], profile: Profile, user: str = "point") -> pd.DataFrame:
    """Slices of these records as one table: prompted by this user or by nobody, nothing changed."""
    tables = [
        record.slices.assign(
            system=record.name, seed=record.facts["seed"], change=run_of(record, profile).slug
        )
        for record in made
    ]
    return asked(with_variants(pd.concat(tables, ignore_index=True)), user)


def real_table(cases: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """By system, over the slices of one cohort: where the target is, and over all.

    Columns: track; dice (over slices with the target) with its deviation over seeds and interval
    over patients; all_dice (over all slices; an empty answer to an empty slice counts one); missed
    (percent of the slices with the target that got no overlap); false_alarms (percent of the others
    that got an answer: nobody points there, so an oracle's is none).
    """
    cases = cases[cases["cohort"] == cohort]
    present, absent = (cases[cases["label"] == label] for label in (1, 0))
    summary = over_seeds(present, "dice").set_index("system")
    interval = patient_interval(present, "dice").set_index("system")
    table = pd.DataFrame(
        {
            "dice": summary["mean"],
            "dice_deviation": summary["deviation"],
            "dice_low": interval["low"],
            "dice_high": interval["high"],
            "all_dice": over_seeds(cases, "dice").set_index("system")["mean"],
            "missed": 100 * present["dice"].eq(0).groupby(present["system"]).mean(),
            "false_alarms": 100 * absent["dice"].lt(1).groupby(absent["system"]).mean(),
        }
    )
    table = table.loc[in_exemplar_order(table.index)]
    table.insert(0, "track", [track_of(name) for name in table.index])
    for metric, sign in (("dice", -1), ("all_dice", -1), ("missed", 1), ("false_alarms", 1)):
        of_track = (sign * table[metric].round(4)).groupby(table["track"])
        table[f"{metric}_place"] = of_track.rank(method="dense")
    return table.rename(index=shown).rename_axis("System")
