"""Runs: what is there is loaded, what is missing is made, what is stale is made anew.

A run is killed and started again at no cost but its last minute: the training goes on at its
checkpoint and ends bit for bit as if nothing had happened. Two processes never make the same run.
"""

import multiprocessing
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from samnb.base.checkout import require_committed_code
from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path, read_json, write_json
from samnb.base.paths import data_root
from samnb.base.workers import end_with_parent
from samnb.evaluation import costs
from samnb.networks.sam.lora import count_parameters
from samnb.prompts.users import NOBODY
from samnb.runs import train
from samnb.runs.examine import save_run_adapter
from samnb.runs.keys import Identity, first_run, identify, identity_of, standing
from samnb.runs.records import Record, read_record, write_record
from samnb.runs.remeasure import answers_hold, measure_again
from samnb.runs.run import Run
from samnb.runs.views import check_view, examine_run, train_run
from samnb.studies import Profile
from samnb.systems.registry import SYSTEMS, find_system
from samnb.systems.system import System
from samnb.training.checkpoint import restore

WEIGHTS, TRAINING, EVENTS, ADAPTER = "weights.safetensors", "training.json", "events", "adapter"


def make_record(
    run: Run, progress: bool = True, force: bool = False, events: bool = False
) -> Record:
    """The record of this run; trained and tested here and now unless a good one is there.

    Good is a record that is fresh, or certified to be what this code would give. One of which only
    the measures are stale is measured again from its answers. force: make it anew in any case, from
    the first step on. events: keep TensorBoard's files of the training.
    """
    _check(run)
    identity = identify(run)
    if not force and (record := _good(run, identity)):
        return record
    require_committed_code()
    if before := first_run(run):
        make_record(before, progress)
    key = identity.keys["weights"]
    with _alone(run, key, progress):
        if force:
            shutil.rmtree(_trained(key), ignore_errors=True)
            shutil.rmtree(_training(key), ignore_errors=True)
        elif record := _good(run, identity):
            return record  # made by the process that was waited for
        elif stale := read_record(run):
            reason = standing(stale, identity)[1]
            if answers_hold(stale, identity):
                print(f"{run}: measured again; {reason}.", file=sys.stderr)
                return measure_again(run, identity, stale)
            print(f"{run}: made anew; {reason}.", file=sys.stderr)
        return _make(run, identity, progress, events)


def load_method(run: Run, progress: bool = True) -> nn.Module:
    """The trained method of this run, ready to segment; trained here if its weights are gone."""
    _check(run)
    key = _weights_key(run, identify(run))
    first = load_method(before, progress) if (before := first_run(run)) else None
    with _alone(run, key, progress):
        return _taught(run, key, first, progress)[0]


def weights_at_hand(run: Run) -> bool:
    """Whether `load_method` need not train."""
    if not train.learns(run):
        return (before := first_run(run)) is None or weights_at_hand(before)
    return (_trained(_weights_key(run, identify(run))) / TRAINING).is_file()


def make_records(runs: Sequence[Run], workers: int = 1, progress: bool = True) -> list[Record]:
    """Records of all these runs, in their order; the first error is raised when all have ended."""
    made = {each.folder: result for each, result in make_each(runs, workers, progress)}
    results = [made[each.folder] for each in runs]
    if failed := [result for result in results if isinstance(result, Exception)]:
        raise failed[0]
    return results


def make_each(
    runs: Sequence[Run], workers: int = 1, progress: bool = True
) -> Iterator[tuple[Run, Record | Exception]]:
    """Each run as it ends, with its record or with what stopped it.

    A run that fails leaves the others going, all but those that build on it. What others build on
    is made first. With several workers, each has one thread, and one of the GPUs if there are any.
    """
    for each in runs:
        _check(each)
    firsts = {first.folder: first for each in runs if (first := first_run(each))}
    asked = {each.folder for each in runs}
    lost = {}
    for first, result in _as_they_end(list(firsts.values()), workers, progress):
        if isinstance(result, Exception):
            lost[first.folder] = result
        if first.folder in asked:
            yield first, result
    ready = []
    for each in (one for one in runs if one.folder not in firsts):
        before = first_run(each)
        if before and before.folder in lost:
            yield each, SamnbError(f"it builds on {before}, which failed.")
        else:
            ready.append(each)
    yield from _as_they_end(ready, workers, progress)


