"""Lesions of the liver: metastases and primary tumours, and the benign things beside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import Field, Grid, ellipsoid, waves
from samnb.phantoms.lesions import Sizes, ball, lump, patches
from samnb.phantoms.liver import largest_piece
from samnb.phantoms.painting import Structure
from samnb.phantoms.routes import nodes_inside
from samnb.phantoms.tumour_body import ORGAN, TUMOUR


@dataclass(frozen=True)
class LiverMix:
    """Of one cohort: the kinds of tumour a patient has (all alike), how many, how large."""

    kinds: tuple[tuple[str, float], ...]
    sizes: Sizes
    more: float  # mean number of tumours beside the largest, in those who have several
    several: float  # share of the patients
    benign: float  # share of the patients with cysts, haemangiomas or focal fat


def make_liver_lesions(
    patient: Patient, liver: Field, mix: LiverMix, hu: Mapping[str, float]
) -> list[Structure]:
    """Benign lesions first, labelled as liver; then the tumours, the largest first."""
    generator = patient.stream("liver lesions")
    names, chances = zip(*mix.kinds, strict=True)
    kind = str(generator.choice(names, p=chances))
    count = 1
    if generator.random() < mix.several:
        count += int(min(1 + generator.poisson(mix.more), 11))
    radii = sorted((mix.sizes.radius(generator) for _ in range(count)), reverse=True)
    radii[0] = max(radii[0], 6.0)  # the largest is large enough to be seen in thick slices
    contrast = float(generator.uniform(24, 52))
    result = make_benign(patient, liver, mix, hu)
    for radius in radii:
        mass = _mass(generator, liver, radius)
        result += _painted(generator, mass, radius, kind, contrast, hu)
    return result


def _mass(generator: np.random.Generator, liver: Field, radius: float) -> Field:
    """A mass somewhere in the liver, some bulging its surface."""
    room = nodes_inside(liver, min(0.6 * radius, 14.0))
    if not len(room):
        room = nodes_inside(liver, 1.0)
    centre = room[generator.integers(len(room))] + generator.uniform(-1, 1, 3)
    mass = lump(generator, centre, radius, 0.12, int(generator.integers(1, 4)))
    return largest_piece(mass.keep_in(liver, -0.8))


def _painted(
    generator: np.random.Generator,
    mass: Field,
    radius: float,
    kind: str,
    contrast: float,
    hu: Mapping[str, float],
) -> list[Structure]:
    """A tumour by its kind; `contrast`: how much darker than the liver (HU) a metastasis is."""
    level = hu["liver"]
    dark = max(level - contrast * generator.uniform(0.85, 1.15), 18.0)
    rim = float(np.clip(0.16 * radius, 0.9, 3.0))
    if kind == "target":  # a rim that enhances around a dark middle
        layers = ((0.0, level + 14), (rim, dark), (3.2 * rim, dark - 12))
        return [Structure(mass, layers, TUMOUR, 7)]
    if kind == "bright":  # a hepatocellular carcinoma: arteries feed it, a capsule holds it
        gain = 0.16 * (hu["aorta"] - level) if hu["aorta"] > 200 else -16.0
        dead = patches(generator, mass, radius, 0.3, 0.2 * radius)
        return [
            Structure(mass, ((0.0, level - 14), (0.9, level + gain)), TUMOUR, 14),
            Structure(dead, ((0, dark - 8),), None, 8),
        ]
    if kind == "mucinous":  # nearly fluid, with fine chalk
        chalk = patches(generator, mass, 0.35 * radius, 0.04, 1.5)
        return [
            Structure(mass, ((0.0, dark + 6), (rim, 0.5 * dark + 12)), TUMOUR, 6),
            Structure(chalk, ((0, 190.0),), None, 30),
        ]
    dead = patches(generator, mass, radius, float(np.clip(radius / 45, 0.05, 0.4)), 0.3 * radius)
    soft = ((0.0, 0.5 * (level + dark)), (rim, dark))  # its edge is not sharp
    return [Structure(mass, soft, TUMOUR, 9), Structure(dead, ((0, 0.6 * dark + 8),), None, 6)]


def make_benign(
    patient: Patient, liver: Field, mix: LiverMix, hu: Mapping[str, float]
) -> list[Structure]:
    """Cysts, haemangiomas and focal fat, which nobody labels as tumours."""
    generator = patient.stream("liver decoys")
    if generator.random() > mix.benign:
        return []
    result = _focal_fat(generator, liver, hu) if generator.random() < 0.35 else []
    room = nodes_inside(liver, 3.0)
    for _ in range(int(generator.integers(0, 5))):
        radius = float(np.clip(generator.lognormal(1.9, 0.55), 2, 28))
        centre = room[generator.integers(len(room))]
        radii = tuple(radius * generator.uniform(0.88, 1.05, 3))
        cyst = ball(centre, radii).keep_in(liver, -0.5)
        result.append(Structure(cyst, ((0, float(generator.uniform(0, 12))),), ORGAN, 2))
    if generator.random() < 0.4:
        result += _haemangioma(generator, liver, room, hu)
    return result


def _haemangioma(
    generator: np.random.Generator, liver: Field, room: np.ndarray, hu: Mapping[str, float]
) -> list[Structure]:
    """Dark, and filled from the rim by pools as bright as the blood."""
    radius = float(np.clip(generator.lognormal(2.3, 0.4), 5, 30))
    mass = lump(generator, room[generator.integers(len(room))], radius, 0.06, 1)
    mass = mass.keep_in(liver, 0.0)
    pools = patches(generator, mass, 0.8 * radius, 0.4, 0.2)
    shell = np.maximum(pools.values, -(mass.values + 0.45 * radius))
    pools = Field(pools.grid, shell.astype(np.float32))
    return [
        Structure(mass, ((0, 46.0),), ORGAN, 5),
        Structure(pools, ((0, 0.85 * max(hu["aorta"], hu["vein"])),), None, 4),
    ]


def _focal_fat(
    generator: np.random.Generator, liver: Field, hu: Mapping[str, float]
) -> list[Structure]:
    """A dark wedge beside the falciform ligament, straight-edged: vessels run on through it."""
    grid = Grid.around((20, -130, -35), (95, -50, 45), 2.0)
    bend = [axis + waves(grid.axes(), generator, (25, 60), 2.0) for axis in grid.axes()]
    centre = (generator.uniform(48, 62), generator.uniform(-98, -84), generator.uniform(-6, 12))
    values = ellipsoid(bend, centre, (16, 18, 9))
    wedge = Field(grid, values.astype(np.float32)).keep_in(liver, 0.0)
    return [Structure(wedge, ((0, hu["liver"] - float(generator.uniform(18, 34))),), ORGAN, 4)]
