"""From a profile to scans, slices, split and labelled slices; the committed lists."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer

from samnb.base import paths
from samnb.base.errors import DataError, LeakError, SamnbError
from samnb.cli import data
from samnb.data import splits
from samnb.data.settings import (
    CohortSettings,
    DataSettings,
    FolderSettings,
    PhantomSettings,
    SliceSettings,
    SplitSettings,
    VolumeSettings,
)
from samnb.studies import Profile, load_profile
from samnb.studies import cohorts as cohort

PROFILE = Profile(
    "tiny",
    seed=3,
    data=DataSettings(
        cohorts={
            "lits": CohortSettings("lits", ("liver",), PhantomSettings("lits", 8)),
            "whole-body": CohortSettings("totalsegmentator", ("liver",), folder="bodies"),
        },
        splits={
            "lits": SplitSettings(train=4, validation=1, test=2),
            "whole-body": SplitSettings(test=2),
        },
        slices=SliceSettings(side=16),
        labelled=(2, 6),
    ),
)


def write_pair(image: Path, label: Path, target: bool = True) -> None:
    """24 slices; the target, if any, in the upper half."""
    image.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((16, 16, 24), np.uint8)
    mask[2:8, 4:9, 12:] = target
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    nib.Nifti1Image(mask.astype(np.int16) * 100, affine).to_filename(image)
    nib.Nifti1Image(mask, affine).to_filename(label)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A data root of its own, no committed lists, and phantoms that cost nothing."""
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path / "checkout")

    def write_cohort(kind, folder, patients, side, seed, workers, progress):
        for number in range(patients):
            if not (folder / f"volume-{number}.nii").exists():
                write_pair(folder / f"volume-{number}.nii", folder / f"segmentation-{number}.nii")

    monkeypatch.setattr(cohort, "write_cohort", write_cohort)
    return tmp_path / "data"


def test_a_cohort_is_made_where_it_is_missing(home):
    slices = cohort.cohort_slices(PROFILE, "lits", workers=1)
    split = cohort.cohort_split(PROFILE, "lits")
    assert (home / "phantoms" / "tiny" / "lits" / "volume-7.nii").is_file()
    assert set(slices.patients) == set(split.used)
    assert len(split.used) == 7
    assert len(split.unused) == 1
    assert slices.folder.parent == home / "cache" / "slices"
    parts = {name: slices.index.loc[slices.rows_of(part)] for name, part in split.parts().items()}
    splits.assert_disjoint(parts)


def test_labelled_rows_are_positive_slices_of_training_patients(home):
    slices = cohort.cohort_slices(PROFILE, "lits", workers=1)
    train = cohort.cohort_split(PROFILE, "lits").train
    few, more = (cohort.labelled_rows(PROFILE, "lits", count) for count in (2, 6))
    assert list(more[:2]) == list(few)
    assert slices.masks[more].any(axis=(2, 3)).all()
    assert set(slices.index.loc[more, "patient"]) <= set(train)


def test_whole_body_cohorts_take_scans_that_show_the_target(home, monkeypatch):
    for number in range(9):
        subject = home / "bodies" / f"s{number:04d}"
        label = subject / "segmentations" / "liver.nii.gz"
        write_pair(subject / "ct.nii.gz", label, target=number % 3 == 1)
    split = cohort.cohort_split(PROFILE, "whole-body")
    assert len(split.test) == 2
    assert set(split.test) < {"s0001", "s0004", "s0007"}
    slices = cohort.cohort_slices(PROFILE, "whole-body", workers=1)
    assert set(slices.patients) == set(split.test)

    def refuse(*arguments):
        raise AssertionError("read again")

    monkeypatch.setattr(cohort, "open_scan", refuse)
    assert cohort.cohort_split(PROFILE, "whole-body") == split


