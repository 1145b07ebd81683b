"""Bones: the spine with its discs and canal, ribs with their cartilage, sternum, pelvis, hips."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import (
    FAR,
    Field,
    Grid,
    ellipsoid,
    smooth_path,
    tube,
    tube_field,
    waves,
)
from samnb.phantoms.torso import Torso

# Heights (mm) of the middles of the vertebral bodies.
VERTEBRAE = {
    "T4": 258, "T5": 234, "T6": 209, "T7": 184, "T8": 157, "T9": 128, "T10": 98, "T11": 67,
    "T12": 34, "L1": 0, "L2": -35, "L3": -71, "L4": -108, "L5": -145,
}  # fmt: skip


@dataclass(frozen=True)
class Skeleton:
    vertebrae: Field
    discs: Field
    canal: Field
    ribs: Field
    cartilage: Field
    pelvis: Field


def spine_y(z: np.ndarray | float) -> np.ndarray:
    """y (mm) of the middle of the vertebral bodies: the lordosis and the kyphosis."""
    return np.interp(
        z,
        [-280, -230, -180, -145, -108, -60, 0, 90, 180, 280],
        [48, 36, 6, -8, -9, -5, 0, 8, 10, 2],
    )


def make_spine(patient: Patient) -> tuple[Field, Field, Field]:
    """Vertebrae, discs and spinal canal."""
    grid = Grid.around((-172, -40, -50), (275, 78, 50), (2.5, 2.5, 2.5))
    z, y, x = grid.axes()
    y = y - spine_y(z).astype(np.float32)
    bone = np.full(grid.shape, FAR, np.float32)
    discs = np.full(grid.shape, FAR, np.float32)
    generator = patient.stream("spine")
    wear = generator.uniform(0, 1) * max(patient.age - 40, 0) / 40
    for height in VERTEBRAE.values():
        size = np.interp(height, [-145, 0, 150, 280], [1.12, 1.0, 0.82, 0.7])
        part = slice(*np.searchsorted(z.ravel(), [height - 40, height + 24]))
        zz, yy = z[part] - height, y[part]
        half = 13.2 * np.interp(height, [-145, 0, 280], [1.05, 1.0, 0.72])
        waist = 1 - 0.09 * (1 - np.minimum((zz / half) ** 2, 1)) + 0.05 * wear
        flat = np.where(yy > 0, 0.84, 1.0)  # the back of the body is flattened
        rim = np.sqrt((x / (24 * size)) ** 2 + (yy / (17 * size * flat)) ** 2)
        rim = (rim - waist) * 19 * size
        body = np.maximum(rim, np.abs(zz) - half)
        discs[part] = np.minimum(discs[part], np.maximum(rim + 0.5, np.abs(zz - half - 5) - 5.5))
        np.minimum(bone[part], body, out=bone[part])
        _arch(grid, bone, height, size, generator)
    z_axis = grid.axes()[0]
    canal = np.sqrt((x / 1.25) ** 2 + (y - 23.5) ** 2) - 8.2 + 0 * z_axis
    bone = np.maximum(bone, -canal - 0.3)
    return Field(grid, bone), Field(grid, discs), Field(grid, canal.astype(np.float32))


def _arch(
    grid: Grid, bone: np.ndarray, height: float, size: float, generator: np.random.Generator
) -> None:
    """Pedicles, laminae, transverse and spinous processes of one vertebra, joined to `bone`."""
    y = float(spine_y(height))
    tip = height - (14 if height < 30 else 24)
    for side in (-1, 1):
        pedicle = [(height + 4, y + 10, side * 13 * size, 4), (height + 3, y + 23, side * 14, 5)]
        lamina = [(height + 2, y + 23, side * 15, 5.5), (height - 7, y + 37, side * 3, 4)]
        reach = 36 + generator.normal(0, 2)
        process = [(height + 2, y + 23, side * 15, 4), (height, y + 27, side * reach, 3)]
        joint = [(height + 12, y + 25, side * 16, 5), (height - 20, y + 28, side * 14, 5)]
        for path in (pedicle, lamina, process, joint):
            tube(grid, np.array(path, float), bone, 6)
    spinous = [(height - 6, y + 37, 0, 3.5), (tip, y + 58, generator.normal(0, 1), 4)]
    tube(grid, np.array(spinous, float), bone, 6)


def make_ribs(patient: Patient, torso: Torso) -> tuple[Field, Field]:
    """Ribs 4 to 12 with the sternum, and the costal cartilages."""
    generator = patient.stream("ribs")
    ribs, cartilages = [], []
    levels = [name for name in VERTEBRAE if name.startswith("T")]
    for name in levels:
        number = int(name[1:])
        last = {12: 0.95, 11: 1.55}.get(number, 2.3 + 0.02 * (10 - number))
        last += generator.normal(0, 0.04)
        start = VERTEBRAE[name] + 6
        slope = 62 + 2.0 * (number - 4) + generator.normal(0, 2)
        back = float(spine_y(start))
        for side in (-1, 1):
            path = [(start, back + 12, side * 22, 4.0), (start - 2, back + 25, side * 38, 4.4)]
            for angle in np.linspace(0.62, last, 9):
                z = start - 4 - slope * (1 - np.cos(min(angle, 2.6) * 0.62)) * 1.25
                point = torso.wall_point(side * angle, z, 6.0)
                path.append((*point, 5.0))
            ribs.append(smooth_path(path, 7))
            if number <= 10:
                cartilages.append(smooth_path(_cartilage(torso, path[-1], side, number), 7))
    for z in (155, 250):
        front = torso.wall_point(np.pi, z, 7)
        for x in range(-14, 15, 4):
            ribs.append(np.array([(z, front[1], x, 5.5), (z + 95 * (z < 200), front[1], x, 5.5)]))
    return tube_field(ribs, 2.5, 8), tube_field(cartilages, 3.0, 8)


def _cartilage(torso: Torso, end: tuple, side: int, number: int) -> list[tuple]:
    """From the front end of a rib along the costal margin up to the sternum."""
    start = np.arctan2(end[2], end[1] + 35)
    goal = side * (np.pi - 0.1)
    top = max(end[0] + 6, 150 + 9 * (7 - number) if number < 8 else 132 - 12 * (number - 7))
    rows = [(*end[:3], 5.5)]
    for share in (0.33, 0.66, 1.0):
        angle = start + (goal - start) * share * (1 if number < 8 else 0.7)
        z = end[0] + (top - end[0]) * share**1.2
        rows.append((*torso.wall_point(angle, z, 6), 5.5))
    return rows


def make_pelvis(patient: Patient) -> Field:
    """Iliac wings as fans of tubes, sacrum, the ring of pubis and ischium, hips."""
    generator = patient.stream("pelvis")
    wide = 1.04 if patient.female else 1.0
    paths = []
    for side in (-1, 1):
        socket = (-232, 2, side * 88 * wide, 8)
        crest = smooth_path(
            [(-150, 62, 44, 6), (-118, 52, 66, 5), (-98, 18, 104, 5), (-112, -22, 126, 5),
             (-145, -50, 124, 6)], 5,
        )  # fmt: skip
        for z, y, x, radius in crest:
            x = side * x * wide
            middle = ((z - 232) / 2 - 4, (y + 2) / 2, (x + socket[2]) / 2 - side * 10, 3.6)
            paths.append(smooth_path([(z, y, x, radius), middle, socket], 14))
        hip = (-258, -10, side * 90 * wide)
        for z, y, x, radius in (
            (-244, 14, 92, 15), (-244, -22, 96, 11), (-238, 0, 84, 9), (-270, 10, 78, 9),
        ):  # fmt: skip
            paths.append(np.array([(z, y, side * x * wide, radius)] * 2, float))
        paths.append(np.array([(*hip, 23)] * 2, float))
        neck = [(*hip, 15), (-285, 5, side * 138, 15), (-350, 0, side * 132, 15)]
        paths.append(smooth_path(neck, 10))
        pubis = [(-255, -32, side * 74, 9), (-272, -62, side * 38, 7), (-288, -70, side * 8, 10)]
        ischium = [(-265, 14, side * 72, 12), (-320, 18, side * 58, 13), (-328, 6, side * 48, 10),
                   (-300, -52, side * 16, 7)]  # fmt: skip
        paths += [smooth_path(pubis, 8), smooth_path(ischium, 8)]
    field = tube_field(paths, 3.5, 8)
    z, y, x = field.grid.axes()
    bend = waves((z, y, x), generator, (30, 60), 0.8)
    width = np.interp(z, [-285, -250, -200, -168, -155], [8, 24, 40, 52, 44]).astype(np.float32)
    depth = np.interp(z, [-285, -250, -200, -168, -155], [4, 8, 14, 20, 10]).astype(np.float32)
    back = spine_y(z).astype(np.float32) + 8 + 10 * (x / 50) ** 2
    sacrum = np.maximum(
        (np.sqrt((x / width) ** 2 + ((y - back) / depth) ** 2) - 1) * np.minimum(depth, 16),
        np.maximum(z + 163, -285 - z),
    )
    hole = [ellipsoid((z, y, x), (h, float(spine_y(h)), s * 20), (5, 9, 5))
            for h in (-178, -200, -222) for s in (-1, 1)]  # fmt: skip
    sacrum = np.maximum(sacrum, -np.minimum.reduce(hole))
    return Field(field.grid, np.minimum(field.values, sacrum) + bend)


def make_skeleton(patient: Patient, torso: Torso) -> Skeleton:
    return Skeleton(*make_spine(patient), *make_ribs(patient, torso), make_pelvis(patient))
