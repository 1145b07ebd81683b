"""Charts of measurements: one place for how distributions are drawn."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from samnb.reports.style import INK, SERIES


def box_plot(axes: Axes, table: pd.DataFrame) -> None:
    """One box per column of `table`, with every value as a point beside the box's middle line.

    The box spans the quartiles, the line is the median, whiskers reach to one and a half times the
    box's height. Points are spread sideways by their order, so the picture is always the same.
    """
    for place, name in enumerate(table.columns):
        values = table[name].dropna().to_numpy()
        colour = SERIES[place % len(SERIES)]
        sideways = place + 0.5 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)
        axes.plot(sideways, values, "o", color=colour, markersize=2.5, alpha=0.35, mew=0)
    axes.boxplot(
        [table[name].dropna() for name in table.columns],
        positions=range(len(table.columns)),
        widths=0.6,
        showfliers=False,
        **{part: {"color": INK, "linewidth": 1.4} for part in ("boxprops", "whiskerprops")},
        capprops={"color": INK},
        medianprops={"color": INK, "linewidth": 2.4},
    )
    axes.set_xticks(range(len(table.columns)), [str(name) for name in table.columns])
    axes.grid(visible=False, axis="x")
