"""How a box must be wrong to hurt: Dice against the overlap of the box with the tight one.

Every box is wrong by exactly its overlap, in a direction of its own that the case and the overlap
decide, so all systems see the same boxes.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samnb.evaluation.statistics import DIGITS, over_seeds
from samnb.reports.lunch import ORACLE
from samnb.reports.lunch_tests import questions_tested
from samnb.reports.paper_med_sa import row_name
from samnb.reports.style import INK, label, panels, system_look

STUDY = "med-sa-boxes"
SYSTEMS = ("SAM", "MedSAM", "Med-SA")
BOX, POINT = "box ", "random point"
FALL = 0.05  # of Dice, that counts as hurt
DRAWS, LEVEL = 2000, 95  # of patients; percent of an interval


def boxed_cases(cases: pd.DataFrame) -> pd.DataFrame:
    """Those of users of boxes, of runs as the profile has them, with the box's overlap (IoU)."""
    users = cases["user"].astype(str)
    chosen = cases[cases["change"].eq("") & users.str.startswith(BOX)]
    overlaps = chosen["user"].astype(str).str.removeprefix(BOX).astype(float)
    return chosen.assign(overlap=overlaps)


def overlap_table(cases: pd.DataFrame) -> pd.DataFrame:
    """Dice by overlap (rows, tight boxes first) and system (columns), with ± over seeds.

    The last row is of the user who gives one random point.
    """
    table = pd.DataFrame(index=pd.Index([], name="Told"))
    boxed, pointed = boxed_cases(cases), _pointed(cases)
    overlaps = sorted(boxed["overlap"].unique(), reverse=True)
    rows = [f"{BOX}{overlap:g}" for overlap in overlaps] + [POINT] * bool(len(pointed))
    table = table.reindex(rows)
    asked = pd.concat([boxed, pointed])
    for system in SYSTEMS:
        own = asked[asked["system"] == system]
        if own.empty:
            continue
        found = over_seeds(own, "dice", by=("user",)).set_index("user").reindex(rows)
        table[system], table[f"{system}_deviation"] = found["mean"], found["deviation"]
    return table


