"""Generic bodies: rounded boxes, lumps, tubes, trees of tubes, half spaces. Never organs.

Each is a mask (S, S, S) bool around a voxel. Sizes are shares of the volume or of its side.
"""

import numpy as np

from samnb.pretraining.draws import between, chance, count_between, log_between
from samnb.pretraining.volumes.space import Space, Voxel, smooth_noise

STEPS = 24  # balls that make a tube


def random_body(space: Space, voxel: Voxel, share: float) -> np.ndarray:
    """A body that fills about this share of the volume."""
    kind = space.rng.random()
    if kind < 0.45:
        return rounded(space, voxel, share)
    if kind < 0.75:
        return lump(space, voxel, share)
    if kind < 0.93:
        return tube(space, voxel, share)
    return tree(space, voxel, share)


def _rotation(rng: np.random.Generator) -> np.ndarray:
    """A random rotation or reflection (3, 3) float32."""
    return np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)


def _radii(rng: np.random.Generator, share: float, stretch: float) -> np.ndarray:
    """Three half axes (3,) of an ellipsoid of this share of the volume."""
    shape = np.array([log_between(rng, 1 / stretch, stretch) for _ in range(3)], np.float32)
    return shape / np.cbrt(shape.prod()) * np.float32(np.cbrt(share * 3 / (4 * np.pi)))


def rounded(space: Space, voxel: Voxel, share: float) -> np.ndarray:
    """From an octahedron over an ellipsoid to a box, turned at random."""
    rng = space.rng
    radii, power = _radii(rng, share, 1.8), log_between(rng, 1.3, 5)
    window = space.around(voxel, float(radii.max()) * 1.5)
    offsets = space.offsets(voxel, window)
    turned = np.tensordot(_rotation(rng), offsets, axes=1) / radii[:, None, None, None]
    return _placed(space, window, (np.abs(turned) ** np.float32(power)).sum(axis=0) < 1)


def lump(space: Space, voxel: Voxel, share: float) -> np.ndarray:
    """An ellipsoid whose surface is rough or lobed."""
    rng = space.rng
    radii = _radii(rng, share, 1.6)
    window = space.around(voxel, float(radii.max()) * 1.6)
    offsets = space.offsets(voxel, window)
    turned = np.tensordot(_rotation(rng), offsets, axes=1) / radii[:, None, None, None]
    cell = space.side * float(radii.mean()) * log_between(rng, 0.4, 1.5)
    noise = smooth_noise(rng, space.side, max(2.0, cell))[window]
    return _placed(space, window, (turned**2).sum(axis=0) + between(rng, 0.1, 0.6) * noise < 1)


def tube(space: Space, voxel: Voxel, share: float) -> np.ndarray:
    """A bent tube through a voxel, as long as 3 to 12 of its widths."""
    rng = space.rng
    slender = between(rng, 3, 12)
    radius = max(np.cbrt(share / (2 * np.pi * slender)), 1.2 / space.side)
    mask = np.zeros((space.side,) * 3, bool)
    _grow(space, mask, np.array(voxel, float), _direction(rng), radius, 2 * slender * radius)
    return mask


def tree(space: Space, voxel: Voxel, share: float) -> np.ndarray:
    """A tube that forks, and whose branches may fork again."""
    rng = space.rng
    radius = max(np.cbrt(share / 60), 1.5 / space.side)
    mask = np.zeros((space.side,) * 3, bool)
    tips = [(np.array(voxel, float), _direction(rng), radius)]
    for _ in range(count_between(rng, 2, 4)):
        grown = []
        for start, course, width in tips:
            end, last = _grow(space, mask, start, course, width, width * between(rng, 6, 12))
            if width * space.side > 1.2:
                grown += [(end, last + _direction(rng), width * 0.75) for _ in range(2)]
        tips = grown
    return mask


def half_space(space: Space) -> np.ndarray:
    """All on one side of a bent plane."""
    normal = _direction(space.rng).astype(np.float32)
    height = np.tensordot(normal, space.places - np.float32(0.5), axes=1)
    return height > between(space.rng, -0.3, 0.3)


def cells(space: Space, inside: np.ndarray, number: int) -> np.ndarray:
    """Which of so many cells each voxel belongs to: (S, S, S); they touch everywhere."""
    best = np.full(inside.shape, np.inf, np.float32)
    owner = np.zeros(inside.shape, np.uint8)
    for cell in range(number):
        place = space.places[:, *space.random_voxel(inside)]
        distance = ((space.places - place[:, None, None, None]) ** 2).sum(axis=0)
        owner[distance < best] = cell
        np.minimum(best, distance, out=best)
    return owner


def _direction(rng: np.random.Generator) -> np.ndarray:
    course = rng.standard_normal(3)
    return course / np.linalg.norm(course)


def _grow(
    space: Space,
    mask: np.ndarray,
    start: np.ndarray,
    course: np.ndarray,
    radius: float,
    length: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay balls along a curve from `start` (a voxel) on; returns where it ends and its course.

    radius, length: shares of the side. A ball is round in the bent and squeezed space.
    """
    rng, side = space.rng, space.side
    steps = min(STEPS, max(2, int(length / (0.6 * radius))))
    course, turn = course / np.linalg.norm(course), _direction(rng) * between(rng, 0, 0.35)
    narrowing = between(rng, 0.6, 1) if chance(rng, 0.5) else 1.0
    place = start.copy()
    for step in range(steps):
        voxel = tuple(int(i) for i in place)
        if not all(0 <= i < side for i in voxel):
            break
        width = radius * narrowing ** (step / steps)
        window = space.around(voxel, width)
        distance = (space.offsets(voxel, window) ** 2).sum(axis=0)
        mask[window] |= distance < width**2
        turn = turn + 0.12 * rng.standard_normal(3)
        course = course + 0.3 * turn
        course /= np.linalg.norm(course)
        place = place + course * side * length / steps
    return place, course


def _placed(space: Space, window: tuple[slice, slice, slice], part: np.ndarray) -> np.ndarray:
    mask = np.zeros((space.side,) * 3, bool)
    mask[window] = part
    return mask
