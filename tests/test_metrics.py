"""Metrics against MONAI, against loops that spell out the definition, and against sums by hand."""

import math

import cv2
import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    compute_surface_dice,
)

from samnb.evaluation import metrics
from samnb.evaluation.metrics import (
    METRICS,
    dice,
    hausdorff,
    iou,
    measure,
    measure_slices,
    surface_dice,
    surface_distances,
)

TOLERANCE = 2.0


def _monai(prediction: np.ndarray, truth: np.ndarray, spacing=None) -> dict[str, float]:
    both = [torch.from_numpy(mask)[None, None] for mask in (prediction, truth)]
    options = {"include_background": True}
    in_unit = options | {"spacing": spacing}
    return {
        "dice": float(compute_dice(*both, **options)),
        "iou": float(compute_iou(*both, **options)),
        "hd": float(compute_hausdorff_distance(*both, **in_unit)),
        "hd95": float(compute_hausdorff_distance(*both, percentile=95, **in_unit)),
        "surface_dice": float(compute_surface_dice(*both, [TOLERANCE], **in_unit)),
    }


def _brute(prediction: np.ndarray, truth: np.ndarray, spacing) -> dict[str, float]:
    """The definitions word by word, in plain Python."""
    inside = [set(map(tuple, np.argwhere(mask).tolist())) for mask in (prediction, truth)]
    borders = [[point for point in mask if _has_way_out(point, mask)] for mask in inside]
    ways = []
    for here, there in (borders, borders[::-1]):
        far = [[step * size for step, size in zip(p, spacing, strict=True)] for p in there]
        near = [[step * size for step, size in zip(p, spacing, strict=True)] for p in here]
        ways.append(sorted(min(math.dist(a, b) for b in far) for a in near))
    shared = len(inside[0] & inside[1])
    within = sum(distance <= TOLERANCE + 1e-9 for way in ways for distance in way)
    return {
        "dice": 2 * shared / (len(inside[0]) + len(inside[1])),
        "iou": shared / len(inside[0] | inside[1]),
        "hd": max(way[-1] for way in ways),
        "hd95": max(_interpolated(way, 0.95) for way in ways),
        "surface_dice": within / sum(len(way) for way in ways),
    }


def _has_way_out(point: tuple[int, ...], mask: set) -> bool:
    """Whether a neighbour across a side is outside the mask."""
    return any(
        (*point[:axis], point[axis] + step, *point[axis + 1 :]) not in mask
        for axis in range(len(point))
        for step in (-1, 1)
    )


def _interpolated(ordered: list[float], share: float) -> float:
    low = math.floor(share * (len(ordered) - 1))
    rest = share * (len(ordered) - 1) - low
    return ordered[low] + (rest * (ordered[low + 1] - ordered[low]) if rest else 0.0)