def test_lists_are_written_found_again_and_checked(home):
    rule = cohort.cohort_split(PROFILE, "lits")
    rows = cohort.labelled_rows(PROFILE, "lits", 6)
    split_list, labelled_list = cohort.write_lists(PROFILE, "lits")
    assert split_list.name == "tiny-lits.csv"
    assert cohort.cohort_split(PROFILE, "lits") == rule
    assert list(cohort.labelled_rows(PROFILE, "lits", 6)) == list(rows)
    # The list leads: another draw of training slices is taken as it stands.
    lines = labelled_list.read_text().splitlines()
    labelled_list.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    assert list(cohort.labelled_rows(PROFILE, "lits", 6)) == list(rows[::-1])
    # A list of someone who is not trained on is refused.
    stranger = rule.test[0]
    labelled_list.write_text("scan,slice\n" + "".join(f"{stranger},{z}\n" for z in range(12, 18)))
    with pytest.raises(DataError, match=f"of {stranger} shows no target"):
        cohort.labelled_rows(PROFILE, "lits", 6)
    changed = replace(PROFILE, seed=4)
    with pytest.raises(DataError, match="differs from the split"):
        cohort.cohort_split(changed, "lits")
    split_list.write_text(split_list.read_text() + f"{rule.test[0]},train\n")
    with pytest.raises(LeakError):
        cohort.cohort_split(PROFILE, "lits")


def test_a_list_of_labelled_slices_may_name_training_patients_only(home):
    _, labelled_list = cohort.write_lists(PROFILE, "lits")
    split, index = cohort.cohort_split(PROFILE, "lits"), cohort.cohort_slices(PROFILE, "lits").index
    others = index["patient"].isin([*split.validation, *split.test])
    shown = index[others & (index["label"] == 1)]  # real slices, with the target, of other patients
    assert len(shown) >= 6
    shown[["scan", "slice"]].to_csv(labelled_list, index=False)
    with pytest.raises(DataError, match="shows no target here"):
        cohort.labelled_rows(PROFILE, "lits", 6)


def test_scans_of_the_list_that_are_missing_are_named(home):
    real = replace(PROFILE.data.cohorts["lits"], phantom=None, folder="lits")
    profile = replace(PROFILE, data=replace(PROFILE.data, cohorts={"lits": real}))
    for number in range(8):
        write_pair(
            home / "lits" / f"volume-{number}.nii", home / "lits" / f"segmentation-{number}.nii"
        )
    cohort.write_lists(profile, "lits")
    lost = cohort.cohort_split(profile, "lits").train[0]
    for path in (home / "lits").glob(f"*-{lost.split('-')[1]}.nii"):
        path.unlink()
    with pytest.raises(DataError, match=f"the scans of {lost} are not there"):
        cohort.cohort_split(profile, "lits")


def test_a_bad_scan_stops_a_cohort_but_is_listed_by_prepare(home):
    folder = cohort.cohort_folder(PROFILE, "lits")
    bad = cohort.cohort_split(PROFILE, "lits").test[0]
    (folder / f"{bad}.nii").write_bytes(b"nothing")
    slices, faults = cohort.prepare_cohort(PROFILE, "lits", workers=1)
    assert [fault.file.name for fault in faults] == [f"{bad}.nii"]
    assert bad not in slices.patients
    with pytest.raises(SamnbError, match=rf"1 scans of lits cannot be used.*{bad}\.nii"):
        cohort.cohort_slices(PROFILE, "lits", workers=1)


def test_the_command_makes_volumes_of_a_cohort_and_lists_a_bad_scan(home, monkeypatch, capsys):
    volumes = VolumeSettings(spacing=(4.0, 2.0, 2.0), size=(16, 8, 8))
    profile = replace(PROFILE, data=replace(PROFILE.data, volumes=volumes))
    monkeypatch.setattr("samnb.studies.load_profile", lambda name, study: profile)
    data.volumes("tiny", cohort=["lits"], workers=1)
    made = cohort.cohort_volumes(profile, "lits", workers=1)
    said = capsys.readouterr().out
    assert "lits: 7 volumes of 7 patients, 7 with the target, 16 × 8 × 8 voxels, in " in said
    assert said.strip().endswith(str(made.folder))
    # 24 slices of 2 mm are 12 of 4 mm; 16 pixels of 1 mm are 8 of 2 mm. Half of it is the target's.
    image, masks = made.arrays(0)
    assert image.shape == masks.shape == (1, 16, 8, 8)
    assert np.flatnonzero(masks[0].any(axis=(1, 2))).tolist() == list(range(8, 14))
    bad = cohort.cohort_split(PROFILE, "lits").test[0]
    (cohort.cohort_folder(PROFILE, "lits") / f"{bad}.nii").write_bytes(b"nothing")
    with pytest.raises(typer.Exit) as stopped:
        data.volumes("tiny", cohort=["lits"], workers=1)
    assert stopped.value.exit_code == 1
    said = capsys.readouterr()
    assert "lits: 6 volumes of 6 patients" in said.out
    assert f"{bad}.nii" in said.err
    assert "1 fault(s)." in said.err
    with pytest.raises(SamnbError, match=rf"1 scans of lits cannot be used.*{bad}\.nii"):
        cohort.cohort_volumes(profile, "lits", workers=1)
    with pytest.raises(SamnbError, match="'tiny' sees slices alone"):
        cohort.cohort_volumes(PROFILE, "lits")


