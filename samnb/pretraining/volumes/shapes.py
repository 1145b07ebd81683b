"""Volumes of generic bodies with their masks: nested, touching, tubular, textured, faint.

They stand for no organ and no phantom, so that a SAM trained on them meets those for the first
time when it is tested.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from samnb.pretraining.draws import between, chance, count_between, log_between, pick
from samnb.pretraining.volumes.bodies import cells, half_space, lump, random_body, rounded, tree
from samnb.pretraining.volumes.scene import Scene
from samnb.prompts.points import window_of

SMALLEST_SHARE, LARGEST_SHARE = 0.0015, 0.6  # of the voxels, for a mask to be asked about
UNCLEAR_SHARE = 0.1  # of masks that may be in pieces or hard to see
MAIN_PIECE = 0.8  # smallest share of the largest connected piece
RIM_CONTRAST = 0.3  # smallest difference across the surface, in spreads of the greys beside it


class ShapeVolume(NamedTuple):
    """image: (S, S, S) uint8; masks: (K, S, S, S) bool."""

    image: np.ndarray
    masks: np.ndarray


def draw_volume(seed: int, index: int, side: int = 48, most: int = 4) -> ShapeVolume:
    """Volume number `index` of the stream `seed`, with 1 to `most` masks.

    The same arguments give the same volume.
    """
    rng = np.random.default_rng((seed, index, 3))
    while True:
        scene = Scene(rng, side)
        everywhere = np.ones((side,) * 3, bool)
        scene.paint(everywhere, 0 if chance(rng, 0.25) else between(rng, 10, 240), [])
        pick(rng, _COMPOSITIONS)(scene)
        image = scene.photograph()
        masks = _choose(scene, image, most)
        if masks:
            return ShapeVolume(image, np.stack(masks))


def _choose(scene: Scene, image: np.ndarray, most: int) -> list[np.ndarray]:
    """Masks to ask for: all different, none too small, most of them clear, in random order."""
    shares = np.bincount(scene.owner.ravel(), minlength=256) / scene.owner.size
    seen: dict[tuple[int, ...], tuple[float, int]] = {}
    for number, regions in enumerate(scene.objects):
        visible = tuple(region for region in regions if shares[region] > 0)
        share = sum(shares[region] for region in visible)
        if SMALLEST_SHARE <= share <= LARGEST_SHARE:
            seen[visible] = share, number
    # Small objects are many: a larger one is likelier to be chosen, by the root of its share.
    lots = [(scene.rng.random() ** share**-0.5, number) for share, number in seen.values()]
    masks: list[np.ndarray] = []
    for _, number in sorted(lots, reverse=True):
        mask = scene.object_mask(number)
        if len(masks) < most and (chance(scene.rng, UNCLEAR_SHARE) or is_clear(image, mask)):
            masks.append(mask)
    return masks


def is_clear(image: np.ndarray, mask: np.ndarray) -> bool:
    """Nearly in one piece and visible: whether a person could say where the object ends."""
    window = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in window_of(mask))
    inside, greys = mask[window], image[window]
    pieces, count = ndimage.label(inside)
    if count > 1 and np.bincount(pieces.ravel())[1:].max() < MAIN_PIECE * inside.sum():
        return False
    inner = greys[inside & ~ndimage.binary_erosion(inside)].astype(np.float32)
    outer = greys[ndimage.binary_dilation(inside) & ~inside].astype(np.float32)
    if not len(outer):
        return False
    return abs(inner.mean() - outer.mean()) >= RIM_CONTRAST * ((inner.std() + outer.std()) / 2 + 1)


# ---- things to put into a volume ---------------------------------------------------------------


def _object(
    scene: Scene, mask: np.ndarray, wholes: list[int], depth: int = 0, contrast: float | None = None
) -> None:
    """Paint the mask as a new object and a part of the wholes, perhaps with parts of its own."""
    share = np.count_nonzero(mask) / mask.size
    if scene.full or share < SMALLEST_SHARE:
        return
    mine = [*wholes, scene.new_object()]
    scene.paint(mask, scene.level_beside(mask, contrast or scene.contrast), mine)
    if depth < 2 and share > 0.02 and chance(scene.rng, 0.35):
        _parts(scene, mask, mine, depth + 1)


def _parts(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int) -> None:
    """Fill a whole with parts: a few bodies, a core, or a division into adjacent cells."""
    kind = scene.rng.random()
    if kind < 0.5:
        _bodies_inside(scene, inside, wholes, depth, count_between(scene.rng, 1, 4))
    elif kind < 0.75:
        _core(scene, inside, wholes, depth)
    else:
        _cells(scene, inside, wholes, count_between(scene.rng, 2, 5))


def _bodies_inside(
    scene: Scene,
    inside: np.ndarray,
    wholes: list[int],
    depth: int,
    number: int,
    contrast: float | None = None,
) -> None:
    """Bodies around voxels of the mask, cut off where it ends."""
    room = np.count_nonzero(inside) / inside.size
    for _ in range(number):
        share = max(room * log_between(scene.rng, 0.02, 0.5), 0.002)
        mask = random_body(scene.space, scene.space.random_voxel(inside), share) & inside
        _object(scene, mask, wholes, depth, contrast)


def _core(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int) -> None:
    """The mask less a rim of even width, which is an object too: a shell and what it holds."""
    room = np.cbrt(np.count_nonzero(inside))
    rim = max(1, int(room * between(scene.rng, 0.06, 0.2)))
    shell = scene.regions - 1
    core = ndimage.binary_erosion(inside, iterations=rim)
    if core.any():
        scene.objects[scene.new_object()].append(shell)
        _object(scene, core, wholes, depth)


def _cells(scene: Scene, inside: np.ndarray, wholes: list[int], number: int) -> None:
    """Divide the mask into adjacent cells, each an object."""
    owner = cells(scene.space, inside, number)
    middle = float(scene.canvas[inside].mean())
    for cell in range(number):
        level = middle + scene.contrast * between(scene.rng, -1.5, 1.5)
        mask = (owner == cell) & inside
        scene.paint(mask, min(max(level, 0.0), 255.0), [*wholes, scene.new_object()])


# ---- whole volumes -----------------------------------------------------------------------------


def _scatter(scene: Scene, fewest: int = 2, most: int = 8) -> None:
    """Bodies anywhere, one over the other, mostly the large ones below."""
    rng = scene.rng
    shares = [log_between(rng, 0.004, 0.35) for _ in range(count_between(rng, fewest, most))]
    if chance(rng, 0.7):
        shares.sort(reverse=True)
    for share in shares:
        _object(scene, random_body(scene.space, scene.space.random_voxel(), share), [])


def _container(scene: Scene) -> None:
    """One large thing, full of parts of much the same grey."""
    rng, side = scene.rng, scene.side
    middle = tuple(int(between(rng, 0.38, 0.62) * side) for _ in range(3))
    body = rounded if chance(rng, 0.5) else lump
    mask = body(scene.space, middle, between(rng, 0.2, 0.6))
    if not mask.any():
        return
    whole = [scene.new_object()]
    scene.paint(mask, between(rng, 70, 220), whole)
    if chance(rng, 0.3):
        _cells(scene, mask, whole, count_between(rng, 3, 8))
    faint = scene.contrast * between(rng, 0.4, 1)
    _bodies_inside(scene, mask, whole, 1, count_between(rng, 2, 8), faint)
    if chance(rng, 0.4):
        _object(scene, tree(scene.space, scene.space.random_voxel(mask), 0.01) & mask, whole, 2)


def _partition(scene: Scene) -> None:
    """The whole volume divided into adjacent cells, with a few bodies on top."""
    everywhere = np.ones((scene.side,) * 3, bool)
    _cells(scene, everywhere, [], count_between(scene.rng, 3, 9))
    _scatter(scene, 0, 4)


def _layers(scene: Scene) -> None:
    """Half spaces one before the other, with bodies on top."""
    for _ in range(count_between(scene.rng, 1, 3)):
        _object(scene, half_space(scene.space), [])
    _scatter(scene, 1, 6)


_COMPOSITIONS: tuple[Callable[[Scene], None], ...] = (
    *(_scatter, _scatter, _scatter, _container, _container, _container, _partition, _layers),
)