def _random_mask(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Blobs of any roughness and size, now and then noise, one pixel, or the whole image."""
    kind = generator.random()
    if kind < 0.05:
        mask = np.zeros(shape, bool)
        mask[tuple(generator.integers(0, shape))] = True
        return mask
    if kind < 0.08:
        return np.ones(shape, bool)
    field = generator.normal(size=shape)
    if kind < 0.9:
        sigma = generator.uniform(0.8, 6.0)
        planes = field.reshape(-1, *shape[-2:])
        field = np.stack([cv2.GaussianBlur(p, (0, 0), sigma) for p in planes]).reshape(shape)
    return field >= np.quantile(field, generator.uniform(0.2, 0.995))


def _cuboid(shape: tuple[int, ...], *spans: tuple[int, int]) -> np.ndarray:
    """A box from the first index to before the last along each axis."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


def _assert_equal(ours: dict[str, float], theirs: dict[str, float]) -> None:
    for name in METRICS:
        allowed = 1e-4 if name.startswith("hd") else 1e-6
        assert ours[name] == pytest.approx(theirs[name], abs=allowed), name


def test_slices_in_pixels_equal_monai_on_500_random_pairs():
    generator = np.random.default_rng(1)
    for _ in range(500):
        shape = tuple(generator.integers(6, 64, 2))
        prediction, truth = _random_mask(generator, shape), _random_mask(generator, shape)
        _assert_equal(measure(prediction, truth, TOLERANCE), _monai(prediction, truth))


def test_scans_in_mm_equal_monai():
    generator = np.random.default_rng(2)
    for _ in range(40):
        shape = tuple(generator.integers(3, 24, 3))
        spacing = tuple(generator.uniform(0.5, 5, 3).tolist())
        prediction, truth = _random_mask(generator, shape), _random_mask(generator, shape)
        theirs = _monai(prediction, truth, spacing)
        _assert_equal(measure(prediction, truth, TOLERANCE, spacing), theirs)


@pytest.mark.parametrize("spacing", [None, (1.5, 0.7)])
def test_slices_equal_the_definition_spelled_out(spacing):
    generator = np.random.default_rng(3)
    for _ in range(30):
        prediction, truth = _random_mask(generator, (14, 11)), _random_mask(generator, (14, 11))
        spelled = _brute(prediction, truth, spacing or (1.0, 1.0))
        _assert_equal(measure(prediction, truth, TOLERANCE, spacing), spelled)


def test_scans_equal_the_definition_spelled_out():
    generator = np.random.default_rng(4)
    for _ in range(10):
        prediction, truth = _random_mask(generator, (5, 7, 6)), _random_mask(generator, (5, 7, 6))
        spelled = _brute(prediction, truth, (5.0, 0.8, 1.3))
        _assert_equal(measure(prediction, truth, TOLERANCE, (5.0, 0.8, 1.3)), spelled)


def test_tree_and_matrix_give_the_same_distances(monkeypatch):
    generator = np.random.default_rng(5)
    pairs = [[_random_mask(generator, (60, 50)) for _ in range(2)] for _ in range(20)]
    by_matrix = [surface_distances(*pair) for pair in pairs]
    monkeypatch.setattr(metrics, "MATRIX_LIMIT", 0)
    for pair, expected in zip(pairs, by_matrix, strict=True):
        for ours, theirs in zip(surface_distances(*pair), expected, strict=True):
            assert ours.dtype == np.float32
            assert np.array_equal(ours, theirs)


def test_matrix_is_exact_across_the_widest_image_it_is_used_for():
    prediction, truth = np.zeros((2, metrics.MATRIX_SIDE, metrics.MATRIX_SIDE), bool)
    prediction[0, 0] = prediction[1, -1] = truth[-1, -1] = truth[-2, 0] = True
    last = metrics.MATRIX_SIDE - 1
    there, back = surface_distances(prediction, truth)
    assert np.array_equal(there, np.float32([last - 1, last - 1]))
    assert np.array_equal(back, np.float32([last - 1, last - 1]))


# Empty masks: nothing is ever nan, infinite, or left out.

EMPTY, SQUARE = np.zeros((30, 40), bool), _cuboid((30, 40), (3, 9), (5, 12))
PERFECT = {"dice": 1, "iou": 1, "hd": 0, "hd95": 0, "surface_dice": 1}


def test_two_empty_masks_are_equal():
    assert measure(EMPTY, EMPTY, TOLERANCE) == PERFECT
    assert measure(SQUARE, SQUARE, 0.0) == PERFECT


@pytest.mark.parametrize("pair", [(EMPTY, SQUARE), (SQUARE, EMPTY)])
def test_one_empty_mask_costs_the_diagonal_of_the_image(pair):
    # 30 x 40 pixels: the diagonal is 50 pixels; with pixels of 0.2 x 0.2 mm it is 10 mm.
    missed = {"dice": 0, "iou": 0, "hd": 50, "hd95": 50, "surface_dice": 0}
    assert measure(*pair, TOLERANCE) == missed
    assert measure(*pair, TOLERANCE, (0.2, 0.2)) == pytest.approx(missed | {"hd": 10, "hd95": 10})


def test_one_empty_scan_costs_the_diagonal_of_the_scan_in_mm():
    # 4 slices of 3 mm, 9 rows and 8 columns of 1 x 2 mm: √(12² + 9² + 16²) = √481 mm.
    truth = _cuboid((4, 9, 8), (1, 2), (4, 6), (4, 6))
    assert hausdorff(~truth & False, truth, (3, 1, 2)) == pytest.approx(math.sqrt(481))


def test_slices_are_measured_one_by_one():
    moved = np.roll(SQUARE, 2, axis=1)
    predictions, truths = np.stack([EMPTY, SQUARE, moved]), np.stack([EMPTY, EMPTY, SQUARE])
    table = measure_slices(predictions.astype(np.uint8) * 3, truths.astype(float), TOLERANCE)
    assert tuple(table) == METRICS
    assert table["hd"].tolist() == [0, 50, 2]
    # 6 x 7 pixels moved by two columns share 6 x 5 of them: Dice 60 / 84, IoU 30 / 54.
    assert table["dice"].tolist() == pytest.approx([1, 0, 60 / 84])
    assert table["iou"].tolist() == pytest.approx([1, 0, 30 / 54])
    assert table["surface_dice"].tolist() == [1, 0, 1]
    assert measure_slices(predictions[:0], truths[:0], TOLERANCE)["hd"].shape == (0,)


def test_single_metrics_are_those_of_the_pair_at_once():
    generator = np.random.default_rng(6)
    prediction, truth = _random_mask(generator, (40, 40)), _random_mask(generator, (40, 40))
    together = measure(prediction, truth, TOLERANCE, (2.0, 3.0))
    assert together == {
        "dice": dice(prediction[None], truth[None])[0],
        "iou": iou(prediction[None], truth[None])[0],
        "hd": hausdorff(prediction, truth, (2.0, 3.0)),
        "hd95": hausdorff(prediction, truth, (2.0, 3.0), percentile=95),
        "surface_dice": surface_dice(prediction, truth, TOLERANCE, (2.0, 3.0)),
    }


def test_a_distance_equal_to_the_tolerance_is_within_whatever_binary_fractions_say():
    # Three pixels of 0.1 mm are 0.30000000000000004 in float64.
    line, moved = _cuboid((20, 20), (5, 6), (2, 9)), _cuboid((20, 20), (8, 9), (2, 9))
    assert surface_dice(line, moved, 0.3, (0.1, 0.1)) == 1
    assert surface_dice(line, moved, 0.29, (0.1, 0.1)) == 0


def test_masks_of_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="unequal shapes"):
        measure(EMPTY, EMPTY.T, TOLERANCE)


