"""What a run depends on, hashed: a record with the same key need not be made again.

Settings, data, code and the weights that SAM starts from count; the machine and the commit do not.
Real data count by what their slices are, phantoms by how they are made.
"""

import hashlib
import inspect
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from samnb import teaching
from samnb.code import code_hash, imported_files, settings_read
from samnb.data import slices as slice_cache
from samnb.data import slicing
from samnb.data.cohort import cohort_slices, cohort_split
from samnb.files import sha256
from samnb.models import weights
from samnb.models.registry import find_system
from samnb.paths import CHECKOUT
from samnb.profiles import Profile, SamSettings
from samnb.records import Record, Run
from samnb.teaching import material, test_cohorts

# Not counted: what is hashed by what comes of it (slices, settings), and what computes nothing.
UNCOUNTED = tuple(
    f"samnb/{name}"
    for name in (
        "data/",
        "profiles/",
        "models/adapters.py",
        "models/registry.py",
        *(f"{name}.py" for name in ("code", "costs", "errors", "fetch", "files", "paths")),
        *(f"{name}.py" for name in ("progress", "records", "workers")),
    )
)
COUNTED = Path(slice_cache.__file__)  # in an uncounted folder, but it reads the slices


@dataclass(frozen=True)
class Identity:
    """All that decides what a run gives; the key is its hash."""

    settings: dict[str, Any]
    code: dict[str, str]  # file -> hash
    data: dict[str, str]  # part -> hash
    first: str | None  # key of the run that comes before

    @property
    def key(self) -> str:
        return _hash(asdict(self))


def key(run: Run) -> str:
    """By which a record is known to be this run's, made by this code from these data."""
    return identify(run).key


def identify(run: Run) -> Identity:
    """Everything the run depends on. Slices that are not there yet are made."""
    before = first_run(run)
    return Identity(
        settings=_settings(run),
        code={_name(path): code_hash(path) for path in _code(run.system)},
        data=_data(run),
        first=key(before) if before else None,
    )


def first_run(run: Run) -> Run | None:
    """The run that this one builds on, with those of its changes that concern it."""
    first = find_system(run.system).first
    if first is None:
        return None
    labels = 0 if find_system(first).labels == "image" else run.labels
    # Prompting decides what becomes of a map, not what the classifier has learned.
    concerned = {"data", "learning", *_sections(first)} - {"prompting"}
    kept = tuple(item for item in run.changes if item.split(".")[0] in concerned)
    return Run(run.profile, first, labels, run.seed, kept)


def why_stale(record: Record, identity: Identity) -> str | None:
    """In words, what has changed since the record was made; None if it is fresh."""
    if record.facts["key"] == identity.key:
        return None
    changed = []
    for part, now in json.loads(json.dumps(asdict(identity))).items():
        before = record.facts.get(part)
        if isinstance(now, dict) and isinstance(before, dict):
            before, now = _flat(before), _flat(now)
            names = sorted(name for name in before | now if before.get(name) != now.get(name))
            changed += [f"{part} ({', '.join(names[:3])}{', ...' if names[3:] else ''})"] * any(
                names
            )
        elif before != now:
            changed.append({"first": "the run before it"}.get(part, part))
    return f"changed: {'; '.join(changed) or 'how keys are made'}"


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings under dotted names."""
    found = {}
    for name, value in values.items():
        inside = isinstance(value, dict) and value
        found |= _flat(value, f"{above}{name}.") if inside else {above + name: value}
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _name(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix() if path.is_relative_to(CHECKOUT) else path.name


def _code(system: str) -> list[Path]:
    """Files that train and test a system, without those that change nothing in a result."""
    return sorted({*imported_files("samnb/outcome.py", _uncounted), *_model_code(system)})


def _model_code(system: str) -> list[Path]:
    make = find_system(system).build
    make = make.func if isinstance(make, partial) else make
    return imported_files(Path(inspect.getfile(make)), _uncounted)


def _uncounted(path: Path) -> bool:
    return path != COUNTED and _name(path).startswith(UNCOUNTED)


def _sections(system: str) -> set[str]:
    """Parts of a profile that the system's own code reads."""
    read = set().union(*(settings_read(path, "profile") for path in _model_code(system)))
    return read & {field.name for field in fields(Profile)}


