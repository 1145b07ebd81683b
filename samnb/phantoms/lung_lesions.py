"""Lesions of the lungs: carcinomas of five kinds, and what a network may take for one."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import Field, waves
from samnb.phantoms.lesions import (
    Sizes,
    ball,
    direction,
    lump,
    lymph_nodes,
    patches,
    spikes,
    strand,
)
from samnb.phantoms.liver import largest_piece
from samnb.phantoms.painting import Structure
from samnb.phantoms.routes import distance_at, nodes_inside, outward

TUMOUR = 1  # lung sets have no label of an organ
HILUM = (182.0, -30.0, 38.0)  # of the left lung; the right one is its mirror image
REACH = (45.0, 236.0)  # heights (mm) between which the middle of a tumour lies
SOFT = 34.0  # HU of a tumour before any contrast agent


@dataclass(frozen=True)
class LungMix:
    """Of one cohort: the kinds of carcinoma and their chances, sizes, and the lungs around them."""

    kinds: tuple[tuple[str, float], ...]
    sizes: Sizes
    emphysema: float  # share of the patients
    granulomas: float


def make_lung_lesions(
    patient: Patient, lungs: dict[int, Field], mix: LungMix, uptake: float
) -> list[Structure]:
    """One carcinoma and its strands, and the harmless things, in the order of painting.

    `lungs`: by side, -1 right, 1 left. `uptake`: HU that soft tissue gains by the contrast agent.
    """
    result = make_harmless(patient, lungs, mix)
    generator = patient.stream("lung lesions")
    names, chances = zip(*mix.kinds, strict=True)
    kind = str(generator.choice(names, p=chances))
    side = 1 if generator.random() < 0.44 else -1
    radius = mix.sizes.radius(generator)
    place = _place(generator, lungs[side], side, kind, radius)
    if kind in ("spiculated", "part-solid"):
        result += _strands(generator, lungs[side], place, radius)
    return result + _carcinoma(generator, lungs[side], place, radius, kind, uptake)


def _place(
    generator: np.random.Generator, lung: Field, side: int, kind: str, radius: float
) -> np.ndarray:
    """Where the middle of a tumour lies: at the pleura, at the hilum, or between them.

    Upper lobes have more of them than lower ones.
    """
    nodes = nodes_inside(lung, 0.5)
    nodes = nodes[(nodes[:, 0] > REACH[0]) & (nodes[:, 0] < REACH[1])]
    depth = -distance_at(lung, nodes)
    gap = np.linalg.norm(nodes - np.array(HILUM) * [1, 1, side], axis=1)
    if kind == "central":
        fit = gap < np.sort(gap)[150]
    elif kind == "pleural":
        chest_wall = np.abs(nodes[:, 2]) > 40
        fit = (depth < 0.55 * radius) & (gap > 40) & chest_wall
    else:
        fit = (depth > min(0.8 * radius, 18)) & (gap > 25)
    if not fit.any():
        fit = depth > 0.6 * depth.max()
    nodes = nodes[fit]
    weight = 1 + np.clip((nodes[:, 0] - 120) / 60, 0, 1.5)
    return nodes[generator.choice(len(nodes), p=weight / weight.sum())]


def _carcinoma(
    generator: np.random.Generator,
    lung: Field,
    place: np.ndarray,
    radius: float,
    kind: str,
    uptake: float,
) -> list[Structure]:
    """The labelled mass. Its parts are cut off at the pleura, which a pleural one presses on."""
    press = -1.5 if kind in ("pleural", "central") else 0.3
    level = SOFT + generator.uniform(0.5, 1.0) * uptake
    if kind == "ground glass":
        haze = largest_piece(lump(generator, place, radius, 0.16).keep_in(lung, press))
        dense = patches(generator, haze, radius, 0.3, 0.15 * radius)
        veil = float(generator.uniform(-680, -520))
        return [
            Structure(haze, ((0, veil),), TUMOUR, 55),
            Structure(dense, ((0, veil + 260),), None, 60),
        ]
    if kind == "part-solid":
        haze = largest_piece(lump(generator, place, radius, 0.16).keep_in(lung, press))
        off = place + direction(generator) * 0.2 * radius
        solid = lump(generator, off, max(0.55 * radius, 2.5), 0.16).keep_in(haze, 0.4)
        veil = float(generator.uniform(-640, -420))
        return [
            Structure(haze, ((0, veil),), TUMOUR, 55),
            Structure(solid, ((0, level),), None, 8),
        ]
    rough = {"spiculated": 0.17, "central": 0.2}.get(kind, 0.12)
    mass = largest_piece(lump(generator, place, radius, rough, 3).keep_in(lung, press))
    parts = [Structure(mass, ((0, level),), TUMOUR, 9)]
    if kind == "cavitating":
        hollow = max(radius * generator.uniform(0.25, 0.45), 2.2)
        parts.append(Structure(_shrunk(generator, mass, hollow, radius), ((0, -930.0),), None))
    elif radius > 16:
        dead = patches(generator, mass, radius, generator.uniform(0.1, 0.4), 0.25 * radius)
        parts.append(Structure(dead, ((0, 0.5 * level),), None, 6))
    return parts


def _shrunk(generator: np.random.Generator, mass: Field, wall: float, radius: float) -> Field:
    """The hollow of a mass: a wall of uneven thickness (mm) is left."""
    uneven = waves(mass.grid.axes(), generator, (0.8 * radius, 2 * radius), 0.25 * wall)
    return Field(mass.grid, (mass.values + wall + uneven).astype(np.float32))


def _strands(
    generator: np.random.Generator, lung: Field, place: np.ndarray, radius: float
) -> list[Structure]:
    """Spicules around a mass, and tags that draw the pleura to it. No annotator labels them."""
    count = int(generator.integers(9, 20))
    spicules = spikes(generator, place, radius, count).keep_in(lung, 0.5)
    result = [Structure(spicules, ((0, -30.0),), None)]
    depth = -float(distance_at(lung, place[None])[0])
    if depth < radius + 25:
        out = outward(lung, place[None])[0]
        for _ in range(int(generator.integers(1, 3))):
            way = out + generator.normal(0, 0.18, 3)
            end = place + way * (depth + 3)
            path = np.array([(*place, 1.3), (*(place + 0.6 * way * depth), 0.8), (*end, 1.8)])
            result.append(Structure(strand(path).keep_in(lung, 0), ((0, -40.0),), None))
    return result


def make_harmless(patient: Patient, lungs: dict[int, Field], mix: LungMix) -> list[Structure]:
    """Emphysema, air that lay still, calcified granulomas, scars, and nodes at the hila."""
    generator = patient.stream("lung decoys")
    result = []
    emphysema = generator.random() < mix.emphysema
    for side, lung in lungs.items():
        nodes = nodes_inside(lung, 6)
        if emphysema:
            result.append(_bullae(generator, lung, nodes))
        result.append(_dependent(generator, lung))
        for _ in range(int(generator.integers(0, 3))):
            result.append(_scar(generator, lung, nodes))
        for _ in range(int(generator.poisson(mix.granulomas))):
            place = nodes[generator.integers(len(nodes))]
            size = generator.uniform(1.4, 2.8)
            spot = ball(place, (size, size, 0.9 * size)).keep_in(lung, 0.5)
            result.append(Structure(spot, ((0, float(generator.uniform(300, 750))),), None))
        around_hilum = np.array(HILUM) * [1, 1, side] + generator.normal(0, (16, 10, 9), (8, 3))
        count = int(generator.integers(1, 5))
        for node in lymph_nodes(generator, around_hilum, count, (3.5, 7.5)):
            result.append(Structure(node, ((0, float(generator.uniform(60, 95))),), 0, 4))
    return result


def _bullae(generator: np.random.Generator, lung: Field, nodes: np.ndarray) -> Structure:
    """Holes in the upper lung, black among grey."""
    high = nodes[nodes[:, 0] > np.quantile(nodes[:, 0], 0.55)]
    rows = [(*high[generator.integers(len(high))], generator.uniform(3, 9)) for _ in range(30)]
    paths = [np.array([row, row]) + np.array([[0] * 4, [0.5, 0, 0, 0]]) for row in rows]
    holes = [strand(path, 2.0) for path in paths]
    values = np.min([hole.onto(lung.grid) for hole in holes], axis=0)
    return Structure(Field(lung.grid, values).keep_in(lung, 0.8), ((0, -975.0),), None, 6)


def _dependent(generator: np.random.Generator, lung: Field) -> Structure:
    """A veil along the back of the lung, whose vessels and air sacs sag in who lies on the back."""
    _, y, _ = lung.grid.axes()
    thick = generator.uniform(1, 8)
    rim = -lung.values - thick + waves(lung.grid.axes(), generator, (40, 110), 2.0)
    back = 25 - y + waves(lung.grid.axes(), generator, (60, 150), 8.0)
    values = np.maximum(np.maximum(rim, back), lung.values)
    return Structure(Field(lung.grid, values.astype(np.float32)), ((0, -560.0),), None, 60)


def _scar(generator: np.random.Generator, lung: Field, nodes: np.ndarray) -> Structure:
    """A line of collapsed or scarred lung, most often near the base."""
    low = nodes[nodes[:, 0] < np.quantile(nodes[:, 0], 0.6)]
    start = low[generator.integers(len(low))]
    way = direction(generator) * [0.3, 1, 1] * generator.uniform(12, 34)
    path = np.array([(*start, 1.0), (*(start + way), 1.4)])
    return Structure(strand(path).keep_in(lung, 0.3), ((0, -250.0),), None)
