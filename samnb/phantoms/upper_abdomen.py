"""The small structures of the upper abdomen, laid between the organs of a body that is built.

Oesophagus down to the cardia, adrenal glands and the fat that they lie in, portal vein with its
two branches, splenic vein, and the superior mesenteric vein below their confluence.
"""

from collections.abc import Mapping

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import (
    Field,
    smooth_maximum,
    smooth_minimum,
    smooth_path,
    tube,
    tube_field,
    waves,
)
from samnb.phantoms.liver import HILUM
from samnb.phantoms.routes import around, ease, nearest, nodes_inside, settle

Shapes = Mapping[str, Field]  # organs by their name in ORGANS

CONFLUENCE = (-2.0, -60.0, -6.0)  # of splenic and superior mesenteric vein
RIGHT_FORK, LEFT_BEND = (44.0, -48.0, -62.0), (56.0, -62.0, -6.0)  # as in the liver's own tree


def make_oesophagus(patient: Patient, shapes: Shapes) -> Field:
    """Before the spine, then the aorta, through the hiatus, and at the cardia into the stomach."""
    generator = patient.stream("oesophagus")
    wide = generator.normal(0.9, 0.07)
    hiatus = np.array([100, -42, 12]) + generator.normal(0, 2, 3)
    stomach = nodes_inside(shapes["stomach"], 6.0)
    cardia = nearest(stomach, hiatus)
    rows = [
        (268, -9, 3, 7.5), (215, -14, 1, 7.5), (170, -20, 2, 8.2), (135, -32, 7, 8.6),
        (*hiatus, 9.0), (*((hiatus + cardia) / 2 + [2, 0, 0]), 9.3), (*cardia, 10.0),
    ]  # fmt: skip
    path = smooth_path(rows, 5)
    path[:, 3] *= wide
    solid = [shapes["vertebrae"], shapes["aorta"], shapes["heart"]]
    path = ease(path, [*((field, 0.5) for field in solid), (shapes["liver"], -2.0)])
    grid = around(path[:, :3], 18, 2.0)
    values = tube(grid, path, reach=10) + waves(grid.axes(), generator, (25, 60), 0.9)
    for field in solid:
        values = smooth_maximum(values, 0.8 - field.onto(grid), 3)
    return Field(grid, values.astype(np.float32))


def make_adrenal(patient: Patient, side: int, shapes: Shapes) -> Field:
    """A thin inverted Y; side: +1 left, before the kidney's upper pole, -1 right, behind the cava.

    In each plane a short body and two limbs that open to the back, longest low down.
    """
    generator = patient.stream(f"adrenal {side}")
    kidney = shapes["kidney_left" if side > 0 else "kidney_right"]
    top = nodes_inside(kidney)[:, 0].max()
    low = top - (16 if side > 0 else 7) + generator.normal(0, 3)
    high = low + generator.normal(30, 2)
    long = generator.normal(1.0, 0.1)
    apex = np.array([-22.0, 33.0] if side > 0 else [-12.0, -29.0])
    opened = np.radians(generator.uniform(34, 50) if side > 0 else generator.uniform(22, 40))
    lean = np.radians(generator.uniform(8, 24))  # of the whole to the side
    body = 8 * long * _ray(lean, side)
    medial = 16 * long * _ray(lean - 0.45 * opened, side)
    lateral = (17 if side > 0 else 13) * long * _ray(lean + 0.55 * opened, side)
    fork = apex + body
    ends = np.array([apex, fork, fork + 0.5 * medial, fork + medial, fork + lateral])
    points = np.array([(z, *end) for z in (low + 4, low + 12, low + 20) for end in ends])
    walls = [(shapes[name], gap) for name, gap in _neighbours(side)]
    move = settle(points, 2.4, walls)
    apex, points = apex + move[1:], points + move
    grid = around(points, 10, 1.5)
    z, y, x = grid.axes()
    share = np.clip((z - low) / (high - low), 0, 1)
    size = 1.0 - 0.75 * share**1.5
    start = [apex[i] + (1 - size) * 3 for i in (0, 1)]
    middle = [start[i] + size * body[i] for i in (0, 1)]
    values = _sheet((y, x), start, middle, 3.0)
    for limb in (medial, lateral):
        end = [middle[i] + size * limb[i] for i in (0, 1)]
        values = smooth_minimum(values, _sheet((y, x), middle, end, 2.3), 2.5)
    values = smooth_maximum(values, np.maximum(low - z, z - high), 3)
    values = values + waves((z, y, x), generator, (14, 30), 0.35)
    for field, gap in walls:
        values = np.maximum(values, min(gap, 0.8) - field.onto(grid))
    return Field(grid, values.astype(np.float32))


def _ray(angle: float, side: int) -> np.ndarray:
    """Unit vector (y, x) to the back, turned to the patient's side by an angle."""
    return np.array([np.cos(angle), side * np.sin(angle)])


def _neighbours(side: int) -> tuple[tuple[str, float], ...]:
    """What a gland keeps off, and by how many mm."""
    common = (("vertebrae", 1.5), ("autochthon_and_iliopsoas", 1.2))
    if side > 0:
        return (*common, ("aorta", 2.0), ("kidney_left", 2.5), ("spleen", 2.0), ("stomach", 1.0))
    return (*common, ("kidney_right", 2.0), ("inferior_vena_cava", 1.0))


def _sheet(place: tuple, start: list, end: list, half: float) -> np.ndarray:
    """Distance in each plane to a segment whose ends (y, x) change with height."""
    offset = [axis - a for axis, a in zip(place, start, strict=True)]
    way = [b - a for a, b in zip(start, end, strict=True)]
    along = sum(o * w for o, w in zip(offset, way, strict=True))
    along = np.clip(along / np.maximum(sum(w * w for w in way), 1e-6), 0, 1)
    return np.sqrt(sum((o - along * w) ** 2 for o, w in zip(offset, way, strict=True))) - half


