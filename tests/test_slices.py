"""Slices and their cache: values, the way back, kill and resume, reuse, bad scans, full disks."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from samnb.base.errors import DataError, SamnbError
from samnb.data import caches, slices
from samnb.data import parts as build
from samnb.data.formats import nifti
from samnb.data.geometry import geometry_of, restore_mask, to_canonical
from samnb.data.layouts import ScanFiles, Target, list_scans, open_scan
from samnb.data.settings import SliceSettings
from samnb.data.slices import prepare
from samnb.data.slicing import UNKNOWN, middle_slices, slice_scan

SETTINGS = SliceSettings(side=32)
# Axis order and directions of the file, and spacing along them.
STORED = {
    0: (np.diag([-0.8, -0.8, 2.5, 1]), (64, 64, 40)),
    1: (np.diag([0.8, 0.8, -2.5, 1]), (64, 64, 40)),
    2: (np.array([[0, 0, -0.8, 0], [2.5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 1.0]]), (24, 40, 72)),
}


def body(shape, affine) -> tuple[np.ndarray, np.ndarray]:
    """HU and label of a crude patient whose liver is right and in front, whatever the axes.

    World coordinates are taken from the centre of the scan and scaled to -1..1.
    """
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = voxels @ affine[:3, :3].T
    world = world - world.mean(axis=(0, 1, 2))
    right, front, up = np.moveaxis(world / np.abs(world).max(axis=(0, 1, 2)), -1, 0)
    image = np.where(right**2 + front**2 < 0.8, 20, -1000)
    liver = ((right - 0.35) / 0.45) ** 2 + ((front - 0.2) / 0.4) ** 2 + (up / 0.6) ** 2 < 1
    image[liver] = 110
    label = liver.astype(np.uint8)
    label[liver & (up > 0.1) & (right > 0.5)] = 2
    return image.astype(np.int16), label


def write_scan(folder: Path, number: int, stored: int = 0, dtype=np.int16) -> None:
    affine, shape = STORED[stored]
    image, label = body(shape, affine)
    image = image + np.random.default_rng(number).integers(-9, 10, shape, dtype=np.int16)
    nib.Nifti1Image(image.astype(dtype), affine).to_filename(folder / f"volume-{number}.nii")
    nib.Nifti1Image(label, affine).to_filename(folder / f"segmentation-{number}.nii")


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "lits"
    place.mkdir()
    for number in range(3):
        write_scan(place, number, stored=number)
    return place


def scans_of(folder: Path):
    return list_scans("lits", folder, "liver")


def run(folder: Path, root: Path, settings=SETTINGS, **options):
    return prepare(scans_of(folder), settings, root, workers=1, progress=False, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_middle_slices_follow_the_papers_rule():
    assert middle_slices(101, 0.3) == range(35, 65)
    assert middle_slices(10, 0.3) == range(4, 5)
    assert len(middle_slices(400, 0.3)) == 119
    assert len(middle_slices(3, 0.3)) == 0
    assert middle_slices(7, 1) == range(7)
    assert middle_slices(1, 0.3) == range(1)


def test_slices_hold_the_windowed_scan_in_one_orientation(folder, tmp_path):
    found, faults = run(folder, tmp_path / "cache")
    assert faults == []
    assert found.images.shape == found.masks.shape == (len(found.index), 1, 32, 32)
    assert found.targets == ("liver",)
    assert found.side == 32
    assert isinstance(found.images, np.memmap)
    images, masks = found.load(range(len(found.index)))
    assert images.dtype == np.float32
    assert images.shape == (len(found.index), 1, 32, 32)
    assert images.min() == 0
    assert images.max() <= 1
    assert found.patients == ["volume-0", "volume-1", "volume-2"]
    for patient in found.patients:
        rows = found.rows_of([patient])
        liver = masks[rows, 0] > 0
        # 110 HU in the window from -160 to 240 HU; its tumour is liver as well.
        assert images[rows, 0][liver].mean() == pytest.approx(270 / 400, abs=0.02)
        _, down, across = np.nonzero(liver)
        assert across.mean() < 14
        assert down.mean() < 15


def test_index_tells_where_every_slice_comes_from(folder, tmp_path):
    found, _ = run(folder, tmp_path / "cache")
    index = found.index
    counts = {"volume-0": 40, "volume-1": 40, "volume-2": 40}
    for scan, count in counts.items():
        rows = index[index["scan"] == scan]
        assert list(rows["slice"]) == list(middle_slices(count, 0.3))
    assert list(index["label"]) == [int(mask.any()) for mask in found.masks]
    assert found.labels[:, 0].tolist() == list(index["label"])
    assert list(index["mask_pixels"]) == [int(mask.sum()) for mask in found.masks]
    assert (index["native_mask_pixels"] > index["mask_pixels"]).all()
    assert index.loc[0, "source"] == "lits/volume-0.nii"
    first = index.groupby("scan").first()
    assert list(first["spacing_z"]) == [2.5, 2.5, 5.0]
    assert list(first["native_row"]) == pytest.approx([0.8, 0.8, 2.5])
    assert list(first["spacing_row"]) == pytest.approx([1.6, 1.6, 60 / 32])
    # Stored head first: the middle slices are counted from the feet, the planes as stored.
    turned = index[index["scan"] == "volume-1"]
    assert list(turned["plane"]) == [39 - z for z in turned["slice"]]
    scans = json.loads((found.folder / "scans.json").read_text())
    assert scans["volume-2"]["window"] == [-160, 240]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_masks_go_back_to_the_scan(folder, tmp_path, number):
    settings = SliceSettings(side=128)
    found, _ = run(folder, tmp_path / "cache", settings)
    name = f"volume-{number}"
    rows = found.rows_of([name])
    geometry = found.geometry(name)
    chosen = list(found.index.loc[rows, "slice"])
    restored = restore_mask(found.load(rows)[1][:, 0], chosen, geometry)
    scan = open_scan(scans_of(folder)[number])
    truth = scan.mask(0, slice(None))
    assert restored.shape == truth.shape == scan.shape
    here, there = (to_canonical(array, geometry)[chosen] for array in (restored, truth))
    dice = 2 * np.count_nonzero(here & there) / (here.sum() + there.sum())
    assert dice > 0.97
    assert np.count_nonzero(restored) == np.count_nonzero(here)


def test_without_a_window_each_scan_runs_from_its_own_minimum_to_maximum(folder, tmp_path):
    settings = replace(SETTINGS, window_width=None, window_center=None, side=64)
    found, _ = run(folder, tmp_path / "cache", settings)
    for patient in ("volume-0", "volume-1"):  # as large as the grid, so nothing is averaged
        images, _ = found.load(found.rows_of([patient]))
        assert images.min() == 0
        assert images.max() == 1
    low, high = found.scans["volume-0"]["window"]
    assert -1010 < low < -1000 < 110 < high < 120


def test_unlabelled_scans_are_taken_when_asked_for(folder, tmp_path):
    for path in folder.glob("segmentation-*"):
        path.unlink()
    with pytest.raises(SamnbError, match="no segmentation"):
        run(folder, tmp_path / "cache")
    found, faults = run(folder, tmp_path / "cache", labelled=False)
    assert faults == []
    assert set(found.index["label"]) == {UNKNOWN}
    assert (found.labels == UNKNOWN).all()
    assert not found.masks.any()


def test_pictures_keep_their_place(tmp_path):
    picture = np.zeros((20, 40), np.uint8)
    picture[2:8, 4:12] = 200
    for name, array in (("images", picture), ("masks", (picture > 0).astype(np.uint8) * 255)):
        (tmp_path / name).mkdir()
        Image.fromarray(array).save(tmp_path / name / "a.png")
    (tmp_path / "cohort.yaml").write_text("patient: '.*'\n")
    settings = SliceSettings(side=40, window_width=None, window_center=None)
    scans = list_scans("folder", tmp_path, "any")
    found, faults = prepare(scans, settings, tmp_path / "cache", 1, progress=False)
    assert faults == []
    images, masks = found.load([0])
    expected = np.zeros((40, 40), bool)
    expected[12:18, 4:12] = True
    np.testing.assert_array_equal(images[0, 0] == 1, expected)
    np.testing.assert_array_equal(masks[0, 0] == 1, expected)


def sliced(folder: Path, image: np.ndarray, label: np.ndarray, side: int, **settings):
    """A scan by hand, canonical (slice, row, column), of 1 mm voxels."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    for name, array in (("volume", image), ("segmentation", label)):
        stored = array.transpose(2, 1, 0)
        nib.Nifti1Image(stored, affine).to_filename(folder / f"{name}-0.nii")
    (files,) = scans_of(folder)
    return slice_scan(files, SliceSettings(side=side, middle=1.0, **settings), labelled=True)


