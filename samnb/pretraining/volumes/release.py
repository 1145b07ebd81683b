"""From a finished pretraining to the weights in the package and the record beside the results."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from samnb.base import paths
from samnb.base.checkout import commit
from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path, read_json, sha256, write_json
from samnb.networks.sam3d.weights import POCKET, load_sam3d
from samnb.pretraining.release import machine
from samnb.pretraining.volumes.evaluate import evaluate
from samnb.pretraining.volumes.pretrain import PHASES

TARGETS = {"box": 0.65, "clicks 1": 0.45, "clicks 5": 0.65, "clicks 10": 0.7}
LARGEST = 10 * 2**20  # bytes of the shipped file


def record_path() -> Path:
    return paths.results_root() / "pocket_sam_3d" / "record.json"


def release(folder: Path, volumes: int = 500, progress: bool = True) -> dict[str, Any]:
    """Measure the weights in `folder` on held-out volumes, then put them into the package.

    The record says how they came about: phases, losses, seconds, machine, versions, commit.
    """
    trained = folder / "sam.safetensors"
    if not trained.is_file():
        raise SamnbError(
            f"{folder} holds no finished pretraining.", "run `make pretrain POCKET=pocket_3d`."
        )
    if trained.stat().st_size > LARGEST:
        raise SamnbError(f"{trained} is larger than {LARGEST} bytes.", "make the model smaller.")
    sam = load_sam3d("pocket_3d", weights=trained).eval()
    history = read_json(folder / "history.json")
    record = {
        "phases": [{**asdict(phase), **run} for phase, run in zip(PHASES, history, strict=True)],
        "evaluation": evaluate(sam, volumes, progress=progress),
        "targets": TARGETS,
        "parameters": sum(value.numel() for value in sam.parameters()),
        "bytes": trained.stat().st_size,
        "sha256": sha256(trained),
        "machine": machine(),
        "commit": commit(),
    }
    with atomic_path(POCKET) as temporary:
        shutil.copyfile(trained, temporary)
    write_json(record_path(), record)
    return record
