"""Gliomas: where they grow, what they push aside, and how far they creep along the white matter.

A focus has a lobed core. In glioblastomas the core is necrotic with a ragged enhancing rim, or
enhances all through while it is small; in lower-grade gliomas it is solid, and rarely enhances.
Around it oedema and infiltration spread through the white matter as fire does through grass: the
cortex slows it, and it never crosses the fluid of sulci and ventricles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from samnb.phantoms.brain import (
    Brain,
    caudate,
    cerebellum,
    cerebrum,
    lateral_ventricle,
    midline_ventricles,
    mirrored,
    places,
    putamen,
    read_at,
    thalamus,
    to_standard,
)
from samnb.phantoms.brain_tissue import Shares, inside
from samnb.phantoms.cortex import medial_depth, pial_depth
from samnb.phantoms.fields import FAR, Field, Grid, smooth_minimum, waves

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4  # the numbers of BraTS in the label map
STEP = 2.0  # mm, of the grid on which a tumour grows


@dataclass(frozen=True)
class GliomaMix:
    """The tumours of one cohort: how often, or mean and spread (of the logarithm, for sizes)."""

    multifocal: float = 0.14
    infratentorial: float = 0.03
    high_grade_radius: tuple[float, float] = (2.95, 0.3)  # of the core, log mm
    low_grade_radius: tuple[float, float] = (3.0, 0.28)
    low_grade_enhancing: float = 0.2
    low_grade_coreless: float = 0.2  # nothing but infiltration, label 2
    push: tuple[float, float] = (0.16, 0.34)  # mass effect: mm of shift per mm of radius


@dataclass(frozen=True)
class Focus:
    """One tumour mass, in the patient's head (z, y, x; mm)."""

    centre: np.ndarray
    radius: float  # of the core
    lobes: tuple[tuple[np.ndarray, float], ...]  # centre and radius of each
    push: float  # mm that tissue at the core's edge has moved outwards
    reach: float  # mm that oedema spreads from the core through white matter
    rim: float  # mm, mean thickness of what enhances; 0: nothing does
    solid: bool  # the core is tumour without necrosis, as in lower grades
    infratentorial: bool = False


@dataclass(frozen=True)
class Glioma:
    """All masses of a patient, as fields in the patient's head."""

    foci: tuple[Focus, ...]
    core: Field  # distance to the cores
    rim: Field  # depth (mm) below the core's surface down to which it enhances
    arrival: Field  # mm of white matter between a point and the nearest core, less its reach
    mottle: Field  # spread one
    drawn: Field  # the same edge as a reader draws it, without every fold of the cortex
    fade: float  # mm below its edge at which the oedema reaches its full signal
    core_flair: float  # signal of necrosis in FLAIR: fluid is dark, debris bright


def draw_foci(brain: Brain, mix: GliomaMix) -> tuple[Focus, ...]:
    """One mass, or a main one with satellites, each with its core in white matter."""
    patient = brain.patient
    generator = patient.stream("foci")
    below = generator.random() < mix.infratentorial
    count = 1
    if patient.high_grade and not below and generator.random() < mix.multifocal:
        count = int(generator.integers(2, 4))
    low_grade_rim = generator.random() < mix.low_grade_enhancing
    coreless = generator.random() < mix.low_grade_coreless
    foci = []
    for number in range(count):
        log = mix.high_grade_radius if patient.high_grade else mix.low_grade_radius
        radius = float(np.clip(np.exp(generator.normal(*log)), 6, 30))
        radius = radius * 0.55 if number else radius
        radius = min(radius, 14.0) if below else radius
        centre = _site(brain, generator, foci, radius, below)
        if patient.high_grade:
            rim = float(generator.uniform(2.2, 5.5) + 3.0 * (radius < 10))
            reach = float(np.clip(generator.lognormal(2.75, 0.5), 4, 36))
        else:
            rim = float(generator.uniform(1.0, 3.5)) if low_grade_rim else 0.0
            reach = float(np.clip(generator.lognormal(2.0, 0.5), 3, 18))
            if coreless and not low_grade_rim:
                reach, radius = reach + 0.7 * radius, 0.3 * radius
        push = generator.uniform(*mix.push) * radius
        lobes = _lobes(generator, centre, radius)
        solid = not patient.high_grade
        foci.append(Focus(centre, radius, lobes, push, reach, rim, solid, below))
    return tuple(foci)


