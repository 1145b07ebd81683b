"""The real sets as the profiles `real_...` use them; nothing of their pixels is kept."""

from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from samnb.base import paths
from samnb.data import splits
from samnb.data.geometry import restore_mask
from samnb.data.layouts import open_scan
from samnb.data.slices import prepare
from samnb.data.slicing import LEVELS
from samnb.data.volumes import prepare as prepare_volumes
from samnb.data.volumes import volume_of
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

ORGANS = ("liver", "kidneys", "spleen")
TRAINED_ON = [("real_brain", "du"), ("real_ct", "ct"), *((f"real_mr_{x}", "mr") for x in ORGANS)]

pytestmark = pytest.mark.skipif(
    not paths.real_root().is_dir(),
    reason="the real sets are not here: SAMNB_REAL names their folder (data/README.md)",
)


@pytest.fixture(autouse=True)
def data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("profile", "name", "sizes"),
    [
        ("real_brain", "du", (28, 5, 12)),
        ("real_brain", "cs", (0, 0, 16)),
        ("real_ct", "ct", (66, 12, 24)),
        *((f"real_mr_{organ}", "mr", (8, 1, 3)) for organ in ORGANS),
        ("real_lunch_brain", "du", (33, 0, 12)),
        ("real_lunch_brain", "cs", (0, 0, 16)),
        ("real_lunch_organs", "mr", (8, 0, 4)),
        ("real_med_sa_organs", "mr", (8, 0, 4)),
        ("real_med_sa_brain_3d", "brain", (2, 0, 2)),
        ("real_med_sa_flair", "du", (33, 0, 12)),
        ("real_med_sa_flair", "cs", (0, 0, 16)),
        ("real_med_sa_skin", "skin", (40, 0, 20)),
        ("real_med_sa_polyp", "polyp", (200, 0, 100)),
    ],
)
def test_everyone_has_a_place_and_the_committed_lists_agree(profile, name, sizes):
    settings = load_profile(profile)
    assert cohort.split_list(settings, name).is_file()
    split = cohort.cohort_split(settings, name)  # an error if the list says something else
    assert (len(split.train), len(split.validation), len(split.test)) == sizes
    assert not split.unused


def test_one_institution_is_learned_from_and_the_other_only_tested_on():
    profile = load_profile("real_brain")
    here, there = (cohort.cohort_split(profile, name) for name in ("du", "cs"))
    assert all("_DU_" in patient for patient in here.used)
    assert all("_CS_" in patient for patient in there.used)
    table = pd.read_csv(paths.real_root() / "brain_flair" / "index.csv")
    assert {*here.used, *there.used} == set(table["patient"])


def test_neighbouring_liver_volumes_go_together():
    split = cohort.cohort_split(load_profile("real_ct"), "ct")
    part_of = {patient: name for name, part in split.parts().items() for patient in part}
    in_order = [part_of[patient] for patient in sorted(part_of, key=splits.natural_key)]
    blocks = [set(in_order[start : start + 6]) for start in range(0, len(in_order), 6)]
    assert len(blocks) == 17
    assert all(len(block) == 1 for block in blocks)


@pytest.mark.parametrize(("profile", "name"), TRAINED_ON)
def test_labelled_lists_are_of_training_patients(profile, name):
    settings = load_profile(profile)
    table = pd.read_csv(cohort.labelled_list(settings, name), dtype=str)
    assert len(table) == max(settings.data.labelled) == 100
    assert not table.duplicated(["scan", "slice"]).any()
    assert set(table["patient"]) <= set(cohort.cohort_split(settings, name).train)


def test_labelled_brain_slices_show_the_tumour():
    index = pd.read_csv(paths.real_root() / "brain_flair" / "index.csv").set_index("file")
    listed = pd.read_csv(cohort.labelled_list(load_profile("real_brain"), "du"))
    assert (index.loc[listed["scan"] + ".png", "tumour_pixels"] > 0).all()


def test_exemplars_are_the_shares_of_the_paper_and_of_training_patients():
    """0.5, 1 and 3 % of the training slices with tumour; nobody of them is tested on."""
    profile = load_profile("real_lunch_brain")
    split = cohort.cohort_split(profile, "du")
    table = pd.read_csv(paths.real_root() / "brain_flair" / "index.csv").set_index("file")
    with_tumour = table["patient"].isin(split.train) & (table["tumour_pixels"] >= 10)
    assert profile.data.labelled == tuple(
        round(share * with_tumour.sum()) for share in (0.005, 0.01, 0.03)
    )
    listed = pd.read_csv(cohort.labelled_list(profile, "du"))
    assert with_tumour[listed["scan"] + ".png"].all()
    assert split.test == cohort.cohort_split(load_profile("real_brain"), "du").test


def test_the_richest_slice_of_each_organ_scan_comes_first():
    profile = load_profile("real_lunch_organs")
    listed = pd.read_csv(cohort.labelled_list(profile, "mr"))
    assert sorted(listed["patient"][:8]) == sorted(cohort.cohort_split(profile, "mr").train)
    scans = {scan.scan: open_scan(scan) for scan in cohort.cohort_scans(profile, "mr")}
    for scan, number in zip(listed["scan"][:8], listed["slice"][:8], strict=True):
        masks = [scans[scan].mask(2, slice(None), target) for target in range(4)]
        shown = np.sum([mask.any(axis=(0, 1)) for mask in masks], axis=0)
        assert shown[number] == shown.max() >= 3


