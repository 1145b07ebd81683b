"""Lesions: how large they are, the shapes of masses, and what makes two of them look different."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.fields import (
    Field,
    ellipsoid,
    rotation,
    smooth_minimum,
    smooth_path,
    tube_field,
    waves,
)
from samnb.phantoms.liver import largest_piece
from samnb.phantoms.routes import around, distance_at, outward


@dataclass(frozen=True)
class Sizes:
    """Longest diameters in mm: log-normal, by median and spread of the logarithm, cut off.

    The numbers of each kind are this project's choices, small tumours included. Nobody has fitted
    them to the real sets.
    """

    median: float
    spread: float
    smallest: float
    largest: float

    def radius(self, generator: np.random.Generator) -> float:
        """Half a diameter, mm."""
        drawn = self.median * np.exp(self.spread * generator.standard_normal())
        return float(np.clip(drawn, self.smallest, self.largest)) / 2


def lump(
    generator: np.random.Generator,
    centre: np.ndarray,
    radius: float,
    rough: float = 0.13,
    lobes: int = 2,
) -> Field:
    """An irregular mass about a centre (z, y, x): an ellipsoid with lobes and an uneven surface.

    `radius`: half its longest diameter, mm. `rough`: how uneven, as a share of the radius.
    """
    grid = around(np.asarray(centre, float)[None], 1.45 * radius + 4, _step(radius))
    turn = rotation(*generator.uniform(-90, 90, 3))
    radii = radius * np.array([generator.uniform(0.9, 1.0), *generator.uniform(0.68, 0.92, 2)])
    values = ellipsoid(grid.axes(), tuple(centre), tuple(radii), turn)
    for _ in range(lobes):
        way = direction(generator)
        size = radius * generator.uniform(0.35, 0.55)
        place = centre + way * (radius * generator.uniform(0.75, 0.9) - 0.6 * size)
        ball = ellipsoid(grid.axes(), tuple(place), (size, size, size))
        values = smooth_minimum(values, ball, 0.35 * radius)
    uneven = waves(grid.axes(), generator, (1.1 * radius, 2.6 * radius), 0.8 * rough * radius)
    fine = waves(grid.axes(), generator, (0.45 * radius, 0.9 * radius), 0.35 * rough * radius)
    return Field(grid, (values + uneven + fine).astype(np.float32))


def ball(centre: np.ndarray, radii: tuple[float, float, float], turn=None) -> Field:
    """A smooth ellipsoid: a node, a cyst."""
    grid = around(np.asarray(centre, float)[None], max(radii) + 5, _step(max(radii)))
    return Field(grid, ellipsoid(grid.axes(), tuple(centre), radii, turn).astype(np.float32))


def _step(radius: float) -> float:
    return float(np.clip(radius / 7, 0.9, 2.5))


def direction(generator: np.random.Generator) -> np.ndarray:
    """A random unit vector (z, y, x)."""
    way = generator.normal(size=3)
    return way / np.linalg.norm(way)


def patches(
    generator: np.random.Generator, field: Field, radius: float, share: float, depth: float
) -> Field:
    """About a share of what lies deeper than `depth` mm in a mass, in patches: necrosis, fat."""
    axes = field.grid.axes()
    pattern = waves(axes, generator, (0.6 * radius, 1.5 * radius), 1.0, 10)
    inside = field.values < -depth
    limit = np.quantile(pattern[inside], share) if inside.any() else 0.0
    steep = 0.2 * radius  # mm over which the pattern changes by its standard deviation
    values = np.maximum(field.values + depth, (pattern - limit) * steep)
    return Field(field.grid, values.astype(np.float32))


def septa(generator: np.random.Generator, field: Field, radius: float, half: float) -> Field:
    """Thin walls that cross the inside of a cystic mass, `half` mm to both sides."""
    pattern = waves(field.grid.axes(), generator, (1.3 * radius, 2.4 * radius), 1.0, 6)
    walls = np.abs(pattern) * 0.25 * radius - half
    return Field(field.grid, np.maximum(walls, field.values + 0.5).astype(np.float32))


def spikes(
    generator: np.random.Generator, centre: np.ndarray, radius: float, count: int
) -> Field | None:
    """Thin strands that radiate from a mass into its surroundings: spicules."""
    paths = []
    for _ in range(count):
        way = direction(generator)
        long = radius * generator.uniform(0.35, 0.9) + generator.uniform(2, 5)
        end = centre + way * (0.8 * radius + long) + generator.normal(0, 0.12 * long, 3)
        start = centre + way * 0.6 * radius
        thick = generator.uniform(0.7, 1.3)
        middle = 0.5 * (start + end) + generator.normal(0, 0.06 * long, 3)
        rows = [(*start, thick + 0.5), (*middle, 0.7 * thick), (*end, 0.35)]
        paths.append(smooth_path(rows, 2.5))
    return tube_field(paths, 1.2, 4) if paths else None


def free_place(
    generator: np.random.Generator,
    candidates: np.ndarray,
    walls: list[Field],
    tries: int = 10,
) -> np.ndarray:
    """Of some random candidates (n, 3), the one that has most room between walls."""
    drawn = candidates[generator.integers(len(candidates), size=tries)]
    if not walls:
        return drawn[0]
    room = np.min([distance_at(wall, drawn) for wall in walls], axis=0)
    return drawn[np.argmax(room + generator.uniform(0, 12, tries))]


def surface(field: Field, thick: float) -> np.ndarray:
    """Nodes (n, 3; mm) within `thick` mm under the surface of an organ."""
    shell = (field.values < 0) & (field.values > -thick)
    return np.argwhere(shell) * np.array(field.grid.step) + field.grid.origin


def away(field: Field, place: np.ndarray) -> np.ndarray:
    """Unit vector (z, y, x) that leads out of an organ at one place."""
    return outward(field, place[None])[0]


def kept_off(field: Field, walls: list[tuple[Field, float]]) -> Field:
    """A mass in one piece that stops before its neighbours, by a gap (mm) for each."""
    for wall, gap in walls:
        field = field.keep_off(wall, gap)
    return largest_piece(field)


def lymph_nodes(
    generator: np.random.Generator, places: np.ndarray, count: int, radius: tuple[float, float]
) -> list[Field]:
    """Lymph nodes at some of the places (n, 3): ovals, mm."""
    found = []
    for place in places[generator.permutation(len(places))[:count]]:
        size = generator.uniform(*radius)
        radii = size * np.array([1.3, *generator.uniform(0.65, 1.0, 2)])
        turn = rotation(*generator.uniform(-60, 60, 3))
        found.append(ball(place, tuple(radii), turn))
    return found


def strand(path: np.ndarray, step: float = 1.2) -> Field:
    """One tube along rows (z, y, x, radius): a duct, a tag."""
    return tube_field([path], step, 5)
