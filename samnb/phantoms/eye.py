"""The back of an eye: macula, optic disc with its cup, and the two trees of retinal vessels.

Places are (y, x) in mm on the retina from the fovea, y downwards and x towards the nose: the disc
lies at positive x. A left eye is seen the other way round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samnb.phantoms.picture import ellipse_radius, ripple, stream

FOVEA = (0.0, 0.0)
TEMPORAL = np.pi  # the direction from the disc to the fovea
LARGEST_CUP = 0.93  # of the disc's radius: some rim is always left
AVASCULAR = 0.45  # mm around the fovea without vessels


@dataclass(frozen=True)
class Eye:
    """One eye; lengths in mm."""

    key: tuple[int, ...]
    right: bool
    glaucoma: bool
    disc: tuple[float, float]  # its centre
    disc_radii: tuple[float, float]  # along y and x
    disc_turn: float  # radians
    cup_share: float  # of the disc's radius, mean over all directions
    cup_shift: float  # by how much of that it leans to the fovea
    cup_tall: float  # more above and below than at the sides
    notch: tuple[float, float]  # direction, depth: where the rim is lost
    slope: float  # mm over which the rim falls to the cup's floor
    pallor: float  # 0: the rim is pink .. 1: as pale as the cup
    melanin: float  # pigment behind the retina, 0.5 fair .. 1.5 dark
    tessellated: float  # how far the choroid's vessels show through
    atrophy: tuple[float, float]  # beside the disc: width (mm), direction
    age: int

    def stream(self, part: str) -> np.random.Generator:
        return stream(self.key, part)


def draw_eye(key: tuple[int, ...], glaucoma: float) -> Eye:
    """Draw an eye, a pure function of `key` (seed, cohort, number); `glaucoma`: its chance."""
    generator = stream(key, "eye")
    ill = bool(generator.random() < glaucoma)
    tall = float(np.clip(generator.normal(0.94, 0.1), 0.72, 1.2))
    share = generator.normal(0.68, 0.08) if ill else generator.normal(0.4, 0.1)
    notch = float(generator.choice([-1, 1], p=[0.35, 0.65])) * generator.uniform(0.32, 0.45) * np.pi
    melanin = float(np.clip(generator.normal(0.95, 0.25), 0.45, 1.6))
    return Eye(
        key=key,
        right=bool(generator.random() < 0.5),
        glaucoma=ill,
        disc=(float(generator.normal(-0.35, 0.25)), float(generator.normal(4.4, 0.22))),
        disc_radii=(tall, tall * float(generator.uniform(0.83, 1.0))),
        disc_turn=float(generator.normal(0, 0.2)),
        cup_share=float(np.clip(share, 0.54, 0.86) if ill else np.clip(share, 0.2, 0.58)),
        cup_shift=float(generator.uniform(0.04, 0.2)),
        cup_tall=float(generator.normal(0.07 if ill else -0.03, 0.04)),
        notch=(TEMPORAL + notch, float(ill * generator.choice([0, 0.1, 0.2, 0.3]))),
        slope=float(generator.uniform(0.06, 0.32)),
        pallor=float(np.clip(generator.beta(1.8, 2.8) + 0.12 * ill, 0, 0.85)),
        melanin=melanin,
        tessellated=float(np.clip(generator.normal(1.0 - 0.7 * melanin, 0.3), 0, 1)),
        atrophy=(
            float(generator.uniform(0.15, 0.75) * (generator.random() < 0.3 + 0.25 * ill)),
            float(TEMPORAL + generator.normal(0, 0.5)),
        ),
        age=int(generator.integers(22, 84)),
    )


def disc_edge(eye: Eye, angles: np.ndarray) -> np.ndarray:
    """Radius (mm) of the disc in the direction of `angles` from its centre."""
    uneven = ripple(angles, eye.stream("disc"), (2, 3, 4), 0.02)
    return ellipse_radius(angles, eye.disc_radii, eye.disc_turn) * (1 + uneven)


def cup_edge(eye: Eye, angles: np.ndarray) -> np.ndarray:
    """Radius (mm) of the cup, from the disc's centre, always within the disc."""
    away = np.angle(np.exp(1j * (angles - eye.notch[0])))
    share = eye.cup_share * (
        1
        + eye.cup_shift * np.cos(angles - TEMPORAL)
        - eye.cup_tall * np.cos(2 * angles)
        + ripple(angles, eye.stream("cup"), (2, 3, 4), 0.025)
    )
    share = share + eye.notch[1] * np.exp(-((away / 0.4) ** 2))
    return disc_edge(eye, angles) * np.clip(share, 0.12, LARGEST_CUP)


