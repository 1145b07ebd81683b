"""BTCV phantoms: the real names and numbers, thirteen organs where they belong, the right way."""

import hashlib

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from samnb.base.errors import SamnbError
from samnb.data.layouts import list_scans
from samnb.data.layouts.btcv import EIGHT_ORGANS, ORGANS, PUBLISHED_TEST
from samnb.data.settings import SliceSettings
from samnb.data.slices import prepare
from samnb.phantoms import btcv, write_cohort
from samnb.phantoms.fields import FAR, Field, Grid, ellipsoid, tube
from samnb.phantoms.routes import ease, trunk
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.upper_abdomen import make_pancreas

SIDE, SEED = 128, 2025
PATIENTS = (0, 29)  # the last has no gallbladder
NAMES = ("0001", "0040")
MILLILITRES = {  # ml, lowest and highest
    "spleen": (70, 600), "right kidney": (95, 260), "left kidney": (95, 260),
    "gallbladder": (10, 90), "oesophagus": (10, 42), "liver": (1000, 2700),
    "stomach": (100, 900), "aorta": (50, 200), "inferior vena cava": (40, 180),
    "portal and splenic vein": (15, 60), "pancreas": (45, 130),
    "right adrenal gland": (1.8, 8.5), "left adrenal gland": (1.8, 8.5),
}  # fmt: skip


VESSELS_AND_LIVER = ("portal and splenic vein", "liver", "pancreas", "aorta", "oesophagus")


class Case:
    """One written patient: HU and label in RAS (x to the right, y to the front, z up), spacing."""

    def __init__(self, folder, number: int, name: str):
        self.patient = btcv.draw_adult(SEED, number)
        images = [nibabel.load(folder / f"{kind}/{kind}{name}.nii.gz") for kind in ("img", "label")]
        self.image, self.mask = images
        turned = [nibabel.as_closest_canonical(image) for image in images]
        self.hu, self.label = (np.asarray(image.dataobj) for image in turned)
        self.affine = turned[1].affine

    def of(self, organ: str) -> np.ndarray:
        return self.label == ORGANS.index(organ) + 1

    def millilitres(self, organ: str) -> float:
        return float(self.of(organ).sum() * abs(np.linalg.det(self.affine[:3, :3])) / 1000)

    def places(self, organ: str) -> np.ndarray:
        """mm (n, 3), RAS."""
        return nibabel.affines.apply_affine(self.affine, np.argwhere(self.of(organ)))

    def touching(self, first: str, second: str) -> np.ndarray:
        """Places of `first` beside which there is `second`."""
        beside = self.of(first) & binary_dilation(self.of(second), np.ones((3, 3, 3)))
        return nibabel.affines.apply_affine(self.affine, np.argwhere(beside))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("btcv")
    for number in PATIENTS:
        btcv.write_patient(root, SEED, number, SIDE)
    return root


@pytest.fixture(scope="module")
def cases(folder):
    return [Case(folder, *each) for each in zip(PATIENTS, NAMES, strict=True)]


def test_names_numbers_and_headers(folder, cases):
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz")}
    assert written == {f"{kind}/{kind}{name}.nii.gz" for kind in ("img", "label") for name in NAMES}
    for case in cases:
        assert case.image.get_data_dtype() == np.int16
        assert case.mask.get_data_dtype() == np.uint8
        assert case.image.shape == case.mask.shape
        assert case.image.shape[:2] == (SIDE, SIDE)
        assert nibabel.aff2axcodes(case.image.affine) == ("L", "A", "S")
        np.testing.assert_array_equal(case.image.affine, case.mask.affine)


def test_numbers_of_the_thirty():
    assert [btcv.NUMBERS[number] for number in PATIENTS] == [int(name) for name in NAMES]
    assert (btcv.NUMBERS[9], btcv.NUMBERS[10], len(btcv.NUMBERS)) == (10, 21, 30)
    with pytest.raises(SamnbError, match="no patient 30"):
        btcv.make_patient(SEED, 30, 64)


def test_published_lists_are_of_these_scans():
    names = {f"img{number:04}" for number in btcv.NUMBERS}
    for published, count in (("transunet", 12), ("monai", 6)):
        assert len(names & set(PUBLISHED_TEST[published])) == count
        assert set(PUBLISHED_TEST[published]) <= names
    trained_on = {5, 6, 7, 9, 10, 21, 23, 24, 26, 27, 28, 30, 31, 33, 34, 37, 39, 40}
    assert names - set(PUBLISHED_TEST["transunet"]) == {f"img{number:04}" for number in trained_on}
    assert len(set(EIGHT_ORGANS)) == 8
    assert set(EIGHT_ORGANS) <= set(ORGANS)


