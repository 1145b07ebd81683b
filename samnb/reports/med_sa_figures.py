"""Figures of Med-SA: Dice by task and by box, its lead, the answers, and table 3 as a chart."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from samnb.evaluation.statistics import patient_interval
from samnb.reports import lunch_figures
from samnb.reports.lunch import ORACLE
from samnb.reports.lunch_study import Shown
from samnb.reports.lunch_tests import FIRST, SECOND, TIE
from samnb.reports.med_sa import FLAT, PROMPTED, TASKS, of_task, track_of
from samnb.reports.med_sa_ablation import VARIANTS, WHOLE_TITLE, ablation_cases
from samnb.reports.med_sa_findings import alone
from samnb.reports.paper_med_sa import row_name
from samnb.reports.style import GRID_DOTS_PER_INCH, INK, label, panels, system_look

BOX, POINT = "box ", "random point"
COLUMNS = 3  # of panels
COLOUR = system_look("Med-SA")["color"]
# Who is ahead: colour, marker, whether it is filled.
LEADS = {
    "Med-SA ahead": (COLOUR, "o", True),
    "MedSAM ahead": (system_look("MedSAM")["color"], "D", True),
    "a tie": (INK, "o", False),
    "not decided": (INK, "x", True),
}


def overlap_chart(cases: pd.DataFrame, height: float = 2.3) -> Figure:
    """Dice against the overlap of the box with the tight one, a panel for each task with boxes.

    cases: of `med_sa.all_cases`. Bars: 95 % interval over patients. Thin level lines: the same
    system told one random point. All are oracles.
    """
    boxed = cases[cases["change"].eq("") & cases["user"].astype(str).str.startswith(BOX)]
    tasks = [task for task in TASKS if boxed["task"].eq(task).any()]
    figure, grid = _task_panels(tasks, height)
    for axes, task in zip(grid, tasks, strict=False):
        chosen = of_task(cases, task)
        for system in PROMPTED:
            _overlap_curve(axes, chosen, system)
        axes.set_title(task)
        label(axes, "overlap of the box (IoU)", "Dice" if axes in grid[::COLUMNS] else "")
    handles = [Line2D([], [], linewidth=2, label=name, **system_look(name)) for name in PROMPTED]
    handles.append(Line2D([], [], color=INK, linewidth=1, label="level: one random point"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8.5)
    return figure


def ablation_chart(cases: pd.DataFrame, user: str = POINT, height: float = 3.0) -> Figure:
    """Table 3 as a chart: Dice of every variant, a panel for each task that has several.

    Bars: 95 % interval over patients; points: seeds; the line: the whole Med-SA. A picture has no
    depth, so that its rows with SD-Trans are the only ones.
    """
    titles = ["\n".join(wrap(name, 20, break_on_hyphens=False)) for name in VARIANTS]
    tables = {task: ablation_cases(cases, task, user) for task in TASKS}
    drawn = {
        task: [name for name in VARIANTS
               if name in set(table["system"]) and (TASKS[task].volumes or VARIANTS[name].depth)]
        for task, table in tables.items()
    }  # fmt: skip
    tables = {task: table for task, table in tables.items() if len(drawn[task]) > 1}
    figure, grid = _task_panels(list(tables), height, sharey=True)
    for axes, (task, table) in zip(grid, tables.items(), strict=False):
        interval = patient_interval(table, "dice").set_index("system")
        for name in drawn[task]:
            place = list(VARIANTS).index(name)
            _variant(axes, place, interval.loc[name], table[table["system"] == name])
        if WHOLE_TITLE in interval.index:
            axes.axvline(interval.loc[WHOLE_TITLE, "mean"], color=COLOUR, linewidth=1)
        axes.set_yticks(range(len(VARIANTS)), titles, fontsize=8)
        axes.set_ylim(len(VARIANTS) - 0.5, -0.5)
        axes.set_title(task)
        label(axes, f"Dice, told: {user}" if axes in grid[-COLUMNS:] else "Dice")
    return figure


def levels_chart(
    cases: pd.DataFrame, user: str = POINT, among: Sequence[str] = tuple(TASKS)
) -> Figure:
    """Dice of every task: who was told by this user, and the best who works alone.

    cases: of `med_sa.all_cases`; among: the tasks, as far as they have cases. Bars: 95 % interval
    over patients. Filled markers are oracles, the hollow one is not: its distance to them is not a
    gain of a method.
    """
    tasks = [task for task in among if len(of_task(cases, task))]
    figure, axes = panels(panel_height=0.6 + 0.62 * max(1, len(tasks)))
    rows = {name: row_name(name, user) for name in PROMPTED}
    for place, task in enumerate(tasks):
        best = alone(cases, task)
        names = rows | ({best.index[0]: best.index[0]} if len(best) else {})
        for step, (system, row) in enumerate(names.items()):
            _level(axes, place + 0.18 * (step - 1.5), of_task(cases, task), system, row)
    axes.set_yticks(range(len(tasks)), tasks)
    axes.set_ylim(len(tasks) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    label(axes, f"Dice; filled: told {user}; hollow: the best that works alone")
    handles = [Line2D([], [], linestyle="", label=name, **_marker(name)) for name in PROMPTED]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def leads_chart(leads: Mapping[str, pd.DataFrame]) -> Figure:
    """Med-SA minus MedSAM in Dice: a row for each place, a panel for each user, who told both.

    leads: of `med_sa_beyond.leads`, by user. Bars: 95 % interval over patients; right of the line
    adapters are better.
    """
    places = list(dict.fromkeys(place for table in leads.values() for place in table.index))
    height = 1.2 + 0.27 * max(1, len(places))
    figure, grid = panels(1, max(1, len(leads)), height, squeeze=False, sharex=True, sharey=True)
    for axes, (user, table) in zip(grid[0], leads.items(), strict=False):
        for place, row in table.iterrows():
            _lead(axes, places.index(place), row)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_title(f"told: {user}")
        label(axes, "Dice, Med-SA minus MedSAM")
    grid[0, 0].set_yticks(range(len(places)), places, fontsize=9)
    grid[0, 0].set_ylim(len(places) - 0.4, -0.6)
    handles = [Line2D([], [], linestyle="", label=name, **_sign(name)) for name in LEADS]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9)
    return figure


def rows_chart(cases: Mapping[str, pd.DataFrame], rows: Sequence[str]) -> Figure:
    """Dice of these rows (a system, and who told it) from top to bottom, a panel for each key.

    cases: system (the name of the row), seed, patient, dice. Filled markers are oracles, hollow
    ones work alone. Bars: 95 % interval over patients; small points: seeds.
    """
    there = [name for name in rows if any(table["system"].eq(name).any()
                                          for table in cases.values())]  # fmt: skip
    height = 0.9 + 0.34 * max(1, len(there))
    figure, grid = panels(1, max(1, len(cases)), height, squeeze=False, sharey=True)
    for axes, (title, table) in zip(grid[0], cases.items(), strict=False):
        for place, name in enumerate(there):
            _row(axes, place, name, table[table["system"] == name])
        axes.set_title(title)
        label(axes, "Dice")
    grid[0, 0].set_yticks(range(len(there)), there, fontsize=9)
    grid[0, 0].set_ylim(len(there) - 0.4, -0.6)
    return figure


def answer_grid(shown: Shown) -> Figure:
    """What systems answered (columns) in three cases of a task (rows); see `med_sa_study`."""
    figure = lunch_figures.answer_grid(shown, track_of, _heading)
    figure.set_dpi(GRID_DOTS_PER_INCH)  # on the page; a file is written as all are
    return figure


def _task_panels(tasks: list[str], height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure with a panel for each task, three in a row; the panels in one line."""
    columns = min(COLUMNS, max(1, len(tasks)))
    rows = max(1, -(-len(tasks) // columns))
    figure, grid = panels(rows, columns, height, squeeze=False, **options)
    for axes in grid.flat[len(tasks) :]:
        axes.set_axis_off()
    return figure, grid.ravel()


def _overlap_curve(axes: Axes, cases: pd.DataFrame, system: str) -> None:
    look = system_look(system)
    start = row_name(system, BOX)
    boxed = cases[cases["system"].str.startswith(start)]
    if boxed.empty:
        return
    interval = patient_interval(boxed, "dice")
    overlaps = interval["system"].str.removeprefix(start).astype(float)
    interval = interval.assign(overlap=overlaps).sort_values("overlap")
    reach = np.abs(interval[["low", "high"]].to_numpy().T - interval["mean"].to_numpy())
    axes.errorbar(interval["overlap"], interval["mean"], reach, capsize=3, linewidth=2, **look)
    point = cases[cases["system"] == row_name(system, POINT)]
    if len(point):
        axes.axhline(point["dice"].mean(), color=look["color"], linewidth=1)


def _level(axes: Axes, place: float, cases: pd.DataFrame, system: str, row: str) -> None:
    own = cases[cases["system"] == row]
    if own.empty:
        return
    found = patient_interval(own, "dice").iloc[0]
    look = _marker(system) | ({} if row != system else {"markerfacecolor": "none"})
    axes.hlines(place, found["low"], found["high"], color=look["color"], linewidth=2)
    axes.plot(found["mean"], place, **look, markersize=7, linestyle="")
    if row == system:
        axes.annotate(system, (found["high"], place), (5, 0), textcoords="offset points",
                      va="center", fontsize=8)  # fmt: skip


def _lead(axes: Axes, place: int, row: pd.Series) -> None:
    names = {FIRST: "Med-SA ahead", SECOND: "MedSAM ahead", TIE: "a tie"}
    look = _sign(names.get(row["better"], "not decided"))
    axes.hlines(place, row["low"], row["high"], color=look["color"], linewidth=2)
    axes.plot(row["difference"], place, linestyle="", **look)


def _sign(name: str) -> dict[str, object]:
    """The marker of a verdict."""
    colour, marker, filled = LEADS[name]
    inside = colour if filled else "none"
    return {"color": colour, "marker": marker, "markersize": 7, "markerfacecolor": inside}


def _row(axes: Axes, place: int, name: str, cases: pd.DataFrame) -> None:
    if cases.empty:
        return
    found = patient_interval(cases, "dice").iloc[0]
    is_told = track_of(name) == ORACLE
    look = _marker(name.partition(", ")[0].removesuffix(FLAT) if is_told else name)
    if not is_told:
        look["markerfacecolor"] = "none"
    axes.hlines(place, found["low"], found["high"], color=look["color"], linewidth=2)
    axes.plot(found["mean"], place, **look, markersize=8, linestyle="")
    of_seed = cases.groupby("seed")["dice"].mean()
    if len(of_seed) > 1:
        axes.plot(of_seed, [place + 0.25] * len(of_seed), ".", color=INK, markersize=5)


def _marker(system: str) -> dict[str, object]:
    return {name: value for name, value in system_look(system).items() if name != "linestyle"}


def _variant(axes: Axes, place: int, interval: pd.Series, cases: pd.DataFrame) -> None:
    of_seed = cases.groupby("seed")["dice"].mean()
    axes.hlines(place, interval["low"], interval["high"], color=COLOUR, linewidth=2)
    axes.plot(interval["mean"], place, "o", color=COLOUR, markersize=7)
    axes.plot(of_seed, [place + 0.22] * len(of_seed), ".", color=INK, markersize=5)


def _heading(name: str, inches: float) -> str:
    """Of a column: the system, and what it was told."""
    if name == "truth":
        return name
    system, _, user = name.partition(", ") if track_of(name) == ORACLE else (name, "", "")
    said = f"told: {user}" if user else "alone"
    return "\n".join([*wrap(system, max(8, int(12.5 * inches))), *wrap(said, int(14 * inches))])