def test_intensities_are_cut_to_the_window_before_they_are_averaged(tmp_path):
    # Window -160 to 240 HU. Air and three times contrast agent: (0 + 1 + 1 + 1) / 4. Averaged
    # before it is cut, metal would drown the tissue about it: (0.5 x 3 + 1) / 4 at (0, 1).
    image = np.array([[[-1000, 240, 40, 40], [240, 240, 40, 3000]]], np.int16)
    found = sliced(tmp_path, image.repeat(2, axis=0), np.zeros((2, 2, 4), np.uint8), side=2)
    np.testing.assert_allclose(found.images[0, 0, 0] / 65535, [0.75, 0.625], atol=1e-4)


def test_masks_are_those_of_the_nearest_pixel(tmp_path):
    # Of 8 x 8 pixels the grid of 4 x 4 takes the odd ones, whatever their neighbours are: of
    # rows 2 to 6 and columns 4 to 6 rows 3 and 5, and column 5.
    label = np.zeros((2, 8, 8), np.uint8)
    label[0, 2:7, 4:7] = 1
    found = sliced(tmp_path, label.astype(np.int16), label, side=4)
    assert np.argwhere(found.masks[0, 0]).tolist() == [[1, 2], [2, 2]]


def test_a_slice_whose_mask_is_lost_on_the_grid_counts_as_without_target(tmp_path):
    label = np.zeros((2, 8, 8), np.uint8)
    label[0, 0, 0] = 1  # not one of the pixels that the grid takes
    label[1, 1, 1] = 1
    found = sliced(tmp_path, label.astype(np.int16), label, side=4)
    assert found.columns["native_mask_pixels"] == [1, 1]
    assert found.columns["mask_pixels"] == [0, 1]
    assert found.columns["label"] == [0, 1]


