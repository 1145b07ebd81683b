"""Figures of M-SAM: Dice after every click, transfers, table 3 and the crop of the truth."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from samnb.evaluation.statistics import patient_interval
from samnb.reports.lunch import AUTOMATIC, ORACLE
from samnb.reports.m_sam import of_set, system_of, track_of
from samnb.reports.m_sam_ablation import VARIANTS, ablation_cases
from samnb.reports.m_sam_clicks import LEVELS, clicked_cases
from samnb.reports.m_sam_crop import crop_table
from samnb.reports.m_sam_names import MOST, OWN, PROMPTED, SETS, TRANSFERS
from samnb.reports.m_sam_transfer import transfer_table
from samnb.reports.style import FAINT, INK, label, panels, system_look

PANELS = 3  # in a row
ROW = 0.42  # inches for each row of a chart of rows


def click_curves(cases: pd.DataFrame, height: float = 2.4) -> Figure:
    """Dice against the number of clicks, a panel for each set that has some.

    cases: of `m_sam.all_cases`. Bars: 95 % interval over patients. Level lines with a name: the
    best system that works alone, which is no rival of who is told where. Faint lines: a Dice of
    0.8 and of 0.9.
    """
    sets = [name for name in SETS if len(clicked_cases(cases, name))]
    figure, grid = _panels_of(sets, height, sharey=True)
    for axes, name in zip(grid, sets, strict=False):
        chosen = clicked_cases(cases, name)
        for level in LEVELS:
            axes.axhline(level, color=FAINT, linewidth=1)
        for system in PROMPTED:
            _click_curve(axes, chosen[chosen["system"] == system], system)
        _alone(axes, of_set(cases, name))
        counts = sorted(chosen["clicks"].unique())
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_ylim(0, 1)
        axes.set_title(name)
        label(axes, "clicks", "Dice" if axes in grid[::PANELS] else "")
    _legend(figure, PROMPTED)
    return figure


def transfer_chart(cases: pd.DataFrame, number: int = MOST) -> Figure:
    """Table 2 as a chart: what a row of ours has on the target, trained there and elsewhere.

    Filled: trained on the target; hollow: on the source alone; the line is what is lost. Rows that
    were told clicks stand below a rule, since they are not to be ranked with those above.
    """
    tables = {name: transfer_table(cases, name, number).dropna(subset=["change"])
              for name in TRANSFERS}  # fmt: skip
    tables = {name: table for name, table in tables.items() if len(table)}
    tallest = max((len(table) for table in tables.values()), default=1)
    figure, grid = _panels_of(list(tables), ROW * tallest + 1.0, columns=2, sharex=True)
    for axes, (name, table) in zip(grid, tables.items(), strict=False):
        table = table.loc[sorted(table.index, key=lambda row: track_of(row) == ORACLE)]
        for place, (row, line) in enumerate(table.iterrows()):
            _dumbbell(axes, place, system_of(row), line["before"], line["after"])
        _rows(axes, table.index)
        axes.set_title(name)
        label(axes, "Dice on the target")
    _two_ends(figure, "trained on the target", "trained on the source")
    return figure


def ablation_chart(cases: pd.DataFrame, number: int = MOST, height: float = 2.4) -> Figure:
    """Table 3 as a chart: Dice of every variant, a panel for each set that has several.

    Bars: 95 % interval over patients; small points: seeds; the line: the whole M-SAM.
    """
    tables = {name: ablation_cases(cases, name, number) for name in SETS}
    tables = {name: table for name, table in tables.items() if len(set(table["system"])) > 1}
    figure, grid = _panels_of(list(tables), height, sharey=True)
    colour = system_look(OWN)["color"]
    for axes, (name, table) in zip(grid, tables.items(), strict=False):
        interval = patient_interval(table, "dice").set_index("system")
        for place, title in enumerate(VARIANTS):
            if title not in interval.index:
                continue
            found, own = interval.loc[title], table[table["system"] == title]
            axes.hlines(place, found["low"], found["high"], color=colour, linewidth=2)
            axes.plot(found["mean"], place, "o", color=colour, markersize=7)
            of_seed = own.groupby("seed")["dice"].mean()
            axes.plot(of_seed, [place + 0.22] * len(of_seed), ".", color=INK, markersize=5)
        if OWN in interval.index:
            axes.axvline(interval.loc[OWN, "mean"], color=colour, linewidth=1)
        axes.set_yticks(range(len(VARIANTS)), list(VARIANTS))
        axes.set_ylim(len(VARIANTS) - 0.5, -0.5)
        axes.set_title(name)
        label(axes, f"Dice, {number} clicks")
    return figure


def crop_chart(cases: pd.DataFrame, number: int = MOST) -> Figure:
    """What the crop of the truth is worth, a panel for each set: filled honest, hollow cropped."""
    table = crop_table(cases, number)
    sets = list(table["set"].unique())
    tallest = int(table["set"].value_counts().max()) if sets else 1
    figure, grid = _panels_of(sets, ROW * tallest + 1.0, columns=2, sharex=True)
    for axes, name in zip(grid, sets, strict=False):
        own = table[table["set"] == name]
        own = own.loc[sorted(own.index, key=lambda row: track_of(row) == ORACLE)]
        for place, (row, line) in enumerate(own.iterrows()):
            _dumbbell(axes, place, system_of(row), line["honest"], line["cropped"])
        _rows(axes, own.index)
        axes.set_title(name)
        label(axes, "Dice")
    _two_ends(figure, "without knowing the truth", "cropped around the truth")
    return figure


def _panels_of(
    names: list[str], height: float, columns: int = PANELS, **options
) -> tuple[Figure, np.ndarray]:
    """A figure with a panel for each name, so many in a row; the panels in one line."""
    columns = min(columns, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure, grid = panels(rows, columns, height, squeeze=False, **options)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    return figure, grid.ravel()


def _click_curve(axes: Axes, cases: pd.DataFrame, system: str) -> None:
    if cases.empty:
        return
    interval = patient_interval(cases, "dice", ("clicks",)).sort_values("clicks")
    reach = np.abs(interval[["low", "high"]].to_numpy().T - interval["mean"].to_numpy())
    axes.errorbar(interval["clicks"], interval["mean"], reach, capsize=2, linewidth=1.6,
                  **system_look(system))  # fmt: skip


def _alone(axes: Axes, cases: pd.DataFrame) -> None:
    """The level of the best that works alone, with its name."""
    alone = cases[[track_of(row) == AUTOMATIC for row in cases["system"]]]
    if alone.empty:
        return
    means = alone.groupby("system")["dice"].mean()
    axes.axhline(means.max(), color=INK, linewidth=1.2, linestyle="--")
    axes.text(0.98, 0.03, f"alone: {means.idxmax()}", color=INK, transform=axes.transAxes,
              ha="right", fontsize=7.5)  # fmt: skip


def _dumbbell(axes: Axes, place: int, system: str, filled: float, hollow: float) -> None:
    look = system_look(system)
    drawn = {"color": look["color"], "marker": "o", "markersize": 7, "linestyle": ""}
    axes.hlines(place, min(filled, hollow), max(filled, hollow), color=look["color"], linewidth=2)
    axes.plot([filled], [place], **drawn)
    axes.plot([hollow], [place], **drawn, markerfacecolor="none")


def _rows(axes: Axes, rows: pd.Index) -> None:
    """Names of rows down the side, and a rule between those who work alone and the others."""
    names = [row if track_of(row) == AUTOMATIC else row.replace("random ", "") for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    alone = sum(track_of(row) == AUTOMATIC for row in rows)
    if 0 < alone < len(rows):
        axes.axhline(alone - 0.5, color=INK, linewidth=0.8)


def _legend(figure: Figure, systems: tuple[str, ...]) -> None:
    handles = [Line2D([], [], linewidth=2, label=name, **system_look(name)) for name in systems]
    handles.append(Line2D([], [], color=INK, linestyle="--", label="the best that works alone"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8.5)


def _two_ends(figure: Figure, filled: str, hollow: str) -> None:
    drawn = {"color": INK, "marker": "o", "linestyle": ""}
    handles = [Line2D([], [], label=filled, **drawn),
               Line2D([], [], label=hollow, markerfacecolor="none", **drawn)]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8.5)
