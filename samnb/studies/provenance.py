"""Where every setting of a study comes from: its paper, public code, or a choice of ours.

For each paper a file `defaults_PAPER.yaml` says it of the values of the size `paper`; a name in it
may stand for several settings. Where a smaller size has another value, that value is ours, and
`elsewhere` says why.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from samnb.base.errors import SamnbError
from samnb.studies import Profile, load_profile
from samnb.systems.registry import SYSTEMS, sections

PAPERS = ("sam_mix", "cheap_lunch", "med_sa")
ORIGINS = ("paper", "code", "our choice")
# What a place has to name: a part of the paper; a repository and a file of it.
PLACES = {
    "paper": r"(?i)(?:section|equation|table|figure)s? \d",
    "code": r"^[\w.-]+/[\w.-]+: [\w/.-]+\.\w+",
}
FEWEST_WORDS = 3  # of a reason


@dataclass(frozen=True)
class Paper:
    """One paper, and the profiles that repeat it.

    compared: data set -> names of its profiles. The first of them has the paper's values, the
    others are compared with it.
    """

    title: str
    cite: str
    compared: dict[str, tuple[str, ...]]

    @property
    def profiles(self) -> list[str]:
        return [name for each in self.compared.values() for name in each]


@dataclass(frozen=True)
class Entry:
    """What is known of one setting, or of several that a name with * or {a,b} stands for."""

    name: str
    group: str
    words: str  # what the setting is
    origin: str
    place: str  # where the paper or the code says it, or why we chose it
    elsewhere: str  # why a smaller size has another value

    def covers(self, setting: str) -> bool:
        parts, pattern = setting.split("."), self.name.split(".")
        return len(parts) == len(pattern) and all(map(_matches, pattern, parts))

    @property
    def exactness(self) -> int:
        """The more of its parts are no *, the more exactly it names a setting."""
        return sum(part != "*" for part in self.name.split("."))


def _matches(pattern: str, part: str) -> bool:
    return pattern == "*" or part in pattern.strip("{}").split(",")


def file_of(paper: str) -> Path:
    """The file with what is known of one of PAPERS."""
    return Path(__file__).with_name(f"defaults_{paper}.yaml")


@cache
def about(paper: str) -> Paper:
    """Title, citation and profiles of one of PAPERS."""
    head = _read(file_of(paper))["paper"]
    compared = {data: tuple(profiles) for data, profiles in head["compared"].items()}
    return Paper(head["title"], head["cite"], compared)


def paper_of(profile: str) -> str:
    """Which paper a profile repeats, by its name; one's own counts to the first."""
    found = (paper for paper in PAPERS if profile in about(paper).profiles)
    return next(found, PAPERS[0])


def published_of(profile: str) -> str:
    """The profile with the paper's values that it is compared with."""
    compared = about(paper_of(profile)).compared.values()
    return next((each[0] for each in compared if profile in each), next(iter(compared))[0])


def entries(file: Path) -> list[Entry]:
    """All entries about settings, as they stand in the file."""
    return [
        _entry(name, group, facts)
        for group, names in _read(file)["settings"].items()
        for name, facts in names.items()
    ]


def constants(file: Path) -> list[tuple[Entry, Any]]:
    """What is fixed in the code and might be a setting: its entry, and its value there."""
    found = []
    for name, facts in _read(file)["constants"].items():
        module, _, constant = name.rpartition(".")
        found.append((_entry(name, "constants", facts), getattr(import_module(module), constant)))
    return found


def _read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _entry(name: str, group: str, facts: dict[str, str]) -> Entry:
    origins = [origin for origin in ORIGINS if origin in facts]
    if len(origins) != 1 or set(facts) - {"is", *ORIGINS, "elsewhere"} or not facts.get("is"):
        raise SamnbError(
            f"{name}: expected what it `is` and one origin, found {', '.join(facts)}.",
            f"say one of {', '.join(ORIGINS)}; `elsewhere` may be added.",
        )
    (origin,) = origins
    place = str(facts[origin])
    if origin in PLACES and not re.search(PLACES[origin], place):
        raise SamnbError(
            f"{name}: no place in '{place}'.",
            "name a section, equation, table or figure; of code owner/repository: path/file.",
        )
    if origin not in PLACES and len(place.split()) < FEWEST_WORDS:
        raise SamnbError(f"{name}: '{place}' is no reason.", "say why, or what measured it.")
    return Entry(name, group, facts["is"], origin, place, facts.get("elsewhere", ""))


