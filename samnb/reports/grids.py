"""Figures 3 and 4: the same slices as every system segments them, rows chosen by a rule."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samnb.evaluation.metrics import dice
from samnb.reports.pictures import show_slice
from samnb.reports.style import WIDTH, panels

RULE = ("best", "median", "worst")


def chosen_rows(
    truths: np.ndarray, reference: np.ndarray, rule: Sequence[str] = RULE
) -> dict[str, int]:
    """Numbers of the slices to show, by the Dice of one reference system: not by taste.

    truths, reference: (R, S, S). Only slices with target count, since on the others Dice is 0 or 1.
    Of two in the middle the lower one is the median; of equal ones the first.
    """
    rows = np.flatnonzero(np.asarray(truths, dtype=bool).any(axis=(1, 2)))
    falling = rows[np.argsort(-dice(reference, truths)[rows], kind="stable")]
    places = {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}
    return {name: int(falling[places[name]]) for name in rule} if len(rows) else {}


def qualitative_grid(
    images: np.ndarray,
    truths: np.ndarray,
    masks: Mapping[str, np.ndarray],
    titles: Sequence[str] | None = None,
) -> Figure:
    """One row per slice, one column per system: truth green, prediction red, Dice below.

    images: (R, S, S), 0-1; truths: (R, S, S); masks: system → (R, S, S); titles: of the rows. Every
    row is cut to a square that holds the truth and all predictions, so nothing is hidden.
    """
    columns = len(masks)
    figure, grid = panels(len(images), columns, WIDTH / columns + 0.4, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.04)
    scores = {name: dice(answers, truths) for name, answers in masks.items()}
    for row, (image, truth) in enumerate(zip(images, truths, strict=True)):
        window = _window(truth, *(answers[row] for answers in masks.values()))
        for axes, (name, answers) in zip(grid[row], masks.items(), strict=True):
            show_slice(axes, *(part[window] for part in (image, truth, answers[row])))
            axes.set_xlabel(f"Dice {scores[name][row]:.2f}", fontsize=8, labelpad=2)
            if columns >= 5:
                for outline in axes.collections:
                    outline.set_linewidth(1.0)
            _heading(axes, name if row == 0 else "", columns, titles is not None)
        if titles is not None:
            _row_title(grid[row, 0], titles[row])
    return figure


def _window(*masks: np.ndarray, margin: float = 0.12) -> tuple[slice, slice]:
    """A square, at least half the picture wide, around what any of the masks (S, S) marks."""
    union = np.any([np.asarray(mask, dtype=bool) for mask in masks], axis=0)
    side = len(union)
    if not union.any():
        return slice(0, side), slice(0, side)
    ends = []
    for axis in (1, 0):
        marked = np.flatnonzero(union.any(axis=axis))
        ends.append((marked[0], marked[-1] + 1))
    longest = max(high - low for low, high in ends)
    size = min(side, max(side // 2, round(longest * (1 + 2 * margin))))
    starts = [min(max(0, (low + high - size) // 2), side - size) for low, high in ends]
    return tuple(slice(start, start + size) for start in starts)


def _heading(axes: Axes, name: str, columns: int, room: bool) -> None:
    """The system's name; `room` leaves a line for the row's title between it and the picture."""
    if columns >= 5:
        name = "\n".join(name.split())  # narrow columns: a word to a line
    size = 10 if columns < 5 else 8 if columns < 8 else 7
    pad = 16 if room and name else 6
    axes.set_title(name or " ", fontsize=size, pad=pad)


def _row_title(axes: Axes, title: str) -> None:
    """Written across the columns, so the layout must not make room for its width."""
    axes.annotate(
        title, (0, 1), (0, 3), "axes fraction", "offset points", fontsize=8.5, va="bottom"
    ).set_in_layout(False)
