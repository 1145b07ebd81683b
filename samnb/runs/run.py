"""A run: one training and its test, by what decides it; resolved once into settings and data.

Its record lies in RESULTS/runs/PROFILE/SYSTEM/LABELS/seed-N[/CHANGES].
"""

import json
import re
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from samnb.base.errors import SamnbError
from samnb.base.paths import results_root
from samnb.runs.data import TrainingData, find_training_data
from samnb.runs.volume_data import TrainingVolumes, find_training_volumes
from samnb.studies import Profile, build
from samnb.studies.volumes import sees_volumes


@dataclass(frozen=True)
class Run:
    """One training and its test.

    labels: how many slices have masks; None: all of them; 0: none. changes: settings other than the
    profile's, such as "prompting.threshold=0.3"; they are put into one form and order.
    """

    profile: Profile
    system: str
    labels: int | None
    seed: int
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "system", self.system.replace("-", "_").lower())
        changes = (self.changes,) if isinstance(self.changes, str) else self.changes
        object.__setattr__(self, "changes", _ordered(changes))

    @cached_property
    def settings(self) -> Profile:
        """The profile with the changes made."""
        return apply_changes(self.profile, self.changes)

    @cached_property
    def data(self) -> TrainingData | TrainingVolumes:
        """What it learns from. Looked up once: to list thousands of pictures takes seconds."""
        find = find_training_volumes if sees_volumes(self.settings) else find_training_data
        return find(self)

    def __getstate__(self) -> dict[str, Any]:
        """Another process looks for itself: slices are mapped from the disk, not sent."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def slug(self) -> str:
        """The changes as one name of a folder; empty without any."""
        return ",".join(re.sub(r"[^\w.=+-]+", "-", change).strip("-") for change in self.changes)

    @property
    def folder(self) -> Path:
        labels = "full" if self.labels is None else f"labels-{self.labels}"
        folder = runs_folder(self.profile) / self.system / labels / f"seed-{self.seed}"
        return folder / self.slug if self.changes else folder

    def __str__(self) -> str:
        labels = "all labels" if self.labels is None else f"{self.labels} labels"
        return ", ".join([self.system, labels, f"seed {self.seed}", *self.changes])


def runs_folder(profile: Profile) -> Path:
    """Where all records of a profile lie."""
    return results_root() / "runs" / profile.name


def _ordered(changes: tuple[str, ...]) -> tuple[str, ...]:
    """Changes in one form, sorted: `0.30` and `0.3` are the same run."""
    settings: dict[str, Any] = {}
    for change in changes:
        name, sign, value = change.partition("=")
        name = name.strip()
        if not sign or not name:
            raise SamnbError(f"'{change}' changes nothing.", "write it as name=value.")
        if name in settings:
            raise SamnbError(f"{name} is changed twice.", "give it one value.")
        settings[name] = _value(value.strip())
    return tuple(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(settings.items())
    )


def _value(text: str) -> Any:
    """A value as JSON writes it (so 1e-3 is a number), else as YAML does, else the text."""
    for read in (json.loads, yaml.safe_load):
        try:
            return read(text)
        except (ValueError, yaml.YAMLError):
            continue
    return text


def apply_changes(profile: Profile, changes: tuple[str, ...]) -> Profile:
    """The profile with dotted settings changed; an unknown one is an error that names the known."""
    if not changes:
        return profile
    values = asdict(profile)
    for change in _ordered(changes):
        path, _, value = change.partition("=")
        *parents, last = path.split(".")
        place = values
        for name in parents:
            place = _inside(place, name, path)
        _inside(place, last, path)
        place[last] = _value(value)
    return build(Profile, values, "changed settings")


def _inside(place: Any, name: str, path: str) -> Any:
    if isinstance(place, dict) and name in place:
        return place[name]
    known = f"known here are {', '.join(place)}" if isinstance(place, dict) else "it is no group"
    raise SamnbError(f"No setting {path}.", f"look at '{name}': {known}.")
