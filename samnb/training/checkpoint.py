"""What of a run must survive a kill: kept small, written atomically, put back name by name."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path
from samnb.training.schedules import TrainingSettings

CHECKPOINT = "checkpoint.pt"
HARMLESS = ("checkpoint_seconds", "events")  # settings that do not change what is learned


def changeable(method: nn.Module) -> dict[str, Tensor]:
    """What training can change: the trainable parameters, and every buffer of the state dict.

    The values are the method's own, not copies. A frozen network's weights are not among them.
    """
    frozen = {
        name
        for name, value in method.named_parameters(remove_duplicate=False)
        if not value.requires_grad
    }
    return {name: value for name, value in method.state_dict().items() if name not in frozen}


def restore(method: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put back what `changeable` gave, in place; every name has to fit."""
    if odd := sorted(set(changeable(method)) ^ set(weights)):
        raise SamnbError(
            f"The weights are of another method: {', '.join(odd[:8])} on one side only.",
            "build the method as it was when it was trained.",
        )
    method.load_state_dict(weights, strict=False)


def _copy(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


class TrainingState:
    """The method and its optimiser, how far they have come, and what was seen on the way."""

    def __init__(self, method: nn.Module, optimiser: Any, settings: TrainingSettings, folder: Path):
        self.method, self.optimiser, self.settings = method, optimiser, settings
        self.path = folder / CHECKPOINT
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []
        self.average = _copy(changeable(method)) if settings.average else None
        self.best: dict[str, Tensor] | None = None
        self._names = set(changeable(method))
        self._best_dice = -math.inf
        self._sums: dict[str, float] = {}
        self._summed = 0
        self._clock = self._saved = time.monotonic()

    def advance(self, losses: dict[str, float]) -> None:
        """Count one step: average the weights, note the losses."""
        self.step += 1
        if self.average is not None:
            self._update_average()
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._summed += 1
        if self._summed >= max(1, self.settings.steps // 100) or self.step == self.settings.steps:
            self.history.append({"step": self.step, **self.recent()})
            self._sums, self._summed = {}, 0

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
            if name not in self._names:
                continue
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The method has its averaged weights, if there are any, inside the block."""
        if self.average is None:
            yield
            return
        current = _copy(changeable(self.method))
        restore(self.method, self.average)
        try:
            yield
        finally:
            restore(self.method, current)

    def note_validation(self, values: dict[str, float]) -> None:
        """Add the results of this step; the first of the highest Dice is the best."""
        self.validation.append({"step": self.step, **values})
        if self.settings.keep != "best":
            return
        dice = -math.inf if math.isnan(values["dice"]) else values["dice"]
        if self.best is None or dice > self._best_dice:
            self._best_dice = dice
            self.best = _copy(self.average or changeable(self.method))

    def kept(self) -> dict[str, Tensor]:
        """The weights that the settings ask to keep."""
        return self.best or self.average or _copy(changeable(self.method))

    def is_due(self) -> bool:
        """Count the time; say whether it is time to save."""
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        return now - self._saved > self.settings.checkpoint_seconds

    def save(self) -> None:
        values = {
            "settings": asdict(self.settings),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "validation": self.validation,
            "sums": [self._sums, self._summed],
            "weights": changeable(self.method),
            "average": self.average,
            "best": self.best,
            "best_dice": self._best_dice,
            "optimiser": self.optimiser.state_dict(),
        }
        with atomic_path(self.path) as temporary:
            torch.save(values, temporary)
        self._saved = time.monotonic()

    def load(self) -> None:
        """Continue from the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        values = torch.load(self.path, weights_only=True)
        self._require_same(values["settings"])
        self.step, self.seconds = values["step"], values["seconds"]
        self.history, self.validation = values["history"], values["validation"]
        self._sums, self._summed = values["sums"]
        restore(self.method, values["weights"])
        self.average = values["average"]
        self.best, self._best_dice = values["best"], values["best_dice"]
        self.optimiser.load_state_dict(values["optimiser"])

    def _require_same(self, settings: dict[str, Any]) -> None:
        now = asdict(self.settings)
        # A checkpoint from before a setting was there has its default.
        then = asdict(TrainingSettings(now["steps"])) | settings
        odd = {name for name in now | then if now.get(name) != then.get(name)}
        if names := sorted(odd.difference(HARMLESS)):
            raise SamnbError(
                f"{self.path} belongs to a run with other settings ({', '.join(names)}).",
                "delete it to start afresh, or give another folder.",
            )
