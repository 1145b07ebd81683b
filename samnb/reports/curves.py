"""Curves: Dice against the number of labelled slices, and what training looked like."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from samnb.evaluation.statistics import over_seeds
from samnb.reports.printing import COLUMNS
from samnb.reports.style import COHORT_NAMES, label, panels, system_look
from samnb.reports.systems import in_order, of_cohort, parse

_NO_QUANTITY = {"step", "epoch", "seconds", "learning_rate"}


def label_efficiency(
    cases: pd.DataFrame, cohorts: Sequence[str], metric: str = "dice", panel_height: float = 3.6
) -> Figure:
    """The metric against labelled slices, one line per family of systems, one panel per cohort.

    Line: mean over seeds; band: their deviation; small points: each seed. Systems that learned from
    every mask are horizontal lines. The axis is logarithmic, with a place for no labels at all.
    """
    figure, grid = panels(1, len(cohorts), panel_height, sharey=True, squeeze=False)
    counts: set[int] = set()
    for axes, cohort in zip(grid[0], cohorts, strict=True):
        table = of_cohort(cases, cohort)
        parts = pd.DataFrame([parse(name) for name in table["system"]], index=table.index)
        table = table.assign(family=parts["family"], labels=parts["labels"].fillna(-1).astype(int))
        counts |= set(table["labels"]) - {-1}
        for family in in_order(table["family"]):
            _efficiency(axes, family, table[table["family"] == family], metric)
        axes.set_title(COHORT_NAMES.get(cohort, cohort))
        label(axes, "Labelled slices", COLUMNS[metric].title if axes is grid[0, 0] else "")
    for axes in grid[0]:
        axes.set_xscale("symlog", linthresh=3, linscale=0.5)
        axes.set_xticks(sorted(counts), [str(count) for count in sorted(counts)])
        axes.set_xticks([], minor=True)
        axes.set_xlim(-0.7 if 0 in counts else 3, 1.35 * max(counts, default=1))
    _legend_below(figure, grid[0])
    return figure


def training_curves(
    records: Sequence[Mapping[str, Any]],
    quantities: Sequence[str] | None = None,
    panel_height: float = 2.4,
) -> Figure:
    """Losses of training, and the measures on the validation patients, against the step.

    records: contents of record.json, with `history` and `validation` (lists of rows with a step).
    One panel per quantity (all of them, or those named), one line per run; runs of one system share
    its colour. Losses have a logarithmic axis.
    """
    curves = {
        (part, name): None
        for record in records
        for part in ("history", "validation")
        for row in record.get(part) or ()
        for name, value in row.items()
        if name not in _NO_QUANTITY and isinstance(value, int | float)
    }
    shown = [key for key in curves if quantities is None or key[1] in quantities]
    columns = min(2, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure, grid = panels(rows, columns, panel_height, squeeze=False)
    for axes, (part, name) in zip(grid.flat, shown, strict=False):
        for record in records:
            _history(axes, record, part, name)
        if part == "history":
            _logarithmic(axes)
        axes.set_title(_title(part, name))
        label(axes, "Step")
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    _legend_below(figure, grid.flat)
    return figure


def _efficiency(axes: Axes, family: str, table: pd.DataFrame, metric: str) -> None:
    look = system_look(family)
    summary = over_seeds(table, metric, by=("labels",)).sort_values("labels")
    few, all_masks = summary[summary["labels"] >= 0], summary[summary["labels"] < 0]
    for row in all_masks.itertuples():
        axes.axhline(row.mean, color=look["color"], linestyle=look["linestyle"], linewidth=1.4)
        axes.plot([], [], label=f"{family} (all masks)", **look | {"marker": ""})
    if few.empty:
        return
    mean, deviation = few["mean"], few["deviation"].fillna(0)
    axes.plot(few["labels"], mean, linewidth=2, markersize=6, label=family, **look)
    low, high = mean - deviation, mean + deviation
    axes.fill_between(few["labels"], low, high, color=look["color"], alpha=0.2, linewidth=0)
    of_seed = table[table["labels"] >= 0].groupby(["labels", "seed"])[metric].mean().reset_index()
    colour = look["color"]
    axes.plot(of_seed["labels"], of_seed[metric], "o", color=colour, markersize=3, alpha=0.6, mew=0)


def _history(axes: Axes, record: Mapping[str, Any], part: str, name: str) -> None:
    rows = [row for row in record.get(part) or () if row.get(name) is not None]
    if not rows:
        return
    look = system_look(record["name"])
    style = look | {"marker": look["marker"] if part == "validation" else "", "markersize": 4}
    steps, values = (np.array([row[key] for row in rows], float) for key in ("step", name))
    axes.plot(steps, values, linewidth=1.3, alpha=0.85, label=record["name"], **style)


def _logarithmic(axes: Axes) -> None:
    """A logarithmic height with plain numbers beside it."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _title(part: str, name: str) -> str:
    title = COLUMNS[name].title if name in COLUMNS else name.replace("_", " ").capitalize()
    return title if part == "history" else f"{title} of the validation patients"


def _legend_below(figure: Figure, grid: Iterable[Axes]) -> None:
    """One legend for all panels, below them; one entry per name, in the order of drawing."""
    entries = {
        text: handle
        for axes in grid
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if entries:
        figure.legend(entries.values(), entries, loc="outside lower center", ncols=3)
