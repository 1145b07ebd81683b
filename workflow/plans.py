"""Which runs the book needs, and which of them a chapter waits for."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hashes import content_hash, imported_files

from samnb.base.files import read_json, sha256, write_json
from samnb.base.paths import CHECKOUT, results_root
from samnb.studies import SPINE, Profile

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
    if not _calls_run(_parsed(chapter)):
        return list(systems)
    texts = _texts(chapter)
    named = [name for name in systems if name in texts]
    before = {first for name in named for first in systems[name]["after"]}
    return [name for name in systems if name in {*named, *before}]


def studies_read(chapter: Path | str, studies: Iterable[str]) -> list[str]:
    """Studies whose profiles a chapter opens, besides the one that it is run with.

    They are known by the texts in its code: "cheap-lunch-brats", or how a name begins. Too many may
    be found, never too few.
    """
    texts = _texts(chapter)
    return [name for name in studies if any(_begins(name, text) for text in texts)]


def _begins(study: str, text: str) -> bool:
    begin = text.replace("-", "_").rstrip("_")
    return bool(begin) and (study == begin or study.startswith(f"{begin}_"))


def reads_spine(chapter: Path | str) -> bool:
    """Whether a chapter opens the profile that it is run with: load_profile(PROFILE) alone."""
    return any(
        isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "load_profile"
        and len(node.args) + len(node.keywords) == 1
        for node in ast.walk(_parsed(chapter))
    )


def waits_for(chapter: Path | str, study: str, systems: dict[str, dict[str, Any]]) -> list[str]:
    """As `needed`, of the systems of one study; none for a chapter that does not open it.

    study: "" for that of the profile which chapters are run with.
    """
    opened = studies_read(chapter, [study]) if study else reads_spine(chapter)
    return needed(chapter, systems) if opened else []


def chapters_about(chosen: Iterable[str], studies: Iterable[str]) -> list[str]:
    """Names of the chapters that open one of the chosen studies, of those of a size."""
    every = sorted((CHECKOUT / "book").glob("[0-9]*.py"))
    return [each.stem for each in every if {*studies_read(each, studies)} & {*chosen}]


def studies_hash(chapter: Path | str, studies: Mapping[str, Profile]) -> str:
    """Hash of the other studies that a chapter opens: their settings, and the records that they
    plan, so that it runs again when one of these has changed.
    """
    read = [studies[name] for name in studies_read(chapter, studies) if name != SPINE]
    parts = [part for each in read for part in planned(each, f"_build/{each.name}").values()]
    records = [Path(record) for part in parts for record in part["records"]]
    return content_hash(*map(asdict, read), files=[path for path in records if path.is_file()])


def _parsed(chapter: Path | str) -> ast.Module:
    return ast.parse((CHECKOUT / chapter).read_text(encoding="utf-8"))


def _texts(chapter: Path | str) -> set[str]:
    """All texts in its code."""
    nodes = ast.walk(_parsed(chapter))
    return {node.value for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)}  # fmt: skip


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
