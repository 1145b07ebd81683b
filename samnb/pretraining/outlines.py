"""Generic outlines: polygons, stars, smooth curves, rings, tubes, blobs, as binary pictures.

A closed curve is first a list of points around the origin; `fill` scales it to the wanted area,
stretches, turns and moves it, and rasterises it. All lengths are shares of the image's side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from samnb.pretraining.draws import between, chance, count_between, log_between, pick
from samnb.pretraining.textures import smooth_noise

_SUBPIXEL_BITS = 4
_CURVE_POINTS = 40
_ANGLES = np.linspace(0, 2 * np.pi, _CURVE_POINTS, endpoint=False)


@dataclass(frozen=True)
class Place:
    """Where a shape goes: area as a share of the image, aspect >= 1, angle in radians, centre."""

    area: float
    aspect: float
    angle: float
    x: float
    y: float


def random_place(
    rng: np.random.Generator, area: float, centre: tuple[float, float] | None = None
) -> Place:
    """A place of this area, anywhere (the border may cut it) unless the centre is given."""
    aspect = 1 + between(rng, 0, 0.6) if chance(rng, 0.6) else log_between(rng, 1, 6)
    x, y = centre or (between(rng, -0.02, 1.02), between(rng, -0.02, 1.02))
    return Place(area, aspect, between(rng, 0, np.pi), x, y)


def random_outline(rng: np.random.Generator, place: Place, side: int) -> np.ndarray:
    """A shape of a random kind at this place, (side, side) uint8 of 0 and 1."""
    kind = rng.random()
    if kind < 0.64:
        return fill(random_curve(rng), place, side)
    if kind < 0.74:
        return _hollow(rng, place, side)
    if kind < 0.86:
        return _tube(rng, place, side)
    return _blob(rng, place, side)


# ---- closed curves: points (n, 2) around the origin, of any size -------------------------------


def _polar(angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    points = np.empty((len(angles), 2))
    points[:, 0], points[:, 1] = radii * np.cos(angles), radii * np.sin(angles)
    return points


def _polygon(rng: np.random.Generator) -> np.ndarray:
    """Corners at uneven angles; radii nearly equal (convex) or very different (concave)."""
    corners = count_between(rng, 3, 9)
    angles = (np.arange(corners) + 0.7 * rng.random(corners)) * (2 * np.pi / corners)
    return _polar(angles, 1 - between(rng, 0, 0.75) * rng.random(corners))


def _star(rng: np.random.Generator) -> np.ndarray:
    corners = 2 * count_between(rng, 3, 8)
    radii = np.ones(corners)
    radii[::2] = between(rng, 0.3, 0.8)
    return _polar(np.arange(corners) * (2 * np.pi / corners), radii)


def _rounded(rng: np.random.Generator) -> np.ndarray:
    """A superellipse: from a diamond over the ellipse to a rectangle with round corners."""
    power = 1.0 if chance(rng, 0.5) else log_between(rng, 0.12, 1.6)
    circle = _polar(_ANGLES, np.ones(_CURVE_POINTS))
    return np.sign(circle) * np.abs(circle) ** power


def _rectangle(rng: np.random.Generator) -> np.ndarray:
    lean = between(rng, -0.5, 0.5) if chance(rng, 0.3) else 0.0
    return np.array([[-1 - lean, -1], [1 - lean, -1], [1 + lean, 1], [-1 + lean, 1]])


def _wavy(rng: np.random.Generator) -> np.ndarray:
    """A smooth closed curve: a circle whose radius swings in a few random harmonics."""
    harmonics = np.arange(1, count_between(rng, 3, 9))
    decay = harmonics ** between(rng, 0.4, 1.6)
    swing = between(rng, 0.15, 0.75) * (rng.random(len(harmonics)) - 0.3) / decay
    phase = 2 * np.pi * rng.random(len(harmonics))
    radii = 1 + swing @ np.cos(harmonics[:, None] * _ANGLES + phase[:, None])
    return _polar(_ANGLES, np.maximum(radii, 0.12))


def _smoothed_polygon(rng: np.random.Generator) -> np.ndarray:
    """A polygon with its corners cut again and again, until they are round."""
    points = _polygon(rng)
    for _ in range(count_between(rng, 1, 3)):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = cut.reshape(-1, 2)
    return points


def _bow(rng: np.random.Generator) -> np.ndarray:
    """A piece of a ring, thinning towards its ends or not; with no inner radius, a slice of pie."""
    angles = between(rng, 0.6, 5.2) * np.linspace(-0.5, 0.5, 20)
    inner = 0.0 if chance(rng, 0.25) else between(rng, 0.3, 0.8)
    thinning = between(rng, 0, 1) * (2 * np.linspace(-0.5, 0.5, 20)) ** 2 * (inner > 0)
    inside = inner + (1 - inner) * thinning
    points = np.concatenate([_polar(angles, np.ones(20)), _polar(angles, inside)[::-1]])
    return points - points.mean(axis=0)


def _cross(rng: np.random.Generator) -> np.ndarray:
    """A plus, T or L of two bars, by where they meet."""
    bar, shift = between(rng, 0.12, 0.4), pick(rng, (0.0, 0.0, -1.0, 1.0))
    top, left = 1 - bar, shift * (1 - bar)
    points = [(left - bar, -1), (left + bar, -1), (left + bar, top - 2 * bar), (1, top - 2 * bar)]
    points += [(1, top), (left + bar, top), (left + bar, 1), (left - bar, 1), (left - bar, top)]
    points += [(-1, top), (-1, top - 2 * bar), (left - bar, top - 2 * bar)]
    return np.array(points)


_CURVES: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (
    *(_polygon, _rounded, _rounded, _rounded, _wavy, _wavy, _wavy, _wavy),
    *(_smoothed_polygon, _smoothed_polygon, _star, _rectangle, _bow, _cross),
)


def random_curve(rng: np.random.Generator) -> np.ndarray:
    """The points (n, 2) of a random closed curve around the origin."""
    return pick(rng, _CURVES)(rng)


def compact_curve(rng: np.random.Generator) -> np.ndarray:
    """The points of a closed curve that is one piece with much inside: room for parts."""
    return pick(rng, (_rounded, _rounded, _wavy, _wavy, _wavy, _smoothed_polygon, _polygon))(rng)


# ---- rasters -----------------------------------------------------------------------------------


def fill(points: np.ndarray, place: Place, side: int) -> np.ndarray:
    """The inside of the closed curve at this place, (side, side) uint8 of 0 and 1."""
    area = max(cv2.contourArea(points.astype(np.float32)), 0.05)
    unit = side << _SUBPIXEL_BITS
    long = unit * math.sqrt(place.area / area * place.aspect)
    short = unit * math.sqrt(place.area / area / place.aspect)
    cosine, sine = math.cos(place.angle), math.sin(place.angle)
    turn = np.array([[long * cosine, long * sine], [-short * sine, short * cosine]])
    whole = (points @ turn + (place.x * unit, place.y * unit)).astype(np.int32)
    mask = np.zeros((side, side), np.uint8)
    return cv2.fillPoly(mask, [whole], 1, cv2.LINE_8, _SUBPIXEL_BITS)


def half_plane(rng: np.random.Generator, side: int) -> np.ndarray:
    """Everything on one side of a straight or gently wavy line."""
    along = np.linspace(-2, 2, 24)
    wave = between(rng, 0, 0.12) * chance(rng, 0.6)
    height = wave * np.sin(along * between(rng, 2, 9) + between(rng, 0, 6))
    edge = np.stack([along, height + between(rng, -0.35, 0.35)], axis=1)
    points = np.concatenate([edge, [(2, 3), (-2, 3)]])
    area = cv2.contourArea(points.astype(np.float32))
    return fill(points, Place(area, 1, between(rng, 0, 2 * np.pi), 0.5, 0.5), side)


def _hollow(rng: np.random.Generator, place: Place, side: int) -> np.ndarray:
    """A ring, or with the hole off the centre a crescent: one curve less a smaller one."""
    points = random_curve(rng)
    scale, shift = between(rng, 0.4, 0.85), 0.0
    if chance(rng, 0.5):
        shift = between(rng, 0.2, 0.8) * np.sqrt(place.area / np.pi)
    other = points if chance(rng, 0.7) else random_curve(rng)
    direction = between(rng, 0, 2 * np.pi)
    hole = Place(
        place.area * scale**2,
        place.aspect,
        place.angle,
        place.x + shift * np.cos(direction),
        place.y + shift * np.sin(direction),
    )
    mask = fill(points, place, side)
    return mask & (1 - fill(other, hole, side))


def _walk(rng: np.random.Generator, steps: int, heading: float) -> np.ndarray:
    """A smoothly bending path of unit length from the origin, points (steps + 1, 2)."""
    bends = np.cumsum(rng.random(steps) - 0.5) * between(rng, 0.2, 1.6)
    headings = heading + bends + between(rng, -0.25, 0.25) * np.arange(steps)
    path = np.cumsum(_polar(headings, np.full(steps, 1 / steps)), axis=0)
    return np.concatenate([[(0.0, 0.0)], path])


def _stroke(mask: np.ndarray, path: np.ndarray, widths: np.ndarray) -> None:
    """Draw a path (n, 2), in shares of the side, with a width in pixels at every point."""
    side = mask.shape[0]
    points = (np.clip(path, -4, 5) * side * 16).astype(int).tolist()
    thick = np.maximum(np.rint(widths), 1).astype(int).tolist()
    for start, end, width in zip(points[:-1], points[1:], thick[1:], strict=True):
        cv2.line(mask, start, end, 1, width, cv2.LINE_8, _SUBPIXEL_BITS)


def _tube(rng: np.random.Generator, place: Place, side: int) -> np.ndarray:
    """A curved stroke, even or tapering, sometimes with branches, sometimes of straight pieces."""
    slenderness = log_between(rng, 3, 18)
    length, width = np.sqrt(place.area * slenderness), np.sqrt(place.area / slenderness) * side
    steps = count_between(rng, 2, 16)
    path = _walk(rng, steps, place.angle * 2) * length
    path += (place.x, place.y) - path.mean(axis=0)
    taper = between(rng, 0.2, 1) if chance(rng, 0.5) else 1.0
    widths = np.linspace(width, taper * width, steps + 1).clip(min=2)
    mask = np.zeros((side, side), np.uint8)
    _stroke(mask, path, widths)
    for _ in range(count_between(rng, 1, 4) if chance(rng, 0.35) else 0):
        start = count_between(rng, 0, steps)
        branch = _walk(rng, 6, between(rng, 0, 2 * np.pi)) * length * between(rng, 0.2, 0.6)
        _stroke(mask, branch + path[start], np.linspace(0.9, taper, 7) * widths[start])
    return mask


@lru_cache(maxsize=4)
def pixel_centres(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows (side, 1) and columns (1, side) of pixel centres, float32 from 0 to 1."""
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    return centres[:, None], centres[None, :]


