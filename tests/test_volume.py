"""Every format gives the same voxels and the same place in the world, plane by plane."""

import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from samnb.base.errors import DataError
from samnb.data.formats import nifti
from samnb.data.volume import open_volume

AFFINE = np.array([[0, -0.8, 0.1, 12], [-0.7, 0, 0, -34], [0.05, 0, 2.5, 56], [0, 0, 0, 1.0]])
CHOICES = [slice(None), slice(2, 5), [4, 0, 2, 2], [], slice(None, None, -1), [-1]]


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(3).integers(-1024, 3000, (6, 7, 8)).astype(np.int16)


def write_nifti(path, array, affine=AFFINE, slope=None, intercept=None, kind=nib.Nifti1Image):
    image = kind(array, affine)
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    nib.save(image, path)
    return path


def write_itk(path, array, affine=AFFINE, compress=False):
    """Write (x, y, z) voxels in RAS by SimpleITK, which thinks in LPS."""
    image = sitk.GetImageFromArray(array.transpose())
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    # ITK wants axes at right angles, so the shear of AFFINE is left to NIfTI.
    direction = np.linalg.qr(lps[:3, :3] / spacing)[0]
    direction *= np.sign(np.sum(direction * lps[:3, :3], axis=0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), compress)
    return path


def assert_same_planes(path, expected):
    volume = open_volume(path)
    assert volume.shape == expected.shape
    for axis in range(3):
        for choice in CHOICES:
            wanted = np.moveaxis(np.moveaxis(expected, axis, 0)[choice], 0, axis)
            planes = volume.read(axis, choice)
            np.testing.assert_array_equal(planes, wanted)
    return volume


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_nifti_planes(tmp_path, voxels, name, kind):
    path = write_nifti(tmp_path / name, voxels, kind=kind)
    volume = assert_same_planes(path, voxels)
    assert volume.read(2, [1]).dtype == np.int16
    np.testing.assert_allclose(volume.affine, nib.load(path).affine, atol=1e-6)
    np.testing.assert_allclose(volume.spacing, nib.load(path).header.get_zooms(), rtol=1e-5)


def test_big_endian_nifti(tmp_path, voxels):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.dtype(">i2"))
    nib.save(nib.Nifti1Image(voxels.astype(">i2"), AFFINE, header), tmp_path / "scan.nii.gz")
    assert_same_planes(tmp_path / "scan.nii.gz", voxels)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_scaling_to_hounsfield_units(tmp_path, name):
    stored = np.arange(4096, dtype=np.uint16).reshape(16, 16, 16)
    path = write_nifti(tmp_path / name, stored, slope=1, intercept=-1024)
    volume = assert_same_planes(path, nib.load(path).get_fdata())
    assert volume.read(2, [0]).dtype == np.int16  # whole numbers in range
    path = write_nifti(tmp_path / ("half" + name), stored, slope=0.5, intercept=3)
    volume = assert_same_planes(path, nib.load(path).get_fdata())
    assert volume.read(2, [0]).dtype == np.float32


def test_the_spacing_of_an_axis_is_the_way_one_voxel_goes_along_it(tmp_path):
    # The first axis runs 2.5 mm forwards, the second 5 mm up, the third 0.8 mm to the left.
    affine = np.array([[0, 0, -0.8, 1], [2.5, 0, 0, 2], [0, 5, 0, 3], [0, 0, 0, 1]])
    path = write_nifti(tmp_path / "scan.nii", np.zeros((2, 3, 4), np.int16), affine)
    assert open_volume(path).spacing == pytest.approx((2.5, 5.0, 0.8))


def test_values_beyond_int16_become_float32_at_any_block(tmp_path, voxels, monkeypatch):
    monkeypatch.setattr(nifti, "BLOCK", 1)  # one plane per block
    large = voxels.astype(np.int32)
    large[0, 0, 6] = 70000
    path = write_nifti(tmp_path / "scan.nii.gz", large)
    volume = assert_same_planes(path, large)
    assert volume.read(2, slice(0, 5)).dtype == np.int16
    assert volume.read(2, slice(0, 8)).dtype == np.float32


def test_reading_goes_on_in_the_open_stream(tmp_path, voxels, monkeypatch):
    """Block after block forwards costs one pass; a step back begins anew and is right as well."""
    opened = []
    true_open = nifti.igzip.open
    monkeypatch.setattr(nifti.igzip, "open", lambda *rest: opened.append(rest) or true_open(*rest))
    volume = open_volume(write_nifti(tmp_path / "scan.nii.gz", voxels))
    for start in (0, 2, 5):
        planes = volume.read(2, slice(start, start + 2))
        np.testing.assert_array_equal(planes, voxels[:, :, start : start + 2])
    assert len(opened) == 1
    np.testing.assert_array_equal(volume.read(2, [1]), voxels[:, :, 1:2])
    assert len(opened) == 2


