"""Rehearses runs in a process of its own: python -m samnb.certification.worker JOBS FOLDER.

JOBS is a JSON list of runs; FOLDER gets one file for each, so a worker that was killed goes on.
"""

import functools
import sys
import traceback
from pathlib import Path

from samnb.certification.tracer import LineTracer
from samnb.files import read_json, write_json
from samnb.paths import CHECKOUT


def main(jobs: str, folder: str) -> None:
    tracer = LineTracer(CHECKOUT / "samnb")
    tracer.start()  # before the package is imported, so that module bodies are seen
    from samnb.certification.rehearsal import trace
    from samnb.profiles import load_profile
    from samnb.records import Run

    for job in read_json(jobs):
        place = Path(folder) / f"{job['name']}.json"
        if place.is_file():
            continue
        run = Run(load_profile(job["profile"]), job["system"], job["labels"], job["seed"],
                  tuple(job["changes"]))  # fmt: skip
        found = {"error": None, "trace": {}}
        _forget_what_is_cached()
        with tracer.noting() as lines:
            try:
                found["trace"] = trace(run, job["cut"])
            except Exception:
                found["error"] = traceback.format_exc(limit=-4)
        found["lines"] = {file: sorted(numbers) for file, numbers in sorted(lines.items())}
        write_json(place, found)


def _forget_what_is_cached() -> None:
    """Else a function with a memory would be executed by the first run alone."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "samnb":
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


if __name__ == "__main__":
    main(*sys.argv[1:])
