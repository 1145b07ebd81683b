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
from typing import NamedTuple

import cv2
import numpy as np

from samnb.base.errors import SamnbError
from samnb.data.slices import SliceSet

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


class Crop(NamedTuple):
    """One target of an exemplar, cut out with its surroundings."""

    image: np.ndarray  # (C, h, w) float32
    mask: np.ndarray  # (h, w) float32, 0 or 1
    corner: np.ndarray  # (x, y) of the first pixel
    middle: np.ndarray  # (x, y) of the mask's centre of mass, to half a pixel
    box: np.ndarray  # x_min, y_min, x_max, y_max of the mask, max exclusive


class Change(NamedTuple):
    """What one draw makes of a target or a background."""

    linear: np.ndarray  # (2, 2): turns, scales and mirrors (x, y) about a middle
    shift: np.ndarray  # (x, y), whole pixels
    blur: float
    brightness: float
    contrast: float
    gamma: float


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
            [_cut(image, mask, margin) if mask.any() else None for mask in each]
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
                moved = transform_target(crop, changes[1 + target], self.settings, side)
                _paste(*moved, int(target), image, masks)


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


def _cut(image: np.ndarray, mask: np.ndarray, margin: int) -> Crop:
    """The target of mask (S, S) in image (C, S, S), with `margin` pixels around it, if there are.

    Its middle is rounded to half a pixel: a mirror image then needs no interpolation.
    """
    rows, columns = np.nonzero(mask)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    corner, end = np.maximum(box[:2] - margin, 0), np.minimum(box[2:] + margin, len(mask))
    window = slice(corner[1], end[1]), slice(corner[0], end[0])
    middle = np.round(2 * np.array([columns.mean(), rows.mean()])) / 2
    cut = np.ascontiguousarray(image[:, *window], np.float32)
    return Crop(cut, np.ascontiguousarray(mask[window], np.float32), corner, middle, box)


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


def transform_background(picture: np.ndarray, change: Change) -> np.ndarray:
    """A slice (C, S, S) moved about the middle of the image; what comes in from outside is 0."""
    side = picture.shape[-1]
    middle = np.full(2, (side - 1) / 2)
    matrix = _from_output(change, middle, np.zeros(2), np.zeros(2))
    moved = _warp(picture, matrix, (side, side), cv2.BORDER_CONSTANT)
    return _change_values(moved, change, None)


def transform_target(
    crop: Crop, change: Change, settings: SynthesisSettings, side: int
) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """The values (C, h, w), where they belong to the target (h, w) bool, and the window they fill.

    Image and mask go through the same interpolation; the mask is then cut at one half.
    """
    low, high = _landing(crop, change, settings, side)
    size = tuple(int(length) for length in high - low)
    window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    if min(size) <= 0:  # beyond the edge of the image
        return np.zeros((len(crop.image), 0, 0), np.float32), np.zeros((0, 0), bool), window
    matrix = _from_output(change, crop.middle, crop.corner, low)
    inside = _warp(crop.mask[None], matrix, size, cv2.BORDER_CONSTANT)[0] > 0.5
    values = _warp(crop.image, matrix, size, cv2.BORDER_REPLICATE)
    values = _change_values(values, change, inside)
    if settings.compositing == POSITIVE:
        inside &= (values > 0).any(axis=0)
    return values, inside, window


def _landing(
    crop: Crop, change: Change, settings: SynthesisSettings, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel (x, y), exclusive, of the window in which the moved target lies."""
    x_min, y_min, x_max, y_max = crop.box - 0.5  # the outer edges of its pixels
    corners = np.array([[x_min, y_min], [x_min, y_max], [x_max, y_min], [x_max, y_max]])
    moved = (corners - crop.middle) @ change.linear.T + crop.middle + change.shift
    margin = 1 + int(np.ceil(4 * settings.blur))  # what the blur reaches
    low = np.floor(moved.min(axis=0)).astype(int) - margin
    high = np.ceil(moved.max(axis=0)).astype(int) + 1 + margin
    return np.maximum(low, 0), np.minimum(high, side)


def _from_output(
    change: Change, middle: np.ndarray, corner: np.ndarray, low: np.ndarray
) -> np.ndarray:
    """The matrix (2, 3) from pixels of the output window to those of the input window.

    corner, low: first pixel (x, y) of the input window and of the output window.
    """
    back = np.linalg.inv(change.linear)
    offset = middle - corner + back @ (low - middle - change.shift)
    return np.column_stack([back, offset])


def _warp(planes: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: int) -> np.ndarray:
    """Planes (C, H, W) -> (C, height, width) by linear interpolation; size: width, height."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack(
        [cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=border) for plane in planes]
    )


def _change_values(planes: np.ndarray, change: Change, inside: np.ndarray | None) -> np.ndarray:
    """Blur, brightness, contrast and gamma of planes (C, H, W), in this order; 0–1 again.

    The mean that the contrast keeps is that of `inside` (H, W), or of everything. A transform that
    is switched off changes no bit.
    """
    if change.blur > 0:
        planes = np.stack([cv2.GaussianBlur(plane, (0, 0), change.blur) for plane in planes])
    if change.contrast != 1 or change.brightness != 1:
        shown = planes.reshape(len(planes), -1) if inside is None else planes[:, inside]
        mean = shown.mean(axis=1, keepdims=True)[:, None] if shown.size else 0.0
        kept = np.float32(change.brightness * change.contrast)
        planes = kept * planes + np.float32(change.brightness * (1 - change.contrast)) * mean
    planes = np.clip(planes, 0, 1)
    return planes if change.gamma == 1 else planes ** np.float32(change.gamma)


def _paste(
    values: np.ndarray,
    inside: np.ndarray,
    window: tuple[slice, slice],
    target: int,
    image: np.ndarray,
    masks: np.ndarray,
) -> None:
    """Put one target over what is there; those below lose the pixels that it covers."""
    np.copyto(image[:, *window], values, where=inside)
    masks[:, *window][:, inside] = 0
    masks[target, *window][inside] = 1
