"""Old and new code side by side: `samnb certify BASE`.

Every kind of run (system and settings; seeds and numbers of labels apart) is rehearsed in both
trees, and the traces are compared bit for bit. Then one whole run, drawn by the hash of the new
tree so that nobody chooses it. Kinds that agree get a certificate; the others a reason.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from samnb.base.checkout import changed_code, git
from samnb.base.definitions import named
from samnb.base.errors import SamnbError
from samnb.base.files import read_json, write_json
from samnb.base.paths import CHECKOUT, data_root, real_root
from samnb.evaluation import costs
from samnb.runs.certification.certificates import RUNS, SLICES, add_certificate
from samnb.runs.certification.changes import Statement, changed
from samnb.runs.certification.rehearsal import STAGES
from samnb.runs.keys import kind_of_labels
from samnb.runs.run import Run
from samnb.runs.runner import plan
from samnb.studies import Profile

SHOWN = 3  # statements that a refusal names
DRAWN = "whole"  # the name of the run that is compared from end to end


@dataclass(frozen=True)
class Job:
    """One rehearsal. name: of its kind, and of its file; slicing: of the profile's slices.

    cut: to a few steps, which proves nothing of lines that they do not pass. Slices are made whole.
    """

    name: str
    run: Run
    cut: bool = True
    slicing: bool = False

    def to_json(self) -> dict[str, Any]:
        run = self.run
        return {
            "name": self.name, "profile": run.profile.name, "system": run.system,
            "labels": run.labels, "seed": run.seed, "changes": list(run.changes),
            "cut": self.cut, "slicing": self.slicing,
        }  # fmt: skip


@dataclass(frozen=True)
class Trees:
    """The two trees, and the folder in which what they say is kept."""

    old: Path
    new: Path
    folder: Path
    renamed: dict[str, str] = field(default_factory=dict)  # old name -> new name

    @property
    def sides(self) -> dict[str, Path]:
        return {"old": self.old, "new": self.new}


def kinds(profiles: list[Profile]) -> list[Job]:
    """A rehearsal of every profile's slices, then of every kind of run: the fewest labels of it."""
    slicing: dict[str, Job] = {}
    running: dict[str, Job] = {}
    for run in (run for profile in profiles for run in plan(profile)):
        first = _slices_of(run.profile)
        slicing.setdefault(first, Job(first, run, cut=False, slicing=True))
        known = running.setdefault(kind(run), Job(kind(run), run))
        if (run.labels or 0, run.seed) < (known.run.labels or 0, known.run.seed):
            running[kind(run)] = Job(kind(run), run)
    return [*slicing.values(), *running.values()]


def kind(run: Run) -> str:
    """The name of all runs that go through the same."""
    parts = (run.profile.name, run.system, kind_of_labels(run.labels), run.slug)
    return "_".join(part for part in parts if part)


def _slices_of(profile: Profile) -> str:
    return f"{profile.name}_slices"


def drawn(profiles: list[Profile], names: set[str]) -> list[Job]:
    """One whole run of these kinds, by the hash of the new tree so that nobody chooses it."""
    runs = [run for profile in profiles for run in plan(profile)
            if {kind(run), _slices_of(profile)} & names]  # fmt: skip
    tree = (git("rev-parse", "HEAD^{tree}") or b"").strip()
    place = int(hashlib.sha256(tree).hexdigest(), 16) % max(1, len(runs))
    return [Job(DRAWN, runs[place], cut=False)] if runs else []


