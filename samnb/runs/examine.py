"""What comes of a run: a trained method is asked and measured, and what it cost is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from segment_anything.modeling import Sam

from samnb.base.checkout import commit
from samnb.evaluation import costs
from samnb.evaluation.answers import Answers, ask, evenly, pictured_rows, pictures
from samnb.evaluation.examine import summarise
from samnb.method import Method
from samnb.networks.sam.adapters import save_adapter
from samnb.networks.sam.lora import count_parameters
from samnb.prompts.users import find_user
from samnb.runs import train
from samnb.runs.data import test_cohorts, training_cohort
from samnb.runs.records import Asked, Contents
from samnb.runs.run import Run
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split
from samnb.studies.protocols import measure_of
from samnb.systems.registry import find_system

COUNTED_ON = 8  # slices that operations are counted on


def examine_run(
    run: Run, method: Method, training: dict[str, Any], progress: bool = True
) -> Contents:
    """Test the finished method on every test cohort; training: what its training was like."""
    answers, shown = _asked(run, method, progress)
    cases, summary = measure_run(run, answers)
    seconds = sum(each.seconds for each in answers.values())
    count = sum(len(each.rows) for each in answers.values())
    device = Accelerator().device
    facts = {
        **_name(run),
        "parameters": {
            "total": count_parameters(method).total,
            "trainable": training["trainable"],
        },
        "multiply_adds": _multiply_adds(run, method),
        "seconds": {"training": training["seconds"], "inference": seconds},
        "milliseconds_per_slice": 1000 * seconds / count,
        "peak_memory_mb": round(costs.peak_memory(device), 1),
        "device": costs.device_in_words(device),
        "precision": train.precision(run),
        "versions": costs.versions(),
        "commit": commit(),
        "history": training["history"],
        "validation": training["validation"],
        "summary": summary,
    }
    return Contents(facts, cases, answers, shown)


def measure_run(
    run: Run, answers: dict[Asked, Answers]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The table of cases, and the means over slices by cohort.

    Rows of slices come first; those of scans have no slice.
    """
    measure, of_slices, of_scans = measure_of(run.settings), [], []
    for (cohort, user), given in answers.items():
        slices = cohort_slices(run.settings, cohort)
        tables = measure(given, slices, cohort, find_user(user))
        of_slices.append(tables[0])
        of_scans.append(tables[1])
    table = pd.concat(of_slices, ignore_index=True)
    cases = pd.concat([table, *of_scans], ignore_index=True)
    whole = dict.fromkeys(("slice", "label"), "Int64")  # a scan has none
    return cases.astype(whole), summarise(table)


def _name(run: Run) -> dict[str, Any]:
    """Which run this is, in the record's words."""
    system = find_system(run.system)
    numbered = run.labels is not None and system.labels not in ("image", "nothing")
    return {
        "system": run.system,
        "title": system.title,
        "name": f"{system.title}-{run.labels}" if numbered else system.title,
        "labels": run.labels,
        "seed": run.seed,
        "users": [str(user) for user in train.users_of(run)],
        "profile": run.profile.name,
        "changes": list(run.changes),
    }


def _test_rows(profile: Profile, cohort: str) -> np.ndarray:
    return cohort_slices(profile, cohort).rows_of(cohort_split(profile, cohort).test)


def _asked(
    run: Run, method: Method, progress: bool
) -> tuple[dict[Asked, Answers], dict[str, np.ndarray]]:
    """Answers by test cohort and user, and pictures of a few slices of each cohort."""
    profile, precision = run.settings, train.precision(run)
    users = train.users_of(run)
    answers, shown = {}, []
    for cohort in test_cohorts(profile):
        slices, rows = cohort_slices(profile, cohort), _test_rows(profile, cohort)
        for user in users:
            given = ask(method, slices, rows, cohort, precision, progress, user)
            answers[cohort, str(user)] = given
        rows = pictured_rows(slices, rows)
        shown.append(pictures(method, slices, rows, cohort, precision, users[0]))
    return answers, {name: np.concatenate([each[name] for each in shown]) for name in shown[0]}


def _multiply_adds(run: Run, method: Method) -> int:
    """Per slice with the target: what a slice costs that nobody calls empty by right."""
    profile = run.settings
    cohort = test_cohorts(profile)[0]
    slices, rows = cohort_slices(profile, cohort), _test_rows(profile, cohort)
    shown = evenly(rows[slices.index["label"].to_numpy()[rows] == 1], COUNTED_ON)
    device = Accelerator().device
    images, truths = (torch.from_numpy(part).to(device) for part in slices.load(shown))
    prompts = train.users_of(run)[0].prompts(truths.bool(), [str(row) for row in shown])
    return costs.multiply_adds(method, images, prompts)


def save_run_adapter(run: Run, method: Method, facts: dict[str, Any], folder: Path) -> None:
    """Write the method's LoRA into `folder` as PEFT does, if it has one and that has learned.

    Not where more of SAM has learned than its adapter holds: by itself it would be of no use.
    """
    adapted = [part for part in method.modules() if isinstance(part, Sam)]
    if not (facts["history"] and adapted and hasattr(adapted[0], "peft_config")):
        return
    learned = [name for name, value in adapted[0].named_parameters() if value.requires_grad]
    if not all(".lora_" in name or ".modules_to_save." in name for name in learned):
        return
    card = {
        "data": f"{training_cohort(run.settings)} of the profile {run.profile.name}",
        "labels": f"{facts['labels']} slices with masks",
        "metrics": {cohort: each["dice"] for cohort, each in facts["summary"].items()},
        "system": facts["name"],
        "seed": run.seed,
    }
    save_adapter(adapted[0], folder, card=card)