def make_pad(patient: Patient, side: int, gland: Field, shapes: Shapes) -> Field:
    """The fat around an adrenal gland, where liver or bowel would else touch it."""
    generator = patient.stream(f"adrenal fat {side}")
    thick = 2.5 + 5 * patient.visceral
    grid = around(nodes_inside(gland), thick + 6, 2.0)
    values = gland.onto(grid) - thick + waves(grid.axes(), generator, (16, 50), 1.6)
    kept = [name for name, _ in _neighbours(side)] + ["pancreas", "lung_left", "lung_right"]
    for name in kept:
        values = np.maximum(values, 0.4 - shapes[name].onto(grid))
    return Field(grid, values.astype(np.float32))


def make_pancreas(shapes: Shapes) -> Field:
    """The body's pancreas made whole: a core from head to tail, where others had cut it in two."""
    inside = nodes_inside(shapes["pancreas"])
    first, last = np.percentile(inside[:, 2], [8, 95])
    rows = []
    for x in np.linspace(first, last, 8):
        slab = inside[np.abs(inside[:, 2] - x) < 5]
        if len(slab):
            middle = slab.mean(axis=0)
            rows.append((*middle[:2], x, float(np.interp(x, [-20, 0, 30, last], [9, 7, 8, 6]))))
    walls = [(shapes["aorta"], 2.0), (shapes["portal_vein_and_splenic_vein"], -2.0)]
    walls += [(shapes["kidney_left"], 2.0), (shapes["stomach"], -3.0), (shapes["liver"], -3.0)]
    core = ease(smooth_path(rows, 5), walls)
    grid = shapes["pancreas"].grid
    values = smooth_minimum(shapes["pancreas"].values, tube(grid, core, reach=14), 4)
    return Field(grid, values.astype(np.float32))


def make_portal(patient: Patient, shapes: Shapes) -> tuple[Field, Field]:
    """Portal and splenic vein, and the superior mesenteric vein that joins them from below."""
    generator = patient.stream("portal")
    wide = generator.normal(1.0, 0.09) * (1.12 if patient.splenomegaly else 1.0)
    walls = [(shapes["aorta"], 1.5), (shapes["inferior_vena_cava"], 1.5), (shapes["vertebrae"], 2)]
    start = np.array(CONFLUENCE)
    neck = _back_of_pancreas(shapes["pancreas"], start[2])
    if neck is not None:
        start[:2] = 0.5 * start[:2] + 0.5 * neck[:2]
    stem = [(*start, 6.8), (*(0.6 * start + 0.4 * np.array(HILUM) + [0, 1, 0]), 7.0), (*HILUM, 6.4)]
    right = [(*HILUM, 6.0), (40, -50, -50, 5.6), (*RIGHT_FORK, 5.2)]
    left = [(*HILUM, 5.2), (45, -58, -22, 4.8), (*LEFT_BEND, 4.2)]
    stem = ease(smooth_path(stem, 5), walls)
    splenic = _splenic_vein(start, shapes, walls)
    paths = [stem, smooth_path(right, 5), smooth_path(left, 5), *splenic]
    below = smooth_path(
        [(-110, -64, -16, 3.2), (-50, -64, -8, 5.2), (*(start - [14, 1, 0]), 6), (*start, 6.2)], 5
    )
    scaled = [path * [1, 1, 1, wide] for path in (*paths, below)]
    return tube_field(scaled[:-1], 2.0, 8), tube_field(scaled[-1:], 2.2, 8)


def _back_of_pancreas(pancreas: Field, x: float) -> np.ndarray | None:
    """The point (z, y, x) on the gland's back at one x, at the height of its middle."""
    inside = nodes_inside(pancreas)
    inside = inside[np.abs(inside[:, 2] - x) < 4]
    if not len(inside):
        return None
    middle = inside[:, 0].mean() + 2
    level = inside[np.abs(inside[:, 0] - middle) < 6]
    return np.array([middle, np.percentile(level[:, 1], 90), x])


def _splenic_vein(start: np.ndarray, shapes: Shapes, walls: list) -> list[np.ndarray]:
    """From the confluence along the back of the pancreas to the hilum, where it has branches."""
    pancreas = nodes_inside(shapes["pancreas"])
    tail = pancreas[pancreas[:, 2] > np.percentile(pancreas[:, 2], 97)].mean(axis=0)
    rim = nodes_inside(shapes["spleen"])
    hilum = nearest(rim, tail)
    rows = [(*start, 5.8)]
    for x in np.arange(start[2] + 18, tail[2] - 10, 15):
        back = _back_of_pancreas(shapes["pancreas"], x)
        if back is not None:
            rows.append((*back, 5.0))
    near = tail + 0.5 * (hilum - tail)
    rows += [(*(tail + np.array([3, 3, -4])), 4.6), (*near, 4.2), (*hilum, 3.6)]
    solid = [*walls, (shapes["kidney_left"], 2.0), (shapes["stomach"], 0.5)]
    main = ease(smooth_path(rows, 6), solid)
    paths = [main]
    for rise in (-20, 18):
        level = rim[np.abs(rim[:, 0] - hilum[0] - rise) < 5]
        if len(level):
            goal = nearest(level, near)
            bend = 0.5 * (near + goal) + 0.15 * (near - hilum)
            paths.append(ease(smooth_path([(*main[-3, :3], 3.4), (*bend, 3.0), (*goal, 2.4)], 5),
                              solid))  # fmt: skip
    return paths