def _as_they_end(
    runs: Sequence[Run], workers: int, progress: bool
) -> Iterator[tuple[Run, Record | Exception]]:
    if workers == 1 or len(runs) < 2:
        for each in runs:
            yield each, _run_or_error(each, progress)
        return
    context = multiprocessing.get_context("spawn")
    shared = (context.Value("i", 0), visible_gpus())
    with ProcessPoolExecutor(workers, context, _start_worker, shared) as pool:
        waiting = {pool.submit(make_record, each, False): each for each in runs}
        for done in tqdm(as_completed(waiting), total=len(runs), desc="runs", disable=not progress):
            yield waiting[done], done.exception() or done.result()


def _run_or_error(run: Run, progress: bool) -> Record | Exception:
    try:
        return make_record(run, progress)
    except Exception as error:
        return error


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name for name in named.split(",") if name]


def _start_worker(turn: Any, gpus: list[str]) -> None:
    """One thread, and the next GPU in turn; turn: a counter that all workers share."""
    torch.set_num_threads(1)
    if gpus:
        with turn.get_lock():
            place, turn.value = turn.value, turn.value + 1
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
    end_with_parent()


def state(run: Run) -> str:
    """Whether the run's record is "fresh", "certified", "stale" or "missing"."""
    return standing(read_record(run), identify(run))[0]


def plan(profile: Profile) -> list[Run]:
    """The runs behind the book's tables: every planned system, number of labels and seed.

    Then the changed settings. What another run builds on comes before it.
    """
    planned = profile.plan
    possible = [name for name, system in SYSTEMS.items() if _is_possible(system, profile)]
    runs = [
        Run(profile, name, labels, seed)
        for name in planned.systems or possible
        for labels in label_counts(profile, name)
        if not (labels and planned.labels) or labels in planned.labels
        for seed in _seeds(profile, name)
    ]
    return runs + [
        Run(profile, each.system, labels, seed, _changes(each.change))
        for each in planned.changed
        for labels in each.labels
        for seed in each.seeds
    ]


def _changes(change: str) -> tuple[str, ...]:
    """Settings with spaces between them; a value may have spaces too."""
    return tuple(re.split(r" +(?=[\w.]+=)", change)) if change else ()


def _is_possible(system: System, profile: Profile) -> bool:
    """Whether the profile says how it and what it builds on learn, and who gives what prompts.

    To ask the SAM of a finished system needs its weights: a profile plans it by name, among its
    changed runs.
    """
    if system.first and not _is_possible(find_system(system.first), profile):
        return False
    prompts = any(user != str(NOBODY) for user in profile.users)
    planned = system.learning in profile.learning and (prompts or not system.prompted)
    return planned and system.labels != "as first" and profile.data.view in system.views


def _seeds(profile: Profile, system: str) -> tuple[int, ...]:
    """One, where nothing is learned: there is no chance in it."""
    return profile.seeds[:1] if find_system(system).labels == "nothing" else profile.seeds


def label_counts(profile: Profile, system: str) -> list[int | None]:
    """Numbers of labelled slices that a system can be run with: 0 for none, None for all."""
    known = find_system(system)
    if known.labels == "as first":
        return label_counts(profile, known.first)
    few = list(profile.data.labelled)
    return {
        "nothing": [0],
        "image": [0],
        "few": [0, *few] if known.first else few,
        "full": [None],
        "either": [*few, None],
    }[known.labels]


