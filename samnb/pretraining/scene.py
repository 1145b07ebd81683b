"""A canvas that remembers which region every visible pixel belongs to, and which belong together.

Regions are painted one over the other, so a later one hides what lies under it. An object is a
set of regions: a part is one region, a whole is its own region and those of all its parts.
"""

import cv2
import numpy as np

from samnb.pretraining.draws import between, chance, log_between
from samnb.pretraining.textures import random_texture, slope

MOST_REGIONS = 60


class Scene:
    """A picture in the making, (side, side) float32, with its owner map and its objects."""

    def __init__(self, rng: np.random.Generator, side: int):
        self.rng, self.side = rng, side
        self.canvas = np.zeros((side, side), np.float32)
        self.owner = np.zeros((side, side), np.uint8)  # 0 is the background
        self.regions = 1
        self.objects: list[list[int]] = []
        self.contrast = log_between(rng, 12, 80)  # grey levels, typical between neighbours
        self.roughness = between(rng, 0, 1) ** 2  # how strong textures are, by contrast
        self.softness = between(rng, 0, 1.2) if chance(rng, 0.7) else between(rng, 0, 2.5)

    @property
    def full(self) -> bool:
        """Whether the picture holds as many regions as it may."""
        return self.regions >= MOST_REGIONS

    def new_object(self) -> int:
        """Begin an object that has no regions yet; `paint` adds them."""
        self.objects.append([])
        return len(self.objects) - 1

    def level_beside(self, mask: np.ndarray, contrast: float) -> float:
        """A grey level `contrast` or more away from what is now in the mask, up or down."""
        here = cv2.mean(self.canvas, mask)[0]
        contrast = max(5.0, contrast * log_between(self.rng, 0.5, 1.8))
        up = chance(self.rng, 0.55)
        if not 0 <= here + (contrast if up else -contrast) <= 255:
            up = here < 128
        return min(max(here + (contrast if up else -contrast), 0.0), 255.0)

    def paint(self, mask: np.ndarray, level: float, objects: list[int]) -> None:
        """Cover the mask with a new region of this mean grey level, part of these objects."""
        x, y, width, height = cv2.boundingRect(mask)
        if width == 0 or self.regions > 254:
            return
        sigma = self.softness * self.side / 128
        if chance(self.rng, 0.3):
            sigma *= between(self.rng, 0, 2)
        rim = int(2 * sigma) + 1
        window = (
            slice(max(y - rim, 0), min(y + height + rim, self.side)),
            slice(max(x - rim, 0), min(x + width + rim, self.side)),
        )
        inside = mask[window]
        self._blend(window, inside, self._surface(inside.shape, level), sigma)
        np.putmask(self.owner[window], inside, self.regions)
        for number in objects:
            self.objects[number].append(self.regions)
        self.regions += 1

    def outline(self, mask: np.ndarray, level: float, width: int) -> None:
        """Draw the mask's inner rim, `width` pixels wide, in another grey; no region of its own."""
        rim = mask - cv2.erode(mask, None, iterations=width)
        whole = (slice(None), slice(None))
        self._blend(whole, rim, np.float32(level), 0.5 * self.softness)

    def _blend(
        self,
        window: tuple[slice, slice],
        inside: np.ndarray,
        surface: np.ndarray | np.float32,
        sigma: float,
    ) -> None:
        alpha = inside.astype(np.float32)
        if sigma > 0.3:
            alpha = cv2.GaussianBlur(alpha, (0, 0), min(sigma, 2.5))
        below = self.canvas[window]
        below += (surface - below) * alpha

    def _surface(self, shape: tuple[int, int], level: float) -> np.ndarray | np.float32:
        """What a region of this mean level looks like: flat, or with a slope, or a texture."""
        surface, height, width = np.float32(level), *shape
        if chance(self.rng, 0.25):
            steep = self.contrast * between(self.rng, 0, 0.8)
            surface = surface + slope(self.rng, height, width) * np.float32(steep)
        if chance(self.rng, 0.5):
            strength = self.contrast * self.roughness * log_between(self.rng, 0.1, 0.65)
            texture = random_texture(self.rng, height, width, self.side)
            surface = surface + texture * np.float32(strength)
        return surface

    def object_mask(self, number: int) -> np.ndarray:
        """The pixels of one object that can be seen, (side, side) bool."""
        table = np.zeros(256, np.uint8)
        table[self.objects[number]] = 1
        return cv2.LUT(self.owner, table).view(bool)