@pytest.mark.parametrize("up", [1.0, -1.0])
def test_blocks_of_a_scan_stored_from_either_end_are_put_in_order(tmp_path, monkeypatch, up):
    """One plane at a time: brightness rises from the feet up, whichever end the file begins at."""
    monkeypatch.setattr(nifti, "BLOCK", 1)
    image = np.arange(5, dtype=np.int16)[:, None, None] * np.full((5, 4, 4), 100, np.int16)
    label = np.zeros((5, 4, 4), np.uint8)
    label[1] = 1
    for name, array in (("volume", image), ("segmentation", label)):
        stored = array[:: int(up)].transpose(2, 1, 0)
        affine = np.diag([-1.0, -1.0, up, 1.0])
        nib.Nifti1Image(stored, affine).to_filename(tmp_path / f"{name}-0.nii")
    (files,) = scans_of(tmp_path)
    settings = SliceSettings(side=4, middle=1.0, window_width=None, window_center=None)
    found = slice_scan(files, settings, labelled=True)
    assert found.record["window"] == [0, 400]
    np.testing.assert_allclose(found.images[:, 0, 0, 0] / 65535, [0, 0.25, 0.5, 0.75, 1], atol=1e-4)
    assert found.columns["label"] == [0, 1, 0, 0, 0]


def test_colours_keep_their_proportions(tmp_path):
    """Without a window all three run from the lowest to the highest of all."""
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[..., 0], colours[..., 1] = 200, 100
    colours[0, 0, 2] = 50
    Image.fromarray(colours).save(tmp_path / "a.png")
    Image.fromarray((colours[..., 2] > 0).astype(np.uint8)).save(tmp_path / "m.png")
    files = ScanFiles(
        "a", "a", (tmp_path / "a.png",), (tmp_path / "m.png",), (Target("disc"),), colour=True
    )
    settings = SliceSettings(8, window_width=None, window_center=None)
    found, faults = prepare([files], settings, tmp_path / "cache", 1, progress=False)
    assert faults == []
    images, masks = found.load([0])
    assert images.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(images[0], colours.transpose(2, 0, 1) / 200, atol=1e-4)
    assert np.argwhere(masks[0, 0]).tolist() == [[0, 0]]
    assert found.index["spacing_row"].tolist() == [1.0]


