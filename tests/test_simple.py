"""Baselines that learn nothing, and the Dice they are measured by."""

import numpy as np
import pytest

from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import (
    best_range,
    copy_score,
    held_out_draws,
    intensity_range,
    largest_pieces,
    most_similar,
    opened,
    threshold,
    thumbnails,
)


def _square(top: int, left: int, size: int, side: int = 32) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[top : top + size, left : left + size] = True
    return mask


def test_dice_of_half_overlap_and_of_empty_masks():
    empty, square = np.zeros((32, 32), bool), _square(4, 4, 8)
    predictions = np.stack([square, _square(4, 8, 8), empty, empty, square])
    truths = np.stack([square, square, empty, square, empty])
    assert dice(predictions, truths).tolist() == [1.0, 0.5, 1.0, 0.0, 0.0]


def test_dice_counts_any_label_as_inside():
    assert dice(2 * _square(4, 4, 8)[None].astype(np.uint8), _square(4, 4, 8)[None]) == 1.0


def test_intensity_range_leaves_the_tails_out():
    image = np.arange(1000.0).reshape(1, 10, 100)
    low, high = intensity_range(image, np.ones_like(image), inner=0.8)
    assert low == pytest.approx(99.9)
    assert high == pytest.approx(899.1)


def test_threshold_then_opening_then_the_largest_piece():
    image = np.zeros((1, 32, 32))
    big, small, speck = _square(2, 2, 12), _square(20, 20, 6), _square(30, 2, 1)
    image[0][big | small | speck] = 0.5
    found = threshold(image, 0.4, 0.6)
    assert np.array_equal(found[0], big | small | speck)
    assert np.array_equal(opened(found)[0], big | small)
    assert np.array_equal(largest_pieces(found)[0], big)
    assert not largest_pieces(threshold(image, 0.8, 0.9)).any()


def test_pixels_that_touch_at_a_corner_are_one_piece():
    diagonal, square = np.eye(32, dtype=bool), _square(20, 2, 4)
    assert np.array_equal(largest_pieces((diagonal | square)[None])[0], diagonal)


def test_most_similar_finds_the_same_slice_under_noise():
    generator = np.random.default_rng(0)
    known = generator.random((20, 64, 64))
    order = generator.permutation(20)
    wanted = known[order] + generator.normal(0, 0.05, known.shape)
    assert most_similar(thumbnails(wanted), thumbnails(known)).tolist() == order.tolist()


def test_best_range_is_the_wide_one_where_all_of_it_is_target():
    image = np.linspace(0.4, 0.6, 32 * 32).reshape(1, 32, 32)
    low, high = best_range(image, np.ones_like(image), inner=(0.5, 0.95))
    assert (low, high) == intensity_range(image, np.ones_like(image), 0.95)


def test_copying_scores_one_where_the_same_slice_is_known():
    generator = np.random.default_rng(0)
    prints, masks = generator.random((6, 16)), generator.random((6, 8, 8)) > 0.5
    prints, masks = np.tile(prints, (2, 1)), np.tile(masks, (2, 1, 1))
    assert copy_score(prints, masks, np.arange(6), np.arange(6, 12)) == 1.0
    assert copy_score(prints, masks, np.arange(3), np.arange(9, 12)) < 0.8


def test_held_out_draws_never_divide_a_group_and_depend_on_the_seed():
    groups = np.repeat(np.arange(8), 5)
    draws = held_out_draws(groups, share=0.25, draws=10, seed=1)
    for train, test in draws:
        assert len(test) == 10
        assert sorted([*train, *test]) == list(range(40))
        assert not set(groups[train]) & set(groups[test])
    again = held_out_draws(groups, share=0.25, draws=10, seed=1)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(draws, again, strict=True))
    assert len({tuple(test) for _, test in draws}) > 1