def _settings(run: Run) -> dict[str, Any]:
    """Settings in use, and the sum of the weights that SAM starts from."""
    profile, values = run.chosen, asdict(run.chosen)
    kept = {name: values[name] for name in _sections(run.system) - {"name", "data", "learning"}}
    kept["learning"] = asdict(teaching.learning(run))
    kept["slices"] = values["data"]["slices"]
    if "sam" in kept:
        del kept["sam"]["adaptation"]  # of another chapter
        kept["sam"]["weights"] = _weights(profile.sam)
    make = find_system(run.system).build
    kept["build"] = make.keywords if isinstance(make, partial) else {}
    return kept | {"system": run.system, "labels": run.labels, "seed": run.seed}


def _weights(settings: SamSettings) -> str | None:
    """The sum of the weights SAM starts from; of published ones, the sum they must have."""
    if settings.weights is None:
        return None
    if settings.weights != "published":
        return sha256(settings.weights)
    if settings.size in weights.published():
        return weights.published()[settings.size].sha256
    return sha256(weights.weights_path(settings.size))


def _data(run: Run) -> dict[str, str]:
    """Slices of every cohort in use, who is trained and tested on, and the slices with masks."""
    profile = run.chosen
    names = list(dict.fromkeys([teaching.training_cohort(profile), *test_cohorts(profile)]))
    found = {}
    for name in names:
        made = profile.data.cohorts[name].phantom is not None
        known = _recipe(profile, name) if made else _content(cohort_slices(profile, name).folder)
        found[f"slices of {name}"] = known
        found[f"split of {name}"] = _hash(cohort_split(profile, name).parts())
    seen = material(run)
    marked = seen.slices.index.loc[seen.marked, ["scan", "slice"]].astype(str)
    return found | {"labelled slices": _hash(marked.to_numpy().tolist())}


def _recipe(profile: Profile, cohort: str) -> str:
    """How the slices of a phantom cohort are made. Processors differ in the last bit, and here and
    there a voxel with it; the recipe is the same everywhere.
    """
    files = [path for path in imported_files("samnb/data/phantom/__init__.py") if _drawn(path)]
    code = [code_hash(path) for path in (*files, Path(slicing.__file__))]
    kept = [asdict(profile.data.cohorts[cohort]), asdict(profile.data.slices), profile.seed]
    return _hash([kept, slice_cache.FORMAT, code])


def _drawn(path: Path) -> bool:
    """Files that draw and image a patient; not the one that schedules them."""
    return "phantom" in path.parts and path.name != "cohorts.py"


@lru_cache(maxsize=32)
def _content(folder: Path) -> str:
    """What the slices of a cache are, apart from where their scans lie.

    Of the pictures only the middle one of each scan is looked at, by its mean and deviation: they
    are gigabytes, and may differ in the last bit between processors.
    """
    slices = slice_cache.load(folder)
    index = slices.index.drop(columns="source")
    middles = index.groupby("scan", sort=False).apply(_middle, include_groups=False)
    pictures = slices.load(middles.to_numpy())[0].astype(float)
    looks = [[round(float(each), 4) for each in (picture.mean(), picture.std())]
             for picture in pictures]  # fmt: skip
    return _hash([_rounded(index), _geometry(slices.scans.values()), looks])


def _middle(rows: pd.DataFrame) -> int:
    return int(rows.index[len(rows) // 2])


def _rounded(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.5g", lineterminator="\n")


def _geometry(scans: Iterable[dict[str, Any]]) -> list[Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return f"{value:.5g}" if isinstance(value, float) else value

    return [{name: plain(value) for name, value in scan.items() if name not in ("image", "label")}
            for scan in scans]  # fmt: skip
