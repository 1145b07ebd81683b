"""The liver, its vessels, its tumours and the gallbladder under it."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import (
    FAR,
    Field,
    Grid,
    ellipsoid,
    rotation,
    smooth_maximum,
    smooth_minimum,
    smooth_path,
    tube,
    waves,
)
from samnb.phantoms.torso import Torso

HILUM = (34.0, -52.0, -36.0)
CAVA_TOP = (98.0, -34.0, -22.0)


@dataclass(frozen=True)
class Tumour:
    """One lesion: its field, the HU it adds to the liver's, what its middle and rim look like."""

    field: Field
    contrast: float
    core: float | None  # HU of the necrotic middle, if any
    rim: float | None  # HU added in a bright rim, if any
    kind: str  # "tumour" or "cyst"


def make_liver(patient: Patient, torso: Torso, occupied: Field) -> Field:
    """The right lobe fills the dome under the ribs; the left one tapers across the midline."""
    generator = patient.stream("liver")
    grid = Grid.around((-110, -165, -165), (150, 75, 110), 3.0)
    z, y, x = grid.axes()
    shift = waves((z, y, x), generator, (70, 190), 4.5, 10)
    xs = x + shift
    ys = y + waves((z, y, x), generator, (70, 190), 4.5, 10)
    zs = z + waves((z, y, x), generator, (80, 200), 5.0, 10)
    tip = generator.normal(-50, 16) - 28 * (generator.random() < 0.12)  # Riedel's lobe in some
    reach = generator.normal(52, 20)  # how far the left lobe crosses the midline
    thick = generator.normal(1, 0.12)

    rise = generator.normal(0.55, 0.07)
    floor = tip + rise * np.maximum(xs + 118, -10) + 0.30 * (ys + 70)
    floor = floor - 0.10 * np.maximum(-ys - 80, 0)
    right = (floor - zs) / np.sqrt(1 + rise**2 + 0.09)
    inner = generator.normal(4, 5)  # medial border of the right lobe at the back
    medial = (xs - inner + 0.42 * (ys + 45)) * 0.92
    right = smooth_maximum(right, medial, 26)

    left_floor = 42 + 0.42 * (xs + 10) + 0.05 * ys - 16 * (thick - 1) - generator.normal(0, 7)
    back = ys + 52 - 12 * (thick - 1) * 5 - 0.22 * np.maximum(xs, -20)
    left = smooth_maximum(left_floor - zs, back, 22)
    left = smooth_maximum(left, (xs - reach) * 0.8 - 0.10 * (zs - 70), 30)
    left = smooth_maximum(left, -(xs + 60), 10)
    shape = smooth_minimum(right, left, 20)
    caudate = ellipsoid((zs, ys, xs), (60, -42, -8), (30, 17, 17))
    shape = smooth_minimum(shape, caudate, 8)
    if patient.resected:
        side = generator.random() < 0.5
        cut = (-xs - 84 + 0.35 * ys) if side else (xs + 22 + 0.3 * ys)
        shape = smooth_maximum(shape, cut, 14)

    shape = smooth_maximum(shape, torso.cavity.onto(grid) + 1.2 * patient.visceral - 0.2, 4)
    shape = smooth_maximum(shape, torso.diaphragm.onto(grid) + 0.4, 4)
    shape = np.maximum(shape, -_fissures(patient, grid, (zs, ys, xs)))
    shape = smooth_maximum(shape, 2.0 - occupied.onto(grid), 7)
    return largest_piece(Field(grid, shape.astype(np.float32)))


def _fissures(patient: Patient, grid: Grid, axes: tuple[np.ndarray, ...]) -> np.ndarray:
    """Clefts of fat: for the ligamentum teres in front, for the venosum before the caudate."""
    generator = patient.stream("fissures")
    z, y, x = (axis + waves(grid.axes(), generator, (35, 80), 2.2) for axis in axes)
    place = generator.normal(6, 6)
    wide = generator.uniform(1.2, 4.0)
    sheet = np.abs(x - place - 0.25 * (y + 80)) - wide - 0.10 * np.maximum(-y - 75, 0)
    deep = generator.uniform(40, 62)
    teres = smooth_maximum(sheet, np.maximum(z - deep + 0.25 * (y + 70), y + 60), 6)
    venosum = np.abs(y + 62 + 0.25 * (x + 10)) - 1.3 + 0.05 * np.abs(x + 4)
    venosum = np.maximum(venosum, np.maximum(np.abs(x + 4) - 20, np.abs(z - 62) - 26))
    porta = ellipsoid(axes, HILUM, (9, 8, 26), rotation(about_z=15))
    return smooth_minimum(np.minimum(teres, venosum), porta, 6)


def largest_piece(field: Field) -> Field:
    """The shape without islands that carving left over."""
    parts, count = label(field.values < 0)
    if count <= 1:
        return field
    sizes = np.bincount(parts.ravel())[1:]
    islands = (parts > 0) & (parts != sizes.argmax() + 1)
    return Field(field.grid, np.where(islands, 2.0, field.values).astype(np.float32))


def make_gallbladder(patient: Patient) -> Field:
    """A pear in the fossa under the right lobe, pointing forward and down."""
    generator = patient.stream("gallbladder")
    size = generator.uniform(0.75, 1.25)
    z, y, x = np.array([4, -72, -52]) + generator.normal(0, 5, 3)
    path = smooth_path(
        [(z + 24, y + 16, x + 14, 4), (z + 12, y + 6, x + 6, 10 * size),
         (z - 6, y - 8, x - 4, 16 * size), (z - 18, y - 17, x - 8, 13 * size)], 4,
    )  # fmt: skip
    grid = Grid.around((z - 50, y - 55, x - 45), (z + 45, y + 45, x + 45), 2.5)
    values = tube(grid, path) + waves(grid.axes(), generator, (30, 70), 1.0)
    return Field(grid, values.astype(np.float32))


