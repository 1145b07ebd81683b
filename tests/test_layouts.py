"""Layouts of real data sets: which files make a scan, which values a target, what is recognised."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samnb.base.errors import DataError
from samnb.base.files import write_json
from samnb.data.check import USUAL_TARGETS, check_folder, detect_layout
from samnb.data.layouts import LAYOUTS, list_scans, open_scan

SHAPE = (6, 5, 4)


def voxels(seed: int, values=None) -> np.ndarray:
    random = np.random.default_rng(seed)
    if values is None:
        return random.integers(-500, 500, SHAPE).astype(np.int16)
    return random.choice(values, SHAPE).astype(np.uint8)


def write(path: Path, array: np.ndarray, affine=None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-0.8, -0.8, 2.5, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def draw(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def colours(seed: int, size=(12, 10)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def opened(layout: str, folder: Path, *targets: str):
    return [open_scan(files) for files in list_scans(layout, folder, targets)]


def masks_of(scan) -> list[np.ndarray]:
    return [scan.mask(2, slice(None), number) for number in range(len(scan.targets))]


def picture(scan, number: int = 0) -> np.ndarray:
    """Mask of a target in a picture, (rows, columns)."""
    return scan.mask(2, [0], number)[:, :, 0].T


# BraTS

SEQUENCES = ("flair", "t1", "t1ce", "t2")


def write_brats(folder: Path, suffix: str = ".nii.gz", labelled: bool = True) -> None:
    """A case in a folder of its own name; each sequence differs by its number."""
    for number, kind in enumerate(SEQUENCES):
        write(folder / f"{folder.name}_{kind}{suffix}", voxels(len(folder.name)) + number)
    if labelled:
        write(folder / f"{folder.name}_seg{suffix}", voxels(1, (0, 1, 2, 4)))


def test_brats_has_four_channels_and_overlapping_targets(tmp_path):
    for place in ("HGG/Brats18_2013_10_1", "HGG/Brats18_2013_2_1", "LGG/Brats18_TCIA09_462_1"):
        write_brats(tmp_path / place, ".nii" if "LGG" in place else ".nii.gz")
    targets = ("Whole tumour", "tumor core", "enhancing tumour", "necrosis", "edema")
    scans = opened("brats", tmp_path, *targets)
    names = ["Brats18_2013_2_1", "Brats18_2013_10_1", "Brats18_TCIA09_462_1"]
    assert [scan.patient for scan in scans] == names
    assert scans[0].targets == targets
    label = voxels(1, (0, 1, 2, 4))
    for scan in scans:
        for number, channel in enumerate(scan.images):
            expected = voxels(len(scan.patient)) + number
            np.testing.assert_array_equal(channel.read(2, slice(None)), expected)
        for mask, values in zip(masks_of(scan), [(1, 2, 4), (1, 4), 4, 1, 2], strict=True):
            np.testing.assert_array_equal(mask, np.isin(label, values))
    assert detect_layout(tmp_path) == "brats"
    assert check_folder("brats", tmp_path) == []


def test_brats_21_lies_flat_and_validation_has_no_labels(tmp_path):
    for number in (10, 2):
        write_brats(tmp_path / f"BraTS2021_{number:05}", labelled=False)
    scans = opened("brats", tmp_path, "whole tumour")
    assert [scan.scan for scan in scans] == ["BraTS2021_00002", "BraTS2021_00010"]
    assert all(scan.label is None and len(scan.images) == 4 for scan in scans)


def test_brats_faults(tmp_path):
    for number in range(3):
        write_brats(tmp_path / f"BraTS2021_0000{number}")
    (tmp_path / "BraTS2021_00000" / "BraTS2021_00000_t1ce.nii.gz").unlink()
    (tmp_path / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz").unlink()
    first, second, third = list_scans("brats", tmp_path, "whole tumour")
    with pytest.raises(DataError, match=r"_00000_t1ce\.nii\.gz: missing: the image of .*Remedy"):
        open_scan(first)
    with pytest.raises(DataError, match=r"_00001_seg\.nii\.gz: missing: the segmentation of"):
        open_scan(second)
    open_scan(third)
    with pytest.raises(DataError, match=r"no target 'core'.*tumour core"):
        list_scans("brats", tmp_path, "core")
    write_brats(tmp_path / "again" / "BraTS2021_00002")
    with pytest.raises(DataError, match=r"a second file BraTS2021_00002_flair beside.*keep one"):
        list_scans("brats", tmp_path, "whole tumour")
    write(third.labels[0], voxels(1, (0, 3)))
    with pytest.raises(DataError, match="unexpected label values 3 beside 0, 1, 2, 4"):
        masks_of(open_scan(third))


# CT


def test_btcv_knows_its_organs_by_name(tmp_path):
    for number in (1, 10):
        write(tmp_path / "img" / f"img{number:04}.nii.gz", voxels(number))
        write(tmp_path / "label" / f"label{number:04}.nii.gz", voxels(number, range(14)))
    write(tmp_path / "Testing" / "img" / "img0061.nii.gz", voxels(61))
    targets = ("spleen", "Oesophagus", "esophagus", "inferior vena cava", "left adrenal gland")
    scans = opened("btcv", tmp_path, *targets, "kidneys")
    assert [scan.patient for scan in scans] == ["img0001", "img0010"]  # none of the test set
    label = voxels(10, range(14))
    for mask, values in zip(masks_of(scans[1]), [1, 5, 5, 9, 13, (2, 3)], strict=True):
        np.testing.assert_array_equal(mask, np.isin(label, values))
    assert detect_layout(tmp_path) == "btcv"
    assert check_folder("btcv", tmp_path) == []
    (tmp_path / "label" / "label0001.nii.gz").unlink()
    with pytest.raises(
        DataError, match=r"label0001\.nii\.gz: missing: the segmentation of img0001"
    ):
        opened("btcv", tmp_path, "liver")
    with pytest.raises(DataError, match=r"no target 'lung'.*Remedy: choose among"):
        list_scans("btcv", tmp_path, "lung")
    assert [scan.label for scan in opened("btcv", tmp_path / "Testing", "liver")] == [None]


def test_kits_lies_slices_first(tmp_path):
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    for number in (10, 9):
        place = tmp_path / "data" / f"case_{number:05}"
        write(place / "imaging.nii.gz", voxels(number), affine)
        write(place / "segmentation.nii.gz", voxels(number, (0, 1, 2)), affine)
    write(tmp_path / "data" / "case_00210" / "imaging.nii.gz", voxels(210), affine)
    write(tmp_path / "data" / "imaging.nii.gz", voxels(0), affine)  # of no case
    scans = opened("kits19", tmp_path, "kidney", "tumor")
    assert [scan.patient for scan in scans] == ["case_00009", "case_00010"]
    label = voxels(9, (0, 1, 2))
    for mask, expected in zip(masks_of(scans[0]), (label > 0, label == 2), strict=True):
        np.testing.assert_array_equal(mask, expected)
    assert scans[0].spacing == pytest.approx((3.0, 0.8, 0.8))
    assert detect_layout(tmp_path) == "kits19"
    assert check_folder("kits19", tmp_path) == []
    (tmp_path / "data" / "case_00009" / "imaging.nii.gz").unlink()
    with pytest.raises(DataError, match=r"case_00009/imaging\.nii\.gz: missing: the image of segm"):
        opened("kits19", tmp_path, "kidney")


def test_lits_with_its_tumours(tmp_path):
    write(tmp_path / "volume-0.nii", voxels(0))
    write(tmp_path / "segmentation-0.nii", voxels(0, (0, 1, 2)))
    (scan,) = opened("lits", tmp_path, "liver", "tumour", "tumor")
    label = voxels(0, (0, 1, 2))
    for mask, expected in zip(masks_of(scan), (label > 0, label == 2, label == 2), strict=True):
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("task", "labels", "targets"),
    [
        ("Task06_Lung", {"0": "background", "1": "cancer"}, {"tumour": 1, "cancer": 1}),
        (
            "Task07_Pancreas",
            {"0": "background", "1": "pancreas", "2": "cancer"},
            {"pancreas": (1, 2), "tumour": 2},
        ),
        (
            "Task08_HepaticVessel",
            {"0": "background", "1": "Vessel", "2": "Tumour"},
            {"vessel": 1, "tumor": 2, "Tumour": 2},
        ),
    ],
)
def test_decathlon_tasks_with_several_targets(tmp_path, task, labels, targets):
    folder, name = tmp_path / task, f"{task[7:].lower()}_001.nii.gz"
    values = tuple(map(int, labels))
    write(folder / "imagesTr" / name, voxels(0))
    write(folder / "labelsTr" / name, voxels(0, values))
    pair = {"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"}
    write_json(folder / "dataset.json", {"labels": labels, "training": [pair], "test": []})
    (scan,) = opened("decathlon", folder, *targets)
    for mask, wanted in zip(masks_of(scan), targets.values(), strict=True):
        np.testing.assert_array_equal(mask, np.isin(voxels(0, values), wanted))
    assert detect_layout(folder) == "decathlon"
    assert check_folder("decathlon", folder) == []


# Pictures


def fundus(seed: int = 0) -> np.ndarray:
    """Disc within the background, cup within the disc."""
    mask = np.full((12, 10), 255, np.uint8)
    mask[2:9, 2:8] = 128
    mask[4:7, 3 : 5 + seed % 3] = 0
    return mask


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (
            "Training400/{}laucoma/{}.jpg",
            "Annotation-Training400/Annotation-Training400/Disc_Cup_Masks/{}laucoma/{}.bmp",
        ),
        ("{}/Images/{}.jpg", "{}/gts/{}.bmp"),
        ("train/images/{}{}.jpg", "train/mask/{}{}.bmp"),
    ],
)
def test_refuge_pairs_colours_and_masks_by_name(tmp_path, image, mask):
    for number, (group, name) in enumerate((("G", "g0001"), ("Non-G", "n0012"))):
        given = ("", name) if "{}{}" in image else (group, name)
        draw(tmp_path / image.format(*given), colours(number), quality=100)
        draw(tmp_path / mask.format(*given), fundus(number))
    for other in ("Annotation-Training400/Disc_Cup_Fovea_Illustration/g0001", "Non-AMD/N0001"):
        draw(tmp_path / f"{other}.jpg", colours(9))
    scans = opened("refuge", tmp_path, "disc", "cup")
    assert [scan.patient for scan in scans] == ["g0001", "n0012"]
    for number, scan in enumerate(scans):
        assert len(scan.images) == 3
        np.testing.assert_array_equal(picture(scan, 0), fundus(number) < 255)
        np.testing.assert_array_equal(picture(scan, 1), fundus(number) == 0)
        assert picture(scan, 1).any()
        stored = np.asarray(Image.open(scan.image.path))
        for channel, expected in zip(scan.images, stored.transpose(2, 1, 0), strict=True):
            np.testing.assert_array_equal(channel.read(2, [0])[:, :, 0], expected)
    assert detect_layout(tmp_path) == "refuge"
    assert check_folder("refuge", tmp_path) == []
    scans[0].labels[0].path.unlink()
    with pytest.raises(DataError, match=r"g0001\.bmp: missing: the segmentation of g0001\.jpg"):
        opened("refuge", tmp_path, "disc")
    draw(scans[1].labels[0].path, fundus() // 2)
    with pytest.raises(DataError, match=r"unexpected label values 64, 127 beside 0, 128, 255"):
        picture(scans[1])


def test_other_pictures_are_not_taken_for_refuge(tmp_path):
    draw(tmp_path / "images" / "a.jpg", colours(0))
    draw(tmp_path / "masks" / "a.bmp", (fundus() > 128).astype(np.uint8))
    with pytest.raises(DataError, match=r"no pictures of REFUGE"):
        list_scans("refuge", tmp_path, "disc")
    assert detect_layout(tmp_path) == "folder"


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_ultrasound_masks_may_be_jpeg(tmp_path, suffix):
    """Both parts of TN3K begin to count at 0000."""
    nodule = np.zeros((64, 48), np.uint8)
    nodule[20:41, 12:30] = 255
    nodule[np.add.outer(np.arange(64), np.arange(48)) < 40] = 0
    for part in ("trainval", "test"):
        for number in range(2):
            draw(
                tmp_path / "tn3k" / f"{part}-image" / f"{number:04}.jpg", colours(number, (64, 48))
            )
            draw(tmp_path / "tn3k" / f"{part}-mask" / f"{number:04}.{suffix}", nodule)
    scans = opened("ultrasound", tmp_path, "nodule")
    names = [f"tn3k/{part}/000{number}" for part in ("test", "trainval") for number in (0, 1)]
    assert [scan.scan for scan in scans] == [scan.patient for scan in scans] == names
    stored = np.asarray(Image.open(scans[0].label.path))
    assert (suffix == "jpg") == (len(np.unique(stored)) > 2)  # JPEG made shades of grey
    for scan in scans:
        assert len(scan.images) == 1  # ultrasound has no colours
        np.testing.assert_array_equal(picture(scan), nodule == 255)
    assert detect_layout(tmp_path) == "ultrasound"
    faults = check_folder("ultrasound", tmp_path)  # the same pictures in both parts, as drawn here
    assert all("the same voxels" in fault.fault for fault in faults)
    scans[0].label.path.unlink()
    with pytest.raises(DataError, match=r"test-mask/0000\.jpg: missing: the segmentation"):
        opened("ultrasound", tmp_path, "nodule")
    with pytest.raises(DataError, match=r"no target 'liver'.*choose among nodule"):
        list_scans("ultrasound", tmp_path, "liver")


def test_isic_pairs_by_number(tmp_path):
    mask = np.zeros((12, 10), np.uint8)
    mask[3:7, 2:9] = 255
    for number in (10, 3):
        name = f"ISIC_{number:07}"
        draw(tmp_path / "ISBI2016_ISIC_Part1_Training_Data" / f"{name}.jpg", colours(number))
        place = tmp_path / "ISBI2016_ISIC_Part1_Training_GroundTruth"
        draw(place / f"{name}_Segmentation.png", mask)
    scans = opened("isic", tmp_path, "lesion")
    assert [scan.patient for scan in scans] == ["ISIC_0000003", "ISIC_0000010"]
    for scan in scans:
        assert len(scan.images) == 3
        np.testing.assert_array_equal(picture(scan), mask > 0)
    assert detect_layout(tmp_path) == "isic"
    assert check_folder("isic", tmp_path) == []
    scans[0].image.path.unlink()
    with pytest.raises(DataError, match=r"ISIC_0000003\.jpg: missing: the image of .*Segmentation"):
        opened("isic", tmp_path, "lesion")
    draw(scans[1].label.path, mask // 2)
    with pytest.raises(DataError, match=r"unexpected label values 127 beside 0, 255"):
        picture(scans[1])


# All of them


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_of_something_else_is_refused_in_a_line(tmp_path, layout):
    write(tmp_path / "notes" / "scan.nii.gz", voxels(0))
    draw(tmp_path / "notes" / "drawing.png", colours(0))
    with pytest.raises(DataError) as error:
        list_scans(layout, tmp_path, USUAL_TARGETS.get(layout, "any"))
    assert error.value.remedy
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_hidden_is_no_scan(tmp_path, layout):
    """A Mac leaves a file ._NAME beside each NAME."""
    write_brats(tmp_path / ".hidden" / "BraTS2021_00000")
    write(tmp_path / ".hidden" / "volume-0.nii", voxels(0))
    draw(tmp_path / "x-image" / "._0000.png", colours(0))
    with pytest.raises(DataError):
        list_scans(layout, tmp_path, USUAL_TARGETS.get(layout, "any"))
