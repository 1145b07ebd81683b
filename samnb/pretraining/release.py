"""From a finished pretraining to the weights in the package and the record beside the results."""

import os
import platform
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samnb.base import paths
from samnb.base.checkout import commit
from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path, read_json, sha256, write_json
from samnb.evaluation.costs import processor
from samnb.networks.sam.weights import POCKET, load_sam
from samnb.pretraining.evaluate import evaluate
from samnb.pretraining.pretrain import PHASES
from samnb.runs.derived import note

TARGETS = {"box": 0.75, "point best of three": 0.60, "clicks 6": 0.75, "score error": 0.1}
LARGEST = 12 * 2**20  # bytes of the shipped file


def record_path() -> Path:
    return paths.results_root() / "pocket_sam" / "record.json"


def release(folder: Path, images: int = 2000, progress: bool = True) -> dict[str, Any]:
    """Measure the weights in `folder` on held-out shapes, then put them into the package.

    The record says how they came about: phases, losses, seconds, machine, versions, commit.
    """
    trained = folder / "sam.safetensors"
    if not trained.is_file():
        raise SamnbError(f"{folder} holds no finished pretraining.", "run `make pretrain`.")
    if trained.stat().st_size > LARGEST:
        raise SamnbError(f"{trained} is larger than {LARGEST} bytes.", "make the model smaller.")
    sam = load_sam("pocket", weights=trained)
    history = read_json(folder / "history.json")
    record = {
        "phases": [{**asdict(phase), **run} for phase, run in zip(PHASES, history, strict=True)],
        "evaluation": evaluate(sam, images, progress=progress),
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
    note("pocket_sam/record.json")
    return record


def machine() -> dict[str, Any]:
    """What computed, for the record: processor, cores, versions."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "segment-anything", "numpy")},
    }