def _blob(rng: np.random.Generator, place: Place, side: int) -> np.ndarray:
    """A smooth noise field cut at a level, held together by a bump at the place."""
    rows, columns = pixel_centres(side)
    rows, columns = rows - np.float32(place.y), columns - np.float32(place.x)
    cosine, sine = np.float32(np.cos(place.angle)), np.float32(np.sin(place.angle))
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    aspect = np.float32(min(place.aspect, 3))
    spread = np.float32(place.area / np.pi)
    field = 1 - (along * along / aspect + across * across * aspect) / spread
    cell = np.sqrt(place.area) * log_between(rng, 0.25, 0.8)
    field += np.float32(between(rng, 0.3, 1.1)) * smooth_noise(rng, side, side, cell * side)
    return (field > 0).view(np.uint8)


def warped_cells(rng: np.random.Generator, centres: np.ndarray, side: int) -> np.ndarray:
    """Which of the centres (n, 2) x, y is nearest, by a warped measure; (side, side) uint8."""
    rows, columns = pixel_centres(side)
    if chance(rng, 0.7):
        bend, cell = np.float32(between(rng, 0.02, 0.09)), between(rng, 0.1, 0.35) * side
        rows = rows + bend * smooth_noise(rng, side, side, cell)
        columns = columns + bend * smooth_noise(rng, side, side, cell)
    aspect = np.float32(log_between(rng, 0.4, 2.5))
    nearest = np.full((side, side), np.inf, np.float32)
    cells = np.zeros((side, side), np.uint8)
    for number, (x, y) in enumerate(centres.astype(np.float32)):
        right, down = columns - x, rows - y
        distance = right * right * aspect + down * down
        np.putmask(cells, distance < nearest, number)
        nearest = np.minimum(nearest, distance)
    return cells