def certify(
    base: str,
    profiles: list[Profile],
    progress: bool = True,
    renamed: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Compare this tree with commit `base`; returns the line it added to certificates.jsonl.

    Kinds whose code is the same in both, or that are new, are not rehearsed. Killed and started
    again with the same trees, it goes on where it was. renamed: old names and their new ones.
    """
    if changed_code():
        raise SamnbError("The code is not as committed, so nothing is certified.", "commit first.")
    began = time.monotonic()
    old, new = _commit_of(base), _commit_of("HEAD")
    folder = CHECKOUT / "_build" / "certify" / f"{old}-{new}"
    with _worktree(old, folder / "tree") as tree:
        trees = Trees(tree, CHECKOUT, folder, renamed or {})
        jobs = kinds(profiles)
        _both(trees, "describe", jobs, progress)
        jobs = [job for job in jobs if _is_changed(job, trees)]
        jobs += drawn(profiles, {job.name for job in jobs})
        _both(trees, "rehearse", jobs, progress)
        verdicts = [_compare(job, trees) for job in jobs]
    line = _line(trees, old, new, verdicts) | {"seconds": round(time.monotonic() - began)}
    add_certificate(line)
    return line


def _is_changed(job: Job, trees: Trees) -> bool:
    """Whether the code of this kind, known to both trees, is another one."""
    old, new = (_said(trees, side, "described")[job.name]["hash"] for side in trees.sides)
    return old not in (None, new)


def _commit_of(name: str) -> str:
    found = git("rev-parse", "--short=12", f"{name}^{{commit}}")
    if not found:
        raise SamnbError(f"git knows no commit '{name}'.", "give a commit whose records are fresh.")
    return found.decode().strip()


@contextmanager
def _worktree(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit in a folder, taken away at the end; one that a kill left is used."""
    git("worktree", "prune")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        if git("worktree", "add", "--detach", str(folder), commit) is None:
            raise SamnbError(f"git makes no worktree of {commit}.", "look at `git worktree list`.")
    try:
        if not _workers(folder):
            raise SamnbError(f"{commit} cannot rehearse.", "certify against a later commit.")
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def _workers(tree: Path) -> list[str]:
    """The module that rehearses, wherever a tree has it."""
    found = (tree / "samnb").rglob("certification/worker.py")
    return [".".join(path.relative_to(tree).with_suffix("").parts) for path in found]


def _both(trees: Trees, work: str, jobs: list[Job], progress: bool) -> None:
    """Let both trees do this work, each in a process of its own."""
    write_json(trees.folder / f"{work}.json", [job.to_json() for job in jobs])
    workers = {side: _start(trees, side, work) for side in trees.sides}
    places = [trees.folder / side / f"{job.name}.json" for side in trees.sides for job in jobs]
    with tqdm(total=len(places), desc=work, disable=not progress or work == "describe") as bar:
        try:
            while any(worker.poll() is None for worker in workers.values()):
                _show(bar, places)
                time.sleep(0.5)
        except BaseException:
            for worker in workers.values():
                worker.kill()
            raise
        _show(bar, places)
    for side, worker in workers.items():
        if worker.returncode:
            log = trees.folder / f"{side}.log"
            said = log.read_text(encoding="utf-8").strip().splitlines() or ["?"]
            remedy = f"see {log}; the same command goes on where it was."
            raise SamnbError(f"The {side} tree cannot {work}: {said[-1]}", remedy)


def _show(bar: tqdm, places: list[Path]) -> None:
    bar.n = sum(place.is_file() for place in places)
    bar.refresh()


def _start(trees: Trees, side: str, work: str) -> subprocess.Popen:
    tree, folder = trees.sides[side], trees.folder
    (folder / side).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", _workers(tree)[0], work]
    with (folder / f"{side}.log").open("w", encoding="utf-8") as log:
        return subprocess.Popen(
            [*command, str(folder / f"{work}.json"), str(folder / side)],
            cwd=tree, env=_environment(trees, side), stdout=log, stderr=log,
        )  # fmt: skip


def _environment(trees: Trees, side: str) -> dict[str, str]:
    """Each tree imports its own code; both see this checkout's real sets, as one thread."""
    return {
        **os.environ,
        "PYTHONPATH": str(trees.sides[side]),
        "OMP_NUM_THREADS": "1",
        "SAMNB_DATA": str(_data_of(side, trees.folder)),
        "SAMNB_REAL": str(real_root()),
        "SAMNB_RESULTS": str(trees.folder / "results"),
    }


def _said(trees: Trees, side: str, name: str) -> dict[str, Any]:
    return read_json(trees.folder / side / f"{name}.json")


def _data_of(side: str, folder: Path) -> Path:
    """The old tree has phantoms of its own, copied by links where they are the same."""
    if side == "new":
        return data_root()
    place = folder.parent / "data"
    for name in ("phantoms", "cache"):
        if (data_root() / name).is_dir() and not (place / name).is_dir():
            shutil.copytree(data_root() / name, place / name, copy_function=os.link)
    return place


def _compare(job: Job, trees: Trees) -> tuple[Job, str | None]:
    """Why the two rehearsals do not prove that the trees compute the same; None if they do."""
    old, new = (_said(trees, side, job.name) for side in trees.sides)
    for side, made in (("old", old), ("new", new)):
        if made["error"]:
            return job, f"the {side} code fails: {made['error'].strip().splitlines()[-1]}"
    for stage in STAGES:
        before, after = (made["trace"].get(stage, []) for made in (old, new))
        if before != after:
            return job, f"{stage} differ: {_first_difference(before, after)}"
    return job, _not_rehearsed(job, trees, old, new) if job.cut else None


def _not_rehearsed(job: Job, trees: Trees, old: dict, new: dict) -> str | None:
    """Names changed statements that a rehearsal did not pass."""
    definitions = [
        [named(*place, tree) for place in _said(trees, side, "described")[job.name]["definitions"]]
        for side, tree in trees.sides.items()
    ]
    lost, added = changed(*definitions, trees.renamed)
    left = [str(each) for each in (*_not_executed(lost, old), *_not_executed(added, new))]
    if not left:
        return None
    more = f" and {len(left) - SHOWN} more" if left[SHOWN:] else ""
    return f"not certifiable: changed and not rehearsed: {', '.join(left[:SHOWN])}{more}"


def _first_difference(before: list, after: list) -> str:
    for one, other in zip(before, after, strict=False):
        if one != other:
            return one[0] if one[0] == other[0] else f"{one[0]}, now {other[0]}"
    return f"{len(before)} parts, now {len(after)}"


def _not_executed(statements: list[Statement], made: dict) -> Iterator[Statement]:
    lines = {file: set(numbers) for file, numbers in made["lines"].items()}
    for each in statements:
        here = lines.get(each.file.removeprefix("samnb/"), set())
        left_out = each.block and here.isdisjoint(range(each.block[0], each.block[1] + 1))
        if not left_out and here.isdisjoint(range(each.first, each.last + 1)):
            yield each


def _line(trees: Trees, old: str, new: str, verdicts: list[tuple[Job, str | None]]) -> dict:
    """What certificates.jsonl says of it; where the whole run differs, nothing is certified."""
    before, now = (_said(trees, side, "described") for side in trees.sides)
    whole = {str(job.run): reason or "equal" for job, reason in verdicts if job.name == DRAWN}
    failed = [run for run, said in whole.items() if said != "equal"]
    line: dict[str, Any] = {
        "base": old, "commit": new, "machine": costs.processor(), "versions": costs.versions(),
        RUNS: {}, SLICES: {}, "refused": {}, "drawn": whole, "renamed": trees.renamed,
    }  # fmt: skip
    for job, reason in verdicts:
        reason = reason or (
            f"the whole run that was drawn differs: {failed[0]}" if failed else None
        )
        if reason:
            line["refused"][job.name] = reason
        elif job.name != DRAWN:
            about = SLICES if job.slicing else RUNS
            line[about][job.name] = [before[job.name]["hash"], now[job.name]["hash"]]
    return line
