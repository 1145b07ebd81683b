"""What flows where: boxes in columns, each with what it holds, and arrows between them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch

from samnb.reports.style import INK, PREDICTION, PROMPT, SERIES, TRUTH, WIDTH

# What a box is, and its colour.
KINDS = {
    "given": INK,
    "prompt": PROMPT,
    "frozen": SERIES[0],
    "trained": PREDICTION,
    "made": SERIES[1],
    "truth": TRUTH,
}
HEIGHT, ROOM = 0.62, 0.14  # of a box, and between two, as shares of a row and of a column


class Box(NamedTuple):
    """name: in bold; holds: a shape or a few words below it; kind: of KINDS."""

    name: str
    holds: str
    kind: str = "given"


def flow(columns: Sequence[Sequence[Box]], arrows: Sequence[tuple[str, str]]) -> Figure:
    """Boxes column after column, from left to right; arrows: pairs of their names."""
    rows = max(len(column) for column in columns)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.3 + 0.78 * rows))
    figure.subplots_adjust(left=0, right=1)  # text needs all of the width
    places: dict[str, tuple[float, float]] = {}
    for x, column in enumerate(columns):
        for number, box in enumerate(column):
            y = (rows - 1) / 2 + (len(column) - 1) / 2 - number
            places[box.name] = x, y
            _draw(axes, box, x, y)
    for start, end in arrows:
        _arrow(axes, places[start], places[end])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.62, rows - 0.45))
    axes.axis("off")
    kinds = dict.fromkeys(box.kind for column in columns for box in column)
    legend(axes, {kind: KINDS[kind] for kind in kinds})
    return figure


def _draw(axes: Axes, box: Box, x: float, y: float) -> None:
    width = 1 - ROOM
    shape = FancyBboxPatch(
        (x - width / 2, y - HEIGHT / 2), width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.06",
        facecolor=KINDS[box.kind] + "26", edgecolor=KINDS[box.kind], linewidth=1.4,
    )  # fmt: skip
    axes.add_patch(shape)
    axes.text(x, y + 0.12, box.name, ha="center", va="center", weight="bold", fontsize=8)
    axes.text(x, y - 0.14, box.holds, ha="center", va="center", fontsize=7)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    half = (1 - ROOM) / 2
    upright = start[0] == end[0]
    step = HEIGHT / 2 if end[1] > start[1] else -HEIGHT / 2
    ends = (
        ((start[0], start[1] + step), (end[0], end[1] - step))
        if upright
        else ((start[0] + half, start[1]), (end[0] - half, end[1]))
    )
    axes.add_patch(
        FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=11, color=INK, linewidth=1.2)
    )


def legend(axes: Axes, colours: Mapping[str, str]) -> None:
    """One patch for each kind of box, below the picture."""
    patches = [Patch(facecolor=colour + "26", edgecolor=colour, label=kind)
               for kind, colour in colours.items()]  # fmt: skip
    axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=len(patches))
