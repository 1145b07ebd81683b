"""The check finds every fault of a folder, names file and remedy, and stops at none."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samnb.base.errors import DataError
from samnb.base.files import write_json
from samnb.data.check import check_folder, detect_layout
from samnb.data.layouts import FolderRules

SHAPE = (8, 8, 12)


def write(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([0.8, 0.8, 2, 1]) if affine is None else affine), path)
    return path


def voxels(seed, values=None):
    random = np.random.default_rng(seed)
    if values:
        return random.choice(values, SHAPE).astype(np.uint8)
    return random.integers(-1000, 1000, SHAPE).astype(np.int16)


@pytest.fixture
def lits(tmp_path):
    for number in range(12):
        write(tmp_path / f"volume-{number}.nii.gz", voxels(number))
        write(tmp_path / f"segmentation-{number}.nii.gz", voxels(number, (0, 1, 2)))
    return tmp_path


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def test_a_sound_folder(lits):
    assert check_folder("lits", lits) == []


def test_every_fault_is_found_in_one_run(lits):
    cut(lits / "volume-1.nii.gz", 0.9)
    (lits / "volume-2.nii.gz").write_text("an error page")
    write(lits / "segmentation-3.nii.gz", voxels(3, (0, 1))[:, :, :-1])
    write(lits / "segmentation-4.nii.gz", voxels(4, (0, 1)), np.diag([0.8, 0.8, 3, 1]))
    broken = voxels(5).astype(np.float32)
    broken[1, 2, 11] = np.nan
    write(lits / "volume-5.nii.gz", broken)
    odd = voxels(6, (0, 1, 2))
    odd[0, 0, 0] = 9
    write(lits / "segmentation-6.nii.gz", odd)
    (lits / "segmentation-7.nii.gz").unlink()
    write(lits / "volume-8.nii.gz", np.stack([voxels(8), voxels(8)], axis=-1))
    content = bytearray((lits / "volume-9.nii.gz").read_bytes())
    content[-8] ^= 1  # the checksum behind the last voxel
    (lits / "volume-9.nii.gz").write_bytes(content)
    write(lits / "volume-10.nii.gz", voxels(0))  # the scan of patient 0 again

    found = check_folder("lits", lits)
    expected = [
        ("volume-1.nii.gz", "cut off", "download the file again"),
        ("volume-2.nii.gz", "not gzip-compressed", "download the file again"),
        ("segmentation-3.nii.gz", "shape (8, 8, 11)", "resample"),
        ("segmentation-4.nii.gz", "another affine", "copy the image's affine"),
        ("volume-5.nii.gz", "NaN or infinite", "replace them"),
        ("segmentation-6.nii.gz", "unexpected label values 9", "correct these voxels"),
        ("segmentation-7.nii.gz", "missing", "get it"),
        ("volume-8.nii.gz", "4 axes", "split it"),
        ("volume-9.nii.gz", "damaged compressed data", "download the file again"),
        ("volume-10.nii.gz", "the same voxels as volume-0.nii.gz", "remove one"),
    ]
    assert [fault.file.name for fault in found] == [name for name, _, _ in expected]
    for fault, (_, what, remedy) in zip(found, expected, strict=True):
        assert what in fault.fault
        assert remedy in fault.remedy
        assert str(fault.file) in str(fault)


def test_image_and_label_of_one_scan_may_both_be_bad(lits):
    cut(lits / "volume-1.nii.gz", 0.9)
    write(lits / "segmentation-1.nii.gz", voxels(1, (0, 5)))
    assert [fault.file.name for fault in check_folder("lits", lits)] == [
        "volume-1.nii.gz",
        "segmentation-1.nii.gz",
    ]


def test_a_folder_that_is_nothing(tmp_path):
    (fault,) = check_folder("lits", tmp_path)
    assert "no volume-N.nii" in fault.fault


def test_empty_slices_of_two_patients_are_no_duplicates(tmp_path):
    for patient in ("a", "b"):
        for slice_number, value in ((1, 0), (2, 7)):
            picture = np.full((4, 4), value, np.uint8)
            picture[0, 0] = 0 if value == 0 else 1  # slice 2 is not empty, and the same in both
            (tmp_path / "images").mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / "images" / f"{patient}_{slice_number}.png")
    found = check_folder("folder", tmp_path, rules=FolderRules(patient="^images/(.)"))
    assert [fault.file.name for fault in found] == ["b_2.png"]
    assert check_folder("folder", tmp_path, rules=FolderRules(patient="images")) == []


def test_pictures_are_read_even_if_nobody_knows_whose_they_are(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 255, (40, 40)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
    cut(tmp_path / "images" / "1.png", 0.5)
    unknown, broken = check_folder("folder", tmp_path)
    assert "whose picture" in unknown.fault
    assert broken.file.name == "1.png"
    assert "damaged" in broken.fault


def test_layouts_are_recognised(lits, tmp_path):
    assert detect_layout(lits) == "lits"
    subject = tmp_path / "ts" / "s0001"
    write(subject / "ct.nii.gz", voxels(0))
    write(subject / "segmentations" / "spleen.nii.gz", voxels(0, (0, 1)))
    assert detect_layout(tmp_path / "ts") == "totalsegmentator"
    task = tmp_path / "msd" / "Task09_Spleen"
    write(task / "labelsTr" / "spleen_2.nii.gz", voxels(1, (0, 1)))
    write(task / "imagesTr" / "spleen_2.nii.gz", voxels(1))
    pair = {"image": "./imagesTr/spleen_2.nii.gz", "label": "./labelsTr/spleen_2.nii.gz"}
    labels = {"0": "background", "1": "spleen"}
    write_json(task / "dataset.json", {"labels": labels, "training": [pair]})
    assert detect_layout(task) == "decathlon"
    assert check_folder("decathlon", task) == []
    write(tmp_path / "own" / "images" / "x.nii.gz", voxels(0))
    write(tmp_path / "own" / "masks" / "x.nii.gz", voxels(0, (0, 1)))
    assert detect_layout(tmp_path / "own") == "folder"
    with pytest.raises(DataError, match=r"Decathlon tasks.*give Task09_Spleen"):
        detect_layout(tmp_path / "msd")


def test_folders_of_other_files_are_no_dicom_series(tmp_path):
    for name in ("a.conf", "b/c", "b/d.txt", "e/f/g.cfg"):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("nothing to look at, but long enough to be read " * 9)
    with pytest.raises(DataError, match="none of the layouts") as error:
        detect_layout(tmp_path)
    assert "\n" not in str(error.value)
    assert "no image in it" in str(error.value)


def test_unknown_layouts_get_advice(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        detect_layout(tmp_path / "none")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"none of the layouts lits.*no image in it"):
        detect_layout(tmp_path / "text")
    write(tmp_path / "kits" / "case_00000" / "imaging.nii.gz", voxels(0))
    with pytest.raises(DataError, match=r"kits19 files.*samnb data get kits19"):
        detect_layout(tmp_path / "kits")
