"""Training images from a few exemplars: targets cut out, changed, pasted (Cheap Lunch, Eq. 1–3).

A synthetic image takes one exemplar and one slice without target. Each target of the exemplar is
transformed on its own, about its own middle, so that it stays roughly where it was; the slice is
transformed too; then the targets are pasted, one over the other in a random order. One target
(Eq. 1) is the case K = 1 of several (Eq. 2 and 3).

The paper names blur, intensity, scale, flip and rotation, and no ranges; those here are our choice.
Targets are cut out with their surroundings, so that neither interpolation nor blur mixes the black
around a bare cut into their rims. Edges are pasted hard, as in the paper.

Image i is drawn from the seed and i, one image at a time, so that it is the same bit for bit alone
and in a batch, in every process. (Other processors may round the last bit of a float differently.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samnb.base.errors import SamnbError
from samnb.data.slices import SliceSet
from samnb.data.transforms import Change, cut, paste, transform_background, transform_target

MASK, POSITIVE = "mask", "positive"
ORDER, ITEM = 0, 1  # two streams of random numbers, drawn independently


@dataclass(frozen=True)
class SynthesisSettings:
    """How far each transform may go; 0 switches it off. A switch changes no other draw.

    scale, brightness, contrast and gamma are drawn between 1 / (1 + x) and 1 + x.
    """

    images: int = 0  # synthetic images made of the exemplars; 0: the exemplars themselves
    scale: float = 0.25
    rotation: float = 20.0  # degrees to either side
    flip: float = 0.5  # probability that left and right change places
    shift: float = 0.03  # share of the side, to either side along each axis; whole pixels
    blur: float = 1.0  # largest standard deviation, pixels
    brightness: float = 0.2  # factor of all values, so that black stays black
    contrast: float = 0.2  # factor of the distance from the mean
    gamma: float = 0.25  # exponent
    # What is pasted of a target: "mask" all of it, "positive" (the paper's `> 0`) only its pixels
    # with a value above 0, which leaves holes where it is black.
    compositing: str = MASK


TRANSFORMS = ("scale", "rotation", "flip", "shift", "blur", "brightness", "contrast", "gamma")
DRAWS = 9  # one number for each of them, two for shift


@dataclass(frozen=True)
class CachedBackgrounds:
    """Slices of a cache, each read when it is wanted, since all of them may not fit into memory."""

    slices: SliceSet
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> np.ndarray:
        """(C, S, S) float32."""
        return self.slices.load([self.rows[number]])[0][0]


class Synthesis:
    """Exemplars cut up once, from which any image can be asked by its number.

    exemplars: (E, C, S, S) float32, 0–1; masks: (E, K, S, S) uint8; backgrounds: B slices of the
    same shape that show none of the targets, (B, C, S, S) float32 or cached ones; targets: names
    for messages.
    """

    def __init__(
        self,
        exemplars: np.ndarray,
        masks: np.ndarray,
        backgrounds: np.ndarray | CachedBackgrounds,
        settings: SynthesisSettings,
        seed: int,
        targets: Sequence[str] = (),
    ):
        check_settings(settings)
        _check(exemplars, masks, backgrounds, targets)
        margin = 2 + int(np.ceil(4 * settings.blur * (1 + settings.scale)))
        self.crops = [  # None: this exemplar does not show that target
            [cut(image, mask, margin) if mask.any() else None for mask in each]
            for image, each in zip(exemplars, masks, strict=True)
        ]
        self.shape = exemplars.shape[1:]
        self.backgrounds, self.settings, self.seed = backgrounds, settings, seed

    def make(self, numbers: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, C, S, S) float32 from 0 to 1, masks (n, K, S, S) uint8, which never overlap.

        A mask is 1 where the pixel came from that target, and nowhere else.
        """
        images = np.empty((len(numbers), *self.shape), np.float32)
        masks = np.zeros((len(numbers), len(self.crops[0]), *self.shape[1:]), np.uint8)
        for number, image, mask in zip(numbers, images, masks, strict=True):
            self._make(int(number), image, mask)
        return images, masks

    def exemplar_of(self, number: int) -> int:
        """Number of the exemplar of an image: all serve equally often, in shuffled passes."""
        turn, place = divmod(number, len(self.crops))
        order = np.random.default_rng([self.seed, ORDER, turn]).permutation(len(self.crops))
        return int(order[place])

    def _make(self, number: int, image: np.ndarray, masks: np.ndarray) -> None:
        """Draw one image and its masks into the arrays (C, S, S) and (K, S, S), masks all 0."""
        crops = self.crops[self.exemplar_of(number)]
        side = self.shape[-1]
        generator = np.random.default_rng([self.seed, ITEM, number])
        background = int(generator.integers(len(self.backgrounds)))
        order = generator.permutation(len(crops))
        draws = generator.random((1 + len(crops), DRAWS))
        changes = [change(draw, self.settings, side) for draw in draws]
        image[:] = transform_background(self.backgrounds[background], changes[0])
        for target in order:
            if (crop := crops[target]) is not None:
                values, inside, window = transform_target(crop, changes[1 + target], side)
                if self.settings.compositing == POSITIVE:
                    inside &= (values > 0).any(axis=0)
                paste(values, inside, window, target, image, masks)