def test_what_lies_behind_the_last_wanted_plane_is_not_read(tmp_path, voxels):
    path = write_nifti(tmp_path / "scan.nii.gz", np.tile(voxels, (10, 10, 10)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.read(2, [7])[:6, :7, 0], voxels[:, :, 7])
    with pytest.raises(DataError, match="cut off"):
        volume.read(2, [79])
    np.testing.assert_array_equal(volume.read(2, [7])[:6, :7, 0], voxels[:, :, 7])


@pytest.mark.parametrize("axis", [0, 2])
def test_memory_is_that_of_the_wanted_planes(tmp_path, axis, monkeypatch):
    monkeypatch.setattr(nifti, "BLOCK", 1 << 18)
    array = np.random.default_rng(0).integers(0, 50, (128, 128, 256)).astype(np.int16)
    path = write_nifti(tmp_path / "scan.nii.gz", array)
    volume = open_volume(path)
    tracemalloc.start()
    planes = volume.read(axis, slice(40, 60))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert planes.nbytes == array.nbytes * 20 // array.shape[axis]
    # The planes, and 2 MB for a block, its successor and the decompressor's own buffers.
    assert peak < planes.nbytes + (2 << 20) < array.nbytes / 2


def test_fourth_axis(tmp_path, voxels):
    path = write_nifti(tmp_path / "one.nii.gz", voxels[..., np.newaxis])
    assert_same_planes(path, voxels)
    path = write_nifti(tmp_path / "two.nii.gz", np.stack([voxels, voxels], axis=-1))
    with pytest.raises(DataError, match=r"two\.nii\.gz: 4 axes .* Remedy: split it"):
        open_volume(path)
    sitk.WriteImage(sitk.Image([4, 4, 4, 2], sitk.sitkInt16), str(tmp_path / "two.mha"))
    with pytest.raises(DataError, match=r"two\.mha: 4 axes"):
        open_volume(tmp_path / "two.mha")


def test_truncated_files_are_named(tmp_path, voxels):
    for name in ("cut.nii", "cut.nii.gz", "cut.mha", "cut.png"):
        path = tmp_path / name
        if "nii" in name:
            write_nifti(path, np.tile(voxels, (4, 4, 4)))
        elif name == "cut.mha":
            write_itk(path, voxels)
        else:
            Image.fromarray(np.tile(voxels[:, :, 0], (20, 20)).astype(np.uint8)).save(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * 0.9)])
        with pytest.raises(
            DataError, match=rf"{name}: .*(cut off|damaged).*download the file again"
        ):
            open_volume(path).read(2, slice(None))


def test_announced_size_is_checked_before_memory_is_taken(tmp_path, voxels):
    path = write_nifti(tmp_path / "huge.nii", voxels)
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30000] * 3, "<i2").tobytes()  # dim 1-3 of the header
    path.write_bytes(content)
    with pytest.raises(DataError, match="cut off"):
        open_volume(path)
    packed = tmp_path / "huge.nii.gz"
    packed.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(DataError, match="cut off"):
        open_volume(packed)


def test_damage_inside_a_gzip_stream_shows_at_its_end(tmp_path, voxels):
    path = write_nifti(tmp_path / "scan.nii.gz", voxels)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the stored CRC
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"scan\.nii\.gz: damaged compressed data"):
        open_volume(path).read(2, slice(None))


@pytest.mark.parametrize("name", ["text.nii", "text.nii.gz", "text.mha", "text.nrrd", "text.png"])
def test_files_that_are_something_else(tmp_path, name):
    path = tmp_path / name
    path.write_text("This is not an image.\n" * 100)
    with pytest.raises(DataError, match=rf"{name}.*Remedy"):
        open_volume(path).read(2, slice(None))


def test_wrong_suffix_missing_file_unknown_format(tmp_path, voxels):
    path = write_nifti(tmp_path / "a.nii", voxels)
    with pytest.raises(DataError, match=r"Remedy: rename it to a\.nii "):
        open_volume(path.rename(tmp_path / "a.nii.gz"))
    path = write_nifti(tmp_path / "b.nii.gz", voxels)
    with pytest.raises(DataError, match=r"Remedy: rename it to b\.nii\.gz"):
        open_volume(path.rename(tmp_path / "b.nii"))
    with pytest.raises(DataError, match="no such file"):
        open_volume(tmp_path / "none.nii")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"convert it to \.nii"):
        open_volume(tmp_path / "a.txt")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.nrrd"])
def test_not_a_number(tmp_path, voxels, value, name):
    array = voxels.astype(np.float32)
    array[2, 2, 5] = value
    write = write_itk if name.endswith("nrrd") else write_nifti
    volume = open_volume(write(tmp_path / name, array))
    assert volume.read(2, slice(0, 5)).dtype == np.float32
    with pytest.raises(DataError, match=r"NaN or infinite values.*Remedy"):
        volume.read(2, [5])


