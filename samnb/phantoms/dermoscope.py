"""A picture through a dermoscope: hairs, gel with bubbles, ruler, ink, and the instrument's light.

It knows the skin only as light that comes back from it.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from samnb.phantoms.picture import Raster, bend, blurred, clouds, strokes, to_bytes


@dataclass(frozen=True)
class Dermoscope:
    """How one picture is taken; lengths in mm."""

    gains: tuple[float, float, float]  # of red, green, blue: the light's and the camera's
    exposure: float
    tube: float  # radius of the round view; far over the picture's: none
    edge: float  # over which the view darkens at the tube
    dark: float  # light left outside the tube
    vignette: float
    blur: float
    noise: float
    hairs: int
    hair_width: float
    hair_light: float  # 0.03 black .. 0.5 fair
    bubbles: int
    polarised: bool  # no gel: no bubbles, no gloss
    ruler: bool
    ink: bool


def draw_dermoscope(generator: np.random.Generator, view: tuple[float, float]) -> Dermoscope:
    """Draw how a picture of `view` (height, width; mm) is taken."""
    round_view = generator.random() < 0.45
    half = np.hypot(*view) / 2
    polarised = bool(generator.random() < 0.4)
    warm = generator.normal(0, 0.09)
    hairy = generator.random() < 0.5
    return Dermoscope(
        gains=(1 + warm, 1.0, float(np.exp(-1.6 * warm + generator.normal(0.0, 0.1)))),
        exposure=float(generator.uniform(0.8, 1.22)),
        tube=float(half * generator.uniform(0.76, 0.97)) if round_view else 10 * half,
        edge=float(generator.uniform(0.1, 2.2)),
        dark=float(generator.uniform(0.0, 0.05)),
        vignette=float(generator.uniform(0.05, 0.5)),
        blur=float(generator.uniform(0.01, 0.05)),
        noise=float(generator.uniform(0.004, 0.014)),
        hairs=int(generator.integers(4, 32)) if hairy else int(generator.integers(0, 3)),
        hair_width=float(generator.uniform(0.035, 0.1)),
        hair_light=float(generator.choice([0.03, 0.08, 0.4], p=[0.5, 0.35, 0.15])),
        bubbles=0 if polarised else int(generator.choice([0, 3, 18], p=[0.4, 0.4, 0.2])),
        polarised=polarised,
        ruler=bool(generator.random() < 0.18),
        ink=bool(generator.random() < 0.07),
    )


def take(
    light: np.ndarray, scope: Dermoscope, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """uint8 (rows, columns, 3) of the skin's light (rows, columns, 3), linear."""
    light = light * (np.array(scope.gains) * scope.exposure * 0.92)
    light = _with_ink(light, scope, raster, generator)
    light = _with_hairs(light, scope, raster, generator)
    light = _with_gel(light, scope, raster, generator)
    light = blurred(light, scope.blur / raster.pixel)
    light = _with_ruler(light, scope, raster, generator)
    y, x = raster.axes()
    off = generator.normal(0, 0.06, 2) * raster.pixel * min(raster.shape)
    away = np.hypot(y - off[0], x - off[1])
    reach = raster.pixel * np.hypot(*raster.shape) / 2
    light = light * (1 - scope.vignette * (away / reach) ** 2.4)[..., None]
    seen = np.clip(0.5 - (away - scope.tube) / max(scope.edge, raster.pixel), 0, 1)
    light = light * (scope.dark + (1 - scope.dark) * seen)[..., None]
    light = light * (1 + scope.noise * generator.normal(size=light.shape))
    return to_bytes(light + 0.25 * scope.noise * generator.normal(size=light.shape))


