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
    with pytest.raises(DataError, match="no data set: no image in it") as error:
        detect_layout(tmp_path)
    assert "\n" not in str(error.value)
    assert "Remedy: give a folder of NIfTI" in str(error.value)


def test_what_is_no_data_set_is_told_in_a_line(tmp_path):
    with pytest.raises(DataError, match=r"none: no such folder. Remedy: check the path"):
        detect_layout(tmp_path / "none")
    with pytest.raises(DataError, match=r": no data set: the folder is empty. Remedy: give a fold"):
        detect_layout(tmp_path)
    text = tmp_path / "text" / "a.txt"
    text.parent.mkdir()
    text.write_text("")
    with pytest.raises(DataError, match=r"text: no data set: no image in it. Remedy: .*README"):
        detect_layout(text.parent)
    with pytest.raises(DataError, match=r"a\.txt: a file, not a folder. Remedy: give the folder"):
        detect_layout(text)
    (fault,) = check_folder("kits19", text)
    assert "a file, not a folder" in str(fault)
    (fault,) = check_folder("kits19", text.parent)
    assert "no case_NNNNN/imaging.nii.gz in it" in str(fault)
    write(tmp_path / "odd" / "x" / "y" / "scan.nii.gz", voxels(0))
    with pytest.raises(DataError, match=r"odd: no data set: no images where.*Remedy: put them in"):
        detect_layout(tmp_path / "odd")
    for place in (tmp_path / "none", text, text.parent, tmp_path / "odd"):
        with pytest.raises(DataError) as error:
            detect_layout(place)
        assert "\n" not in str(error.value)


def test_a_cohort_yaml_says_how_to_read_any_folder(tmp_path):
    write(tmp_path / "case_00000" / "imaging.nii.gz", voxels(0))
    write(tmp_path / "case_00000" / "segmentation.nii.gz", voxels(0, (0, 1, 2)))
    assert detect_layout(tmp_path) == "kits19"
    rules = tmp_path / "cohort.yaml"
    rules.write_text('image: "*/imaging"\nlabel: "*/segmentation"\ntargets: {kidney: [1, 2]}\n')
    assert detect_layout(tmp_path) == "folder"
    rules.write_text("imagine: x\n")
    with pytest.raises(DataError, match=r"cohort\.yaml: not understood"):
        detect_layout(tmp_path)


def test_a_set_with_a_file_twice_keeps_its_layout(tmp_path):
    for name in ("a/volume-0.nii", "b/volume-0.nii"):
        write(tmp_path / name, voxels(0))
    assert detect_layout(tmp_path) == "lits"
    (fault,) = check_folder("lits", tmp_path)
    assert "a second volume 0" in fault.fault


def test_every_channel_and_every_label_is_read(tmp_path):
    """BraTS of two patients: a broken second channel, an odd label, and a T2 that is another's."""
    for number in range(2):
        for seed, kind in enumerate(("flair", "t1", "t1ce", "t2")):
            path = tmp_path / f"BraTS2021_0000{number}" / f"BraTS2021_0000{number}_{kind}.nii.gz"
            write(path, voxels(9 if kind == "t2" else 10 * number + seed))
        write(path.with_name(path.name.replace("t2", "seg")), voxels(number, (0, 1, 2, 4)))
    (double,) = check_folder("brats", tmp_path)
    assert double.file.name == "BraTS2021_00001_t2.nii.gz"
    assert "the same voxels as BraTS2021_00000_t2.nii.gz of patient BraTS2021_00000" in double.fault
    cut(tmp_path / "BraTS2021_00000" / "BraTS2021_00000_t1ce.nii.gz", 0.9)
    write(tmp_path / "BraTS2021_00001" / "BraTS2021_00001_seg.nii.gz", voxels(1, (0, 3)))
    assert [fault.file.name for fault in check_folder("brats", tmp_path)] == [
        "BraTS2021_00000_t1ce.nii.gz",
        "BraTS2021_00001_t2.nii.gz",
        "BraTS2021_00001_seg.nii.gz",
    ]


def test_a_grey_picture_among_coloured_ones_is_found(tmp_path):
    """PIL would make three equal colours of it without a word."""
    generator = np.random.default_rng(0)
    for number, bands in enumerate((3, 1, 0)):
        name = f"ISIC_000000{number}"
        picture = generator.integers(0, 255, (40, 40, bands or 3)).astype(np.uint8)
        if not bands:
            picture[:] = picture[..., :1]  # saved in colour, and grey all the same
        Image.fromarray(picture.squeeze()).save(tmp_path / f"{name}.jpg", quality=95)
        mask = np.zeros((40, 40), np.uint8)
        mask[9:20, 9:20] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}_Segmentation.png")
    found = check_folder("isic", tmp_path)
    assert [fault.file.name for fault in found] == ["ISIC_0000001.jpg", "ISIC_0000002.jpg"]
    assert {fault.fault for fault in found} == {"grey where colour is expected"}