def write_pair(folder: Path, flip: bool = False) -> None:
    """A brain of two sequences (10 and 100 times the column) and two overlapping targets.

    Canonical (slice, row, column) = (2, 4, 4); whole tumour is 1, 2 and 4, its core 1 and 4.
    """
    image = np.broadcast_to(np.arange(4, dtype=np.int16), (2, 4, 4))
    label = np.zeros((2, 4, 4), np.uint8)
    label[0, 0] = (0, 1, 2, 4)
    label[1, 3] = (2, 2, 0, 0)
    affine = np.diag([-1.0, -1.0, -1.0 if flip else 1.0, 1.0])
    for name, array in (("flair", image * 10), ("t1", image * 100), ("seg", label)):
        stored = array.transpose(2, 1, 0)[..., :: -1 if flip else 1]
        nib.Nifti1Image(stored, affine).to_filename(folder / f"{name}.nii")


def two_sequences(folder: Path) -> ScanFiles:
    targets = (Target("whole tumour", (1, 2, 4)), Target("tumour core", (1, 4)))
    images = (folder / "flair.nii", folder / "t1.nii")
    return ScanFiles("a", "a", images, (folder / "seg.nii",), targets, (0, 1, 2, 4))


@pytest.mark.parametrize("flip", [False, True])
def test_two_channels_and_two_overlapping_targets(tmp_path, flip):
    write_pair(tmp_path, flip)
    settings = SliceSettings(4, window_width=None, window_center=None, middle=1.0)
    root = tmp_path / "cache"
    found, faults = prepare([two_sequences(tmp_path)], settings, root, 1, progress=False)
    assert faults == []
    assert found.targets == ("whole tumour", "tumour core")
    images, masks = found.load([0, 1])
    assert images.shape == masks.shape == (2, 2, 4, 4)
    # Each channel runs from its own minimum to its own maximum.
    np.testing.assert_allclose(images[:, :, 0], np.broadcast_to(np.arange(4) / 3, (2, 2, 4)), 1e-4)
    assert found.scans["a"]["window"] == [0, 30, 0, 300]
    assert masks[0, :, 0].tolist() == [[0, 1, 1, 1], [0, 1, 0, 1]]
    assert masks[1, :, 3].tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    assert found.labels.tolist() == [[1, 1], [1, 0]]
    assert found.index["label"].tolist() == [1, 1]
    # Pixels of either target, counted once.
    assert found.index["mask_pixels"].tolist() == [3, 2]
    assert found.index["native_mask_pixels"].tolist() == [3, 2]


def test_channels_share_a_window_that_is_given(tmp_path):
    write_pair(tmp_path)
    settings = SliceSettings(4, window_width=300.0, window_center=150.0, middle=1.0)
    found = slice_scan(two_sequences(tmp_path), settings, labelled=True)
    levels = found.images[0, :, 0, 3] / 65535
    np.testing.assert_allclose(levels, [0.1, 1.0], atol=1e-4)


def test_one_label_file_for_each_target(tmp_path):
    """Organs of TotalSegmentator: a slice may show one, both or none."""
    subject = tmp_path / "s0001"
    (subject / "segmentations").mkdir(parents=True)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    organs = {name: np.zeros((4, 4, 3), np.uint8) for name in ("liver", "spleen")}
    organs["liver"][0, 0, :2] = 1
    organs["spleen"][3, 1, 1:2] = 1
    for name, array in organs.items():
        nib.Nifti1Image(array, affine).to_filename(subject / "segmentations" / f"{name}.nii.gz")
    image = np.zeros((4, 4, 3), np.int16)
    nib.Nifti1Image(image, affine).to_filename(subject / "ct.nii.gz")
    scans = list_scans("totalsegmentator", tmp_path, ("liver", "spleen"))
    settings = SliceSettings(4, middle=1.0)
    found, faults = prepare(scans, settings, tmp_path / "cache", 1, progress=False)
    assert faults == []
    assert found.labels.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert np.argwhere(found.masks[1]).tolist() == [[0, 0, 0], [1, 1, 3]]
    assert found.index["native_mask_pixels"].tolist() == [1, 2, 0]