def _site(
    brain: Brain, generator: np.random.Generator, foci: Sequence[Focus], radius: float, below: bool
) -> np.ndarray:
    """A place in the white matter, off the ventricles, near earlier masses but not in them."""
    low, high = ((-60, 40, -45), (-10, 85, 45)) if below else ((-40, -62, -62), (62, 92, 62))
    tried = generator.uniform(low, high, (3000, 3)).T.astype(np.float32)
    side = mirrored(to_standard(brain, tried))
    if below:
        good = (cerebellum(side) < -0.6 * radius) & (midline_ventricles(brain, side) > 6)
    else:
        depth = np.minimum(-cerebrum(side), medial_depth(side, 0))
        good = (depth > np.clip(0.7 * radius, 6, 17)) & (side[0] > -38)
        good &= lateral_ventricle(brain, side) > 0.45 * radius
        # The centre of the head, with thalamus and brain stem, is a rare place.
        central = (side[2] < 22) & (np.abs(side[1] - 15) < 25) & (side[0] < 18)
        good &= ~central | (generator.random(tried.shape[1]) < 0.2)
    for other in foci:
        away = np.linalg.norm(tried - other.centre[:, None], axis=0)
        good &= (away > 1.3 * (other.radius + radius)) & (away < other.radius + 55)
    left = np.flatnonzero(good)
    if not len(left):  # a head too full: beside the midline, over the ventricles
        return np.array([38.0, 15.0, 22.0 * generator.choice([-1, 1])])
    return tried[:, left[0]].astype(float)


def _lobes(
    generator: np.random.Generator, centre: np.ndarray, radius: float
) -> tuple[tuple[np.ndarray, float], ...]:
    """A main ball and smaller ones that stick out of it."""
    result = [(centre, 0.85 * radius)]
    for _ in range(int(generator.integers(1, 5))):
        way = generator.normal(size=3)
        way = way / np.linalg.norm(way) * radius * generator.uniform(0.5, 0.95)
        result.append((centre + way, radius * generator.uniform(0.35, 0.6)))
    return tuple(result)


def displacement(brain: Brain, foci: Sequence[Focus], points: np.ndarray) -> np.ndarray:
    """Mass effect (3, N): by how many mm the tissue now at `points` was pushed.

    It grows up to the core's edge, then fades over about four radii, and is nothing at the skull.
    """
    moved = np.zeros_like(points)
    depth = -cerebrum(mirrored(to_standard(brain, points)))
    free = np.clip(depth / np.float32(14), 0, 1)
    free = free * free * (3 - 2 * free)
    for focus in foci:
        way = points - np.float32(focus.centre)[:, None]
        away = np.sqrt((way * way).sum(axis=0)) / np.float32(1.25 * focus.radius)
        pull = np.float32(focus.push / (1.25 * focus.radius)) * np.exp(1 - away)
        moved += way * (pull * free)
    return moved


def before_the_tumour(brain: Brain, foci: Sequence[Focus], points: np.ndarray) -> np.ndarray:
    """Where in the standard head the tissue that is now at `points` (3, N) belongs."""
    return to_standard(brain, points - displacement(brain, foci, points))


def grow(brain: Brain, mix: GliomaMix) -> Glioma:
    """The tumour of a patient."""
    foci = draw_foci(brain, mix)
    generator = brain.patient.stream("growth")
    margin = np.array([[1.7 * each.radius + each.reach + 8] for each in foci])
    centres = np.array([each.centre for each in foci])
    grid = Grid.around((centres - margin).min(axis=0), (centres + margin).max(axis=0), STEP)
    axes = grid.axes()
    standard = before_the_tumour(brain, foci, places(axes))
    room, speed = _tissue(brain, foci, standard)
    room, speed = room.reshape(grid.shape), speed.reshape(grid.shape)
    core, reach = _cores(generator, foci, axes)
    core = np.maximum(core, room)
    rim = _rim(generator, foci, axes)
    arrival = _spread(core, speed, float(reach.max())) - reach
    arrival += waves(axes, generator, (10, 40), 1.6, 24)
    drawn = gaussian_filter(np.clip(arrival, -6, 5), 2.0 / STEP)
    mottle = waves(axes, generator, (5, 30), 1.0, 32)
    fields = (core, rim, arrival, mottle, drawn)
    fade = float(generator.uniform(4, 15))
    fluid = float(generator.uniform(0.12, 0.9))
    return Glioma(foci, *(Field(grid, np.float32(each)) for each in fields), fade, fluid)