# By hand, in mm, spacing 5 x 1 x 2 (slice, row, column). DeepMind's `surface-distance` puts surface
# elements on the corners between voxels, gives each the area it stands for, and takes percentiles
# of area. Where the sums below agree with it, both definitions give the number; where they cannot,
# the comment says both.

SPACING = (5.0, 1.0, 2.0)


def test_by_hand_a_missed_second_lesion():
    # Two cubes of 4 x 4 x 4 voxels, 10 columns = 20 mm apart; only the first is found. Seen from
    # the truth, the far face of the second is 20 mm from the far face of the first (straight along
    # the columns, whether voxels or corners are counted), and nothing is farther: HD = 20.
    # Is that more than 5 % of the truth's surface? By voxels the face is 16 of 2 x 56 border voxels
    # = 14 %; by area 20 x 4 = 80 mm² of 2 x 2 x (20 x 4 + 20 x 8 + 4 x 8) = 1088 mm² = 7.4 %.
    # So HD95 = 20 by both.
    # Surface Dice at 2 mm: the prediction's surface S is all right, of the truth's 2 S one half
    # is (the gap is 12 mm): 2 S / 3 S = 2/3 whatever the surface is counted in.
    first = _cuboid((8, 8, 20), (2, 6), (2, 6), (2, 6))
    second = _cuboid((8, 8, 20), (2, 6), (2, 6), (12, 16))
    measured = measure(first, first | second, 2.0, SPACING)
    assert measured == pytest.approx(
        {"dice": 2 / 3, "iou": 1 / 2, "hd": 20, "hd95": 20, "surface_dice": 2 / 3}
    )