def test_slices_of_a_patient_keep_one_scale(data_root):
    """An empty slice stays dark, as its volume was scaled as a whole."""
    profile = load_profile("real_brain")
    scans = cohort.cohort_scans(profile, "cs")
    patient = [scan for scan in scans if scan.patient == scans[0].patient]
    slices, faults = prepare(patient, profile.data.slices, data_root, workers=1, progress=False)
    assert not faults
    brightest = [open_scan(scan).image.read(2, slice(None)).max() for scan in patient]
    shown = slices.images.max(axis=(1, 2, 3)) / LEVELS
    assert (shown <= np.array(brightest) / 255 + 1e-4).all()  # halving averages, never adds
    assert set(slices.index["label"]) == {0, 1}


@pytest.mark.parametrize("organ", ORGANS)
def test_organ_masks_come_back_to_the_grid_of_the_scan(data_root, organ):
    profile = load_profile(f"real_mr_{organ}")
    scan = cohort.cohort_scans(profile, "mr")[0]
    truth = open_scan(scan).mask(2, slice(None))
    for side, least in ((128, 0.9), (256, 1.0)):
        settings = replace(profile.data.slices, side=side)
        slices, _ = prepare([scan], settings, data_root, workers=1, progress=False)
        assert len(slices) == truth.shape[2]
        geometry = slices.geometry(scan.scan)
        assert geometry.spacing == pytest.approx((7.7, 1.25, 1.25), abs=0.01)
        back = restore_mask(np.asarray(slices.masks[:, 0]), slices.index["slice"], geometry) > 0
        assert back.shape == truth.shape
        assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) >= least


def test_right_and_left_are_where_radiologists_look(data_root):
    """The liver on the left half of the picture, the spleen on the right one."""
    for organ, left in (("liver", True), ("spleen", False)):
        profile = load_profile(f"real_mr_{organ}")
        scans = cohort.cohort_scans(profile, "mr")[:1]
        slices, _ = prepare(scans, profile.data.slices, data_root, workers=1, progress=False)
        columns = slices.masks.sum(axis=(0, 1, 2))
        assert (columns[:64].sum() > columns[64:].sum()) == left


@pytest.mark.parametrize(
    ("profile", "like", "name"),
    [
        ("real_med_sa_organs", "real_lunch_organs", "mr"),
        ("real_med_sa_flair", "real_lunch_brain", "du"),
        ("real_med_sa_flair", "real_lunch_brain", "cs"),
    ],
)
def test_two_studies_of_one_set_test_on_the_same_patients(profile, like, name):
    here, there = (cohort.cohort_split(load_profile(each), name) for each in (profile, like))
    assert here == there


@pytest.mark.parametrize(
    ("profile", "name"), [("real_med_sa_skin", "skin"), ("real_med_sa_polyp", "polyp")]
)
def test_pictures_in_colour_have_three_channels(profile, name, data_root):
    settings = load_profile(profile)
    scan = cohort.cohort_scans(settings, name)[0]
    slices, _ = prepare([scan], settings.data.slices, data_root, workers=1, progress=False)
    with Image.open(scan.image) as picture:
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).mean(axis=0) / 255
    shown = slices.images[0].mean(axis=(1, 2)) / LEVELS
    assert shown == pytest.approx(colours, abs=2e-3)
    assert np.ptp(colours) > 0.02  # no grey picture


def test_the_third_colour_of_two_mr_channels_is_the_first(data_root):
    settings = load_profile("real_med_sa_brain_3d")
    scan = cohort.cohort_scans(settings, "brain")[0]
    flair, t1ce = (scan.image.with_name(f"pat0003_{kind}.nii.gz") for kind in ("flair", "t1ce"))
    assert scan.images == (flair, t1ce, flair)
    volume = volume_of(scan, settings.data.volumes, labelled=True)
    assert volume.images.shape == (3, 40, 128, 128)
    assert np.array_equal(volume.images[0], volume.images[2])
    assert not np.array_equal(volume.images[0], volume.images[1])
    label = np.asarray(nibabel.load(scan.label).dataobj)
    millilitres = volume.masks.sum() * 16 / 1000  # voxels of 4 by 2 by 2 mm
    assert millilitres == pytest.approx((label > 0).sum() / 1000, rel=0.03)


def test_slices_of_organs_stay_as_thick_as_they_are(data_root):
    settings = load_profile("real_med_sa_organs")
    scan = cohort.cohort_scans(settings, "mr")[0]
    volumes, _ = prepare_volumes(
        [scan], settings.data.volumes, data_root, workers=1, progress=False
    )
    assert volumes.spacing(0) == pytest.approx((7.7, 2.5, 2.5), abs=0.01)
    grid = volumes.geometry(0)
    assert grid.whole[0] == open_scan(scan).shape[2] <= grid.size[0]
    shown = volumes.load([0])[1][0].any(axis=(0, 2, 3))
    label = np.asarray(nibabel.load(scan.label).dataobj)
    assert shown.sum() == (label > 0).any(axis=(0, 1)).sum()  # no slice lost, none made
