"""How a run learns: its settings, the optimisers and the schedules by name, its precision."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from samnb.base.errors import SamnbError

# Betas of AdamW as SAM's own training; momentum of SGD as nnU-Net's.
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, betas=(0.9, 0.98)),
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.99, nesterov=True),
}

# (steps done, steps in all, cycle, milestones) -> share of the peak; steps are counted from the
# warm-up's end. The papers leave open where an exponential fall ends: here at a hundredth.
SCHEDULES: dict[str, Callable[[int, int, int, tuple[float, ...]], float]] = {
    "cosine": lambda step, steps, cycle, milestones: _half_cosine(step / steps),
    "warm_restarts": lambda step, steps, cycle, milestones: _half_cosine(step % cycle / cycle),
    "poly": lambda step, steps, cycle, milestones: max(0.0, 1 - step / steps) ** 0.9,
    "exponential": lambda step, steps, cycle, milestones: 0.01 ** (step / steps),
    "multistep": lambda step, steps, cycle, milestones: (
        0.1 ** sum(step / steps >= share for share in milestones)
    ),
    "constant": lambda step, steps, cycle, milestones: 1.0,
}
PRECISIONS = ("float32", "bfloat16", "auto")
KEEPS = ("last", "best")


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn; one update of the weights counts as one step."""

    steps: int
    learning_rate: float = 1e-3  # at its peak
    weight_decay: float = 0.05
    warmup: int = 0  # steps of linear rise before the schedule begins
    final: float = 0.0  # where the schedule falls to, as a fraction of the peak
    clip: float = 1.0  # largest norm of the gradient
    average: float = 0.999  # decay of the moving average of the weights; 0 keeps none
    precision: str = "float32"  # or "bfloat16": the forward pass in half precision; or "auto"
    checkpoint_seconds: float = 60.0
    seed: int = 0
    optimiser: str = "adamw"  # adamw, adam, sgd
    schedule: str = "cosine"  # cosine, warm_restarts, poly, exponential, multistep, constant
    cycle: int = 0  # steps between warm restarts
    accumulate: int = 1  # batches whose mean gradient makes one step
    validate_every: int = 0  # steps; the end is validated too; 0: never
    keep: str = "last"  # or "best": the weights of the highest validation Dice
    events: bool = False  # also write TensorBoard event files
    milestones: tuple[float, ...] = ()  # shares of the run; multistep falls to a tenth at each
    # Regular expressions found in the names of parameters -> their share of the learning rate.
    rates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        _require_known("optimiser", self.optimiser, OPTIMISERS)
        _require_known("schedule", self.schedule, SCHEDULES)
        _require_known("precision", self.precision, PRECISIONS)
        _require_known("choice of weights to keep", self.keep, KEEPS)
        if self.schedule == "warm_restarts" and self.cycle < 1:
            raise SamnbError(
                f"Warm restarts have a cycle of {self.cycle} steps.", "give one of at least 1."
            )
        if self.schedule == "multistep" and not self.milestones:
            raise SamnbError("The schedule 'multistep' has no milestones.", "give some.")
        if not all(0 < share < 1 for share in self.milestones):
            raise SamnbError(
                f"Milestones at {', '.join(map(str, self.milestones))} of the run.",
                "give shares between 0 and 1, such as 0.6 for epoch 120 of 200.",
            )
        if not all(share > 0 for share in self.rates.values()):
            raise SamnbError("A share of the learning rate is not above 0.", "correct `rates`.")
        if self.accumulate < 1:
            raise SamnbError(f"{self.accumulate} batches make no step.", "accumulate at least 1.")


def _require_known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise SamnbError(f"No {what} '{name}'.", f"use one of {', '.join(known)}.")


def _half_cosine(done: float) -> float:
    """From 1 at the start to 0 at the end."""
    return 0.5 * (1 + math.cos(math.pi * done))


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Of step number `step`, from 0: linear warm-up to the peak, then the schedule's fall."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    steps = max(1, settings.steps - settings.warmup)
    share = SCHEDULES[settings.schedule](
        step - settings.warmup, steps, settings.cycle, settings.milestones
    )
    return settings.learning_rate * (settings.final + (1 - settings.final) * share)


def parameter_groups(settings: TrainingSettings, method: nn.Module) -> list[dict[str, Any]]:
    """The trainable parameters in groups, each with its "share" of the learning rate."""
    trained = {name: value for name, value in method.named_parameters() if value.requires_grad}
    shares = {name: _share(name, settings.rates) for name in trained}
    idle = [each for each in settings.rates if not any(re.search(each, name) for name in trained)]
    if idle:
        raise SamnbError(f"'{idle[0]}' names no trainable parameter.", "correct `rates`.")
    return [
        {"params": [value for name, value in trained.items() if shares[name] == share],
         "share": share}
        for share in dict.fromkeys(shares.values())
    ]  # fmt: skip


def _share(name: str, rates: dict[str, float]) -> float:
    """Of the learning rate, for the parameter of this name."""
    found = [pattern for pattern in rates if re.search(pattern, name)]
    if len(found) > 1:
        raise SamnbError(
            f"'{found[0]}' and '{found[1]}' both name {name}.",
            "let one of `rates` name each parameter.",
        )
    return rates[found[0]] if found else 1.0


def build_optimiser(
    settings: TrainingSettings, parameters: list[nn.Parameter] | list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The optimiser of that name, at the peak learning rate; parameters, or groups of them."""
    return OPTIMISERS[settings.optimiser](
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of every group is its share of `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def resolve_precision(name: str, device: torch.device | str) -> str:
    """What `name` means on `device`: "float32" or "bfloat16"; "auto" is whichever is fast there."""
    _require_known("precision", name, PRECISIONS)
    if name != "auto":
        return name
    return "bfloat16" if _fast_in_half(torch.device(device).type) else "float32"


def _fast_in_half(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of torch cannot say what the processor has; then full precision is safe.
    able = getattr(torch.cpu, "get_capabilities", dict)() if kind == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
