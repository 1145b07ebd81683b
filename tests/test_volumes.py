"""Volumes and their cache: values, the way back, cropping and padding, resume, faults, patches."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from samnb.base.errors import DataError, SamnbError
from samnb.data import caches, volumes
from samnb.data.geometry import geometry_of, to_canonical
from samnb.data.grid import volume_geometry
from samnb.data.layouts import ScanFiles, Target, open_scan
from samnb.data.patches import patches
from samnb.data.settings import VolumeSettings
from samnb.data.volumes import prepare, volume_of

# Canonical shape (slices, rows, columns) is 12, 20, 16 in all of them, spacing 3, 1 and 1.5 mm.
SHAPE, SPACING = (12, 20, 16), (3.0, 1.0, 1.5)
UPRIGHT = np.diag([-1.5, -1.0, 3.0, 1])  # file axes: column, row, slice
HEAD_FIRST = np.diag([-1.5, -1.0, -3.0, 1])
MIRRORED = np.diag([1.5, 1.0, 3.0, 1])
SAGITTAL = np.array([[0, 0, -1.5, 9], [-1.0, 0, 0, 7], [0, 3.0, 0, -4], [0, 0, 0, 1]])
STORED = {"upright": UPRIGHT, "head first": HEAD_FIRST, "mirrored": MIRRORED, "sagittal": SAGITTAL}
WINDOW = {"window_width": 1000.0, "window_center": 500.0}
TARGETS = (Target("whole tumour", (1, 2, 4)), Target("tumour core", (1, 4)))


def body(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two channels (2, *SHAPE) from 0 to 1000 and a label of 0, 1, 2, 4, canonical."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 1001, (2, *SHAPE)).astype(np.int16)
    image[:, 0, 0, :2] = 0, 1000  # so that each channel has the same ends
    label = np.zeros(SHAPE, np.uint8)
    label[5:9, 4:12, 9:14] = 2
    label[6:8, 6:10, 10:13] = 4
    label[6, 7, 11] = 1
    return image, label


def store(path: Path, canonical: np.ndarray, affine: np.ndarray) -> Path:
    """A file with these axes: what `to_canonical` turns into the array."""
    order = geometry_of((1, 1, 1), affine, 1).axes
    shape = tuple(canonical.shape[order.index(axis)] for axis in range(3))
    array = np.zeros(shape, canonical.dtype)
    to_canonical(array, geometry_of(shape, affine, 1))[...] = canonical
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def write(folder: Path, name: str, stored: str = "upright", seed: int = 0) -> ScanFiles:
    folder.mkdir(exist_ok=True)
    image, label = body(seed)
    affine = STORED[stored]
    images = tuple(
        store(folder / f"{name}_{kind}.nii.gz", channel, affine)
        for kind, channel in zip(("flair", "t1"), image, strict=True)
    )
    labels = (store(folder / f"{name}_seg.nii.gz", label, affine),)
    return ScanFiles(name, name, images, labels, TARGETS, (0, 1, 2, 4))


@pytest.fixture
def scans(tmp_path) -> list[ScanFiles]:
    return [
        write(tmp_path / "scans", f"p{number}", stored, number)
        for number, stored in enumerate(STORED)
    ]


def run(scans, root, settings, workers=1, **options):
    return prepare(scans, settings, root, workers, progress=False, **options)


@pytest.mark.parametrize("stored", STORED)
def test_without_resampling_a_volume_is_the_windowed_scan(tmp_path, stored):
    files = write(tmp_path / "scans", "p", stored)
    settings = VolumeSettings(window_width=500.0, window_center=250.0)
    found, faults = run([files], tmp_path / "cache", settings)
    assert faults == []
    images, masks = found.load([0])
    image, label = body()
    assert images.dtype == np.float32
    assert masks.dtype == np.uint8
    np.testing.assert_allclose(images[0], np.clip(image, 0, 500) / 500, atol=1e-5)
    np.testing.assert_array_equal(masks[0], [np.isin(label, (1, 2, 4)), np.isin(label, (1, 4))])
    assert found.spacing(0) == pytest.approx(SPACING)
    assert found.targets == ("whole tumour", "tumour core")


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("spacing", [(6.0, 2.0, 3.0), (2.0, 1.5, 1.3), (1.5, 0.5, 0.75)])
def test_resampling_is_trilinear_with_masks_of_the_nearest_voxel(tmp_path, stored, spacing):
    files = write(tmp_path / "scans", "p", stored)
    volume = volume_of(files, VolumeSettings(spacing, **WINDOW), labelled=True)
    size = tuple(round(n * own / mm) for n, own, mm in zip(SHAPE, SPACING, spacing, strict=True))
    image, label = body()
    assert volume.images.shape == (2, *size)
    expected = interpolate(torch.from_numpy(image / 1000)[None], size, mode="trilinear")[0]
    np.testing.assert_allclose(volume.images / 65535, expected, atol=2e-5)
    nearest = interpolate(torch.from_numpy(label)[None, None], size, mode="nearest-exact")[0, 0]
    np.testing.assert_array_equal(volume.masks[0], np.isin(nearest, (1, 2, 4)))
    np.testing.assert_array_equal(volume.masks[1], np.isin(nearest, (1, 4)))


def test_spacing_is_what_the_voxels_really_have():
    scan = geometry_of((16, 20, 12), UPRIGHT, 1)
    grid = volume_geometry(scan, (3.1, 2.0, 1.4), None)
    assert grid.size == (12, 10, 17)
    assert grid.spacing == pytest.approx((3.0, 2.0, 24 / 17))


def test_volumes_are_cut_and_padded_about_the_middle_of_the_scan(tmp_path):
    files = write(tmp_path / "scans", "p")
    volume = volume_of(files, VolumeSettings(size=(4, 26, 16), **WINDOW), labelled=True)
    image, label = body()
    expected = np.pad(image[:, 4:8], ((0, 0), (0, 0), (3, 3), (0, 0)))
    np.testing.assert_allclose(volume.images / 65535, expected / 1000, atol=1e-5)
    expected = np.pad(np.isin(label[4:8], (1, 4)), ((0, 0), (3, 3), (0, 0)))
    np.testing.assert_array_equal(volume.masks[1], expected)


def test_cutting_and_resampling_together_are_the_resampled_scan_cut(tmp_path):
    files = write(tmp_path / "scans", "p", "sagittal")
    spacing = (2.0, 1.5, 1.3)
    whole = volume_of(files, VolumeSettings(spacing, **WINDOW), labelled=True)
    part = volume_of(files, VolumeSettings(spacing, (6, 7, 30), **WINDOW), labelled=True)
    assert whole.images.shape[1:] == (18, 13, 18)
    expected = np.pad(whole.images[:, 6:12, 3:10], ((0, 0), (0, 0), (0, 0), (6, 6)))
    np.testing.assert_array_equal(part.images, expected)
    expected = np.pad(whole.masks[:, 6:12, 3:10], ((0, 0), (0, 0), (0, 0), (6, 6)))
    np.testing.assert_array_equal(part.masks, expected)


def test_volumes_may_be_cut_around_the_label(tmp_path):
    """Its box is 5:9, 4:12 and 9:14, so near the edge of 16 columns that two are padded."""
    files = write(tmp_path / "scans", "p", "head first")
    settings = VolumeSettings(size=(4, 8, 13), around_label=True, **WINDOW)
    volume = volume_of(files, settings, labelled=True)
    image, label = body()
    expected = np.pad(image[:, 5:9, 4:12, 5:16], ((0, 0), (0, 0), (0, 0), (0, 2)))
    np.testing.assert_allclose(volume.images / 65535, expected / 1000, atol=1e-5)
    assert volume.masks[0].sum() == (label > 0).sum()
    # Without any target it is the middle of the scan.
    empty = store(files.labels[0], np.zeros(SHAPE, np.uint8), HEAD_FIRST)
    middle = volume_of(replace(files, labels=(empty,)), settings, labelled=True)
    expected = image[:, 4:8, 6:14, 2:15] / 1000
    np.testing.assert_allclose(middle.images / 65535, expected, atol=1e-5)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize(
    "settings",
    [
        VolumeSettings(),
        VolumeSettings((1.5, 0.5, 0.75)),  # each voxel becomes eight
        VolumeSettings((1.0, 0.5, 0.5), (60, 50, 40)),
        VolumeSettings(size=(30, 24, 18)),
        VolumeSettings(size=(6, 20, 9), around_label=True),
    ],
)
def test_masks_go_back_to_the_scans_own_grid(tmp_path, stored, settings):
    files = write(tmp_path / "scans", "p", stored)
    found, _ = run([files], tmp_path / "cache", settings)
    _, masks = found.load([0])
    truth = open_scan(files)
    for number in range(2):
        restored = found.restore(0, masks[0, number])
        assert restored.shape == truth.shape
        np.testing.assert_array_equal(restored, truth.mask(2, slice(None), number))
    with pytest.raises(ValueError, match="expected a mask of"):
        found.restore(0, masks[0, 0, 1:])


@pytest.mark.parametrize("stored", STORED)
def test_what_a_crop_or_a_coarse_grid_loses_stays_lost(tmp_path, stored):
    files = write(tmp_path / "scans", "p", stored)
    found, _ = run([files], tmp_path / "cache", VolumeSettings(size=(2, 6, 16)))
    restored = found.restore(0, found.load([0])[1][0, 0])
    native = open_scan(files)
    truth = to_canonical(native.mask(2, slice(None)), geometry_of(native.shape, native.affine, 1))
    kept = np.zeros(SHAPE, bool)
    kept[5:7, 7:13] = True
    turned = to_canonical(restored, geometry_of(native.shape, native.affine, 1))
    np.testing.assert_array_equal(turned, truth & kept)
    found, _ = run([files], tmp_path / "cache", VolumeSettings((4.0, 1.5, 1.5)))
    restored = found.restore(0, found.load([0])[1][0, 0]).astype(bool)
    truth = native.mask(2, slice(None))
    assert 2 * (restored & truth).sum() / (restored.sum() + truth.sum()) > 0.85


def test_without_a_window_each_channel_runs_from_its_own_minimum_to_maximum(tmp_path):
    files = write(tmp_path / "scans", "p")
    image, _ = body()
    store(files.images[1], image[1] * 3 - 500, UPRIGHT)
    settings = VolumeSettings(size=(2, 4, 4), window_width=None, window_center=None)
    volume = volume_of(files, settings, labelled=True)
    assert volume.record["window"] == [0, 1000, -500, 2500]  # of the whole scan, not of the cut
    np.testing.assert_allclose(volume.images / 65535, image[:, 5:7, 8:12, 6:10] / 1000, atol=1e-5)


def test_the_index_tells_what_each_volume_is(scans, tmp_path):
    empty = store(scans[1].labels[0], np.zeros(SHAPE, np.uint8), HEAD_FIRST)
    edge = np.zeros(SHAPE, np.uint8)
    edge[3] = 2
    store(scans[2].labels[0], edge, MIRRORED)
    scans[1] = replace(scans[1], labels=(empty,), patient="p0")
    settings = VolumeSettings((6.0, 2.0, 3.0))
    found, _ = run(scans, tmp_path / "cache", settings)
    assert found.labels.tolist() == [[1, 1], [0, 0], [1, 0], [1, 1]]
    assert found.index["label"].tolist() == [1, 0, 1, 1]
    assert found.index["scan"].tolist() == ["p0", "p1", "p2", "p3"]
    assert found.patients == ["p0", "p2", "p3"]
    assert found.rows_of(["p0", "p3"]).tolist() == [0, 1, 3]
    assert len(found) == 4
    row = found.index.iloc[3]
    assert (row["spacing_z"], row["spacing_row"], row["spacing_column"]) == (6, 2, 3)
    assert (row["native_z"], row["native_row"], row["native_column"]) == pytest.approx(SPACING)
    assert row["source"] == "scans/p3_flair.nii.gz"
    assert isinstance(found.arrays(0)[0], np.memmap)
    images, masks = found.load(found.rows_of(["p3", "p2"]))
    assert images.shape == masks.shape == (2, 2, 6, 10, 8)


def test_volumes_of_several_sizes_are_loaded_one_by_one(scans, tmp_path):
    image = np.zeros((5, 6, 7), np.int16)
    small = tuple(store(path, image, UPRIGHT) for path in scans[0].images)
    label = store(scans[0].labels[0], image.astype(np.uint8), UPRIGHT)
    scans[0] = replace(scans[0], images=small, labels=(label,))
    found, _ = run(scans, tmp_path / "cache", VolumeSettings())
    assert found.load([0])[0].shape == (1, 2, 5, 6, 7)
    assert found.load([1, 2])[0].shape == (2, 2, *SHAPE)
    with pytest.raises(SamnbError, match=r"different sizes.*\(5, 6, 7\).*Remedy: give VolumeSett"):
        found.load([0, 1])


def test_a_picture_is_a_volume_of_one_slice(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    files = ScanFiles("a", "a", (tmp_path / "a.png",), (), TARGETS, colour=True)
    settings = VolumeSettings(window_width=255.0, window_center=127.5)
    found, _ = run([files], tmp_path / "cache", settings, labelled=False)
    images, masks = found.load([0])
    np.testing.assert_allclose(images[0, :, 0], colours.transpose(2, 0, 1) / 255, atol=1e-5)
    assert masks.shape == (1, 2, 1, 6, 8)
    assert found.labels.tolist() == [[-1, -1]]
    assert found.index["label"].tolist() == [-1]


def test_a_scan_without_labels_is_a_fault_unless_asked_for(scans, tmp_path):
    scans[0] = replace(scans[0], labels=())
    found, (fault,) = run(scans, tmp_path / "cache", VolumeSettings())
    assert len(found) == 3
    assert "no segmentation" in fault.fault
    assert len(run(scans, tmp_path / "cache", VolumeSettings(), labelled=False)[0]) == 4


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_workers_give_the_same_bytes(scans, tmp_path):
    one, _ = run(scans, tmp_path / "one", VolumeSettings((2.0, 2.0, 2.0)))
    two, _ = run(scans, tmp_path / "two", VolumeSettings((2.0, 2.0, 2.0)), workers=2)
    assert contents(one.folder) == contents(two.folder)
    assert caches.content(one.folder) == caches.content(two.folder)


def test_an_interrupted_build_goes_on_with_the_parts_it_has(scans, tmp_path, monkeypatch):
    root, original, made = tmp_path / "cache", volumes.volume_of, []

    def volume_of(files, *rest):
        if files.scan == "p2" and "p2" not in made:
            made.append("p2")
            raise KeyboardInterrupt
        made.append(files.scan)
        return original(files, *rest)

    monkeypatch.setattr(volumes, "volume_of", volume_of)
    with pytest.raises(KeyboardInterrupt):
        run(scans, root, VolumeSettings())
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["parts"]
    assert len(list((root / "parts").glob("*.part"))) == 2
    resumed, faults = run(scans, root, VolumeSettings())
    assert faults == []
    assert made == ["p0", "p1", "p2", "p2", "p3"]
    assert not list((root / "parts").iterdir())
    again, _ = run(scans, root, VolumeSettings())
    assert made == ["p0", "p1", "p2", "p2", "p3"]  # a finished cache is reused
    monkeypatch.undo()
    undisturbed, _ = run(scans, tmp_path / "other", VolumeSettings())
    assert contents(resumed.folder) == contents(undisturbed.folder) == contents(again.folder)


def test_other_settings_sources_channels_or_targets_are_another_cache(scans, tmp_path):
    root, settings = tmp_path / "cache", VolumeSettings(size=(8, 8, 8))
    folders = {
        run(scans[:1], root, changed)[0].folder
        for changed in (
            settings,
            replace(settings, spacing=(2.0, 2.0, 2.0)),
            replace(settings, size=(8, 8, 9)),
            replace(settings, around_label=True),
            replace(settings, window_width=300.0),
        )
    }
    assert len(folders) == 5
    for files in (
        replace(scans[0], images=scans[0].images[:1]),
        replace(scans[0], targets=TARGETS[:1]),
        write(tmp_path / "scans", "p0", "mirrored"),
    ):
        folders.add(run([files], root, settings)[0].folder)
    assert len(folders) == 8


def test_contents_tell_other_volumes_apart(scans, tmp_path):
    first, _ = run(scans[:1], tmp_path / "cache", VolumeSettings())
    for settings in (VolumeSettings(size=(8, 8, 8)), VolumeSettings(window_width=300.0)):
        other, _ = run(scans[:1], tmp_path / "cache", settings)
        assert caches.content(other.folder) != caches.content(first.folder)
    moved = [write(tmp_path / "elsewhere", "p0", "upright", 0)]
    again, _ = run(moved, tmp_path / "second", VolumeSettings())
    assert caches.content(again.folder) == caches.content(first.folder)


def test_bad_scans_cost_only_themselves(scans, tmp_path, monkeypatch):
    whole = scans[0].images[1].read_bytes()
    scans[0].images[1].write_bytes(whole[: len(whole) // 2])
    store(scans[1].labels[0], np.full(SHAPE, 3, np.uint8), HEAD_FIRST)
    scans[2].images[1].unlink()
    found, faults = run(scans, tmp_path / "cache", VolumeSettings())
    assert found.patients == ["p3"]
    assert [fault.file.name for fault in faults] == [
        "p0_t1.nii.gz",
        "p1_seg.nii.gz",
        "p2_t1.nii.gz",
    ]
    assert all(isinstance(fault, DataError) and fault.remedy for fault in faults)
    scans[0].images[1].write_bytes(whole)
    made, original = [], volumes.volume_of
    monkeypatch.setattr(
        volumes, "volume_of", lambda files, *rest: made.append(files.scan) or original(files, *rest)
    )
    mended, faults = run(scans, tmp_path / "cache", VolumeSettings())
    assert mended.patients == ["p0", "p3"]
    assert len(faults) == 2
    assert "p3" not in made
    with pytest.raises(SamnbError, match="None of the 2 scans can be used"):
        run(scans[1:3], tmp_path / "cache", VolumeSettings())


@pytest.mark.parametrize(
    "settings",
    [
        VolumeSettings(window_width=0.0),
        VolumeSettings(window_center=None),
        VolumeSettings(spacing=(1.0, 0.0, 1.0)),
        VolumeSettings(size=(8, 8)),
        VolumeSettings(around_label=True),
    ],
)
def test_impossible_settings_are_refused(scans, tmp_path, settings):
    with pytest.raises(SamnbError, match="Remedy"):
        run(scans, tmp_path / "cache", settings)


def test_memory_is_that_of_one_volume(tmp_path):
    """A coarse grid costs a fraction of the scan, which is read a few planes at a time."""
    volume = np.full((160, 256, 256), 50, np.int16)
    volume[60:90] = -100
    scans = []
    for name in ("a", "b"):
        image = store(tmp_path / f"{name}.nii.gz", volume, np.diag([-1.0, -1.0, 1.0, 1.0]))
        label = (volume > 0).astype(np.uint8)
        label = store(tmp_path / f"{name}_seg.nii.gz", label, np.diag([-1.0, -1.0, 1.0, 1.0]))
        scans.append(ScanFiles(name, name, (image,), (label,), (Target("x", (1,)),), (0, 1)))
    tracemalloc.start()
    try:
        found, _ = run(scans, tmp_path / "cache", VolumeSettings((2.0, 4.0, 4.0)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 2
    assert peak < 1.5 * volume.nbytes


# Patches


def blob(size=(10, 12, 14)) -> tuple[np.ndarray, np.ndarray]:
    """A volume whose voxels tell where they are, and two targets: a box, and one voxel."""
    volume = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size)
    masks = np.zeros((2, *size), np.uint8)
    masks[0, 2:9, 2:11, 2:13] = 1
    masks[1, -1, 0, -1] = 1
    return volume, masks


def test_patches_are_pieces_of_the_volume():
    volume, masks = blob()
    masks[1] = masks[0]
    images, cut = patches(volume, masks, (4, 5, 6), 30, np.random.default_rng(0), 0.5)
    assert images.shape == (30, 1, 4, 5, 6)
    assert cut.shape == (30, 2, 4, 5, 6)
    starts = set()
    for image, mask in zip(images[:, 0], cut[:, 0], strict=True):
        z, y, x = np.unravel_index(int(image[0, 0, 0]), volume.shape[1:])
        piece = slice(z, z + 4), slice(y, y + 5), slice(x, x + 6)
        np.testing.assert_array_equal(image, volume[0][piece])
        np.testing.assert_array_equal(mask, masks[0][piece])
        starts.add((z, y, x))
    assert len(starts) > 20
    again, _ = patches(volume, masks, (4, 5, 6), 30, np.random.default_rng(0), 0.5)
    other, _ = patches(volume, masks, (4, 5, 6), 30, np.random.default_rng(1), 0.5)
    np.testing.assert_array_equal(again, images)
    assert not np.array_equal(other, images)


def test_a_share_of_the_patches_holds_a_target_and_small_ones_count_as_much():
    volume, masks = blob()
    masks[0] = 0
    masks[0, 0, 5:7, 0] = 1  # two voxels at one end, one at the other
    _, cut = patches(volume, masks, (3, 3, 3), 40, np.random.default_rng(0), 0.5)
    seen = cut.any(axis=(2, 3, 4))
    assert seen[20:].any(axis=1).all()
    assert 4 < seen[20:, 1].sum() < 16
    assert seen[:20].any(axis=1).sum() < 5
    _, none = patches(volume, np.zeros_like(masks), (3, 3, 3), 4, np.random.default_rng(0), 1.0)
    assert none.shape == (4, 2, 3, 3, 3)


def test_patches_anywhere_reach_every_end():
    volume, masks = blob((3, 3, 3))
    images, _ = patches(volume, masks[:, :3, :3, :3], (2, 2, 2), 200, np.random.default_rng(0), 0)
    assert {int(image[0, 0, 0, 0]) for image in images} == {0, 1, 3, 4, 9, 10, 12, 13}


def test_small_volumes_are_padded_to_the_patch():
    volume, masks = blob((2, 12, 14))
    image, cut = patches(volume + 1, masks, (4, 12, 15), 2, np.random.default_rng(0), 1.0)
    expected = np.pad(volume[0] + 1, ((1, 1), (0, 0), (1, 0)))
    for number in range(2):
        np.testing.assert_array_equal(image[number, 0], expected)
        assert cut[number].sum() == masks.sum()


def test_the_cache_is_plain_files(scans, tmp_path):
    found, _ = run(scans[:1], tmp_path / "cache", VolumeSettings())
    names = ["0.images.npy", "0.masks.npy", "content.json", "faults.json", "index.csv"]
    assert sorted(path.name for path in found.folder.iterdir()) == [
        *names,
        "labels.npy",
        "scans.json",
    ]
    assert np.load(found.folder / "0.images.npy").dtype == np.uint16
    assert np.load(found.folder / "0.masks.npy").dtype == np.uint8
    assert json.loads((found.folder / "scans.json").read_text())["p0"]["targets"] == [
        "whole tumour",
        "tumour core",
    ]
