"""A target cut out of its slice, moved, its values changed, and pasted into another slice.

What moves is given by a matrix, not drawn here: see `samnb.data.synthesis`. OpenCV moves and blurs,
since MONAI's transforms take many times as long (see bench/synthesis.py); a test compares their
values, of which a blur's differ by two thousandths at most.
"""

from typing import NamedTuple

import cv2
import numpy as np


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


def cut(image: np.ndarray, mask: np.ndarray, margin: int) -> Crop:
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


def transform_background(picture: np.ndarray, change: Change) -> np.ndarray:
    """A slice (C, S, S) moved about the middle of the image; what comes in from outside is 0."""
    side = picture.shape[-1]
    middle = np.full(2, (side - 1) / 2)
    matrix = _from_output(change, middle, np.zeros(2), np.zeros(2))
    moved = _warp(picture, matrix, (side, side), cv2.BORDER_CONSTANT)
    return _change_values(moved, change, None)


def transform_target(
    crop: Crop, change: Change, side: int
) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """The values (C, h, w), where they belong to the target (h, w) bool, and the window they fill.

    Image and mask go through the same interpolation; the mask is then cut at one half.
    """
    low, high = _landing(crop, change, side)
    size = tuple(int(length) for length in high - low)
    window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    if min(size) <= 0:  # beyond the edge of the image
        return np.zeros((len(crop.image), 0, 0), np.float32), np.zeros((0, 0), bool), window
    matrix = _from_output(change, crop.middle, crop.corner, low)
    inside = _warp(crop.mask[None], matrix, size, cv2.BORDER_CONSTANT)[0] > 0.5
    values = _warp(crop.image, matrix, size, cv2.BORDER_REPLICATE)
    return _change_values(values, change, inside), inside, window


def _landing(crop: Crop, change: Change, side: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel (x, y), exclusive, of the window in which the moved target lies."""
    x_min, y_min, x_max, y_max = crop.box - 0.5  # the outer edges of its pixels
    corners = np.array([[x_min, y_min], [x_min, y_max], [x_max, y_min], [x_max, y_max]])
    moved = (corners - crop.middle) @ change.linear.T + crop.middle + change.shift
    margin = 1 + int(np.ceil(4 * change.blur))  # what the blur reaches
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


def paste(
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
