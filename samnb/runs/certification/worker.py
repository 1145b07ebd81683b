"""Describes or rehearses runs in a process of its own, in the tree that it is started in:

    python -m samnb.runs.certification.worker describe JOBS FOLDER
    python -m samnb.runs.certification.worker rehearse JOBS FOLDER

JOBS is a JSON list of runs. Descriptions say of all of them which code they reach, and its hash. A
rehearsal leaves one file for each, so a worker that was killed goes on.
"""

import functools
import sys
import traceback
from pathlib import Path
from typing import Any

from samnb.base.errors import SamnbError
from samnb.base.files import read_json, write_json
from samnb.base.paths import CHECKOUT
from samnb.runs.certification.tracer import LineTracer


def describe(jobs: list[dict[str, Any]], folder: Path) -> None:
    from samnb.runs.counted import STAGES, code_of
    from samnb.runs.keys import identify

    said = {}
    for job in jobs:
        try:
            run = _run(job)
            identity, code = identify(run), code_of(run)
        except SamnbError:  # a system or a setting that this tree does not know
            said[job["name"]] = {"hash": None, "definitions": []}
            continue
        stages = STAGES[:1] if job["slicing"] else STAGES[1:]
        places = {(each.module, each.name) for stage in stages for each in code[stage]}
        said[job["name"]] = {
            "hash": identity.code["slices"] if job["slicing"] else identity.recipe,
            "definitions": sorted(places),
        }
    write_json(folder / "described.json", said)


def rehearse(jobs: list[dict[str, Any]], folder: Path) -> None:
    tracer = LineTracer(CHECKOUT / "samnb")
    tracer.start()  # before the package is imported, so that module bodies are seen
    from samnb.runs.certification.rehearsal import trace, trace_slices

    for job in jobs:
        place = folder / f"{job['name']}.json"
        if place.is_file():
            continue
        run = _run(job)
        found: dict[str, Any] = {"error": None, "trace": {}}
        _forget_what_is_cached()
        # What is made whole is compared whole: its lines prove nothing more, and cost minutes.
        tracer.start() if job["cut"] else tracer.stop()
        with tracer.noting() as lines:
            try:
                slicing = job["slicing"]
                found["trace"] = trace_slices(run.profile) if slicing else trace(run, job["cut"])
            except Exception:
                found["error"] = traceback.format_exc(limit=-4)
        found["lines"] = {file: sorted(numbers) for file, numbers in sorted(lines.items())}
        write_json(place, found)


def _run(job: dict[str, Any]) -> Any:
    from samnb.runs.run import Run
    from samnb.studies import load_profile

    profile = load_profile(job["profile"])
    return Run(profile, job["system"], job["labels"], job["seed"], tuple(job["changes"]))


def _forget_what_is_cached() -> None:
    """Else a function with a memory would be executed by the first run alone."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "samnb":
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


if __name__ == "__main__":
    {"describe": describe, "rehearse": rehearse}[sys.argv[1]](
        read_json(sys.argv[2]), Path(sys.argv[3])
    )
