"""The front of the neck as ultrasound meets it: layers, thyroid, what lies around it, nodules.

Places are (y, x) in mm: y from the probe's face into the neck, x to the right of the picture. Each
tissue has an echo level, dB against the thyroid, and what it takes from the beam beyond the mean.
"""

from dataclasses import dataclass, replace

import numpy as np

from samnb.phantoms.echoes import Echoes, Painter
from samnb.phantoms.nodule import Nodule, apart, draw_nodule, margin, paint_nodule
from samnb.phantoms.picture import Raster, clouds, ellipse, stream


@dataclass(frozen=True)
class Neck:
    """What one picture shows; lengths in mm."""

    key: tuple[int, ...]
    transverse: bool  # across the lobe, else along it
    mirror: bool  # the trachea lies to the right of the picture
    depth: float
    width: float
    fat: float
    strap: float  # of the muscles before the gland
    lobe: tuple[float, float, float, float]  # y, x, radii along y and x
    inflamed: float  # 0 .. 1: patchy and dark, as in Hashimoto's disease
    nodules: tuple[Nodule, ...]

    def stream(self, part: str) -> np.random.Generator:
        return stream(self.key, part)


def draw_neck(key: tuple[int, ...]) -> Neck:
    """Draw a neck with one nodule or two, a pure function of `key` (seed, cohort, number)."""
    generator = stream(key, "neck")
    transverse = bool(generator.random() < 0.55)
    fat = float(np.clip(generator.lognormal(1.2, 0.4), 1.5, 8))
    strap = float(generator.uniform(2.2, 5))
    tall = float(generator.uniform(7, 10.5))
    wide = float(generator.uniform(8.5, 12) if transverse else generator.uniform(22, 30))
    top = 1.4 + fat + strap
    lobe = (top + tall, float(generator.normal(0, 1.5 if transverse else 4)), tall, wide)
    width = float(generator.uniform(36, 46))
    nodules = [draw_nodule(generator, lobe, width, 1.0)]
    if generator.random() < 0.2:
        tries = [draw_nodule(generator, lobe, width, 0.6) for _ in range(12)]
        clear = [each for each in tries if apart(each, nodules[0])]
        nodules += clear[:1]
    lowest = max(nodule.centre[0] + nodule.radii[0] for nodule in nodules)
    return Neck(
        key=key,
        transverse=transverse,
        mirror=bool(generator.random() < 0.5),
        depth=float(max(top + 2 * tall + generator.uniform(4, 13), lowest + 5)),
        width=width,
        fat=fat,
        strap=strap,
        lobe=lobe,
        inflamed=float(generator.uniform(0.3, 1) if generator.random() < 0.25 else 0),
        nodules=tuple(nodules),
    )


def nodule_distance(
    neck: Neck, index: int, y: np.ndarray, x: np.ndarray, smooth: bool = False
) -> np.ndarray:
    """Distance (mm) to the margin of one of a neck's nodules; `smooth`: as a reader draws it."""
    return margin(neck.nodules[index], y, x, neck.stream(f"margin {index}"), smooth)


def lay_out(neck: Neck, raster: Raster) -> Echoes:
    """All tissues of a neck in place, the nodules last."""
    y, x = raster.axes()
    generator = neck.stream("tissue")
    x = x * (-1 if neck.mirror else 1)
    # The probe presses and layers sag: nothing is as straight as drawn.
    down = y + 0.8 * clouds((y, x), generator, (9.0, 14.0)) + 0.15 * clouds((y, x), generator, 3.0)
    across = x + 0.7 * clouds((y, x), generator, 9.0)
    echoes = Echoes(*(np.zeros(raster.shape) for _ in range(3)))
    layer = Painter(raster, echoes, generator)
    layer.paint("deep", np.full(raster.shape, -9.0))
    lobe = _gland(neck, down, across, y, x)
    _behind(neck, layer, down, across)
    _before(neck, layer, down, across, lobe)
    if neck.transverse:
        _windpipe(neck, layer, down, across)
    layer.paint("thyroid", lobe, glint=5.0)
    _inflame(neck, layer, lobe)
    if neck.transverse:
        _great_vessels(neck, layer, down, across)
    for index in range(len(neck.nodules)):
        # In an inflamed gland, itself dark, nodules are darker still.
        nodule = neck.nodules[index]
        nodule = replace(nodule, echo=nodule.echo - 5.0 * neck.inflamed)
        distance = nodule_distance(neck, index, y, x)
        paint_nodule(nodule, distance, layer, x, neck.stream(f"nodule {index}"))
    return echoes


