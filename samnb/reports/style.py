"""The one place for colours, line styles and figure sizes.

Figures have a transparent ground and grey text of equal contrast on the site's white and its dark
pages (about 4.3 : 1 on each), so one picture serves both. Colours are chosen to be told apart by
colour-blind readers and on both grounds; whatever differs by colour also differs by line or marker.
"""

import colorsys
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from samnb.reports.systems import parse

INK = "#7b7f86"  # text, axes, ticks
FAINT = "#7b7f8640"  # grid lines

TRUTH = "#19b36b"  # green, as the papers draw it
PREDICTION = "#f0503c"  # red
PROMPT = "#f5b700"  # boxes and points

COHORT_COLOURS = {"lits": "#2f8fd8", "totalsegmentator": "#e0791c"}
COHORT_LINES = {"lits": "-", "totalsegmentator": "--"}
COHORT_NAMES = {
    "lits": "LiTS-like",
    "totalsegmentator": "TotalSegmentator-like",
    "du": "brain, in-site",
    "cs": "brain, cross-site",
    "brats": "brain tumour",
    "synapse": "eight organs",
}
SERIES = ("#2f8fd8", "#e0791c", "#19b36b", "#c061cb", "#b58900", "#f0503c")
# Several targets in one picture, told apart on black; the first is the truth's own green.
TARGETS = (TRUTH, "#2f8fd8", "#f5b700", "#f0503c", "#c061cb", "#5ad1e0", "#e0791c", "#f3a6c8")
# The thirteen labels of BTCV need five more.
MANY_TARGETS = (*TARGETS, "#8a6de0", "#a0d468", "#b58900", "#d9d9d9", "#b8e0ff")

# One colour, line and marker for each family of systems, in every figure.
SYSTEM_LOOKS = {
    "U-Net": ("#c061cb", (0, (5, 1)), "s"),
    "U-Net longer": ("#8a4fd0", (0, (7, 1, 2, 1)), "8"),
    "nnU-Net": ("#a8842c", (0, (3, 1, 1, 1)), "D"),
    "TransUNet": ("#d1477a", (0, (1, 1)), "P"),
    "MultiMix": ("#6d9a2f", "-.", "X"),
    "CAM alone": ("#8a8f98", ":", "v"),
    "SAM-PP": ("#e0791c", "--", "^"),
    "SAM-Mix": ("#2f8fd8", "-", "o"),
    "SAM-Mix guided": ("#13a08c", (0, (6, 1, 1, 1)), "p"),
    "SAM-Mix lightly guided": ("#3f7f3a", (0, (2, 1)), "*"),
    "SAM-Mix soft": ("#7a70e8", (0, (4, 2)), "h"),
    "SAM-Mix improved": ("#d9363e", (0, (8, 1)), "d"),
    "SAM": ("#5f6672", (0, (1, 2)), "<"),
    "Attention U-Net": ("#8d6e4a", (0, (3, 2, 1, 2)), ">"),
    "Attention U-Net without synthesis": ("#c7a75a", (0, (2, 2)), "H"),
    "SAMed_s": ("#b04fa8", (0, (5, 2, 1, 2)), "+"),
    "Cheap Lunch without synthesis": ("#e39a4f", (0, (6, 3)), "x"),
    "Cheap Lunch": ("#4aa3e0", (0, (12, 1)), "1"),
    "Cheap Lunch, self-pointed": ("#3fb8a8", (0, (4, 1, 1, 1, 1, 1)), "2"),
    "Cheap Lunch, mirrored": ("#6fa32a", (0, (9, 2, 1, 2)), "_"),
    "SegDiff": ("#a3734f", (0, (2, 4)), "3"),
    "EnsemDiff": ("#c98a6b", (0, (4, 4)), "4"),
    "3D U-Net, nnU-Net's layout": ("#9a9a3c", (0, (5, 1, 1, 1)), "|"),
    "UNETR": ("#5b8a72", (0, (3, 3)), (3, 2, 0)),
    "Swin UNETR": ("#7f9ec2", (0, (1, 3)), (4, 2, 0)),
    "MedSAM": ("#d98324", (0, (7, 2)), (4, 0, 45)),
    "Med-SA": ("#1e88c7", (0, (14, 1)), (6, 0, 0)),
    "Self-pointed Med-SA": ("#2aa79b", (0, (10, 2, 2, 2)), (5, 0, 0)),
    "Mirrored Med-SA": ("#7d8f2e", (0, (9, 1, 3, 1)), (5, 1, 0)),
    "Med-LoRA": ("#2e9e5b", (0, (2, 1, 1, 1)), (5, 0, 36)),
    "nnFormer": ("#b5651d", (0, (4, 2, 1, 2, 1, 2)), (3, 0, 180)),
    "3D nnU-Net": ("#8c7a1e", (0, (6, 2, 2, 2)), (4, 0, 0)),
    "SAM (3D)": ("#6b7480", (0, (2, 3)), (3, 0, 90)),
    "SAM-Med3D": ("#c2703d", (0, (11, 2)), (8, 0, 0)),
    "M-SAM": ("#2b7fd0", (0, (16, 1)), (7, 0, 0)),
}
BETTER, WORSE = "#1f6fb5", "#b2560a"  # grounds of white text

WIDTH = 7.0  # inches: the full width of a page's text
DOTS_PER_INCH = 110
GRID_DOTS_PER_INCH = 80  # of many pictures beside each other, else a page takes long to load

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


def system_look(name: str) -> dict[str, object]:
    """How a system is drawn, by its family: `color`, `linestyle`, `marker`."""
    colour, line, marker = SYSTEM_LOOKS.get(parse(name).family, (INK, ":", "."))
    return {"color": colour, "linestyle": line, "marker": marker}


def system_tint(name: str) -> tuple[float, float, float]:
    """The colour of its family, lighter for few labelled slices, darker for many.

    Lightness stays in a range that is seen on white and on dark pages alike.
    """
    labels = parse(name).labels
    hue, lightness, saturation = colorsys.rgb_to_hls(*mpl.colors.to_rgb(system_look(name)["color"]))
    if labels is not None:
        lightness += 0.10 if labels < 10 else 0.0 if labels < 100 else -0.10
    return colorsys.hls_to_rgb(hue, min(max(lightness, 0.34), 0.68), saturation)


def label(axes: Axes, x: str, y: str = "", legend: bool = False) -> None:
    """Name the axes, and draw the legend of what carries a label.

    Returns nothing, so a cell that ends with it shows its figure and not the text of an object.
    """
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if legend:
        axes.legend()