def synthesise(
    exemplars: np.ndarray,
    masks: np.ndarray,
    backgrounds: np.ndarray | CachedBackgrounds,
    settings: SynthesisSettings,
    seed: int,
    numbers: Sequence[int] | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The images of these numbers, once: arguments and result as of `Synthesis`."""
    return Synthesis(exemplars, masks, backgrounds, settings, seed).make(numbers)


def background_rows(labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Those of the rows that are known to show none of the targets; labels (N, K): 1, 0 or -1."""
    return rows[(labels[rows] == 0).all(axis=1)]


def check_settings(settings: SynthesisSettings) -> None:
    """Refuse settings that no image can be made with."""
    for name in TRANSFORMS:
        most = 1 if name in ("flip", "shift") else np.inf
        if not 0 <= getattr(settings, name) <= most:
            raise SamnbError(
                f"Synthesis cannot go as far as {name} = {getattr(settings, name)}.",
                f"set it to 0, which switches it off, or above{' up to 1' if most == 1 else ''}.",
            )
    if settings.compositing not in (MASK, POSITIVE):
        raise SamnbError(
            f'Synthesis knows no compositing "{settings.compositing}".',
            f'choose "{MASK}" or "{POSITIVE}".',
        )


def _check(
    exemplars: np.ndarray,
    masks: np.ndarray,
    backgrounds: np.ndarray | CachedBackgrounds,
    targets: Sequence[str],
) -> None:
    """One clear line for exemplars or backgrounds that no image can be made of."""
    shown = masks.any(axis=(2, 3))
    if not len(exemplars) or not shown.any(axis=1).all():
        which = f"number {np.argmin(shown.any(axis=1))} shows no target" if len(shown) else "none"
        raise SamnbError(
            f"Synthesis pastes targets of exemplars; of {len(exemplars)} exemplars, {which}.",
            "choose exemplars whose masks are not empty on the model's grid.",
        )
    if not shown.any(axis=0).all():
        missing = np.flatnonzero(~shown.any(axis=0))
        names = [targets[number] if len(targets) else f"target {number}" for number in missing]
        raise SamnbError(
            f"No exemplar shows {' or '.join(names)}, so no synthetic image ever would.",
            "choose other exemplars, or more of them.",
        )
    if (masks.sum(axis=1, dtype=np.int64) > 1).any():
        raise SamnbError(
            "Masks of an exemplar overlap, so its targets cannot be cut out one by one.",
            "make targets that exclude each other, or a study of one target.",
        )
    if not len(backgrounds):
        raise SamnbError(
            "No training slice is free of targets, so there is no background to paste them on.",
            "keep more slices of each scan (data.slices.middle), or add training patients.",
        )
    if (shape := backgrounds[0].shape) != exemplars.shape[1:]:
        raise SamnbError(
            f"Backgrounds of shape {shape} do not fit exemplars of {exemplars.shape[1:]}.",
            "cut both with the same settings.",
        )


def change(draw: np.ndarray, settings: SynthesisSettings, side: int) -> Change:
    """What nine numbers (9,), each from 0 to 1, mean under these settings."""
    scale = _factor(draw[0], settings.scale)
    angle = np.radians(settings.rotation * (2 * draw[1] - 1))
    mirror = -1.0 if draw[2] < settings.flip else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Change(
        scale * turn * [mirror, 1.0],  # mirrored first, then turned and scaled
        np.round(settings.shift * side * (2 * draw[3:5] - 1)),
        settings.blur * draw[5],
        _factor(draw[6], settings.brightness),
        _factor(draw[7], settings.contrast),
        _factor(draw[8], settings.gamma),
    )


def _factor(number: float, most: float) -> float:
    """Between 1 / (1 + most) and 1 + most; as likely to enlarge as to reduce."""
    return (1 + most) ** (2 * number - 1)
