"""The other organs of the belly: spleen, kidneys, stomach, pancreas, great vessels, muscles."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import (
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
from samnb.phantoms.skeleton import spine_y
from samnb.phantoms.torso import Torso


@dataclass(frozen=True)
class Kidney:
    """One kidney: its outline, the medullary pyramids, the fat of the sinus, the renal pelvis."""

    outline: Field
    medulla: Field
    sinus: Field
    pelvis: Field


def make_muscles(patient: Patient, torso: Torso) -> Field:
    """Psoas, quadratus lumborum, erector spinae, iliacus and the gluteal muscles' bulk."""
    generator = patient.stream("muscles")
    bulk = generator.normal(1.0, 0.1) * (0.93 if patient.female else 1.03)
    bulk *= 1 - 0.004 * max(patient.age - 55, 0)
    grid = Grid.around((-345, -80, -150), (268, 75, 150), (5.0, 3.0, 3.0))
    z, y, x = grid.axes()
    side = np.abs(x)
    back = spine_y(z).astype(np.float32)

    def column(knots: list, inside: np.ndarray | float = 0) -> np.ndarray:
        """Oval cross-sections along z from rows (z, y beyond the spine, |x|, depth, width)."""
        rows = np.array(knots, float)
        yc, xc, ry, rx = (
            np.interp(z, rows[:, 0], rows[:, i]).astype(np.float32) for i in range(1, 5)
        )
        level = np.sqrt(((y - back - yc) / (ry * bulk)) ** 2 + ((side - xc) / (rx * bulk)) ** 2)
        ends = np.maximum(rows[0, 0] - z, z - rows[-1, 0])
        return np.maximum((level - 1) * np.minimum(ry, rx) * bulk, ends)

    psoas = column([(-340, -20, 100, 12, 15), (-262, -50, 84, 15, 16), (-200, -32, 66, 19, 19),
                    (-145, 6, 50, 22, 20), (-108, 8, 44, 20, 17), (-60, 9, 36, 16, 12),
                    (0, 10, 29, 9, 7), (34, 10, 26, 4, 3)])  # fmt: skip
    erector = column([(-215, 28, 15, 6, 10), (-160, 46, 25, 14, 20), (-108, 49, 32, 18, 27),
                      (-40, 48, 35, 18, 31), (50, 41, 34, 15, 29), (150, 36, 32, 12, 24),
                      (265, 36, 30, 12, 21)])  # fmt: skip
    quadratus = column([(-120, 22, 74, 8, 17), (-60, 22, 66, 8, 18), (10, 24, 54, 6, 14),
                        (30, 26, 46, 3, 8)])  # fmt: skip
    iliacus = column([(-262, -40, 96, 9, 14), (-190, -22, 92, 13, 20), (-130, 10, 92, 12, 22),
                      (-100, 20, 92, 4, 10)])  # fmt: skip
    crus = column([(-40, -16, 11, 4, 4), (0, -19, 13, 6, 5), (40, -22, 15, 8, 5),
                   (75, -26, 17, 8, 5)])  # fmt: skip
    values = np.minimum.reduce([psoas, erector, quadratus, iliacus, crus])
    values = np.maximum(values, torso.fascia.onto(grid) + 1.5)
    return Field(grid, (values + waves((z, y, x), generator, (40, 120), 1.2)).astype(np.float32))


