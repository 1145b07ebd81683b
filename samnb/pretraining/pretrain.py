"""Train the pocket SAM from nothing: `make pretrain`, or `samnb weights pretrain`.

Three phases: first at 64 x 64 pixels, where an image costs a fifth, then twice at 128 x 128, each
from the averaged weights of the one before.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from samnb.base.files import atomic_path, write_json
from samnb.networks.sam.model import build_sam
from samnb.networks.sam.weights import fit_to_side
from samnb.pretraining.recipe import Pretraining, ShapeStream
from samnb.training.loop import Trained, TrainingSettings, fit


@dataclass(frozen=True)
class Phase:
    """One stretch of training at one side."""

    side: int
    steps: int
    images: int  # per step
    objects: int  # asked about in every image
    learning_rate: float
    warmup: int
    final: float = 0.0
    precision: str = "float32"


# In half precision a step at 128 takes half the time, where the processor has bfloat16.
PHASES = (
    Phase(64, steps=5000, images=16, objects=4, learning_rate=1e-3, warmup=500, final=0.3),
    Phase(128, 3500, images=12, objects=4, learning_rate=6e-4, warmup=100, precision="bfloat16"),
    Phase(128, 5500, images=12, objects=4, learning_rate=8e-4, warmup=200, precision="bfloat16"),
)


def pretrain(
    folder: Path,
    phases: tuple[Phase, ...] = PHASES,
    seed: int = 1,
    precision: str | None = None,
    workers: int = 1,
    progress: bool = True,
) -> list[Trained]:
    """Run all phases, each continuing where it stood; leave `sam.safetensors` in `folder`.

    precision: "float32" or "bfloat16" for all phases, in place of each phase's own.
    """
    weights, done = None, []
    for number, phase in enumerate(phases):
        phase = replace(phase, precision=precision or phase.precision)
        torch.manual_seed(seed + number)
        sam = build_sam("pocket", side=phase.side)
        if weights is not None:
            sam.load_state_dict(fit_to_side(weights, sam))
        place = folder / f"phase{number + 1}"
        trained = run_phase(Pretraining(sam), phase, seed + number, place, workers, progress)
        weights = {name.removeprefix("sam."): value for name, value in trained.weights.items()}
        done.append(trained)
    half = {name: value.half().cpu().contiguous() for name, value in weights.items()}
    with atomic_path(folder / "sam.safetensors") as temporary:
        save_file(half, temporary)
    write_json(folder / "history.json", [{"seconds": t.seconds, "losses": t.history} for t in done])
    return done


def run_phase(
    method: nn.Module,
    phase: Phase,
    seed: int,
    folder: Path,
    workers: int,
    progress: bool,
    stream: type[ShapeStream] = ShapeStream,
) -> Trained:
    """Train `method` for one phase, from where it stood in `folder`.

    stream: what draws its batches, of pictures or of volumes.
    """
    drawn = stream(seed, phase.side, phase.images, phase.objects, phase.steps)
    settings = TrainingSettings(
        steps=phase.steps,
        learning_rate=phase.learning_rate,
        warmup=phase.warmup,
        final=phase.final,
        precision=phase.precision,
        seed=seed,
    )
    batches = partial(drawn.batches, workers=workers)
    return fit(method, batches, settings, folder, f"pocket SAM, side {phase.side}", progress)
