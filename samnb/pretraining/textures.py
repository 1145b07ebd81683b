"""Generic textures: smooth noise, speckle, stripes, checks, dots and gradients, around zero."""

import cv2
import numpy as np

from samnb.pretraining.draws import between, chance, log_between, white_noise

_STEPS = np.arange(2048, dtype=np.float32)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Noise of unit spread (height, width) float32 whose bumps are about `cell` pixels wide."""
    if cell < 1.3:
        return white_noise(rng, height, width)
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    coarse = white_noise(rng, rows, columns)
    if cell >= 4:
        # Cubic steps keep the grid from showing; the last, long step may then be linear.
        coarse = cv2.resize(coarse, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        cell, rows, columns = cell / 3, rows * 3, columns * 3
    high, wide = min(int(rows * cell), 4 * height), min(int(columns * cell), 4 * width)
    fine = cv2.resize(coarse, (max(wide, width), max(high, height)))
    # The middle of it: the outermost cells are flat.
    top, left = (fine.shape[0] - height) // 2, (fine.shape[1] - width) // 2
    return fine[top : top + height, left : left + width] * np.float32(1.3)


def _wave(rng: np.random.Generator, height: int, width: int, side: int) -> np.ndarray:
    """Oriented stripes, (height, width) float32 from -1 to 1, a few pixels to half a side wide."""
    frequency = 2 * np.pi / (log_between(rng, 0.035, 0.4) * side)
    angle = between(rng, 0, np.pi)
    rows = _STEPS[:height, None] * np.float32(frequency * np.sin(angle))
    columns = _STEPS[:width] * np.float32(frequency * np.cos(angle))
    return np.sin(rows + columns + np.float32(between(rng, 0, 6)))


def _lattice(rng: np.random.Generator, height: int, width: int, side: int) -> np.ndarray:
    """Checks, dots or a mesh: two crossed waves, cut at a level."""
    frequency = 2 * np.pi / (log_between(rng, 0.045, 0.3) * side)
    angle, squeeze = between(rng, 0, np.pi), between(rng, 0.6, 1.6)
    rows = _STEPS[:height, None]
    columns = _STEPS[:width]
    cosine, sine = np.float32(frequency * np.cos(angle)), np.float32(frequency * np.sin(angle))
    product = np.sin(rows * sine + columns * cosine)
    product *= np.sin(np.float32(squeeze) * (rows * cosine - columns * sine))
    level = 0.0 if chance(rng, 0.4) else between(rng, 0.2, 0.6)
    return (product > np.float32(level)).astype(np.float32) * 2 - np.float32(1)


def slope(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A straight or radial ramp (height, width) float32 from about -1 to 1."""
    rows = _STEPS[:height, None] * np.float32(2 / height) - np.float32(1)
    columns = _STEPS[:width] * np.float32(2 / width) - np.float32(1)
    if chance(rng, 0.4):
        rows = rows - np.float32(between(rng, -0.8, 0.8))
        columns = columns - np.float32(between(rng, -0.8, 0.8))
        return np.float32(1) - rows * rows - columns * columns
    angle = between(rng, 0, 2 * np.pi)
    return rows * np.float32(np.sin(angle)) + columns * np.float32(np.cos(angle))


def random_texture(rng: np.random.Generator, height: int, width: int, side: int) -> np.ndarray:
    """A texture (height, width) float32 around zero, of about unit spread.

    `side` is the image's side in pixels: scales are shares of it, so that a picture drawn at
    another side looks the same.
    """
    kind = rng.random()
    if kind < 0.5:
        return smooth_noise(rng, height, width, log_between(rng, 0.008, 0.3) * side)
    if kind < 0.66:
        coarse = smooth_noise(rng, height, width, log_between(rng, 0.06, 0.3) * side)
        return coarse + smooth_noise(rng, height, width, log_between(rng, 0.01, 0.05) * side)
    if kind < 0.78:
        wave = _wave(rng, height, width, side)
        return np.sign(wave) if chance(rng, 0.3) else wave
    if kind < 0.88:
        return _lattice(rng, height, width, side)
    if kind < 0.94:  # speckle: now and then a grain far brighter or darker than the rest
        noise = smooth_noise(rng, height, width, log_between(rng, 0.008, 0.03) * side)
        return noise * noise * noise * np.float32(0.4)
    warp = smooth_noise(rng, height, width, log_between(rng, 0.05, 0.2) * side)
    return np.sin(warp * np.float32(between(rng, 2, 6)))  # marble