def test_a_fault_in_a_second_channel_or_label_names_that_file(tmp_path):
    write_pair(tmp_path)
    files = two_sequences(tmp_path)
    broken = np.asarray(nib.load(tmp_path / "t1.nii").dataobj).astype(np.float32)
    broken[0, 0, 0] = np.inf
    nib.Nifti1Image(broken, nib.load(tmp_path / "t1.nii").affine).to_filename(tmp_path / "t1.nii")
    settings = SliceSettings(4, middle=1.0)
    with pytest.raises(DataError, match=r"t1\.nii: NaN or infinite"):
        slice_scan(files, settings, labelled=True)
    write_pair(tmp_path)
    label = nib.load(tmp_path / "seg.nii")
    nib.Nifti1Image(np.full(label.shape, 3, np.uint8), label.affine).to_filename(
        tmp_path / "core.nii"
    )
    each = replace(files, labels=(tmp_path / "seg.nii", tmp_path / "core.nii"))
    with pytest.raises(DataError, match=r"core\.nii: unexpected label values 3 beside 0, 1, 2, 4"):
        slice_scan(each, settings, labelled=True)


def test_other_channels_or_targets_are_another_cache(tmp_path):
    write_pair(tmp_path)
    files = two_sequences(tmp_path)
    changed = (
        files,
        replace(files, images=files.images[::-1]),
        replace(files, images=files.images[:1]),
        replace(files, targets=files.targets[:1]),
        replace(files, targets=files.targets[::-1]),
        replace(files, colour=True),
    )
    assert len({slices.scan_key(each, SETTINGS) for each in changed}) == len(changed)


def test_workers_give_the_same_bytes(folder, tmp_path):
    one, _ = run(folder, tmp_path / "one")
    two, _ = prepare(scans_of(folder), SETTINGS, tmp_path / "two", workers=2, progress=False)
    assert contents(one.folder) == contents(two.folder)


def test_a_finished_cache_is_reused_and_leaves_no_parts(folder, tmp_path, monkeypatch):
    first, _ = run(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "parts").iterdir())

    def refuse(*arguments):
        raise AssertionError("built again")

    monkeypatch.setattr(caches, "build_parts", refuse)
    again, _ = run(folder, tmp_path / "cache")
    assert again.folder == first.folder
    np.testing.assert_array_equal(again.images, first.images)
    moved = folder.rename(folder.with_name("elsewhere"))  # the same files in another place
    assert run(moved, tmp_path / "cache")[0].folder == first.folder


def test_other_sources_or_settings_are_another_cache(folder, tmp_path):
    first = run(folder, tmp_path / "cache")[0].folder
    for changed in (
        replace(SETTINGS, side=16),
        replace(SETTINGS, middle=0.5),
        replace(SETTINGS, window_center=50.0),
    ):
        assert run(folder, tmp_path / "cache", changed)[0].folder != first
    write_scan(folder, 1, stored=0)
    assert run(folder, tmp_path / "cache")[0].folder != first


KILLED = """
import json, sys
from pathlib import Path
from samnb.data import slices as build
from samnb.data.layouts import list_scans
from samnb.data.slices import prepare
from samnb.data.settings import SliceSettings

done = 0
original = build.build_part
def build_part(job):
    global done
    if done == 2:
        print("two are done", flush=True)
        sys.stdin.read()  # until the end comes
    done += 1
    return original(job)
build.build_part = build_part
folder, root, settings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
prepare(list_scans("lits", folder, "liver"), SliceSettings(**settings), root, 1, False)
"""


