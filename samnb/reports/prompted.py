"""Pictures of prompts: boxes, clicks and the masks they call forth."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from samnb.reports.pictures import show_slice
from samnb.reports.style import MANY_TARGETS, PREDICTION, PROMPT


def show_prompted(
    axes: Axes,
    image: np.ndarray,
    mask: np.ndarray | None = None,
    box: np.ndarray | None = None,
    points: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    title: str = "",
) -> None:
    """One slice (H, W), the prompt in yellow, the answered mask in red, the truth in green.

    box: (4,) x_min, y_min, x_max, y_max; points: (P, 2) x, y with labels (P,): 1 is drawn as a
    star, 0 as a cross.
    """
    show_slice(axes, image, truth=truth, title=title)
    if mask is not None:
        tint(axes, mask, PREDICTION)
    if box is not None:
        left, top, right, bottom = np.asarray(box, dtype=float)
        axes.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5),
                right - left,
                bottom - top,
                fill=False,
                color=PROMPT,
                lw=1.8,
            )
        )
    if points is not None:
        show_points(axes, points, labels)


def show_points(axes: Axes, points: np.ndarray, labels: np.ndarray, size: float = 13) -> None:
    """Points (P, 2) x, y: a star where the label is 1, a cross where it is 0, nothing at -1."""
    for (x, y), label in zip(np.asarray(points), np.asarray(labels), strict=True):
        if label >= 0:
            marker = "*" if label == 1 else "X"
            axes.plot(x, y, marker, color=PROMPT, markersize=size, markeredgecolor="black", mew=0.8)


def target_legend(figure: Figure, targets: Sequence[str]) -> None:
    """The colour of each target, below a figure."""
    colours = cycle(MANY_TARGETS)
    patches = [Patch(color=colour, label=name)
               for name, colour in zip(targets, colours, strict=False)]  # fmt: skip
    figure.legend(handles=patches, loc="outside lower center", ncols=4)


def tint(axes: Axes, mask: np.ndarray, colour: str, strength: float = 0.45) -> None:
    """Lay a colour over the pixels of a mask (H, W), and draw its outline."""
    layer = np.zeros((*mask.shape, 4))
    layer[mask.astype(bool)] = to_rgba(colour, strength)
    axes.imshow(layer, interpolation="nearest")
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=colour, linewidths=1.2)
