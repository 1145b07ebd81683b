"""The stock nnU-Net beside ours: what it is given, what comes of it, and what if it is not here."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from samnb.base.errors import SamnbError
from samnb.data.settings import SplitSettings
from samnb.evaluation.metrics import METRICS
from samnb.runs import stock_nnunet
from samnb.runs.records import Contents, write_record
from samnb.runs.run import Run
from samnb.studies.cohorts import cohort_split
from samnb.training.settings import LearningSettings

LABELS = 4


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Our nnU-Net in a small world, nothing trained yet."""
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    profile = tiny.world(tmp_path / "scans")
    return Run(profile, "nnunet", LABELS, 1)


@pytest.fixture
def given(run, tmp_path):
    """What ours may look at, and the folder of the same slices for nnU-Net."""
    seen = run.data
    stock_nnunet.write_dataset(run, seen, tmp_path)
    return seen, tmp_path / "raw" / stock_nnunet.NAME


def test_the_split_is_ours_slice_by_slice(run, given):
    seen, raw = given
    prepared = raw.parents[1] / "preprocessed" / raw.name
    [split] = json.loads((prepared / "splits_final.json").read_text())
    cases = pd.read_csv(raw / "cases.csv", dtype={"patient": str, "scan": str})
    wanted = seen.slices.index.loc[[*seen.marked, *seen.watched], ["patient", "scan", "slice"]]
    assert cases[["patient", "scan", "slice"]].to_numpy().tolist() == wanted.to_numpy().tolist()
    for part, rows in (("train", seen.marked), ("val", seen.watched)):
        assert split[part] == cases.loc[cases["part"] == part, "case"].tolist()
        assert len(split[part]) == len(rows) > 0
    assert len(split["train"]) == LABELS
    assert set(cases["patient"]).isdisjoint(cohort_split(run.profile, "home").test)