def make_spleen(patient: Patient, torso: Torso, occupied: Field) -> Field:
    """A thick crescent against the left ribs at the back, hollowed towards stomach and kidney."""
    generator = patient.stream("spleen")
    size = generator.normal(1.0, 0.09) * (1.35 if patient.splenomegaly else 1.0)
    grid = Grid.around((-80, -110, 15), (140, 80, 165), 3.0)
    axes = grid.axes()
    bend = [axis + waves(axes, generator, (60, 150), 4.0) for axis in axes]
    centre = np.array([55, 8, 102]) + generator.normal(0, 6, 3) + [-14 * (size > 1.2), 0, 0]
    turn = rotation(about_x=generator.normal(-24, 8), about_z=generator.normal(0, 6))
    body = ellipsoid(bend, tuple(centre), (62 * size, 52 * size, 42 * size), turn)
    hollow = centre + np.array([generator.normal(4, 6), -24, -55 * size])
    hollow = ellipsoid(bend, tuple(hollow), (62 * size, 38 * size, 38 * size), turn)
    values = smooth_maximum(body, -hollow, 9)
    values = smooth_maximum(values, torso.cavity.onto(grid) + 1.5, 6)
    values = smooth_maximum(values, torso.diaphragm.onto(grid) + 2.0, 6)
    values = smooth_maximum(values, 1.6 - occupied.onto(grid), 6)
    return Field(grid, values.astype(np.float32))


def make_kidney(patient: Patient, side: int, torso: Torso, muscles: Field) -> Kidney:
    """side: +1 left, -1 right (lower, under the liver)."""
    generator = patient.stream(f"kidney {side}")
    size = generator.normal(1.0, 0.07)
    out = 62 + 7 * patient.visceral + generator.normal(0, 3)
    height = (2 if side > 0 else -16) + generator.normal(0, 8)
    centre = np.array([height, 4 + generator.normal(0, 3), side * out])
    reach = np.array([76, 46, 48])
    grid = Grid.around(centre - reach, centre + reach, 2.5)
    axes = grid.axes()
    bend = [axis + waves(axes, generator, (35, 90), 1.4) for axis in axes]
    turn = rotation(about_x=generator.normal(-8, 4), about_y=side * generator.normal(-14, 4))
    turn = rotation(about_z=-side * generator.normal(38, 8)) @ turn
    outline = ellipsoid(bend, tuple(centre), (57 * size, 27 * size, 32 * size), turn)
    # Towards the middle: where the sinus opens.
    inward = turn @ np.array([0, 0, -side], float)
    mouth = centre + inward * 24 * size
    sinus = ellipsoid(bend, tuple(mouth), (21 * size, 8.5 * size, 21 * size), turn)
    outline = smooth_maximum(outline, -ellipsoid(
        bend, tuple(centre + inward * 33 * size), (20, 11, 13), turn), 8)  # fmt: skip
    outline = np.maximum(outline, torso.cavity.onto(grid) + 4)
    outline = np.maximum(outline, 3.0 - muscles.onto(grid))
    pyramids = waves(axes, generator, (17, 24), 3.4, 10)
    medulla = np.maximum(outline + 7.5 + pyramids, -sinus - 1)
    pelvis = ellipsoid(axes, tuple(mouth), (9, 4.0, 15), turn)
    return Kidney(*(Field(grid, v.astype(np.float32)) for v in (outline, medulla, sinus, pelvis)))


def make_stomach(patient: Patient, torso: Torso, occupied: Field) -> Field:
    """Fundus under the left dome, body forward and down, antrum across to the right."""
    generator = patient.stream("stomach")
    full = generator.uniform(0.66, 1.12)
    low = generator.normal(0, 12)
    rows = np.array(
        [
            (92, -18, 66, 27), (78, -26, 70, 35), (50, -50, 72, 34), (24, -76, 62, 30),
            (2 + low, -90, 38, 25), (-6 + low, -92, 10, 21), (0 + low / 2, -82, -14, 16),
            (8, -70, -30, 9),
        ],
        float,
    )  # fmt: skip
    rows[:, 3] *= full
    rows[:, :3] += generator.normal(0, 4, (len(rows), 3))
    path = smooth_path(rows, 7)
    grid = Grid.around((-75, -150, -65), (145, 60, 140), 3.0)
    values = tube(grid, path, reach=25)
    values = values + waves(grid.axes(), generator, (22, 70), 1.9, 12)
    values = smooth_maximum(values, torso.cavity.onto(grid) + 4, 8)
    values = smooth_maximum(values, torso.diaphragm.onto(grid) + 4, 8)
    values = smooth_maximum(values, 1.0 - occupied.onto(grid), 6)
    return Field(grid, values.astype(np.float32))


