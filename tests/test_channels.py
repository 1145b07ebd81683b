"""Channels of a plain folder: colours of pictures, and files named after their channel."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from samnb.base.errors import DataError, SamnbError
from samnb.data.layouts import FolderRules, open_scan
from samnb.data.settings import CohortSettings, SliceSettings
from samnb.data.slicing import LEVELS, slice_scan
from samnb.phantoms.nifti_files import write_nifti
from samnb.studies.channels import list_channels
from samnb.systems.system import channels_of

COLOURED = CohortSettings("folder", ("lesion",), channels=("red", "green", "blue"))
RULES = FolderRules(patient=".*")
BRAINS = CohortSettings("folder", ("tumour",), channels=("flair", "t1ce", "flair"))
BY_CHANNEL = FolderRules(image="*/*_{channel}", label="*/*_seg", targets={"tumour": [1, 4]})
WHOLE = SliceSettings(side=16, window_width=255, window_center=127.5, middle=1.0)


@pytest.fixture(params=["png", "jpg"])
def pictures(tmp_path, request):
    """One plain picture (200, 120, 40) of 32 by 32 pixels, its mask the left half."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    colours = np.broadcast_to(np.array([200, 120, 40], np.uint8), (32, 32, 3))
    Image.fromarray(np.array(colours)).save(tmp_path / "images" / f"a.{request.param}", quality=95)
    mask = np.zeros((32, 32), np.uint8)
    mask[:, :16] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    return tmp_path


@pytest.fixture
def brains(tmp_path):
    """Two cases of two channels; of case N FLAIR is N everywhere and T1ce 10 N."""
    for number in (1, 2):
        folder = tmp_path / f"p{number}"
        folder.mkdir()
        values = {"flair": number, "t1ce": 10 * number, "seg": 4}
        for kind, value in values.items():
            write_nifti(
                folder / f"p{number}_{kind}.nii.gz", np.full((4, 4, 3), value, np.int16), np.eye(4)
            )
    return tmp_path


def test_a_picture_in_colour_has_red_green_and_blue(pictures):
    (scan,) = list_channels(COLOURED, pictures, RULES)
    assert channels_of(COLOURED) == 3
    slices = slice_scan(scan, WHOLE, labelled=True)
    assert slices.images.shape == (1, 3, 16, 16)
    shown = slices.images[0].mean(axis=(1, 2)) * 255 / LEVELS
    assert shown == pytest.approx([200, 120, 40], abs=2)  # a JPEG may lose a step
    assert slices.masks[0, 0].sum() == 16 * 8


def test_without_a_word_a_picture_is_grey(pictures):
    plain = replace(COLOURED, channels=())
    (scan,) = list_channels(plain, pictures, RULES)
    assert channels_of(plain) == 1
    assert slice_scan(scan, WHOLE, labelled=True).images.shape == (1, 1, 16, 16)


@pytest.mark.parametrize("channels", [("red", "green"), ("blue", "green", "red"), ("flair",)])
def test_other_channels_of_a_plain_folder_are_refused(pictures, channels):
    with pytest.raises(SamnbError, match=r"no channel.*Remedy: name red, green, blue"):
        list_channels(replace(COLOURED, channels=channels), pictures, RULES)


def test_a_volume_has_no_colours(brains):
    rules = FolderRules(image="*/*_flair", label="*/*_seg")
    scan = list_channels(COLOURED, brains, rules)[0]
    with pytest.raises(DataError, match="no colours"):
        open_scan(scan)


def test_each_channel_is_a_file_of_the_same_case(brains):
    scans = list_channels(BRAINS, brains, BY_CHANNEL)
    assert [scan.scan for scan in scans] == ["p1", "p2"]
    assert channels_of(BRAINS) == 3
    for number, scan in enumerate(scans, start=1):
        opened = open_scan(scan)
        values = [volume.read(2, slice(None)).max() for volume in opened.images]
        assert values == [number, 10 * number, number]
        assert opened.mask(2, slice(None)).all()


@pytest.mark.parametrize("lost", ["flair", "t1ce"])
def test_a_case_without_one_of_its_channels_is_an_error(brains, lost):
    (brains / "p2" / f"p2_{lost}.nii.gz").unlink()
    (brains / "p2" / "p2_seg.nii.gz").unlink()
    with pytest.raises(DataError, match=f"no {lost} of p2"):
        list_channels(BRAINS, brains, BY_CHANNEL)


def test_a_place_for_channels_wants_their_names(brains):
    with pytest.raises(SamnbError, match="none are named"):
        list_channels(replace(BRAINS, channels=()), brains, BY_CHANNEL)
