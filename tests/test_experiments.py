"""Runs: made once, resumed after a kill to the same bytes, known by what they depend on."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from typer.main import get_command

from samnb import cli
from samnb.base import checkout
from samnb.base.definitions import reached
from samnb.base.errors import SamnbError
from samnb.data import slices, slicing
from samnb.evaluation import examine as evaluation
from samnb.runs import counted, examine, keys, runner, train
from samnb.runs.certification.certificates import add_certificate
from samnb.runs.keys import first_run, identify, key, standing
from samnb.runs.records import Contents, read_record, write_record
from samnb.runs.remeasure import keep_answers
from samnb.runs.run import Run
from samnb.runs.runner import (
    label_counts,
    load_method,
    make_each,
    make_record,
    make_records,
    plan,
    state,
    weights_at_hand,
)
from samnb.studies import load_profile
from samnb.studies.cohorts import cohort_slices
from samnb.systems import registry
from samnb.systems.map_prompted import MixSettings
from samnb.systems.system import System


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tiny.cached_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def profile(prepared, tmp_path, monkeypatch):
    """The tiny profile; every test has its own trainings and results, and shares the slices."""
    (tmp_path / "cache").symlink_to(prepared / "cache")
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    for name, system in tiny.SYSTEMS.items():
        monkeypatch.setitem(registry.SYSTEMS, name, system)
    return tiny.world(prepared)


def _no_training(monkeypatch):
    monkeypatch.setattr(runner.train, "train", lambda *_: pytest.fail("trained again"))


def test_a_run_leaves_a_whole_record(profile):
    record = make_record(Run(profile, "tiny", 4, 1), progress=False)
    facts = record.facts
    assert record.name == "Tiny-4"
    assert facts["parameters"]["total"] == facts["parameters"]["trainable"] > 0
    assert facts["multiply_adds"] == 32 * 32 * 9 * (8 + 8)
    assert facts["peak_memory_mb"] > 1
    assert facts["seconds"]["training"] > 0
    assert [note["step"] for note in facts["validation"]] == [6, 12]
    assert facts["history"][-1]["step"] == 12
    assert set(facts["summary"]) == {"home", "abroad"}
    assert facts["summary"]["home"]["auc"] is not None
    slices, scans = record.slices, record.scans
    assert slices.groupby("cohort").size().to_dict() == {"home": 16, "abroad": 16}
    assert scans["cohort"].tolist() == ["home", "home", "abroad", "abroad"]
    mean = slices[slices["cohort"] == "home"]["dice"].mean()
    assert facts["summary"]["home"]["dice"] == pytest.approx(mean, abs=1e-5)
    assert record.pictures["masks"].shape == (16, 32, 32)
    assert sum(path.stat().st_size for path in record.folder.iterdir()) < 60_000
    assert not list((runner.data_root() / "training").glob("*/*"))


def test_a_fresh_run_is_loaded_and_force_makes_it_anew(profile, monkeypatch):
    run = Run(profile, "tiny", 2, 1)
    first = make_record(run, progress=False)
    with monkeypatch.context() as patch:
        _no_training(patch)
        assert make_record(run, progress=False).facts == first.facts
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            make_record(run, progress=False, force=True)
    again = make_record(run, progress=False, force=True)
    assert again.slices.equals(first.slices)
    assert again.facts["history"] == first.facts["history"]


def test_a_killed_run_ends_bit_for_bit_as_one_that_was_not(profile, tmp_path):
    run = Run(profile, "tiny", 4, 2)
    folder = str(Path(profile.data.cohorts["home"].folder).parent)
    code = (
        "import os, sys, signal; import tiny; from pathlib import Path\n"
        "from samnb.runs import train; from samnb.systems import registry\n"
        "from samnb.runs.runner import make_record; from samnb.runs.run import Run\n"
        "from dataclasses import replace\n"
        "registry.SYSTEMS.update(tiny.SYSTEMS)\n"
        "stream, settings = train.training_batches, train.training_settings\n"
        "def deadly(*parts):\n"
        "    def batches(start):\n"
        "        for step, batch in enumerate(stream(*parts)(start), start):\n"
        "            if step == 8: os.kill(os.getpid(), signal.SIGKILL)\n"
        "            yield batch\n"
        "    return batches\n"
        "train.training_batches = deadly\n"
        "train.training_settings = lambda *parts: "
        "replace(settings(*parts), checkpoint_seconds=0)\n"
        "make_record(Run(tiny.world(Path(sys.argv[1])), 'tiny', 4, 2), progress=False)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, folder],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["..", os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_record(run) is None
    training = tmp_path / "training" / identify(run).keys["weights"]
    assert torch.load(training / "checkpoint.pt", weights_only=True)["step"] == 8
    resumed = make_record(run, progress=False)
    weights = load_method(run, progress=False).state_dict()
    files = {name: (resumed.folder / name).read_bytes()
             for name in ("cases.csv.gz", "answers.npz")}  # fmt: skip

    whole = make_record(run, progress=False, force=True)
    for name, value in load_method(run, progress=False).state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert {name: (whole.folder / name).read_bytes() for name in files} == files
    assert whole.facts["history"] == resumed.facts["history"]
    assert whole.facts["validation"] == resumed.facts["validation"]


def test_only_what_a_run_depends_on_changes_its_key(profile, monkeypatch):
    run = Run(profile, "tiny", 4, 1)
    before = key(run)
    learning = profile.learning | {"other": replace(profile.learning["sam"], epochs=9)}
    other = replace(profile, seeds=(5,), mix=replace(profile.mix, guidance=3), learning=learning)
    assert key(Run(other, "tiny", 4, 1)) == before  # `tiny` reads none of them
    for changed in (
        Run(profile, "tiny", 2, 1),
        Run(profile, "tiny", 4, 2),
        Run(profile, "tiny", 4, 1, ("prompting.threshold=0.3",)),
        Run(profile, "tiny", 4, 1, ("learning.sam.epochs=9",)),
        Run(profile, "tiny", 4, 1, ("data.splits.home.test=1",)),
    ):
        assert key(changed) != before, changed
    assert key(run) == before


def _code_changes(monkeypatch, stage):
    """As if a definition that only this stage reaches were another one."""
    real = keys.code_of

    def code_of(run, root=keys.CHECKOUT):
        found = real(run, root)
        files = {"weights": "samnb/training/loop.py", "answers": "samnb/runs/examine.py"}
        file = files.get(stage, "samnb/evaluation/metrics.py")
        found[stage] = [replace(each, uses=("another",)) if each.file == file else each
                        for each in found[stage]]  # fmt: skip
        return found

    monkeypatch.setattr(keys, "code_of", code_of)


def test_a_run_in_another_process_looks_its_data_up_anew(profile):
    run = Run(profile, "tiny", 2, 1)
    here = run.data
    assert run.data is here  # to list thousands of pictures takes seconds
    sent = pickle.dumps(run)
    assert len(sent) < 5_000  # no pictures in it
    there = pickle.loads(sent)
    assert there == run
    assert "data" not in vars(there)
    assert there.data is not here
    assert np.array_equal(there.data.marked, here.marked)
    assert there.data.slices.folder == here.slices.folder


def test_who_prompts_is_part_of_the_key_of_a_system_that_is_prompted(prompted):
    others = replace(prompted, users=("all",))
    assert key(Run(others, "tiny_prompted", 2, 1)) != key(Run(prompted, "tiny_prompted", 2, 1))
    assert key(Run(others, "tiny", 2, 1)) == key(Run(prompted, "tiny", 2, 1))


def test_a_stale_run_says_why_and_is_made_anew(profile, monkeypatch, capsys):
    run = Run(profile, "tiny", 2, 1)
    before = make_record(run, progress=False).facts["key"]
    assert state(run) == "fresh"
    _code_changes(monkeypatch, "weights")
    assert state(run) == "stale"
    reason = "changed: code (samnb/training/loop.py)"
    assert standing(read_record(run), identify(run)) == ("stale", reason)
    record = make_record(run, progress=False)
    assert f"made anew; {reason}" in capsys.readouterr().err
    assert record.facts["key"] != before
    assert state(run) == "fresh"


def test_stale_measures_are_taken_again_from_the_answers_that_were_kept(
    profile, monkeypatch, capsys
):
    run = Run(profile, "tiny", 2, 1)
    first = make_record(run, progress=False)
    assert set(first.answers) == {("home", "nobody"), ("abroad", "nobody")}
    dice = evaluation.measure_slices
    monkeypatch.setattr(
        evaluation,
        "measure_slices",
        lambda *parts: dice(*parts) | {"hd": np.full(len(parts[0]), 7)},
    )
    _code_changes(monkeypatch, "measures")
    _no_training(monkeypatch)
    monkeypatch.setattr(runner, "examine_run", lambda *_: pytest.fail("asked again"))
    again = make_record(run, progress=False)
    assert "measured again; changed: code (samnb/evaluation/metrics.py)" in capsys.readouterr().err
    assert (again.slices["hd"] == 7).all()
    assert again.facts["summary"]["home"]["hd"] == 7
    assert again.slices["dice"].equals(first.slices["dice"])
    assert again.facts["history"] == first.facts["history"]
    assert state(run) == "fresh"


class Prompter:
    """A user in place of those there are: prompts once, with its name."""

    rounds = 1

    def __init__(self, name):
        self.name = name

    def prompts(self, truths, names, answers=None, earlier=None):
        return self.name

    def __str__(self):
        return self.name


@pytest.fixture
def prompted(profile, monkeypatch):
    """The profile with two users, whose names are what they say."""
    for module in (train, examine):
        monkeypatch.setattr(module, "find_user", Prompter)
    return replace(profile, users=("all", "none"))


def test_a_system_that_is_prompted_answers_every_user_in_tables_of_one_record(prompted):
    run = Run(prompted, "tiny_prompted", 2, 1)
    record = make_record(run, progress=False)
    assert set(record.answers) == {
        (cohort, user) for cohort in ("home", "abroad") for user in ("all", "none")
    }
    slices = record.slices
    assert slices.groupby(["cohort", "user"]).size().tolist() == [16] * 4
    shown = slices[slices["label"] == 1]
    assert (shown[shown["user"] == "all"]["dice"] > 0).all()
    assert (shown[shown["user"] == "none"]["dice"] == 0).all()
    first = slices[(slices["user"] == "all") & (slices["cohort"] == "home")]
    assert record.facts["summary"]["home"]["dice"] == pytest.approx(first["dice"].mean(), abs=1e-5)
    assert record.pictures["masks"].all()  # pictures are for the first user


def test_a_system_that_prompts_itself_is_asked_by_nobody(profile):
    users = replace(profile, users=("all", "none"))
    assert [str(user) for user in train.users_of(Run(users, "tiny", 2, 1))] == ["nobody"]


def test_stale_answers_are_given_again_by_the_weights_at_hand(profile, monkeypatch):
    run = Run(profile, "tiny", 2, 1)
    first = make_record(run, progress=False)
    _code_changes(monkeypatch, "answers")
    assert state(run) == "stale"
    _no_training(monkeypatch)
    assert make_record(run, progress=False).slices.equals(first.slices)
    assert state(run) == "fresh"


def test_a_record_without_answers_gets_them_from_weights_at_hand(profile):
    run = Run(profile, "tiny", 2, 1)
    record = make_record(run, progress=False)
    before = {path.name: path.read_bytes() for path in record.folder.iterdir()}
    write_record(run, Contents(record.facts, record.cases, {}, record.pictures))
    bare = read_record(run)
    assert not bare.answers
    assert weights_at_hand(run)
    keep_answers(run, bare, load_method(run, progress=False), progress=False)
    assert {path.name: path.read_bytes() for path in record.folder.iterdir()} == before
    other = load_method(Run(profile, "tiny", 2, 2), progress=False)
    with pytest.raises(SamnbError, match="answer otherwise"):
        keep_answers(run, bare, other, progress=False)
    assert not weights_at_hand(Run(profile, "tiny", 4, 1))


def test_a_certificate_keeps_a_record_of_older_code(profile, monkeypatch):
    run = Run(profile, "tiny", 2, 1)
    old = identify(run)
    make_record(run, progress=False)
    weights = load_method(run, progress=False).state_dict()
    _code_changes(monkeypatch, "weights")
    new = identify(run)
    assert state(run) == "stale"
    line = {"slices": {}, "runs": {"tiny": [old.recipe, "between"]}}
    add_certificate(line)
    assert state(run) == "stale"
    add_certificate({"slices": {}, "runs": {"tiny": ["between", new.recipe]}})
    assert state(run) == "certified"
    _no_training(monkeypatch)
    assert make_record(run, progress=False).facts["key"] == old.key  # loaded, not made
    for name, value in load_method(run, progress=False).state_dict().items():
        assert torch.equal(value, weights[name]), name
    other = replace(profile, seed=8)  # other splits: no certificate speaks for data
    assert state(Run(other, "tiny", 2, 1)) == "stale"


def test_code_that_is_not_committed_writes_no_record_into_the_checkout(profile, monkeypatch):
    run = Run(profile, "tiny", 2, 1)
    monkeypatch.setattr(
        checkout, "changed_code", lambda: ["samnb/training/losses.py", "samnb/new.py"]
    )
    make_record(run, progress=False)  # into a folder of its own: nobody minds
    monkeypatch.setattr(checkout, "results_root", lambda: checkout.CHECKOUT / "results")
    make_record(run, progress=False)  # it is there
    with pytest.raises(SamnbError, match=r"samnb/training/losses.py and 1 more.*not as committed"):
        make_record(Run(profile, "tiny", 2, 2), progress=False)


def test_a_system_that_reads_more_than_it_declares_is_refused(profile, monkeypatch):
    monkeypatch.setitem(registry.SYSTEMS, "sly", System("Sly", tiny.build))
    with pytest.raises(SamnbError, match="Sly reads `prompting`"):
        make_record(Run(profile, "sly", 2, 1), progress=False)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "either"},
        {"settings": tiny.READS | {"mix": MixSettings}},
        {"title": "Another name"},
    ],
)
def test_how_a_system_is_registered_is_part_of_the_key(profile, monkeypatch, change):
    run = Run(profile, "tiny", 2, 1)
    before = key(run)
    monkeypatch.setitem(registry.SYSTEMS, "tiny", replace(tiny.SYSTEMS["tiny"], **change))
    assert (key(run) == before) == ("title" in change)


def test_another_way_to_cut_scans_makes_another_cache_and_another_key(profile, monkeypatch):
    run = Run(profile, "tiny", 2, 1)
    before, folder = identify(run), cohort_slices(profile, "home").folder
    rolled = slicing.fit_mask
    monkeypatch.setattr(slicing, "fit_mask", lambda *parts: np.roll(rolled(*parts), 9, axis=0))
    monkeypatch.setattr(slices, "_cutting_code", lambda: "rolls masks")
    keys._content.cache_clear()
    for cohort in ("home", "abroad"):  # not in worker processes, where nothing is patched
        assert cohort_slices(profile, cohort, workers=1).folder != folder
    after = identify(run)
    assert after.data["slices of home"] != before.data["slices of home"]
    assert all(after.keys[stage] != before.keys[stage] for stage in keys.STAGES)


def test_geometry_and_slicing_count_as_code_of_the_slices(profile):
    files = {each.file for each in keys.code_of(Run(profile, "tiny", 2, 1))["slices"]}
    assert {
        "samnb/data/geometry.py",
        "samnb/data/slicing.py",
        "samnb/data/layouts/lits.py",
        "samnb/data/layouts/targets.py",
    } <= files


@pytest.mark.parametrize("library", keys.LIBRARIES)
def test_every_library_that_computes_counts(profile, monkeypatch, library):
    run, real = Run(profile, "tiny", 2, 1), keys.version
    before = identify(run)
    monkeypatch.setattr(keys, "version", lambda name: real(name) + "+other_build")
    assert identify(run) == before
    monkeypatch.setattr(keys, "version", lambda name: "9" if name == library else real(name))
    assert identify(run).keys["weights"] != before.keys["weights"]


def test_the_code_of_every_stage_begins_somewhere():
    for roots in counted.ROOTS.values():
        for root in roots:
            assert len(reached([root], lambda each: False)) > 0, root


def test_the_first_system_is_made_once_and_shared(profile, monkeypatch):
    base = make_record(Run(profile, "tiny_second", 0, 1), progress=False)
    assert base.name == "Tiny second-0"
    assert base.facts["history"] == []  # no masks, nothing to learn
    before = first_run(Run(profile, "tiny_second", 4, 1, ("prompting.threshold=0.3",)))
    assert before == Run(profile, "tiny_image", 0, 1)  # the change is none of its business
    assert read_record(before).name == "Tiny image"
    assert base.facts["first"] == keys.hash_of(identify(before).facts)
    weights = load_method(before, progress=False).state_dict()
    second = load_method(Run(profile, "tiny_second", 4, 1), progress=False)
    for name, value in second.first.state_dict().items():
        assert torch.equal(value, weights[name]), name
    changed = Run(profile, "tiny_second", 4, 1, ("learning.sam.epochs=1",))
    assert first_run(changed).changes == changed.changes


def test_weights_that_are_gone_are_trained_again(profile, tmp_path):
    run = Run(profile, "tiny_full", None, 1)
    record = make_record(run, progress=False)
    assert record.name == "Tiny full"
    before = load_method(run, progress=False).state_dict()
    for path in (tmp_path / "trained" / record.facts["keys"]["weights"]).iterdir():
        path.unlink()
    again = load_method(run, progress=False)
    assert not again.training
    assert all(torch.equal(value, before[name]) for name, value in again.state_dict().items())


def test_two_processes_never_make_the_same_run(profile, monkeypatch, capsys):
    run = Run(profile, "tiny", 2, 1)
    identity = identify(run)
    made = []
    real = runner._make

    def slow(*parts):
        made.append(parts)
        code = (
            "import sys, filelock\n"
            "try: filelock.FileLock(sys.argv[1]).acquire(timeout=0)\n"
            "except filelock.Timeout: print('locked')"
        )
        lock = runner.data_root() / "training" / f"{identity.keys['weights']}.lock"
        asked = subprocess.run(
            [sys.executable, "-c", code, str(lock)], capture_output=True, text=True, check=True
        )
        assert asked.stdout.strip() == "locked"
        return real(*parts)

    monkeypatch.setattr(runner, "_make", slow)
    make_record(run, progress=False)
    make_record(run, progress=False)
    assert len(made) == 1


def test_several_runs_in_their_order(profile):
    runs = [Run(profile, "tiny_second", 0, 1), Run(profile, "tiny_image", 0, 1)]
    names = [record.name for record in make_records(runs, progress=False)]
    assert names == ["Tiny second-0", "Tiny image"]


def _breaks(monkeypatch, system, seed):
    real = runner.train.train

    def train(run, *rest):
        if (run.system, run.seed) == (system, seed):
            raise RuntimeError("broken")
        return real(run, *rest)

    monkeypatch.setattr(runner.train, "train", train)


def test_a_run_that_fails_leaves_the_others_going_but_for_those_that_build_on_it(
    profile, monkeypatch
):
    _breaks(monkeypatch, "tiny_image", 1)
    names = ("tiny_second", "tiny_image")
    runs = [Run(profile, name, 0, seed) for name in names for seed in (1, 2)]
    results = {str(each): result for each, result in make_each(runs, progress=False)}
    assert {name: isinstance(result, Exception) for name, result in results.items()} == {
        "tiny_second, 0 labels, seed 1": True,
        "tiny_second, 0 labels, seed 2": False,
        "tiny_image, 0 labels, seed 1": True,
        "tiny_image, 0 labels, seed 2": False,
    }
    assert "builds on tiny_image, 0 labels, seed 1" in str(results["tiny_second, 0 labels, seed 1"])
    with pytest.raises(SamnbError, match="it builds on"):
        make_records(runs, progress=False)


def test_the_command_names_the_runs_that_fail_and_makes_the_others(profile, monkeypatch, capsys):
    path = str(Path(profile.data.cohorts["home"].folder).with_name("tiny.yaml"))
    _breaks(monkeypatch, "tiny", 1)
    command = get_command(cli.app)
    with pytest.raises(SamnbError, match="2 of 4 runs failed"):
        command.main(["run", "tiny", "--all", "--profile", path], standalone_mode=False)
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [
        "Tiny-2, seed 2",
        "Tiny-4, seed 2",
    ]
    assert "failed: tiny, 2 labels, seed 1: broken" in said.err
    assert state(Run(profile, "tiny_image", 0, 1)) == "missing"  # not asked for
    with pytest.raises(SamnbError, match="No run of tiny-full"):
        command.main(["run", "tiny-full", "--all", "--profile", path], standalone_mode=False)


@pytest.mark.parametrize(
    ("system", "labels", "words"),
    [
        ("tiny", None, "Tiny cannot be run with all labels.*use 2 or 4"),
        ("tiny", 3, "cannot be run with 3 labels"),
        ("tiny", 0, "cannot be run with 0 labels"),
        ("tiny_full", 4, "give no number"),
        ("nothing", 4, "No system 'nothing'"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(profile, system, labels, words):
    with pytest.raises(SamnbError, match=words):
        make_record(Run(profile, system, labels, 1), progress=False)


def test_workers_take_the_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(runner, "end_with_parent", lambda: None)
    monkeypatch.setattr(runner.torch, "set_num_threads", lambda _: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    gpus, turn = runner.visible_gpus(), runner.multiprocessing.Value("i", 0)
    seen = []
    for _ in range(3):
        runner._start_worker(turn, gpus)
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert seen == ["2", "5", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert runner.visible_gpus() == []


def test_a_launcher_of_several_processes_is_sent_away(profile, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SamnbError, match=r"one process.*--workers"):
        make_record(Run(profile, "tiny", 4, 1), progress=False)


def test_the_plan_holds_the_experiments_of_the_chapters():
    pocket = load_profile("pocket")
    runs = plan(pocket)
    assert len(set(map(str, runs))) == len(runs)
    wanted = {str(Run(pocket, "sam_pp", labels, seed))
              for labels in (0, 5, 50, 100) for seed in (1, 2, 3)}  # fmt: skip
    assert wanted <= set(map(str, runs))
    light = [each for each in runs if each.changes == ("mix.guidance=0.1",)]
    assert {(each.labels, each.seed) for each in light} == {
        (labels, seed) for labels in (5, 50, 100) for seed in (1, 2, 3)
    }
    places = {str(each): place for place, each in enumerate(runs)}
    for each in runs:
        assert each.labels in label_counts(pocket, each.system)
        assert each.settings
        if (before := first_run(each)) and not each.changes:
            assert places[str(before)] < places[str(each)]


def test_a_planned_run_may_change_several_settings_and_use_all_masks():
    runs = plan(load_profile("real_brain_long"))
    fewest = next(each for each in runs if "improved.negatives=0.0" in each.changes)
    assert len(fewest.changes) == 6
    assert not fewest.settings.improved.soft
    assert fewest.settings.mix.guidance == 0.1
    assert fewest.profile.data == load_profile("real_brain").data  # only what is learned differs
    longer = [each for each in plan(load_profile("real_brain")) if each.changes]
    assert {each.labels for each in longer} == {50, None}
    assert {each.settings.learning["unet"].epochs for each in longer} == {30}


def test_the_command_makes_and_lists_runs(profile, capsys):
    path = str(Path(profile.data.cohorts["home"].folder).with_name("tiny.yaml"))
    command = get_command(cli.app)

    def samnb(*arguments):
        command.main([*arguments, "--profile", path], standalone_mode=False)
        return capsys.readouterr().out

    made = samnb("run", "tiny", "-l", "2", "-s", "1", "--set", "prompting.threshold=0.30")
    assert made.startswith("Tiny-2 prompting.threshold=0.3, seed 1: Dice home 0.")
    line = samnb("runs").splitlines()[-1].split()
    assert line[:4] == ["tiny", "2", "1", "fresh"]
    assert line[-1] == "prompting.threshold=0.3"
    assert samnb("run", "tiny-image", "-s", "2").startswith("Tiny image, seed 2")
    with pytest.raises(SamnbError, match="which system"):
        samnb("run")
    with pytest.raises(SamnbError, match="which system"):
        samnb("run", "tiny", "--all", "--labels", "2")
