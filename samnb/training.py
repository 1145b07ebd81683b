"""The one training loop: any method, any device, stopped and continued at any step.

A method is an `nn.Module` whose forward takes a batch and returns a dictionary of scalar losses;
the one named "loss" is minimised. A batch is whatever `batches` yields.

Nothing random outlives a step: the generators are seeded anew from (seed, step) before each one,
and `batches(step)` starts the data at that step. So a checkpoint needs weights, optimiser and step
only, and a run that was killed ends bit for bit as one that was not.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn
from tqdm import tqdm

from samnb.errors import SamnbError
from samnb.files import atomic_path

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn; one optimiser step counts as one step."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 0  # steps of linear rise before the cosine fall
    final: float = 0.0  # learning rate at the end, as a fraction of the peak
    clip: float = 1.0  # largest norm of the gradient
    average: float = 0.999  # decay of the moving average of the weights; 0 keeps none
    precision: str = "float32"  # or "bfloat16": the forward pass in half precision
    checkpoint_seconds: float = 60.0
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """What a finished run leaves: the averaged weights, the losses, the time spent."""

    weights: dict[str, Tensor]
    history: list[dict[str, float]]  # one mean over every hundredth of the run
    seconds: float


def fit(
    method: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    settings: TrainingSettings,
    folder: Path,
    title: str = "training",
    progress: bool = True,
) -> Trained:
    """Train `method` in place; continue from the checkpoint in `folder` if there is one."""
    accelerator = Accelerator()
    parameters = [item for item in method.parameters() if item.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
        fused=True,
    )
    method, optimiser = accelerator.prepare(method, optimiser)
    state = _State(accelerator.unwrap_model(method), optimiser, settings, folder)
    state.load()
    bar = tqdm(total=settings.steps, initial=state.step, desc=title, disable=not progress)
    method.train()
    for batch in batches(state.step) if state.step < settings.steps else ():
        torch.manual_seed(settings.seed * 1_000_003 + state.step)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, state.step)
        with _precision(settings, accelerator.device):
            losses = method(send_to_device(batch, accelerator.device))
        _check_finite(losses, state.step)
        accelerator.backward(losses["loss"])
        accelerator.clip_grad_norm_(parameters, settings.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        state.advance({name: float(value.detach()) for name, value in losses.items()})
        bar.update()
        bar.set_postfix({name: f"{value:.3f}" for name, value in state.recent().items()})
        if state.step == settings.steps:
            break
    bar.close()
    state.save()
    return Trained(state.average or _copy(state.method), state.history, state.seconds)


def _precision(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    # Not by accelerate's own switch: that one is set once for the whole process.
    half = settings.precision != "float32"
    return torch.autocast(device.type, getattr(torch, settings.precision), enabled=half)


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Linear warm-up, then half a cosine down to `final` times the peak."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    fall = 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * (settings.final + (1 - settings.final) * fall)


def _check_finite(losses: dict[str, Tensor], step: int) -> None:
    for name, value in losses.items():
        if not torch.isfinite(value):
            raise SamnbError(
                f"The {name} of step {step} is {float(value.detach())}.",
                "lower the learning rate, or train in float32.",
            )


def _copy(method: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in method.state_dict().items()}


class _State:
    """Everything that must survive a kill."""

    def __init__(self, method: nn.Module, optimiser: Any, settings: TrainingSettings, folder: Path):
        self.method, self.optimiser, self.settings = method, optimiser, settings
        self.path = folder / CHECKPOINT
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.average = _copy(method) if settings.average else None
        self._sums: dict[str, float] = {}
        self._summed = 0
        self._clock = self._saved = time.monotonic()

    def advance(self, losses: dict[str, float]) -> None:
        """Count one step: average the weights, note the losses, save now and then."""
        self.step += 1
        if self.average is not None:
            self._update_average()
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._summed += 1
        if self._summed >= max(1, self.settings.steps // 100) or self.step == self.settings.steps:
            self.history.append({"step": self.step, **self.recent()})
            self._sums, self._summed = {}, 0
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        if now - self._saved > self.settings.checkpoint_seconds:
            self.save()
            self._saved = time.monotonic()

    def recent(self) -> dict[str, float]:
        """Mean losses since the last note in the history."""
        if not self._summed:
            return {key: value for key, value in self.history[-1].items() if key != "step"}
        return {name: value / self._summed for name, value in self._sums.items()}

    @torch.no_grad()
    def _update_average(self) -> None:
        # A young run has nothing worth remembering yet, so the decay starts low.
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.method.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def save(self) -> None:
        values = {
            "settings": asdict(self.settings),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "sums": [self._sums, self._summed],
            "weights": self.method.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        with atomic_path(self.path) as temporary:
            torch.save(values, temporary)

    def load(self) -> None:
        if not self.path.is_file():
            return
        values = torch.load(self.path, weights_only=True)
        if values["settings"] != asdict(self.settings):
            raise SamnbError(
                f"{self.path} belongs to a run with other settings.",
                "delete it to start afresh, or give another folder.",
            )
        self.step, self.seconds = values["step"], values["seconds"]
        self.history = values["history"]
        self._sums, self._summed = values["sums"]
        self.method.load_state_dict(values["weights"])
        self.average = values["average"]
        self.optimiser.load_state_dict(values["optimiser"])
