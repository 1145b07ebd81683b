"""What every phantom picture is made of: a raster in mm, noise, outlines, cells, strokes, files."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from samnb.base.files import atomic_path

LATTICE = 64  # nodes along each axis of a noise; then it repeats
FINE = 4  # strokes are drawn on a canvas so many times finer, then averaged
SPLINE_POWER = 151 / 315  # mean square of a cubic B-spline's weights


@dataclass(frozen=True)
class PicturePhantom:
    """One picture and its labels, whose values are those of the real masks."""

    image: np.ndarray  # uint8 (rows, columns, 3) in red, green, blue; or (rows, columns) in grey
    labels: np.ndarray  # uint8 (rows, columns)


@dataclass(frozen=True)
class Raster:
    """The pixels of a picture: how many, how large (mm), and where its middle lies (y, x; mm)."""

    shape: tuple[int, int]
    pixel: float
    middle: tuple[float, float] = (0.0, 0.0)

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """mm: y (rows, 1) downwards and x (1, columns) to the right, of the pixels' centres."""
        rows, columns = (
            middle + self.pixel * (np.arange(n) - (n - 1) / 2)
            for n, middle in zip(self.shape, self.middle, strict=True)
        )
        return rows[:, None], columns[None, :]

    def inside(self, distance: np.ndarray, soft: float = 0.0) -> np.ndarray:
        """Share of each pixel within a shape, by its distance (mm); `soft`: mm from 0 to 1."""
        return np.clip(0.5 - distance / max(self.pixel, soft), 0, 1)


@contextmanager
def one_thread() -> Iterator[None]:
    """So that a picture never depends on how many threads there are."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)


def stream(key: Sequence[int], part: str) -> np.random.Generator:
    """Random numbers of one part of a picture; those of one part never shift those of another."""
    return np.random.default_rng([*key, zlib.crc32(part.encode())])


def clouds(
    axes: tuple[np.ndarray, np.ndarray],
    generator: np.random.Generator,
    length: float | tuple[float, float],
    octaves: int = 1,
) -> np.ndarray:
    """A smooth random field (rows, columns) of mean 0 and deviation 1.

    Its spots measure about `length` mm (one number, or along y and x). Each further octave is twice
    as fine and half as strong. It depends on places in mm, not on pixels.
    """
    lengths = np.broadcast_to(np.asarray(length, float), 2)
    total, power = 0.0, 0.0
    for octave in range(octaves):
        nodes = generator.normal(size=(LATTICE, LATTICE))
        shift = generator.uniform(0, LATTICE, 2)
        down, across = (
            _spline(axis.ravel() / length * 2**octave + start)
            for axis, length, start in zip(axes, lengths, shift, strict=True)
        )
        total = total + 0.5**octave * (down @ nodes @ across.T)
        power += 0.25**octave
    return total / (SPLINE_POWER * np.sqrt(power))


def _spline(places: np.ndarray) -> np.ndarray:
    """Weights (n, LATTICE) of the nodes of a periodic lattice, cubic B-splines."""
    first = np.floor(places)
    t = places - first
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (t + t**2 - t**3) + 1, t**3)
    result = np.zeros((len(places), LATTICE))
    rows = np.arange(len(places))
    for offset, weight in enumerate(weights):
        result[rows, (first.astype(int) + offset - 1) % LATTICE] = weight / 6
    return result


def ripple(
    angles: np.ndarray, generator: np.random.Generator, orders: Sequence[int], amplitude: float
) -> np.ndarray:
    """A closed random curve over `angles` (radians): waves of these orders, deviation `amplitude`.

    All orders are equally strong.
    """
    height = amplitude * np.sqrt(2 / len(orders))
    phases = generator.uniform(0, 2 * np.pi, len(orders))
    waves = (np.cos(k * angles + phase) for k, phase in zip(orders, phases, strict=True))
    return height * sum(waves)


def polar(y: np.ndarray, x: np.ndarray, centre: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Distance from a centre (y, x) and angle there, from x towards y (radians)."""
    return np.hypot(y - centre[0], x - centre[1]), np.arctan2(y - centre[0], x - centre[1])


def ellipse_radius(angles: np.ndarray, radii: tuple[float, float], turn: float = 0.0) -> np.ndarray:
    """Radius of an ellipse in the direction of `angles`; `radii` along y and x before the turn."""
    angles = angles - turn
    return 1 / np.hypot(np.sin(angles) / radii[0], np.cos(angles) / radii[1])


