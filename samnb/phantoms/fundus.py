"""Colour photographs of the fundus: light through pigment and blood, and the camera that takes it.

Red, green and blue light fall on the eye and come back weaker, by what melanin and blood absorb of
each: that alone makes the colours of retina, vessels and macula.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samnb.phantoms.eye import AVASCULAR, TEMPORAL, Eye, Vessel, cup_edge, disc_edge, grow_vessels
from samnb.phantoms.picture import Raster, blurred, cells, clouds, polar, ripple, strokes, to_bytes

# Absorbed of red, green, blue by one unit of each.
MELANIN = np.array([0.5, 1.02, 1.55])
BLOOD = np.array([0.1, 1.0, 1.1])
VENOUS = np.array([0.42, 1.1, 1.05])  # blood without its oxygen takes red as well
MACULAR = np.array([0.0, 0.12, 0.7])  # the yellow pigment
BEHIND = np.array([1.0, 0.76, 0.46])  # what comes back of white light when nothing absorbs
PINK_RIM = np.array([0.78, 0.32, 0.15])
PALE = np.array([0.98, 0.72, 0.42])  # the cup's floor, and sclera laid bare


@dataclass(frozen=True)
class Camera:
    """How a camera sees: lengths in mm on the retina or, where said, in pixels of 2048."""

    field: float  # radius of the round field
    cut: float  # of that radius: the picture ends there above and below; over 1: never
    gains: tuple[float, float, float]  # of red, green, blue
    contrast: float
    vignette: float
    blur: float  # pixels of 2048
    noise: float
    tab: bool  # a notch in the field's edge
    steadiness: float = 0.4  # mm by which the gaze is off


CAMERAS = {
    "zeiss": Camera(6.7, 1.02, (0.62, 0.6, 0.62), 1.25, 0.4, 4.5, 0.012, False),
    "canon": Camera(6.6, 1.04, (0.98, 0.92, 0.8), 1.0, 0.28, 3.5, 0.009, False),
    "kowa": Camera(6.9, 0.86, (0.86, 0.98, 1.12), 1.1, 0.5, 6.0, 0.016, True),
    "topcon": Camera(6.5, 1.03, (1.12, 0.84, 0.55), 1.15, 0.36, 4.5, 0.013, True),
}


def photograph(eye: Eye, camera: Camera, side: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (side, side, 3), and labels as REFUGE has them: 0 cup, 128 rim, 255 all else."""
    raster = view(eye, camera, side)
    light = as_seen(eye, retina(eye, raster))
    image = _exposed(light, camera, raster, eye.stream("camera"), eye)
    return image, as_seen(eye, disc_labels(eye, raster))


def view(eye: Eye, camera: Camera, side: int) -> Raster:
    """The square of retina that a camera pictures: between fovea and disc, as well as eyes rest."""
    y, x = eye.stream("gaze").normal((0, 2.1), camera.steadiness)
    return Raster((side, side), 2.04 * camera.field / side, (float(y), float(x)))


def as_seen(eye: Eye, picture: np.ndarray) -> np.ndarray:
    """A picture (rows, columns, ...) as the camera sees it: of a left eye the nose is left."""
    return np.ascontiguousarray(picture if eye.right else picture[:, ::-1])


def disc_labels(eye: Eye, raster: Raster) -> np.ndarray:
    """uint8 (rows, columns): 0 cup, 128 rim, 255 background."""
    away, angles = polar(*raster.axes(), eye.disc)
    labels = np.full(raster.shape, 255, np.uint8)
    labels[away < disc_edge(eye, angles)] = 128
    labels[away < cup_edge(eye, angles)] = 0
    return labels


def retina(eye: Eye, raster: Raster) -> np.ndarray:
    """Light (rows, columns, 3), linear, that comes back from every place of the retina."""
    axes = raster.axes()
    away, angles = polar(*axes, eye.disc)
    generator = eye.stream("retina")
    light = BEHIND * np.exp(-_pigment(eye, axes, generator))
    light *= (1 + _nerve_fibres(eye, axes, away, angles, generator))[..., None]
    light = _spots(eye, raster, light)
    light = _bared(eye, raster, light, away, angles)
    light = _disc(eye, raster, light, away, angles)
    return light * np.exp(-_blood(raster, grow_vessels(eye)))


