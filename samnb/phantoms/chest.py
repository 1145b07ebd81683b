"""What stands above the diaphragm: lungs with their vessels, heart, oesophagus, airways."""

from dataclasses import dataclass

import numpy as np

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
    tube_field,
    waves,
)
from samnb.phantoms.torso import Torso


@dataclass(frozen=True)
class Chest:
    lung_left: Field
    lung_right: Field
    lung_vessels: Field
    airways: Field
    pericardium: Field
    heart: Field
    chambers: Field
    oesophagus: Field


def make_chest(patient: Patient, torso: Torso, occupied: Field) -> Chest:
    generator = patient.stream("chest")
    grid = Grid.around((5, -165, -165), (262, 95, 165), (3.5, 3.0, 3.0))
    axes = grid.axes()
    z, y, x = axes
    pericardium, heart, chambers = _heart(patient, generator, axes, torso, grid)
    inside = np.maximum(torso.cavity.onto(grid) + 1.5, 2.5 - torso.diaphragm.onto(grid))
    bend = waves(axes, generator, (60, 140), 3.0)
    middle = np.abs(x - 4) - (26 + 10 * np.exp(-(((y + 30) / 40) ** 2))) + bend
    middle = np.where(y > 20, np.abs(x) - 14 + 0 * z, middle)
    lungs = smooth_maximum(inside, -smooth_minimum(pericardium, middle, 8), 6)
    lungs = smooth_maximum(lungs, 2.0 - occupied.onto(grid), 4)
    left = Field(grid, np.maximum(lungs, -x).astype(np.float32))
    right = Field(grid, np.maximum(lungs, x).astype(np.float32))
    oesophagus = tube_field(
        [smooth_path([(265, 4, 4, 7), (200, 2, 2, 7), (140, -6, 6, 7.5), (104, -22, 14, 7.5),
                      (88, -26, 30, 8)], 6)], 2.5
    )  # fmt: skip
    return Chest(
        left,
        right,
        _lung_vessels(generator, lungs, grid),
        _airways(),
        Field(grid, pericardium),
        Field(grid, heart),
        Field(grid, chambers),
        oesophagus,
    )


def _heart(
    patient: Patient,
    generator: np.random.Generator,
    axes: list[np.ndarray],
    torso: Torso,
    grid: Grid,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pericardial fat, heart, and its blood pools; the heart rests on the diaphragm."""
    size = generator.normal(1.0, 0.06)
    rest = generator.normal(0, 4)
    bend = [axis + waves(axes, generator, (70, 160), 3.0) for axis in axes]
    turn = rotation(about_z=generator.normal(-38, 7), about_x=12)
    centre = (142 + rest, -70, 22)
    heart = ellipsoid(bend, centre, (52 * size, 42 * size, 60 * size), turn)
    atrium = ellipsoid(bend, (142 + rest, -62, -18), (38 * size, 30, 26))
    base = ellipsoid(bend, (172 + rest, -58, 4), (24, 28, 32))
    heart = smooth_minimum(smooth_minimum(heart, atrium, 14), base, 14)
    floor = 5.0 - torso.diaphragm.onto(grid)
    heart = smooth_maximum(heart, floor, 12)
    coat = 3 + 7 * patient.visceral + waves(axes, generator, (50, 110), 2.0)
    pericardium = smooth_maximum(heart - coat, 2.5 - torso.diaphragm.onto(grid), 6)
    pericardium = np.maximum(pericardium, torso.cavity.onto(grid) + 1)
    left = ellipsoid(bend, (134 + rest, -72, 42), (30, 19, 31), turn)
    right = ellipsoid(bend, (136 + rest, -94, 4), (32, 14, 36), rotation(about_z=-30))
    atria = ellipsoid(bend, (146 + rest, -60, -18), (30, 22, 18))
    back = ellipsoid(bend, (164 + rest, -38, 12), (22, 13, 26))
    chambers = np.minimum.reduce([left, right, atria, back])
    chambers = smooth_maximum(chambers, heart + 4, 4)
    return tuple(v.astype(np.float32) for v in (pericardium, heart, chambers))


def _lung_vessels(generator: np.random.Generator, lungs: np.ndarray, grid: Grid) -> Field:
    """Vessels that fan out from the hila, finer towards the pleura."""
    fine = Grid.around(grid.origin, grid.end, 2.2)
    values = np.full(fine.shape, FAR, np.float32)
    inside = np.argwhere(lungs < -5)
    if len(inside):
        points = inside * np.array(grid.step) + np.array(grid.origin)
        for goal in points[generator.choice(len(points), 240)]:
            side = 1 if goal[2] > 0 else -1
            root = np.array([178, -28, side * 40]) + generator.normal(0, 7, 3)
            way = goal - root
            middle = root + way * 0.55 + generator.normal(0, 6, 3)
            rows = [(*root, 4.6), (*middle, 2.8), (*goal, 1.7)]
            tube(fine, smooth_path(rows, 12), values, 3)
    return Field(fine, np.maximum(values, Field(grid, lungs).onto(fine) + 1.0))


def make_great_vessels(patient: Patient) -> tuple[Field, Field, Field]:
    """Above the heart: ascending aorta with the arch, pulmonary arteries, the upper vena cava."""
    generator = patient.stream("great vessels")
    wide = generator.normal(1.0, 0.07)
    aorta = [(160, -62, 4, 14), (200, -70, -10, 16), (240, -60, -8, 15.5), (262, -36, 8, 14),
             (258, -12, 23, 12.5)]  # fmt: skip
    trunk = [(168, -88, 16, 13), (198, -78, 22, 14.5), (214, -52, 26, 12.5), (212, -30, 44, 9)]
    right = [(210, -58, 20, 10.5), (203, -42, -4, 11), (200, -34, -34, 9)]
    cava = [(150, -56, -26, 11), (200, -50, -28, 9.5), (268, -44, -28, 9)]
    scaled = [
        smooth_path(np.array(rows) * [1, 1, 1, wide], 7) for rows in (aorta, trunk, right, cava)
    ]
    return (
        tube_field(scaled[:1], 3.0, 8),
        tube_field(scaled[1:3], 3.0, 8),
        tube_field(scaled[3:], 3.0, 8),
    )


def _airways() -> Field:
    rows = [smooth_path([(268, -22, 0, 8), (215, -18, 0, 8)], 8)]
    for side in (-1, 1):
        rows.append(smooth_path([(215, -18, 0, 7), (192, -20, side * 26, 5.5),
                                 (170, -20, side * 44, 4)], 6))  # fmt: skip
    return tube_field(rows, 2.5, 6)
