"""A picture of a planned U-shaped network: how large and how wide each of its stages is."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from samnb.reports.style import FAINT, INK, SERIES, WIDTH

DOWN, UP = SERIES[0], SERIES[1]
FARTHEST, WIDEST = 3.1, 2.2  # of a bar's middle from the axis, and of the bar of the finest stage


def show_plan(
    patch: tuple[int, int],
    features: Sequence[int],
    kernels: Sequence[tuple[int, int]],
    strides: Sequence[tuple[int, int]],
    supervision: Sequence[float] = (),
) -> Figure:
    """Encoder on the left, decoder on the right, one row per stage; lines are skips.

    patch: rows and columns, pixels; features, kernels, strides: one entry per stage; supervision:
    weights of the loss from the finest output on. A bar is as long as the map's side, on a
    logarithmic scale, and as strong in colour as it has channels.
    """
    stages = len(features)
    sides = np.array(patch) // np.cumprod(np.array(strides), axis=0)
    figure, axes = plt.subplots(figsize=(WIDTH, 0.58 * stages + 0.7), layout="constrained")
    lengths = WIDEST * (0.45 + 0.55 * np.log2(sides.max(axis=1)) / np.log2(max(patch)))
    shades = 0.04 + 0.26 * np.array(features) / max(features)
    for stage in range(stages):
        deepest = stage == stages - 1
        centre = 0.0 if deepest else FARTHEST
        _bar(axes, -centre, stage, lengths[stage], features[stage], DOWN, shades[stage])
        if not deepest:
            _bar(axes, centre, stage, lengths[stage], features[stage], UP, shades[stage])
            _skip(axes, stage, FARTHEST - lengths[stage] / 2)
            _step(axes, stage, strides[stage + 1], deepest=stage == stages - 2)
        rows, columns = sides[stage]
        text = f"{rows} × {columns}, kernel {kernels[stage][0]} × {kernels[stage][1]}"
        height = stage + 0.46 if deepest else stage - 0.2
        axes.text(0, height, text, ha="center", va="center", fontsize=9)
        if stage < len(supervision):
            weight = f"loss × {supervision[stage]:.2f}"
            axes.text(FARTHEST + WIDEST / 2 + 0.12, stage, weight, va="center", fontsize=9)
    for centre, title in ((-FARTHEST, "encoder"), (FARTHEST, "decoder")):
        axes.text(centre, -0.62, title, ha="center", fontweight="bold")
    right = 1.15 if len(supervision) else 0.1
    axes.set_xlim(-FARTHEST - WIDEST / 2 - 0.1, FARTHEST + WIDEST / 2 + right)
    axes.set_ylim(stages - 0.3, -0.85)
    axes.axis("off")
    return figure


def _bar(
    axes: Axes, centre: float, stage: int, length: float, channels: int, colour: str, shade: float
) -> None:
    box = FancyBboxPatch(
        (centre - length / 2, stage - 0.27),
        length,
        0.54,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=to_rgba(colour, shade),
        edgecolor=colour,
    )
    axes.add_patch(box)
    axes.text(centre, stage, f"{channels} channels", ha="center", va="center", fontsize=9)


def _skip(axes: Axes, stage: int, end: float) -> None:
    axes.plot([-end, end], [stage, stage], color=FAINT, linewidth=1.5, zorder=0)
    axes.plot(end - 0.05, stage, ">", color=INK, markersize=4)


def _step(axes: Axes, stage: int, stride: tuple[int, int], deepest: bool) -> None:
    """Down on the left, up on the right; into the deepest stage both bend inwards."""
    inner = 0.75 if deepest else FARTHEST
    arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    top, bottom = stage + 0.29, stage + 0.71
    axes.annotate("", (-inner, bottom), (-FARTHEST, top), arrowprops=arrow)
    axes.annotate("", (FARTHEST, top), (inner, bottom), arrowprops=arrow)
    if len(set(stride)) > 1:
        said = f"stride {stride[0]} × {stride[1]}"
        axes.text(-FARTHEST + 0.1, stage + 0.5, said, fontsize=8, va="center")