def settings_of(profile: Profile) -> dict[str, Any]:
    """Every setting of a profile by its dotted name, such as `learning.sam.epochs`.

    Without the sections of systems that no profile of this paper runs or says anything about.
    """
    idle = set(sections()) - _spoken_of(paper_of(profile.name)) - _in_use(profile)
    every = {item.name: getattr(profile, item.name) for item in fields(profile)}
    kept = ((name, value) for name, value in every.items() if name not in idle)
    return {setting: value for name, part in kept for setting, value in _leaves(part, (name,))}


@cache
def _spoken_of(paper: str) -> set[str]:
    return set().union(*(_in_use(load_profile(name)) for name in about(paper).profiles))


def _in_use(profile: Profile) -> set[str]:
    """Sections that its systems read, and those that are not as they would be anyway."""
    planned = {*profile.plan.systems, *(each.system for each in profile.plan.changed)}
    systems = [
        system
        for name, system in SYSTEMS.items()
        if name in planned or (not profile.plan.systems and system.learning in profile.learning)
    ]
    said = {name for name, kind in sections().items() if getattr(profile, name) != kind()}
    return said.union(*(system.settings for system in systems))


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        inner = {item.name: getattr(value, item.name) for item in fields(value)}
    elif isinstance(value, dict) and value and all(map(is_dataclass, value.values())):
        inner = value
    else:
        yield ".".join(path), value
        return
    for name, item in inner.items():
        yield from _leaves(item, (*path, name))


def entry_of(setting: str, known: Iterable[Entry]) -> Entry:
    """The entry that names a setting most exactly."""
    found = sorted((each for each in known if each.covers(setting)), key=lambda e: -e.exactness)
    if not found:
        raise SamnbError(
            f"Nothing says where the setting {setting} comes from.",
            f"mark it in samnb/studies/defaults_*.yaml: {', '.join(ORIGINS)}.",
        )
    if len(found) > 1 and found[1].exactness == found[0].exactness:
        raise SamnbError(
            f"{found[0].name} and {found[1].name} both name {setting}.",
            "make one of them more exact in samnb/studies/defaults_*.yaml.",
        )
    return found[0]


def table(profile: Profile, known: list[Entry] | None = None) -> pd.DataFrame:
    """A row for each setting of a profile: what it is, its value, where that comes from.

    A value that differs from the paper's size is our choice, whatever the entry says of that.
    """
    known = entries(file_of(paper_of(profile.name))) if known is None else known
    published = settings_of(load_profile(published_of(profile.name)))
    rows = []
    for setting, value in settings_of(profile).items():
        entry = entry_of(setting, known)
        changed = setting in published and published[setting] != value
        reason = entry.elsewhere or f"as the profile {profile.name} says"
        rows.append(
            {
                "setting": setting,
                "value": value,
                "from": "our choice" if changed else entry.origin,
                "where or why": reason if changed else entry.place,
                "entry": entry.name,
                "changed": changed,
            }
        )
    order = {each.name: place for place, each in enumerate(known)}
    return pd.DataFrame(rows).sort_values("entry", key=lambda e: e.map(order), kind="stable")


def check(paper: str, known: list[Entry] | None = None) -> None:
    """Raise unless every setting of every profile of the paper is marked, and no entry is idle."""
    known = entries(file_of(paper)) if known is None else known
    tables = [table(load_profile(name), known) for name in about(paper).profiles]
    used = {entry for rows in tables for entry in rows["entry"]}
    changed = {entry for rows in tables for entry in rows.loc[rows["changed"], "entry"]}
    for each in known:
        if each.name not in used:
            raise SamnbError(
                f"The entry {each.name} names no setting that no other names more exactly.",
                f"correct or remove it in samnb/studies/{file_of(paper).name}.",
            )
        if (each.name in changed) != bool(each.elsewhere):
            raise SamnbError(
                f"{each.name}: a smaller size has another value, and no reason is given."
                if each.name in changed
                else f"{each.name}: no size has another value than the paper's.",
                "mend `elsewhere`.",
            )