def test_singular_affine(tmp_path, voxels):
    image = nib.Nifti1Image(voxels, np.eye(4))
    image.header["srow_x"] = 0
    image.header["sform_code"] = 1
    image.affine[0] = 0
    nib.Nifti1Image(voxels, None, image.header).to_filename(tmp_path / "flat.nii")
    with pytest.raises(DataError, match="affine is singular"):
        open_volume(tmp_path / "flat.nii")


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha", "scan.mhd"])
@pytest.mark.parametrize("compress", [False, True])
def test_itk_formats_agree_with_nibabel(tmp_path, voxels, name, compress):
    """SimpleITK writes the same image as NIfTI; nibabel then says where its voxels are."""
    path = write_itk(tmp_path / name, voxels, compress=compress)
    volume = assert_same_planes(path, voxels)
    reference = nib.load(write_itk(tmp_path / "reference.nii", voxels))
    np.testing.assert_allclose(volume.affine, reference.affine, atol=1e-5)
    np.testing.assert_array_equal(voxels, np.asarray(reference.dataobj))


def write_dicom(folder, array, affine=AFFINE, skip=(), series="1.2.3"):
    folder.mkdir(parents=True, exist_ok=True)
    reference = sitk.ReadImage(str(write_itk(folder.parent / "for_dicom.nii", array, affine)))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = reference.GetDirection()
    for z in range(array.shape[2]):
        if z in skip:
            continue
        image = reference[:, :, z]
        position = reference.TransformIndexToPhysicalPoint((0, 0, z))
        tags = {
            "0008|0060": "CT",
            "0008|0018": f"{series}.{z}",
            "0020|000e": series,
            "0020|000d": "1.2",
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{direction[i]:.6f}" for i in (0, 3, 6, 1, 4, 7)),
            "0020|0013": str(z),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        # File names against the order of the slices.
        writer.SetFileName(str(folder / f"{(z * 5) % 97}-{series}.dcm"))
        writer.Execute(image)
    return folder


def test_dicom_series(tmp_path, voxels):
    folder = write_dicom(tmp_path / "series", voxels)
    reference = nib.load(tmp_path / "for_dicom.nii")
    volume = open_volume(folder)
    planes = volume.read(2, slice(None))
    assert planes.dtype == np.int16
    # Slices may be sorted upwards or downwards; world positions decide.
    flipped = not np.allclose(volume.affine[:3, 2], reference.affine[:3, 2], atol=1e-3)
    expected = voxels[:, :, ::-1] if flipped else voxels
    corner = reference.affine @ (0, 0, 7 if flipped else 0, 1)
    np.testing.assert_allclose(volume.affine[:, 3], corner, atol=1e-3)
    np.testing.assert_allclose(volume.affine[:3, :2], reference.affine[:3, :2], atol=1e-4)
    assert_same_planes(folder, expected)


def test_dicom_faults(tmp_path, voxels):
    with pytest.raises(DataError, match=r"not evenly spaced.*slice is missing"):
        open_volume(write_dicom(tmp_path / "gap", voxels, skip=(3,)))
    write_dicom(tmp_path / "two", voxels)
    write_dicom(tmp_path / "two", voxels, series="1.2.4")
    with pytest.raises(DataError, match=r"2 DICOM series.*one series per folder"):
        open_volume(tmp_path / "two")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no DICOM series"):
        open_volume(tmp_path / "none")


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_pictures(tmp_path, depth):
    rows = np.arange(12, dtype=depth).reshape(3, 4) * (20 if depth == np.uint8 else 2000)
    Image.fromarray(rows).save(tmp_path / "picture.png")
    volume = assert_same_planes_of_picture(tmp_path / "picture.png", rows)
    assert volume.read(2, [0]).dtype == np.int16
    np.testing.assert_array_equal(volume.affine, np.diag([-1, -1, 1, 1]))


def assert_same_planes_of_picture(path, rows):
    volume = open_volume(path)
    assert volume.shape == (rows.shape[1], rows.shape[0], 1)
    np.testing.assert_array_equal(volume.read(2, slice(None))[:, :, 0], rows.T)
    np.testing.assert_array_equal(volume.read(0, [1])[:, :, 0], rows.T[1:2])
    return volume


def test_colours_masks_and_palettes(tmp_path):
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 0], colours[0, 1], colours[1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    assert_same_planes_of_picture(tmp_path / "rgb.png", np.array([[76, 150], [29, 0]]))
    Image.fromarray(np.array([[True, False], [False, True]])).save(tmp_path / "bits.png")
    assert_same_planes_of_picture(tmp_path / "bits.png", np.eye(2))
    Image.fromarray(colours).quantize(4).save(tmp_path / "palette.png")
    with pytest.raises(DataError, match=r"palette.*save it as greyscale"):
        open_volume(tmp_path / "palette.png")