def _with_hairs(
    light: np.ndarray, scope: Dermoscope, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """Hairs grow one way by and large, and bend as they like."""
    half = raster.pixel * np.array(raster.shape) / 2
    way = generator.uniform(0, 2 * np.pi)
    lines = []
    for _ in range(scope.hairs):
        start = generator.uniform(-1.1 * half, 1.1 * half)
        heading = way + generator.normal(0, 0.45)
        path = bend(start, heading, generator.uniform(2.5, 11), generator, 0.5)
        width = scope.hair_width * generator.uniform(0.6, 1.3)
        lines.append(np.column_stack([path, width * np.linspace(1, 0.5, len(path))]))
    share = 0.92 * strokes(raster, lines)[..., None]
    colour = scope.hair_light * np.array([1.0, 0.75, 0.5])
    return light + share * (colour - light)


def _with_gel(
    light: np.ndarray, scope: Dermoscope, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """Bubbles as bright rings with a dark side, and the gloss of scales under the glass."""
    y, x = raster.axes()
    half = raster.pixel * np.array(raster.shape) / 2
    nest = generator.uniform(-half, half)
    for _ in range(scope.bubbles):
        lone = generator.random() < 0.4
        centre = generator.uniform(-half, half) if lone else generator.normal(nest, 1.2)
        radius = float(np.clip(generator.lognormal(-1.6, 0.5), 0.07, 0.7))
        away = np.hypot(y - centre[0], (x - centre[1]) * generator.uniform(0.7, 1.3))
        ring = np.exp(-(((away - radius) / max(0.035, 0.7 * raster.pixel)) ** 2))
        lit = np.clip(0.5 - (y - centre[0] + x - centre[1]) / (2.5 * radius), 0, 1)
        light = light * (1 - 0.4 * ring * (1 - lit))[..., None] + (0.5 * ring * lit)[..., None]
    if not scope.polarised:
        scales = np.clip(clouds((y, x), generator, (0.05, 0.13)) - 2.7, 0, 1)
        where = np.clip(clouds((y, x), generator, 2.5) - 0.4, 0, 1)
        light = light + (0.9 * scales * where)[..., None]
    return light


def _with_ink(
    light: np.ndarray, scope: Dermoscope, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """Marks of a surgeon's violet pen at the border of the picture."""
    if not scope.ink:
        return light
    half = raster.pixel * np.array(raster.shape) / 2
    lines = []
    for _ in range(int(generator.integers(1, 3))):
        angle = generator.uniform(0, 2 * np.pi)
        start = 0.92 * half * np.array([np.sin(angle), np.cos(angle)])
        path = bend(start, angle + np.pi / 2, generator.uniform(2, 4), generator, 0.4)
        lines.append(np.column_stack([path, np.full(len(path), generator.uniform(0.35, 0.6))]))
    share = blurred(strokes(raster, lines), 0.06 / raster.pixel)
    share = share * np.clip(0.75 + 0.25 * clouds(raster.axes(), generator, 0.2), 0, 1)
    return light * np.exp(-share[..., None] * np.array([1.6, 2.2, 0.7]))


def _with_ruler(
    light: np.ndarray, scope: Dermoscope, raster: Raster, generator: np.random.Generator
) -> np.ndarray:
    """A scale along one edge: a tick each millimetre, a longer one and a number at each fifth."""
    if not scope.ruler:
        return light
    height, width = raster.pixel * np.array(raster.shape)
    upright = bool(generator.random() < 0.4)
    length, across = (height, width) if upright else (width, height)
    base = across / 2 - generator.uniform(0.1, 0.5)
    first = generator.uniform(-length / 2, -length / 2 + 1)
    lines, numbers = [], []
    for tick in range(int(length) + 1):
        along = first + tick
        tall = 1.0 if tick % 5 == 0 else 0.55
        ends = np.array([[base, along], [base - tall, along]])
        ends = ends[:, ::-1] if upright else ends
        lines.append(np.column_stack([ends, [0.07, 0.07]]))
        if tick % 10 == 0:
            numbers.append((ends[1], tick // 10))
    share = strokes(raster, lines)
    written = np.zeros(raster.shape, np.uint8)
    scale = 0.025 / raster.pixel
    for (y, x), number in numbers:
        row = int((y + height / 2 - 0.2) / raster.pixel)
        column = int((x + width / 2 + 0.15) / raster.pixel)
        cv2.putText(written, str(number), (column, row), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1,
                    cv2.LINE_AA)  # fmt: skip
    share = np.maximum(share, written / 255)[..., None]
    return light * (1 - 0.9 * share)
