"""Runs on volumes: how they learn, are tested and measured. Loop and record are those of slices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator
from torch import nn

from samnb.base.checkout import commit
from samnb.evaluation import costs
from samnb.evaluation.volumes import (
    VolumeAnswers,
    ask_volumes,
    mean_volume_dice,
    measure_volume_answers,
    summarise_volumes,
)
from samnb.method import Method
from samnb.networks.sam.lora import count_parameters
from samnb.prompts.by_slice import EverySlice, find_volume_user
from samnb.prompts.users import User
from samnb.runs import examine, train
from samnb.runs.data import test_cohorts
from samnb.runs.records import Asked, Contents
from samnb.runs.run import Run
from samnb.runs.volume_data import TrainingVolumes
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_split, cohort_volumes
from samnb.systems.registry import find_system
from samnb.training.loop import Trained, fit
from samnb.training.patches import patch_batches


def train_on_volumes(
    run: Run, method: nn.Module, folder: Path, progress: bool = True, events: bool = False
) -> Trained:
    """Train `method` on patches as the run says, from the checkpoint in `folder` if there is one.

    A step has `batch` patches. An epoch without a number of steps shows each volume once.
    events: write what TensorBoard shows into `folder`.
    """
    seen, settings = run.data, train.learning(run)
    patches, user = run.settings.data.patches, users_of(run)[0]
    watch = _validator(seen, train.precision(run), user)
    return fit(
        method,
        patch_batches(seen.volumes, seen.marked, patches, settings.batch, run.seed),
        replace(train.training_settings(run, seen), events=events),
        folder,
        title=str(run),
        progress=progress,
        validate=watch if len(seen.watched) else None,
    )


def users_of(run: Run) -> list[User]:
    """Who prompts at test time; each slice on its own, where the system is asked so."""
    users = train.users_of(run)
    return [EverySlice(user) for user in users] if find_system(run.system).by_slice else users


def _validator(
    seen: TrainingVolumes, precision: str, user: User
) -> Callable[[nn.Module], dict[str, float]]:
    def watch(method: nn.Module) -> dict[str, float]:
        return {"dice": mean_volume_dice(method, seen.volumes, seen.watched, precision, user)}

    return watch


def examine_on_volumes(
    run: Run, method: Method, training: dict[str, Any], progress: bool = True
) -> Contents:
    """Test the finished method on every test cohort; training: what its training was like.

    The record has no pictures: the masks of whole volumes are in its answers.
    """
    answers = _asked(run, method, progress)
    cases, summary = measure_on_volumes(run, answers)
    seconds = sum(each.seconds for each in answers.values())
    count = sum(len(each.rows) for each in answers.values())
    device = Accelerator().device
    facts = {
        **examine._name(run),
        "users": [str(user) for user in users_of(run)],
        "parameters": {
            "total": count_parameters(method).total,
            "trainable": training["trainable"],
        },
        "multiply_adds": _multiply_adds(run, method),
        "seconds": {"training": training["seconds"], "inference": seconds},
        "milliseconds_per_volume": 1000 * seconds / count,
        "peak_memory_mb": round(costs.peak_memory(device), 1),
        "device": costs.device_in_words(device),
        "precision": train.precision(run),
        "versions": costs.versions(),
        "commit": commit(),
        "history": training["history"],
        "validation": training["validation"],
        "summary": summary,
    }
    return Contents(facts, cases, answers, {})


def measure_on_volumes(
    run: Run, answers: dict[Asked, VolumeAnswers]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The table of cases, a row for each volume and target, and the means by cohort.

    A volume is a scan: as the rows of scans of a study of slices, none has a slice.
    """
    tables = [
        measure_volume_answers(
            given, cohort_volumes(run.settings, cohort), cohort, find_volume_user(user)
        )
        for (cohort, user), given in answers.items()
    ]
    scans = pd.concat(tables, ignore_index=True)
    cases = scans.assign(slice=pd.NA, label=pd.NA)
    return cases.astype(dict.fromkeys(("slice", "label"), "Int64")), summarise_volumes(scans)


def _test_rows(profile: Profile, cohort: str) -> Any:
    return cohort_volumes(profile, cohort).rows_of(cohort_split(profile, cohort).test)


def _asked(run: Run, method: Method, progress: bool) -> dict[Asked, VolumeAnswers]:
    """Answers by test cohort and user."""
    profile, precision = run.settings, train.precision(run)
    answers = {}
    for cohort in test_cohorts(profile):
        volumes, rows = cohort_volumes(profile, cohort), _test_rows(profile, cohort)
        for user in users_of(run):
            given = ask_volumes(method, volumes, rows, cohort, precision, user, progress)
            answers[cohort, str(user)] = given
    return answers


def _multiply_adds(run: Run, method: Method) -> int:
    """For one volume with a target, the first of the first test cohort; one round of prompts."""
    cohort = test_cohorts(run.settings)[0]
    volumes, rows = cohort_volumes(run.settings, cohort), _test_rows(run.settings, cohort)
    shown = rows[volumes.index["label"].to_numpy()[rows] == 1][:1]
    device = Accelerator().device
    images, truths = (torch.from_numpy(part).to(device) for part in volumes.load(shown))
    prompts = users_of(run)[0].prompts(truths.bool(), [str(row) for row in shown])
    return costs.multiply_adds(method, images, prompts)