def test_levels_masks_and_spacing_are_written_as_they_are(given):
    seen, raw = given
    description = json.loads((raw / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "CT"}
    assert description["labels"] == {"background": 0, "liver": 1}
    cases = pd.read_csv(raw / "cases.csv")["case"]
    for folder in ("imagesTr", "labelsTr"):
        assert len(list((raw / folder).iterdir())) == len(cases) == description["numTraining"]
    for case, row in zip(cases, [*seen.marked, *seen.watched], strict=True):
        image = nib.load(raw / "imagesTr" / f"{case}_0000.nii")
        mask = nib.load(raw / "labelsTr" / f"{case}.nii")
        assert np.array_equal(np.asarray(image.dataobj)[:, :, 0].T, seen.slices.images[row, 0])
        assert np.array_equal(np.asarray(mask.dataobj)[:, :, 0].T, seen.slices.masks[row, 0])
        spacing = seen.slices.index.loc[row, ["spacing_column", "spacing_row"]].to_list()
        np.testing.assert_allclose(image.header.get_zooms()[:2], spacing, rtol=1e-6)
        assert image.header.get_zooms()[2] > 3 * max(spacing)  # the axis that is cut along
    assert max(seen.slices.images[row].max() for row in seen.marked) > 255  # finer than 8 bits


def test_oblong_pixels_are_not_turned(run, tmp_path):
    seen = run.data
    oblong = seen.slices.index.assign(spacing_row=1.5, spacing_column=0.5)
    seen = replace(seen, slices=replace(seen.slices, index=oblong))
    stock_nnunet.write_dataset(run, seen, tmp_path)
    row = seen.marked[0]
    path = tmp_path / "raw" / stock_nnunet.NAME / "imagesTr" / f"slice-{row:06d}_0000.nii"
    # A NIfTI counts columns first; nnU-Net's own reader gives (between slices, rows, columns).
    assert nib.load(path).header.get_zooms() == pytest.approx((0.5, 1.5, 999.0))


class Asked:
    """In place of nnU-Net's predictor: remembers what it was asked, and finds the left half."""

    def __init__(self):
        self.pictures, self.spacings = [], []

    def predict_single_npy_array(self, picture, properties):
        self.pictures.append(picture)
        self.spacings.append(properties["spacing"])
        found = np.zeros(picture.shape[1:], int)
        found[..., : found.shape[-1] // 2] = 1
        return found


def test_nnunet_is_asked_for_one_slice_on_its_own_grid(run):
    slices = run.data.slices
    slices = replace(slices, index=slices.index.assign(spacing_row=1.5, spacing_column=0.5))
    asked = Asked()
    mask = stock_nnunet._segmented(asked, slices, 3)
    assert asked.spacings == [[999.0, 1.5, 0.5]]
    assert np.array_equal(asked.pictures[0][0, 0], slices.images[3, 0])
    assert mask.sum() == mask[:, : tiny.SIDE // 2].sum() == tiny.SIDE**2 / 2


def test_it_is_tested_on_the_test_patients_of_every_cohort(run, monkeypatch):
    class Predictor(Asked):
        def __init__(self, **options):
            super().__init__()

        def initialize_from_trained_model_folder(self, folder, use_folds):
            assert (folder, use_folds) == ("its weights", (0,))

    # In place of a part of nnU-Net's package, which need not be here.
    part = SimpleNamespace(nnUNetPredictor=Predictor)
    monkeypatch.setitem(sys.modules, "nnunetv2.inference.predict_from_raw_data", part)
    trainer = SimpleNamespace(device="cpu", output_folder_base="its weights")
    table = stock_nnunet.predict(run.profile, trainer, progress=False)
    tested = table.groupby("cohort")["patient"].unique()
    assert set(tested.index) == {"home", "abroad"}
    for cohort, patients in tested.items():
        assert sorted(patients) == sorted(cohort_split(run.profile, cohort).test)


def test_it_learns_by_the_seed_as_long_as_told_and_validates_a_fifth_as_often(monkeypatch):
    drawn = []
    trainer = SimpleNamespace(run_training=lambda: drawn.append(torch.rand(1).item()))
    part = SimpleNamespace(get_trainer_from_args=lambda *names, **options: trainer)
    monkeypatch.setitem(sys.modules, "nnunetv2.run.run_training", part)
    for seed in (1, 1, 2):
        assert stock_nnunet.train(seed, epochs=7, iterations=250) is trainer
    assert trainer.num_epochs == 7
    assert (trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (250, 50)
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_was_not_windowed_is_no_ct(run, tmp_path):
    slices = replace(run.profile.data.slices, window_width=None, window_center=None)
    profile = replace(run.profile, data=replace(run.profile.data, slices=slices))
    run = replace(run, profile=profile)
    stock_nnunet.write_dataset(run, run.data, tmp_path)
    text = (tmp_path / "raw" / stock_nnunet.NAME / "dataset.json").read_text()
    assert json.loads(text)["channel_names"] == {"0": "MR"}


@pytest.mark.parametrize(("steps", "wanted"), [(7, (5, 7)), (None, (5, 2))])
def test_it_learns_as_long_as_ours_unless_told(run, steps, wanted):
    learning = LearningSettings(epochs=5, steps_per_epoch=steps, batch=3)
    run = replace(run, profile=replace(run.profile, learning={"nnunet": learning}))
    assert stock_nnunet.own_length(run) == wanted


def test_without_the_package_it_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setattr(stock_nnunet, "find_spec", lambda name: None)
    with pytest.raises(SamnbError, match=r"not installed.*pip install 'samnb\[nnunet\]'"):
        stock_nnunet.compare(run)


def test_what_cannot_be_taught_is_refused_before_anything_is_written(run, monkeypatch):
    monkeypatch.setattr(stock_nnunet, "find_spec", lambda name: name)
    with pytest.raises(SamnbError, match=r"no 3 labelled slices.*use 2, 4"):
        stock_nnunet.compare(replace(run, labels=3), 1, 1)
    splits = run.profile.data.splits | {"home": SplitSettings(train=3, test=2)}
    profile = replace(run.profile, data=replace(run.profile.data, splits=splits))
    with pytest.raises(SamnbError, match="no validation patients"):
        stock_nnunet.compare(replace(run, profile=profile), 1, 1)
    assert not stock_nnunet.stock_folder(run).exists()


def test_masks_are_measured_as_those_of_our_systems(run):
    slices = run.data.slices
    rows = np.array([3, 8, 9])
    table = stock_nnunet.measured(slices, rows, slices.masks[rows, 0] > 0, "home")
    assert table["slice"].tolist() == slices.index.loc[rows, "slice"].tolist()
    assert (table[["dice", "iou", "surface_dice"]] == 1).all(axis=None)
    assert (table[["hd", "hd95"]] == 0).all(axis=None)


def test_the_table_holds_ours_with_the_same_labels_only(run):
    empty = pd.DataFrame({"cohort": []})
    for each in (run, replace(run, labels=2), replace(run, system="unet")):
        facts = {
            "system": each.system, "labels": each.labels, "seed": 1, "changes": [],
            "parameters": {"total": 7}, "seconds": {"training": 2.5},
            "settings": {"learning": {"epochs": 3, "steps_per_epoch": 4}},
            "summary": {"home": {"dice": 0.8}, "abroad": {"dice": 0.5}},
        }  # fmt: skip
        write_record(each, Contents(facts, empty, {}, {"masks": np.zeros((1, 1, 8, 8), bool)}))
    [row] = stock_nnunet.side_by_side(run).to_dict("records")
    assert row == {
        "system": "nnU-Net, ours", "labels": LABELS, "seed": 1, "epochs": 3, "iterations": 4,
        "parameters": 7, "seconds": 2.5, "dice home": 0.8, "dice abroad": 0.5,
    }  # fmt: skip


def test_the_command_explains_itself():
    command = [sys.executable, "-m", "samnb.cli", "stock-nnunet", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Example" in shown
    assert "pip install 'samnb[nnunet]'" in shown


@pytest.mark.skipif(
    find_spec("nnunetv2") is None, reason="nnunetv2 is not here: pip install 'samnb[nnunet]'"
)
def test_the_stock_package_learns_and_answers_and_the_same_seed_does_so_again(run):
    first = stock_nnunet.compare(run, epochs=2, iterations=2, progress=False)
    place = stock_nnunet.results_folder(run)
    table = pd.read_csv(place / "seed-1.csv")
    facts = json.loads((place / "seed-1.json").read_text())
    assert table["cohort"].value_counts().to_dict() == {"home": 16, "abroad": 16}
    assert table[list(METRICS)].notna().all(axis=None)
    assert facts["plan"]["patch_size"] == [32, 32]
    assert facts["plan"]["normalization_schemes"] == ["CTNormalization"]
    assert (facts["slices"], facts["epochs"]) == ({"train": LABELS, "validation": 8}, 2)
    assert first.loc[0, "dice home"] == facts["summary"]["home"]["dice"]
    folder = stock_nnunet.stock_folder(run)
    before = _weights(folder)
    with stock_nnunet.nnunet_folders(folder):
        stock_nnunet.train(run.seed, epochs=2, iterations=2)
    after = _weights(folder)
    assert all(torch.equal(before[name], after[name]) for name in before)


def _weights(folder):
    [path] = folder.rglob("checkpoint_final.pth")
    return torch.load(path, weights_only=False)["network_weights"]  # written a moment ago
