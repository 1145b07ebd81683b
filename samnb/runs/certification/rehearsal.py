"""A run cut to a few steps, and a trace of everything that it computes.

The cut keeps what a run passes through: the system that comes first, two warm restarts, two
validations, a kill and a resume, settling, tests on slices with and without the target. Before it
is cut, the plan of the whole run is traced: its steps, rates and rows. So two trees with one trace
compute the same, as far as a few steps can tell. `trace(run, cut=False)` traces the whole run.

A trace has a list of (what, hash) for every stage, in the order in which they come.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from samnb.base.files import sha256
from samnb.data import slices as slice_cache
from samnb.data import volumes as volume_cache
from samnb.data.layouts import ScanFiles, list_scans
from samnb.data.slices import SliceSet
from samnb.data.volumes import VolumeSet
from samnb.evaluation import answers
from samnb.method import Answer, UserPrompts
from samnb.networks.sam.lora import count_parameters
from samnb.phantoms import write_cohort
from samnb.runs import data, examine, train, views, volume_data, volumes
from samnb.runs.certification.made_masks import note_made_measures
from samnb.runs.data import test_cohorts, training_cohort
from samnb.runs.run import Run
from samnb.runs.runner import first_run
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_scans, cohort_slices, cohort_split
from samnb.studies.volumes import cohort_view, sees_volumes
from samnb.systems.registry import find_system
from samnb.systems.system import UNTAUGHT
from samnb.training.loop import TrainingSettings

STAGES = (
    "plan", "slices", "initial weights", "batches", "losses", "validation", "final weights",
    "answers", "measures",
)  # fmt: skip
SHORT = {"epochs": 7, "steps_per_epoch": 1, "cycle": 3, "validations": 2, "batch": 4, "marked": 2}
KILLED_AT = 4  # step
WATCHED = 6
TESTED = {1: 4, 0: 2}  # slices of each scan, with and without the target
SCANS = 2  # of each cohort
LATER = ("milestones", "rates")  # settings of training that older trees do not have

Trace = dict[str, list[tuple[str, str]]]


class Killed(BaseException):
    """Stands for a process that dies: nothing below may catch it."""


class _Notes:
    """What was seen, by stage."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[str, str]]] = {stage: [] for stage in STAGES}

    def __call__(self, stage: str, what: str, value: Any) -> None:
        self.found[stage].append((what, _hash(value)))


def trace(run: Run, cut: bool = True) -> Trace:
    """Train and test `run`, cut short or whole, apart from all records; what it computed."""
    notes = _Notes()
    _note_plan(run, notes)
    for name in _cohorts(run):
        _note_view(cohort_view(run.settings, name), name, notes)
    with tempfile.TemporaryDirectory() as folder, _shortened(cut):
        _perform(shortened(run) if cut else run, Path(folder), notes, cut)
    if cut:
        note_made_measures(notes)
    return {stage: notes.found[stage] for stage in STAGES}


def trace_slices(profile: Profile) -> Trace:
    """Every patient of every cohort from nothing: phantoms drawn, scans read and cut."""
    notes = _Notes()
    for name in profile.data.cohorts:
        with tempfile.TemporaryDirectory() as folder:
            scans = _scans_from_nothing(profile, name, Path(folder) / "scans", notes)
            cache = Path(folder) / "cache"
            whole = sees_volumes(profile)
            prepare = (volume_cache if whole else slice_cache).prepare
            settings = profile.data.volumes if whole else profile.data.slices
            made, _ = prepare(scans, settings, cache, workers=1, progress=False)
            _note_view(made, name, notes)
            for scan, record in made.scans.items():
                known = {each: value for each, value in record.items() if each != "targets"}
                notes("slices", f"geometry of {scan}", known)
    return notes.found


def _scans_from_nothing(
    profile: Profile, name: str, folder: Path, notes: _Notes
) -> list[ScanFiles]:
    cohort = profile.data.cohorts[name]
    if cohort.phantom is None:
        return cohort_scans(profile, name)
    phantom = cohort.phantom
    write_cohort(
        phantom.kind, folder, phantom.patients, phantom.side, profile.seed, 1, progress=False
    )
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".json":  # those hold the generator's own hash
            notes("slices", path.name, sha256(path))
    return list_scans(cohort.layout, folder, cohort.targets)


def shortened(run: Run) -> Run:
    """The run with a training of a few steps, whatever its own length."""
    short = {f"learning.{find_system(run.system).learning}.{name}": value
             for name, value in SHORT.items()}  # fmt: skip
    kept = [change for change in run.changes if change.split("=")[0] not in short]
    changes = (*kept, *(f"{name}={value}" for name, value in short.items()))
    return Run(run.profile, run.system, run.labels, run.seed, changes)