def _tissue(
    brain: Brain, foci: Sequence[Focus], standard: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What keeps a core out, as a distance (N,), and the speed (N,) of infiltration, 0 to 1."""
    side = mirrored(standard)
    depth = pial_depth(brain, standard)
    ventricle = np.minimum(lateral_ventricle(brain, side), midline_ventricles(brain, side))
    if foci[0].infratentorial:
        home = cerebellum(side)
        return np.maximum(home + 2, 2 - ventricle), np.clip(-home / 8, 0, 1) * (ventricle > 1)
    fissure = medial_depth(side, 0.5)
    here = np.sign(standard[2]) == np.sign(foci[0].centre[2])
    fissure = np.where(here, fissure, np.where(fissure > 0, -fissure, fissure))
    room = np.maximum(np.maximum(cerebrum(side) + 2.5, 1.5 - ventricle), 0.8 - fissure)
    speed = np.clip((depth - 1.6) / 2.2, 0.06, 1) * (depth > 0) * (ventricle > 0.5)
    speed = speed * (cerebrum(side) < -1.5)
    deep = np.minimum.reduce([caudate(brain, side), putamen(side), thalamus(side)])
    return room, np.where((deep < 0) & (speed > 0), 0.3 * speed, speed)


def _cores(
    generator: np.random.Generator, foci: Sequence[Focus], axes: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest core, and that core's reach, on the grid of `axes`."""
    core = reach = None
    for focus in foci:
        values = None
        for centre, radius in focus.lobes:
            offset = [axis - np.float32(c) for axis, c in zip(axes, centre, strict=True)]
            ball = np.sqrt(sum(o * o for o in offset)) - np.float32(radius)
            values = ball if values is None else smooth_minimum(values, ball, 0.35 * focus.radius)
        size = focus.radius
        values = values + waves(axes, generator, (0.7 * size, 2.2 * size), 0.1 * size, 24)
        values = values + waves(axes, generator, (5, 11), 0.7, 24)
        if core is None:
            core, reach = values, np.full_like(values, focus.reach)
        else:
            reach = np.where(values < core, np.float32(focus.reach), reach)
            core = np.minimum(core, values)
    return core, reach


def _rim(
    generator: np.random.Generator, foci: Sequence[Focus], axes: Sequence[np.ndarray]
) -> np.ndarray:
    """Depth down to which the core enhances: knots and gaps in a rim; in lower grades a knot."""
    size = foci[0].radius
    knots = waves(axes, generator, (0.8 * size, 2.0 * size), 1.0, 24)
    mean = foci[0].rim
    if not mean:
        return np.full_like(knots, -FAR)
    if foci[0].solid:
        return mean * 6 * (knots - 1.1)
    fine = waves(axes, generator, (5, 12), 0.7, 24)
    return np.maximum(mean * (1 + 0.7 * knots) + fine, 0.9 + 0.6 * knots + fine)


def _spread(core: np.ndarray, speed: np.ndarray, reach: float) -> np.ndarray:
    """The shortest way (mm) from the core, slow tissue counting longer; right up to `reach`."""
    cost = np.float32(1) / np.maximum(speed, 1e-3)
    time = np.where(core <= 0, np.float32(0), np.float32(1e3)).astype(np.float32)
    steps = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    steps = [step for step in steps if any(step)]
    for _ in range(int(reach / STEP) + 3):  # one sweep goes a step at least
        for step in steps:
            here = tuple(slice(max(s, 0), min(s, 0) or None) for s in step)
            there = tuple(slice(max(-s, 0), min(-s, 0) or None) for s in step)
            length = np.float32(STEP * np.sqrt(sum(s * s for s in step)))
            way = time[there] + length * cost[here]
            np.minimum(time[here], way, out=time[here])
    return np.where(core <= 0, core, time)


def paint_tumour(
    glioma: Glioma, points: np.ndarray, shares: Shares, ventricles: np.ndarray, edge: float
) -> np.ndarray:
    """Paint the tumour over `shares` at points of the patient's head; its labels (N,) uint8."""
    tissue = 1 - ventricles
    core = read_at(glioma.core, points)
    depth = read_at(glioma.rim, points)
    arrival = read_at(glioma.arrival, points)
    wet = 1 - shares["csf"] - shares["vessel"] - shares["membrane"]
    full = np.clip(-arrival / np.float32(glioma.fade), 0, 1)
    oedema = inside(arrival, 2 + edge) * (0.35 + 0.65 * full) * np.clip(wet, 0, 1)
    shares.paint("oedema", oedema)
    mass = inside(core, edge) * tissue
    shares.paint("solid" if glioma.foci[0].solid else "core", mass)
    enhancing = inside(np.maximum(core, -core - depth), edge) * tissue
    shares.paint("rim", enhancing)
    labels = np.zeros(points.shape[1], np.uint8)
    labels[(read_at(glioma.drawn, points) < 0) & (tissue > 0.5)] = OEDEMA
    labels[mass >= 0.5] = NECROSIS
    labels[enhancing >= 0.5] = ENHANCING
    return labels