def test_a_killed_build_continues_where_it_was(folder, tmp_path, monkeypatch):
    root = tmp_path / "cache"
    arguments = [sys.executable, "-c", KILLED, folder, root, json.dumps(asdict(SETTINGS))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"two are done\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    parts = {path: path.stat().st_mtime_ns for path in (root / "parts").glob("*.part")}
    assert len(parts) == 2
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["parts"]

    sliced = []
    original = build.slice_scan

    def slice_scan(files, *rest):
        assert all(path.stat().st_mtime_ns == made for path, made in parts.items())
        sliced.append(files.scan)
        return original(files, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(build, "slice_scan", slice_scan)
        resumed, faults = run(folder, root)
    assert faults == []
    assert sliced == ["volume-2"]
    undisturbed, _ = run(folder, tmp_path / "other")
    assert contents(resumed.folder) == contents(undisturbed.folder)


def test_workers_end_with_a_killed_parent(folder, tmp_path):
    for number in range(3, 12):
        write_scan(folder, number)
    code = KILLED.replace("root, 1, False", "root, 2, False").replace("done == 2", "done < 0")
    guarded = tmp_path / "build_slices.py"
    head, tail = code.split("folder, root, settings", 1)
    tail = "\n    ".join(("folder, root, settings" + tail).strip().splitlines())
    guarded.write_text(f"{head}\nif __name__ == '__main__':\n    {tail}\n")
    root = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, guarded, folder, root, json.dumps(asdict(SETTINGS))],
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(root.glob("parts/*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert list(root.glob("parts/*.part"))
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _group_lives(process.pid)
    found, faults = run(folder, root)
    assert faults == []
    assert len(found.patients) == 12


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_bad_scans_cost_only_themselves(folder, tmp_path):
    for number in range(3, 9):
        write_scan(folder, number)
    whole = (folder / "volume-3.nii").read_bytes()
    (folder / "volume-3.nii").write_bytes(whole[: len(whole) // 2])
    write_scan(folder, 4, stored=2)
    (folder / "segmentation-4.nii").write_bytes((folder / "segmentation-5.nii").read_bytes())
    (folder / "segmentation-6.nii").unlink()
    affine, shape = STORED[0]
    image, label = body(shape, affine)
    label[30, 30, 20] = 7
    nib.Nifti1Image(label, affine).to_filename(folder / "segmentation-7.nii")
    broken = image.astype(np.float32)
    broken[10, 10, 20] = np.nan
    nib.Nifti1Image(broken, affine).to_filename(folder / "volume-8.nii")
    write_scan(folder, 9)
    for name in ("volume-9.nii", "segmentation-9.nii"):
        thin = nib.load(folder / name).slicer[:, :, :3]
        nib.Nifti1Image(np.asarray(thin.dataobj), thin.affine).to_filename(folder / name)

    found, faults = run(folder, tmp_path / "cache")
    assert found.patients == ["volume-0", "volume-1", "volume-2", "volume-5"]
    named = {fault.file.name: fault for fault in faults}
    assert sorted(named) == [
        "segmentation-4.nii",
        "segmentation-6.nii",
        "segmentation-7.nii",
        "volume-3.nii",
        "volume-8.nii",
        "volume-9.nii",
    ]
    assert all(fault.remedy for fault in faults)
    assert "none of its 3 slices" in named["volume-9.nii"].fault
    assert "NaN" in named["volume-8.nii"].fault


def test_a_mask_of_two_values_is_found_even_block_by_block(tmp_path):
    # Large planes, so that each block holds one: no block alone shows both values.
    for name, value in (("images", 50), ("masks", 0)):
        array = np.full((1500, 1500, 2), value, np.int16)
        if name == "masks":
            array[:9, :9, 0], array[:9, :9, 1] = 1, 3
        (tmp_path / name).mkdir()
        nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / name / "a.nii")
    scans = list_scans("folder", tmp_path, "organ")
    with pytest.raises(SamnbError, match="unexpected label values 1"):
        prepare(scans, replace(SETTINGS, middle=1), tmp_path / "cache", 1, progress=False)


def test_a_mended_scan_is_the_only_one_sliced_again(folder, tmp_path, monkeypatch):
    partner = folder / "segmentation-1.nii"
    kept = partner.rename(tmp_path / "kept.nii")
    first, faults = run(folder, tmp_path / "cache")
    assert len(faults) == 1
    again, same = run(folder, tmp_path / "cache")
    assert again.folder == first.folder
    assert str(same[0]) == str(faults[0])
    kept.rename(partner)
    sliced = []
    original = build.slice_scan
    monkeypatch.setattr(
        build, "slice_scan", lambda *given: sliced.append(given[0].scan) or original(*given)
    )
    mended, faults = run(folder, tmp_path / "cache")
    assert faults == []
    assert sliced == ["volume-1"]
    assert mended.patients == ["volume-0", "volume-1", "volume-2"]


def test_no_good_scan_at_all_is_an_error(folder, tmp_path):
    with pytest.raises(SamnbError, match="There are no scans"):
        prepare([], SETTINGS, tmp_path)
    for path in folder.glob("volume-*"):
        path.write_bytes(b"not a scan")
    with pytest.raises(SamnbError, match=r"None of the 3 scans can be used.*volume-0"):
        run(folder, tmp_path / "cache")


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, window_width=0.0),
        replace(SETTINGS, window_center=None),
        replace(SETTINGS, middle=0.0),
        replace(SETTINGS, side=0),
    ],
)
def test_impossible_settings_are_refused(folder, tmp_path, settings):
    with pytest.raises(SamnbError, match="Remedy"):
        run(folder, tmp_path / "cache", settings)


def test_a_folder_that_cannot_be_written_is_an_error_with_a_remedy(folder, tmp_path):
    (tmp_path / "cache").write_text("a file stands here")
    with pytest.raises(SamnbError, match=r"Cannot write.*cache.*SAMNB_DATA"):
        run(folder, tmp_path / "cache")


def test_a_full_disk_is_an_error_and_the_finished_parts_stay(folder, tmp_path, monkeypatch):
    original = build.write_part
    written = []

    def write_part(path, part):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, part)
        written.append(path)

    monkeypatch.setattr(build, "write_part", write_part)
    with pytest.raises(SamnbError, match=r"No space left on device.*free some space") as caught:
        run(folder, tmp_path / "cache")
    assert not isinstance(caught.value, DataError)  # no fault of the scan
    assert written[0].exists()
    monkeypatch.setattr(build, "write_part", original)
    assert run(folder, tmp_path / "cache")[1] == []


def test_a_full_disk_while_joining_leaves_no_half_cache(folder, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(slices, "write_array_header_1_0", full)
        with pytest.raises(SamnbError, match="No space left"):
            run(folder, tmp_path / "cache")
    found, faults = run(folder, tmp_path / "cache")
    assert faults == []
    assert len(found.patients) == 3
    assert not list((tmp_path / "cache").glob("*.building"))


def test_a_dead_worker_is_a_readable_error(folder, tmp_path, monkeypatch):
    class Dying(caches.ProcessPoolExecutor):
        def submit(self, function, *given):
            return super().submit(os._exit, 1)

    monkeypatch.setattr(caches, "ProcessPoolExecutor", Dying)
    with pytest.raises(SamnbError, match=r"worker process died.*fewer workers"):
        prepare(scans_of(folder), SETTINGS, tmp_path / "cache", workers=2, progress=False)


@pytest.mark.parametrize("axes", ["upright", "turned"])
def test_memory_stays_under_two_volumes(tmp_path, axes):
    affine = STORED[0][0] if axes == "upright" else STORED[2][0]
    volume = np.full((256, 256, 256), 50, np.int16)
    volume[60:90] = -100
    nib.Nifti1Image(volume, affine).to_filename(tmp_path / "volume-0.nii.gz")
    mask = (volume > 0).astype(np.uint8)
    nib.Nifti1Image(mask, affine).to_filename(tmp_path / "segmentation-0.nii.gz")
    (scan,) = scans_of(tmp_path)
    tracemalloc.start()
    try:
        slice_scan(scan, SliceSettings(side=64, middle=1), labelled=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (1 if axes == "upright" else 2) * volume.nbytes


def test_planes_across_the_order_of_a_file_cost_one_pass_through_it(tmp_path, monkeypatch):
    """Block by block, each block would decompress the whole file again."""
    affine, shape = STORED[2]
    assert geometry_of(shape, affine, 32).axes[0] != 2
    for name, array in zip(("volume", "segmentation"), body(shape, affine), strict=True):
        nib.Nifti1Image(array, affine).to_filename(tmp_path / f"{name}-0.nii.gz")
    opened = []
    true_open = nifti.igzip.open
    monkeypatch.setattr(nifti, "BLOCK", 1 << 10)
    monkeypatch.setattr(
        nifti.igzip, "open", lambda path, mode: opened.append(path.name) or true_open(path, mode)
    )
    (scan,) = scans_of(tmp_path)
    found = slice_scan(scan, replace(SETTINGS, middle=1), labelled=True)
    assert len(found.images) == 40
    assert sorted(opened) == ["segmentation-0.nii.gz", "volume-0.nii.gz"]


def test_geometry_in_the_cache_is_the_scans_own(folder, tmp_path):
    found, _ = run(folder, tmp_path / "cache")
    for files in scans_of(folder):
        scan = open_scan(files)
        assert found.geometry(files.scan) == geometry_of(scan.shape, scan.affine, 32)