def _hash(value: Any) -> str:
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()[:16]


def _feed(digest: Any, value: Any) -> None:
    """Every bit of a value: floats by their exact digits, arrays by shape, kind and bytes.

    Axes of length one do not count: (N, S, S) and (N, 1, S, S) hold the same.
    """
    if isinstance(value, Tensor):
        # NumPy has no bfloat16; the wider float holds it exactly.
        value = (value.float() if value.dtype == torch.bfloat16 else value).detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        shape = tuple(size for size in value.shape if size != 1)
        digest.update(f"{value.dtype}{shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pd.DataFrame):
        # In one form for tables of any make: numbers as float64, all else as text.
        for name in sorted(value.dropna(axis="columns", how="all")):
            column = value[name]
            number = pd.api.types.is_numeric_dtype(column)
            _feed(digest, [name, column.to_numpy(float, na_value=np.nan) if number
                           else column.astype(str).tolist()])  # fmt: skip
    elif isinstance(value, dict):
        for name in sorted(value, key=str):
            _feed(digest, [str(name), value[name]])
    elif isinstance(value, list | tuple | np.ndarray):
        for item in value:
            _feed(digest, item)
        digest.update(b"]")
    elif isinstance(value, float | np.floating):
        digest.update(float(value).hex().encode())
    else:
        digest.update(json.dumps(value, default=str).encode())


def _cohorts(run: Run) -> list[str]:
    training = training_cohort(run.settings)
    return list(dict.fromkeys([training, *test_cohorts(run.settings)]))


def _note_plan(run: Run, notes: _Notes) -> None:
    """How the whole run would be: every setting of its training, and the rows it works on."""
    seen = run.data
    if train.learns(run):
        plain = asdict(TrainingSettings(1, schedule="constant"))
        for name, value in asdict(train.training_settings(run, seen)).items():
            if name not in LATER or value != plain[name]:
                notes("plan", name, value)
    used = {"classified": seen.classified, "marked": seen.marked, "watched": seen.watched}
    for name, rows in used.items():
        notes("plan", f"{name} rows", rows.astype(np.int64))
    for name in test_cohorts(run.settings):
        rows = cohort_view(run.settings, name).rows_of(cohort_split(run.settings, name).test)
        notes("plan", f"tested rows of {name}", rows.astype(np.int64))
    if before := first_run(run):
        _note_plan(before, notes)


def _note_view(seen: SliceSet | VolumeSet, name: str, notes: _Notes) -> None:
    whole = isinstance(seen, VolumeSet)
    pairs = map(seen.arrays, range(len(seen))) if whole else [(seen.images, seen.masks)]
    for images, masks in pairs:
        notes("slices", f"images of {name}", images)
        notes("slices", f"masks of {name}", masks)
    notes("slices", f"table of {name}", seen.index)


@contextmanager
def _shortened(cut: bool) -> Iterator[None]:
    """Fewer slices are watched and tested, and every step leaves a checkpoint."""
    if not cut:
        yield
        return
    settings, rows = train.training_settings, examine._test_rows

    def impatient(*parts: Any) -> Any:
        return replace(settings(*parts), checkpoint_seconds=0)

    def few(profile: Any, cohort: str) -> np.ndarray:
        return _few(cohort_slices(profile, cohort), rows(profile, cohort))

    with (
        patch.object(data, "WATCHED", WATCHED),
        patch.object(train, "training_settings", impatient),
        patch.object(examine, "_test_rows", few),
        patch.object(volume_data, "WATCHED", SCANS),
        patch.object(
            volumes, "_test_rows", lambda *asked, whole=volumes._test_rows: whole(*asked)[:SCANS]
        ),
    ):
        yield


def _few(slices: SliceSet, rows: np.ndarray) -> np.ndarray:
    """Some of the rows, with the target and without: of the first scans, or as many scans of one
    slice each.
    """
    index = slices.index.loc[rows]
    labels, chosen = index["label"].to_numpy(), []
    for label, count in TESTED.items():
        scans = index["scan"][labels == label]
        first = scans.unique()[: SCANS if scans.duplicated().any() else SCANS * count]
        of_label = rows[(labels == label) & index["scan"].isin(first).to_numpy()]
        chosen.append(answers.evenly(of_label, SCANS * count))
    return np.sort(np.concatenate(chosen))


def _perform(run: Run, folder: Path, notes: _Notes, cut: bool) -> nn.Module:
    """Build, train and test as a run does, the run before it first; the finished method."""
    before = first_run(run)
    first = _perform(before, folder / "first", notes, cut) if before else None
    method = train.build(run, first)
    notes("initial weights", run.system, method.state_dict())
    training: dict[str, Any] = {"history": [], "validation": [], "seconds": 0.0, "trainable": 0}
    if train.learns(run) and count_parameters(method).trainable:
        if cut:
            _train_until_killed(run, method, folder, notes)
            method = train.build(run, first)
        trained = _train(run, method, folder, notes)
        training |= {"history": trained.history, "validation": trained.validation}
        notes("losses", "history", trained.history)
        notes("validation", "all", trained.validation)
        notes("final weights", run.system, trained.weights)
        train.restore(method, trained.weights)
    elif find_system(run.system).labels not in UNTAUGHT:
        _note_loss(run, method, notes)
    method.eval()
    _validate(run, method, notes)
    _test(run, method, training, notes)
    return method


def _note_loss(run: Run, method: nn.Module, notes: _Notes) -> None:
    """The losses of one batch, where nothing is learned: so that they are passed here as well."""
    seen, learning = cohort_view(run.settings, training_cohort(run.settings)), train.learning(run)
    rows, marked = np.arange(len(seen)), np.flatnonzero(seen.index["label"] == 1)
    if patches := sees_volumes(run.settings) and run.settings.data.patches:
        stream = volumes.patch_batches(seen, marked, patches, learning.batch, run.seed)
    else:
        stream = train.training_batches(seen, rows, marked, learning, run.seed)
    torch.manual_seed(run.seed)
    notes("losses", "not learned", method.train().forward(next(stream(0))))


def _validate(run: Run, method: nn.Module, notes: _Notes) -> None:
    """By what a training is validated, also where this one is not: on a few test slices."""
    cohort = training_cohort(run.settings)
    whole, shown = sees_volumes(run.settings), cohort_view(run.settings, cohort)
    room = volumes if whole else examine
    rows = room._test_rows(run.settings, cohort)[:WATCHED]
    seen = replace(run.data, **{run.settings.data.view: shown}, watched=rows)
    room = volumes if whole else train
    validate = room._validator(seen, train.precision(run), room.users_of(run)[0])
    notes("validation", "of a few slices", validate(method))


def _train_until_killed(run: Run, method: nn.Module, folder: Path, notes: _Notes) -> None:
    try:
        _train(run, method, folder, notes, killed_at=KILLED_AT)
    except Killed:
        return
    raise AssertionError(f"{run} ended before it could be killed")


def _train(
    run: Run, method: nn.Module, folder: Path, notes: _Notes, killed_at: int | None = None
) -> Any:
    room, name = train, "training_batches"
    if sees_volumes(run.settings):
        room, name = volumes, "patch_batches"
    stream, forward = getattr(room, name), method.forward

    def batches(*parts: Any) -> Callable[[int], Iterator[Any]]:
        def noted(start: int) -> Iterator[Any]:
            for step, batch in enumerate(stream(*parts)(start), start):
                if step == killed_at:
                    raise Killed
                notes("batches", f"step {step}", list(batch))
                yield batch

        return noted

    def noted_forward(batch: Any) -> dict[str, Tensor]:
        losses = forward(batch)
        notes("losses", f"call {len(notes.found['losses'])}", losses)
        return losses

    method.forward = noted_forward
    try:
        with patch.object(room, name, batches):
            return views.train_run(run, method, folder, progress=False)
    finally:
        del method.forward


def _test(run: Run, method: nn.Module, training: dict[str, Any], notes: _Notes) -> None:
    answer_of = method.answer

    def noted_answer(state: Any, prompts: UserPrompts | None = None) -> Answer:
        answer = answer_of(state, prompts)
        known = {each.name: getattr(answer, each.name) for each in fields(Answer)}
        notes("answers", f"call {len(notes.found['answers'])}", known)
        return answer

    method.answer = noted_answer
    try:
        found = views.examine_run(run, method, training, progress=False)
    finally:
        del method.answer
    of_slices = found.cases["slice"].notna()
    for name, rows in (("slices", of_slices), ("scans", ~of_slices)):
        notes("measures", name, found.cases[rows].drop(columns=["target", "user"]))
    for name, value in found.pictures.items():
        notes("answers", f"picture {name}", list(value) if value.dtype.kind == "U" else value)
    for name in ("summary", "parameters", "multiply_adds", "precision", "name"):
        notes("measures", name, found.facts[name])
