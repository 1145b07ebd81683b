"""What a run learns from, and how: where a method, its slices and the training loop meet."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from samnb.base.errors import SamnbError
from samnb.data.slices import SliceSet
from samnb.evaluation.answers import evenly
from samnb.evaluation.examine import mean_dice
from samnb.runs.records import Run
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split, labelled_rows
from samnb.systems.registry import find_system
from samnb.systems.system import Declared
from samnb.training.batches import steps_per_epoch, training_batches
from samnb.training.checkpoint import changeable, restore
from samnb.training.loop import Trained, TrainingSettings, fit, resolve_precision
from samnb.training.settings import LearningSettings

WATCHED = 96  # slices of validation patients at most
LOOKED_AT = 200  # labelled slices at most, for a method that configures itself by them


@dataclass(frozen=True)
class Material:
    """Slices of the training cohort, and rows of them by their use."""

    slices: SliceSet
    classified: np.ndarray  # of the training patients, used with their image label
    marked: np.ndarray  # whose masks may be used
    watched: np.ndarray  # of the validation patients; empty without any masks


def training_cohort(profile: Profile) -> str:
    """The first cohort of the profile that has patients to train on."""
    for name, sizes in profile.data.splits.items():
        if sizes.train:
            return name
    raise SamnbError(
        f"The profile {profile.name} trains on nobody.", "give a cohort of it `train` patients."
    )


def test_cohorts(profile: Profile) -> list[str]:
    """Cohorts with test patients, the training cohort's own first."""
    return [name for name, sizes in profile.data.splits.items() if sizes.test]


def material(run: Run) -> Material:
    """What this run may look at while it learns."""
    profile, labels = run.chosen, find_system(run.system).labels
    cohort = training_cohort(profile)
    slices, split = cohort_slices(profile, cohort), cohort_split(profile, cohort)
    every = slices.rows_of(split.train)
    nothing = np.empty(0, dtype=np.intp)
    marked = every if run.labels is None else nothing
    if run.labels:
        marked = labelled_rows(profile, cohort, run.labels)
    return Material(
        slices,
        classified=every if labels in ("image", "few") else nothing,
        marked=marked,
        watched=evenly(slices.rows_of(split.validation), WATCHED) if len(marked) else nothing,
    )


def has_something_to_learn(run: Run) -> bool:
    """Not without a mask, unless image labels are all the system asks for."""
    return run.labels != 0 or find_system(run.system).labels == "image"


def build(run: Run, first: nn.Module | None) -> nn.Module:
    """The run's method before it has learned, its random weights fixed by the seed."""
    torch.manual_seed(run.seed)
    system = find_system(run.system)
    shown = Declared(run.chosen, tuple(system.settings), system.title)
    method = system.build(shown, run.seed, *([] if first is None else [first]))
    if hasattr(method, "prepare"):
        seen = material(run)
        rows = evenly(seen.marked, LOOKED_AT)
        images, masks = seen.slices.load(rows)
        spacings = seen.slices.index[["spacing_row", "spacing_column"]].to_numpy()[rows]
        method.prepare(images[:, 0], masks, spacings)
    return method


def precision(run: Run) -> str:
    """float32 or bfloat16, as the profile says or as is fast on this device."""
    return resolve_precision(learning(run).precision, Accelerator().device)


def learning(run: Run) -> LearningSettings:
    """How long and how fast this run learns; a system may have a schedule of its own."""
    system = find_system(run.system)
    known = run.chosen.learning.get(system.learning)
    if known is None:
        raise SamnbError(
            f"The profile {run.profile.name} does not say how {system.title} learns.",
            f"add {system.learning} to `learning` in it.",
        )
    shown = Declared(run.chosen, (*system.settings, "learning"), system.title)
    return system.schedule(shown) if system.schedule else known


def teach(
    run: Run, method: nn.Module, folder: Path, progress: bool = True, events: bool = False
) -> Trained:
    """Train `method` as the run says, from the checkpoint in `folder` if there is one.

    events: write what TensorBoard shows into `folder`.
    """
    seen = material(run)
    settings = learning(run)
    trained = fit(
        method,
        training_batches(seen.slices, seen.classified, seen.marked, settings, run.seed),
        replace(training_settings(run, seen), events=events),
        folder,
        title=str(run),
        progress=progress,
        validate=_watcher(seen, precision(run)) if len(seen.watched) else None,
    )
    if hasattr(method, "settle") and len(seen.watched):
        restore(method, trained.weights)
        device = next(method.parameters()).device
        shown = (torch.from_numpy(part).to(device) for part in seen.slices.load(seen.watched))
        method.eval().settle(*shown)
        trained.weights.update(changeable(method))
    return trained


def training_settings(run: Run, seen: Material) -> TrainingSettings:
    """The profile's epochs as steps of the loop."""
    settings = learning(run)
    per_epoch = steps_per_epoch(seen.classified, seen.marked, settings)
    steps = settings.epochs * per_epoch
    watch = len(seen.watched) and settings.validations
    return TrainingSettings(
        steps=steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        optimiser=settings.optimiser,
        schedule=settings.schedule,
        cycle=settings.cycle * per_epoch,
        warmup=settings.warmup,
        clip=settings.clip,
        average=settings.average,
        precision=precision(run),
        validate_every=-(-steps // settings.validations) if watch else 0,
        keep="best" if watch else "last",
        seed=run.seed,
    )


def _watcher(seen: Material, precision: str) -> Callable[[nn.Module], dict[str, float]]:
    def watch(method: nn.Module) -> dict[str, float]:
        return {"dice": mean_dice(method, seen.slices, seen.watched, precision)}

    return watch
