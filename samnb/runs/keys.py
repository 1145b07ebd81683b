"""What a run depends on, hashed: a record with the same keys need not be made again.

Four stages follow one another, each with a key of its own: the *slices*, the *weights* learned from
some of them, the *answers* to the test slices, and the *measures* of those. Settings, data,
libraries, code and the weights that SAM starts from count; the machine and the commit do not.

Real data count by what their slices are, phantoms by how they are made. Code counts by the
definitions that a stage reaches (see samnb/base/definitions.py), settings by what a system declares
that it reads: it is shown no others.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samnb.base.definitions import by_file, digest
from samnb.base.files import sha256
from samnb.base.paths import CHECKOUT
from samnb.data import slices as slice_cache
from samnb.networks.sam import weights
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam3d import weights as weights_3d
from samnb.networks.sam3d.settings import Sam3DSettings
from samnb.runs import train
from samnb.runs.certification.certificates import RUNS, SLICES, lead
from samnb.runs.counted import STAGES, code_of
from samnb.runs.data import test_cohorts, training_cohort
from samnb.runs.records import Record
from samnb.runs.run import Run
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_split
from samnb.studies.volumes import cohort_view, sees_volumes
from samnb.systems.registry import find_system
from samnb.systems.system import System

LEARNED = ("training slices", "training split", "labelled slices")  # data that weights come from
# The libraries that compute; their versions count, without the build ("+cpu").
LIBRARIES = ("torch", "monai", "peft", "segment-anything", "numpy", "scipy",
             "opencv-python-headless")  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """All that decides what a run gives.

    settings: all but seed and labels. labels, seed: of the run. data: part -> hash. libraries:
    name -> version. code: stage (and "first", of the runs before) -> hash. files: for people, where
    the code lies, file -> hash. first: hash of what the run before depends on, without its code.
    """

    settings: dict[str, Any]
    labels: int | None
    seed: int
    data: dict[str, str]
    libraries: dict[str, str]
    code: dict[str, str]
    files: dict[str, str]
    first: str | None

    @property
    def keys(self) -> dict[str, str]:
        """The key of each stage."""
        cut = [self.code["slices"], self.libraries]
        learned = [self.data[part] for part in LEARNED]
        trained = [self.settings, self.labels, self.seed, self.first, self.code.get("first")]
        slices = hash_of([self.data, *cut])
        weights = hash_of([*cut, *learned, *trained, self.code["weights"]])
        answers = hash_of([slices, weights, self.code["answers"]])
        measures = hash_of([answers, self.code["measures"]])
        return dict(zip(STAGES, (slices, weights, answers, measures), strict=True))

    @property
    def key(self) -> str:
        """Of the whole: that of the last stage."""
        return self.keys["measures"]

    @property
    def facts(self) -> dict[str, Any]:
        """All but settings and code: what no certificate can speak for."""
        names = ("labels", "seed", "data", "libraries", "first")
        return {name: getattr(self, name) for name in names}

    @property
    def recipe(self) -> str:
        """Settings and code of the run itself: what certificates are about."""
        own = {name: value for name, value in self.code.items() if name != "slices"}
        return hash_of([self.settings, own, kind_of_labels(self.labels)])

    def to_record(self) -> dict[str, Any]:
        return {**asdict(self), "keys": self.keys, "key": self.key}


def identity_of(record: Record) -> Identity | None:
    """What the record was made from; None if it is of an older form."""
    try:
        return Identity(**{name: record.facts[name] for name in Identity.__dataclass_fields__})
    except KeyError:
        return None


def standing(record: Record | None, now: Identity) -> tuple[str, str | None]:
    """Whether it is "missing", "fresh", "certified" or "stale", and why if it is stale.

    Fresh: made by this code, from these settings and data. Certified: made by another code, of
    which certificates say that it computes the same.
    """
    if record is None:
        return "missing", None
    made = identity_of(record)
    if made is None:
        return "stale", "changed: how keys are made"
    reason = difference(made, now)
    if reason is None:
        return "fresh", None
    if made.facts == now.facts and _certified(made, now):
        return "certified", None
    return "stale", reason


def _certified(made: Identity, now: Identity) -> bool:
    cut = lead(made.code["slices"], now.code["slices"], SLICES)
    return cut and lead(made.recipe, now.recipe, RUNS)


def key(run: Run) -> str:
    """By which a record is known to be this run's, made by this code from these data."""
    return identify(run).key


def identify(run: Run, root: Path = CHECKOUT) -> Identity:
    """Everything the run depends on. Slices that are not there yet are made.

    root: the tree whose code is looked at.
    """
    before = first_run(run)
    first = identify(before, root) if before else None
    taught = [first.code[x] for x in ("weights", "first") if x in first.code] if first else []
    code = code_of(run, root)
    return Identity(
        settings=_settings(run) | ({"first": first.settings} if first else {}),
        labels=run.labels,
        seed=run.seed,
        data=_data(run),
        libraries={name: version(name).partition("+")[0] for name in LIBRARIES},
        code={stage: digest(found) for stage, found in code.items()}
        | ({"first": "+".join(taught)} if first else {}),
        files=by_file({each for found in code.values() for each in found}),
        first=hash_of(first.facts) if first else None,
    )


def first_run(run: Run) -> Run | None:
    """The run that this one builds on, with those of its changes that concern it."""
    first = find_system(run.system).first
    if first is None:
        return None
    before = find_system(first)
    later = {"prompting"} if before.labels == "image" else set()  # decides what becomes of a map
    concerned = {"data", "learning", *before.settings} - later
    kept = tuple(item for item in run.changes if item.split(".")[0] in concerned)
    return Run(run.profile, first, 0 if before.labels == "image" else run.labels, run.seed, kept)


