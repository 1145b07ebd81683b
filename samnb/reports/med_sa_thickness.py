"""Does attention over depth help where slices are thick? Med-SA with it and without, by spacing.

Compared are trainings on the same patients, their slices equally far apart. From one spacing to
another grid and task change as well: only what depth adds may be set beside each other.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.reports.lunch import ORACLE
from samnb.reports.lunch_study import Study
from samnb.reports.lunch_tests import Compared, compared, paired_tests
from samnb.reports.med_sa import EVERY_SLICE
from samnb.reports.style import INK, label, panels, system_look
from samnb.runs.records import run_of

STUDY = "med-sa-thickness"
WITH, WITHOUT, FROZEN = "with depth", "without depth", "SAM"
COLUMNS = {FROZEN: "frozen", WITHOUT: "flat", WITH: "deep"}  # of `thickness_table`
SWEPT = ("data.volumes.spacing", "data.volumes.size", "med_sa.adapters.depth")
CASES = ["system", "mm", "user", "patient", "seed", "dice"]


class Look(NamedTuple):
    color: str
    linestyle: str
    marker: str


LOOKS = {
    FROZEN: Look(system_look("SAM")["color"], ":", "<"),
    WITHOUT: Look("#e0791c", "--", "s"),
    WITH: Look(system_look("Med-SA")["color"], "-", "o"),
}


def thickness_cases(study: Study | None) -> pd.DataFrame:
    """A row per scan, seed and user: `system` is WITH, WITHOUT or FROZEN; mm between slices.

    Runs in which anything else is changed are left out. None: of a size without the study.
    """
    tables = []
    for record in study.made if study else ():
        if any(change.partition("=")[0] not in SWEPT for change in record.facts["changes"]):
            continue
        settings = run_of(record, study.profile).settings
        flat = settings.med_sa.adapters.depth == "none"
        name = FROZEN if record.name == FROZEN else WITHOUT if flat else WITH
        mm = settings.data.volumes.spacing[0]
        named = {"system": name, "mm": mm, "seed": record.facts["seed"]}
        tables.append(record.scans.assign(**named))
    if not tables:
        return pd.DataFrame(columns=CASES)
    cases = pd.concat(tables, ignore_index=True)
    return cases.assign(user=cases["user"].str.removesuffix(EVERY_SLICE))[CASES]


def thickness_table(cases: pd.DataFrame, user: str) -> pd.DataFrame:
    """By spacing: Dice (and its deviation over seeds) frozen, flat and deep, and deep minus flat.

    The difference is over patients, with its 95 % interval, its spread over seeds, p (corrected
    over the spacings) and who is better: see `lunch_tests.paired_tests`.
    """
    chosen = cases[cases["user"] == user]
    columns: dict[str, pd.Series] = {}
    for name, column in COLUMNS.items():
        own = chosen[chosen["system"] == name]
        summary = over_seeds(own, "dice", ("mm",)).set_index("mm")
        columns |= {column: summary["mean"], f"{column}_deviation": summary["deviation"]}
    table = pd.DataFrame(columns, dtype=float).sort_index()
    named = chosen.assign(system=[_at(*each) for each in zip(chosen["system"], chosen["mm"],
                                                             strict=True)])  # fmt: skip
    pairs = [(_at(WITH, mm), _at(WITHOUT, mm)) for mm in table.index]
    tests = paired_tests(named, pairs, track=lambda name: ORACLE)
    tests.index = [float(name.rpartition(", ")[2].removesuffix(" mm")) for name in tests["first"]]
    wanted = ["difference", "low", "high", "spread", "p", "better"]
    table = table.join(tests[wanted].rename(columns={"low": "difference_low",
                                                     "high": "difference_high"}))  # fmt: skip
    return table.rename_axis("Slices apart, mm")


def _at(name: str, mm: float) -> str:
    return f"{name}, {mm:g} mm"


def gains(cases: pd.DataFrame, user: str) -> pd.DataFrame:
    """What depth adds to the Dice of each patient and seed that both variants have, by spacing."""
    chosen = cases[cases["user"] == user]
    keys = ["mm", "patient", "seed"]
    found = {name: chosen[chosen["system"] == name].set_index(keys)["dice"]
             for name in (WITH, WITHOUT)}  # fmt: skip
    gain = (found[WITH] - found[WITHOUT]).dropna()
    return gain.rename("dice").reset_index().assign(system="gain")


def thick_against_thin(cases: pd.DataFrame, user: str) -> Compared | None:
    """Whether depth adds more where slices are farthest apart than where they are nearest.

    First: the gain at the largest spacing; second: at the smallest. None without two of them.
    """
    gain = gains(cases, user)
    if gain["mm"].nunique() < 2:
        return None
    thick, thin = (gain[gain["mm"] == mm] for mm in (gain["mm"].max(), gain["mm"].min()))
    return compared(thick, thin)


def thickness_chart(cases: pd.DataFrame, height: float = 2.5) -> Figure:
    """Dice by spacing, and below it what depth adds; a column for each user, all of them oracles.

    Bars: 95 % interval over patients; small points: seeds.
    """
    users = list(cases["user"].unique())
    figure, grid = panels(2, max(1, len(users)), height, squeeze=False, sharex=True, sharey="row")
    for (above, below), user in zip(grid.T, users, strict=False):
        for name, look in LOOKS.items():
            chosen = cases[cases["user"].eq(user) & cases["system"].eq(name)]
            _curve(above, chosen, look, name)
        _curve(below, gains(cases, user), LOOKS[WITH], "")
        below.axhline(0, color=INK, linewidth=1)
        above.set_title(f"told: {user}")
        label(above, "", "Dice" if above is grid[0, 0] else "")
        label(below, "slices apart, mm", "gain by depth" if below is grid[1, 0] else "")
    if users:
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _curve(axes: Axes, cases: pd.DataFrame, look: Look, name: str) -> None:
    """The means by spacing, each spacing as far from the next as from the one before."""
    if cases.empty:
        return
    interval = patient_interval(cases, "dice", ("mm",)).sort_values("mm")
    reach = np.abs(interval[["low", "high"]].to_numpy().T - interval["mean"].to_numpy())
    axes.errorbar(interval["mm"], interval["mean"], reach, capsize=3, linewidth=2, label=name,
                  **look._asdict())  # fmt: skip
    of_seed = cases.groupby(["mm", "seed"])["dice"].mean().reset_index()
    if len(of_seed) > len(interval):  # several seeds
        axes.plot(of_seed["mm"], of_seed["dice"], ".", color=look.color, markersize=4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(interval["mm"], [f"{mm:g}" for mm in interval["mm"]])
    axes.minorticks_off()