def _gland(
    neck: Neck, down: np.ndarray, across: np.ndarray, y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Distance to the thyroid: a lobe, the isthmus across the cut, and room for its nodules."""
    top, side, tall, wide = neck.lobe
    lobe = ellipse(down, across, (top, side), (tall, wide))
    if neck.transverse:
        isthmus = ellipse(down, across, (top - 0.62 * tall, side - 1.3 * wide), (2.2, 1.25 * wide))
        lobe = np.minimum(lobe, isthmus) - 0.15 * np.maximum(3 - np.abs(lobe - isthmus), 0) ** 2 / 3
    for index in range(len(neck.nodules)):
        lobe = np.minimum(lobe, nodule_distance(neck, index, y, x, smooth=True) - 0.9)
    return lobe


def _before(
    neck: Neck, layer: Painter, down: np.ndarray, across: np.ndarray, lobe: np.ndarray
) -> None:
    """Skin, fat with its septa, and the strap muscles with their fibres and sheaths."""
    top = 1.4 + neck.fat
    fibres = 4.0 * np.clip(layer.noise((0.32, 9.0)) - 0.4, 0, 2)
    bottom = np.minimum(down - (top + neck.strap + 0.6), 9.0)
    layer.paint("connective", bottom, soft=0.6)
    strap = np.maximum(top - down, np.maximum(down - (top + neck.strap), 0.35 - lobe))
    layer.paint("muscle", strap, fibres, glint=11.0)
    if neck.transverse:
        # The sternomastoid crosses over at the outer side.
        outer = ellipse(down, across, (top + 2.5, neck.lobe[1] + 1.9 * neck.lobe[3]),
                        (4.6, 1.05 * neck.lobe[3]), 0.2)  # fmt: skip
        layer.paint("muscle", np.maximum(outer, top - down), fibres, glint=10.0)
    septa = 11.0 * np.exp(-((layer.noise((1.1, 6.0)) / 0.16) ** 2))
    layer.paint("fat", np.maximum(1.4 - down, down - top), septa, glint=8.0)
    layer.paint("skin", down - 1.4, glint=6.0)


def _behind(neck: Neck, layer: Painter, down: np.ndarray, across: np.ndarray) -> None:
    """The long muscle of the neck, before the spine, and its bright fascia."""
    top, side, tall, wide = neck.lobe
    fibres = 3.5 * np.clip(layer.noise((0.35, 7.0)) - 0.5, 0, 2)
    if neck.transverse:
        muscle = ellipse(down, across, (top + tall + 5.5, side + 0.1 * wide), (4.2, 9.0), -0.12)
    else:
        muscle = np.abs(down - (top + tall + 5.5) - 0.05 * across) - 3.8
    layer.paint("muscle", muscle, fibres, soft=0.5, glint=10.0)
    spine = top + tall + 11.5 - down + 0.6 * layer.noise((30.0, 5.0))
    layer.paint("deep", -np.abs(spine), -4.0)
    layer.shine(spine, 15.0, 0.45)
    if neck.transverse and not neck.mirror:
        gullet = ellipse(down, across, (top + tall + 1.5, side - 1.05 * wide), (2.8, 4.2))
        layer.paint("gullet", gullet, glint=6.0)
        layer.paint("air", np.abs(gullet + 2.2) - 0.25, 34.0)


def _windpipe(neck: Neck, layer: Painter, down: np.ndarray, across: np.ndarray) -> None:
    """Cartilage, then air: a bright curved face, and behind it echoes of that face, ever weaker."""
    top, side, tall, wide = neck.lobe
    centre = (top + 0.55 * tall, side - wide - 8.2)
    pipe = ellipse(down, across, centre, (9.2, 9.0))
    layer.paint("connective", pipe - 1.0)
    layer.paint("cartilage", pipe, glint=7.0)
    inner = pipe + 1.5
    layer.paint("air", inner)
    behind = np.clip(-inner, 0, None)
    rings = np.exp(-(((behind + 0.9) % 1.8 - 0.9) ** 2) / 0.1) * np.exp(-behind / 4)
    level = np.clip((centre[0] - 1.0 - down) / 7.0, 0, 1)  # to the sides the beam glances off
    uneven = np.clip(0.85 + 0.25 * layer.noise((2.0, 3.5)), 0.3, 1.2)
    layer.echoes.glint += 36.0 * rings * (inner < 0.2) * level * uneven
    layer.shine(pipe, 9.0, 0.3)


def _inflame(neck: Neck, layer: Painter, lobe: np.ndarray) -> None:
    """Dark patches and bright strands all through an inflamed gland, which are no nodules."""
    if not neck.inflamed:
        return
    patches = np.clip(layer.noise(2.2, 2) - 0.2, 0, 1.5)
    strands = np.exp(-((layer.noise((1.2, 3.5)) / 0.12) ** 2))
    change = -neck.inflamed * (3.0 + 6.0 * patches) + 4.0 * neck.inflamed * strands
    layer.echoes.level += layer.raster.inside(lobe + 0.4, 0.5) * change


def _great_vessels(neck: Neck, layer: Painter, down: np.ndarray, across: np.ndarray) -> None:
    """Carotid artery, round with a bright wall; jugular vein, flat and wide; a thyroid artery."""
    generator = neck.stream("vessels")
    top, side, tall, wide = neck.lobe
    radius = generator.uniform(2.7, 3.7)
    carotid = (top + generator.uniform(-0.1, 0.45) * tall, side + wide + radius + 0.9)
    flat = generator.uniform(0.8, 4.2)
    vein = (carotid[0] - radius - 0.4 * flat, carotid[1] + radius + generator.uniform(1, 3))
    small = (top + generator.uniform(-0.8, 0.8) * tall, side + 0.9 * wide)
    for centre, radii, wall in (
        (vein, (flat, 5.2), 0.2), (carotid, (radius, radius), 0.5), (small, (0.8, 1.3), 0.2),
    ):  # fmt: skip
        lumen = ellipse(down, across, centre, radii)
        layer.paint("connective", lumen - wall, -2.0)
        layer.paint("vessel", lumen, soft=0.4, glint=11.0)


def readers_mask(neck: Neck, raster: Raster) -> np.ndarray:
    """bool (rows, columns): all nodules, each with its halo, as a reader draws them."""
    y, x = raster.axes()
    x = x * (-1 if neck.mirror else 1)
    inside = [
        nodule_distance(neck, index, y, x, smooth=True) < 0 for index in range(len(neck.nodules))
    ]
    return np.any(inside, axis=0)