def ellipse(
    y: np.ndarray,
    x: np.ndarray,
    centre: Sequence[float],
    radii: tuple[float, float],
    turn: float = 0.0,
) -> np.ndarray:
    """Distance (mm) to an ellipse, near enough, negative inside; `radii` along y and x."""
    dy, dx = y - centre[0], x - centre[1]
    cos, sin = np.cos(turn), np.sin(turn)
    across, down = cos * dx + sin * dy, cos * dy - sin * dx
    level = np.hypot(down / radii[0], across / radii[1])
    slope = np.hypot(down / radii[0] ** 2, across / radii[1] ** 2)
    return level * (level - 1) / np.maximum(slope, 1e-6)


@dataclass(frozen=True)
class Cells:
    """A mosaic of uneven cells: distances in cell widths to the nearest and second centre."""

    nearest: np.ndarray
    second: np.ndarray
    number: np.ndarray  # of the nearest centre, drawn for it: 0 to 1

    @property
    def border(self) -> np.ndarray:
        """How far from the seam between two cells: 0 on it."""
        return self.second - self.nearest


def cells(y: np.ndarray, x: np.ndarray, generator: np.random.Generator, length: float) -> Cells:
    """The mosaic at places y, x (rows, columns; mm), its cells about `length` mm wide."""
    jitter = generator.uniform(-0.42, 0.42, (2, LATTICE, LATTICE))
    numbers = generator.random((LATTICE, LATTICE))
    y, x = np.broadcast_arrays(y / length, x / length)
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    nearest = np.full(y.shape, np.inf)
    second = nearest.copy()
    number = np.zeros(y.shape)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            i, j = row + down, column + across
            at = i % LATTICE, j % LATTICE
            away = np.hypot(y - i - jitter[0][at], x - j - jitter[1][at])
            closer = away < nearest
            second = np.where(closer, nearest, np.minimum(second, away))
            number = np.where(closer, numbers[at], number)
            nearest = np.minimum(nearest, away)
    return Cells(nearest, second, number)


def strokes(raster: Raster, lines: Sequence[np.ndarray]) -> np.ndarray:
    """Share of each pixel (rows, columns) that lines cover; each has rows of y, x, width (mm)."""
    rows, columns = raster.shape
    canvas = np.zeros((rows * FINE, columns * FINE), np.uint8)
    corner = np.array(raster.middle) - raster.pixel * (np.array(raster.shape) / 2)
    scale = FINE / raster.pixel
    for line in lines:
        places = np.rint(((line[:, :2] - corner) * scale - 0.5) * 16).astype(int)
        widths = line[:, 2] * scale
        for start, stop, width in zip(places[:-1], places[1:], widths, strict=False):
            # Thinner than the canvas can show: one pixel of it, less dark.
            ink = round(255 * min(width, 1.0))
            ends = [(int(x), int(y)) for y, x in (start, stop)]
            cv2.line(canvas, *ends, ink, max(1, round(width)), cv2.LINE_8, 4)
    small = cv2.resize(canvas, (columns, rows), interpolation=cv2.INTER_AREA)
    return small / np.float64(255)


def bend(
    start: Sequence[float],
    heading: float,
    length: float,
    generator: np.random.Generator,
    wander: float,
    steps: int = 24,
) -> np.ndarray:
    """A bent line from `start` (y, x): rows of y, x; `wander`: radians it turns by on its way."""
    along = np.linspace(0, 1, steps)
    steady, swing = generator.normal(0, 1, 2)
    turned = steady * along + 0.5 * swing * np.sin(2 * np.pi * along + generator.uniform(0, 6))
    angles = heading + wander * turned
    step = length / steps * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return np.asarray(start) + np.concatenate([[[0, 0]], np.cumsum(step, axis=0)])


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur by `sigma` pixels; none below a fifth of a pixel."""
    return image if sigma < 0.2 else cv2.GaussianBlur(image, (0, 0), sigma)


def to_bytes(light: np.ndarray) -> np.ndarray:
    """Linear light, 0 to 1, as uint8 in the brightness scale of photographs."""
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def write_picture(path: Path, pixels: np.ndarray, quality: int = 92) -> Path:
    """Write uint8 pixels by the suffix, whole or not at all; `quality` is that of JPEG."""
    options = {"quality": quality} if path.suffix == ".jpg" else {}
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)
    return path