def test_by_hand_a_voxel_moved_along_every_axis():
    # Moved by (1, 2, 3) voxels = (5, 2, 6) mm: √(25 + 4 + 36) = √65 = 8.062 mm.
    # By corners: the eight corners are 0 or 1 along each axis, the other voxel's 1..2, 2..3, 3..4.
    # Corner (0, 0, 0) is √65 from the nearest one; it is one of eight equal elements = 12.5 % of
    # the surface, so the 95th percentile of area is √65 too.
    first = _cuboid((4, 6, 8), (1, 2), (1, 2), (1, 2))
    second = _cuboid((4, 6, 8), (2, 3), (3, 4), (4, 5))
    measured = measure(first, second, 8.0, SPACING)
    assert measured["hd"] == pytest.approx(math.sqrt(65))
    assert measured["hd95"] == pytest.approx(math.sqrt(65))
    # Surface Dice at 8 mm differs: the one voxel is farther, so 0 here; of the eight corners seven
    # are nearer than 8 mm (the next, one row on, √(25 + 1 + 36) = 7.87), so 7/8 by corners.
    assert measured["surface_dice"] == 0
    both = [torch.from_numpy(mask)[None, None] for mask in (first, second)]
    options = {"include_background": True, "spacing": SPACING, "use_subvoxels": True}
    assert float(compute_surface_dice(*both, [8.0], **options)) == pytest.approx(7 / 8)


def test_by_hand_a_flat_organ_drawn_one_voxel_too_large():
    # A plate of 4 x 400 x 200 voxels (20 x 400 x 400 mm) inside one larger by a voxel on every
    # side. The farthest points are the outer plate's corners: √(5² + 1² + 2²) = √30 by both.
    # Its top and bottom, all but the outermost ring straight above the inner plate, are 5 mm away.
    # By voxels: 2 x 400 x 200 = 160,000 of its 2 x 402 x 202 + 4 x (2 x 402 + 2 x 200) = 167,224
    # border voxels are 5 mm away; farther (the rings at √26, √29, √30) are 2 x (402 x 202 -
    # 400 x 200) = 2,408 = 1.4 %; the sides (1 or 2 mm) come first. So the 95th percentile is 5.
    # By area the top and bottom without their outermost ring hold more than 90 %, what is farther
    # about 1.2 %: 5 too. Seen from the inner plate nothing is farther than 5.
    # At 5 mm by voxels all but the 2,408 voxels of the rings are within; the inner plate's border
    # has 2 x 400 x 200 + 2 x (2 x 400 + 2 x 198) = 162,392 voxels.
    outer = _cuboid((8, 404, 204), (1, 7), (1, 403), (1, 203))
    inner = _cuboid((8, 404, 204), (2, 6), (2, 402), (2, 202))
    measured = measure(outer, inner, 5.0, SPACING)
    assert measured["hd"] == pytest.approx(math.sqrt(30))
    assert measured["hd95"] == pytest.approx(5)
    every = 167_224 + 162_392
    assert measured["surface_dice"] == pytest.approx((every - 2_408) / every)


def test_by_hand_in_a_slice():
    # Rows of 3 mm, columns of 1 mm. A square of 10 x 10 pixels moved by two rows: the far edge is
    # 6 mm off, by pixels 10 of 36, by outline 10 of 80 mm (12.5 %): HD = HD95 = 6 by both.
    # Moved by four columns: 4 mm likewise.
    square = _cuboid((30, 30), (4, 14), (4, 14))
    for shift, axis, expected in ((2, 0, 6.0), (4, 1, 4.0)):
        measured = measure(np.roll(square, shift, axis), square, 1.0, (3.0, 1.0))
        assert measured["hd"] == measured["hd95"] == expected


def test_pixels_in_both_borders_are_at_no_distance_and_all_others_are_looked_up():
    # Two bars of 2 x 1 x 60 voxels that share 40 voxels of their length.
    first = _cuboid((4, 3, 80), (1, 3), (1, 2), (0, 60))
    second = np.roll(first, 20, axis=2)
    forth, back = surface_distances(first, second, (2.0, 3.0, 0.5))
    wanted = np.repeat(np.arange(0.5, 10.5, 0.5), 2)
    assert np.array_equal(np.sort(forth), np.float32([0] * 80 + wanted.tolist()))
    assert np.array_equal(np.sort(back), np.sort(forth))
    assert forth.dtype == back.dtype == np.float32