def make_pancreas(patient: Patient, occupied: Field) -> Field:
    """Head in the duodenal loop, body over the spine, tail to the spleen; lobulated."""
    generator = patient.stream("pancreas")
    plump = generator.normal(1.12, 0.12) * (1 - 0.003 * max(patient.age - 50, 0))
    shift = generator.normal(0, 5, 3)
    rows = np.array(
        [
            (-34, -46, -30, 11), (-14, -54, -30, 17), (2, -66, -16, 14), (10, -72, 2, 11),
            (18, -68, 26, 12.5), (28, -50, 50, 13), (40, -26, 74, 12), (46, -8, 86, 8),
        ],
        float,
    )  # fmt: skip
    rows[:, :3] += shift + generator.normal(0, 2, (len(rows), 3))
    rows[:, 3] *= plump
    grid = Grid.around((-65, -110, -65), (80, 30, 115), 2.5)
    values = tube(grid, smooth_path(rows, 5), reach=14)
    lobes = waves(grid.axes(), generator, (9, 22), 1.5 + 0.8 * patient.visceral, 16)
    values = np.maximum(values + lobes, 1.5 - occupied.onto(grid))
    return Field(grid, values.astype(np.float32))


def make_aorta(patient: Patient) -> tuple[Field, Field | None]:
    """The aorta with its arch's descending limb, iliac arteries and main branches; its plaques."""
    generator = patient.stream("aorta")
    wide = generator.normal(1.0, 0.08) + 0.004 * max(patient.age - 60, 0)
    sway = generator.normal(0, 3) + 0.05 * max(patient.age - 55, 0) * generator.normal()

    def rows(*points: tuple) -> np.ndarray:
        return smooth_path([(z, y, x, r * wide) for z, y, x, r in points], 6)

    main = rows((268, -8, 24, 12.5), (200, -10, 24, 12.3), (140, -16, 20, 12), (90, -22, 14, 11.5),
                (40, -28, 8 + sway, 10.8), (0, -32, 7 + sway, 10), (-50, -38, 6 + sway, 9.2),
                (-112, -42, 4, 8.6))  # fmt: skip
    paths = [main]
    for side in (-1, 1):
        paths.append(rows((-110, -42, 4 + side * 4, 6.5), (-150, -38, side * 24, 5.5),
                          (-190, -28, side * 48, 5), (-240, -62, side * 72, 4.6),
                          (-350, -66, side * 84, 4.5)))  # fmt: skip
        renal = (-4 + 4 * side, -28, 10 + side * 10, 3.4)
        paths.append(rows(renal, (-6, -14, 7 + side * 26, 2.8), (-6, 4, side * 46, 2.2)))
    paths.append(rows((18, -40, 7, 3.8), (8, -52, 6, 3.6), (-40, -58, 4, 3.4), (-90, -62, -6, 2.6)))
    paths.append(rows((34, -38, 8, 3.8), (34, -56, 6, 3.4)))
    paths.append(rows((34, -56, 6, 2.8), (40, -60, -14, 2.4), (36, -56, -34, 2)))
    paths.append(rows((34, -56, 6, 2.8), (34, -44, 38, 2.4), (48, -16, 76, 2.2)))
    field = tube_field(paths, 2.5, 8)
    grown = max(patient.age - 52, 0) / 30 * generator.uniform(0, 1.3)
    spots = [row for row in main if generator.random() < 0.5 * grown]
    spots += [row for path in paths[1:4:2] for row in path if generator.random() < 0.35 * grown]
    plaques = []
    for z, y, x, radius in spots:
        angle, size = generator.uniform(0, 2 * np.pi), generator.uniform(1.0, 2.4)
        turn = angle + generator.uniform(0.2, 0.9)
        plaques.append(
            np.array([(z + 3 * i, y + radius * np.cos(a), x + radius * np.sin(a), size)
                      for i, a in enumerate((angle, turn))])
        )  # fmt: skip
    return field, tube_field(plaques, 1.8, 4) if plaques else None


