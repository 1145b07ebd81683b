"""Skin under a dermoscope: light through melanin and blood, a lesion in it, and what lies on it.

Places are (y, x) in mm from the picture's middle. The lesion's pigment has the patterns that
dermatologists name: network, globules, cobblestones, streaks, blotches, a blue-white veil.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_fill_holes, label

from samnb.phantoms.picture import (
    Raster,
    blurred,
    cells,
    clouds,
    ellipse_radius,
    polar,
    ripple,
    stream,
)

# Absorbed of red, green, blue by one unit of each.
MELANIN = np.array([0.42, 0.86, 1.42])
BLOOD = np.array([0.13, 0.78, 0.7])
VEIL = np.array([0.14, 0.135, 0.16])  # melanin deep in the skin looks blue
SCAR = np.array([0.72, 0.6, 0.55])  # where a lesion has gone back

# Melanin of the skin by Fitzpatrick's types I to VI, and how often each is photographed.
TONES = (0.12, 0.24, 0.4, 0.65, 1.05, 1.6)
TONE_CHANCES = (0.18, 0.32, 0.26, 0.12, 0.07, 0.05)

PATTERNS = ("network", "globules", "cobblestones", "even", "streaks", "mixed")
PATTERN_CHANCES = (0.28, 0.14, 0.08, 0.22, 0.06, 0.22)


@dataclass(frozen=True)
class Lesion:
    """One lesion; lengths in mm, amounts of pigment in units of `MELANIN` and `BLOOD`."""

    key: tuple[int, ...]
    lobes: tuple[tuple[float, float, float, float, float], ...]  # y, x, radii along both, turn
    ragged: float  # how uneven the border is
    fade: tuple[float, float]  # mm over which pigment comes in: at its sharpest and its softest
    melanin: float
    blood: float
    pattern: str
    mesh: float  # mm between the lines of the network
    contrast: float  # of the pattern
    blotches: float  # how unevenly the pigment lies
    centre: float  # how much darker the middle is than the edge; below 0: paler
    veil: float  # 0 none .. 1: the largest share of blue-white
    scar: float

    def stream(self, part: str) -> np.random.Generator:
        return stream(self.key, part)


def draw_lesion(key: tuple[int, ...], view: tuple[float, float], skin: float) -> Lesion:
    """Draw a lesion in a view (height, width; mm) of skin with so much melanin."""
    generator = stream(key, "lesion")
    pattern = str(generator.choice(PATTERNS, p=PATTERN_CHANCES))
    suspect = pattern in ("mixed", "streaks")
    largest = 0.52 * view[0]
    radius = float(np.clip(generator.lognormal(np.log(0.3 * view[0]), 0.36), 0.9, largest))
    radius = radius * 1.15 if suspect else radius
    room = np.maximum(np.array(view) / 2 - 1.05 * radius, 0.25)
    centre = np.clip(generator.normal(0, (0.09 * view[0], 0.11 * view[1])), -room, room)
    lobes = [(*centre, radius, radius * generator.uniform(0.6, 1), generator.uniform(0, np.pi))]
    for _ in range(int(generator.integers(1, 4)) if suspect else generator.integers(0, 2)):
        way, size = generator.uniform(0, 2 * np.pi), generator.uniform(0.35, 0.65)
        place = centre + radius * (1.05 - 0.5 * size) * np.array([np.sin(way), np.cos(way)])
        stretch = generator.uniform(0.7, 1.3)
        lobes.append((*place, size * radius, stretch * size * radius, way))
    faint = generator.random() < 0.25
    melanin = generator.uniform(0.16, 0.42) if faint else generator.lognormal(0.5, 0.5)
    return Lesion(
        key=key,
        lobes=tuple(tuple(float(value) for value in lobe) for lobe in lobes),
        ragged=float(generator.uniform(0.03, 0.09) * (1.5 if suspect else 0.8)),
        fade=(float(generator.uniform(0.15, 0.7)), float(generator.uniform(0.8, 2.4))),
        melanin=float(np.clip(melanin * (1 + 0.4 * skin), 0.2, 4.2)),
        blood=float(generator.choice([0.05, 0.25, 0.7], p=[0.55, 0.3, 0.15])),
        pattern=pattern,
        mesh=float(generator.uniform(0.2, 0.38)),
        contrast=float(generator.uniform(0.2, 0.6)),
        blotches=float(generator.uniform(0.25, 0.7) if suspect else generator.uniform(0.08, 0.35)),
        centre=float(generator.choice([-0.4, 0.0, 0.5, 1.0], p=[0.15, 0.3, 0.3, 0.25])),
        veil=float(suspect * generator.choice([0, 0.35, 0.6], p=[0.5, 0.25, 0.25])),
        scar=float(suspect * generator.choice([0, 0.7], p=[0.7, 0.3])),
    )


def border(lesion: Lesion, axes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Distance (mm) to the lesion's border, negative inside."""
    y, x = axes
    generator = lesion.stream("border")
    distance = None
    for down, across, tall, wide, turn in lesion.lobes:
        away, angles = polar(y, x, (down, across))
        edge = ellipse_radius(angles, (tall, wide), turn)
        edge = edge * (1 + ripple(angles, generator, (2, 3, 4, 5, 7), lesion.ragged))
        ball = away - edge
        distance = ball if distance is None else _joined(distance, ball, 0.4 * tall)
    size = lesion.lobes[0][2]
    distance = distance + 0.4 * lesion.ragged * size * clouds(axes, generator, 0.35 * size)
    return distance + 0.1 * lesion.ragged * size * clouds(axes, generator, 0.3, 2)


