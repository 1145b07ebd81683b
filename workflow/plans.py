"""Which runs the book needs, and which of them a chapter waits for."""

import ast
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hashes import content_hash, imported_files

from samnb.base.files import read_json, sha256, write_json
from samnb.base.paths import CHECKOUT, results_root
from samnb.studies import Profile

RECORDS = CHECKOUT / "samnb" / "runs" / "records.py"


def planned(profile: Profile, build: Path | str) -> dict[str, dict[str, Any]]:
    """By system: `after`, the systems it builds on, and `records`, the files its runs leave.

    To ask the package means to import PyTorch, seconds, so its answer is kept in `build` for as
    long as code and settings stay what they are.
    """
    asked = content_hash(
        asdict(profile), str(results_root()), files=imported_files("samnb/runs/runner.py")
    )
    kept = Path(build) / "plan.json"
    if not kept.is_file() or read_json(kept)["asked"] != asked:
        write_json(kept, {"asked": asked, "systems": _ask(profile)})
    return read_json(kept)["systems"]


def _ask(profile: Profile) -> dict[str, dict[str, Any]]:
    from samnb.runs.keys import first_run
    from samnb.runs.records import RECORD
    from samnb.runs.runner import plan

    found: dict[str, dict[str, Any]] = {}
    for run in plan(profile):
        part = found.setdefault(run.system, {"after": [], "records": []})
        part["records"].append(str(run.folder / RECORD))
        before = first_run(run)
        if before and before.system not in part["after"]:
            part["after"].append(before.system)
    return found


def needed(chapter: Path | str, systems: dict[str, dict[str, Any]]) -> list[str]:
    """Systems whose runs a chapter waits for.

    A chapter that calls `run` names what it wants: the systems whose names stand in its code, and
    those they build on. One that reads records without doing so shows all there are, and waits for
    all. Other chapters wait for none.
    """
    if RECORDS not in imported_files(chapter):
        return []
    code = ast.parse((CHECKOUT / chapter).read_text(encoding="utf-8"))
    if not _calls_run(code):
        return list(systems)
    texts = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant)}
    named = [name for name in systems if name in texts]
    before = {first for name in named for first in systems[name]["after"]}
    return [name for name in systems if name in {*named, *before}]


def _calls_run(code: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "samnb.runs.runner"
        and any(name.name == "make_record" for name in node.names)
        for node in ast.walk(code)
    )


def forget_if_changed(mark: Path | str, records: list[str]) -> None:
    """Take away the mark of finished runs unless it names every record as it lies there now.

    Records change without the pipeline too: by `samnb run`, by a pull, by hand.
    """
    mark = Path(mark)
    if not mark.is_file():
        return
    known = mark.read_text(encoding="utf-8")
    for record in map(Path, records):
        if not record.is_file() or f"(record {sha256(record)[:8]})" not in known:
            mark.unlink()
            return


def hurt(build: Path | str, needs: dict[str, list[str]], systems: dict[str, Any]) -> list[str]:
    """A line for each system without its runs: which chapters could not be made for the lack."""
    lines = []
    for name in systems:
        waiting = [chapter for chapter, waits in needs.items() if name in waits]
        if not (Path(build) / "runs" / f"{name}.txt").is_file():
            chapters = ", ".join(waiting) or "no chapter"
            lines.append(f"The runs of {name} are not all there; waiting for them: {chapters}.")
    return lines
