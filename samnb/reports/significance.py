"""The significance matrix as a picture: who beats whom on the same patients."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from samnb.reports.printing import COLUMNS
from samnb.reports.style import BETTER, FAINT, INK, WIDTH, WORSE, panels

LEVEL = 0.05


def significance_map(
    p_values: pd.DataFrame, differences: pd.DataFrame, metric: str = "dice"
) -> Figure:
    """Row against column: the median difference over patients, filled where it is no luck.

    Takes `tables.significance_matrix` and `tables.difference_matrix`. A cell is filled where the
    corrected p is below LEVEL: blue where the row's system is the better one, brown where it is the
    worse one.
    """
    names = list(p_values.columns)
    inches = min(0.6, (WIDTH - 2.1) / len(names))  # of a cell; names take the rest
    figure, axes = panels(panel_height=inches * len(names) + 1.5)
    higher = COLUMNS[metric].better == "high"
    size = min(10, 24.5 * inches)
    for row, first in enumerate(names):
        for column, second in enumerate(names):
            if row == column:
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=FAINT, lw=0))
                continue
            difference = differences.loc[first, second]
            sure = p_values.loc[first, second] < LEVEL
            _cell(axes, (column, row), difference, sure, (difference > 0) == higher, size)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.tick_params(labelsize=min(10, 34 * inches))
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    handles = [Patch(color=BETTER, label="row better"), Patch(color=WORSE, label="row worse")]
    handles.append(Patch(facecolor="none", edgecolor=INK, label=f"corrected p ≥ {LEVEL}"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _cell(
    axes: Axes, place: tuple[int, int], difference: float, sure: bool, better: bool, size: float
) -> None:
    column, row = place
    if sure:
        colour = BETTER if better else WORSE
        axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, color=colour, lw=0))
    look = {"color": "white", "fontweight": "bold"} if sure else {"color": INK}
    axes.text(
        column, row, _short(difference), ha="center", va="center_baseline", fontsize=size, **look
    )


def _short(difference: float) -> str:
    """+.07, −.31, +12.4: as short as a small cell wants it."""
    if abs(difference) < 0.005:
        return ".00"
    text = f"{difference:+.2f}" if abs(difference) < 1 else f"{difference:+.1f}"
    return text.replace("0.", ".", 1).replace("-", "−")
