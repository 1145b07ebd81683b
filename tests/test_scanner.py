"""Phantoms in small: hand-made bodies in the scanner, and hand-made scans on disk."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from samnb.phantoms import ORGANS, lits, totalsegmentator
from samnb.phantoms.anatomy import Mix, Patient, draw
from samnb.phantoms.body import Body
from samnb.phantoms.draws import Phantom
from samnb.phantoms.fields import Field, Grid
from samnb.phantoms.liver import make_tumours
from samnb.phantoms.nifti_files import flip, to_world
from samnb.phantoms.painting import Pose, Structure
from samnb.phantoms.scanner import Protocol, scan
from samnb.phantoms.tissue import tissue_values

NATIVE, PORTAL = Mix(phases=(1, 0, 0, 0)), Mix(phases=(0, 0, 1, 0))
PROTOCOL = Protocol(
    bottom=0.0, slices=1, thickness=2.0, pixel=2.0, shape=(48, 48), centre=(0.0, 0.0),
    noise=0.0, blur=0.0, sharpen=0.0,
)  # fmt: skip


def patient(mix: Mix = PORTAL, number: int = 1) -> Patient:
    return draw((5, 1, number), mix)


def ball(radius: float) -> Field:
    grid = Grid.around((-60, -60, -60), (60, 60, 60), 3.0)
    z, y, x = grid.axes()
    return Field(grid, (np.sqrt(z**2 + y**2 + x**2) - radius).astype(np.float32))


def below_zero() -> Field:
    """Everything below the height zero."""
    grid = Grid.around((-60, -60, -60), (60, 60, 60), 3.0)
    z = grid.axes()[0]
    return Field(grid, np.broadcast_to(z, grid.shape).astype(np.float32).copy())


def scanned(field: Field, hu: float = 50.0, **protocol) -> tuple[np.ndarray, np.ndarray]:
    """One shape of one value, label 5, in air."""
    structures = [Structure(field, ((0.0, hu),), label=5)]
    body = Body(patient(), structures, Pose((1.0, 1.0, 1.0), 0.0))
    return scan(body, replace(PROTOCOL, **protocol))


def test_a_ball_in_air_measures_what_it_is_made_of():
    hu, labels = scanned(ball(30.0))
    assert hu.dtype == np.int16
    assert hu[0, 24, 24] == 50
    assert hu[0, 0, 0] == -1000
    # A circle of 30 mm radius in pixels of 2 x 2 mm.
    assert np.count_nonzero(labels == 5) == pytest.approx(np.pi * 30**2 / 4, rel=0.03)


def test_a_thick_slice_is_the_mean_over_its_thickness():
    # At 10 mm, 40 mm thick: half of it is air, a quarter lies at -10 mm and a quarter at 30 mm.
    thick, _ = scanned(below_zero(), bottom=10.0, thickness=40.0)
    assert thick[0, 24, 24] == pytest.approx(0.75 * -1000 + 0.25 * 50, abs=1)
    thin, _ = scanned(below_zero(), bottom=10.0, thickness=2.0)
    assert thin[0, 24, 24] == -1000


def test_noise_is_stronger_in_thin_slices():
    inside = (0, slice(18, 30), slice(18, 30))
    thin, thick = (
        scanned(ball(45.0), noise=40.0, thickness=thickness)[0][inside].astype(float) - 50
        for thickness in (1.0, 3.0)
    )
    assert thin.std() > 10
    # Fewer photons: by the 0.35th power of the thickness, and the same draws otherwise.
    assert thin.std() / thick.std() == pytest.approx(3**0.35, rel=0.03)


def test_a_scanner_stores_nothing_beyond_its_range():
    metal, _ = scanned(ball(30.0), hu=9000.0)
    assert metal.max() == 3071
    nothing, _ = scanned(ball(30.0), hu=-3000.0)
    assert nothing.min() == -1024


def test_contrast_agent_brightens_the_vessels_and_fat_darkens_the_liver():
    native, portal = tissue_values(patient(NATIVE)), tissue_values(patient(PORTAL))
    for name, least in (("portal", 50), ("liver", 20), ("spleen", 30), ("aorta", 50)):
        assert portal[name] > native[name] + least, name
    assert portal["fat"] == native["fat"]
    lean, fatty = (tissue_values(patient(replace(PORTAL, fatty_liver=f))) for f in (0.0, 1.0))
    assert 22 <= lean["liver"] - fatty["liver"] <= 62


def test_every_tumour_differs_from_the_liver_around_it():
    mix = replace(PORTAL, tumours=1.0, cysts=0.0)
    drawn = [each for number in range(8) for each in make_tumours(patient(mix, number), ball(50.0))]
    assert len(drawn) >= 8
    assert all(22 <= abs(tumour.contrast) <= 60 for tumour in drawn)


def made_phantom() -> Phantom:
    """Three slices: liver in the middle columns, its tumour in one voxel, a kidney beside it."""
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[:, 2:6, 2:5] = ORGANS["liver"]
    labels[1, 3, 3] = ORGANS["liver_tumour"]
    labels[:, 2:4, 6:8] = ORGANS["kidney_left"]
    protocol = replace(PROTOCOL, slices=3, thickness=5.0, shape=(8, 8))
    return Phantom(patient(), protocol, labels.astype(np.int16) * 10, labels)


def test_the_spacing_of_a_phantom_is_that_of_its_protocol():
    assert made_phantom().spacing == (5.0, 2.0, 2.0)


def test_lits_labels_liver_one_and_tumour_two(tmp_path, monkeypatch):
    monkeypatch.setattr(lits, "make_patient", lambda *_: made_phantom())
    lits.write_patient(tmp_path, 0, 0, 8)
    mask = np.asarray(nib.load(tmp_path / "segmentation-0.nii").dataobj)
    values, counts = np.unique(mask, return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {0: 156, 1: 35, 2: 1}


def test_the_liver_of_totalsegmentator_takes_in_its_tumours(tmp_path, monkeypatch):
    monkeypatch.setattr(totalsegmentator, "make_patient", lambda *_: made_phantom())
    totalsegmentator.write_patient(tmp_path, 0, 0, 8)
    (path,) = tmp_path.glob("s*/segmentations/liver.nii.gz")
    assert np.asarray(nib.load(path).dataobj).sum() == 36
    assert not list(tmp_path.glob("s*/segmentations/*tumour*"))


def test_the_world_of_a_phantom_by_hand():
    # Canonical x runs to the patient's left and y to the back; RAS counts the other way.
    affine = to_world((4, 5, 6), spacing=(3.0, 1.0, 2.0), first=(10.0, 20.0, 30.0))
    assert (affine @ [0, 0, 0, 1])[:3].tolist() == [-30, -20, 10]
    assert (affine @ [1, 1, 1, 1])[:3].tolist() == [-32, -21, 13]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_voxel_keeps_its_place_when_an_axis_is_stored_the_other_way_round(axis):
    array = np.arange(24).reshape(2, 3, 4)
    affine = to_world(array.shape, (3.0, 1.0, 2.0), (10.0, 20.0, 30.0))
    turned, its = flip(array, affine, axis)
    for value in (0, 7, 23):
        before, after = (np.argwhere(each == value)[0] for each in (array, turned))
        np.testing.assert_allclose(affine @ [*before, 1], its @ [*after, 1])


def test_a_smaller_matrix_has_larger_voxels():
    coarse, fine = (totalsegmentator.draw_protocol(patient(), side) for side in (128, 256))
    assert (coarse.pixel, coarse.thickness, fine.pixel) == (3.0, 3.0, 1.5)
    assert coarse.slices == pytest.approx(fine.slices / 2, abs=1)


def test_every_number_of_every_cohort_is_another_patient(monkeypatch):
    for kind in (lits, totalsegmentator):
        monkeypatch.setattr(kind, "make_phantom", lambda drawn, _: drawn)
    drawn = [kind.make_patient(7, number, 64)
             for kind in (lits, totalsegmentator) for number in range(3)]  # fmt: skip
    assert len({one.key for one in drawn}) == 6
    assert len({one.scale for one in drawn}) == 6