def make_veins(patient: Patient) -> tuple[Field, Field]:
    """The inferior vena cava with iliac and renal veins; the portal vein with its tributaries."""
    generator = patient.stream("veins")
    wide = generator.normal(1.0, 0.12)
    cava = [(122, -58, -14, 12), (100, -38, -22, 12.5), (60, -30, -21, 12), (0, -30, -20, 11),
            (-60, -32, -19, 10.5), (-118, -34, -14, 10)]  # fmt: skip
    rows = [smooth_path([(z, y, x, r * wide) for z, y, x, r in cava], 6)]
    for side in (-1, 1):
        rows.append(smooth_path(
            [(-116, -34, -14 + side * 4, 7.5), (-155, -24, side * 20 - 4, 7),
             (-195, -16, side * 48, 6.5), (-240, -50, side * 66, 6),
             (-350, -52, side * 76, 5.5)], 7))  # fmt: skip
    rows.append(smooth_path([(-2, -30, -14, 4.5), (0, -46, 8, 4), (-4, -22, 40, 4)], 5))
    rows.append(smooth_path([(-14, -28, -24, 4.5), (-14, -8, -44, 4)], 5))
    portal = [
        smooth_path([(-110, -64, -16, 3), (-50, -64, -8, 5), (-8, -62, -6, 6), (14, -58, -20, 7),
                     (34, -52, -36, 6.5)], 5),
        smooth_path([(-2, -60, -6, 5), (12, -54, 24, 4.6), (26, -38, 48, 4.2),
                     (44, -6, 82, 3.6)], 5),
    ]  # fmt: skip
    return tube_field(rows, 2.5, 8), tube_field(portal, 2.2, 8)


def make_adrenals(patient: Patient) -> Field:
    """Two thin inverted letters Y above and before the kidneys."""
    generator = patient.stream("adrenals")
    rows = []
    for x, y, side in ((-34, -6, -1), (36, -10, 1)):
        z = 34 + generator.normal(0, 4)
        rows.append(np.array([(z + 8, y - 8, x, 2.8), (z, y + 2, x, 3.0)]))
        rows.append(np.array([(z, y + 2, x, 3.0), (z - 12, y + 15, x + side * 9, 2.2)]))
        rows.append(np.array([(z, y + 2, x, 3.0), (z - 12, y + 16, x - side * 3, 2.2)]))
    return tube_field(rows, 2.0, 6)


def make_bladder(patient: Patient) -> tuple[Field, Field]:
    """The bladder, and the uterus or prostate behind and below it."""
    generator = patient.stream("bladder")
    full = generator.uniform(0.75, 1.35)
    grid = Grid.around((-335, -115, -70), (-170, 45, 70), 3.5)
    axes = grid.axes()
    bend = [axis + waves(axes, generator, (60, 120), 2.5) for axis in axes]
    centre = (-262 + 18 * full, -50, generator.normal(0, 3))
    bladder = ellipsoid(bend, centre, (34 * full, 34 * full, 46 * full))
    if patient.female:
        other = ellipsoid(bend, (-232, -8, generator.normal(0, 8)), (26, 19, 28))
    else:
        other = ellipsoid(bend, (-296, -34, 0), (17, 16, 22))
    other = np.maximum(other, 1.5 - bladder)
    return Field(grid, bladder.astype(np.float32)), Field(grid, other.astype(np.float32))


def merge(grid: Grid, fields: list[Field]) -> Field:
    """One field of everything in `fields`: the room that is taken."""
    values = fields[0].onto(grid)
    for field in fields[1:]:
        values = smooth_minimum(values, field.onto(grid), 0.5)
    return Field(grid, values)