def difference(made: Identity, now: Identity) -> str | None:
    """In words, what is not the same; None if nothing differs."""
    changed = []
    for part in ("settings", "labels", "seed", "data", "libraries", "first"):
        before, after = getattr(made, part), getattr(now, part)
        if isinstance(after, dict):
            changed += _named(part, _flat(before), _flat(after))
        elif before != after:
            changed.append({"first": "the run before it"}.get(part, part))
    if made.code != now.code:
        changed += _named("code", made.files, now.files) or ["code of the run before it"]
    return f"changed: {'; '.join(changed)}" if changed else None


def _named(part: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = sorted(name for name in before | after if before.get(name) != after.get(name))
    more = ", ..." if names[3:] else ""
    return [f"{part} ({', '.join(names[:3])}{more})"] if names else []


def _flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings under dotted names, as JSON has them."""
    found = {}
    for name, value in json.loads(json.dumps(values)).items():
        inside = isinstance(value, dict) and value
        found |= _flat(value, f"{above}{name}.") if inside else {above + name: value}
    return found


def hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def kind_of_labels(labels: int | None) -> str:
    """How a run with so many labels differs from others in kind: in what it goes through."""
    return "all" if labels is None else "few" if labels else "none"


def _settings(run: Run) -> dict[str, Any]:
    """Settings in use, how the system is registered, and the sum of the weights SAM starts from."""
    profile, values = run.settings, asdict(run.settings)
    system = find_system(run.system)
    kept = {name: values[name] for name in system.settings}
    kept["learning"] = asdict(train.learning(run))
    seen = ("volumes", "patches") if sees_volumes(profile) else ("slices",)
    kept |= {name: values["data"][name] for name in seen}
    if "sam" in kept:
        kept["sam"]["weights"] = _weights(profile.sam)
    if "sam_3d" in kept:
        kept["sam_3d"]["weights"] = _weights_3d(profile.sam_3d)
    if system.prompted:
        kept["users"] = list(profile.users)
    # What is at its default is not named, so that older records keep their keys.
    if run.labels and profile.synthesis.images and not sees_volumes(profile):
        kept["synthesis"] = values["synthesis"]
    if profile.data.exclusive:
        kept["exclusive"] = True
    kept["system"] = {"name": run.system, **_registered(system)}
    return json.loads(json.dumps(kept))


def _registered(system: System) -> dict[str, Any]:
    """What decides a run in the registry, beside the code that it names."""
    options = system.build.keywords if isinstance(system.build, partial) else {}
    return {
        "options": options, "labels": system.labels, "first": system.first,
        "learning": system.learning, "own schedule": system.schedule is not None,
        **({"by slice": True} if system.by_slice else {}),
    }  # fmt: skip


def _weights(settings: SamSettings) -> str | None:
    """The sum of the weights SAM starts from; of published ones, the sum they must have."""
    if settings.weights is None:
        return None
    if settings.weights != "published":
        return sha256(settings.weights)
    if settings.size in weights.published():
        return weights.published()[settings.size].sha256
    return sha256(weights.weights_path(settings.size))


def _weights_3d(settings: Sam3DSettings) -> str | None:
    """As `_weights`, of a SAM for volumes; official ones that are not here have their address.

    Nobody publishes the sum that they must have.
    """
    if settings.weights is None:
        return None
    if settings.weights != "published":
        return sha256(settings.weights)
    path = weights_3d.weights_path(settings.size)
    return sha256(path) if path.is_file() else weights_3d.published()[settings.size]["url"]


def _data(run: Run) -> dict[str, str]:
    """Slices of every cohort in use, who is trained and tested on, and the slices with masks.

    Of a run on volumes all of it is about volumes; stages and their parts keep their names.
    """
    profile, seen = run.settings, run.data
    trained = training_cohort(profile)
    found, parts = data_of(profile), cohort_split(profile, trained).parts()
    if sees_volumes(profile):
        marked = seen.volumes.index.loc[seen.labelled, ["scan"]]
    else:
        marked = seen.slices.index.loc[seen.labelled, ["scan", "slice"]].astype(str)
    return found | {
        "training slices": found[f"{profile.data.view} of {trained}"],
        "training split": hash_of({name: parts[name] for name in ("train", "validation")}),
        "labelled slices": hash_of(marked.to_numpy().tolist()),
    }


def data_of(profile: Profile) -> dict[str, str]:
    """Slices and split of every cohort that runs of the profile learn from or are tested on."""
    found = {}
    for name in dict.fromkeys([training_cohort(profile), *test_cohorts(profile)]):
        made = profile.data.cohorts[name].phantom is not None
        known = _recipe(profile, name) if made else _content(cohort_view(profile, name).folder)
        found[f"{profile.data.view} of {name}"] = known
        found[f"split of {name}"] = hash_of(cohort_split(profile, name).parts())
    return found


def _recipe(profile: Profile, cohort: str) -> str:
    """Settings by which the slices of a phantom cohort are made; their code is a stage's own.

    Processors differ in the last bit, and here and there a voxel with it; the recipe is the same
    everywhere.
    """
    known = asdict(profile.data.cohorts[cohort])
    known["target"] = ", ".join(known.pop("targets"))  # as when there was one: records say so
    if not known["channels"]:
        known.pop("channels")
    seen = profile.data.volumes if sees_volumes(profile) else profile.data.slices
    return hash_of([known, asdict(seen), profile.seed])


@lru_cache(maxsize=32)
def _content(folder: Path) -> str:
    """What the slices of a cache are, as was noted when it was made."""
    return slice_cache.content(folder)
