"""How an ultrasound scanner pictures echoes: beam, shadow, speckle, gain, and the grey scale.

Speckle is made as in nature: scatterers too many to tell apart, of random phase, are summed by a
pulse that is short along the beam and wide across it, the wider the further from its focus. So it
multiplies the echo level, and grows coarser with depth.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from samnb.phantoms.echoes import Echoes
from samnb.phantoms.picture import Raster, blurred, clouds


@dataclass(frozen=True)
class Scanner:
    """One scanner and its settings; lengths in mm, levels in dB."""

    pulse: float  # length of the pulse, deviation
    beam: float  # half width in focus, deviation
    focus: float  # depth
    spread: float  # by how much the beam widens each mm from its focus
    looks: int  # pictures from different angles that are averaged
    taken: float  # dB per mm that the gain does not make up for
    sliders: float  # dB by which the gain curve is off, here and there in depth
    range: float  # dB between black and white
    bright: float  # grey (0 to 1) of the thyroid
    floor: float  # dB of electronic noise, against the thyroid at the surface
    contact: float  # width of a gap between probe and skin at one side; 0: none
    trapezoid: float  # by how much the picture widens to each side, as a share of the depth


def draw_scanner(generator: np.random.Generator, depth: float) -> Scanner:
    return Scanner(
        pulse=float(generator.uniform(0.11, 0.19)),
        beam=float(generator.uniform(0.2, 0.36)),
        focus=float(depth * generator.uniform(0.3, 0.65)),
        spread=float(generator.uniform(0.008, 0.02)),
        looks=int(generator.choice([1, 2, 3, 5], p=[0.2, 0.3, 0.3, 0.2])),
        taken=float(generator.normal(0.08, 0.1)),
        sliders=float(generator.uniform(0.5, 2.5)),
        range=float(generator.uniform(50, 68)),
        bright=float(np.clip(generator.normal(0.45, 0.07), 0.3, 0.62)),
        floor=float(generator.uniform(-46, -32)),
        contact=float(generator.uniform(2, 6) if generator.random() < 0.15 else 0.0),
        trapezoid=float(generator.uniform(0.05, 0.14) if generator.random() < 0.2 else 0.0),
    )


def scan_echoes(
    echoes: Echoes, scanner: Scanner, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """Grey uint8 (rows, columns) of a neck's echoes."""
    y, x = raster.axes()
    level = echoes.level + echoes.glint - shadow(echoes.taken, scanner, raster)
    level = level - _gap(scanner, raster, generator)
    envelope = speckle(level, scanner, raster, generator)
    noise = 10 ** (scanner.floor / 20 + 0.012 * y) * _random(generator, raster.shape)
    heard = 20 * np.log10(np.sqrt(envelope**2 + np.abs(noise) ** 2) + 1e-6)
    heard = heard + scanner.sliders * clouds((y, 0 * x), generator, 5.0)[:, :1]
    grey = scanner.bright + (heard - scanner.taken * y) / scanner.range
    grey = np.clip(grey, 0, 1) ** 1.1
    return _framed(grey, scanner, raster)


def shadow(taken: np.ndarray, scanner: Scanner, raster: Raster) -> np.ndarray:
    """dB that all tissue above took from the beam, there and back: (rows, columns).

    Looks from several angles soften the sides of a shadow, the more the deeper.
    """
    total = np.cumsum(taken, axis=0) - taken / 2
    total = np.minimum(total * raster.pixel, 55.0)
    wide = cv2.GaussianBlur(total, (0, 0), (0.3 + 0.15 * scanner.looks) / raster.pixel, None, 0.01)
    deep = np.linspace(0, 1, len(total))[:, None]
    return total + deep * (wide - total)


def speckle(
    level: np.ndarray, scanner: Scanner, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """Amplitude (rows, columns) of what comes back; its mean follows `level` (dB)."""
    amplitude = 10 ** (level / 20)
    y, _ = raster.axes()
    half = scanner.beam + scanner.spread * np.abs(y - scanner.focus)
    widths = np.linspace(half.min(), half.max(), 3)
    total = np.zeros(raster.shape)
    for _ in range(scanner.looks):
        scattered = amplitude * _random(generator, raster.shape)
        total += np.abs(_summed(scattered, scanner.pulse, widths, half, raster)) ** 2
    return np.sqrt(total / scanner.looks)


def _summed(
    scattered: np.ndarray, pulse: float, widths: np.ndarray, half: np.ndarray, raster: Raster
) -> np.ndarray:
    """Scatterers summed by the pulse: between three fixed beams, by the beam's width in depth."""
    step = max(float(widths[1] - widths[0]), 1e-9)
    parts = []
    for width in widths:
        across, along = (max(size / raster.pixel, 0.35) for size in (width, pulse))
        kernels = [_kernel(sigma) for sigma in (across, along)]
        parts.append([cv2.sepFilter2D(part, -1, *kernels, borderType=cv2.BORDER_REFLECT)
                      for part in (scattered.real, scattered.imag)])  # fmt: skip
    result = np.zeros(scattered.shape, complex)
    power = np.zeros(half.shape)
    for width, (real, imaginary) in zip(widths, parts, strict=True):
        share = np.clip(1 - np.abs(half - width) / step, 0, 1)
        result += share * (real + 1j * imaginary)
        power += share
    return result / power


def _kernel(sigma: float) -> np.ndarray:
    """Gaussian weights whose squares sum to 1: filtered noise keeps its power."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / np.sqrt((weights**2).sum())


def _random(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Complex noise of power 1."""
    return (generator.normal(size=shape) + 1j * generator.normal(size=shape)) / np.sqrt(2)


def _gap(scanner: Scanner, raster: Raster, generator: np.random.Generator) -> np.ndarray:
    """dB lost at one side, where the probe does not touch the skin."""
    _, x = raster.axes()
    half = raster.pixel * raster.shape[1] / 2
    side = generator.choice([-1, 1])
    if not scanner.contact:
        return np.zeros((1, raster.shape[1]))
    lost = 38.0 * np.clip((side * x - half + scanner.contact) / 1.5, 0, 1)
    return blurred(lost, 0.3 / raster.pixel)


def _framed(grey: np.ndarray, scanner: Scanner, raster: Raster) -> np.ndarray:
    """The picture as the screen shows it: a trapezoid's sides black, a scale of depth beside it."""
    y, x = raster.axes()
    pixels = np.rint(255 * grey).astype(np.uint8)
    half = raster.pixel * raster.shape[1] / 2
    if scanner.trapezoid:
        deepest = float(y[-1, 0])
        pixels[np.abs(x) > half - scanner.trapezoid * (deepest - y)] = 0
    ticks = np.arange(5, y[-1, 0], 5)
    rows = np.unique(np.rint((ticks - y[0, 0]) / raster.pixel).astype(int))
    pixels[rows[rows < len(pixels)], -3:] = 190
    return pixels
