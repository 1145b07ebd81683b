"""Runs by name, changed settings, and records that come back as they were written."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import Answers, pack
from samnb.runs import records
from samnb.runs.records import (
    Contents,
    all_records,
    load_cases,
    read_record,
    run_of,
    write_record,
)
from samnb.runs.run import Run, apply_changes
from samnb.studies import load_profile

POCKET = load_profile("pocket")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path))
    return tmp_path


def _write(run, dice=0.5, answers=None):
    facts = {"system": run.system, "name": "SAM-Mix-50", "labels": run.labels, "seed": run.seed,
             "changes": list(run.changes), "key": "k", "history": [{"loss": np.float32(1)}],
             "summary": {"lits": {"auc": float("nan")}}}  # fmt: skip
    named = {"cohort": "lits", "target": "liver", "user": "nobody", "patient": "7", "scan": "7"}
    measured = dict.fromkeys(("hd95", "surface_dice", "hd", "iou"), 1.0)
    rows = [{**named, "slice": 3, "label": 1, "dice": dice, **measured},
            {**named, "slice": None, "label": None, "dice": dice / 2, **measured}]  # fmt: skip
    cases = pd.DataFrame(rows).astype({"slice": "Int64", "label": "Int64"})
    pictures = {"masks": np.eye(10, dtype=bool)[None, None], "presence": np.float32([[0.5]])}
    pictures |= {"row": np.array([3]), "cohort": np.array(["lits"])}
    return write_record(run, Contents(facts, cases, answers or {}, pictures))


def test_a_run_has_one_folder_however_it_is_written(results):
    run = Run(POCKET, "SAM-Mix", 50, 3, ("prompting.threshold=0.30", "mix.choice=best"))
    same = Run(POCKET, "sam_mix", 50, 3, ("mix.choice=best", "prompting.threshold=3e-1"))
    assert run == same
    place = "runs/pocket/sam_mix/labels-50/seed-3/mix.choice=best,prompting.threshold=0.3"
    assert run.folder == results / place
    assert Run(POCKET, "unet", None, 1).folder == results / "runs/pocket/unet/full/seed-1"


def test_changes_keep_the_type_of_a_setting():
    changed = apply_changes(
        POCKET,
        ("sam.lora.rank=2", "data.slices.middle=1", "prompting.regions=each",
         "learning.sam.steps_per_epoch=null", "data.labelled=[5, 7]"),
    )  # fmt: skip
    assert changed.sam.lora.rank == 2
    assert changed.data.slices.middle == 1.0
    assert changed.prompting.regions == "each"
    assert changed.learning["sam"].steps_per_epoch is None
    assert changed.data.labelled == (5, 7)
    assert replace(changed, sam=POCKET.sam, data=POCKET.data, prompting=POCKET.prompting,
                   learning=POCKET.learning) == POCKET  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("prompting.omega=1",), "known here are threshold, regions"),
        (("learning.sum.epochs=1",), "known here are sam"),
        (("prompting.threshold.x=1",), "no group"),
        (("prompting.threshold=high",), "expected float, found 'high'"),
        (("sam.lora.rank=2.5",), "expected int"),
        (("prompting.threshold",), "name=value"),
        (("seed=1", "seed=2"), "changed twice"),
    ],
)
def test_a_wrong_change_is_one_readable_error(changes, words):
    with pytest.raises(SamnbError, match=words):
        _ = Run(POCKET, "sam_mix", 50, 1, changes).settings


def test_a_record_comes_back_as_it_was_written():
    run = Run(POCKET, "sam_mix", 50, 1)
    assert read_record(run) is None
    masks = np.eye(10, dtype=bool)[None]
    kept = Answers(np.array([3]), pack(masks[:, None]), 10, presence=np.float32([[0.5]]))
    _write(run, answers={("lits", "nobody"): kept})
    record = read_record(run)
    assert record.facts["summary"]["lits"]["auc"] is None
    assert record.slices[["cohort", "user", "scan", "slice", "dice"]].to_dict("list") == {
        "cohort": ["lits"], "user": ["nobody"], "scan": ["7"], "slice": [3], "dice": [0.5]
    }  # fmt: skip
    assert record.scans["dice"].tolist() == [0.25]
    assert "slice" not in record.scans
    assert np.array_equal(record.pictures["masks"], masks)
    assert record.pictures["presence"].tolist() == [0.5]
    assert np.array_equal(record.all_pictures["masks"], masks[:, None])
    assert record.pictures["row"].tolist() == record.all_pictures["row"].tolist() == [3]
    back = record.answers["lits", "nobody"]
    assert np.array_equal(back.masks(), masks)
    assert back.rows.tolist() == [3]
    assert back.presence.tolist() == [[0.5]]
    assert back.boxes is None
    assert len(list(run.folder.iterdir())) == 3
    assert run_of(record, POCKET) == run


def test_answers_of_several_users_about_several_targets_come_back_apart():
    run = Run(POCKET, "sam_mix", 50, 1)
    asked = [(cohort, user) for cohort in ("lits", "abroad") for user in ("a box", "clicks x 3")]
    generator = np.random.default_rng(0)
    masks = {each: generator.random((2, 3, 9, 9)) < 0.5 for each in asked}
    given = {each: Answers(np.array([3, 5]), pack(masks[each]), 9) for each in asked}
    pictures = {"masks": masks[asked[0]], "scores": np.zeros((2, 3, 3), np.float32)}
    facts = {"summary": {}}
    cases = pd.DataFrame({"cohort": []})
    record = write_record(run, Contents(facts, cases, given, pictures))
    back = record.answers
    assert set(back) == set(asked)
    for each in asked:
        for target in range(3):
            assert np.array_equal(back[each].masks(target=target), masks[each][:, target])
    assert np.array_equal(record.all_pictures["masks"], masks[asked[0]])
    assert np.array_equal(record.pictures["masks"], masks[asked[0]][:, 0])
    assert record.pictures["scores"].shape == (2, 3)


def test_pictures_of_a_record_from_before_there_were_targets_are_of_the_first(results):
    """Then masks were (n, S, S), alternatives (n, 3, S, S), and everything else had no K either."""
    run = Run(POCKET, "sam_mix", 50, 1)
    _write(run)
    masks = np.random.default_rng(0).random((2, 9, 9)) < 0.5
    old = {
        "masks": masks,
        "alternatives": np.stack([masks] * 3, axis=1),
        "scores": np.float32([[0.1, 0.2, 0.3]] * 2),
        "presence": np.float32([0.5, 0.6]),
        "row": np.array([3, 4]),
    }
    packed = {name: np.packbits(old[name], axis=-1) for name in ("masks", "alternatives")}
    stored = {f"picture {name}": value for name, value in (old | packed).items()}
    np.savez_compressed(run.folder / records.ANSWERS, side=np.int64(9), **stored)
    record = read_record(run)
    assert record.answers == {}
    for name, value in old.items():
        assert np.array_equal(record.pictures[name], value), name
        whole = value if name == "row" else value[:, None]
        assert np.array_equal(record.all_pictures[name], whole), name


def test_a_new_record_takes_the_place_of_the_old_and_spares_changed_runs():
    run, changed = Run(POCKET, "sam_mix", 50, 1), Run(POCKET, "sam_mix", 50, 1, ("seed=2",))
    _write(changed)
    _write(run)
    before = {path: path.read_bytes() for path in run.folder.glob("*.*") if path.is_file()}
    _write(run, dice=0.7)
    assert read_record(run).slices["dice"][0] == 0.7
    assert read_record(changed).slices["dice"][0] == 0.5
    _write(run)
    assert {path: path.read_bytes() for path in before} == before  # the same bytes again


def test_a_writer_that_fails_leaves_the_old_record(results, monkeypatch):
    run = Run(POCKET, "sam_mix", 50, 1)
    _write(run)
    monkeypatch.setattr(records, "plain", lambda facts: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _write(run, dice=0.7)
    assert read_record(run).slices["dice"][0] == 0.5
    assert not list(results.rglob(".writing-*"))


def test_all_cases_in_one_table():
    with pytest.raises(SamnbError, match="samnb run --all"):
        load_cases(POCKET)
    _write(Run(POCKET, "sam_mix", 50, 1))
    _write(Run(POCKET, "sam_mix", 50, 2, ("mix.choice=best",)), dice=0.25)
    assert len(all_records(POCKET)) == 2
    for what in ("slices", "scans"):
        cases = load_cases(POCKET, what)
        assert list(cases)[:4] == ["system", "seed", "change", "cohort"]
        assert cases["seed"].tolist() == [1, 2]
        assert cases["change"].tolist() == ["", "mix.choice=best"]
        assert cases["dice"].tolist() == ([0.5, 0.25] if what == "slices" else [0.25, 0.125])
    with pytest.raises(SamnbError, match="use slices or scans"):
        load_cases(POCKET, "voxels")
