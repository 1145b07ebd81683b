"""Lesions of the pancreas: carcinomas that block the duct, cystic ones, endocrine ones; nodes."""

from collections.abc import Mapping

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import Field, smooth_path
from samnb.phantoms.lesions import Sizes, kept_off, lump, lymph_nodes, patches, septa, strand
from samnb.phantoms.liver import HILUM
from samnb.phantoms.painting import Structure
from samnb.phantoms.routes import distance_at, grown, nodes_inside
from samnb.phantoms.tumour_body import TUMOUR

KINDS = (("adenocarcinoma", 0.62), ("cystic", 0.24), ("endocrine", 0.14))
SIZES = Sizes(median=27, spread=0.42, smallest=9, largest=75)
SITES = (("head", 0.58), ("body", 0.22), ("tail", 0.20))
SHARES = {"head": (0.06, 0.34), "body": (0.42, 0.66), "tail": (0.7, 0.92)}  # of the gland's length
BILE = 9.0  # HU, and that of pancreatic juice
WIDE_DUCT = (1.6, 3.6)  # mm, radius of a duct before a carcinoma
STENT = 0.15  # share of the blocked bile ducts


def middle_line(pancreas: Field, count: int = 12) -> np.ndarray:
    """Middles (n, 3; z, y, x) of the gland from the head to the tail."""
    inside = nodes_inside(pancreas, 0.5)
    first, last = np.percentile(inside[:, 2], [3, 97])
    slabs = (inside[np.abs(inside[:, 2] - x) < 5] for x in np.linspace(first, last, count))
    return np.array([slab.mean(axis=0) for slab in slabs if len(slab)])


def make_pancreas_lesions(
    patient: Patient, pancreas: Field, walls: list, hu: Mapping[str, float]
) -> list[Structure]:
    """One mass with what it does to the ducts, and nodes beside the gland, in painting order.

    `walls`: neighbours that a mass does not grow into, and the gap in mm to leave.
    """
    generator = patient.stream("pancreas lesions")
    kind = _one_of(generator, KINDS)
    site = _one_of(generator, SITES)
    line = middle_line(pancreas)
    at = _roomiest(generator, line, SHARES[site], walls)
    place = line[at] + generator.normal(0, 1.5, 3)
    radius = SIZES.radius(generator)
    rough = {"adenocarcinoma": 0.16, "endocrine": 0.05}.get(kind, 0.1)
    mass = kept_off(lump(generator, place, radius, rough, 3), walls)
    result = _nodes(patient, pancreas, walls)
    if kind == "adenocarcinoma":
        result += _ducts(generator, line[at:], pancreas, site)
    pad = kept_off(grown(mass, 2.0).keep_off(pancreas, 0.0), walls)
    result.append(Structure(pad, ((0, hu["fat"] + 22),), 0, 12))
    return result + _painted(generator, mass, radius, kind, hu)


def _roomiest(
    generator: np.random.Generator, line: np.ndarray, share: tuple[float, float], walls: list
) -> int:
    """Of some places within a share of the gland's length, the one farthest from its neighbours."""
    drawn = np.rint(generator.uniform(*share, 4) * (len(line) - 1)).astype(int)
    room = np.min([distance_at(wall, line[drawn]) for wall, _ in walls], axis=0)
    return int(drawn[np.argmax(room)])


def _one_of(generator: np.random.Generator, choices: tuple[tuple[str, float], ...]) -> str:
    return str(generator.choice([name for name, _ in choices], p=[chance for _, chance in choices]))


def _painted(
    generator: np.random.Generator,
    mass: Field,
    radius: float,
    kind: str,
    hu: Mapping[str, float],
) -> list[Structure]:
    """An adenocarcinoma is darker than the gland, its edge hard to see; an endocrine one shines."""
    gland = hu["pancreas"]
    if kind == "adenocarcinoma":
        less = generator.uniform(0.3, 0.55) * max(gland - 36, 12)
        dead = patches(generator, mass, radius, 0.25, 0.4 * radius)
        layers = ((0.0, gland - 0.5 * less), (0.16 * radius, gland - less))
        return [
            Structure(mass, layers, TUMOUR, 8),
            Structure(dead, ((0, 0.5 * (gland - less) + 14),), None, 6),
        ]
    if kind == "endocrine":
        more = 1.45 * max(gland - 38, 12)
        return [Structure(mass, ((0, 38 + more),), TUMOUR, 7)]
    walls = septa(generator, mass, radius, generator.uniform(0.4, 0.9))
    return [
        Structure(mass, ((0, 0.8 * gland), (1.2, float(generator.uniform(4, 20)))), TUMOUR, 3),
        Structure(walls, ((0, 0.75 * gland),), None),
    ]


def _ducts(
    generator: np.random.Generator, upstream: np.ndarray, pancreas: Field, site: str
) -> list[Structure]:
    """The pancreatic duct, wide from the mass to the tail; with one in the head the bile duct too.

    Ducts keep the label of what they run through.
    """
    result = []
    wide = generator.uniform(*WIDE_DUCT)
    if len(upstream) > 2:
        radii = np.linspace(wide, 0.6 * wide, len(upstream))
        path = smooth_path(np.column_stack([upstream, radii]), 4)
        duct = strand(path).keep_in(pancreas, 0.8)
        result.append(Structure(duct, ((-0.2, BILE),), None))
    if site == "head":
        start, end = upstream[0], np.add(HILUM, (-4, -4, -5))
        bend = 0.5 * (start + end) + [0, 2, -6]
        wide = generator.uniform(4, 6.5)
        path = smooth_path([(*start, 0.8 * wide), (*bend, wide), (*end, 0.8 * wide)], 4)
        result.append(Structure(strand(path), ((-0.5, 40.0), (0.4, BILE)), None))
        if generator.random() < STENT:
            thin = path * [1, 1, 1, 0] + [0, 0, 0, 1.3]
            result.append(Structure(strand(thin), ((0, 1100.0),), None))
    return result


def _nodes(patient: Patient, pancreas: Field, walls: list) -> list[Structure]:
    """Lymph nodes along the gland, as bright as it is."""
    generator = patient.stream("pancreas nodes")
    shell = (pancreas.values > 5) & (pancreas.values < 9)
    places = np.argwhere(shell) * np.array(pancreas.grid.step) + pancreas.grid.origin
    nodes = lymph_nodes(generator, places, int(generator.integers(1, 6)), (2.5, 5.0))
    return [Structure(kept_off(node, walls), ((0, 72.0),), 0, 4) for node in nodes]
