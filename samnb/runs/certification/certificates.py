"""Certificates: that an old and a new code compute the same, kind of run by kind of run.

RESULTS/certificates.jsonl has one line for each time that `samnb certify` was run:

    base, commit      the old and the new commit
    machine, versions where and with what the two were compared
    runs, slices      kind -> [old hash, new hash] of what was found equal
    tables            the same of the code of results that are no records (bench/rehearse_tables.py)
    refused           kind -> why it was not
    drawn             the run that was compared from end to end
    renamed           old name -> new name: differences that are none

A record that was made by an old code is *certified* if certificates lead from it to today's.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from samnb.base.files import write_text
from samnb.base.paths import results_root

RUNS, SLICES, TABLES = "runs", "slices", "tables"  # what certificates are about


def certificates_path() -> Path:
    return results_root() / "certificates.jsonl"


def lead(old: str, new: str, about: str) -> bool:
    """Whether certificates say that `new` computes what `old` did, directly or step by step."""
    path = certificates_path()
    steps = _steps(path, about, path.stat().st_mtime_ns) if path.is_file() else {}
    seen, waiting = {old}, [old]
    while waiting:
        here = waiting.pop()
        if here == new:
            return True
        waiting += [step for step in steps.get(here, ()) if step not in seen]
        seen.update(steps.get(here, ()))
    return False


@lru_cache(maxsize=8)
def _steps(path: Path, about: str, changed: int) -> dict[str, set[str]]:
    """Hash -> the hashes that were found equal to it, one certificate on."""
    steps: dict[str, set[str]] = {}
    for line in read_certificates(path):
        for old, new in line.get(about, {}).values():
            steps.setdefault(old, set()).add(new)
            steps.setdefault(new, set()).add(old)  # equal is equal, in both directions
    return steps


def read_certificates(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def add_certificate(line: dict[str, Any]) -> Path:
    """Append a line; the file is whole or as it was."""
    path = certificates_path()
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    write_text(path, before + json.dumps(line, sort_keys=True) + "\n")
    return path
