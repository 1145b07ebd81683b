"""What comes of a run: a trained method is asked and measured, and what it cost is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from segment_anything.modeling import Sam
from torch import nn

from samnb.base.checkout import commit
from samnb.evaluation import costs
from samnb.evaluation.answers import Answers, ask, evenly, pictured_rows, pictures
from samnb.evaluation.examine import measure_answers, summarise
from samnb.networks.sam.adapters import save_adapter
from samnb.networks.sam.lora import count_parameters
from samnb.runs import teaching
from samnb.runs.records import Contents, Run
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split
from samnb.systems.registry import find_system

COUNTED_ON = 8  # slices that operations are counted on
NOBODY = "nobody"  # who prompts: the system has the image alone


def examine_run(
    wanted: Run, method: nn.Module, lesson: dict[str, Any], progress: bool = True
) -> Contents:
    """Test the finished method on every test cohort; lesson: what its training was like."""
    answers, shown = _asked(wanted, method, progress)
    cases, summary = measure_run(wanted, answers)
    seconds = sum(each.seconds for each in answers.values())
    count = sum(len(each.rows) for each in answers.values())
    device = Accelerator().device
    facts = {
        **_name(wanted),
        "parameters": {
            "total": count_parameters(method).total,
            "trainable": lesson["trainable"],
        },
        "multiply_adds": _multiply_adds(wanted, method),
        "seconds": {"training": lesson["seconds"], "inference": seconds},
        "milliseconds_per_slice": 1000 * seconds / count,
        "peak_memory_mb": round(costs.peak_memory(device), 1),
        "device": costs.device_in_words(device),
        "precision": teaching.precision(wanted),
        "versions": costs.versions(),
        "commit": commit(),
        "history": lesson["history"],
        "validation": lesson["validation"],
        "summary": summary,
    }
    return Contents(facts, cases, answers, shown)


def measure_run(
    wanted: Run, answers: dict[str, Answers]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The table of cases, and the means over slices by cohort.

    Rows of slices come first; those of scans have no slice.
    """
    tables, scan_tables = [], []
    for cohort, given in answers.items():
        slices, scans = measure_answers(given, cohort_slices(wanted.chosen, cohort), cohort)
        for table, tables_of_kind in ((slices, tables), (scans, scan_tables)):
            table.insert(1, "target", wanted.chosen.data.cohorts[cohort].target)
            table.insert(2, "user", NOBODY)
            tables_of_kind.append(table)
    of_slices = pd.concat(tables, ignore_index=True)
    cases = pd.concat([of_slices, *scan_tables], ignore_index=True)
    whole = dict.fromkeys(("slice", "label"), "Int64")  # a scan has none
    return cases.astype(whole), summarise(of_slices)


def _name(wanted: Run) -> dict[str, Any]:
    """Which run this is, in the record's words."""
    system = find_system(wanted.system)
    numbered = wanted.labels is not None and system.labels != "image"
    return {
        "system": wanted.system,
        "title": system.title,
        "name": f"{system.title}-{wanted.labels}" if numbered else system.title,
        "labels": wanted.labels,
        "seed": wanted.seed,
        "profile": wanted.profile.name,
        "changes": list(wanted.changes),
    }


def _test_rows(profile: Profile, cohort: str) -> np.ndarray:
    return cohort_slices(profile, cohort).rows_of(cohort_split(profile, cohort).test)


def _asked(
    wanted: Run, method: nn.Module, progress: bool
) -> tuple[dict[str, Answers], dict[str, np.ndarray]]:
    """Answers by test cohort, and pictures of a few slices of each."""
    profile, precision = wanted.chosen, teaching.precision(wanted)
    answers, shown = {}, []
    for cohort in teaching.test_cohorts(profile):
        slices, rows = cohort_slices(profile, cohort), _test_rows(profile, cohort)
        answers[cohort] = ask(method, slices, rows, cohort, precision, progress)
        rows = pictured_rows(slices, rows)
        shown.append(pictures(method, slices, rows, cohort, precision))
    return answers, {name: np.concatenate([each[name] for each in shown]) for name in shown[0]}


def _multiply_adds(wanted: Run, method: nn.Module) -> int:
    """Per slice with the target: what a slice costs that nobody calls empty by right."""
    profile = wanted.chosen
    cohort = teaching.test_cohorts(profile)[0]
    slices, rows = cohort_slices(profile, cohort), _test_rows(profile, cohort)
    shown = rows[slices.index["label"].to_numpy()[rows] == 1]
    images, _ = slices.load(evenly(shown, COUNTED_ON))
    return costs.multiply_adds(method, torch.from_numpy(images).to(Accelerator().device))


def save_run_adapter(wanted: Run, method: nn.Module, facts: dict[str, Any], folder: Path) -> None:
    """Write the method's LoRA into `folder` as PEFT does, if it has one and that has learned."""
    adapted = [part for part in method.modules() if isinstance(part, Sam)]
    if not (facts["history"] and adapted and hasattr(adapted[0], "peft_config")):
        return
    card = {
        "data": f"{teaching.training_cohort(wanted.chosen)} of the profile {wanted.profile.name}",
        "labels": f"{facts['labels']} slices with masks",
        "metrics": {cohort: each["dice"] for cohort, each in facts["summary"].items()},
        "system": facts["name"],
        "seed": wanted.seed,
    }
    save_adapter(adapted[0], folder, card=card)
