"""The one place for colours, line styles and figure sizes.

Figures have a transparent ground and grey text of equal contrast on the site's white and its dark
pages (about 4.3 : 1 on each), so one picture serves both. Colours are chosen to be told apart by
colour-blind readers and on both grounds; whatever differs by colour also differs by line or marker.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

INK = "#7b7f86"  # text, axes, ticks
FAINT = "#7b7f8640"  # grid lines

TRUTH = "#19b36b"  # green, as the papers draw it
PREDICTION = "#f0503c"  # red
PROMPT = "#f5b700"  # boxes and points

COHORT_COLOURS = {"lits": "#2f8fd8", "totalsegmentator": "#e0791c"}
COHORT_LINES = {"lits": "-", "totalsegmentator": "--"}
COHORT_NAMES = {"lits": "LiTS-like", "totalsegmentator": "TotalSegmentator-like"}
SERIES = ("#2f8fd8", "#e0791c", "#19b36b", "#c061cb", "#b58900", "#f0503c")

WIDTH = 7.0  # inches: the full width of a page's text
DOTS_PER_INCH = 110

_SETTINGS = {
    "figure.facecolor": "none",
    "figure.dpi": DOTS_PER_INCH,
    "savefig.facecolor": "none",
    "savefig.dpi": DOTS_PER_INCH,
    "savefig.bbox": "tight",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": mpl.cycler(color=SERIES),
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures look the same everywhere
    "svg.hashsalt": "samnb",  # else every SVG has new ids
}


def use() -> None:
    """Apply the style to every figure that follows; the first cell of a chapter calls it."""
    plt.rcParams.update(_SETTINGS)


@contextmanager
def styled() -> Iterator[None]:
    """The style for one block only, for figures written by the package."""
    with plt.rc_context(_SETTINGS):
        yield


def panels(rows: int = 1, columns: int = 1, panel_height: float | None = None, **options):
    """Figure of page width with `rows` × `columns` panels, square unless a height is given.

    Returns figure and axes as `plt.subplots` does; `options` go to it.
    """
    height = panel_height or WIDTH / columns
    size = (WIDTH, height * rows)
    return plt.subplots(rows, columns, figsize=size, layout="constrained", **options)


def look(cohort: str) -> dict[str, object]:
    """How the curve of a cohort is drawn: told apart by colour and by line."""
    return {
        "label": COHORT_NAMES.get(cohort, cohort),
        "color": COHORT_COLOURS.get(cohort, INK),
        "linestyle": COHORT_LINES.get(cohort, ":"),
        "linewidth": 2,
    }


def label(axes: Axes, x: str, y: str = "", legend: bool = False) -> None:
    """Name the axes, and draw the legend of what carries a label.

    Returns nothing, so a cell that ends with it shows its figure and not the text of an object.
    """
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if legend:
        axes.legend()
