"""What a camera, a scanner or a file format does to a picture: warp, blur, shading, noise, range.

All work on a float32 picture (side, side) in grey levels 0 to 255.
"""

import cv2
import numpy as np

from samnb.pretraining.draws import between, chance, log_between, white_noise
from samnb.pretraining.textures import smooth_noise


def warp_field(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth displacements: for every pixel the column and the row to look at, float32."""
    cell = between(rng, 0.12, 0.4) * side
    reach = np.float32(between(rng, 0.04, 0.2) * cell)
    places = np.arange(side, dtype=np.float32)
    columns = places + reach * smooth_noise(rng, side, side, cell)
    rows = places[:, None] + reach * smooth_noise(rng, side, side, cell)
    return columns, rows


def _exposed(rng: np.random.Generator, picture: np.ndarray) -> tuple[np.ndarray, float]:
    """Mostly: the picture stretched so that it fills much of the range; and the gain."""
    if chance(rng, 0.2):
        return picture, 1.0
    some = np.sort(picture[::4, ::4], axis=None)
    low, high = float(some[len(some) // 100]), float(some[-1 - len(some) // 100])
    gain = min(between(rng, 120, 255) / max(high - low, 1.0), 4.0)
    floor = between(rng, 0, max(0.0, 255 - gain * (high - low))) * chance(rng, 0.6)
    return picture * np.float32(gain) + np.float32(floor - gain * low), gain


def _blurred(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Softer by a Gaussian, by a detour over fewer pixels, or sharper than it was."""
    side = picture.shape[0]
    kind, unit = rng.random(), side / 128
    if kind < 0.25:
        return cv2.GaussianBlur(picture, (0, 0), between(rng, 0.4, 1.3) * unit)
    if kind < 0.4:
        small = int(side * between(rng, 0.4, 0.85))
        coarse = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    if kind < 0.5:
        soft = cv2.GaussianBlur(picture, (0, 0), between(rng, 0.7, 2) * unit)
        return picture + (picture - soft) * np.float32(between(rng, 0.3, 1.2))
    return picture


def _shaded(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A slow change of brightness over the picture, and a bent response curve."""
    side = picture.shape[0]
    if chance(rng, 0.4):
        field = smooth_noise(rng, side, side, between(rng, 0.4, 0.9) * side)
        picture = picture * (1 + field * np.float32(between(rng, 0.03, 0.16)))
    if chance(rng, 0.4):
        gamma = log_between(rng, 0.55, 1.8)
        picture = cv2.pow(np.clip(picture, 0, 255) * np.float32(1 / 255), gamma) * np.float32(255)
    return picture


def _noisy(rng: np.random.Generator, picture: np.ndarray, noise: float) -> np.ndarray:
    """Fine, correlated or signal-dependent noise; `noise` is its spread in grey levels."""
    side = picture.shape[0]
    if chance(rng, 0.75):
        fine = white_noise(rng, side, side)
        if chance(rng, 0.35):
            fine = cv2.GaussianBlur(fine, (0, 0), between(rng, 0.5, 1.4)) * np.float32(1.8)
        if chance(rng, 0.2):
            fine = fine * picture * np.float32(1 / 128)
        picture = picture + fine * np.float32(noise)
    if chance(rng, 0.25):
        cell = between(rng, 2, 9) * side / 128
        picture = picture + smooth_noise(rng, side, side, cell) * np.float32(noise * 0.4)
    return picture


def _ranged(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Negative, squeezed into fewer grey levels, or stretched until the ends are cut."""
    if chance(rng, 0.15):
        picture = 255 - picture
    kind = rng.random()
    if kind < 0.2:
        gain = between(rng, 0.4, 0.9)
        return picture * np.float32(gain) + np.float32(between(rng, 0, 255 * (1 - gain)))
    if kind < 0.35:
        gain = between(rng, 1.1, 1.6)
        return (picture - np.float32(128)) * np.float32(gain) + np.float32(between(rng, 90, 166))
    return picture


def photograph(rng: np.random.Generator, picture: np.ndarray, noise: float) -> np.ndarray:
    """The picture with random flaws, (side, side) uint8; `noise` is the noise's spread.

    The noise is in the grey levels of the picture that is given, and grows as the picture is
    exposed longer.
    """
    picture, gain = _exposed(rng, picture)
    picture = _blurred(rng, picture)
    picture = _shaded(rng, picture)
    picture = _noisy(rng, picture, noise * gain)
    picture = _ranged(rng, picture)
    return np.clip(picture, 0, 255).astype(np.uint8)
