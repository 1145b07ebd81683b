"""A volume that remembers which region every voxel belongs to, and which belong together.

As `samnb.pretraining.scene` in two dimensions: regions are painted one over the other, and an
object is a set of regions, so that a whole is made of its parts.
"""

import numpy as np
from scipy import ndimage

from samnb.pretraining.draws import between, chance, log_between
from samnb.pretraining.volumes.space import Space, smooth_noise

MOST_REGIONS = 40


class Scene:
    """A volume in the making: canvas (S, S, S) float32, owner (S, S, S) uint8, objects."""

    def __init__(self, rng: np.random.Generator, side: int):
        self.rng, self.side = rng, side
        self.space = Space(rng, side)
        self.canvas = np.zeros((side,) * 3, np.float32)
        self.owner = np.zeros((side,) * 3, np.uint8)  # 0 is the background
        self.regions = 1
        self.objects: list[list[int]] = []
        self.contrast = log_between(rng, 10, 80)  # grey levels, typical between neighbours
        self.roughness = between(rng, 0, 1) ** 2  # how strong textures are, by contrast
        self.textures = [_texture(self.space) for _ in range(2)]

    @property
    def full(self) -> bool:
        """Whether the volume holds as many regions as it may."""
        return self.regions >= MOST_REGIONS

    def new_object(self) -> int:
        """Begin an object that has no regions yet; `paint` adds them."""
        self.objects.append([])
        return len(self.objects) - 1

    def level_beside(self, mask: np.ndarray, contrast: float) -> float:
        """A grey level `contrast` or so away from what is now in the mask, up or down."""
        here = float(self.canvas[mask].mean())
        contrast = max(5.0, contrast * log_between(self.rng, 0.5, 1.8))
        up = chance(self.rng, 0.55)
        if not 0 <= here + (contrast if up else -contrast) <= 255:
            up = here < 128
        return min(max(here + (contrast if up else -contrast), 0.0), 255.0)

    def paint(self, mask: np.ndarray, level: float, objects: list[int]) -> None:
        """Cover the mask with a new region of this mean grey level, part of these objects."""
        if self.full or not mask.any():
            return
        self.canvas[mask] = level
        if chance(self.rng, 0.5):
            texture = self.textures[int(self.rng.random() * len(self.textures))]
            strength = self.contrast * self.roughness * log_between(self.rng, 0.1, 0.65)
            self.canvas[mask] += np.float32(strength) * texture[mask]
        self.owner[mask] = self.regions
        for number in objects:
            self.objects[number].append(self.regions)
        self.regions += 1

    def object_mask(self, number: int) -> np.ndarray:
        """The voxels of one object that can be seen, (S, S, S) bool."""
        table = np.zeros(256, bool)
        table[self.objects[number]] = True
        return table[self.owner]

    def photograph(self) -> np.ndarray:
        """The volume as a scanner gives it, (S, S, S) uint8: thick planes, uneven light, noise."""
        rng, image = self.rng, self.canvas
        softness = between(rng, 0, 1)
        if softness > 0.3:
            image = ndimage.gaussian_filter(image, softness)
        if chance(rng, 0.4):
            image = _thick_planes(image, int(between(rng, 2, 5)))
        if chance(rng, 0.5):
            light = smooth_noise(rng, self.side, self.side * between(rng, 0.4, 1))
            image = image * (1 + np.float32(between(rng, 0, 0.15)) * light)
        spread = self.contrast * between(rng, 0, 0.8) ** 2 + between(rng, 0, 2)
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(spread)
        return np.clip(image + noise, 0, 255).astype(np.uint8)


def _thick_planes(image: np.ndarray, planes: int) -> np.ndarray:
    """Means of so many planes, interpolated back to as many as there were."""
    thick = ndimage.uniform_filter1d(image, planes, axis=0)[planes // 2 :: planes]
    places = (np.arange(len(image)) - planes // 2) / planes
    low = np.clip(np.floor(places).astype(int), 0, len(thick) - 1)
    high = np.minimum(low + 1, len(thick) - 1)
    share = np.clip(places - low, 0, 1).astype(np.float32)[:, None, None]
    return thick[low] * (1 - share) + thick[high] * share


def _texture(space: Space) -> np.ndarray:
    """Smooth noise of one or two scales, stripes, or grains: (S, S, S) float32 around zero."""
    rng, side = space.rng, space.side
    kind = rng.random()
    if kind < 0.5:
        return smooth_noise(rng, side, log_between(rng, 0.02, 0.3) * side)
    if kind < 0.7:
        fine = smooth_noise(rng, side, log_between(rng, 0.02, 0.06) * side)
        return (smooth_noise(rng, side, log_between(rng, 0.1, 0.3) * side) + fine) * 0.7
    if kind < 0.85:  # layers
        frequency = 2 * np.pi / log_between(rng, 0.08, 0.4)
        course = rng.standard_normal(3).astype(np.float32)
        course *= np.float32(frequency) / np.linalg.norm(course)
        return np.sin(np.tensordot(course, space.places, axes=1))
    grains = smooth_noise(rng, side, log_between(rng, 0.02, 0.06) * side)
    return grains**3 * np.float32(0.4)
