"""Results that are no records: tables that need pixels or hours, kept with keys of their own.

RESULTS/derived.json says of each of them what it was made from; like a record it goes stale when
that changes. Data that are not at hand, or that nobody wants cut just to look, are left out: what
is then said rests on all else.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samnb.base import paths
from samnb.base.definitions import Definition, digest, reached
from samnb.base.errors import SamnbError
from samnb.base.files import read_json, sha256, write_json
from samnb.networks.sam.weights import POCKET
from samnb.runs.certification.certificates import RUNS, TABLES, lead
from samnb.runs.counted import uncounted
from samnb.runs.keys import LIBRARIES, data_of, hash_of, identify
from samnb.runs.runner import plan
from samnb.studies import Profile, load_profile

CEILINGS = ("sam_pp", "sam_mix", "sam_mix_guided")  # their SAM needs a box and nothing else
ORGANS = ("liver", "kidneys", "spleen")


@dataclass(frozen=True)
class Derived:
    """How a file of results comes about.

    roots: the functions that compute it. command: makes it anew. profiles: whose slices and
    settings it uses. systems: whose trained methods, of the runs without changes; None: of all.
    """

    roots: tuple[str, ...]
    command: str
    profiles: tuple[str, ...] = ()
    systems: Sequence[str] | None = ()


REALITY = "python bench/reality.py"
DERIVED = {
    "pocket_sam/record.json": Derived(
        ("samnb.pretraining.evaluate.evaluate",), "samnb weights release"
    ),
    "pocket_sam/zero_shot.csv": Derived(
        ("bench.zero_shot.measure",),
        "python bench/zero_shot.py",
        ("pocket",),
    ),
    "tables/real/brain_ceilings.csv": Derived(
        ("bench.reality.brain_ceilings",), f"{REALITY} brain_ceilings", ("real_brain",), CEILINGS
    ),
    "tables/real/mr_volumes.csv": Derived(
        ("bench.reality.organs",),
        f"{REALITY} mr_volumes",
        tuple(f"real_mr_{organ}" for organ in ORGANS),
        None,
    ),
}


def note(file: str) -> None:
    """Write down what this file, just made, comes from."""
    path, known = _path(file), _read()
    write_json(_place(), known | {file: made_from(file) | {"sha256": sha256(path)}})


def made_from(file: str, look_at: Collection[str] | None = None) -> dict[str, Any]:
    """All that decides what the file holds; data that are not looked at are None.

    look_at: names of the profiles whose data are looked at, which means to cut those that are not
    cut yet; None: of all that are at hand.
    """
    derived = DERIVED[file]
    profiles = [load_profile(name) for name in derived.profiles]
    here = all(_at_hand(each) and (look_at is None or each.name in look_at) for each in profiles)
    runs = [run for profile in profiles for run in plan(profile) if _uses(derived, run.system)]
    runs = [run for run in runs if not run.changes or derived.systems is None]
    identities = {f"{run.profile.name}, {run}": identify(run) for run in runs} if here else None
    return {
        "code": digest(reached(derived.roots, _uncounted).values()),
        "libraries": {name: version(name).partition("+")[0] for name in LIBRARIES},
        "weights": sha256(POCKET),
        "data": {each.name: hash_of(data_of(each)) for each in profiles} if here else None,
        "runs": identities and {name: [each.recipe, hash_of(each.facts)]
                                for name, each in identities.items()},
    }  # fmt: skip


def standing(file: str, look_at: Collection[str] | None = None) -> tuple[str, str | None]:
    """Whether it is "missing", "fresh", "certified" or "stale", and why if it is stale.

    look_at: as for `made_from`; what is not looked at is taken to be as it was.
    """
    if not _path(file).is_file():
        return "missing", None
    made = _read().get(file)
    if made is None:
        return "stale", "nobody noted what it was made from"
    if made["sha256"] != sha256(_path(file)):
        return "stale", "changed: the file itself"
    now = made_from(file, look_at)
    changed = [part for part in ("libraries", "weights") if made[part] != now[part]]
    if not lead(made["code"], now["code"], TABLES):
        changed.insert(0, "code")
    if now["data"] is not None:
        changed += ["data"] * (made["data"] != now["data"])
        changed += ["runs"] * (not _runs_hold(made["runs"], now["runs"]))
    if changed:
        return "stale", f"changed: {', '.join(changed)}"
    same = now["runs"] in (None, made["runs"]) and made["code"] == now["code"]
    return ("fresh" if same else "certified"), None


def _runs_hold(made: dict[str, list[str]], now: dict[str, list[str]]) -> bool:
    return set(made) == set(now) and all(
        facts == now[name][1] and lead(recipe, now[name][0], RUNS)
        for name, (recipe, facts) in made.items()
    )


def _uses(derived: Derived, system: str) -> bool:
    return derived.systems is None or system in derived.systems


def _uncounted(definition: Definition) -> bool:
    """What trains has keys of its own; what names files and sets computes nothing."""
    return uncounted(definition) or definition.file == "samnb/runs/runner.py"


def _at_hand(profile: Profile) -> bool:
    real = any(cohort.root == "real" for cohort in profile.data.cohorts.values())
    return not real or paths.real_root().is_dir()


def _path(file: str) -> Path:
    if file not in DERIVED:
        raise SamnbError(f"No result {file}.", f"known are {', '.join(DERIVED)}.")
    return paths.results_root() / file


def _place() -> Path:
    return paths.results_root() / "derived.json"


def _read() -> dict[str, Any]:
    return read_json(_place()) if _place().is_file() else {}
