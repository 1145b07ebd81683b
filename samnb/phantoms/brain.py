"""A brain without tumour: who the patient is, and where the outlines of the parts lie.

Shapes are made for one standard head. Its origin is the anterior commissure; z points up, y to the
back, x to the patient's left, all mm. `points` are positions (3, N) there, float32, and distances
(N,) are negative inside, as in fields.py. What both halves share is given for the left one and
read at |x|; each patient's own warp makes the halves differ.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from samnb.phantoms.fields import (
    FAR,
    Field,
    Grid,
    Point,
    ellipsoid,
    rotation,
    smooth_maximum,
    smooth_minimum,
    smooth_path,
    tube_field,
    waves,
)

LOW, HIGH = (-84.0, -86.0, -84.0), (90.0, 116.0, 84.0)  # a box around the standard head


@dataclass(frozen=True)
class BrainMix:
    """Who the patients of one cohort are: mean and spread, or how often."""

    high_grade: float = 0.75  # share of glioblastomas
    high_grade_age: tuple[float, float] = (60.0, 11.0)
    low_grade_age: tuple[float, float] = (43.0, 12.0)
    size: tuple[float, float] = (0.99, 0.035)  # of the head, as a factor
    lesions: float = 1.0  # how much more small-vessel disease than usual at that age


@dataclass(frozen=True)
class BrainPatient:
    """One patient. Shapes are made for the standard head, then scaled by `scale` (z, y, x)."""

    key: tuple[int, ...]
    high_grade: bool
    age: int
    scale: tuple[float, float, float]
    turn: tuple[float, float, float]  # of the head in the scanner about z, y and x, degrees
    atrophy: float  # 0 none .. 1 much: wide sulci
    ventricles: float  # mm that their walls lie further out than in the young
    lesions: float  # 0 none .. 1 confluent: small-vessel disease of the white matter

    def stream(self, name: str) -> np.random.Generator:
        """Random numbers of one structure; those of one never shift those of another."""
        return np.random.default_rng([*self.key, zlib.crc32(name.encode())])


def draw_brain_patient(key: tuple[int, ...], mix: BrainMix) -> BrainPatient:
    """Draw a patient of a cohort; a pure function of `key` (seed, cohort, number) and `mix`."""
    generator = np.random.default_rng([*key, zlib.crc32(b"patient")])
    high_grade = bool(generator.random() < mix.high_grade)
    mean, spread = mix.high_grade_age if high_grade else mix.low_grade_age
    age = int(np.clip(generator.normal(mean, spread), 19, 86))
    old = np.clip((age - 40) / 40, 0, 1)
    size = float(np.clip(generator.normal(*mix.size), 0.9, 1.08))
    scale = size * np.clip(generator.normal(1, 0.02, 3), 0.95, 1.05)
    burden = mix.lesions * old**1.5 * generator.lognormal(0, 0.6)
    return BrainPatient(
        key=key,
        high_grade=high_grade,
        age=age,
        scale=tuple(float(s) for s in scale),
        turn=tuple(float(t) for t in np.clip(generator.normal(0, (2.5, 1.5, 2.5)), -7, 7)),
        atrophy=float(np.clip(0.15 + 0.6 * old + generator.normal(0, 0.12), 0, 1)),
        ventricles=float(np.clip(-0.8 + 2.2 * old + generator.normal(0, 0.7), -1.8, 3.2)),
        lesions=float(np.clip(burden, 0, 1)),
    )


@dataclass(frozen=True)
class Brain:
    """The shapes of one patient that are kept as fields, on grids of the standard head."""

    patient: BrainPatient
    warp: tuple[Field, Field, Field]  # mm along z, y, x: from the patient's head to the standard
    fold: Field  # signed distance (mm) to the nearest sheet that a sulcus follows
    bottom: Field  # how deep (mm) the sulci reach
    ventricle: Field  # lateral ventricle, left
    callosum: Field  # its outline in the midline
    caudate_tail: Field
    hippocampus: Field
    stem: Field  # medulla and middle peduncles, left half
    arteries: Field  # left half
    sinuses: Field  # left half


def read_at(field: Field, points: np.ndarray, beyond: float = FAR) -> np.ndarray:
    """Values (N,) of a field at points (3, N), and `beyond` off its grid."""
    origin = np.float32(field.grid.origin)[:, None]
    step = np.float32(field.grid.step)[:, None]
    nodes = (points - origin) / step
    return map_coordinates(field.values, nodes, order=1, mode="constant", cval=beyond)


def places(axes: Sequence[np.ndarray]) -> np.ndarray:
    """All nodes of a grid as points (3, N), from axes shaped to broadcast to it."""
    shape = [axis.size for axis in axes]
    return np.stack([np.broadcast_to(axis, shape).ravel() for axis in axes])


def mirrored(points: np.ndarray) -> np.ndarray:
    """The same points in the left half: (z, y, |x|)."""
    return np.stack([points[0], points[1], np.abs(points[2])])


def whole_field(
    values_of: Callable[[list[np.ndarray]], np.ndarray],
    step: float,
    low: Point = LOW,
    high: Point = HIGH,
) -> Field:
    """A field of `values_of(axes)` over the whole head, or the box from `low` to `high`."""
    grid = Grid.around(low, high, step)
    return Field(grid, np.float32(values_of(grid.axes())))


# --- outlines --------------------------------------------------------------------------------


def cerebrum(side: np.ndarray) -> np.ndarray:
    """Distance to the outline of both hemispheres, fissures filled; `side` is mirrored points."""
    z, y, _ = side
    dome = ellipsoid(side, (11, 17, 0), (66, 85, 69.5))
    dome = smooth_maximum(dome, ellipsoid(side, (6, 16, 0), (84, 104, 66)), 8)  # flat sides
    # The floor: over the orbits in front, on the tentorium behind.
    floor = smooth_maximum(tent(side) + 1 - 30 * np.clip((44 - y) / 24, 0, 1), -18, 4)
    hemispheres = smooth_maximum(dome, floor - z, 8)
    temporal = ellipsoid(side, (-17, 20, 42), (25, 44, 23), rotation(about_z=-7, about_x=-5))
    return smooth_minimum(hemispheres, temporal, 12)


def tent(side: np.ndarray) -> np.ndarray:
    """Height z (mm) of the tentorium, which hangs down from the midline like a tent."""
    _, y, x = side
    return 3 - 19 * (1 - np.exp(-x / 17)) - 0.007 * (y - 54) ** 2


def cerebellum(side: np.ndarray) -> np.ndarray:
    """Distance to the outline of the cerebellum, its fissures filled."""
    halves = ellipsoid(side, (-35, 63, 21), (28, 30, 31), rotation(about_z=12))
    vermis = ellipsoid(side, (-26, 60, 0), (29, 26, 17))
    return smooth_maximum(smooth_minimum(halves, vermis, 8), side[0] + 0.5 - tent(side), 4)


def brain_stem(brain: Brain, side: np.ndarray) -> np.ndarray:
    """Distance to midbrain, pons, medulla and the peduncles between pons and cerebellum."""
    midbrain = ellipsoid(side, (-12, 28, 0), (17, 9.5, 13))
    foot = ellipsoid(side, (-14, 20, 10.5), (17, 7, 6.5), rotation(about_z=-25, about_y=-12))
    pons = ellipsoid(side, (-32, 22, 0), (13, 13, 18))
    upper = smooth_minimum(smooth_minimum(midbrain, foot, 4), pons, 5)
    return smooth_minimum(upper, read_at(brain.stem, side), 4)


def head(brain: Brain, side: np.ndarray) -> np.ndarray:
    """Distance to the skull-stripped outline: everything, with the cisterns between the parts."""
    lower = smooth_minimum(cerebellum(side), brain_stem(brain, side), 12)
    return smooth_minimum(cerebrum(side), lower, 16)


# --- ventricles and what lies beside them -----------------------------------------------------


def lateral_ventricle(brain: Brain, side: np.ndarray) -> np.ndarray:
    """Distance to the lateral ventricle: horns and body, hollowed by caudate and thalamus."""
    horns = read_at(brain.ventricle, side) - np.float32(brain.patient.ventricles)
    walls = np.minimum(caudate(brain, side), thalamus(side)) - 0.3
    septum = 0.9 - side[2]
    return np.maximum(smooth_maximum(horns, -walls, 2), septum)


def midline_ventricles(brain: Brain, side: np.ndarray) -> np.ndarray:
    """Distance to the third ventricle, a slit between the thalami, the aqueduct and the fourth."""
    wide = np.float32(1.4 + 0.5 * max(brain.patient.ventricles, -1))
    third = ellipsoid(side, (-3, 12, 0), (11, 15, wide))
    z, y, x = side
    aqueduct = np.hypot(y - 32 + 0.2 * (z + 12), x) - 0.9
    aqueduct = np.maximum(aqueduct, np.maximum(-26 - z, z + 2))
    fourth = ellipsoid(side, (-37, 38.5, 0), (11, 5, 8.5))
    fourth = smooth_maximum(fourth, 0.35 * (z + 37) + 0.5 * x - 5, 2)
    return np.minimum(np.minimum(third, aqueduct), fourth)


def caudate(brain: Brain, side: np.ndarray) -> np.ndarray:
    """Head in the wall of the frontal horn, body and tail along the ventricle."""
    front = ellipsoid(side, (7, -15, 13.5), (11, 12, 5.5), rotation(about_z=14))
    return smooth_minimum(front, read_at(brain.caudate_tail, side), 3)


def putamen(side: np.ndarray) -> np.ndarray:
    return ellipsoid(side, (1, 1, 27), (12, 18, 5.6), rotation(about_z=-15, about_y=-8))


def pallidum(side: np.ndarray) -> np.ndarray:
    return ellipsoid(side, (0, 4, 20.5), (8, 11, 4.6), rotation(about_z=-24, about_y=-8))


def thalamus(side: np.ndarray) -> np.ndarray:
    return ellipsoid(side, (6, 18, 11), (10, 15, 8.5), rotation(about_z=-22))


def callosum(brain: Brain, side: np.ndarray) -> np.ndarray:
    """The arch of white matter over the ventricles, its wings bent upwards."""
    z, y, x = side
    flat = np.stack([z - 0.012 * x * x, y, np.zeros_like(x)])
    return np.maximum(read_at(brain.callosum, flat) + 0.14 * np.maximum(x - 4, 0), x - 26)


def inner_arch(side: np.ndarray) -> np.ndarray:
    """Distance, in the plane of (z, y), to what the corpus callosum spans: no fissure in there."""
    z, y, _ = side
    return ellipsoid([z, y], (-2, 5), (30, 40))


# --- making ------------------------------------------------------------------------------------

VENTRICLE = (  # rows of z, y, x, radius, from the tip of the frontal horn backwards
    ((5, -33, 15, 1.5), (8, -24, 11, 4.2), (13, -10, 7.5, 5), (18, 4, 8, 4.8), (21, 18, 11, 4.6),
     (17, 32, 18, 5.2), (10, 42, 24, 6.5), (6, 54, 26, 4), (3, 68, 22, 1.4)),
    ((0, -27, 11, 1.6), (2, -16, 6.5, 3), (6, -6, 4.5, 2.6)),
    ((10, 41, 25, 5.5), (-1, 38, 31, 4), (-12, 26, 34, 2.6), (-18, 10, 32, 2.2), (-18, -1, 29, 2)),
)  # fmt: skip
CALLOSUM = ((-3, -22, 0, 1.2), (2, -31, 0, 3.5), (12, -34, 0, 5), (23, -20, 0, 3.2),
            (28, 2, 0, 2.9), (25, 24, 0, 2.8), (15, 41, 0, 4.6), (9, 41, 0, 4))  # fmt: skip
CAUDATE_TAIL = ((14, -8, 14, 4), (20, 4, 16, 3.2), (21, 18, 20, 2.5), (16, 32, 27, 1.6))
HIPPOCAMPUS = ((-20, -5, 23, 6), (-21, 6, 26, 4.6), (-17, 20, 28, 4), (-8, 34, 26, 2.6))
STEM = (
    ((-40, 26, 0, 10.5), (-54, 31, 0, 8.5), (-68, 35, 0, 7.2), (-84, 38, 0, 6.5)),
    ((-33, 24, 10, 8), (-36, 36, 19, 7), (-37, 48, 24, 6)),
)
ARTERIES = (  # carotid with middle and anterior cerebral; basilar
    ((-26, -6, 9, 2.1), (-19, -8, 10, 2), (-16, -6, 16, 1.7), (-15, -4, 26, 1.5),
     (-11, -4, 35, 1.3), (-2, 4, 38, 1.0), (8, 16, 40, 0.8)),
    ((-17, -9, 9, 1.4), (-14, -18, 2.2, 1.2), (0, -38, 2, 1.1), (18, -40, 2, 1), (33, -16, 2, 0.8)),
    ((-46, 8, 0, 1.8), (-32, 6.5, 0, 1.8), (-20, 8, 0, 1.7), (-17, 12, 6, 1.3), (-14, 27, 17, 1.1)),
)  # fmt: skip
SINUSES = (
    ((12, -66, 0, 1), (52, -44, 0, 1.8), (76, 2, 0, 2.4), (72, 52, 0, 2.8), (40, 92, 0, 3),
     (4, 99, 0, 3), (-10, 96, 4, 3), (-18, 84, 34, 3), (-24, 56, 56, 3)),
    ((6, 48, 0, 1.7), (1, 66, 0, 1.7), (-8, 92, 0, 2.2)),
    ((6, 48, 0, 1.5), (12, 34, 1.5, 0.9), (13, 12, 1.5, 0.7)),
)  # fmt: skip


def make_brain(patient: BrainPatient, fold: Field, bottom: Field) -> Brain:
    """The brain of a patient; `fold` and `bottom` of its sulci come from cortex.py."""
    generator = patient.stream("warp")
    warp = tuple(
        whole_field(lambda axes: waves(axes, generator, (70, 160), 1.9, 12), 6.0) for _ in range(3)
    )
    tubes = (VENTRICLE, (CALLOSUM,), (CAUDATE_TAIL,), (HIPPOCAMPUS,), STEM, ARTERIES, SINUSES)
    fields = [
        tube_field([smooth_path(path, 4) for path in paths], 1.5, reach)
        for paths, reach in zip(tubes, (14, 6, 6, 6, 14, 4, 4), strict=True)
    ]
    return Brain(patient, warp, fold, bottom, *fields)


def to_standard(brain: Brain, points: np.ndarray) -> np.ndarray:
    """From points of this patient's head (3, N) to those of the standard head."""
    return points + np.stack([read_at(part, points) for part in brain.warp])
