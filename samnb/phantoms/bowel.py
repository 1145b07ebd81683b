"""Bowel: the frame of the colon, loops of small bowel, duodenum, what they hold; fat's vessels."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import Field, Grid, smooth_maximum, smooth_path, tube, waves
from samnb.phantoms.torso import Torso


@dataclass(frozen=True)
class Bowel:
    colon: Field
    colon_gas: Field  # negative where the colon holds gas
    small: Field
    small_gas: Field
    duodenum: Field


def make_colon(patient: Patient, torso: Torso, occupied: Field) -> tuple[Field, Field]:
    """Caecum, ascending, transverse, descending, sigmoid, rectum; haustra by a travelling wave."""
    generator = patient.stream("colon")
    wide = generator.uniform(0.75, 1.15)
    sag = generator.normal(-55, 22)
    front = -100 - 18 * patient.visceral
    rows = np.array(
        [
            (-165, -40, -78, 22), (-130, -28, -92, 25), (-90, -12, -98, 23), (-55, -12, -98, 21),
            (-28, -40, -92, 21), (-34, -78, -74, 20), (sag * 0.8, front, -36, 19),
            (sag, front, 0, 19), (sag * 0.7, front, 38, 18), (-10, -86, 76, 17), (22, -48, 104, 17),
            (32, -12, 112, 16),
            (0, 8, 108, 14), (-50, 6, 104, 13), (-100, -4, 104, 13), (-150, -26, 96, 13),
            (-190, -34, 72, 14), (-205, -48, 40, 14), (-182, -56, 12, 14), (-190, -20, -6, 13),
            (-205, 8, 0, 15), (-240, 22, 2, 17), (-285, 24, 0, 17), (-330, 14, 0, 9),
        ],
        float,
    )  # fmt: skip
    rows[:, :3] += generator.normal(0, 6, (len(rows), 3))
    rows[:, 3] *= wide * generator.uniform(0.78, 1.12, len(rows))
    path = smooth_path(rows, 5)
    along = np.arange(len(path)) * 5.0
    path[:, 3] *= 1 + 0.15 * np.sin(along / 31 * 2 * np.pi)
    grid = Grid.around((-340, -165, -150), (75, 60, 150), 3.0)
    values = tube(grid, path, reach=10)
    values = values + waves(grid.axes(), generator, (20, 60), 1.4, 12)
    values = smooth_maximum(values, torso.cavity.onto(grid) + 3, 6)
    values = smooth_maximum(values, torso.diaphragm.onto(grid) + 5, 6)
    values = smooth_maximum(values, 2.0 - occupied.onto(grid), 6)
    gas = waves(grid.axes(), generator, (90, 200), 15.0, 8) + generator.uniform(-4, 8)
    return Field(grid, values.astype(np.float32)), Field(grid, gas.astype(np.float32))


def make_small_bowel(patient: Patient, torso: Torso, occupied: Field) -> tuple[Field, Field]:
    """Many loops: paths that wander through the room that other organs leave in the lower belly."""
    generator = patient.stream("small bowel")
    grid = Grid.around((-275, -160, -125), (15, 35, 130), 3.0)
    room = np.maximum(torso.cavity.onto(grid) + 5, 4 - occupied.onto(grid))
    z, y, x = grid.axes()
    room = np.maximum(room, y + 22)  # behind lie muscles and kidneys
    room = np.maximum(room, z + 30 - 0.35 * x + 0.2 * (y + 60))
    inside = np.argwhere(room < -9)
    values = np.full(grid.shape, 40.0, np.float32)
    if len(inside):
        points = inside * np.array(grid.step) + np.array(grid.origin)
        goals = points[generator.choice(len(points), 260)]
        radius = generator.uniform(9.5, 13.0)
        count = 16 + int(14 * (1 - patient.visceral))
        for path in _loops(goals, generator, radius, count):
            loop = tube(grid, path, reach=10)
            apart = 0.8 - 0.5 * np.abs(values - loop)  # loops that touch keep a wall between them
            values = np.maximum(np.minimum(values, loop), apart)
    values = values + waves((z, y, x), generator, (14, 40), 1.3, 12)
    values = np.maximum(values, room + 1)
    gas = waves((z, y, x), generator, (50, 120), 12.0, 8) + 17
    return Field(grid, values.astype(np.float32)), Field(grid, gas.astype(np.float32))


def _loops(
    goals: np.ndarray, generator: np.random.Generator, radius: float, count: int
) -> list[np.ndarray]:
    """Split scattered points into `count` paths, each going on to a near point not yet visited."""
    left = list(range(len(goals)))
    paths = []
    for _ in range(count):
        here = left.pop(int(generator.integers(len(left))))
        rows = [goals[here]]
        for _ in range(6):
            gaps = np.linalg.norm(goals[left] - rows[-1], axis=1)
            gaps = np.abs(gaps - 38) + 0.4 * np.abs(goals[left][:, 0] - rows[-1][0])
            rows.append(goals[left.pop(int(np.argmin(gaps)))])
        widths = radius * generator.uniform(0.75, 1.2, (len(rows), 1))
        paths.append(smooth_path(np.hstack([np.array(rows), widths]), 6))
    return paths


def make_duodenum(patient: Patient, occupied: Field) -> Field:
    generator = patient.stream("duodenum")
    rows = np.array(
        [
            (8, -70, -32, 10), (10, -62, -46, 12), (-8, -48, -52, 12), (-36, -40, -52, 12),
            (-58, -46, -36, 11), (-62, -54, -6, 10), (-54, -52, 22, 10), (-30, -56, 34, 10),
            (-24, -76, 40, 11),
        ],
        float,
    )  # fmt: skip
    rows[:, :3] += generator.normal(0, 3, (len(rows), 3))
    grid = Grid.around((-95, -115, -85), (45, -10, 75), 2.5)
    values = tube(grid, smooth_path(rows, 5), reach=10)
    values = values + waves(grid.axes(), generator, (14, 40), 1.2, 12)
    values = np.maximum(values, 1.5 - occupied.onto(grid))
    return Field(grid, values.astype(np.float32))


def make_bowel(patient: Patient, torso: Torso, occupied: Field) -> Bowel:
    duodenum = make_duodenum(patient, occupied)

    def taken(*fields: Field) -> Field:
        values = occupied.values
        for field in fields:
            values = np.minimum(values, field.onto(occupied.grid))
        return Field(occupied.grid, values)

    colon, colon_gas = make_colon(patient, torso, taken(duodenum))
    small, small_gas = make_small_bowel(patient, torso, taken(duodenum, colon))
    return Bowel(colon, colon_gas, small, small_gas, duodenum)


def make_mesentery(patient: Patient, torso: Torso) -> Field:
    """Thin vessels and strands that cross the belly's fat."""
    generator = patient.stream("mesentery")
    grid = Grid.around((-230, -155, -125), (40, 30, 125), 2.8)
    values = np.full(grid.shape, 40.0, np.float32)
    root = np.array([-20, -58, -4])
    for _ in range(70):
        goal = np.array([generator.uniform(-210, 10), generator.uniform(-125, -10),
                         generator.uniform(-105, 105)])  # fmt: skip
        way = goal - root
        middle = root + way * 0.5 + generator.normal(0, 14, 3)
        rows = [(*(root + way * 0.25), 1.9), (*middle, 1.5), (*goal, 1.0)]
        tube(grid, smooth_path(rows, 9), values, 4)
    return Field(grid, np.maximum(values, torso.cavity.onto(grid) + 4).astype(np.float32))
