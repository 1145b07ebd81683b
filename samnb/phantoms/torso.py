"""The trunk: skin, the muscle wall, the cavity inside it, the diaphragm.

Around a vertical axis every surface is a radius that depends on angle and height. The frame of
the standard body: z = 0 at the middle of the first lumbar vertebra, x = y = 0 at its centre.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from samnb.phantoms.anatomy import Patient
from samnb.phantoms.fields import Field, Grid, smooth_maximum, waves

BOTTOM, TOP = -350.0, 270.0

# Outer surface of the muscles: height, half width, half depth, y of the axis (mm).
FASCIA = np.array(
    [
        (-360, 166, 100, -22),
        (-300, 166, 106, -20),
        (-240, 160, 108, -18),
        (-180, 149, 102, -25),
        (-110, 139, 98, -34),
        (-50, 137, 101, -38),
        (20, 143, 108, -40),
        (80, 149, 115, -40),
        (140, 153, 119, -38),
        (200, 151, 114, -32),
        (280, 150, 99, -20),
    ],
    float,
)

FASCIA_AT = PchipInterpolator(FASCIA[:, 0], FASCIA[:, 1:3])


def _bump(angle: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A bell around an angle (radians), symmetric to both sides of the body."""
    return np.exp(-(((np.abs(angle) - centre) / width) ** 2))


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Torso:
    """Fields of the trunk (all negative inside) and its radii as functions."""

    patient: Patient
    skin: Field
    fascia: Field
    cavity: Field
    diaphragm: Field  # negative below: in the abdomen

    def wall_point(self, angle: float, z: float, outside: float) -> tuple[float, float, float]:
        """The point (z, y, x) `outside` mm beyond the cavity at an angle from the back."""
        angle, z = np.array(angle), np.array(z)
        radius = fascia_radius(self.patient, angle, z) - wall(angle, z) + outside
        centre = float(np.interp(z, FASCIA[:, 0], FASCIA[:, 3]))
        return float(z), float(centre + radius * np.cos(angle)), float(radius * np.sin(angle))


def fascia_radius(patient: Patient, angle: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Radius (mm) of the outer muscle surface; the angle is 0 at the back, pi in front."""
    width, depth = np.moveaxis(FASCIA_AT(z), -1, 0)
    belly = np.exp(-(((z + 70) / 95) ** 2)) * patient.visceral
    depth = depth + (np.cos(angle) < 0) * (-np.cos(angle)) * (34 * belly - 8)
    width = width + 14 * belly
    power = 2.35
    x, y = np.abs(np.sin(angle)) / width, np.abs(np.cos(angle)) / depth
    radius = (x**power + y**power) ** (-1 / power)
    return radius - 5 * np.exp(-((angle / 0.12) ** 2))  # the furrow over the spine


def wall(angle: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Thickness (mm) between the cavity and the outer surface of the muscles."""
    side = np.abs(angle)
    front = np.pi - side  # 0 at the front midline
    rectus = 11 * np.sqrt(np.clip(1 - ((front - 0.30) / 0.31) ** 2, 0, 1))
    flank = 17 * _step(front, 0.5, 0.95)
    belly = 3.0 + np.maximum(rectus, flank) + 5 * _bump(angle, 0.5, 0.4)
    chest = 13 + 9 * _bump(angle, 0.75, 0.5) + 3 * _bump(angle, 1.7, 0.4)
    chest = chest + 8 * _step(z, 130, 220) * _bump(angle, 2.5, 0.35)
    share = _step(z + 38 * _step(side, 2.7, 1.2), 20, 62)
    pelvis = _step(-z, 95, 230) * (55 * np.sin(side) ** 2 + 12 * _bump(angle, 0.6, 0.6))
    return belly * (1 - share) + chest * share + pelvis


def fat(patient: Patient, angle: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Thickness (mm) of skin and subcutaneous fat."""
    side = np.abs(angle)
    share = 0.8 + 0.45 * _bump(angle, 0.55, 0.45) + 0.25 * _bump(angle, np.pi, 0.9)
    share = share - 0.25 * _bump(angle, 1.75, 0.5) + 0.8 * _step(-z, 60, 240)
    share = share * (1 - 0.45 * _step(z, 10, 150))
    thick = 2.5 + patient.fat * share
    if patient.female:
        breast = np.exp(-(((z - 185) / 42) ** 2)) * _bump(angle, np.pi - 0.72, 0.34)
        thick = thick + (18 + 1.3 * patient.fat) * breast
    buttock = _step(-z, 190, 290) * _bump(angle, 0.62, 0.42)
    cleft = _step(-z, 200, 300) * np.exp(-((side / 0.13) ** 2))
    return thick + (14 + 0.6 * patient.fat) * buttock - 0.7 * thick * cleft


def dome(patient: Patient, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Height (mm) of the diaphragm over (y, x)."""
    generator = patient.stream("diaphragm")
    breath = generator.normal(0, 8)
    right = 116 + breath + generator.normal(0, 4)
    left = right - generator.normal(13, 5)

    def half(top: float, cy: float, cx: float, inner: float) -> np.ndarray:
        across = (x - cx) / np.where((x - cx) * cx > 0, 82.0, inner)
        along = (y - cy) / np.where(y > cy, 92.0, 118.0)
        return top - 84 * (across**2 + along**2) ** 1.15

    tendon = left - 8 - 60 * (((x - 12) / 95) ** 2 + ((y + 72) / 80) ** 2)
    halves = smooth_maximum(half(right, -42, -72, 95), half(left, -34, 76, 90), 12)
    return smooth_maximum(halves, tendon, 14).astype(np.float32)


def make_torso(patient: Patient) -> Torso:
    grid = Grid.around((BOTTOM, -225, -255), (TOP, 170, 255), (6.0, 3.5, 3.5))
    z, y, x = grid.axes()
    centre = np.interp(z, FASCIA[:, 0], FASCIA[:, 3]).astype(np.float32)
    heights = z.ravel()
    angles = np.linspace(-np.pi, np.pi, 361)
    table = {
        "fascia": fascia_radius(patient, angles[None], heights[:, None]),
        "wall": wall(angles[None], heights[:, None]),
        "fat": fat(patient, angles[None], heights[:, None]),
    }
    offset = y - centre
    radius = np.sqrt(offset * offset + x * x)
    place = (np.arctan2(np.broadcast_to(x, radius.shape), offset) + np.pi) * (180 / np.pi)
    low = np.minimum(place.astype(np.int32), 359)
    share = (place - low).astype(np.float32)

    def around(name: str) -> np.ndarray:
        rows = np.arange(len(heights))[:, None, None]
        values = table[name].astype(np.float32)
        return values[rows, low] * (1 - share) + values[rows, low + 1] * share

    generator = patient.stream("torso")
    bend = waves((z, y, x), generator, (180, 420), 2.2)
    fascia = radius - around("fascia") - bend
    skin = fascia - around("fat") - 0.6 * waves((z, y, x), generator, (120, 300), 1.6)
    cavity = fascia + around("wall")
    height = dome(patient, y, x)
    slope_y, slope_x = np.gradient(height[0], grid.step[1], grid.step[2])
    slope = np.sqrt(1 + slope_y**2 + slope_x**2)
    ripple = waves((z, y, x), patient.stream("diaphragm ripple"), (60, 140), 2.0)
    below = (z - height + ripple) / slope
    return Torso(
        patient, *(Field(grid, v.astype(np.float32)) for v in (skin, fascia, cavity, below))
    )
