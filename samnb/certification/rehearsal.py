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

from samnb import answers, evaluation, metrics, outcome, teaching
from samnb.data.cohort import cohort_scans, cohort_slices, cohort_split
from samnb.data.phantom import write_cohort
from samnb.data.readers import ScanFiles, list_scans
from samnb.data.slices import SliceSet, prepare
from samnb.experiments import first_run
from samnb.files import sha256
from samnb.models.lora import count_parameters
from samnb.models.method import Answer
from samnb.models.registry import find_system
from samnb.profiles import Profile
from samnb.records import Run

STAGES = (
    "plan", "slices", "initial weights", "batches", "losses", "validation", "final weights",
    "answers", "measures",
)  # fmt: skip
SHORT = {"epochs": 7, "steps_per_epoch": 1, "cycle": 3, "validations": 2, "batch": 4, "marked": 2}
KILLED_AT = 4  # step
WATCHED = 6
TESTED = {1: 4, 0: 2}  # slices of each scan, with and without the target
SCANS = 2  # of each cohort
PATIENTS = 3  # of a cohort that is made from nothing

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
        _note_slices(cohort_slices(run.chosen, name), name, notes)
    with tempfile.TemporaryDirectory() as folder, _shortened(cut):
        _perform(shortened(run) if cut else run, Path(folder), notes, cut)
    if cut:
        _note_made_measures(notes)
    return {stage: notes.found[stage] for stage in STAGES}


def trace_slices(profile: Profile) -> Trace:
    """The first patients of every cohort from nothing: phantoms drawn, scans read and cut."""
    notes = _Notes()
    for name in profile.data.cohorts:
        with tempfile.TemporaryDirectory() as folder:
            scans = _first_scans(profile, name, Path(folder) / "scans", notes)
            cache = Path(folder) / "cache"
            slices, _ = prepare(scans, profile.data.slices, cache, workers=1, progress=False)
            _note_slices(slices, name, notes)
            for scan, record in slices.scans.items():
                notes("slices", f"geometry of {scan}", record)
    return notes.found


def _first_scans(profile: Profile, name: str, folder: Path, notes: _Notes) -> list[ScanFiles]:
    settings = profile.data.cohorts[name]
    if settings.phantom is None:
        return cohort_scans(profile, name)
    kind, side = settings.phantom.kind, settings.phantom.side
    write_cohort(kind, folder, settings.phantom.patients, side, profile.seed, workers=1, progress=False)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".json":  # those hold the generator's own hash
            notes("slices", path.name, sha256(path))
    return list_scans(settings.layout, folder, settings.target)


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
    training = teaching.training_cohort(run.chosen)
    return list(dict.fromkeys([training, *teaching.test_cohorts(run.chosen)]))


def _note_plan(run: Run, notes: _Notes) -> None:
    """How the whole run would be: every setting of its training, and the rows it works on."""
    seen = teaching.material(run)
    if teaching.has_something_to_learn(run):
        for name, value in asdict(teaching.training_settings(run, seen)).items():
            notes("plan", name, value)
    for name in ("classified", "marked", "watched"):
        notes("plan", f"{name} rows", getattr(seen, name).astype(np.int64))
    for name in teaching.test_cohorts(run.chosen):
        rows = cohort_slices(run.chosen, name).rows_of(cohort_split(run.chosen, name).test)
        notes("plan", f"tested rows of {name}", rows.astype(np.int64))
    if before := first_run(run):
        _note_plan(before, notes)


def _note_slices(slices: SliceSet, name: str, notes: _Notes) -> None:
    notes("slices", f"images of {name}", slices.images)
    notes("slices", f"masks of {name}", slices.masks)
    notes("slices", f"table of {name}", slices.index)


