"""What a run may look at: who teaches, who is watched, who is tested, and how long it learns."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

from samnb.runs import examine, train
from samnb.runs.data import TrainingData
from samnb.runs.run import Run
from samnb.studies.cohorts import cohort_split
from samnb.systems import registry
from samnb.training.loop import TrainingSettings


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tiny.cached_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def profile(prepared, monkeypatch):
    monkeypatch.setenv("SAMNB_DATA", str(prepared))
    for name, system in tiny.SYSTEMS.items():
        monkeypatch.setitem(registry.SYSTEMS, name, system)
    return tiny.world(prepared)


def patients(seen: TrainingData, rows: np.ndarray) -> set[str]:
    return set(seen.slices.index.loc[rows, "patient"])


def test_training_patients_teach_and_validation_patients_are_watched(profile):
    split = cohort_split(profile, "home")
    seen = Run(profile, "tiny", 4, 1).data
    assert patients(seen, seen.classified) == set(split.train)
    assert len(seen.classified) == 3 * 8  # every slice of theirs
    assert len(seen.marked) == 4
    assert patients(seen, seen.marked) <= set(split.train)
    assert patients(seen, seen.watched) == set(split.validation)


def test_systems_are_shown_the_labels_they_may_use_and_no_others(profile):
    few, image, full = (
        Run(profile, name, labels, 1).data
        for name, labels in (("tiny", 2), ("tiny_image", 0), ("tiny_full", None))
    )
    assert [len(few.classified), len(few.marked)] == [24, 2]
    assert [len(image.classified), len(image.marked)] == [24, 0]
    assert [len(full.classified), len(full.marked)] == [0, 24]
    assert len(image.watched) == 0  # to watch it would take masks


def test_the_finished_method_is_tested_on_test_patients_only(profile):
    run = Run(profile, "tiny", 2, 1)
    training = {"trainable": 1, "seconds": 1.0, "history": [], "validation": []}
    found = examine.examine_run(run, train.build(run, None), training, progress=False)
    for cohort, table in found.cases.groupby("cohort"):
        assert set(table["patient"]) == set(cohort_split(profile, cohort).test)
    assert set(found.cases["cohort"]) == {"home", "abroad"}


LEARNING = {
    "epochs": 3, "steps_per_epoch": 4, "learning_rate": 0.02, "weight_decay": 0.3,
    "optimiser": "adam", "schedule": "warm_restarts", "cycle": 2, "warmup": 5, "clip": 7.0,
    "average": 0.9, "validations": 3, "precision": "float32",
}  # fmt: skip


def test_epochs_of_the_profile_become_steps_of_the_loop(profile):
    learning = replace(profile.learning["sam"], **LEARNING)
    profile = replace(profile, learning={"sam": learning})
    expected = TrainingSettings(
        steps=12,
        learning_rate=0.02,
        weight_decay=0.3,
        optimiser="adam",
        schedule="warm_restarts",
        cycle=8,
        warmup=5,
        clip=7.0,
        average=0.9,
        precision="float32",
        validate_every=4,
        keep="best",
        seed=6,
    )
    run = Run(profile, "tiny", 4, 6)
    assert train.training_settings(run, run.data) == expected
    unwatched = Run(profile, "tiny_image", 0, 6)
    found = train.training_settings(unwatched, unwatched.data)
    assert found == replace(expected, validate_every=0, keep="last")


def test_the_random_weights_at_the_start_are_those_of_the_seed(profile):
    first, again, other = (
        train.build(Run(profile, "tiny", 4, seed), None).layers[0].weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_is_calibrated_after_training_is_calibrated_on_validation_patients(profile, tmp_path):
    class Calibrated(tiny.Tiny):
        def calibrate(self, images, masks):
            seen.append((images, masks))

    seen = []
    run = Run(profile, "tiny", 4, 1)
    train.train(run, Calibrated(profile), tmp_path, progress=False)
    training_data = run.data
    images, masks = training_data.slices.load(training_data.watched)
    assert len(seen) == 1
    assert torch.equal(seen[0][0], torch.from_numpy(images))
    assert torch.equal(seen[0][1], torch.from_numpy(masks))


def test_what_is_calibrated_is_calibrated_with_the_weights_that_are_kept(
    profile, tmp_path, monkeypatch
):
    class Calibrated(tiny.Tiny):
        def calibrate(self, *_):
            seen.append((self.training, self.layers[0].weight.clone()))

    def mean_dice(method, *_):
        looked_at.append(method.layers[0].weight.clone())
        return next(dice)

    seen, looked_at = [], []
    dice = iter([0.9, 0.1])  # the first of two validations is the better one
    monkeypatch.setattr(train, "mean_dice", mean_dice)
    method = Calibrated(profile)
    trained = train.train(Run(profile, "tiny", 4, 1), method, tmp_path, progress=False)
    ((training, weight),) = seen
    assert not training
    assert torch.equal(weight, looked_at[0])
    assert not torch.equal(weight, looked_at[1])
    assert torch.equal(weight, trained.weights["layers.0.weight"])