def test_what_a_profile_lacks_is_said(home):
    with pytest.raises(SamnbError, match=r"no cohort 'brain'.*lits, whole-body"):
        cohort.cohort_slices(PROFILE, "brain")
    with pytest.raises(DataError, match=r"not there.*samnb data get"):
        cohort.cohort_slices(PROFILE, "whole-body")
    unsplit = replace(PROFILE, data=replace(PROFILE.data, splits={}))
    with pytest.raises(SamnbError, match="does not say how to split 'lits'"):
        cohort.cohort_split(unsplit, "lits")


def two_sites(**changes) -> Profile:
    """Two cohorts out of one folder, told apart by the name of the patient."""
    north = CohortSettings(
        "folder",
        ("tumour",),
        folder="brains",
        root="real",
        rules=FolderSettings(patient="(N[0-9]+|S[0-9]+)_", targets={"tumour": (1,)}),
        members="^N",
    )
    cohorts = {"north": replace(north, **changes), "south": replace(north, members="^S")}
    sizes = {"north": SplitSettings(train=2, validation=1, test=1), "south": SplitSettings(test=2)}
    data = replace(PROFILE.data, cohorts=cohorts, splits=sizes, labelled=(2, 4))
    return replace(PROFILE, name="sites", data=data)


@pytest.fixture
def brains(home, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SAMNB_REAL", str(tmp_path / "elsewhere"))
    folder = tmp_path / "elsewhere" / "brains"
    for name in ("N1_a", "N2_a", "N2_b", "N3_a", "N4_a", "S1_a", "S2_a"):
        write_pair(folder / "images" / f"{name}.nii", folder / "masks" / f"{name}.nii")
    return folder


def test_one_folder_gives_several_cohorts(brains):
    profile = two_sites()
    north, south = (cohort.cohort_split(profile, name) for name in ("north", "south"))
    assert set(north.used) == {"N1", "N2", "N3", "N4"}
    assert south.used == ("S1", "S2")
    slices = cohort.cohort_slices(profile, "north", workers=1)
    assert slices.index["scan"].nunique() == 5
    assert len(cohort.labelled_rows(profile, "north", 4)) == 4


def test_what_is_wrong_with_a_cohort_of_a_folder_is_said(brains, monkeypatch):
    with pytest.raises(SamnbError, match=r"'north': none of its 7 scans.*like \^W"):
        cohort.cohort_scans(two_sites(members="^W"), "north")
    for broken in ({"members": "("}, {"rules": FolderSettings(patient="(")}):
        with pytest.raises(SamnbError, match=r"'north': missing \).*mend the profile"):
            cohort.cohort_scans(two_sites(**broken), "north")
    with pytest.raises(SamnbError, match=r"no root 'moon'.*use data or real"):
        cohort.cohort_scans(two_sites(root="moon"), "north")
    with pytest.raises(DataError, match=r"no target 'bone'.*choose among tumour, any"):
        cohort.cohort_scans(two_sites(targets=("bone",)), "north")
    monkeypatch.setenv("SAMNB_REAL", "nowhere")
    with pytest.raises(DataError, match=r"nowhere/brains: .*not there\. Remedy: set SAMNB_REAL"):
        cohort.cohort_scans(two_sites(), "north")


def test_the_real_sets_are_looked_for_beside_the_checkout(home, tmp_path, monkeypatch):
    monkeypatch.delenv("SAMNB_REAL", raising=False)
    place = cohort.cohort_place(load_profile("real_brain"), "du")
    assert place == tmp_path / "shared" / "real" / "brain_flair"


@pytest.mark.parametrize(
    ("profile", "name", "patients"),
    [
        ("paper", "lits", [f"volume-{number}" for number in range(131)]),
        ("pocket", "lits", [f"volume-{number}" for number in range(60)]),
    ],
)
def test_committed_splits_are_what_the_rule_gives(profile, name, patients):
    settings = load_profile(profile)
    listed = splits.read_split(cohort.split_list(settings, name))
    rule = splits.split_patients(patients, settings.data.splits[name], settings.seed)
    assert listed == rule
