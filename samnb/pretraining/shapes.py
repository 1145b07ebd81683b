"""An endless, seeded stream of generic grey pictures with the masks of their parts and wholes.

Nothing here looks like anything in particular: overlapping, nested and adjacent shapes of many
kinds, sizes, textures and contrasts, seen through an imperfect camera. A Segment Anything model
trained on them learns what an edge, a surface, a part and a whole are, and no anatomy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

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

cv2.setNumThreads(0)  # pictures are drawn in many processes, one core each


@dataclass(frozen=True)
class ShapeImage:
    """One picture of the stream."""

    image: np.ndarray  # (side, side) uint8, grey
    masks: np.ndarray  # (K, side, side) bool, what can be seen of K parts and wholes


def draw_shapes(seed: int, index: int, side: int = 128, max_masks: int = 8) -> ShapeImage:
    """Picture number `index` of the stream `seed`: always the same for the same arguments.

    1 to `max_masks` masks, each of at least 0.4 % of the pixels. At another side the picture is
    much the same, only coarser or finer.
    """
    rng, grain = np.random.default_rng((seed, index)), np.random.default_rng((seed, index, 1))
    while True:
        scene = Scene(rng, grain, side)
        _background(scene)
        pick(rng, _COMPOSITIONS)(scene)
        if chance(rng, 0.25):
            _warp(scene)
        chosen = _choose(scene, max_masks)
        if chosen:
            break
    noise = scene.contrast * between(rng, 0, 0.6) ** 2 + between(rng, 0, 2)
    image = photograph(rng, grain, scene.canvas, noise)
    return ShapeImage(image, np.stack([scene.object_mask(number) for number in chosen]))


def _choose(scene: Scene, most: int) -> list[int]:
    """Objects to ask for: large enough to see, all different, of sizes as different as may be."""
    areas = np.bincount(scene.owner.ravel(), minlength=256) / scene.owner.size
    seen: dict[tuple[int, ...], tuple[float, int]] = {}
    for number, regions in enumerate(scene.objects):
        visible = tuple(region for region in regions if areas[region] > 0)
        area = float(areas[list(visible)].sum())
        if SMALLEST_SHARE <= area <= LARGEST_SHARE:
            seen[visible] = area, number
    by_size = [number for _, number in sorted(seen.values())]
    if len(by_size) <= most:
        return by_size
    edges = np.linspace(0, len(by_size), most + 1).astype(int).tolist()
    return [pick(scene.rng, by_size[low:high]) for low, high in pairwise(edges)]


def _warp(scene: Scene) -> None:
    """Bend the picture and its regions alike, as if on rubber."""
    columns, rows = warp_field(scene.rng, scene.grain, scene.side)
    edge = cv2.BORDER_REPLICATE
    scene.canvas = cv2.remap(scene.canvas, columns, rows, cv2.INTER_LINEAR, borderMode=edge)
    scene.owner = cv2.remap(scene.owner, columns, rows, cv2.INTER_NEAREST, borderMode=edge)


# ---- things to put into a picture --------------------------------------------------------------


def _background(scene: Scene) -> None:
    """Flat, sloping or textured, black now and then; it belongs to no object."""
    rng, everywhere = scene.rng, np.ones((scene.side, scene.side), np.uint8)
    scene.paint(everywhere, 0 if chance(rng, 0.2) else between(rng, 10, 240), [])


def _random_pixel(scene: Scene, inside: np.ndarray) -> tuple[float, float]:
    """The place x, y of a pixel of the mask, in shares of the side."""
    x, y, width, height = cv2.boundingRect(inside)
    for _ in range(6):
        column, row = x + scene.rng.random() * width, y + scene.rng.random() * height
        if inside[int(row), int(column)]:
            break
    return column / scene.side, row / scene.side


def _object(
    scene: Scene,
    mask: np.ndarray,
    wholes: list[int],
    depth: int = 0,
    contrast: float | None = None,
) -> None:
    """Paint the mask as a new object and a part of the wholes, perhaps with parts of its own."""
    rng = scene.rng
    if scene.full or np.count_nonzero(mask) < SMALLEST_SHARE * mask.size:
        return
    mine = [*wholes, scene.new_object()]
    scene.paint(mask, scene.level_beside(mask, contrast or scene.contrast), mine)
    if chance(rng, 0.1):
        level = scene.level_beside(mask, scene.contrast)
        scene.outline(mask, level, 1 + chance(rng, 0.4) * (scene.side >= 96))
    if depth < 2 and np.count_nonzero(mask) > 0.03 * mask.size and chance(rng, 0.35):
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
    room = np.count_nonzero(inside) / inside.size
    for _ in range(number):
        area = max(room * log_between(scene.rng, 0.02, 0.5), 0.006)
        place = random_place(scene.rng, area, _random_pixel(scene, inside))
        mask = random_outline(scene.rng, scene.grain, place, scene.side) & inside
        _object(scene, mask, wholes, depth, contrast)


def _core(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int) -> None:
    """The mask less a rim of even width, which makes a shell of the rest; and again within."""
    room = np.sqrt(np.count_nonzero(inside))
    for _ in range(count_between(scene.rng, 1, 3)):
        rim = max(2, int(room * between(scene.rng, 0.04, 0.16)))
        shell = scene.new_object() if chance(scene.rng, 0.5) else None
        if shell is not None:  # the region painted last is what the core leaves visible
            scene.objects[shell].append(scene.regions - 1)
        # A frame of zeros makes the image's border an edge too.
        framed = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        inside = cv2.erode(framed, np.ones((2 * rim + 1,) * 2, np.uint8))[1:-1, 1:-1]
        inside = np.ascontiguousarray(inside)
        _object(scene, inside, wholes, depth)


def _cells(scene: Scene, inside: np.ndarray, wholes: list[int], depth: int, number: int) -> None:
    """Divide the mask into adjacent cells, each an object; some neighbours make a whole too."""
    rng = scene.rng
    centres = np.array([_random_pixel(scene, inside) for _ in range(number)])
    cells = warped_cells(rng, scene.grain, centres, scene.side)
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


def _group(scene: Scene, inside: np.ndarray | None, wholes: list[int]) -> None:
    """Copies of one shape in rows: an object each, where large enough, and one together."""
    rng = scene.rng
    rows, columns = count_between(rng, 1, 5), count_between(rng, 2, 5)
    gap, angle = between(rng, 0.08, 0.24), between(rng, 0, np.pi)
    curve, jitter = compact_curve(rng), between(rng, 0, 0.25)
    area, aspect = (gap * between(rng, 0.5, 0.85)) ** 2, between(rng, 1, 1.8)
    x, y = (0.5, 0.5) if inside is None else _random_pixel(scene, inside)
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
            mask = fill(curve, place, scene.side)
            if inside is not None:
                mask &= inside
            if level is None and mask.any():
                level = scene.level_beside(mask, scene.contrast)
            if level is not None and not scene.full:
                scene.paint(mask, level, [*wholes, together, scene.new_object()])


# ---- whole pictures ----------------------------------------------------------------------------


def _scatter(scene: Scene, fewest: int = 2, most: int = 9) -> None:
    """Shapes anywhere, one over the other, mostly the large ones below."""
    rng = scene.rng
    areas = [log_between(rng, 0.01, 0.5) for _ in range(count_between(rng, fewest, most))]
    if chance(rng, 0.7):
        areas.sort(reverse=True)
    for area in areas:
        mask = random_outline(rng, scene.grain, random_place(rng, area), scene.side)
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
    _shapes_inside(scene, inside, whole, 1, count_between(rng, 3, 12), low)


def _partition(scene: Scene) -> None:
    """The whole picture divided into adjacent cells, with a few shapes on top."""
    everywhere = np.ones((scene.side, scene.side), np.uint8)
    _cells(scene, everywhere, [], 0, count_between(scene.rng, 3, 14))
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
        x, y = between(scene.rng, 0.2, 0.8), between(scene.rng, 0.2, 0.8)
        near = Place(0.9, 1, 0, x, y)
        rectangle = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        _group(scene, fill(rectangle, near, scene.side), [])


_COMPOSITIONS: tuple[Callable[[Scene], None], ...] = (
    *(_scatter, _scatter, _scatter, _scatter, _container, _container, _container),
    *(_partition, _partition, _landscape, _groups),
)
