"""Tumour cohorts on disk: the real sets' names, values and headers, read as volumes and slices."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label

from samnb.base.errors import DataError
from samnb.data.check import check_folder, detect_layout
from samnb.data.layouts import list_scans, open_scan
from samnb.data.settings import SliceSettings, VolumeSettings
from samnb.data.slices import prepare
from samnb.data.volumes import prepare as prepare_volumes
from samnb.phantoms import KINDS, cohorts, kits19, msd_hepatic, write_cohort
from samnb.phantoms.anatomy import draw
from samnb.phantoms.lesions import ball
from samnb.phantoms.liver_lesions import make_benign
from samnb.phantoms.tissue import tissue_values
from samnb.phantoms.tumour_sizes import COHORTS

SIDE, SEED = 96, 2025
TARGETS = {
    "kits19": ("kits19", "kidney tumour"),
    "msd_lung": ("decathlon", "lung tumour"),
    "lung100": ("lung100", "lung tumour"),
    "msd_pancreas": ("decathlon", "pancreas tumour"),
    "msd_hepatic": ("decathlon", "hepatic tumour"),
    "lits_tumour": ("lits", "liver tumour"),
}
FILES = {
    "kits19": "case_0000{}/imaging.nii.gz case_0000{}/segmentation.nii.gz",
    "msd_lung": "imagesTr/lung_00{}.nii.gz labelsTr/lung_00{}.nii.gz",
    "lung100": "lung_00{}/ct.nii.gz lung_00{}/tumour.nii.gz",
    "msd_pancreas": "imagesTr/pancreas_00{}.nii.gz labelsTr/pancreas_00{}.nii.gz",
    "msd_hepatic": "imagesTr/hepaticvessel_00{}.nii.gz labelsTr/hepaticvessel_00{}.nii.gz",
    "lits_tumour": "volume-{}.nii segmentation-{}.nii",
}
FROM_ZERO = ("kits19", "lits_tumour")  # others count from one
AXES = {"kits19": "IPL", "lung100": "LPS"}  # of the Decathlon RAS, of LiTS any
MARGIN = 7  # voxels around a tumour, within a slice

each_kind = pytest.mark.parametrize("kind", TARGETS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Callable[[str], Path]:
    """Where two patients of a kind lie, written when they are first asked for."""
    root = tmp_path_factory.mktemp("tumours")

    @cache
    def written(kind: str) -> Path:
        write_cohort(kind, root / kind, 2, SIDE, SEED, workers=1, progress=False)
        return root / kind

    return written


def names_of(kind: str, number: int) -> list[str]:
    return [name.format(number + (kind not in FROM_ZERO)) for name in FILES[kind].split()]


def pair(folder: Callable[[str], Path], kind: str, number: int):
    """Image and segmentation as stored."""
    return [nibabel.load(folder(kind) / name) for name in names_of(kind, number)]


def turned(folder: Callable[[str], Path], kind: str, number: int) -> tuple[np.ndarray, ...]:
    """HU, label and affine in RAS (x to the right, y to the front, z up)."""
    hu, mask = (nibabel.as_closest_canonical(image) for image in pair(folder, kind, number))
    return np.asarray(hu.dataobj), np.asarray(mask.dataobj), mask.affine


def value_of(kind: str) -> int:
    return COHORTS[kind][1]


@each_kind
def test_names_values_and_headers(folder, kind):
    written = {p.relative_to(folder(kind)).as_posix() for p in folder(kind).rglob("*.nii*")}
    assert written == {name for number in range(2) for name in names_of(kind, number)}
    for number in range(2):
        image, mask = pair(folder, kind, number)
        assert image.get_data_dtype() == np.int16
        assert mask.get_data_dtype() == np.uint8
        assert image.shape == mask.shape
        np.testing.assert_array_equal(image.affine, mask.affine)
        axes = "".join(nibabel.aff2axcodes(image.affine))
        assert set(axes) <= set("LRAPSI")
        if kind != "lits_tumour":
            assert axes == AXES.get(kind, "RAS")
        values = set(np.unique(np.asarray(mask.dataobj)))
        assert values == set(range(value_of(kind) + 1))


def test_kits19_has_slices_first_and_no_origin(folder):
    for number in range(2):
        image, _ = pair(folder, "kits19", number)
        assert image.shape[1:] == (SIDE, SIDE)
        np.testing.assert_array_equal(image.affine[:3, 3], 0)
        assert image.affine[2, 0] < -0.99
        assert image.affine[0, 2] == image.affine[1, 1] < 0


@pytest.mark.parametrize("kind", ["msd_lung", "msd_pancreas", "msd_hepatic"])
def test_decathlon_files_begin_before_the_origin(folder, kind):
    image, _ = pair(folder, kind, 0)
    steps = np.diag(image.affine)[:3]
    assert (steps > 0).all()
    expected = -steps * (np.array(image.shape) - 1) * [1, 1, 0]
    np.testing.assert_allclose(image.affine[:3, 3], expected, atol=1e-3)


def test_decathlon_numbers_have_gaps_where_the_test_cases_are(folder):
    cases = [COHORTS["msd_lung"][0].case(number) for number in range(63)]
    assert cases[:4] == ["lung_001", "lung_002", "lung_004", "lung_005"]
    assert cases[-1] == "lung_094", "of 96"
    assert COHORTS["msd_pancreas"][0].case(280) == "pancreas_421"
    assert msd_hepatic.case(302) == "hepaticvessel_454"


@pytest.mark.parametrize(
    ("kind", "name", "labels"),
    [
        ("msd_lung", "Lung", ["background", "cancer"]),
        ("msd_pancreas", "Pancreas", ["background", "pancreas", "cancer"]),
        ("msd_hepatic", "HepaticVessel", ["background", "Vessel", "Tumour"]),
    ],
)
def test_tables_of_the_decathlon(folder, kind, name, labels):
    table = json.loads((folder(kind) / "dataset.json").read_text())
    assert table["name"] == name
    assert list(table["labels"].values()) == labels
    assert table["numTraining"] == len(table["training"]) == 2
    listed = [Path(path).as_posix() for entry in table["training"] for path in entry.values()]
    assert listed == [each for number in range(2) for each in names_of(kind, number)]


@pytest.mark.parametrize("kind", ["kits19", "lung100"])  # drawing takes seconds
def test_same_bytes_again(folder, kind, tmp_path):
    KINDS[kind].write_patient(tmp_path, SEED, 1, SIDE)
    for name in names_of(kind, 1):
        assert (tmp_path / name).read_bytes() == (folder(kind) / name).read_bytes()


@each_kind
def test_whoever_changes_how_a_kind_is_drawn_gets_it_drawn_anew(kind):
    assert cohorts._generator_version(kind)
    roots = f"samnb.phantoms.{kind}.write_patient"
    reached = {name for _, name in cohorts.reached([roots])}
    assert {"write_nifti", "lump", "make_torso"} <= reached


@each_kind
def test_read_as_volumes_and_slices_with_the_target_by_its_organ(folder, kind, tmp_path):
    layout, target = TARGETS[kind]
    assert detect_layout(folder(kind)) == layout
    scans = list_scans(layout, folder(kind), target)
    assert [scan.targets[0].name for scan in scans] == [target] * 2
    assert check_folder(layout, folder(kind), target) == []
    settings = VolumeSettings(spacing=(3.0, 3.0, 3.0), size=(32, 32, 32), around_label=True)
    volumes, faults = prepare_volumes(scans, settings, tmp_path / "volumes", 1, False)
    assert not faults
    assert volumes.targets == (target,)
    images, masks = volumes.load([0, 1])
    assert images.shape == masks.shape == (2, 1, 32, 32, 32)
    assert masks.any(axis=(1, 2, 3, 4)).all(), "everybody has a tumour"
    slices, faults = prepare(
        scans, SliceSettings(side=64, middle=1.0), tmp_path / "slices", 1, False
    )
    assert not faults
    assert slices.masks.shape[1:] == (1, 64, 64)
    assert all(slices.labels[slices.rows_of([p])].any() for p in slices.patients)


def test_organs_take_in_their_tumours_but_vessels_do_not(folder):
    for kind, layout, organ in (
        ("kits19", "kits19", "kidney"),
        ("msd_pancreas", "decathlon", "pancreas"),
        ("lits_tumour", "lits", "liver"),
        ("msd_hepatic", "decathlon", "vessel"),
    ):
        target = TARGETS[kind][1]
        scan = open_scan(list_scans(layout, folder(kind), (organ, target))[0])
        whole, tumour = (scan.mask(2, slice(None), number) for number in range(2))
        assert tumour.any()
        inside = (whole & tumour).sum() / tumour.sum()
        assert inside == (0 if kind == "msd_hepatic" else 1)


@each_kind
def test_the_names_by_which_a_tumour_is_asked_for(folder, kind):
    layout, target = TARGETS[kind]
    for asked in (target, "tumour", target.title(), target.replace("tumour", "tumor")):
        scan = list_scans(layout, folder(kind), asked)[0]
        assert scan.targets[0].name == asked
        assert scan.targets[0].label_values == (value_of(kind),), asked
    other = "kidney tumour" if "lung" in kind else "lung tumour"
    with pytest.raises(DataError, match=rf"no target '{other}'.*choose among"):
        list_scans(layout, folder(kind), other)


@pytest.mark.parametrize("kind", ["kits19", "msd_pancreas", "lits_tumour"])
def test_tumours_lie_in_or_on_their_organ(folder, kind):
    for number in range(2):
        _, mask, _ = turned(folder, kind, number)
        pieces, count = label(mask == 2, np.ones((3, 3, 3)))
        near = binary_dilation(mask == 1, np.ones((3, 3, 3)))
        for piece in range(1, count + 1):
            if (pieces == piece).sum() > 8:
                assert (near & (pieces == piece)).any()


@pytest.mark.parametrize("kind", ["msd_lung", "lung100"])
def test_tumours_of_the_lung_lie_among_air(folder, kind):
    for number in range(2):
        hu, mask, _ = turned(folder, kind, number)
        around = binary_dilation(mask == 1, np.ones((MARGIN, MARGIN, 1))) & (mask == 0)
        assert (hu[around] < -700).mean() > 0.2
        assert np.median(hu[mask == 1]) > np.quantile(hu[around], 0.3)


def test_kidneys_lie_on_both_sides_of_the_spine_and_their_labels_are_kidney(folder):
    for number in range(2):
        hu, mask, affine = turned(folder, "kits19", number)
        x = nibabel.affines.apply_affine(affine, np.argwhere(mask == 1))[:, 0]
        middle = affine[0, 3] + affine[0, 0] * (mask.shape[0] - 1) / 2
        assert 0.2 < (x > middle).mean() < 0.8
        volume = (mask == 1).sum() * abs(np.linalg.det(affine[:3, :3])) / 1000
        assert 150 < volume < 520
        assert np.median(hu[binary_erosion(mask == 1)]) > 70, "they enhance"


def test_right_is_right(folder):
    """The liver, the largest organ, lies on the right."""
    for number in range(2):
        _, mask, affine = turned(folder, "lits_tumour", number)
        middle = affine[0, 3] + affine[0, 0] * (mask.shape[0] - 1) / 2
        x = nibabel.affines.apply_affine(affine, np.argwhere(mask > 0))[:, 0]
        assert (x > middle).mean() > 0.7


def test_up_is_up(folder):
    """Lungs, which are air, lie above the kidneys."""
    for number in range(2):
        hu, _, _ = turned(folder, "kits19", number)
        inside = (slice(SIDE // 4, -SIDE // 4), slice(SIDE // 3, -SIDE // 3))
        upper, lower = hu[..., -3:][inside], hu[..., :3][inside]
        assert (upper < -700).mean() > (lower < -700).mean() + 0.1


def test_vessels_of_the_liver_are_bright_trees_through_many_slices(folder):
    for number in range(2):
        hu, mask, affine = turned(folder, "msd_hepatic", number)
        vessels = mask == 1
        millilitres = vessels.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000
        assert 8 < millilitres < 130
        shown = vessels.any(axis=(0, 1))
        assert shown.sum() * affine[2, 2] > 80, "mm of height"
        beside = binary_dilation(vessels, np.ones((5, 5, 1))) & (mask == 0)
        assert np.median(hu[vessels]) > np.median(hu[beside]) + 6
        pieces, count = label(vessels, np.ones((3, 3, 3)))
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        assert sizes[:2].sum() > 0.3 * vessels.sum()
        assert count > 1


def test_only_the_two_trees_are_vessels():
    """Cysts are liver where the liver has a label; here it has none, and neither have they."""
    patients = [draw((SEED, msd_hepatic.STREAM, n), msd_hepatic.MIX) for n in range(40)]
    ball_of_liver = ball((20.0, -40.0, -50.0), (60.0, 60.0, 60.0))
    patient = next(
        patient
        for patient in patients
        if make_benign(patient, ball_of_liver, msd_hepatic.LIVER, tissue_values(patient))
    )
    labels = [item.label for item in msd_hepatic.make_liver_with_vessels(patient).structures]
    assert labels.count(1) == 2
    assert 2 in labels


def test_slices_are_as_thick_as_the_real_ones_or_as_pixels_are_wide():
    patients = [draw((SEED, kits19.STREAM, number), kits19.MIX) for number in range(40)]
    for side, thinnest in ((512, 1.0), (128, 1.8)):
        protocols = [kits19.draw_protocol(patient, side) for patient in patients]
        thick = np.array([each.thickness for each in protocols])
        assert thick.min() >= thinnest
        assert thick.max() == 5.0
        assert all(each.thickness >= 0.79 * each.pixel for each in protocols)
        assert {each.shape for each in protocols} == {(side, side)}
    assert set(thick) != {5.0}
    real = {kits19.draw_protocol(patient, 512).thickness for patient in patients}
    assert real <= {1.0, 2.0, 2.5, 3.0, 4.0, 5.0}
    low = [each.bottom for each in protocols]
    high = [each.bottom + each.thickness * each.slices for each in protocols]
    assert max(low) < -85, "below both kidneys"
    assert min(high) > 90


def test_what_is_wrong_with_a_folder_of_lung100(folder, tmp_path):
    with pytest.raises(DataError, match=r"no lung_NNN/ct\.nii\.gz in it.*give the folder"):
        list_scans("lung100", tmp_path, "lung tumour")
    image, mask = pair(folder, "lung100", 0)
    for number in (2, 10):
        (tmp_path / f"lung_{number:03}").mkdir()
        nibabel.save(image, tmp_path / f"lung_{number:03}" / "ct.nii.gz")
    scans = list_scans("lung100", tmp_path, "lung tumour")
    assert [scan.patient for scan in scans] == ["lung_002", "lung_010"]
    assert scans[0].label is None, "nothing is segmented"
    wrong = nibabel.Nifti1Image(np.asarray(mask.dataobj) * 3, mask.affine)
    nibabel.save(wrong, tmp_path / "lung_002" / "tumour.nii.gz")
    first, second = list_scans("lung100", tmp_path, "lung tumour")
    with pytest.raises(DataError, match="unexpected label values 3 beside 0, 1"):
        open_scan(first).mask(2, slice(None))
    with pytest.raises(DataError, match=r"lung_010.tumour\.nii\.gz: missing"):
        open_scan(second)
    nibabel.save(mask, tmp_path / "lung_010" / "tumour.nii.gz")
    (tmp_path / "lung_010" / "ct.nii.gz").unlink()
    with pytest.raises(DataError, match=r"lung_010.ct\.nii\.gz: missing"):
        open_scan(list_scans("lung100", tmp_path, "tumour")[1])
    again = tmp_path / "again" / "lung_010"
    again.mkdir(parents=True)
    nibabel.save(mask, again / "tumour.nii.gz")
    with pytest.raises(DataError, match=r"a second tumour of lung_010 beside.*keep one"):
        list_scans("lung100", tmp_path, "tumour")


def test_what_is_wrong_with_a_task_of_the_decathlon(folder, tmp_path):
    with pytest.raises(DataError, match=r"dataset\.json: missing.*TaskNN_Name"):
        list_scans("decathlon", tmp_path, "lung tumour")
    (tmp_path / "dataset.json").write_text('{"name": "Lung", "training": []}')
    with pytest.raises(DataError, match="not a Decathlon table"):
        list_scans("decathlon", tmp_path, "lung tumour")
    (tmp_path / "dataset.json").write_bytes((folder("msd_lung") / "dataset.json").read_bytes())
    with pytest.raises(DataError, match=r"lung_001\.nii\.gz"):
        open_scan(list_scans("decathlon", tmp_path, "lung tumour")[0])
