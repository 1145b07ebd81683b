"""The one training loop: any method, any device, stopped and continued at any step.

A method is an `nn.Module` whose forward takes a batch and returns a dictionary of scalar losses;
the one named "loss" is minimised. A batch is whatever `batches` yields.

Nothing random outlives a step: the generators are seeded anew from (seed, step) before each one,
and `batches(number)` starts the data at that batch. So a checkpoint needs weights, optimiser and
step only, and a run that was killed ends bit for bit as one that was not.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.training.checkpoint import TrainingState
from samnb.training.progress import Progress
from samnb.training.schedules import (
    TrainingSettings,
    build_optimiser,
    learning_rate,
    parameter_groups,
    resolve_precision,
    set_rate,
)

__all__ = ["Trained", "TrainingSettings", "fit", "learning_rate", "resolve_precision"]

NAMED = 8  # most slices that an error names

Batches = Callable[[int], Iterable[Any]]
Validate = Callable[[nn.Module], dict[str, float]]


@dataclass(frozen=True)
class Trained:
    """What a finished run leaves.

    weights: what training can change, averaged if it was asked for, of the last or the best step;
        `samnb.training.checkpoint.restore` puts them into a method
    history: one mean of the losses over every hundredth of the run
    seconds: validation included
    validation: the results of every validation, each with its "step"
    precision: of the forward pass
    """

    weights: dict[str, Tensor]
    history: list[dict[str, float]]
    seconds: float
    validation: list[dict[str, float]] = field(default_factory=list)
    precision: str = "float32"


def fit(
    method: nn.Module,
    batches: Batches,
    settings: TrainingSettings,
    folder: Path,
    title: str = "training",
    progress: bool = True,
    validate: Validate | None = None,
) -> Trained:
    """Train `method` in place; continue from the checkpoint in `folder` if there is one.

    batches: from a batch's number to the batches from that one on; a step takes the next
        `settings.accumulate` of them
    validate: from the method to its metrics, "dice" among them if the best weights are kept;
        called every `settings.validate_every` steps and at the end, on the averaged weights if
        there are any, in eval mode and float32, without gradients
    """
    if settings.keep == "best" and not (validate and settings.validate_every):
        raise SamnbError(
            "Without validation there are no best weights.",
            'set validate_every and give a function that validates, or keep the "last".',
        )
    learner = _Learner(method, settings, folder)
    settings, state = learner.settings, learner.state
    if state.step < settings.steps:
        events = folder if settings.events else None
        shown = Progress(title, state.step, settings.steps, progress, events)
        with closing(shown):
            shown.dice = state.validation[-1].get("dice") if state.validation else None
            _run(learner, batches, shown, validate if settings.validate_every else None)
    return Trained(state.kept(), state.history, state.seconds, state.validation, settings.precision)


def _run(learner: "_Learner", batches: Batches, shown: Progress, validate: Validate | None) -> None:
    settings, state = learner.settings, learner.state
    learner.method.train()
    for group in _groups(batches, settings, state.step):
        losses = learner.learn(group)
        state.advance(losses)
        # The rate of the step that was just made: the state already counts it.
        shown.stepped(state.step, losses, learning_rate(settings, state.step - 1), state.recent())
        last = state.step == settings.steps
        if validate and (last or state.step % settings.validate_every == 0):
            shown.validated(state.step, learner.validate(validate))
        due = state.is_due()
        # A run that is over sooner than a checkpoint is due does not need one.
        if due or (last and state.seconds > settings.checkpoint_seconds):
            shown.flush()
            state.save()


def _groups(batches: Batches, settings: TrainingSettings, start: int) -> Iterator[list[Any]]:
    """The batches of every step from `start` on."""
    items = iter(batches(start * settings.accumulate))
    for step in range(start, settings.steps):
        group = list(islice(items, settings.accumulate))
        if len(group) < settings.accumulate:
            raise SamnbError(
                f"The batches end in step {step} of {settings.steps}.",
                "train for fewer steps, or give batches without end.",
            )
        yield group


class _Learner:
    """A method on its device, with its optimiser and its state."""

    def __init__(self, method: nn.Module, settings: TrainingSettings, folder: Path):
        self.accelerator = Accelerator()
        self.device = self.accelerator.device
        # A run started in one precision is not continued in another.
        self.settings = replace(
            settings, precision=resolve_precision(settings.precision, self.device)
        )
        self.parameters = [item for item in method.parameters() if item.requires_grad]
        optimiser = build_optimiser(settings, parameter_groups(settings, method))
        self.method, self.optimiser = self.accelerator.prepare(method, optimiser)
        plain = self.accelerator.unwrap_model(self.method)
        self.state = TrainingState(plain, self.optimiser, self.settings, folder)
        self.state.load()

    def learn(self, group: list[Any]) -> dict[str, float]:
        """One step on the batches of `group`; the means of their losses."""
        step = self.state.step
        self._seed(step)
        set_rate(self.optimiser, learning_rate(self.settings, step))
        means: dict[str, float] = {}
        for batch in group:
            with self._precision():
                losses = self.method(send_to_device(batch, self.device))
            _require_finite(losses, step, [batch])
            self.accelerator.backward(losses["loss"] / len(group))
            for name, value in losses.items():
                means[name] = means.get(name, 0.0) + float(value.detach()) / len(group)
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.settings.clip)
        _require_finite({"norm of the gradient": norm}, step, group)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return means

    @torch.no_grad()
    def validate(self, validate: Validate) -> dict[str, float]:
        """Note what `validate` says of the method as it stands, and leave the method so."""
        plain = self.state.method
        modes = {module: module.training for module in plain.modules()}
        cards = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(cards), self.state.averaged():
            self._seed(self.state.step)
            plain.eval()
            values = {name: float(value) for name, value in validate(plain).items()}
        for module, mode in modes.items():
            module.training = mode
        self.state.note_validation(values)
        return values

    def _seed(self, step: int) -> None:
        torch.manual_seed(self.settings.seed * 1_000_003 + step)

    def _precision(self) -> torch.autocast:
        # Not by accelerate's own switch: that one is set once for the whole process.
        kind = getattr(torch, self.settings.precision)
        return torch.autocast(self.device.type, kind, enabled=kind != torch.float32)


def _require_finite(values: dict[str, Tensor], step: int, group: list[Any]) -> None:
    for name, value in values.items():
        if torch.isfinite(value):
            continue
        # A plain tensor has names too, but of its axes.
        named = [batch for batch in group if not isinstance(batch, Tensor)]
        slices = [str(one) for batch in named for one in getattr(batch, "names", ())]
        more = f" and {len(slices) - NAMED} more" if len(slices) > NAMED else ""
        at = f", of the slices {', '.join(slices[:NAMED])}{more}" if slices else ""
        raise SamnbError(
            f"The {name} of step {step} is {float(value.detach())}{at}.",
            "lower the learning rate, train in float32, or look at those slices.",
        )