@contextmanager
def _shortened(cut: bool) -> Iterator[None]:
    """Fewer slices are watched and tested, and every step leaves a checkpoint."""
    if not cut:
        yield
        return
    settings, rows = teaching.training_settings, outcome._test_rows

    def impatient(*parts: Any) -> Any:
        return replace(settings(*parts), checkpoint_seconds=0)

    def few(profile: Any, cohort: str) -> np.ndarray:
        return _few(cohort_slices(profile, cohort), rows(profile, cohort))

    with (
        patch.object(teaching, "WATCHED", WATCHED),
        patch.object(teaching, "training_settings", impatient),
        patch.object(outcome, "_test_rows", few),
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
    method = teaching.build(run, first)
    notes("initial weights", run.system, method.state_dict())
    lesson: dict[str, Any] = {"history": [], "validation": [], "seconds": 0.0, "trainable": 0}
    if teaching.has_something_to_learn(run) and count_parameters(method).trainable:
        if cut:
            _train_until_killed(run, method, folder, notes)
            method = teaching.build(run, first)
        trained = _train(run, method, folder, notes)
        lesson |= {"history": trained.history, "validation": trained.validation}
        notes("losses", "history", trained.history)
        notes("validation", "all", trained.validation)
        notes("final weights", run.system, trained.weights)
        teaching.restore(method, trained.weights)
    else:
        _note_loss(run, method, notes)
    method.eval()
    _validate(run, method, notes)
    _test(run, method, lesson, notes)
    return method


def _note_loss(run: Run, method: nn.Module, notes: _Notes) -> None:
    """The losses of one batch, where nothing is learned: so that they are passed here as well."""
    slices = cohort_slices(run.chosen, teaching.training_cohort(run.chosen))
    rows = np.arange(len(slices))
    marked = np.flatnonzero(slices.index["label"] == 1)
    stream = teaching.training_batches(slices, rows, marked, teaching.learning(run), run.seed)
    torch.manual_seed(run.seed)
    notes("losses", "not learned", method.train().forward(next(stream(0))))


def _validate(run: Run, method: nn.Module, notes: _Notes) -> None:
    """By what a training is watched, also where this one is not: on a few test slices."""
    cohort = teaching.training_cohort(run.chosen)
    slices = cohort_slices(run.chosen, cohort)
    rows = outcome._test_rows(run.chosen, cohort)[:WATCHED]
    seen = replace(teaching.material(run), slices=slices, watched=rows)
    watch = teaching._watcher(seen, teaching.precision(run))
    notes("validation", "of a few slices", watch(method))


def _train_until_killed(run: Run, method: nn.Module, folder: Path, notes: _Notes) -> None:
    try:
        _train(run, method, folder, notes, killed_at=KILLED_AT)
    except Killed:
        return
    raise AssertionError(f"{run} ended before it could be killed")


def _train(
    run: Run, method: nn.Module, folder: Path, notes: _Notes, killed_at: int | None = None
) -> Any:
    stream, forward = teaching.training_batches, method.forward

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
        with patch.object(teaching, "training_batches", batches):
            return teaching.teach(run, method, folder, progress=False)
    finally:
        del method.forward


def _test(run: Run, method: nn.Module, lesson: dict[str, Any], notes: _Notes) -> None:
    segment = method.segment

    def noted_segment(images: Tensor) -> Answer:
        answer = segment(images)
        known = {each.name: getattr(answer, each.name) for each in fields(Answer)}
        notes("answers", f"call {len(notes.found['answers'])}", known)
        return answer

    method.segment = noted_segment
    try:
        found = outcome.examine_run(run, method, lesson, progress=False)
    finally:
        del method.segment
    of_slices = found.cases["slice"].notna()
    for name, rows in (("slices", of_slices), ("scans", ~of_slices)):
        notes("measures", name, found.cases[rows].drop(columns=["target", "user"]))
    for name, value in found.pictures.items():
        notes("answers", f"picture {name}", list(value) if value.dtype.kind == "U" else value)
    for name in ("summary", "parameters", "multiply_adds", "precision", "name"):
        notes("measures", name, found.facts[name])


def _note_made_measures(notes: _Notes) -> None:
    """Measures of made-up masks, so that every rule for empty and odd ones is passed."""
    generator = np.random.default_rng(5)
    for side in (24, 160):
        blocks = _blocks(side, generator)
        truths = np.stack([each for each in blocks for _ in blocks])
        given = np.stack([each for _ in blocks for each in blocks])
        notes("measures", f"made slices {side}", metrics.measure_slices(given, truths, 2.0))
        for spacing in (None, (3.0, 0.8, 0.7)):
            volumes = [
                metrics.measure(one, other, 2.0, spacing)
                for one in (truths[:12], truths[:12] * 0)
                for other in (given[:12], truths[:12] * 0)
            ]
            notes("measures", f"made volumes {side} {spacing}", volumes)
    labels, scores = generator.integers(0, 2, 40), generator.integers(0, 5, 40) / 4
    notes("measures", "made AUC", evaluation.area_under_curve(labels, scores))
    notes("measures", "AUC of one class", evaluation.area_under_curve(labels * 0, scores))
    masks = torch.from_numpy(np.stack(_blocks(24, generator)))
    boxes = torch.tensor([[2.0, 3.0, 9.0, 12.0]]).repeat(len(masks), 1)
    boxes[1] = torch.nan
    notes("measures", "made boxes", evaluation.box_fit(boxes, masks.numpy()))
    notes(
        "measures",
        "made hits",
        evaluation.hits(answers.peaks(masks[:, ::4, ::4].float(), 24), masks.numpy()),
    )


def _blocks(side: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Masks: nothing, everything, a block, the same shifted, one with an island, noise, a pixel."""
    nothing = np.zeros((side, side), bool)
    block, island, pixel = nothing.copy(), nothing.copy(), nothing.copy()
    block[side // 4 : side // 2, side // 3 : side // 2] = True
    island[:] = block
    island[-2:, -3:] = True
    pixel[1, 2] = True
    noise = generator.random((side, side)) < 0.3
    return [nothing, ~nothing, block, np.roll(block, 3, axis=1), island, noise, pixel]