def _pigment(eye: Eye, axes: Sequence[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """What melanin, the choroid's blood and the macula's yellow absorb: (rows, columns, 3)."""
    fovea = np.hypot(*axes)
    melanin = eye.melanin * (1 + 0.09 * clouds(axes, generator, 2.5, 2))
    melanin = melanin + 0.05 * clouds(axes, generator, 0.18, 2)
    melanin = melanin + 0.32 * np.exp(-((fovea / 1.3) ** 2)) + 0.25 * np.exp(-((fovea / 0.4) ** 2))
    # The choroid's vessels are seams of a noise drawn out away from the disc.
    seams = np.abs(clouds(axes, generator, (0.75, 1.0), 2))
    veiled = np.clip(np.hypot(fovea - 0.3, 0) / 3, 0.25, 1)
    melanin = melanin + 0.42 * eye.tessellated * veiled * (np.minimum(seams, 0.9) - 0.5)
    blood = 0.62 + 0.1 * clouds(axes, generator, 1.8)
    yellow = 0.8 * np.exp(-((fovea / 0.9) ** 2))
    shares = (np.maximum(melanin, 0.15), blood, yellow)
    return sum(
        share[..., None] * taken
        for share, taken in zip(shares, (MELANIN, BLOOD, MACULAR), strict=True)
    )


def _nerve_fibres(
    eye: Eye,
    axes: Sequence[np.ndarray],
    away: np.ndarray,
    angles: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """The sheen (share of the light) of nerve fibres: streaks from the disc along both arcades.

    It is bright in the young; in glaucoma a wedge of it is lost.
    """
    sheen = max(0.04, 0.3 - 0.004 * eye.age)
    arcs = np.exp(-(((np.abs(np.sin(angles)) - 0.82) / 0.3) ** 2)) * (np.cos(angles) < 0.5)
    streaks = 1 + 0.3 * ripple(angles, generator, range(40, 120, 7), 1.0)
    fibres = sheen * arcs * streaks * np.exp(-np.maximum(away - 1, 0) / 1.8)
    if eye.glaucoma:
        off = np.angle(np.exp(1j * (angles - eye.notch[0])))
        fibres = fibres * (1 - 0.9 * np.exp(-((off / 0.16) ** 4)))
    fovea = np.hypot(*axes)
    ring = 0.35 * sheen * np.exp(-(((fovea - 1.35) / 0.16) ** 2)) * (eye.age < 45)
    reflex = 1.2 * sheen * np.exp(-((fovea / 0.07) ** 2))
    return fibres + ring + reflex


def _spots(eye: Eye, raster: Raster, light: np.ndarray) -> np.ndarray:
    """Drusen in the old: small pale spots at the macula."""
    generator = eye.stream("drusen")
    if eye.age < 55 or generator.random() > 0.35:
        return light
    y, x = raster.axes()
    count = int(generator.integers(8, 60))
    share = np.zeros(raster.shape)
    for _ in range(count):
        centre = generator.normal(0, 1.1, 2)
        radius = generator.uniform(0.03, 0.1)
        spot = raster.inside(np.hypot(y - centre[0], x - centre[1]) - radius, 0.08)
        share = np.maximum(share, spot)
    share = 0.5 * share * (np.hypot(y, x) > 0.2)
    return light + share[..., None] * (0.75 * PALE - light)


def _bared(
    eye: Eye, raster: Raster, light: np.ndarray, away: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    """Atrophy beside the disc: a pale crescent of sclera and choroid with a pigmented edge."""
    width, direction = eye.atrophy
    if not width:
        return light
    generator = eye.stream("atrophy")
    towards = np.clip(np.cos(angles - direction), 0, 1) ** 0.8
    reach = width * towards * (1 + ripple(angles, generator, range(4, 12), 0.06))
    outside = away - disc_edge(eye, angles) - reach
    mottle = 0.62 + 0.13 * clouds(raster.axes(), generator, 0.25)
    share = (raster.inside(outside, 0.09) * mottle * (reach > 0.03))[..., None]
    rim = (0.35 * np.exp(-((outside / 0.09) ** 2)) * (reach > 0.1))[..., None]
    return (light + share * (0.85 * PALE - light)) * np.exp(-rim * MELANIN)


def _disc(
    eye: Eye, raster: Raster, light: np.ndarray, away: np.ndarray, angles: np.ndarray
) -> np.ndarray:
    """The rim, paler to the temple, and the cup, on whose floor the sieve's holes may show."""
    generator = eye.stream("disc tissue")
    axes = raster.axes()
    edge, cup = disc_edge(eye, angles), cup_edge(eye, angles)
    blur = 0.1 + 0.12 * np.clip(-np.cos(angles - TEMPORAL), 0, 1)
    pale = np.clip(eye.pallor + 0.2 * np.cos(angles - TEMPORAL), 0, 1)[..., None]
    rim = PINK_RIM + 0.6 * pale * (PALE - PINK_RIM)
    rim = rim * (1 + 0.07 * clouds(axes, generator, 0.35, 2))[..., None]
    depth = np.clip(0.5 - (away - cup) / eye.slope, 0, 1)
    depth = depth * depth * (3 - 2 * depth)
    holes = np.exp(-((cells(*np.broadcast_arrays(*axes), generator, 0.16).nearest / 0.3) ** 2))
    sieve = 0.28 * holes * eye.glaucoma * np.clip((cup - away) / 0.25, 0, 1)
    floor = PALE * (1 - sieve + 0.04 * clouds(axes, generator, 0.3))[..., None]
    tissue = rim + depth[..., None] * (floor - rim)
    # Fibres heap up where the disc's margin is: above and below it is veiled.
    share = np.clip(0.5 - (away - edge) / blur, 0, 1)[..., None]
    return light + share * (tissue * (0.86 + 0.14 * eye.melanin) - light)


def _blood(raster: Raster, vessels: Sequence[Vessel]) -> np.ndarray:
    """What arteries and veins absorb, (rows, columns, 3); arteries shine along their middle."""
    arteries = [vessel.path for vessel in vessels if not vessel.vein]
    veins = [vessel.path for vessel in vessels if vessel.vein]
    thin = [np.column_stack([path[:, :2], 0.3 * path[:, 2]]) for path in arteries]
    drawn = (blurred(strokes(raster, lines), 0.04 / raster.pixel) for lines in (arteries, veins))
    artery, vein = drawn
    shine = strokes(raster, [path for path in thin if path[0, 2] > 0.02])
    artery = 0.85 * artery - 0.5 * shine
    taken = artery[..., None] * BLOOD + vein[..., None] * VENOUS
    fovea = np.hypot(*raster.axes())
    return taken * np.clip((fovea - 0.8 * AVASCULAR) / 0.4, 0, 1)[..., None]


def _exposed(
    light: np.ndarray, camera: Camera, raster: Raster, generator: np.random.Generator, eye: Eye
) -> np.ndarray:
    """The photograph: uneven light, haze of a clouded lens, glare, gains, blur, noise, field."""
    y, x = raster.axes()
    away, angles = polar(y, x, raster.middle)
    out = away / camera.field
    off = generator.normal(0, 0.22, 2)
    lit = np.hypot((y - raster.middle[0]) / camera.field - off[0],
                   (x - raster.middle[1]) / camera.field - off[1])  # fmt: skip
    light = light * (generator.uniform(0.8, 1.2) * (1 - camera.vignette * lit**2.2))[..., None]
    haze = generator.beta(1.2, 11) + (0.25 * generator.random() if eye.age > 65 else 0)
    veil = np.array([0.5, 0.34, 0.19]) * (0.6 + 0.4 * np.clip(1 - out, 0, 1))[..., None]
    light = light + haze * (veil - light)
    light = light + _glare(out, angles, generator)
    light = np.clip(light, 0, None) ** camera.contrast * (np.array(camera.gains) *
        np.exp(generator.normal(0, 0.07, 3)))  # fmt: skip
    soft = (camera.blur / 2048 * raster.shape[1]) * (1 + 5 * haze * generator.random())
    light = blurred(light, soft)
    light = light * (1 + camera.noise * 2 * generator.normal(size=(*raster.shape, 1)))
    light = light + camera.noise * 0.5 * generator.normal(size=light.shape)
    return to_bytes(light * _field(camera, raster, away, angles, out)[..., None])


def _glare(out: np.ndarray, angles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Stray light: an arc at the field's edge, or a soft spot of the lens; often neither."""
    chances = generator.random(2)
    glare = np.zeros((*out.shape, 3))
    direction, width = generator.uniform(0, 2 * np.pi), generator.uniform(0.05, 0.2)
    if chances[0] < 0.4:
        arc = np.exp(-(((out - 1) / width) ** 2)) * np.clip(np.cos(angles - direction), 0, 1) ** 2
        glare += generator.uniform(0.1, 0.5) * arc[..., None] * (0.9, 0.75, 0.7)
    if chances[1] < 0.15:
        y, x = out * np.sin(angles), out * np.cos(angles)
        centre = generator.uniform(-0.6, 0.6, 2)
        spot = np.exp(-(((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / width**2))
        glare += generator.uniform(0.08, 0.25) * spot[..., None] * (0.7, 0.8, 1.0)
    return glare


def _field(
    camera: Camera, raster: Raster, away: np.ndarray, angles: np.ndarray, out: np.ndarray
) -> np.ndarray:
    """Which share of each pixel the camera's round field covers."""
    y, _ = raster.axes()
    seen = raster.inside(away - camera.field, 0.03)
    seen = seen * raster.inside(np.abs(y - raster.middle[0]) - camera.cut * camera.field)
    if camera.tab:
        bump = np.abs(np.angle(np.exp(1j * (angles + 0.78)))) < 0.045
        seen = np.maximum(seen, bump & (out < 1.035) & (out > 0.9))
    return cv2.GaussianBlur(np.float64(seen), (0, 0), 0.6)