def test_same_bytes_again_and_listed_among_the_cohorts(folder, tmp_path):
    write_cohort("btcv", tmp_path, 1, SIDE, SEED, workers=1, progress=False)
    for name in ("img/img0001.nii.gz", "label/label0001.nii.gz"):
        first, again = ((root / name).read_bytes() for root in (folder, tmp_path))
        assert hashlib.sha256(first).digest() == hashlib.sha256(again).digest()


def test_geometry_as_the_real_ones_have_it():
    patients = [btcv.draw_adult(SEED, number) for number in range(30)]
    for side, pixels, distances, slices in (
        (512, (0.54, 0.98), (2.5, 5.0), (80, 198)),
        (256, (1.08, 1.96), (5.0, 6.5), (40, 80)),
    ):
        protocols = [btcv.draw_protocol(patient, side) for patient in patients]
        assert all(pixels[0] <= each.pixel <= pixels[1] for each in protocols)
        assert all(distances[0] <= each.thickness <= distances[1] for each in protocols)
        assert all(slices[0] <= each.slices <= slices[1] for each in protocols)
    assert {patient.phase for patient in patients} == {"portal"}


def test_thirteen_organs_of_plausible_size(cases):
    for case, name in zip(cases, NAMES, strict=True):
        missing = set() if case.patient.gallbladder else {"gallbladder"}
        assert {organ for organ in ORGANS if not case.of(organ).any()} == missing, name
        assert case.label.max() == 13
        for organ, (low, high) in MILLILITRES.items():
            if organ not in missing:
                assert low < case.millilitres(organ) < high, (name, organ)
    assert not cases[-1].patient.gallbladder


def test_right_is_right(cases):
    for case in cases:
        middle = case.places("aorta")[:, 0].mean()
        for organ in ("right kidney", "liver", "right adrenal gland", "inferior vena cava"):
            assert case.places(organ)[:, 0].mean() > middle + 5, organ
        for organ in ("left kidney", "spleen", "left adrenal gland", "stomach"):
            assert case.places(organ)[:, 0].mean() < middle - 5, organ


def test_oesophagus_ends_at_the_top_of_the_stomach(cases):
    for case in cases:
        contact = case.touching("stomach", "oesophagus")
        assert len(contact)
        stomach = case.places("stomach")
        assert contact[:, 2].mean() > stomach[:, 2].min() + 0.6 * np.ptp(stomach[:, 2])
        assert contact[:, 0].mean() > stomach[:, 0].mean(), "the cardia is on the inner side"
        oesophagus = case.places("oesophagus")
        above = oesophagus[:, 2] > contact[:, 2].max() + 40
        assert above.sum() > 20, "most of it runs in the thorax"


def test_portal_vein_goes_from_pancreas_to_liver_and_spleen(cases):
    for case in cases:
        vein = "portal and splenic vein"
        for organ in ("liver", "pancreas", "spleen"):
            assert len(case.touching(vein, organ)), organ
        parts, count = label(case.of(vein), np.ones((3, 3, 3)))
        assert count == 1 or np.bincount(parts.ravel())[1:].max() > 0.95 * case.of(vein).sum()
        hilum = case.touching(vein, "spleen").mean(axis=0)
        assert hilum[0] > case.places("spleen")[:, 0].mean(), "the hilum faces the middle"
        entry = case.touching(vein, "liver").mean(axis=0)
        assert entry[0] > case.places("aorta")[:, 0].mean()


def test_adrenal_glands_lie_above_the_kidneys_the_right_one_behind_the_cava(cases):
    for case in cases:
        for side in ("right", "left"):
            gland, kidney = case.places(f"{side} adrenal gland"), case.places(f"{side} kidney")
            assert gland[:, 2].mean() > kidney[:, 2].mean() + 25, side
            assert gland[:, 2].max() > kidney[:, 2].max(), side
            assert abs(gland[:, 0].mean()) < abs(kidney[:, 0].mean()), side
        right, cava = case.places("right adrenal gland"), case.places("inferior vena cava")
        beside = cava[(cava[:, 2] > right[:, 2].min()) & (cava[:, 2] < right[:, 2].max())]
        assert right[:, 1].mean() < beside[:, 1].mean() - 8, "y grows to the front"
        assert np.linalg.norm(right[:, :2].mean(axis=0) - beside[:, :2].mean(axis=0)) < 40