def make_vessels(patient: Patient, liver: Field) -> tuple[Field, Field]:
    """Portal and hepatic veins: trees that branch at random inside the liver."""
    generator = patient.stream("liver vessels")
    inside = np.argwhere(liver.values < -6)
    points = inside * np.array(liver.grid.step) + np.array(liver.grid.origin)
    grid = Grid.around(points.min(axis=0) - 10, points.max(axis=0) + 10, 1.8)
    portal = np.full(grid.shape, FAR, np.float32)
    veins = np.full(grid.shape, FAR, np.float32)
    fork = (44, -48, -62)
    trunk = [(*HILUM, 6.2), (*fork, 5.4)]
    left = [(*HILUM, 5.0), (56, -62, -6), (66, -78, 10)]
    left = [left[0], (*left[1], 4.2), (*left[2], 3.2)]
    for path in (trunk, left):
        tube(grid, smooth_path(path, 4), portal, 5)
    _grow(grid, portal, points, generator, [(fork, 4.8), (fork, 4.6), ((66, -78, 10), 3.2)], 44)
    roots = [(CAVA_TOP, 4.8), (CAVA_TOP, 4.6), (CAVA_TOP, 4.2)]
    _grow(grid, veins, points, generator, roots, 34)
    return Field(grid, portal), Field(grid, veins)


def _grow(
    grid: Grid,
    values: np.ndarray,
    points: np.ndarray,
    generator: np.random.Generator,
    roots: list[tuple],
    targets: int,
) -> None:
    """Reach out to scattered targets, each time from the nearest node of the tree so far.

    A branch starts thinner than the vessel it leaves; so trunks stay thick and twigs become fine.
    """
    nodes = [np.array(place, float) for place, _ in roots]
    radii = [radius for _, radius in roots]
    goals = points[generator.choice(len(points), targets, replace=len(points) < targets)]
    reach = np.linalg.norm(goals - nodes[0], axis=1)
    for goal in goals[np.argsort(-reach * generator.uniform(0.7, 1.3, targets))]:
        gaps = np.linalg.norm(np.array(nodes) - goal, axis=1) - 6 * np.array(radii)
        start = int(np.argmin(gaps))
        way = goal - nodes[start]
        length = np.linalg.norm(way)
        if length < 12:
            continue
        bend = generator.normal(0, 0.12 * length, (2, 3))
        thick = radii[start] * generator.uniform(0.78, 0.92)
        rows = [
            (*nodes[start], thick),
            (*(nodes[start] + way / 3 + bend[0]), 0.82 * thick),
            (*(nodes[start] + way * 2 / 3 + bend[1]), 0.62 * thick),
            (*goal, max(0.4 * thick, 0.7)),
        ]
        path = smooth_path(rows, 5)
        tube(grid, path, values, 4)
        for row in path[2:-1:2]:
            nodes.append(row[:3])
            radii.append(float(row[3]))


def make_tumours(patient: Patient, liver: Field) -> list[Tumour]:
    """Lesions of the patient: lobed, some with a necrotic core or a bright rim; plain cysts."""
    generator = patient.stream("tumours")
    result = []
    if patient.tumours:
        many = generator.random() < 0.3
        count = int(generator.integers(4, 11)) if many else int(generator.integers(1, 4))
        bright = patient.phase == "arterial" and generator.random() < 0.5
        bright = bright or generator.random() < 0.08
        style = generator.random()
        for _ in range(count):
            radius = float(np.clip(generator.lognormal(2.3 if many else 2.75, 0.5), 4, 52))
            contrast = generator.uniform(25, 55) if bright else -generator.uniform(22, 60)
            core = generator.uniform(15, 35) if radius > 18 and style < 0.5 else None
            rim = generator.uniform(8, 28) if style > 0.6 else None
            field = _lesion(generator, liver, radius, 0.13)
            result.append(Tumour(field, contrast, core, rim, "tumour"))
    if patient.cysts:
        for _ in range(int(generator.integers(1, 5))):
            radius = float(np.clip(generator.lognormal(2.2, 0.6), 3, 45))
            field = _lesion(generator, liver, radius, 0.04)
            result.append(Tumour(field, 0.0, generator.uniform(0, 14), None, "cyst"))
    return result


def _lesion(generator: np.random.Generator, liver: Field, radius: float, rough: float) -> Field:
    """A lobed ball somewhere in the liver."""
    depth = min(0.5 * radius, 12.0)
    room = np.argwhere(liver.values < -depth)
    node = room[generator.integers(len(room))]
    centre = node * np.array(liver.grid.step) + np.array(liver.grid.origin)
    step = float(np.clip(radius / 8, 1.2, 3.0))
    grid = Grid.around(centre - 1.5 * radius - 3, centre + 1.5 * radius + 3, step)
    radii = radius * generator.uniform(0.8, 1.2, 3)
    turn = rotation(*generator.uniform(-90, 90, 3))
    values = ellipsoid(grid.axes(), tuple(centre), tuple(radii), turn)
    values = values + waves(grid.axes(), generator, (1.1 * radius, 3 * radius), rough * radius)
    return Field(grid, values.astype(np.float32)).keep_in(liver, -0.5)
