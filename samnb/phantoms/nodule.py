"""Nodules of the thyroid as ultrasound shows them: drawn, outlined, painted.

Places are (y, x) in mm, y into the neck; levels in dB against the thyroid.
"""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.echoes import Echoes, Painter
from samnb.phantoms.picture import Raster, clouds, ellipse_radius, polar, ripple


@dataclass(frozen=True)
class Nodule:
    """One nodule; lengths in mm, levels in dB against the thyroid."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    turn: float
    lobed: float  # how wavy its margin is
    spiky: float  # how jagged
    echo: float
    uneven: float  # dB
    halo: float  # width of the dark ring at its margin; 0 none
    blur: float  # over which its margin fades
    cystic: float  # share of it that is fluid
    chalk: int  # specks of calcium, too small for a shadow
    shell: float  # 0 none; else the half-angle (radians) of a calcified rim that throws a shadow


def apart(first: Nodule, second: Nodule) -> bool:
    """Whether there is room between two nodules."""
    away = np.hypot(*np.subtract(first.centre, second.centre))
    return bool(away > 1.15 * (max(first.radii) + max(second.radii)))


def draw_nodule(
    generator: np.random.Generator,
    lobe: tuple[float, float, float, float],
    width: float,
    size: float,
) -> Nodule:
    """A nodule in a lobe, in the middle of a picture so `width` mm wide.

    Suspect ones are dark, jagged, rather tall than wide; others smooth, with a halo.
    """
    suspect = generator.random() < 0.45
    radius = float(np.clip(size * generator.lognormal(1.72, 0.42), 2.0, 1.05 * lobe[2] + 3))
    ratio = generator.uniform(0.85, 1.35) if suspect else generator.uniform(0.58, 0.95)
    radii = (radius * np.sqrt(ratio), radius / np.sqrt(ratio))
    reach = min(0.75 * lobe[3], 0.42 * width - abs(lobe[1]))
    room = np.maximum((0.82 * lobe[2] - 0.8 * radius, reach - 0.8 * radius), 0.4)
    place = np.array(lobe[:2]) + generator.uniform(-room, room)
    halo = not suspect and generator.random() < 0.7
    pale = generator.random() < 0.3
    echo = generator.uniform(-14, -6) if suspect else generator.uniform(-8, -2)
    kinds = generator.random(3)
    return Nodule(
        centre=(float(place[0]), float(place[1])),
        radii=(float(radii[0]), float(radii[1])),
        turn=float(generator.normal(0, 0.25)),
        lobed=float(generator.uniform(0.02, 0.09)),
        spiky=float(generator.uniform(0.01, 0.035) if suspect else 0.005),
        echo=float(generator.uniform(-2.0, 2.0) if pale and not suspect else echo),
        uneven=float(generator.uniform(1.0, 3.2)),
        halo=float(generator.uniform(0.5, 1.1) if halo or pale else 0.0),
        blur=float(generator.uniform(0.3, 1.6) if suspect else generator.uniform(0.2, 0.6)),
        cystic=float(generator.uniform(0.15, 0.8) if not suspect and kinds[0] < 0.3 else 0.0),
        chalk=int(generator.integers(5, 26)) if suspect and kinds[1] < 0.6 else 0,
        shell=float(generator.uniform(0.3, 0.9) if kinds[2] < 0.16 else 0.0),
    )


def margin(
    nodule: Nodule,
    y: np.ndarray,
    x: np.ndarray,
    generator: np.random.Generator,
    smooth: bool = False,
) -> np.ndarray:
    """Distance (mm) to a nodule's margin, negative inside; `smooth`: as a reader draws it."""
    away, angles = polar(y, x, nodule.centre)
    edge = ellipse_radius(angles, nodule.radii, nodule.turn)
    waves = ripple(angles, generator, (2, 3, 4, 5), nodule.lobed)
    spikes = ripple(angles, generator, (6, 7, 9, 11, 13, 16, 19), nodule.spiky)
    return away - edge * (1 + waves + (0.4 if smooth else 1.0) * spikes)


def paint_nodule(
    nodule: Nodule,
    distance: np.ndarray,
    layer: Painter,
    x: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """The nodule's tissue, its halo, fluid, specks of calcium, and a calcified rim.

    `distance` is that to its margin; `x` (1, columns) runs as the nodule's own.
    """
    echoes, raster = layer.echoes, layer.raster
    share = raster.inside(distance, nodule.blur)
    grain = nodule.uneven * clouds(raster.axes(), generator, 1.6, 2)
    echoes.level += share * (nodule.echo + grain - echoes.level)
    echoes.glint *= 1 - share
    if nodule.halo:
        ring = np.exp(-(((distance + 0.5 * nodule.halo) / (0.6 * nodule.halo)) ** 2))
        broken = np.clip(1 + 0.5 * clouds(raster.axes(), generator, 3.0), 0.2, 1.3)
        echoes.level -= 9.0 * ring * broken
    layer.shine(distance, 4.0)
    if nodule.cystic:
        _fill(nodule, echoes, raster, distance, generator)
    _calcify(nodule, echoes, raster, distance, generator, x)
    # At its sides the beam is bent away: a thin shadow hangs below each.
    away = np.abs(np.abs(x - nodule.centre[1]) - nodule.radii[1])
    level = np.abs(raster.axes()[0] - nodule.centre[0]) < 1.0
    echoes.taken += 0.9 * np.exp(-((away / 0.7) ** 2)) * level * (nodule.halo > 0)


def _fill(
    nodule: Nodule,
    echoes: Echoes,
    raster: Raster,
    distance: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Pools of fluid: nearly without echo, and the beam goes through them unweakened."""
    pools = clouds(raster.axes(), generator, 0.55 * min(nodule.radii), 2)
    level = np.quantile(pools[distance < -0.8], 1 - nodule.cystic)
    fluid = raster.inside((level - pools) * 1.5, 0.4) * raster.inside(distance + 0.9, 0.5)
    echoes.level += fluid * (-33.0 - echoes.level)
    echoes.taken -= 0.35 * fluid


def _calcify(
    nodule: Nodule,
    echoes: Echoes,
    raster: Raster,
    distance: np.ndarray,
    generator: np.random.Generator,
    x: np.ndarray,
) -> None:
    """Specks of calcium glitter; a calcified rim shines and throws a shadow."""
    y, _ = raster.axes()
    for _ in range(nodule.chalk):
        spot = np.array(nodule.centre) + 0.5 * generator.normal(size=2) * nodule.radii
        radius = generator.uniform(0.12, 0.28)
        away = np.hypot(y - spot[0], x - spot[1])
        speck = np.exp(-((away / max(radius, 0.7 * raster.pixel)) ** 2)) * (distance < -0.3)
        np.maximum(echoes.glint, generator.uniform(12, 22) * speck, out=echoes.glint)
    if nodule.shell:
        _, angles = polar(y, x, nodule.centre)
        middle = -np.pi / 2 + generator.normal(0, 0.35)
        off = np.abs(np.angle(np.exp(1j * (angles - middle))))
        within = np.clip((nodule.shell - off) / 0.25, 0, 1)
        crust = raster.inside(np.abs(distance + 0.6) - 0.35, 0.3) * within
        np.maximum(echoes.glint, 24.0 * crust, out=echoes.glint)
        echoes.taken += 14.0 * crust
