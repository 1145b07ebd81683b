"""Pictures of slices: grey images with outlines of masks, as the chapters show them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from samnb.data.geometry import EDGES
from samnb.reports.style import FAINT, PREDICTION, PROMPT, SERIES, TRUTH, panels


def window_range(width: float, center: float) -> tuple[float, float]:
    """Lowest and highest value that a window shows."""
    return center - width / 2, center + width / 2


def window(hounsfield: np.ndarray, width: float = 400.0, center: float = 40.0) -> np.ndarray:
    """Map [center - width/2, center + width/2] HU to [0, 1] and cut off what lies outside."""
    low, _ = window_range(width, center)
    return np.clip((hounsfield.astype(np.float32) - low) / width, 0.0, 1.0)


def show_slice(
    axes: Axes,
    image: np.ndarray,
    truth: np.ndarray | None = None,
    prediction: np.ndarray | None = None,
    title: str = "",
    aspect: float = 1.0,
    filled: bool = False,
) -> None:
    """Draw one slice (H, W), values 0-1, with the outline of truth (green) and prediction (red).

    `aspect` is pixel height over pixel width in mm, for planes with unequal spacing. `filled` draws
    the prediction as a tinted area, for ragged masks whose outline would hide the picture.
    """
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    if filled and prediction is not None:
        tint = np.zeros((*prediction.shape, 4))
        tint[prediction.astype(bool)] = to_rgba(PREDICTION, 0.55)
        axes.imshow(tint, aspect=aspect, interpolation="nearest")
        prediction = None
    for mask, colour, line in ((truth, TRUTH, "solid"), (prediction, PREDICTION, "dashed")):
        if mask is not None and mask.any():
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=1.4, linestyles=line)
    axes.set_title(title, fontsize=10)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def show_slices(
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    truths: Sequence[np.ndarray | None] | None = None,
    predictions: Sequence[np.ndarray | None] | None = None,
    columns: int | None = None,
    filled: bool = False,
) -> Figure:
    """Grid of slices, each (H, W) with values 0-1, read left to right, top to bottom.

    `filled` as in `show_slice`.
    """
    count = len(images)
    columns = columns or count
    rows = -(-count // columns)
    figure, grid = panels(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.axis("off")
            continue
        show_slice(
            axes,
            images[place],
            truths[place] if truths is not None else None,
            predictions[place] if predictions is not None else None,
            titles[place] if titles is not None else "",
            filled=filled,
        )
    return figure


def mark_sides(axes: Axes) -> None:
    """Write R and L into the upper corners of a canonical slice, where the picture is air."""
    style = {"color": PROMPT, "fontsize": 10, "fontweight": "bold", "transform": axes.transAxes}
    axes.text(0.04, 0.96, EDGES["left"], va="top", ha="left", **style)
    axes.text(0.96, 0.96, EDGES["right"], va="top", ha="right", **style)


def strip(
    axes: Axes, groups: Mapping[str, Sequence[float]], band: tuple[float, float] | None = None
) -> None:
    """One row of points per group, the median as a bar; `band` shades a range of values.

    Points are spread a little in height, by their rank, so that equal ones stay visible.
    """
    names = list(groups)
    if band:
        axes.axvspan(*band, color=FAINT, linewidth=0)
    for row, name in enumerate(names):
        values = np.asarray(groups[name], dtype=float)
        values = values[np.isfinite(values)]
        heights = row + 0.24 * (np.arange(len(values)) % 3 - 1)
        colour = SERIES[row % len(SERIES)]
        axes.plot(values, heights, "o", color=colour, markersize=5, alpha=0.8, markeredgewidth=0)
        if not len(values):
            continue
        axes.plot([np.median(values)] * 2, [row - 0.38, row + 0.38], color=colour, linewidth=2.5)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