def tolerance_table(cases: pd.DataFrame, fall: float = FALL) -> pd.DataFrame:
    """The overlap at which Dice has fallen by so much against box 1, by system.

    Columns: overlap, of the curve of means; low, high: 95 % interval, patients drawn anew; first,
    last: the smallest and largest of the seeds' own curves. NaN: it has not fallen so far at the
    smallest overlap that was asked. The smaller, the more a system bears.
    """
    boxed, rows = boxed_cases(cases), {}
    for system in SYSTEMS:
        own = boxed[boxed["system"] == system]
        if own.empty:
            continue
        curves = own.pivot_table(index="patient", columns="overlap", values="dice").dropna()
        curves = curves[sorted(curves.columns, reverse=True)]
        of_seed = [
            fallen(table.groupby("overlap")["dice"].mean(), fall)
            for _, table in own.groupby("seed")
        ]
        drawn = np.random.default_rng(0).integers(len(curves), size=(DRAWS, len(curves)))
        means = curves.to_numpy()[drawn].mean(axis=1)
        overlaps = curves.columns.to_numpy(dtype=float)
        each = [_fallen(overlaps, curve, fall) for curve in means]
        ends = _percentiles(each, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
        seeds = _percentiles(of_seed, [0, 100])
        rows[system] = (fallen(curves.mean(), fall), *ends, *seeds)
    columns = ["overlap", "low", "high", "first", "last"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("System")


def fallen(curve: pd.Series, fall: float = FALL) -> float:
    """The overlap at which a curve (Dice by overlap) has first fallen by so much, coming from 1.

    Between two overlaps Dice is taken to change in a straight line. NaN if it never falls so far.
    """
    curve = curve.sort_index(ascending=False)
    return _fallen(curve.index.to_numpy(dtype=float), curve.to_numpy(dtype=float), fall)


def _fallen(overlaps: np.ndarray, dice: np.ndarray, fall: float) -> float:
    """The same of overlaps that fall, (O,), and the Dice at each."""
    wanted = dice[0] - fall
    reached = np.flatnonzero(np.round(dice - wanted, DIGITS) <= 0)
    if len(reached) == 0:
        return float("nan")
    far = reached[0]
    near = far - 1
    way = (dice[near] - wanted) / (dice[near] - dice[far])
    return float(overlaps[near] - way * (overlaps[near] - overlaps[far]))


def box_tests(cases: pd.DataFrame) -> pd.DataFrame:
    """Systems in pairs, told the same box, and each system's box against its point; all corrected.

    The question is the index; see `lunch_tests.paired_tests`.
    """
    boxed = boxed_cases(cases)
    users = [f"{BOX}{overlap:g}" for overlap in sorted(boxed["overlap"].unique())]
    asked = pd.concat([boxed, _pointed(cases)])
    names = [row_name(*both) for both in zip(asked["system"], asked["user"], strict=True)]

    def pairs(first: str, second: str) -> list[tuple[str, str]]:
        return [(row_name(first, user), row_name(second, user)) for user in users]

    wanted = {
        "Adapters or all of SAM, in wrong boxes?": pairs("Med-SA", "MedSAM"),
        "Is it worth learning, in wrong boxes?": pairs("Med-SA", "SAM") + pairs("MedSAM", "SAM"),
        "Such a box, or a point?": [
            (row_name(system, user), row_name(system, POINT))
            for system in SYSTEMS
            for user in users
        ],
    }
    return questions_tested(wanted, asked.assign(system=names), track=lambda name: ORACLE)


def overlap_curves(cases: pd.DataFrame, height: float = 3.8) -> Figure:
    """Dice against the overlap: a line for each system, its band from the worst to the best seed.

    Upright marks: where Dice has fallen by FALL against the tight box. Thin level lines: the same
    system told one random point.
    """
    figure, axes = panels(1, 1, height)
    boxed, pointed = boxed_cases(cases), _pointed(cases)
    limits = tolerance_table(cases)["overlap"]
    for system in SYSTEMS:
        own = boxed[boxed["system"] == system]
        if len(own):
            point = pointed.loc[pointed["system"] == system, "dice"]
            _curve(axes, system, own, limits[system], point)
    axes.invert_xaxis()  # from the tight box to the wrong ones
    label(axes, "overlap of the box with the tight one (IoU)", "Dice")
    if axes.lines:
        axes.plot([], [], color=INK, linewidth=1, label="level: one random point")
        axes.plot([], [], "|", color=INK, markersize=12, label=f"fallen by {FALL:g}")
        figure.legend(loc="outside lower center", ncols=5, fontsize=9)
    return figure


def said_of(table: pd.DataFrame) -> list[str]:
    """`tolerance_table` in sentences."""
    return [
        f"{system} has lost {FALL:g} of Dice at an overlap of {row.overlap:.2f} "
        f"(95 % interval over patients {_bound(row.low)} to {_bound(row.high)})."
        if not np.isnan(row.overlap)
        else f"{system} does not lose {FALL:g} of Dice at any overlap that was asked."
        for system, row in table.iterrows()
    ]


def _bound(value: float) -> str:
    return "none asked" if np.isnan(value) else f"{value:.2f}"


def _pointed(cases: pd.DataFrame) -> pd.DataFrame:
    return cases[cases["change"].eq("") & cases["user"].eq(POINT)]


def _percentiles(values: Sequence[float], wanted: Sequence[float]) -> list[float]:
    """Of overlaps; one that is never reached lies below all others, and is NaN again."""
    found = np.percentile(np.nan_to_num(values, nan=-1.0), wanted, method="nearest")
    return [float("nan") if value < 0 else float(value) for value in found]


def _curve(axes: Axes, system: str, cases: pd.DataFrame, limit: float, point: pd.Series) -> None:
    look = system_look(system)
    of_seed = cases.pivot_table(index="overlap", columns="seed", values="dice")
    mean = of_seed.mean(axis=1)
    axes.plot(mean.index, mean, linewidth=2, markersize=7, label=system, **look)
    low, high = of_seed.min(axis=1), of_seed.max(axis=1)
    axes.fill_between(mean.index, low, high, color=look["color"], alpha=0.22, linewidth=0)
    if len(point):
        axes.axhline(point.mean(), color=look["color"], linewidth=1)
    if not np.isnan(limit):
        height = np.interp(limit, mean.index, mean)
        axes.plot([limit], [height], "|", color=look["color"], markersize=18, mew=2.5)
