"""Figures of Cheap Lunch: Dice against exemplars, images and transforms; its Figures 2 and 3."""

from collections.abc import Callable, Mapping
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from samnb.evaluation.metrics import dice
from samnb.evaluation.statistics import over_seeds
from samnb.reports.lunch import ORACLE, track_of
from samnb.reports.lunch_study import Shown
from samnb.reports.lunch_synthesis import EVERY
from samnb.reports.pictures import show_slice
from samnb.reports.prompted import target_legend, tint
from samnb.reports.style import (
    COHORT_NAMES,
    FAINT,
    INK,
    MANY_TARGETS,
    PROMPT,
    WIDTH,
    label,
    panels,
    system_look,
)
from samnb.reports.systems import in_order, parse

AS_LINES = ("SAM",)  # families that learn nothing: a level, whatever the number of exemplars


def exemplar_curves(cases: Mapping[str, pd.DataFrame], height: float = 3.4) -> Figure:
    """Dice against the number of exemplars, a panel for each cohort; one user, or nobody.

    Line: mean over seeds; band: their deviation; points: seeds. Filled markers are oracles, hollow
    ones work alone. Thin horizontal lines: what every slice gives, and the frozen SAM.
    """
    figure, grid = panels(1, len(cases), height, sharey=True, squeeze=False)
    families: dict[str, None] = {}
    for axes, (cohort, table) in zip(grid[0], cases.items(), strict=True):
        parts = pd.DataFrame([parse(name) for name in table["system"]], index=table.index,
                             columns=["family", "labels"])  # fmt: skip
        table = table.assign(family=parts["family"], labels=parts["labels"].fillna(-1).astype(int))
        for family in in_order(table["family"]):
            _curve(axes, family, table[table["family"] == family])
            families[family] = None
        counts = sorted(set(table["labels"]) - {-1, 0})
        if counts:
            axes.set_xscale("log")
            axes.set_xticks(counts, [str(count) for count in counts])
            axes.set_xticks([], minor=True)
            axes.set_xlim(0.75 * min(counts), 1.35 * max(counts))
        axes.set_title(COHORT_NAMES.get(cohort, cohort))
        label(axes, "exemplars", "Dice" if axes is grid[0, 0] else "")
    handles = [_handle(family) for family in in_order(families)]
    handles.append(Line2D([], [], color=INK, linewidth=1.2, label="level: all slices (or frozen)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


def images_curve(table: pd.DataFrame, title: str = "") -> Figure:
    """Dice against the number of synthetic images; bars: 95 % interval over patients."""
    figure, ((axes,),) = panels(1, 1, 2.7, squeeze=False)
    places = range(len(table))
    reach = np.abs(table[["low", "high"]].to_numpy().T - table["mean"].to_numpy())
    colour = system_look("Cheap Lunch")["color"]
    axes.errorbar(places, table["mean"], reach, fmt="o-", color=colour, capsize=4, linewidth=2)
    names = ["none: the exemplars" if count == 0 else f"{count:,}" for count in table["images"]]
    axes.set_xticks(places, names)
    axes.set_xlim(-0.4, len(table) - 0.6)
    axes.set_title(title)
    label(axes, "synthetic images", "Dice")
    return figure


def transform_chart(table: pd.DataFrame, spread: float) -> Figure:
    """What switching a transform off does to the Dice of the validation patients.

    table: as `without_transforms` gives it; spread: between two seeds, shaded to both sides.
    """
    rows = table.drop(index=EVERY, errors="ignore").sort_values("change")
    figure, ((axes,),) = panels(1, 1, 0.3 * len(rows) + 1.0, squeeze=False)
    if np.isfinite(spread):
        axes.axvspan(-spread, spread, color=FAINT, linewidth=0, label="between two seeds")
        axes.legend(loc="lower right")
    axes.axvline(0, color=INK, linewidth=1)
    axes.hlines(range(len(rows)), 0, rows["change"], color=system_look("Cheap Lunch")["color"])
    axes.plot(rows["change"], range(len(rows)), "o", color=system_look("Cheap Lunch")["color"])
    axes.set_yticks(range(len(rows)), [f"without {name}" for name in rows.index])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    label(axes, "Dice, against every transform")
    return figure


def answer_grid(
    shown: Shown,
    track: Callable[[str], str] = track_of,
    heading: Callable[[str, float], str] | None = None,
) -> Figure:
    """The paper's Figures 2 and 3: a row for each slice, a column for the truth and each system.

    A point is a star, and a box a frame, in the columns of systems that are told: track says of a
    name whether it is one. One target is outlined, truth green and answer red; several are tinted,
    with a legend. Below each answer the mean Dice of the targets that the slice shows; of an empty
    slice, whether it stays empty. heading: of a column, from its name and its width in inches.
    """
    heading = heading or _heading
    names = ["truth", *shown.masks]
    count = len(shown.images)
    figure, grid = panels(count, len(names), WIDTH / len(names) + 0.3, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03)
    for row, (image, truth) in enumerate(zip(shown.images, shown.truths, strict=True)):
        window = square_around(image)
        for axes, name in zip(grid[row], names, strict=True):
            given = None if name == "truth" else shown.masks[name][row]
            _draw(axes, image, truth, given)
            if given is not None and track(name) == ORACLE:
                _stars(axes, shown.points[row])
                if shown.boxes is not None:
                    _frames(axes, shown.boxes[row])
            axes.set_xlim(window[1].start - 0.5, window[1].stop - 0.5)
            axes.set_ylim(window[0].stop - 0.5, window[0].start - 0.5)
            axes.set_xlabel(" " if given is None else _score(given, truth), fontsize=8, labelpad=2)
            if row == 0:
                axes.set_title(heading(name, WIDTH / len(names)), fontsize=8)
        grid[row, 0].set_ylabel(shown.titles[row], fontsize=8)
    if len(shown.targets) > 1:
        target_legend(figure, shown.targets)
    return figure


def _curve(axes: Axes, family: str, table: pd.DataFrame) -> None:
    look = system_look(family)
    hollow = track_of(family) != ORACLE
    face = {"markerfacecolor": "none"} if hollow else {}
    summary = over_seeds(table, "dice", by=("labels",)).sort_values("labels")
    few = summary[summary["labels"] > 0]
    for row in summary[summary["labels"] <= 0].itertuples():
        axes.axhline(row.mean, color=look["color"], linestyle=look["linestyle"], linewidth=1.2)
    if few.empty:
        return
    mean, deviation = few["mean"], few["deviation"].fillna(0)
    axes.plot(few["labels"], mean, linewidth=2, markersize=6, **look, **face)
    axes.fill_between(few["labels"], mean - deviation, mean + deviation, color=look["color"],
                      alpha=0.18, linewidth=0)  # fmt: skip
    of_seed = table[table["labels"] > 0].groupby(["labels", "seed"])["dice"].mean().reset_index()
    axes.plot(of_seed["labels"], of_seed["dice"], ".", color=look["color"], markersize=5, alpha=0.6)


def _handle(family: str) -> Line2D:
    alone = track_of(family) != ORACLE
    look = system_look(family) | ({"markerfacecolor": "none"} if alone else {})
    how = "alone" if alone else "told where"
    return Line2D([], [], linewidth=2, markersize=6, label=f"{family} ({how})", **look)


def _draw(axes: Axes, image: np.ndarray, truth: np.ndarray, given: np.ndarray | None) -> None:
    if len(truth) == 1:
        show_slice(axes, image, truth[0], None if given is None else given[0])
        return
    show_slice(axes, image)
    for number, mask in enumerate(truth if given is None else given):
        if mask.any():
            tint(axes, mask, MANY_TARGETS[number % len(MANY_TARGETS)], 0.5)


def _stars(axes: Axes, points: np.ndarray) -> None:
    """Points (K, 2) x, y."""
    axes.plot(*points.T, "*", color=PROMPT, markersize=6.5, markeredgecolor="black", mew=0.5)


def _frames(axes: Axes, boxes: np.ndarray) -> None:
    """Boxes (K, 4) x, y from and to, counted from the image's corner; NaN where there is none."""
    for left, top, right, bottom in boxes[~np.isnan(boxes).any(axis=1)]:
        corner = (left - 0.5, top - 0.5)
        axes.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, color=PROMPT))