def test_adrenal_glands_are_thin(cases):
    """An ellipsoid of 4 ml is 17 mm deep everywhere; a gland is nowhere far from its surface."""
    for case in cases:
        for side in ("right", "left"):
            gland = case.of(f"{side} adrenal gland")
            eroded = gland & ~binary_dilation(~gland, np.ones((5, 5, 1)))
            assert eroded.sum() < 0.15 * gland.sum()


def test_great_vessels_have_labels_without_their_branches(cases):
    for case in cases:
        for vessel in ("aorta", "inferior vena cava"):
            where = np.argwhere(case.of(vessel))
            for z in np.unique(where[:, 2]):
                spans = np.ptp(where[where[:, 2] == z][:, :2], axis=0) * abs(case.affine[0, 0])
                assert spans.max() < 45, vessel
            lowest = case.places(vessel)[:, 2].min()
            assert lowest > -135 * case.patient.scale[0], "both divide before the fourth disc"


def test_brightness_of_the_portal_venous_phase(cases):
    for case in cases:
        values = tissue_values(case.patient)
        middle = {organ: np.median(case.hu[case.of(organ)]) for organ in VESSELS_AND_LIVER}
        assert middle["portal and splenic vein"] > middle["liver"] + 10
        assert middle["portal and splenic vein"] > middle["pancreas"] + 15
        assert middle["aorta"] > middle["oesophagus"] + 25
        assert abs(middle["liver"] - values["liver"]) < 20


def test_read_and_cut_as_real_scans_are(folder, tmp_path):
    scans = list_scans("btcv", folder, EIGHT_ORGANS)
    assert [scan.scan for scan in scans] == [f"img{name}" for name in NAMES]
    slices, faults = prepare(scans, SliceSettings(side=64, middle=1.0), tmp_path, 1, False)
    assert len(faults) == 0
    assert slices.masks.shape[1:] == (8, 64, 64)
    shown = slices.masks.any(axis=(2, 3)).sum(axis=0)
    assert (shown >= 5).all()
    assert not np.any(slices.masks.sum(axis=1) > 1), "two organs claim one pixel"


def test_trunk_of_a_vessel_by_hand():
    """A tube of radius 10 with a side branch of radius 3: the branch is cut off, the tube stays."""
    grid = Grid.around((0, -40, -40), (60, 40, 40), 2.0)
    main = tube(grid, np.array([(-10, 0, 0, 10.0), (70, 0, 0, 10.0)]))
    whole = tube(grid, np.array([(30, 0, 0, 3.0), (30, 0, 36, 3.0)]), main.copy())
    kept = trunk(Field(grid, whole), bottom=20.0).values
    _, _, x = (axis.ravel() for axis in grid.axes())
    branch = kept[15, 20] < 0  # height 30, the row of the axis
    assert x[branch].max() <= 14
    assert (kept[:10] == FAR).all(), "below the bottom nothing is left"
    np.testing.assert_array_equal(kept[25] < 0, main[25] < 0)


def test_a_pancreas_cut_in_two_is_joined_by_hand():
    """Two balls 60 mm apart become one piece, and the balls themselves stay."""
    grid = Grid.around((-20, -20, -50), (20, 20, 50), 2.0)
    balls = [ellipsoid(grid.axes(), (0, 0, x), (12, 12, 12)) for x in (-30, 30)]
    nothing = Field(grid, np.full(grid.shape, FAR, np.float32))
    two = Field(grid, np.minimum(*balls).astype(np.float32))
    assert label(two.values < 0)[1] == 2
    walls = ("aorta", "portal_vein_and_splenic_vein", "kidney_left", "stomach", "liver")
    joined = make_pancreas({"pancreas": two} | dict.fromkeys(walls, nothing))
    assert label(joined.values < 0)[1] == 1
    assert (joined.values <= two.values).all()


def test_a_path_is_pushed_off_an_obstacle_by_hand():
    """A straight tube of radius 2 through a ball of radius 10 goes round it, 3 mm away."""
    grid = Grid.around((-30, -30, -30), (30, 30, 30), 1.5)
    ball = np.sqrt(sum(axis**2 for axis in grid.axes())) - 10
    path = np.array([(0, 1.0, x, 2.0) for x in np.linspace(-28, 28, 15)])
    eased = ease(path, [(Field(grid, ball.astype(np.float32)), 3.0)], rounds=200)
    gaps = np.linalg.norm(eased[:, :3], axis=1) - 10 - 2
    assert gaps.min() > 2.0
    np.testing.assert_array_equal(eased[[0, -1]], path[[0, -1]])
