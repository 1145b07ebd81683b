"""An endless, seeded stream of generic grey pictures with the masks of their parts and wholes.

Nothing here looks like anything in particular: overlapping, nested and adjacent shapes of many
kinds, sizes, textures and contrasts, seen through an imperfect camera. A Segment Anything model
trained on them learns what an edge, a surface, a part and a whole are, and no anatomy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from samnb.pretraining.clarity import is_clear
from samnb.pretraining.draws import between, chance, count_between, log_between, pick
from samnb.pretraining.flaws import photograph, warp_field
from samnb.pretraining.outlines import (
    Place,
    compact_curve,
    fill,
    half_plane,
    random_outline,
    random_place,
    warped_cells,
)
from samnb.pretraining.scene import Scene

SMALLEST_SHARE, LARGEST_SHARE = 0.004, 0.85  # of the image's pixels, for a mask to be asked for
UNCLEAR_SHARE = 0.1  # of the scattered or hardly visible objects that are asked for all the same

cv2.setNumThreads(0)  # pictures are drawn in many processes, one core each


@dataclass(frozen=True)
class ShapeImage:
    """One picture of the stream."""

    image: np.ndarray  # (side, side) uint8, grey
    masks: np.ndarray  # (K, side, side) bool, what can be seen of K parts and wholes


def draw_shapes(seed: int, index: int, side: int = 128, max_masks: int = 8) -> ShapeImage:
    """Picture number `index` of the stream `seed`: always the same for the same arguments.

    1 to `max_masks` masks, each of at least 0.4 % of the pixels. Sizes and scales
    are shares of the side, so that pictures of any side are alike, though not the same.
    """
    rng = np.random.default_rng((seed, index))
    while True:
        scene = Scene(rng, side)
        _background(scene)
        pick(rng, _COMPOSITIONS)(scene)
        if chance(rng, 0.25):
            _warp(scene)
        noise = scene.contrast * between(rng, 0, 0.6) ** 2 + between(rng, 0, 2)
        image = photograph(rng, scene.canvas, noise)
        masks = _choose(scene, image, max_masks)
        if masks:
            return ShapeImage(image, np.stack(masks))


def _choose(scene: Scene, image: np.ndarray, most: int) -> list[np.ndarray]:
    """Masks to ask for: all different, none too small, most of them clear, in random order."""
    counts = cv2.calcHist([scene.owner], [0], None, [256], [0, 256]).ravel()
    areas = (counts / scene.owner.size).tolist()
    seen: dict[tuple[int, ...], tuple[float, int]] = {}
    for number, regions in enumerate(scene.objects):
        visible = tuple(region for region in regions if areas[region] > 0)
        area = sum(areas[region] for region in visible)
        if SMALLEST_SHARE <= area <= LARGEST_SHARE:
            seen[visible] = area, number
    # Small objects are many: a larger one is likelier to be chosen, by the root of its area.
    lots = [(scene.rng.random() ** area**-0.5, number) for area, number in seen.values()]
    masks: list[np.ndarray] = []
    for _, number in sorted(lots, reverse=True):
        mask = scene.object_mask(number)
        if len(masks) < most and (is_clear(image, mask) or chance(scene.rng, UNCLEAR_SHARE)):
            masks.append(mask)
    return masks


def _warp(scene: Scene) -> None:
    """Bend the picture and its regions alike, as if on rubber."""
    columns, rows = warp_field(scene.rng, scene.side)
    edge = cv2.BORDER_REPLICATE
    scene.canvas = cv2.remap(scene.canvas, columns, rows, cv2.INTER_LINEAR, borderMode=edge)
    scene.owner = cv2.remap(scene.owner, columns, rows, cv2.INTER_NEAREST, borderMode=edge)


# ---- things to put into a picture --------------------------------------------------------------


def _background(scene: Scene) -> None:
    """Flat, sloping or textured, black now and then; it belongs to no object."""
    rng, everywhere = scene.rng, np.ones((scene.side, scene.side), np.uint8)
    scene.paint(everywhere, 0 if chance(rng, 0.2) else between(rng, 10, 240), [])


def _random_pixels(scene: Scene, inside: np.ndarray, number: int) -> list[tuple[float, float]]:
    """The places x, y of so many pixels of the mask, in shares of the side."""
    pixels = np.flatnonzero(inside)
    chosen = pixels[(scene.rng.random(number) * len(pixels)).astype(int)].tolist()
    side = scene.side
    return [((pixel % side + 0.5) / side, (pixel // side + 0.5) / side) for pixel in chosen]


def _object(
    scene: Scene,
    mask: np.ndarray,
    wholes: list[int],
    depth: int = 0,
    contrast: float | None = None,
) -> None:
    """Paint the mask as a new object and a part of the wholes, perhaps with parts of its own."""
    rng = scene.rng
    area = cv2.countNonZero(mask)
    if scene.full or area < SMALLEST_SHARE * mask.size:
        return
    mine = [*wholes, scene.new_object()]
    scene.paint(mask, scene.level_beside(mask, contrast or scene.contrast), mine)
    if chance(rng, 0.1):
        level = scene.level_beside(mask, scene.contrast)
        scene.outline(mask, level, 1 + chance(rng, 0.4) * (scene.side >= 96))
    if depth < 2 and area > 0.03 * mask.size and chance(rng, 0.35):
        _parts(scene, mask, mine, depth + 1)


def _parts(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int) -> None:
    """Fill a whole with parts: a few shapes, a core, or a division into adjacent cells."""
    kind = scene.rng.random()
    if kind < 0.55:
        _shapes_inside(scene, inside, wholes, depth, count_between(scene.rng, 1, 5))
    elif kind < 0.75:
        _core(scene, inside, wholes, depth)
    elif kind < 0.92:
        _cells(scene, inside, wholes, depth, count_between(scene.rng, 2, 6))
    else:
        _group(scene, inside, wholes)


def _shapes_inside(
    scene: Scene,
    inside: np.ndarray,
    wholes: list[int],
    depth: int,
    number: int,
    contrast: float | None = None,
) -> None:
    """Shapes with their centres in the mask, cut off where it ends."""
    room = cv2.countNonZero(inside) / inside.size
    for centre in _random_pixels(scene, inside, number):
        area = max(room * log_between(scene.rng, 0.025, 0.6), 0.008)
        place = random_place(scene.rng, area, centre)
        mask = random_outline(scene.rng, place, scene.side) & inside
        _object(scene, mask, wholes, depth, contrast)


def _core(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int) -> None:
    """The mask less a rim of even width, which makes a shell of the rest; and again within."""
    room, outer = np.sqrt(cv2.countNonZero(inside)), scene.regions - 1
    for _ in range(count_between(scene.rng, 1, 3)):
        rim = max(2, int(room * between(scene.rng, 0.04, 0.16)))
        if chance(scene.rng, 0.5):  # what the core leaves visible of the mask is an object too
            scene.objects[scene.new_object()].append(outer)
        inside = cv2.erode(inside, np.ones((2 * rim + 1,) * 2, np.uint8))
        outer = scene.regions
        _object(scene, inside, wholes, depth)


def _cells(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int, number: int) -> None:
    """Divide the mask into adjacent cells, each an object; some neighbours make a whole too."""
    rng = scene.rng
    centres = np.array(_random_pixels(scene, inside, number))
    cells = warped_cells(rng, centres, scene.side)
    middle = cv2.mean(scene.canvas, inside)[0]
    pair = scene.new_object() if number > 3 and chance(rng, 0.4) else None
    neighbours = np.argsort(((centres - centres[0]) ** 2).sum(axis=1))[: count_between(rng, 2, 3)]
    for cell in range(number):
        mask = (cells == cell).view(np.uint8) & inside
        if scene.full or not mask.any():
            continue
        together = [pair] if pair is not None and cell in neighbours else []
        mine = [*wholes, *together, scene.new_object()]
        level = middle + scene.contrast * between(rng, -1.5, 1.5)
        scene.paint(mask, min(max(level, 0.0), 255.0), mine)
        if chance(rng, 0.15):
            _parts(scene, mask, mine, depth + 1)


def _group(scene: Scene, inside: np.ndarray, wholes: list[int]) -> None:
    """Copies of one shape in rows: an object each, where large enough, and one together."""
    rng = scene.rng
    rows, columns = count_between(rng, 1, 4), count_between(rng, 2, 4)
    gap, angle = between(rng, 0.08, 0.24), between(rng, 0, np.pi)
    curve, jitter = compact_curve(rng), between(rng, 0, 0.25)
    area, aspect = (gap * between(rng, 0.5, 0.85)) ** 2, between(rng, 1, 1.8)
    x, y = _random_pixels(scene, inside, 1)[0]
    level, turn = None, between(rng, 0, np.pi)
    together = scene.new_object()
    for row in range(rows):
        for column in range(columns):
            right, down = (column - (columns - 1) / 2) * gap, (row - (rows - 1) / 2) * gap
            place = Place(
                area,
                aspect,
                turn + jitter * between(rng, -3, 3),
                x + right * np.cos(angle) - down * np.sin(angle) + jitter * gap * rng.random(),
                y + right * np.sin(angle) + down * np.cos(angle) + jitter * gap * rng.random(),
            )
            mask = fill(curve, place, scene.side) & inside
            if level is None and mask.any():
                level = scene.level_beside(mask, scene.contrast)
            if level is not None and not scene.full:
                scene.paint(mask, level, [*wholes, together, scene.new_object()])


# ---- whole pictures ----------------------------------------------------------------------------


def _scatter(scene: Scene, fewest: int = 2, most: int = 9) -> None:
    """Shapes anywhere, one over the other, mostly the large ones below."""
    rng = scene.rng
    areas = [log_between(rng, 0.015, 0.7) for _ in range(count_between(rng, fewest, most))]
    if chance(rng, 0.7):
        areas.sort(reverse=True)
    for area in areas:
        mask = random_outline(rng, random_place(rng, area), scene.side)
        _object(scene, mask, [])


def _container(scene: Scene) -> None:
    """One large bright thing before a dark ground, full of parts of much the same grey."""
    rng = scene.rng
    everywhere = np.ones((scene.side, scene.side), np.uint8)
    scene.paint(everywhere, between(rng, 0, 40) if chance(rng, 0.8) else between(rng, 40, 150), [])
    x, y = between(rng, 0.38, 0.62), between(rng, 0.38, 0.62)
    place = Place(between(rng, 0.25, 0.72), between(rng, 1, 1.9), between(rng, 0, np.pi), x, y)
    mask = fill(compact_curve(rng), place, scene.side)
    whole = [scene.new_object()]
    scene.paint(mask, between(rng, 70, 220), whole)
    inside = mask
    if chance(rng, 0.4):  # a shell, or two
        shell = max(2, int(scene.side * between(rng, 0.015, 0.06)))
        inside = cv2.erode(mask, np.ones((2 * shell + 1,) * 2, np.uint8))
        if not inside.any():
            return
        whole = [*whole, scene.new_object()]
        scene.paint(inside, scene.level_beside(inside, scene.contrast), whole)
    low = scene.contrast * between(rng, 0.4, 1)
    if chance(rng, 0.35):
        _cells(scene, inside, whole, 1, count_between(rng, 3, 9))
    _shapes_inside(scene, inside, whole, 1, count_between(rng, 2, 10), low)


def _partition(scene: Scene) -> None:
    """The whole picture divided into adjacent cells, with a few shapes on top."""
    everywhere = np.ones((scene.side, scene.side), np.uint8)
    _cells(scene, everywhere, [], 0, count_between(scene.rng, 3, 11))
    _scatter(scene, 0, 4)


def _landscape(scene: Scene) -> None:
    """Half planes one before the other, with shapes on top."""
    for _ in range(count_between(scene.rng, 1, 3)):
        _object(scene, half_plane(scene.rng, scene.side), [])
    _scatter(scene, 1, 6)


def _groups(scene: Scene) -> None:
    """A few shapes, and rows of equal ones."""
    _scatter(scene, 0, 4)
    for _ in range(count_between(scene.rng, 1, 2)):
        _group(scene, np.ones((scene.side, scene.side), np.uint8), [])


_COMPOSITIONS: tuple[Callable[[Scene], None], ...] = (
    *(_scatter, _scatter, _scatter, _scatter, _container, _container, _container),
    *(_partition, _partition, _landscape, _groups),
)
