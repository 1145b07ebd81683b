"""How a run learns: its settings, the optimisers and the schedules by name, its precision."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from samnb.base.errors import SamnbError

# Betas of AdamW as SAM's own training; momentum of SGD as nnU-Net's.
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": partial(torch.optim.AdamW, betas=(0.9, 0.98)),
    "adam": torch.optim.Adam,
    "sgd": partial(torch.optim.SGD, momentum=0.99, nesterov=True),
}

# (steps done, steps in all, cycle) -> share of the peak; steps are counted from the warm-up's end.
SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "cosine": lambda step, steps, cycle: _half_cosine(step / steps),
    "warm_restarts": lambda step, steps, cycle: _half_cosine(step % cycle / cycle),
    "poly": lambda step, steps, cycle: max(0.0, 1 - step / steps) ** 0.9,
    "step": lambda step, steps, cycle: 0.1 ** (step // cycle),
    "constant": lambda step, steps, cycle: 1.0,
}
CYCLIC = ("warm_restarts", "step")
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
    schedule: str = "cosine"  # cosine, warm_restarts, poly, step, constant
    cycle: int = 0  # steps between warm restarts, or between the falls of "step"
    accumulate: int = 1  # batches whose mean gradient makes one step
    validate_every: int = 0  # steps; the end is validated too; 0: never
    keep: str = "last"  # or "best": the weights of the highest validation Dice
    events: bool = False  # also write TensorBoard event files

    def __post_init__(self):
        _require_known("optimiser", self.optimiser, OPTIMISERS)
        _require_known("schedule", self.schedule, SCHEDULES)
        _require_known("precision", self.precision, PRECISIONS)
        _require_known("choice of weights to keep", self.keep, KEEPS)
        if self.schedule in CYCLIC and self.cycle < 1:
            raise SamnbError(
                f"The schedule '{self.schedule}' has a cycle of {self.cycle} steps.",
                "give it one of at least 1.",
            )
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
    share = SCHEDULES[settings.schedule](step - settings.warmup, steps, settings.cycle)
    return settings.learning_rate * (settings.final + (1 - settings.final) * share)


def build_optimiser(
    settings: TrainingSettings, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimiser of that name, at the peak learning rate."""
    return OPTIMISERS[settings.optimiser](
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


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
