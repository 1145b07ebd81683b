"""How many synthetic images, and which transforms: what the changed runs of Cheap Lunch say."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from samnb.data.synthesis import TRANSFORMS
from samnb.evaluation.answers import evenly
from samnb.evaluation.statistics import patient_interval
from samnb.reports.lunch import asked
from samnb.runs.data import WATCHED
from samnb.runs.records import Record
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split

SYNTHESIS, SPLITS = "synthesis.", "data.splits."
EVERY = "every transform"


def by_images(
    cases: pd.DataFrame, system: str, images: int, user: str = "point", seed: int = 1
) -> pd.DataFrame:
    """Dice against the number of synthetic images, of one seed: images, mean, low, high (patients).

    images: that of the profile as it is; 0 are the exemplars themselves.
    """
    family, _, labels = system.rpartition("-")
    plain = asked(cases, user)
    tables = {0: plain[plain["system"] == f"{family} without synthesis-{labels}"],
              images: plain[plain["system"] == system]}  # fmt: skip
    changed = cases[cases["system"].eq(system) & cases["user"].eq(user)]
    for change in changed["change"].unique():
        if number := _value(change, "images"):
            tables[int(number)] = changed[changed["change"] == change]
    rows = []
    for count, table in sorted(tables.items()):
        if len(table := table[table["seed"] == seed]):
            (row,) = patient_interval(table, "dice").to_dict("records")
            rows.append((count, row["mean"], row["low"], row["high"]))
    return pd.DataFrame(rows, columns=["images", "mean", "low", "high"])


def _value(change: str, name: str) -> str:
    """The value if a change is of this setting of the synthesis alone, else ""."""
    setting = f"{SYNTHESIS}{name}="
    return change.removeprefix(setting) if change.startswith(setting) and "," not in change else ""


def without_transforms(made: Iterable[Record], share: float = 1.0) -> pd.DataFrame:
    """The best Dice on the validation patients with every transform, and with one switched off.

    Only of runs whose split has validation patients (their changes name it); which patients and
    which exemplars are then the same for all. share: of the watched slices that show the target.
    On the others nobody points, so every such run is right about them: their ones are taken out of
    the mean. Columns: dice, change (against EVERY); index: what is switched off.
    """
    found: dict[str, float] = {}
    for record in made:
        changes = record.facts["changes"]
        if not record.facts["validation"] or not any(each.startswith(SPLITS) for each in changes):
            continue
        off = [each.removeprefix(SYNTHESIS) for each in changes if each.startswith(SYNTHESIS)]
        names = [each.partition("=")[0] for each in off if each.partition("=")[2] == "0"]
        if len(off) == len(names) <= 1 and set(names) <= set(TRANSFORMS):
            best = max(note["dice"] for note in record.facts["validation"])
            found[names[0] if names else EVERY] = (best - (1 - share)) / share
    ordered = [name for name in (EVERY, *TRANSFORMS) if name in found]
    table = pd.DataFrame({"dice": {name: found[name] for name in ordered}}, dtype=float)
    base = found.get(EVERY, np.nan)
    return table.assign(change=table["dice"] - base).rename_axis("without")


def shown_share(settings: Profile, cohort: str) -> float:
    """Of the validation slices that a training is watched by, the share that show a target."""
    slices = cohort_slices(settings, cohort)
    rows = evenly(slices.rows_of(cohort_split(settings, cohort).validation), WATCHED)
    return float(slices.labels[rows].any(axis=1).mean()) if len(rows) else float("nan")
