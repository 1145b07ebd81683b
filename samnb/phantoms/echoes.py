"""Echoes of tissues before any beam meets them, and the painter that lays one over another."""

from dataclasses import dataclass

import numpy as np

from samnb.phantoms.picture import Raster, clouds

# Echo level (dB against thyroid), unevenness of it (dB), excess attenuation (dB per mm).
TISSUES = {
    "skin": (7.0, 1.0, 0.0),
    "fat": (-7.0, 3.5, -0.02),
    "muscle": (-13.0, 3.0, 0.03),
    "connective": (1.0, 3.5, 0.05),
    "thyroid": (0.0, 1.2, 0.0),
    "vessel": (-36.0, 0.0, -0.12),
    "gullet": (-9.0, 3.0, 0.05),
    "cartilage": (-15.0, 1.5, 0.35),
    "air": (-26.0, 2.0, 2.4),
    "deep": (-5.0, 4.5, 0.06),
}


@dataclass
class Echoes:
    """The picture before the beam: on every pixel (rows, columns)."""

    level: np.ndarray  # dB against the thyroid
    taken: np.ndarray  # dB per mm beyond the mean
    glint: np.ndarray  # dB that smooth faces across the beam add


class Painter:
    """Puts one tissue over another, each with its own unevenness."""

    def __init__(self, raster: Raster, echoes: Echoes, generator: np.random.Generator):
        self.raster, self.echoes, self.generator = raster, echoes, generator

    def noise(self, length: float | tuple[float, float], octaves: int = 1) -> np.ndarray:
        return clouds(self.raster.axes(), self.generator, length, octaves)

    def paint(
        self,
        tissue: str,
        distance: np.ndarray,
        more: np.ndarray | float = 0.0,
        soft: float = 0.25,
        glint: float = 0.0,
    ) -> np.ndarray:
        """Paint a tissue where `distance` is negative, `more` dB brighter; its face may glint."""
        level, uneven, taken = TISSUES[tissue]
        share = self.raster.inside(distance, soft)
        grain = uneven * self.noise((0.9, 2.2), 2) if uneven else 0.0
        echoes = self.echoes
        echoes.level += share * (level + grain + more - echoes.level)
        echoes.taken += share * (taken - echoes.taken)
        if glint:
            self.shine(distance, glint)
        return share

    def shine(self, distance: np.ndarray, glint: float, width: float = 0.22) -> None:
        """A face is bright where it lies across the beam."""
        slope = np.gradient(distance)
        flat = np.abs(slope[0]) / np.maximum(np.hypot(*slope), 1e-9)
        sheet = np.exp(-((distance / max(width, self.raster.pixel)) ** 2)) * flat**6
        patchy = np.clip(0.75 + 0.5 * self.noise((1.0, 3.0)), 0, 1.6)
        np.maximum(self.echoes.glint, glint * sheet * patchy, out=self.echoes.glint)
