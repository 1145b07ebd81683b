"""Each layout: which files make a scan, what its label values mean, and what a fault says."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from PIL import Image

from samnb.base.errors import DataError
from samnb.base.files import write_json
from samnb.data.layouts import FolderRules, ScanFiles, Target, list_scans, open_scan

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
AFFINE = np.diag([-0.8, -0.8, 2.5, 1])
SHAPE = (6, 7, 8)

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real images are not here")


def write(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def image_and_label(seed=0, values=(0, 1, 2)):
    random = np.random.default_rng(seed)
    image = random.integers(-1000, 1000, SHAPE).astype(np.int16)
    return image, random.choice(values, SHAPE).astype(np.uint8)


@pytest.fixture
def lits(tmp_path):
    """Four pairs over two sub-folders, as the two archives unpack."""
    for number in (2, 10, 0, 1):
        image, label = image_and_label(number)
        part = tmp_path / f"Training Batch {1 + number % 2}"
        write(part / f"volume-{number}.nii", image)
        write(part / f"segmentation-{number}.nii", label)
    return tmp_path


def opened(layout, folder, target, rules=None):
    return [open_scan(files) for files in list_scans(layout, folder, target, rules)]


def test_lits_pairs_by_number_in_natural_order(lits):
    (lits / "._volume-2.nii").write_text("left there by a Mac")
    scans = opened("lits", lits, "liver")
    assert [scan.patient for scan in scans] == ["volume-0", "volume-1", "volume-2", "volume-10"]
    for scan, number in zip(scans, (0, 1, 2, 10), strict=True):
        image, label = image_and_label(number)
        np.testing.assert_array_equal(scan.image.read(2, slice(None)), image)
        # The tumour (2) is part of the liver.
        np.testing.assert_array_equal(scan.mask(2, slice(None)), label > 0)
        np.testing.assert_array_equal(scan.mask(0, [3, 5]), label[[3, 5]] > 0)
        assert scan.mask(2, [0]).dtype == bool
        assert scan.spacing == pytest.approx((0.8, 0.8, 2.5))
    tumour = opened("lits", lits, "Tumour")[0].mask(2, slice(None))
    np.testing.assert_array_equal(tumour, image_and_label(0)[1] == 2)


def test_scan_files_travel_to_worker_processes(lits):
    files = list_scans("lits", lits, "liver")
    assert pickle.loads(pickle.dumps(files)) == files


def test_missing_partners_cost_no_other_scan(lits):
    (lits / "Training Batch 1" / "segmentation-2.nii").unlink()
    (lits / "Training Batch 2" / "volume-1.nii").unlink()
    files = {scan.scan: scan for scan in list_scans("lits", lits, "liver")}
    open_scan(files["volume-0"]), open_scan(files["volume-10"])
    with pytest.raises(DataError, match=r"segmentation-2\.nii: missing.*volume-2\.nii.*Remedy"):
        open_scan(files["volume-2"])
    with pytest.raises(DataError, match=r"volume-1\.nii: missing.*segmentation-1\.nii.*Remedy"):
        open_scan(files["volume-1"])


def test_a_folder_without_any_segmentation_is_unlabelled(lits):
    for path in lits.rglob("segmentation-*"):
        path.unlink()
    scan = opened("lits", lits, "liver")[0]
    assert scan.label is None
    with pytest.raises(DataError, match="no segmentation"):
        scan.mask(2, slice(None))


def test_two_files_of_one_number(lits):
    image, _ = image_and_label(0)
    write(lits / "volume-0.nii.gz", image)
    with pytest.raises(DataError, match=r"a second volume 0 .*keep one"):
        list_scans("lits", lits, "liver")


def test_shapes_must_agree(lits):
    path = lits / "Training Batch 1" / "segmentation-2.nii"
    write(path, image_and_label(2)[1][:, :, 1:])
    files = list_scans("lits", lits, "liver")
    message = r"segmentation-2\.nii: shape \(6, 7, 7\).*volume-2\.nii has \(6, 7, 8\).*Remedy"
    with pytest.raises(DataError, match=message):
        open_scan(files[2])


@pytest.mark.parametrize(
    ("row", "column", "by", "refused"),
    [(0, 3, 1e-4, False), (0, 3, 0.1, True), (2, 2, 1e-3, False), (2, 2, 0.01, True)],
)
def test_affines_must_agree(lits, row, column, by, refused):
    affine = AFFINE.copy()
    affine[row, column] += by
    write(lits / "Training Batch 1" / "segmentation-0.nii", image_and_label(0)[1], affine)
    files = list_scans("lits", lits, "liver")[0]
    if not refused:
        open_scan(files)
        return
    with pytest.raises(DataError, match=r"segmentation-0\.nii: another affine.*copy the image's"):
        open_scan(files)


def test_flipped_label_is_refused(lits):
    flipped = np.diag([0.8, -0.8, 2.5, 1])
    write(lits / "Training Batch 1" / "segmentation-0.nii", image_and_label(0)[1], flipped)
    with pytest.raises(DataError, match="another affine"):
        open_scan(list_scans("lits", lits, "liver")[0])


def test_unexpected_label_values(lits):
    label = image_and_label(0)[1]
    label[0, 0, 5] = 7
    path = write(lits / "Training Batch 1" / "segmentation-0.nii", label)
    scan = opened("lits", lits, "liver")[0]
    scan.mask(2, slice(0, 5))  # planes without the odd value are fine
    message = r"segmentation-0\.nii: unexpected label values 7 beside 0, 1, 2.*Remedy"
    with pytest.raises(DataError, match=message):
        scan.mask(2, [5])
    write(path, label.astype(np.int16) - 1)
    with pytest.raises(DataError, match=r"unexpected label values -1, 6 beside"):
        opened("lits", lits, "liver")[0].mask(2, slice(None))
    write(path, label.astype(np.float32) / 2)
    with pytest.raises(DataError, match=r"not whole numbers.*nearest neighbour"):
        opened("lits", lits, "liver")[0].mask(2, slice(None))


@pytest.fixture
def sequences(tmp_path):
    """Two channels and a label of values 0, 1, 2, 4 with overlapping targets."""
    image, label = image_and_label(0, (0, 1, 2, 4))
    targets = (Target("whole", (1, 2, 4)), Target("core", (1, 4)))
    images = tuple(
        write(tmp_path / f"a_{kind}.nii", image + n) for n, kind in enumerate(("t1", "t2"))
    )
    labels = (write(tmp_path / "a_seg.nii", label),)
    return ScanFiles("a", "a", images, labels, targets, (0, 1, 2, 4))


def test_channels_and_overlapping_targets(sequences):
    image, label = image_and_label(0, (0, 1, 2, 4))
    scan = open_scan(sequences)
    assert scan.targets == ("whole", "core")
    for number, channel in enumerate(scan.images):
        np.testing.assert_array_equal(channel.read(2, slice(None)), image + number)
    np.testing.assert_array_equal(scan.mask(2, slice(None)), label > 0)
    np.testing.assert_array_equal(scan.mask(2, slice(None), 1), np.isin(label, (1, 4)))


def test_a_second_channel_must_lie_on_the_first_ones_grid(sequences):
    image, _ = image_and_label()
    path = sequences.images[1]
    write(path, image[:, 1:])
    message = r"a_t2\.nii: shape \(6, 6, 8\), but its image a_t1\.nii has \(6, 7, 8\).*first chann"
    with pytest.raises(DataError, match=message):
        open_scan(sequences)
    write(path, image, np.diag([-0.8, -0.8, 3, 1]))
    with pytest.raises(DataError, match=r"a_t2\.nii: another affine than its image a_t1\.nii"):
        open_scan(sequences)
    path.unlink()
    with pytest.raises(DataError, match=r"a_t2\.nii: missing: the image of a_seg\.nii.*Remedy"):
        open_scan(sequences)


def test_each_of_several_labels_is_checked(sequences):
    _, label = image_and_label(0, (0, 1, 2, 4))
    other = write(sequences.image.with_name("a_core.nii"), label * 2)
    scan = open_scan(replace(sequences, labels=(*sequences.labels, other)))
    np.testing.assert_array_equal(scan.mask(2, slice(None)), label > 0)
    with pytest.raises(DataError, match=r"a_core\.nii: unexpected label values 8 beside"):
        scan.mask(2, slice(None), 1)
    other.unlink()
    with pytest.raises(DataError, match=r"a_core\.nii: missing: the segmentation of a_t1\.nii"):
        open_scan(scan.files)


def test_float_labels_of_whole_numbers_are_fine(lits):
    label = image_and_label(0)[1]
    write(lits / "Training Batch 1" / "segmentation-0.nii", label.astype(np.float64))
    mask = opened("lits", lits, "tumour")[0].mask(2, slice(None))
    np.testing.assert_array_equal(mask, label == 2)


def test_wrong_folders_and_targets(lits, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        list_scans("lits", tmp_path / "none", "liver")
    with pytest.raises(DataError, match=r"unknown layout 'nnunet'.*lits, totalsegmentator"):
        list_scans("nnunet", lits, "liver")
    with pytest.raises(DataError, match=r"no sNNNN/ct\.nii\.gz"):
        list_scans("totalsegmentator", lits, "liver")
    with pytest.raises(DataError, match=r"dataset\.json: missing"):
        list_scans("decathlon", lits, "liver")
    with pytest.raises(DataError, match=r"no target 'livver'.*choose among liver"):
        list_scans("lits", lits, "livver")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image in it"):
        list_scans("folder", tmp_path / "empty", "liver")


@pytest.fixture(params=["", "Totalsegmentator_dataset_v201"])
def totalsegmentator(tmp_path, request):
    for subject in ("s0011", "s0002", "s1400"):
        place = tmp_path / request.param / subject
        image, _ = image_and_label()
        write(place / "ct.nii.gz", image)
        for organ, seed in (("liver", 1), ("kidney_left", 2), ("heart_atrium_left", 3)):
            label = image_and_label(seed, (0, 1))[1]
            write(place / "segmentations" / f"{organ}.nii.gz", label)
    return tmp_path


def test_totalsegmentator(totalsegmentator):
    scans = opened("totalsegmentator", totalsegmentator, "Kidney left")
    assert [scan.patient for scan in scans] == ["s0002", "s0011", "s1400"]
    expected = image_and_label(2, (0, 1))[1] == 1
    np.testing.assert_array_equal(scans[1].mask(2, slice(None)), expected)
    # Versions differ in their organs: what counts is which files there are.
    message = "no target 'heart'.*choose among heart_atrium_left"
    with pytest.raises(DataError, match=message):
        list_scans("totalsegmentator", totalsegmentator, "heart")


def test_totalsegmentator_with_two_organs(totalsegmentator):
    scan = opened("totalsegmentator", totalsegmentator, ("liver", "kidney_left"))[0]
    assert scan.targets == ("liver", "kidney_left")
    assert [label.path.name for label in scan.labels] == ["liver.nii.gz", "kidney_left.nii.gz"]
    for number, seed in enumerate((1, 2)):
        expected = image_and_label(seed, (0, 1))[1] == 1
        np.testing.assert_array_equal(scan.mask(2, slice(None), number), expected)
    with pytest.raises(DataError, match="no target 'heart'"):
        list_scans("totalsegmentator", totalsegmentator, ("liver", "heart"))


def test_totalsegmentator_missing_files(totalsegmentator):
    next(totalsegmentator.rglob("s0002/segmentations/liver.nii.gz")).unlink()
    next(totalsegmentator.rglob("s0011/ct.nii.gz")).unlink()
    files = list_scans("totalsegmentator", totalsegmentator, "liver")
    with pytest.raises(DataError, match=r"s0002/segmentations/liver\.nii\.gz: missing"):
        open_scan(files[0])
    with pytest.raises(DataError, match=r"s0011/ct\.nii\.gz: missing"):
        open_scan(files[1])
    open_scan(files[2])


def write_decathlon(folder, labels, values):
    pairs = []
    for number in (10, 2):
        image, label = image_and_label(number, values)
        write(folder / "imagesTr" / f"organ_{number}.nii.gz", image)
        write(folder / "labelsTr" / f"organ_{number}.nii.gz", label)
        name = f"organ_{number}.nii.gz"
        pairs.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    write_json(folder / "dataset.json", {"labels": labels, "training": pairs, "test": []})
    return folder


@pytest.mark.parametrize(
    ("labels", "target", "values"),
    [
        ({"0": "background", "1": "liver", "2": "cancer"}, "Liver", (1, 2)),
        ({"0": "background", "1": "liver", "2": "cancer"}, "tumour", (2,)),
        ({"0": "background", "1": "liver", "2": "cancer"}, "1", (1,)),
        ({"0": "background", "1": "pancreas", "2": "cancer"}, "pancreas", (1, 2)),
        ({"0": "background", "1": "Vessel", "2": "Tumour"}, "vessel", (1,)),
        ({"0": "background", "1": "Vessel", "2": "Tumour"}, "tumor", (2,)),
        ({"0": "background", "1": "Anterior", "2": "Posterior"}, "any", (1, 2)),
    ],
)
def test_decathlon_targets(tmp_path, labels, target, values):
    scans = opened("decathlon", write_decathlon(tmp_path, labels, (0, 1, 2)), target)
    assert [scan.patient for scan in scans] == ["organ_2", "organ_10"]
    expected = np.isin(image_and_label(2)[1], values)
    np.testing.assert_array_equal(scans[0].mask(2, slice(None)), expected)


def test_decathlon_faults(tmp_path):
    folder = write_decathlon(tmp_path, {"0": "background", "1": "spleen"}, (0, 1, 2))
    with pytest.raises(DataError, match="no target 'liver'"):
        list_scans("decathlon", folder, "liver")
    with pytest.raises(DataError, match="unexpected label values 2 beside 0, 1"):
        opened("decathlon", folder, "spleen")[0].mask(2, slice(None))
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="not a Decathlon table"):
        list_scans("decathlon", folder, "spleen")


@pytest.mark.parametrize(
    ("image_name", "label_name"),
    [
        ("images/{}.nii.gz", "masks/{}.nii.gz"),
        ("images/{}.nii", "labels/{}.nrrd"),
        ("images/{}.mha", "masks/{}_mask.nii.gz"),
        ("{}.nii.gz", "{}_seg.nii.gz"),
        ("{}.nrrd", "{}_mask.mha"),
        ("{}.nii", "{}_Segmentation.nii"),
    ],
)
def test_plain_folder_conventions(tmp_path, image_name, label_name):
    for number in (1, 2):
        image, label = image_and_label(number, (0, 255))
        for name, array in ((image_name, image), (label_name, label)):
            path = tmp_path / name.format(f"case-{number}")
            path.parent.mkdir(parents=True, exist_ok=True)
            if ".nii" in name:
                write(path, array)
                continue
            other = sitk.GetImageFromArray(array.transpose())
            other.SetSpacing((0.8, 0.8, 2.5))  # LPS axes, as AFFINE says
            sitk.WriteImage(other, str(path))
    scans = opened("folder", tmp_path, "lesion")
    assert [scan.patient for scan in scans] == ["case-1", "case-2"]
    for scan, number in zip(scans, (1, 2), strict=True):
        image, label = image_and_label(number, (0, 255))
        np.testing.assert_array_equal(scan.image.read(2, slice(None)), image)
        np.testing.assert_array_equal(scan.mask(2, slice(None)), label > 0)


def test_plain_folder_without_masks_is_unlabelled(tmp_path):
    write(tmp_path / "a.nii.gz", image_and_label()[0])
    assert opened("folder", tmp_path, "liver")[0].label is None


def test_names_that_do_not_match_are_a_fault(tmp_path):
    write(tmp_path / "images" / "a.nii.gz", image_and_label()[0])
    write(tmp_path / "masks" / "b.nii.gz", image_and_label()[1])
    with pytest.raises(DataError, match=r"masks/b and 0 more match no image.*equal names"):
        list_scans("folder", tmp_path, "liver")


def test_which_value_must_be_said_where_there_are_several(tmp_path):
    write(tmp_path / "images" / "a.nii.gz", image_and_label()[0])
    label = image_and_label()[1]
    write(tmp_path / "masks" / "a.nii.gz", label)
    with pytest.raises(DataError, match=r"unexpected label values 1 beside 0, 2.*say which value"):
        opened("folder", tmp_path, "liver")[0].mask(2, slice(None))
    for target, values in (("1", (1,)), ("1, 2", (1, 2)), ("any", (1, 2)), ("liver", (1, 2))):
        rules = FolderRules(targets={"liver": [1, 2]})
        scan = opened("folder", tmp_path, target, rules)[0]
        np.testing.assert_array_equal(scan.mask(2, slice(None)), np.isin(label, values))


def test_cohort_yaml_ties_nested_folders_together(tmp_path):
    """The layout of BraTS: four images, of which one is wanted, and values with names."""
    for number in (1, 2):
        image, label = image_and_label(number, (0, 1, 2, 4))
        place = tmp_path / f"BraTS2021_0000{number}"
        for kind in ("t1", "flair"):
            write(place / f"{place.name}_{kind}.nii.gz", image + (kind == "t1"))
        write(place / f"{place.name}_seg.nii.gz", label)
    (tmp_path / "cohort.yaml").write_text(
        'image: "*/*_flair"\nlabel: "*/*_seg"\ntargets: {whole tumour: [1, 2, 4], core: [1, 4]}\n'
    )
    scans = opened("folder", tmp_path, "Core")
    assert [scan.patient for scan in scans] == ["BraTS2021_00001", "BraTS2021_00002"]
    image, label = image_and_label(2, (0, 1, 2, 4))
    np.testing.assert_array_equal(scans[1].image.read(2, slice(None)), image)
    np.testing.assert_array_equal(scans[1].mask(2, slice(None)), np.isin(label, (1, 4)))
    with pytest.raises(DataError, match=r"no target 'liver'.*whole tumour, core, any"):
        list_scans("folder", tmp_path, "liver")
    for wrong in ("images: x", "patient: '('", "targets: {core: one}", "targets: 1", "- a", ": ["):
        (tmp_path / "cohort.yaml").write_text(wrong + "\n")
        with pytest.raises(DataError, match=r"cohort\.yaml: not understood"):
            list_scans("folder", tmp_path, "core")


def write_pictures(folder, names):
    for name in names:
        for kind, array in zip(("images", "masks"), image_and_label(1, (0, 255)), strict=True):
            path = folder / kind / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((array[:, :, 0] & 255).astype(np.uint8)).save(path)


def test_pictures_want_to_know_their_patient(tmp_path):
    write_pictures(tmp_path, ["p1_10", "p1_9", "p2_1"])
    with pytest.raises(DataError, match=r"unknown whose picture it is.*index\.csv"):
        list_scans("folder", tmp_path, "tumour")
    files = list_scans("folder", tmp_path, "tumour", FolderRules(patient=r"(p\d+)_"))
    assert [(scan.scan, scan.patient) for scan in files] == [
        ("p1_9", "p1"),
        ("p1_10", "p1"),
        ("p2_1", "p2"),
    ]
    assert open_scan(files[0]).mask(2, slice(None)).shape == (7, 6, 1)
    table = pd.DataFrame(
        {"file": ["p1_9.png", "p1_10.png", "p2_1.png"], "patient": ["7", "7", "8"]}
    )
    table.to_csv(tmp_path / "index.csv", index=False)
    assert [scan.patient for scan in list_scans("folder", tmp_path, "any")] == ["7", "7", "8"]
    table[:2].to_csv(tmp_path / "index.csv", index=False)
    with pytest.raises(DataError, match=r"index\.csv: no line for images/p2_1\.png"):
        list_scans("folder", tmp_path, "any")


def test_colours_are_three_channels(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    files = ScanFiles("a", "a", (tmp_path / "a.png",), (), (Target("disc"),), colour=True)
    Image.fromarray(colours).save(files.image)
    scan = open_scan(files)
    found = [channel.read(2, slice(None))[:, :, 0].T for channel in scan.images]
    np.testing.assert_array_equal(np.stack(found, axis=-1), colours)
    assert len(open_scan(replace(files, colour=False)).images) == 1
    Image.fromarray(colours[:, :, 0]).save(files.image)  # grey: three times the same
    for channel in open_scan(files).images:
        np.testing.assert_array_equal(channel.read(2, slice(None))[:, :, 0].T, colours[:, :, 0])
    Image.fromarray(colours[:, :, 0].astype(np.uint16) * 256).save(files.image)
    with pytest.raises(DataError, match=r"a\.png: 16 bits of grey.*RGB"):
        open_scan(files)
    volume = write(tmp_path / "a.nii", image_and_label()[0])
    with pytest.raises(DataError, match=r"a\.nii: not a picture"):
        open_scan(replace(files, images=(volume,)))


def test_masks_from_jpeg_are_cut_at_a_value(tmp_path):
    grey = np.array([[0, 3, 127], [128, 250, 255]], np.uint8)
    for name in ("image", "mask"):
        Image.fromarray(grey).save(tmp_path / f"{name}.png")
    images, labels = (tmp_path / "image.png",), (tmp_path / "mask.png",)
    scan = open_scan(ScanFiles("a", "a", images, labels, (Target("nodule", at_least=128),)))
    np.testing.assert_array_equal(scan.mask(2, [0])[:, :, 0].T, grey >= 128)


def test_dicom_folders_among_images(tmp_path):
    image, label = image_and_label(1, (0, 1))
    place = tmp_path / "images" / "anna"
    place.mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z in range(SHAPE[2]):
        plane = sitk.GetImageFromArray(image[:, :, z].T)
        plane.SetSpacing((0.8, 0.8))
        for tag, value in {
            "0008|0060": "CT",
            "0008|0018": f"1.2.3.{z}",
            "0020|000d": "1.2",
            "0020|000e": "1.2.3",
            "0020|0032": f"0\\0\\{2.5 * z}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            plane.SetMetaData(tag, value)
        writer.SetFileName(str(place / f"{z:03}.dcm"))
        writer.Execute(plane)
    write(tmp_path / "masks" / "anna.nii.gz", label)
    scan = opened("folder", tmp_path, "any")[0]
    assert scan.patient == "anna"
    np.testing.assert_array_equal(scan.image.read(2, [3, 4]), image[:, :, 3:5])
    np.testing.assert_array_equal(scan.mask(1, [2]), label[:, [2]] > 0)


@needs_real
def test_real_brain_slices():
    table = pd.read_csv(REAL / "brain_flair" / "index.csv")
    files = list_scans("folder", REAL / "brain_flair", "tumour")
    assert len(files) == len(table)
    assert {scan.patient for scan in files} == set(table["patient"])
    for row in table.sample(20, random_state=0).itertuples():
        scan = open_scan(next(item for item in files if item.image.name == row.file))
        assert scan.patient == row.patient
        assert scan.mask(2, slice(None)).sum() == row.tumour_pixels


@needs_real
def test_real_liver_slices():
    files = list_scans("folder", REAL / "liver_ct", "liver", FolderRules(patient=r"i(\d+)_"))
    table = pd.read_csv(REAL / "liver_ct" / "index.csv")
    assert len({scan.patient for scan in files}) == table["volume_index"].nunique()
    row = table.iloc[7]
    scan = open_scan(next(item for item in files if item.image.name == row["file"]))
    assert scan.patient == str(row["volume_index"])
    assert scan.mask(2, slice(None)).sum() == row["liver_px"]


@needs_real
def test_real_abdomen_volumes(tmp_path):
    shutil.copytree(REAL / "abdomen_mr", tmp_path / "mr")
    (tmp_path / "mr" / "cohort.yaml").write_text("targets: {liver: 1, kidneys: [2, 3]}\n")
    scans = opened("folder", tmp_path / "mr", "kidneys")
    assert len(scans) == 12
    label = np.asarray(nib.load(scans[3].label.path).dataobj)
    np.testing.assert_array_equal(
        scans[3].mask(2, slice(5, 20)), np.isin(label, (2, 3))[:, :, 5:20]
    )
    assert nib.aff2axcodes(scans[3].affine) == ("L", "A", "S")
