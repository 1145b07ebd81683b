"""The stream of generic pictures: the same for the same seed, full of variety, never broken."""

import numpy as np
import pytest

from samnb.pretraining.shapes import SMALLEST_SHARE, ShapeImage, draw_shapes


@pytest.fixture(scope="module")
def pictures() -> list[ShapeImage]:
    return [draw_shapes(11, index, 64) for index in range(400)]


def test_a_picture_depends_on_its_number_alone() -> None:
    first = [draw_shapes(5, index) for index in (3, 4)]
    again = [draw_shapes(5, index) for index in (4, 3)][::-1]
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.masks, other.masks)
    assert not np.array_equal(first[0].image, first[1].image)
    assert not np.array_equal(first[0].image, draw_shapes(6, 3).image)


@pytest.mark.parametrize("side", [64, 128])
def test_masks_are_as_promised(side: int) -> None:
    for index in range(150):
        drawn = draw_shapes(1, index, side, max_masks=6)
        assert drawn.image.shape == (side, side)
        assert drawn.image.dtype == np.uint8
        assert drawn.masks.dtype == bool
        assert drawn.masks.shape[1:] == (side, side)
        assert 1 <= len(drawn.masks) <= 6
        assert drawn.masks.mean(axis=(1, 2)).min() >= SMALLEST_SHARE
        assert len({mask.tobytes() for mask in drawn.masks}) == len(drawn.masks)


def test_pictures_of_any_side_are_alike(pictures: list[ShapeImage]) -> None:
    coarse = [mask.mean() for drawn in pictures for mask in drawn.masks]
    fine = [mask.mean() for index in range(200) for mask in draw_shapes(11, index, 128).masks]
    assert np.median(fine) == pytest.approx(np.median(coarse), rel=0.2)
    assert len(fine) / 200 == pytest.approx(len(coarse) / len(pictures), rel=0.1)


def test_sizes_vary_widely(pictures: list[ShapeImage]) -> None:
    areas = np.concatenate([drawn.masks.mean(axis=(1, 2)) for drawn in pictures])
    low, middle, high = np.quantile(areas, [0.1, 0.5, 0.95])
    assert low < 0.015
    assert 0.02 < middle < 0.12
    assert high > 0.25


def test_parts_lie_inside_wholes(pictures: list[ShapeImage]) -> None:
    nested = 0
    for drawn in pictures:
        flat = drawn.masks.reshape(len(drawn.masks), -1).astype(np.int64)
        shared, areas = flat @ flat.T, flat.sum(axis=1)
        inside = (shared == areas[:, None]) & (areas[:, None] < areas[None])
        nested += bool(inside.any())
    assert nested > 0.4 * len(pictures)
    assert nested < len(pictures)


def test_contrast_runs_from_hardly_visible_to_glaring(pictures: list[ShapeImage]) -> None:
    contrasts = []
    for drawn in pictures:
        for mask in drawn.masks:
            contrasts.append(abs(drawn.image[mask].mean() - drawn.image[~mask].mean()))
    assert np.quantile(contrasts, 0.1) < 12
    assert np.quantile(contrasts, 0.85) > 60


def test_pictures_are_dark_and_bright_flat_and_rough(pictures: list[ShapeImage]) -> None:
    means = np.array([drawn.image.mean() for drawn in pictures])
    spreads = np.array([drawn.image.std() for drawn in pictures])
    assert np.quantile(means, 0.1) < 60
    assert np.quantile(means, 0.9) > 150
    assert np.quantile(spreads, 0.9) > 3 * np.quantile(spreads, 0.1)


def test_two_thousand_pictures_without_an_accident() -> None:
    counts = [len(draw_shapes(2025, index, 64).masks) for index in range(2000)]
    assert min(counts) >= 1
    assert max(counts) == 8
