"""The space that bodies are drawn in: bent, and squeezed where planes are thick."""

import numpy as np
import torch
from torch.nn import functional as F

from samnb.pretraining.draws import between, chance

Voxel = tuple[int, int, int]
Window = tuple[slice, slice, slice]

MOST_BENDING = 0.08  # of the side


def smooth_noise(rng: np.random.Generator, side: int, cell: float) -> np.ndarray:
    """Noise (S, S, S) float32 of unit spread whose bumps are about `cell` voxels wide."""
    count = max(2, round(side / cell) + 1)
    coarse = rng.standard_normal((count, count, count), dtype=np.float32)
    if count >= side:
        return coarse[:side, :side, :side]
    whole = torch.from_numpy(coarse)[None, None]
    noise = F.interpolate(whole, (side,) * 3, mode="trilinear", align_corners=True)[0, 0].numpy()
    return noise / max(float(noise.std()), 1e-6)


class Space:
    """Where each voxel stands, as shares of the side: places (3, S, S, S) float32, (z, y, x)."""

    def __init__(self, rng: np.random.Generator, side: int):
        self.rng, self.side = rng, side
        middles = (np.arange(side, dtype=np.float32) + 0.5) / side
        self.places = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"))
        if chance(rng, 0.6):  # planes farther apart than voxels of a row: bodies look flat
            self.places[0] = 0.5 + (self.places[0] - 0.5) * between(rng, 1, 2.5)
        self.bending = MOST_BENDING * between(rng, 0, 1) ** 2
        if self.bending > 0.005:
            cell = side * between(rng, 0.2, 0.5)
            for axis in range(3):
                self.places[axis] += self.bending * smooth_noise(rng, side, cell)

    def around(self, voxel: Voxel, reach: float) -> Window:
        """The window of all voxels that may be within `reach` (a share of the side) of a voxel."""
        steps = int((reach + 4 * self.bending) * self.side) + 2
        return tuple(slice(max(0, i - steps), i + steps + 1) for i in voxel)

    def offsets(self, voxel: Voxel, window: Window) -> np.ndarray:
        """From a voxel's place to those of a window: (3, d, h, w)."""
        return self.places[:, *window] - self.places[:, *voxel][:, None, None, None]

    def random_voxel(self, inside: np.ndarray | None = None) -> Voxel:
        """Any voxel, or one of a mask (S, S, S) bool, which must not be empty."""
        if inside is None:
            return tuple(int(i) for i in (self.rng.random(3) * self.side))
        voxels = np.flatnonzero(inside)
        chosen = voxels[int(self.rng.random() * len(voxels))]
        return tuple(int(i) for i in np.unravel_index(chosen, inside.shape))
