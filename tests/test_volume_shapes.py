"""The stream of generic volumes: the same for the same seed, full of variety, never broken."""

import numpy as np
import pytest

from samnb.pretraining.volumes.bodies import cells, rounded, tube
from samnb.pretraining.volumes.scene import _thick_planes
from samnb.pretraining.volumes.shapes import (
    LARGEST_SHARE,
    SMALLEST_SHARE,
    ShapeVolume,
    draw_volume,
    is_clear,
)
from samnb.pretraining.volumes.space import Space

SIDE = 24


@pytest.fixture(scope="module")
def volumes() -> list[ShapeVolume]:
    return [draw_volume(11, index, SIDE) for index in range(60)]


def test_a_volume_depends_on_its_number_alone():
    first, again = draw_volume(5, 3, SIDE), draw_volume(5, 3, SIDE)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.masks, again.masks)
    assert not np.array_equal(first.image, draw_volume(5, 4, SIDE).image)
    assert not np.array_equal(first.image, draw_volume(6, 3, SIDE).image)


def test_masks_are_as_promised(volumes):
    for drawn in volumes:
        assert drawn.image.shape == (SIDE,) * 3
        assert drawn.image.dtype == np.uint8
        assert drawn.masks.dtype == bool
        assert 1 <= len(drawn.masks) <= 4
        shares = drawn.masks.mean(axis=(1, 2, 3))
        assert shares.min() >= SMALLEST_SHARE
        assert shares.max() <= LARGEST_SHARE
        assert len({mask.tobytes() for mask in drawn.masks}) == len(drawn.masks)


def test_sizes_and_contrasts_vary_widely(volumes):
    shares = np.concatenate([drawn.masks.mean(axis=(1, 2, 3)) for drawn in volumes])
    low, high = np.quantile(shares, [0.1, 0.9])
    assert low < 0.01
    assert high > 0.15
    contrasts = [
        abs(drawn.image[mask].mean() - drawn.image[~mask].mean())
        for drawn in volumes
        for mask in drawn.masks
    ]
    assert np.quantile(contrasts, 0.15) < 15
    assert np.quantile(contrasts, 0.85) > 50


def test_masks_are_nested_and_they_touch(volumes):
    nested = touching = 0
    for drawn in volumes:
        flat = drawn.masks.reshape(len(drawn.masks), -1).astype(np.int64)
        shared, sizes = flat @ flat.T, flat.sum(axis=1)
        nested += bool(((shared == sizes[:, None]) & (sizes[:, None] < sizes[None])).any())
        ahead = np.roll(drawn.masks, 1, axis=1)
        ahead[:, 0] = False
        beside = ahead.reshape(len(flat), -1).astype(np.int64) @ flat.T
        touching += bool(((beside > 0) & (shared == 0)).any())
    assert nested > 0.3 * len(volumes)
    assert touching > 0.3 * len(volumes)


def _space(squeeze: float = 1.0) -> Space:
    space = Space(np.random.default_rng(0), SIDE)
    middles = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    space.places = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"))
    space.places[0] *= squeeze
    space.bending = 0.0
    return space


def test_a_body_has_the_share_it_was_asked_for():
    shares = [rounded(_space(), (12, 12, 12), 0.05).mean() for _ in range(8)]
    assert np.mean(shares) == pytest.approx(0.05, rel=0.5)


def test_thick_planes_make_bodies_flat():
    heights = {}
    for squeeze in (1.0, 2.0):
        mask = tube(_space(squeeze), (12, 12, 12), 0.02)
        heights[squeeze] = mask.any(axis=(1, 2)).sum() / mask.any(axis=(0, 1)).sum()
    assert heights[2.0] < heights[1.0]
    image = np.zeros((8, 1, 1), np.float32)
    image[4:] = 1
    blurred = _thick_planes(image, 2)[:, 0, 0]
    assert np.all(np.diff(blurred) >= 0)
    assert ((blurred > 0) & (blurred < 1)).any()


def test_cells_fill_the_mask_and_are_nearest_to_one_place():
    owner = cells(_space(), np.ones((SIDE,) * 3, bool), 4)
    assert set(np.unique(owner)) == {0, 1, 2, 3}


def test_what_nobody_could_see_is_not_clear():
    mask = np.zeros((SIDE,) * 3, bool)
    mask[6:14, 6:14, 6:14] = True
    noise = np.random.default_rng(0).normal(100, 10, mask.shape)
    assert is_clear((noise + 40 * mask).astype(np.uint8), mask)
    assert not is_clear(noise.astype(np.uint8), mask)
    torn = mask.copy()
    torn[18:22, 14:22, 14:22] = True  # a second piece, a third of the whole
    assert not is_clear((noise + 40 * torn).astype(np.uint8), torn)
