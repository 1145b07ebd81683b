"""What comes of a run: a trained method is tested, and what it cost is counted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from segment_anything.modeling import Sam
from torch import nn

from samnb import costs, evaluation, teaching
from samnb.data.cohort import cohort_slices, cohort_split
from samnb.models.adapters import save_adapter
from samnb.models.lora import count_parameters
from samnb.models.registry import find_system
from samnb.profiles import Profile
from samnb.records import Run

COUNTED_ON = 8  # slices that operations are counted on


@dataclass(frozen=True)
class Outcome:
    """All of a record but what the run depends on; `adapter` writes the adapter into a folder."""

    facts: dict[str, Any]
    slices: pd.DataFrame
    scans: pd.DataFrame
    pictures: dict[str, np.ndarray]
    adapter: Callable[[Path], object] | None


def examine_run(
    wanted: Run, method: nn.Module, lesson: dict[str, Any], progress: bool = True
) -> Outcome:
    """Test the finished method on every test cohort; lesson: what its training was like."""
    slices, scans, shown, seconds = _tested(wanted, method, progress)
    device = Accelerator().device
    facts = {
        **_name(wanted),
        "parameters": {
            "total": count_parameters(method).total,
            "trainable": lesson["trainable"],
        },
        "multiply_adds": _multiply_adds(wanted, method),
        "seconds": {"training": lesson["seconds"], "inference": seconds},
        "milliseconds_per_slice": 1000 * seconds / len(slices),
        "peak_memory_mb": round(costs.peak_memory(device), 1),
        "device": costs.device_in_words(device),
        "precision": teaching.precision(wanted),
        "versions": costs.versions(),
        "commit": costs.commit(),
        "history": lesson["history"],
        "validation": lesson["validation"],
        "summary": evaluation.summarise(slices),
    }
    return Outcome(facts, slices, scans, shown, _adapter(wanted, method, facts))


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


def _tested(
    wanted: Run, method: nn.Module, progress: bool
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray], float]:
    """Tables of slices and scans of all test cohorts, pictures, and the seconds it took."""
    profile, precision = wanted.chosen, teaching.precision(wanted)
    examined, shown = [], []
    for cohort in teaching.test_cohorts(profile):
        slices, rows = cohort_slices(profile, cohort), _test_rows(profile, cohort)
        found = evaluation.examine(method, slices, rows, cohort, precision, progress)
        examined.append(found)
        rows = evaluation.pictured_rows(slices.index, rows)
        shown.append(evaluation.pictures(method, slices, rows, cohort, precision))
    return (
        pd.concat([each.slices for each in examined], ignore_index=True),
        pd.concat([each.scans for each in examined], ignore_index=True),
        {name: np.concatenate([each[name] for each in shown]) for name in shown[0]},
        sum(each.seconds for each in examined),
    )


def _multiply_adds(wanted: Run, method: nn.Module) -> int:
    """Per slice with the target: what a slice costs that nobody calls empty by right."""
    profile = wanted.chosen
    cohort = teaching.test_cohorts(profile)[0]
    slices, rows = cohort_slices(profile, cohort), _test_rows(profile, cohort)
    shown = rows[slices.index["label"].to_numpy()[rows] == 1]
    images, _ = slices.load(evaluation.evenly(shown, COUNTED_ON))
    return costs.multiply_adds(method, torch.from_numpy(images).to(Accelerator().device))


def _adapter(
    wanted: Run, method: nn.Module, facts: dict[str, Any]
) -> Callable[[Path], object] | None:
    """What writes the method's LoRA into a folder, if it has one and that has learned."""
    adapted = [part for part in method.modules() if isinstance(part, Sam)]
    if not (facts["history"] and adapted and hasattr(adapted[0], "peft_config")):
        return None
    card = {
        "data": f"{teaching.training_cohort(wanted.chosen)} of the profile {wanted.profile.name}",
        "labels": f"{facts['labels']} slices with masks",
        "metrics": {cohort: each["dice"] for cohort, each in facts["summary"].items()},
        "system": facts["name"],
        "seed": wanted.seed,
    }
    return partial(save_adapter, adapted[0], card=card)