@dataclass(frozen=True)
class Vessel:
    """A stretch of a vessel: rows of y, x, width (mm)."""

    vein: bool
    path: np.ndarray


def grow_vessels(eye: Eye) -> list[Vessel]:
    """Arteries and veins: a trunk of each in four quadrants, their branches, and twigs at the rim.

    Veins are wider, as 3 to 2. Temporal trunks arch over the macula, nasal ones run off.
    """
    found: list[Vessel] = []
    for vein in (False, True):
        generator = eye.stream("veins" if vein else "arteries")
        root = generator.normal(np.add(eye.disc, (0, 0.06 if vein else 0.16)), (0.06, 0.04))
        for up in (-1, 1):
            for nasal in (False, True):
                trunk = _trunk(generator, root, up, nasal, vein)
                found += _with_branches(generator, trunk, vein, depth=2)
        for _ in range(int(generator.integers(1, 3))):
            heading = TEMPORAL + generator.uniform(-0.6, 0.6)
            found += _walk(generator, root, heading, 0.05, generator.uniform(2.5, 3.6), vein, 0)
    return found


def _trunk(
    generator: np.random.Generator, root: np.ndarray, up: int, nasal: bool, vein: bool
) -> np.ndarray:
    """One of the eight main vessels: up or down first, then along its arcade."""
    along = np.linspace(0, 3.6, 70)
    if nasal:
        wide = generator.uniform(0.55, 0.95)
        x = wide * along**2 / (along + 0.8)
        y = generator.uniform(0.65, 0.9) * along
    else:
        height = generator.uniform(3.1, 3.7) + (0.35 if vein else 0.0)
        x = -(along**2)
        y = height * along / np.sqrt(along**2 + generator.uniform(0.9, 1.7))
        y = y * (1 - generator.uniform(0.015, 0.045) * along**2)  # back to the horizon
    turns, phase = generator.uniform(1.2, 2.6), generator.uniform(0, 2 * np.pi)
    sway = 0.05 * along * np.sin(turns * along + phase) * (1.6 if vein else 1.0)
    width = (0.175 if vein else 0.125) * generator.uniform(0.85, 1.1) * (0.75 if nasal else 1.0)
    return np.stack(
        [root[0] + up * (y + sway), root[1] + x + 0.6 * sway, width * (1 - 0.15 * along)], axis=1
    )


def _with_branches(
    generator: np.random.Generator, path: np.ndarray, vein: bool, depth: int
) -> list[Vessel]:
    """A vessel and what leaves it, to both sides in turn."""
    found = [Vessel(vein, path)]
    if depth == 0:
        return found
    travelled = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path[:, :2], axis=0).T))])
    at, side = generator.uniform(0.9, 1.6), generator.choice([-1, 1])
    while at < travelled[-1] - 0.3:
        index = int(np.searchsorted(travelled, at))
        step = path[index] - path[index - 1]
        heading = np.arctan2(step[0], step[1]) + side * generator.uniform(0.5, 1.15)
        width = path[index, 2] * generator.uniform(0.45, 0.75)
        length = generator.uniform(1.4, 4.5) * (1.0 if depth == 2 else 0.5)
        if depth == 2 and len(found) == 1:  # the trunk itself divides first
            heading, width, length = heading - 0.4 * side, 0.85 * path[index, 2], 6.0
        found += _walk(generator, path[index, :2], heading, width, length, vein, depth - 1)
        side, at = -side, at + generator.uniform(0.5, 1.9)
    return found


def _walk(
    generator: np.random.Generator,
    start: Sequence[float],
    heading: float,
    width: float,
    length: float,
    vein: bool,
    depth: int,
) -> list[Vessel]:
    """A branch that wanders, bends towards the macula if near, and ends before the fovea."""
    step, here, bent = 0.13, np.array(start, float), 0.0
    rows = [(*here, width)]
    count = max(int(length / step), 2)
    for index in range(count):
        bent = 0.75 * bent + generator.normal(0, 0.042)
        away = float(np.hypot(*here))
        pull = np.arctan2(-here[0], -here[1]) - heading
        if away < 4.0:
            bent += 0.014 * np.sin(pull)
        heading = heading + bent
        here = here + step * np.array([np.sin(heading), np.cos(heading)])
        if away < AVASCULAR + 0.15:
            break
        rows.append((*here, width * (1 - 0.6 * index / count)))
    path = np.array(rows)
    if len(path) < 3:
        return []
    return _with_branches(generator, path, vein, depth)
