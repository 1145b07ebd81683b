"""Train the pocket SAM for volumes from nothing: `make pretrain POCKET=pocket_3d`.

Two phases: at 32 x 32 x 32 voxels, where a volume costs a third, then at 48 x 48 x 48 from the
averaged weights of the first. An hour and a half of one core.
"""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from samnb.base.files import atomic_path, write_json
from samnb.networks.sam3d.model import build_sam3d
from samnb.networks.sam3d.weights import load_weights
from samnb.pretraining.pretrain import Phase, run_phase
from samnb.pretraining.volumes.recipe import VolumePretraining, VolumeStream
from samnb.training.loop import Trained

PHASES = (
    Phase(32, steps=4000, images=6, objects=4, learning_rate=1e-3, warmup=300, final=0.3),
    Phase(48, steps=2900, images=6, objects=4, learning_rate=6e-4, warmup=100),
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
    done = []
    for number, phase in enumerate(phases):
        phase = replace(phase, precision=precision or phase.precision)
        torch.manual_seed(seed + number)
        sam = build_sam3d("pocket_3d", side=phase.side)
        if number:
            load_weights(sam, _weights_of(folder, number))
        trained = run_phase(
            VolumePretraining(sam),
            phase,
            seed + number,
            folder / f"phase{number + 1}",
            workers,
            progress,
            VolumeStream,
        )
        weights = {name.removeprefix("sam."): value for name, value in trained.weights.items()}
        _save(_weights_of(folder, number + 1), weights)
        done.append(trained)
    weights = load_file(_weights_of(folder, len(phases)))
    _save(folder / "sam.safetensors", {name: value.half() for name, value in weights.items()})
    write_json(folder / "history.json", [{"seconds": t.seconds, "losses": t.history} for t in done])
    return done


def _weights_of(folder: Path, number: int) -> Path:
    return folder / f"phase{number}" / "averaged.safetensors"


def _save(path: Path, weights: dict[str, torch.Tensor]) -> None:
    whole = {name: value.cpu().contiguous() for name, value in weights.items()}
    with atomic_path(path) as temporary:
        save_file(whole, temporary)