def _score(given: np.ndarray, truth: np.ndarray) -> str:
    present = truth.any(axis=(1, 2))
    if not present.any():
        return "false alarm" if given.any() else "empty, rightly"
    return f"Dice {dice(given, truth)[present].mean():.2f}"


def _heading(name: str, inches: float) -> str:
    """Of a column: the system, what it has learned from, and whether it is told where."""
    if name == "truth":
        return "truth"
    family, labels = parse(name)
    learned = {None: "all slices", 0: "frozen"}.get(labels, f"{labels} exemplars")
    told = "told where" if track_of(name) == ORACLE else "alone"
    return "\n".join([*wrap(family, max(8, int(12.5 * inches))), learned, told])


def square_around(image: np.ndarray, margin: int = 4) -> tuple[slice, slice]:
    """The smallest square with all that is brighter than the darkest value, and a margin."""
    image = image if image.ndim == 2 else image.mean(axis=2)  # of a colour picture
    marked = image > image.min() + 0.05
    if not marked.any():
        return slice(0, image.shape[0]), slice(0, image.shape[1])
    ends = [np.flatnonzero(marked.any(axis=axis)) for axis in (1, 0)]
    size = min(len(image), max(end[-1] - end[0] for end in ends) + 1 + 2 * margin)
    starts = [min(max(0, (end[0] + end[-1] + 1 - size) // 2), len(image) - size) for end in ends]
    return tuple(slice(int(start), int(start + size)) for start in starts)