def _joined(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """Union of two shapes, the crease between them filled over `width` mm."""
    overlap = np.maximum(width - np.abs(first - second), 0) / width
    return np.minimum(first, second) - overlap * overlap * (width / 4)


def lesion_mask(lesion: Lesion, raster: Raster) -> np.ndarray:
    """bool (rows, columns): inside the border as a reader draws it, without its finest folds.

    Of pieces only the largest counts, and holes are filled: a reader draws one closed line.
    """
    distance = border(lesion, raster.axes())
    drawn = blurred(np.clip(distance, -2, 2), 0.12 / raster.pixel) < 0
    pieces, count = label(drawn)
    if count > 1:
        drawn = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return binary_fill_holes(drawn)


def pigment(lesion: Lesion, raster: Raster) -> tuple[np.ndarray, np.ndarray]:
    """What the lesion adds to the skin's melanin, and to its blood: (rows, columns) each."""
    axes = raster.axes()
    distance = border(lesion, axes)
    generator = lesion.stream("pigment")
    _, angles = polar(*axes, lesion.lobes[0][:2])
    sharp, soft = lesion.fade
    share = np.clip(0.5 + 0.5 * ripple(angles, generator, (1, 2, 3), 0.7), 0, 1)
    fade = sharp + (soft - sharp) * share
    # At its border the pigment breaks up into grains. Readers draw where it has all but gone.
    grains = 0.2 * clouds(axes, generator, 0.3, 2) * np.exp(-((distance / fade + 0.5) ** 2))
    there = np.clip(0.1 - distance / fade + grains, 0, 1)
    there = there * there * (3 - 2 * there)
    size = lesion.lobes[0][2]
    deep = np.clip(-distance / (0.7 * size), 0, 1)
    there = there * (1 + lesion.centre * (deep - 0.4))
    uneven = 1 + lesion.blotches * clouds(axes, generator, 0.4 * size, 2)
    uneven = uneven * (1 + 0.1 * clouds(axes, generator, 0.12, 2))
    amount = lesion.melanin * np.clip(uneven, 0.15, 2.6) * _pattern(lesion, raster, distance)
    return there * amount, there * lesion.blood * np.clip(uneven, 0.2, 2)


def _pattern(lesion: Lesion, raster: Raster, distance: np.ndarray) -> np.ndarray:
    """How much of the pigment each place has by the lesion's pattern; 1 on average."""
    axes = raster.axes()
    generator = lesion.stream("pattern")
    drift = [0.12 * clouds(axes, generator, 0.7) for _ in range(2)]
    y, x = axes[0] + drift[0], axes[1] + drift[1]
    even = np.ones(raster.shape)
    if lesion.pattern == "even":
        return even
    mosaic = cells(y, x, generator, lesion.mesh)
    # Lines no thinner than a pixel shows, or the mesh would flicker.
    line = max(0.3, 1.1 * raster.pixel / lesion.mesh)
    clear = lesion.contrast * np.clip(1 + 0.6 * clouds(axes, generator, 1.2), 0.1, 1.8)
    network = 1 + clear * (1.6 * np.exp(-((mosaic.border / line) ** 2)) - 0.75)
    dots = np.exp(-((mosaic.nearest / 0.34) ** 4)) * (mosaic.number < 0.55)
    globules = 0.75 + 1.6 * lesion.contrast * dots
    wide = cells(y, x, generator, 2.2 * lesion.mesh)
    cobbles = 0.6 + lesion.contrast * np.clip(wide.border / 0.35, 0, 1.2)
    _, angles = polar(*axes, lesion.lobes[0][:2])
    near = np.exp(-((distance / (0.22 * lesion.lobes[0][2])) ** 2))
    rays = 1 + near * np.clip(ripple(angles, generator, range(17, 56, 3), 0.5), -0.8, 1.2)
    by_name = {"network": network, "globules": globules, "cobblestones": cobbles, "streaks": rays}
    if lesion.pattern in by_name:
        return by_name[lesion.pattern]
    # Several at once, each in its own quarter.
    place = clouds(axes, generator, 0.55 * lesion.lobes[0][2])
    return np.where(place < -0.5, network, np.where(place < 0.3, even, globules))


@dataclass(frozen=True)
class Skin:
    """The skin around; amounts in units of `MELANIN` and `BLOOD`."""

    key: tuple[int, ...]
    melanin: float
    blood: float
    flush: float  # how patchy the blood lies
    freckles: int
    mottled: float  # by sun: how patchy the melanin lies

    def stream(self, part: str) -> np.random.Generator:
        return stream(self.key, part)


def draw_skin(key: tuple[int, ...]) -> Skin:
    generator = stream(key, "skin")
    tone = generator.choice(len(TONES), p=TONE_CHANCES)
    freckled = generator.random() < 0.3
    return Skin(
        key=key,
        melanin=float(TONES[tone] * generator.lognormal(0, 0.15)),
        blood=float(generator.uniform(0.18, 0.6)),
        flush=float(generator.uniform(0.04, 0.16)),
        freckles=int(generator.integers(3, 14)) if freckled else int(generator.integers(0, 3)),
        mottled=float(generator.beta(1.2, 5) * 0.45),
    )


def skin_light(skin: Skin, lesion: Lesion, raster: Raster) -> np.ndarray:
    """Light (rows, columns, 3), linear, that comes back from the skin with the lesion in it."""
    axes = raster.axes()
    generator = skin.stream("texture")
    melanin = skin.melanin * (1 + skin.mottled * clouds(axes, generator, 1.4, 3))
    melanin = melanin + 0.035 * _furrows(axes, generator, raster)
    blood = skin.blood * (1 + skin.flush * clouds(axes, generator, 4.0, 2))
    blood = blood * (1 + 0.07 * clouds(axes, generator, 0.16, 2))
    melanin = np.maximum(melanin, 0.02) + _freckles(skin, raster, axes)
    extra, redness = pigment(lesion, raster)
    light = np.exp(-(melanin + extra)[..., None] * MELANIN - (blood + redness)[..., None] * BLOOD)
    return _veiled(lesion, raster, light)


def _furrows(
    axes: tuple[np.ndarray, np.ndarray], generator: np.random.Generator, raster: Raster
) -> np.ndarray:
    """The fine relief of the skin's surface: shallow furrows around small fields of uneven size."""
    drift = [0.2 * clouds(axes, generator, 0.8) for _ in range(2)]
    mosaic = cells(axes[0] + drift[0], axes[1] + drift[1], generator, max(0.4, 4 * raster.pixel))
    return np.exp(-((mosaic.border / 0.3) ** 2)) * (1 + 0.7 * clouds(axes, generator, 2.0))


def _freckles(skin: Skin, raster: Raster, axes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Small flat spots of pigment here and there, which are no lesion."""
    generator = skin.stream("freckles")
    half = raster.pixel * np.array(raster.shape) / 2
    total = np.zeros(raster.shape)
    for _ in range(skin.freckles):
        away, angles = polar(*axes, generator.uniform(-half, half))
        radius = generator.uniform(0.12, 0.55) * (1 + ripple(angles, generator, (2, 3, 5), 0.12))
        total += generator.uniform(0.06, 0.4) * np.clip(0.5 - (away - radius) / 0.35, 0, 1)
    return total


def _veiled(lesion: Lesion, raster: Raster, light: np.ndarray) -> np.ndarray:
    """Blue-white and scar-like areas within the lesion."""
    if not lesion.veil and not lesion.scar:
        return light
    axes = raster.axes()
    generator = lesion.stream("veil")
    inner = np.clip(-border(lesion, axes) / 0.7 - 0.2, 0, 1)
    size = lesion.lobes[0][2]
    for strength, colour, offset in ((lesion.veil, VEIL, 0.0), (lesion.scar, SCAR, 0.7)):
        patch = np.clip(0.5 + 0.6 * clouds(axes, generator, 0.5 * size, 2) - offset, 0, 1)
        light = light + (strength * inner * patch)[..., None] * (colour - light)
    return light
