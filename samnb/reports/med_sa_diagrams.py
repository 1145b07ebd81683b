"""Pictures of Med-SA's parts: where its adapters sit, what flows through them, and which slices of
a volume know of one another."""

from collections.abc import Mapping
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from samnb.reports.diagram import Box, flow
from samnb.reports.style import FAINT, INK, PROMPT, WIDTH


def encoder_block(width: int, narrow: int) -> Figure:
    """A block of the image encoder: attention and MLP, an adapter below each."""
    detour = f"{width} → {narrow} → {width}"
    columns = [
        [Box("tokens", "x")],
        [Box("attention", "a", "frozen")],
        [Box("as it is", "a"), Box("adapter 1", detour, "trained")],
        [Box("sum", "x + a + adapter 1")],
        [Box("MLP", "m", "frozen"), Box("adapter 2", detour, "trained")],
        [Box("sum ", "+ m + s·adapter")],
    ]
    return flow(columns, _next_to_next(columns))


def decoder_block() -> Figure:
    """A block of the mask decoder with its three adapters."""
    columns = [
        [Box("tokens look", "at each other", "frozen"), Box("prompt", "point or box", "prompt")],
        [Box("adapter 1", "knows the prompt", "trained")],
        [Box("tokens look ", "at the image", "frozen")],
        [Box("MLP", "tokens", "frozen"), Box("adapter 2", "· s", "trained")],
        [Box("image looks", "at the tokens", "frozen")],
        [Box("adapter 3", "image, norm", "trained")],
    ]
    return flow(columns, _next_to_next(columns))


def space_and_depth(depth: int, places: int, width: int) -> Figure:
    """The same attention over the places of a slice and over the slices of a place."""
    columns = [
        [Box("volume", f"{depth} × {places} × {width}")],
        [
            Box("space", f"{depth} × {places} tokens"),
            Box("depth", f"{places} × {depth} tokens", "made"),
        ],
        [
            Box("attention", "SAM's own", "frozen"),
            Box("attention ", "the same weights", "frozen"),
        ],
        [Box("sum", "transposed back")],
        [Box("adapter 1", "zero at first", "trained")],
    ]
    crossed = {("space", "attention "), ("depth", "attention")}
    return flow(columns, [pair for pair in _next_to_next(columns) if pair not in crossed])


def hyper_prompt(width: int, length: int, places: int) -> Figure:
    """HyP-Adpt: matrices made of the prompt, through which the bottleneck's embedding goes."""
    columns = [
        [Box("tokens", f"T × {width}"), Box("prompt", f"up to {places} × {width}", "prompt")],
        [
            Box("down", f"{width} → {length}", "trained"),
            Box("reduction", f"{places}·{width} → {length}", "trained"),
        ],
        [
            Box("embedding e", f"T × {length}"),
            Box("generators", f"{length} → {length}·{length}", "trained"),
        ],
        [
            Box("three times", "ReLU(Norm(e W))"),
            Box("W₁, W₂, W₃", f"{length} × {length} each", "made"),
        ],
        [Box("up", f"{length} → {width}", "trained")],
    ]
    upper, lower = zip(*columns[:-1], strict=True)
    names = [[box.name for box in row] for row in (upper, lower)]
    arrows = [pair for row in names for pair in pairwise(row)]
    joined = [("W₁, W₂, W₃", "three times"), ("three times", "up")]
    return flow(columns, arrows + joined)


def slice_grids(
    parts: Mapping[str, np.ndarray],
    marked: tuple[int, int, int],
    colours: str = "Blues",
    limits: tuple[float, float] = (0, 1),
) -> Figure:
    """A row of small maps for each part (D, g, g): one map for each slice, NaN left empty.

    marked: slice, row and column of a token that gets a star; its slice has a yellow frame.
    """
    depth = len(next(iter(parts.values())))
    size = (WIDTH, 1.15 * len(parts))
    gaps = {"wspace": 0.12, "hspace": 0.4}  # by hand: a long title must not widen its column
    figure, grid = plt.subplots(len(parts), depth, figsize=size, squeeze=False, gridspec_kw=gaps)
    figure.subplots_adjust(left=0, right=1)
    number, y, x = marked
    for row, (name, part) in zip(grid, parts.items(), strict=True):
        for axes, values in zip(row, part, strict=True):
            axes.pcolormesh(
                np.asarray(values, dtype=float), cmap=colours, vmin=limits[0], vmax=limits[1],
                edgecolor=FAINT if np.isnan(values).any() else "face", linewidth=0.3,
            )  # fmt: skip
            axes.set(xticks=[], yticks=[], aspect="equal", ylim=(len(values), 0))
            axes.grid(visible=False)
            axes.spines[:].set(visible=True, color=INK)
        row[number].spines[:].set(color=PROMPT, linewidth=2)
        row[number].plot(x + 0.5, y + 0.5, "*", color=PROMPT, markersize=8, markeredgecolor="black",
                         markeredgewidth=0.6)  # fmt: skip
        row[0].set_title(name, loc="left", fontsize=10)
    return figure


def _next_to_next(columns: list[list[Box]]) -> list[tuple[str, str]]:
    """Arrows from every box of a column to every box of the next."""
    return [
        (left.name, right.name)
        for here, there in pairwise(columns)
        for left in here
        for right in there
    ]
