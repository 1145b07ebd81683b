"""What a run learns from, and how: where a method, its slices and the training loop meet."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import evenly
from samnb.evaluation.examine import mean_dice
from samnb.prompts.users import NOBODY, User, find_user
from samnb.runs.data import TrainingData
from samnb.runs.run import Run
from samnb.systems.registry import find_system
from samnb.systems.system import UNTAUGHT, Declared
from samnb.training.batches import steps_per_epoch, training_batches
from samnb.training.checkpoint import changeable, restore
from samnb.training.loop import Trained, TrainingSettings, fit, resolve_precision
from samnb.training.settings import LearningSettings

LOOKED_AT = 200  # labelled slices at most, for a method that configures itself by them


def training_data(run: Run) -> TrainingData:
    """What this run may look at while it learns; looked up once."""
    return run.data


def learns(run: Run) -> bool:
    """Not without a mask, unless image labels are all the system asks for."""
    seen = find_system(run.system).labels
    return seen not in UNTAUGHT and (run.labels != 0 or seen == "image")


def build(run: Run, first: nn.Module | None) -> nn.Module:
    """The run's method before it has learned, its random weights fixed by the seed."""
    torch.manual_seed(run.seed)
    system = find_system(run.system)
    shown = Declared(run.settings, tuple(system.settings), system.title)
    method = system.build(shown, run.seed, *([] if first is None else [first]))
    if hasattr(method, "prepare"):
        seen = training_data(run)
        rows = evenly(seen.marked, LOOKED_AT)
        images, masks = seen.slices.load(rows)
        spacings = seen.slices.index[["spacing_row", "spacing_column"]].to_numpy()[rows]
        method.prepare(images, masks, spacings)
    return method


def precision(run: Run) -> str:
    """float32 or bfloat16, as the profile says or as is fast on this device."""
    return resolve_precision(learning(run).precision, Accelerator().device)


def learning(run: Run) -> LearningSettings:
    """How long and how fast this run learns; a system may have a schedule of its own."""
    system = find_system(run.system)
    known = run.settings.learning.get(system.learning)
    if known is None:
        raise SamnbError(
            f"The profile {run.profile.name} does not say how {system.title} learns.",
            f"add {system.learning} to `learning` in it.",
        )
    shown = Declared(run.settings, (*system.settings, "learning"), system.title)
    return system.schedule(shown) if system.schedule else known


def train(
    run: Run, method: nn.Module, folder: Path, progress: bool = True, events: bool = False
) -> Trained:
    """Train `method` as the run says, from the checkpoint in `folder` if there is one.

    events: write what TensorBoard shows into `folder`.
    """
    seen = training_data(run)
    settings = learning(run)
    trained = fit(
        method,
        training_batches(seen.slices, seen.classified, seen.marked, settings, run.seed),
        replace(training_settings(run, seen), events=events),
        folder,
        title=str(run),
        progress=progress,
        validate=_validator(seen, precision(run), users_of(run)[0]) if len(seen.watched) else None,
    )
    if hasattr(method, "calibrate") and len(seen.watched):
        restore(method, trained.weights)
        device = next(method.parameters()).device
        shown = (torch.from_numpy(part).to(device) for part in seen.slices.load(seen.watched))
        method.eval().calibrate(*shown)
        trained.weights.update(changeable(method))
    return trained


def training_settings(run: Run, seen: TrainingData) -> TrainingSettings:
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
        milestones=settings.milestones,
        rates=settings.rates,
        clip=settings.clip,
        average=settings.average,
        precision=precision(run),
        validate_every=-(-steps // settings.validations) if watch else 0,
        keep="best" if watch else "last",
        seed=run.seed,
    )


def users_of(run: Run) -> list[User]:
    """Who prompts at test time: nobody, if the system finds its own prompts."""
    names = run.settings.users if find_system(run.system).prompted else (str(NOBODY),)
    return [find_user(name) for name in names]


def _validator(
    seen: TrainingData, precision: str, user: User
) -> Callable[[nn.Module], dict[str, float]]:
    def watch(method: nn.Module) -> dict[str, float]:
        return {"dice": mean_dice(method, seen.slices, seen.watched, precision, user)}

    return watch
