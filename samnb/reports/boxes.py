"""Figure 2: how the cases of each system are spread, in-domain and cross-domain side by side."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samnb.reports.printing import COLUMNS
from samnb.reports.style import COHORT_NAMES, INK, label, panels, system_tint
from samnb.reports.systems import in_order, of_cohort


def case_boxes(
    cases: pd.DataFrame,
    cohorts: Sequence[str],
    by: str = "patient",
    metric: str = "dice",
    systems: Sequence[str] | None = None,
) -> Figure:
    """One box per system, one panel per cohort; every patient (or `by="slice"`: slice) is a point.

    A point is the mean over seeds, and over the slices of a patient. The box spans the quartiles,
    the line is the median, the diamond the mean of the points; whiskers reach to one and a half
    times the box's length.
    """
    chosen = [of_cohort(cases, cohort) for cohort in cohorts]
    names = in_order(pd.concat(chosen)["system"]) if systems is None else list(systems)
    height = 0.9 + 0.34 * len(names)
    figure, grid = panels(
        1, len(cohorts), panel_height=height, sharex=True, sharey=True, squeeze=False
    )
    for axes, cohort, table in zip(grid[0], cohorts, chosen, strict=True):
        values = _points(table, by, metric)
        for row, name in enumerate(names):
            if name in values:
                _box(axes, row, values[name].to_numpy(), system_tint(name))
        axes.set_title(COHORT_NAMES.get(cohort, cohort))
        label(axes, COLUMNS[metric].title)
        axes.grid(visible=False, axis="y")
    grid[0, 0].set_yticks(range(len(names)), names)
    grid[0, 0].set_ylim(len(names) - 0.4, -0.6)
    if metric in ("dice", "iou", "surface_dice"):
        grid[0, 0].set_xlim(-0.02, 1.02)
    return figure


def _points(table: pd.DataFrame, by: str, metric: str) -> dict[str, pd.Series]:
    keys = {"patient": ["patient"], "slice": ["scan", "slice"]}[by]
    means = table.groupby(["system", *keys])[metric].mean()
    return {name: means.loc[name] for name in means.index.unique(level="system")}


def _box(axes: Axes, row: int, values: np.ndarray, colour: tuple[float, float, float]) -> None:
    """A horizontal box at height `row`, its points spread by their order, always the same way."""
    spread = row + 0.56 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)
    few = len(values) <= 60
    size, strength = (4.0, 0.75) if few else (2.2, 0.3)
    axes.plot(values, spread, "o", color=colour, markersize=size, alpha=strength, mew=0, zorder=2)
    drawn = axes.boxplot(
        [values],
        positions=[row],
        orientation="horizontal",
        widths=0.66,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": (*colour, 0.18), "edgecolor": INK, "linewidth": 1.1},
        whiskerprops={"color": INK, "linewidth": 1.1},
        capprops={"color": INK},
        medianprops={"color": INK, "linewidth": 2.2},
    )
    for part in drawn["boxes"]:
        part.set_zorder(1)
    axes.plot(values.mean(), row, "D", color=colour, markersize=5, mec=INK, mew=1.0, zorder=4)
