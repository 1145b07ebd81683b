"""From a slice to its mask, every stage a picture: where a system looks, what it makes of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samnb.evaluation import metrics
from samnb.reports.pictures import show_slice
from samnb.reports.prompted import show_prompted, tint
from samnb.reports.style import PROMPT, panels

ACTIVE = "#2f8fd8"  # pixels above the threshold


def show_map(axes: Axes, image: np.ndarray, cam: np.ndarray, title: str = "") -> None:
    """A slice (S, S), 0-1, under its activation map (g, g); the star is the map's maximum.

    The map covers the whole slice and is shown from 0 to its maximum: the higher, the less clear.
    """
    show_slice(axes, image, title=title)
    side, positive = image.shape[0], np.maximum(np.nan_to_num(cam), 0)
    if not positive.any():
        return
    heat = positive / positive.max()
    edges = (-0.5, side - 0.5, side - 0.5, -0.5)
    look = {"cmap": "inferno", "vmin": 0, "vmax": 1, "extent": edges, "interpolation": "bilinear"}
    axes.imshow(heat, alpha=0.75 * heat**0.5, **look)
    row, column = np.unravel_index(positive.argmax(), positive.shape)
    x, y = ((place + 0.5) * side / len(cam) - 0.5 for place in (column, row))
    axes.plot(x, y, "*", color=PROMPT, markersize=11, markeredgecolor="black", mew=0.8)


def show_active(
    axes: Axes, image: np.ndarray, active: np.ndarray, box: np.ndarray | None, title: str = ""
) -> None:
    """A slice (S, S), its active pixels (S, S) bool in blue, and the box (4,) around them."""
    boxed = box is not None and np.isfinite(box).all()
    show_prompted(axes, image, box=box if boxed else None, title=title)
    tint(axes, active, ACTIVE)


def show_stages(
    image: np.ndarray,
    cam: np.ndarray,
    active: np.ndarray,
    box: np.ndarray,
    mask: np.ndarray,
    truth: np.ndarray,
    alternatives: np.ndarray | None = None,
    scores: Sequence[float] | None = None,
    chosen: int | None = None,
    presence: float | None = None,
) -> Figure:
    """Slice, map, active pixels with box, m1 to m3 with scores, the mask that counts, the truth.

    image: (S, S), 0-1; cam: (g, g); active: (S, S) bool, above the threshold; box: (4,), NaN where
    there is none; mask, truth: (S, S); alternatives: (3, S, S) with scores (3,), predicted IoU;
    chosen: 0 for SAM's single mask, 1 to 3 for an alternative; presence: probability that the
    target is there. Without alternatives (a system that has none) their panels are left out.
    """
    with_three = alternatives is not None and scores is not None and np.isfinite(scores).all()
    columns = 4 if with_three else 5
    figure, grid = panels(2 if with_three else 1, columns, 7 / columns + 0.25, squeeze=False)
    panel = iter(grid.flat)
    shown = box if np.isfinite(box).all() else None
    called = "" if presence is None else f", p = {presence:.2f}"
    show_slice(next(panel), image, title="Slice" + called)
    show_map(next(panel), image, cam, title="Activation map")
    show_active(next(panel), image, active, box, "No box" if shown is None else "Threshold, box")
    if with_three:
        for number, (one, score) in enumerate(zip(alternatives, scores, strict=True), start=1):
            title = f"$m_{number}$, $s_{number}$ = {score:.2f}"
            show_prompted(next(panel), image, mask=one, box=shown, title=title)
    name = {None: "Mask", 0: "Chosen: single"}.get(chosen, f"Chosen: $m_{chosen}$")
    show_prompted(next(panel), image, mask=mask, title=name if mask.any() else "Empty mask")
    show_slice(next(panel), image, truth, mask, f"Truth, Dice {_dice(mask, truth):.2f}")
    for axes in grid.flat:
        axes.title.set_fontsize(10 if columns < 5 else 9)
    return figure


def show_answer(
    image: np.ndarray, truth: np.ndarray, active: np.ndarray, answer: Any, place: int
) -> Figure:
    """`show_stages` of one slice of a method's answer, whose tensors lie on the CPU.

    image, truth, active: of that slice, (S, S); place: its number within the answer.
    """
    return show_stages(
        image,
        answer.cams[place].float().numpy(),
        active,
        answer.boxes[place].numpy(),
        answer.masks[place].numpy(),
        truth,
        answer.alternatives[place].numpy(),
        answer.scores[place].numpy(),
        int(answer.chosen[place]),
        float(answer.presence[place]),
    )


def _dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(metrics.dice(mask[None], truth[None])[0])