def _check(run: Run) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SamnbError(
            "A run is made by one process, and a launcher has started several.",
            "without it, `samnb run ... --workers N` gives each of N runs a GPU of its own.",
        )
    check_view(run)
    known = label_counts(run.settings, run.system)
    if run.labels not in known:
        numbers = " or ".join(str(count) for count in known if count is not None)
        asked = "all labels" if run.labels is None else f"{run.labels} labels"
        raise SamnbError(
            f"{find_system(run.system).title} cannot be run with {asked}.",
            f"use {numbers} labelled {run.settings.data.view}."
            if numbers
            else "give no number of labels.",
        )
    if run.seed < 0:
        raise SamnbError(f"No seed {run.seed}.", "use a number from 0 on.")


def _good(run: Run, identity: Identity) -> Record | None:
    record = read_record(run)
    return record if standing(record, identity)[0] in ("fresh", "certified") else None


def _weights_key(run: Run, identity: Identity) -> str:
    """By which the weights of the run are known: a certified record has those of the older code."""
    record = read_record(run)
    if standing(record, identity)[0] == "certified":
        return identity_of(record).keys["weights"]
    return identity.keys["weights"]


def _trained(key: str) -> Path:
    """Where the final weights stay."""
    return data_root() / "trained" / key


def _training(key: str) -> Path:
    """Where the checkpoints of an unfinished training lie."""
    return data_root() / "training" / key


@contextmanager
def _alone(run: Run, key: str, progress: bool) -> Iterator[None]:
    """Held by the one process that makes a run; others wait here."""
    folder = data_root() / "training"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            print(f"Another process is making {run}; waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _taught(
    run: Run,
    key: str,
    first: nn.Module | None,
    progress: bool,
    events: bool = False,
) -> tuple[nn.Module, dict[str, Any]]:
    """The finished method in eval mode on its device, and what its training was like."""
    method = train.build(run, first)
    training: dict[str, Any] = {"history": [], "validation": [], "seconds": 0.0}
    learns = train.learns(run)
    training["trainable"] = count_parameters(method).trainable if learns else 0
    folder = _trained(key)
    if training["trainable"]:
        if not (folder / TRAINING).is_file():
            training |= _learn(run, key, method, progress, events)
            write_json(folder / TRAINING, training)  # says that the weights beside it are whole
        restore(method, load_file(folder / WEIGHTS))
        training = read_json(folder / TRAINING)
    return method.to(Accelerator().device).eval(), training


def _learn(run: Run, key: str, method: nn.Module, progress: bool, events: bool) -> dict[str, Any]:
    """Train, leave the weights (and what TensorBoard shows) on the disk, and say how it went."""
    training, kept = _training(key), _trained(key)
    trained = train_run(run, method, training, progress, events)
    # Cloned, since networks may hold one layer under two names, which the format refuses.
    weights = {name: value.cpu().clone() for name, value in trained.weights.items()}
    with atomic_path(kept / WEIGHTS) as temporary:
        save_file(weights, temporary)
    if events:
        shutil.rmtree(kept / EVENTS, ignore_errors=True)
        shutil.move(training / EVENTS, kept / EVENTS)
        print(f"tensorboard --logdir {kept / EVENTS}", file=sys.stderr)
    shutil.rmtree(training, ignore_errors=True)
    return {name: getattr(trained, name) for name in ("history", "validation", "seconds")}


def _make(run: Run, identity: Identity, progress: bool, events: bool) -> Record:
    """Train, test, write the record; the adapter goes beside the weights."""
    costs.forget_peak_memory(Accelerator().device)
    before = first_run(run)
    first = load_method(before, progress) if before else None
    key = identity.keys["weights"]
    method, training = _taught(run, key, first, progress, events)
    found = examine_run(run, method, training, progress)
    save_run_adapter(run, method, found.facts, _trained(key) / ADAPTER)
    return write_record(run, replace(found, facts={**found.facts, **identity.to_record()}))
