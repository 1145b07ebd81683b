"""Orientation and the way back: all 48 orientations, anisotropic spacing, non-square slices."""

import itertools
import json

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from samnb.base.errors import SamnbError
from samnb.data import geometry as geo

ORIENTATIONS = [
    [(axis, direction) for axis, direction in zip(axes, directions, strict=True)]
    for axes in itertools.permutations(range(3))
    for directions in itertools.product((1, -1), repeat=3)
]
SHAPE = (6, 10, 7)  # right, anterior, superior: all different, so that a wrong axis shows
SPACING = (0.8, 0.9, 3.0)


def ras_scan() -> tuple[np.ndarray, np.ndarray]:
    """A scan in RAS order whose voxels are all different, and its affine."""
    array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-40.0, 25.0, 110.0)
    return array, affine


def stored_as(orientation, array: np.ndarray, affine: np.ndarray):
    """The same scan written in another axis order, with the affine that says so."""
    orientation = np.array(orientation, dtype=float)
    stored = apply_orientation(array, orientation)
    return stored, affine @ inv_ornt_aff(orientation, array.shape)


def expected_canonical(array: np.ndarray) -> np.ndarray:
    """RAS (x, y, z) -> (z up, y front to back, x right to left), written out by hand."""
    return array.transpose(2, 1, 0)[:, ::-1, ::-1]


def test_there_are_48_orientations():
    stored = {stored_as(o, *ras_scan())[1].round(6).tobytes() for o in ORIENTATIONS}
    assert len(stored) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_becomes_the_same_and_goes_back_exactly(orientation):
    array, affine = ras_scan()
    stored, stored_affine = stored_as(orientation, array, affine)
    geometry = geo.geometry_of(stored.shape, stored_affine, side=16)
    canonical = geo.to_canonical(stored, geometry)
    np.testing.assert_array_equal(canonical, expected_canonical(array))
    np.testing.assert_array_equal(geo.to_native(canonical, geometry), stored)
    assert geometry.canonical_shape == canonical.shape == (7, 10, 6)
    assert geometry.spacing == pytest.approx((3.0, 0.9, 0.8))
    for z in range(7):
        plane = np.take(stored, [geometry.native_plane(z)], axis=geometry.axes[0])
        np.testing.assert_array_equal(np.sort(plane.ravel()), np.sort(canonical[z].ravel()))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_masks_return_to_the_scan_exactly(orientation):
    # On a grid at least as fine as the scan nothing may be lost, in any orientation.
    array, affine = ras_scan()
    liver = ras_liver(array.shape)
    stored, stored_affine = stored_as(orientation, liver, affine)
    geometry = geo.geometry_of(stored.shape, stored_affine, side=64)
    canonical = geo.to_canonical(stored, geometry)
    chosen = [1, 2, 4]
    masks = np.stack([geo.fit_mask(canonical[z], geometry) for z in chosen])
    restored = geo.restore_mask(masks, chosen, geometry)
    expected = np.zeros_like(stored)
    geo.to_canonical(expected, geometry)[chosen] = canonical[chosen]
    np.testing.assert_array_equal(restored, expected)
    assert restored.dtype == np.uint8


def ras_liver(shape) -> np.ndarray:
    """A block in the patient's right front (RAS: high x, high y)."""
    liver = np.zeros(shape, np.uint8)
    liver[4:, 5:9, 1:5] = 1
    return liver


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_liver_is_on_the_left_and_in_front_of_the_picture(orientation):
    array, affine = ras_scan()
    stored, stored_affine = stored_as(orientation, ras_liver(array.shape), affine)
    geometry = geo.geometry_of(stored.shape, stored_affine, side=32)
    picture = geo.fit_mask(geo.to_canonical(stored, geometry)[2], geometry)
    rows, columns = np.nonzero(picture)
    assert columns.mean() < 16
    assert rows.mean() < 16


def test_oblique_scan_goes_by_its_nearest_axes():
    array, affine = ras_scan()
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    for orientation in ORIENTATIONS[::7]:
        stored, stored_affine = stored_as(orientation, array, affine)
        geometry = geo.geometry_of(stored.shape, turn @ stored_affine, side=16)
        np.testing.assert_array_equal(geo.to_canonical(stored, geometry), expected_canonical(array))
        assert geometry.spacing == pytest.approx((3.0, 0.9, 0.8))


def test_slices_keep_their_proportions_in_millimetres():
    # 20 rows of 0.5 mm and 40 columns of 1 mm: 10 mm high, 40 mm wide.
    affine = np.diag([-1.0, -0.5, 2.0, 1.0])
    geometry = geo.geometry_of((40, 20, 3), affine, side=32)
    assert geometry.frame == (slice(12, 20), slice(0, 32))
    assert geometry.model_spacing == pytest.approx((2.0, 1.25, 1.25))
    fitted = geo.fit_image(np.full((20, 40), 0.5), geometry)
    assert fitted[12:20].min() == fitted[12:20].max() == 0.5
    assert fitted[:12].max() == fitted[20:].max() == 0


def test_a_square_slice_fills_the_grid_and_halving_averages():
    geometry = geo.geometry_of((8, 8, 1), np.diag([-1.0, -1.0, 1.0, 1.0]), side=4)
    assert geometry.frame == (slice(0, 4), slice(0, 4))
    plane = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    expected = plane.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(geo.fit_image(plane, geometry), expected, rtol=1e-6)


def test_logits_return_smoothly_and_unseen_slices_hold_the_fill():
    geometry = geo.geometry_of((24, 16, 4), np.diag([-1.0, -1.0, 1.0, 1.0]), side=12)
    ramp = np.tile(np.arange(12, dtype=np.float32), (12, 1))
    restored = geo.restore_logits(ramp[None], [2], geometry, fill=-9.0)
    canonical = geo.to_canonical(restored, geometry)
    assert (canonical[[0, 1, 3]] == -9.0).all()
    inner = canonical[2][:, 1:-1]
    np.testing.assert_allclose(np.diff(inner, axis=1), 0.5, atol=1e-6)


def test_planes_and_slices_must_agree():
    geometry = geo.geometry_of((8, 8, 4), np.eye(4), side=4)
    with pytest.raises(ValueError, match="expected 2 planes"):
        geo.restore_mask(np.zeros((1, 4, 4), np.uint8), [0, 1], geometry)


def test_record_survives_json():
    affine = np.diag([0.7032, -0.7032, 1.25, 1.0]) + 1e-3
    affine[3] = (0, 0, 0, 1)
    geometry = geo.geometry_of((512, 400, 90), affine, side=256)
    assert geo.from_record(json.loads(json.dumps(geometry.to_record()))) == geometry


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.full((4, 4), np.nan)])
def test_a_scan_without_orientation_is_refused(bad):
    with pytest.raises(SamnbError, match="affine"):
        geo.geometry_of((4, 4, 4), bad, side=4)
