"""Lesions of the kidneys: tumours of four kinds that grow outward, and the cysts beside them."""

from collections.abc import Mapping

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import Field
from samnb.phantoms.lesions import (
    Sizes,
    away,
    ball,
    free_place,
    kept_off,
    lump,
    patches,
    septa,
    surface,
)
from samnb.phantoms.painting import Structure
from samnb.phantoms.routes import grown
from samnb.phantoms.tumour_body import ORGAN, TUMOUR

# What a renal mass is, and how often: most are clear cell carcinomas.
KINDS = (("clear cell", 0.62), ("papillary", 0.14), ("chromophobe", 0.09), ("cystic", 0.15))
SIZES = Sizes(median=38, spread=0.6, smallest=10, largest=110)
FLUID = (2.0, 16.0)  # HU
CYSTIC = 0.5  # share of the patients with simple cysts
THICK_WALL = 2.5  # mm, of a cystic carcinoma


def make_kidney_lesions(
    patient: Patient, kidneys: Mapping[int, Field], walls: list, hu: Mapping[str, float]
) -> list[Structure]:
    """One tumour, in some patients two, and cysts in either kidney; all are painted over it.

    `kidneys`: outline by side (-1 right, 1 left). `walls`: neighbours, and the gap in mm to leave.
    """
    generator = patient.stream("kidney lesions")
    result = make_cysts(patient, kidneys, walls)
    side = int(generator.choice((-1, 1)))
    for number in range(1 + (generator.random() < 0.08)):
        kind = str(generator.choice([name for name, _ in KINDS], p=[chance for _, chance in KINDS]))
        radius = SIZES.radius(generator) * (0.5 if number else 1.0)
        field = _mass(generator, kidneys[side], radius, walls, kind)
        result += _fat_around(field, kidneys[side], walls, hu["fat"])
        result += _painted(generator, field, radius, kind, hu)
    return result


def _mass(
    generator: np.random.Generator, kidney: Field, radius: float, walls: list, kind: str
) -> Field:
    """A mass on the surface of a kidney: from buried in it to hanging on it by its base."""
    rim = surface(kidney, 5.0)
    middle = rim.mean(axis=0)
    lateral = rim[np.abs(rim[:, 2]) > abs(middle[2]) - 6]  # the other side is the hilum
    place = free_place(generator, lateral, [wall for wall, _ in walls])
    out = generator.uniform(-0.6, 0.55)  # of its radius, how far its middle lies outside
    centre = place + away(kidney, place) * (out * radius)
    rough = {"cystic": 0.05, "papillary": 0.07}.get(kind, 0.12)
    return kept_off(lump(generator, centre, max(radius, 5.0), rough), walls)


def _fat_around(field: Field, kidney: Field, walls: list, fat: float) -> list[Structure]:
    """The fat that parts an exophytic mass from the bowel, which gives way to it."""
    pad = kept_off(grown(field, 3.0).keep_off(kidney, 0.0), walls)
    return [Structure(pad, ((0, fat + 6),), 0, 7)]


def _painted(
    generator: np.random.Generator,
    field: Field,
    radius: float,
    kind: str,
    hu: Mapping[str, float],
) -> list[Structure]:
    """A tumour by its kind: how much it enhances against the cortex, and what is inside."""
    cortex, fluid = hu["cortex"], float(generator.uniform(*FLUID))
    if kind == "papillary":
        return [Structure(field, ((0, 34 + 0.18 * cortex),), TUMOUR, 6)]
    if kind == "chromophobe":
        scar = patches(generator, field, 0.6 * radius, 0.25, 0.4 * radius)
        level = 34 + generator.uniform(0.3, 0.45) * cortex
        return [Structure(field, ((0, level),), TUMOUR, 8), Structure(scar, ((0, 48.0),), None)]
    if kind == "cystic":
        level = 30 + generator.uniform(0.25, 0.5) * cortex
        walls = septa(generator, field, radius, generator.uniform(0.5, 1.1))
        knot = lump(generator, _inner(field, generator), 0.3 * radius + 2).keep_in(field, 0.5)
        return [
            Structure(field, ((0, level), (THICK_WALL, fluid)), TUMOUR, 4),
            Structure(walls, ((0, level - 10),), None),
            Structure(knot, ((0, level),), None),
        ]
    level = generator.uniform(0.62, 0.95) * cortex
    share = float(np.clip((radius - 12) / 40, 0.08, 0.5))
    dead = patches(generator, field, radius, share, 0.18 * radius)
    dull = patches(generator, field, 0.6 * radius, 0.35, 0.5)
    return [
        Structure(field, ((0, level),), TUMOUR, 22),
        Structure(dull, ((0, 0.72 * level),), None, 18),
        Structure(dead, ((0, 24 + fluid),), None, 8),
    ]


def _inner(field: Field, generator: np.random.Generator) -> np.ndarray:
    """A place under the wall of a mass."""
    rim = surface(field, 3.0)
    return rim[generator.integers(len(rim))]


def make_cysts(patient: Patient, kidneys: Mapping[int, Field], walls: list) -> list[Structure]:
    """Simple cysts, labelled as kidney: round, thin-walled, of water, some of old blood."""
    generator = patient.stream("kidney cysts")
    if generator.random() > CYSTIC:
        return []
    result = []
    for _ in range(int(generator.integers(1, 4))):
        side = int(generator.choice((-1, 1)))
        rim = surface(kidneys[side], 6.0)
        place = rim[generator.integers(len(rim))]
        radius = float(np.clip(generator.lognormal(2.0, 0.5), 3, 24))
        centre = place + away(kidneys[side], place) * radius * generator.uniform(-0.3, 0.6)
        radii = tuple(radius * generator.uniform(0.9, 1.05, 3))
        field = kept_off(ball(centre, radii), walls)
        old_blood = generator.random() < 0.12
        level = generator.uniform(55, 75) if old_blood else generator.uniform(*FLUID)
        result.append(Structure(field, ((0, float(level)),), ORGAN, 2))
    return result
