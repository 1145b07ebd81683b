"""Synthetic training images as the book shows and measures them (Cheap Lunch, Fig. 1)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from samnb.data.synthesis import (
    MASK,
    POSITIVE,
    CachedBackgrounds,
    Synthesis,
    SynthesisSettings,
    background_rows,
    synthesise,
)
from samnb.reports.pictures import show_slice
from samnb.reports.prompted import target_legend
from samnb.reports.style import TARGETS, panels
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split, labelled_rows


class Material(NamedTuple):
    """What synthetic images are made of.

    exemplars: (E, C, S, S) float32, 0–1; masks: (E, K, S, S) uint8; backgrounds: slices of the
    training patients without any target; targets: K names.
    """

    exemplars: np.ndarray
    masks: np.ndarray
    backgrounds: CachedBackgrounds
    targets: Sequence[str]

    def synthesis(self, settings: SynthesisSettings, seed: int) -> Synthesis:
        return Synthesis(*self[:3], settings, seed, self.targets)


def read_material(profile: Profile, labels: int) -> Material:
    """Of a study of one cohort: this number of exemplars, and all backgrounds."""
    (name,) = profile.data.cohorts
    slices = cohort_slices(profile, name)
    train = slices.rows_of(cohort_split(profile, name).train)
    backgrounds = CachedBackgrounds(slices, background_rows(slices.labels, train))
    exemplars, masks = slices.load(labelled_rows(profile, name, labels))
    return Material(exemplars, masks, backgrounds, slices.targets)


def made_of(synthesis: Synthesis, exemplar: int, count: int) -> list[int]:
    """The numbers of the first `count` images that are made of one exemplar."""
    passes = range(count * len(synthesis.crops))  # each pass serves every exemplar once
    return [number for number in passes if synthesis.exemplar_of(number) == exemplar][:count]


def exemplar_gallery(
    material: Material, synthesis: Synthesis, exemplars: Sequence[int], count: int = 4
) -> Figure:
    """Some exemplars, and the first images made of each: see `synthesis_gallery`."""
    made = [synthesis.make(made_of(synthesis, exemplar, count)) for exemplar in exemplars]
    images, masks = map(np.stack, zip(*made, strict=True))
    shown = list(exemplars)
    return synthesis_gallery(
        material.exemplars[shown], material.masks[shown], images, masks, material.targets
    )


def synthesis_gallery(
    exemplars: np.ndarray,
    exemplar_masks: np.ndarray,
    images: np.ndarray,
    masks: np.ndarray,
    targets: Sequence[str],
) -> Figure:
    """Exemplars in the first column, images made of them beside; below each its mask in colours.

    exemplars: (R, C, S, S), 0–1, the first channel is shown; exemplar_masks: (R, K, S, S); images:
    (R, n, C, S, S) and masks: (R, n, K, S, S), n made of each exemplar; targets: K names.
    """
    columns = 1 + images.shape[1]
    figure, grid = panels(2 * len(exemplars), columns, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    for row, exemplar in enumerate(exemplars):
        pictures = [exemplar, *images[row]]
        drawn = [exemplar_masks[row], *masks[row]]
        for above, below, picture, mask in zip(*grid[2 * row : 2 * row + 2], pictures, drawn,
                                               strict=True):  # fmt: skip
            show_slice(above, picture[0])
            _show_masks(below, mask)
    grid[0, 0].set_title("exemplar", fontsize=10)
    grid[0, 1].set_title("synthetic", fontsize=10, loc="left")
    if len(targets) > 1:
        target_legend(figure, targets)
    return figure


def _show_masks(axes: Axes, masks: np.ndarray) -> None:
    """Masks (K, S, S) in the colours of their targets, on black as the pictures above are."""
    painted = np.zeros((*masks.shape[1:], 3))
    for target, mask in enumerate(masks):
        painted[mask.astype(bool)] = to_rgb(_colour(target))
    show_slice(axes, painted)


def _colour(target: int) -> str:
    return TARGETS[target % len(TARGETS)]


def lost_share(
    exemplars: np.ndarray,
    masks: np.ndarray,
    backgrounds: np.ndarray | CachedBackgrounds,
    settings: SynthesisSettings,
    seed: int,
    numbers: Sequence[int] | np.ndarray,
) -> np.ndarray:
    """What the paper's `> 0` leaks: the share of each target's pixels it does not paste, (K,).

    Of all pixels that pasting by the mask gives these images; arguments as of `synthesise`.
    """
    whole, kept = (
        synthesise(exemplars, masks, backgrounds, rule, seed, numbers)[1].astype(bool)
        for rule in (replace(settings, compositing=name) for name in (MASK, POSITIVE))
    )
    lost = (whole & ~kept).sum(axis=(0, 2, 3))
    return lost / np.maximum(whole.sum(axis=(0, 2, 3)), 1)


def outline_step(images: np.ndarray, masks: np.ndarray) -> float:
    """Mean difference of value between neighbours on the two sides of an outline: the seam.

    images: (N, C, S, S), 0–1; masks: (N, K, S, S). Pairs are neighbours in a row or a column, one
    of which belongs to a target that the other does not belong to. Of slices as they were scanned
    it says how sharp the targets' own edges are.
    """
    owner = (masks * np.arange(1, masks.shape[1] + 1)[:, None, None]).sum(axis=1)
    steps = []
    for axis in (-2, -1):
        crossing = np.diff(owner, axis=axis) != 0
        steps.append(np.abs(np.diff(images, axis=axis)).mean(axis=1)[crossing])
    found = np.concatenate(steps)
    return float(found.mean()) if len(found) else float("nan")
