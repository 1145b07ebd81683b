"""The reproduction report: each number of the reference gets the right one of four verdicts."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

import report  # noqa: E402

from samnb.reports.reproduction import compare_values, count_verdicts, values_of  # noqa: E402

TABLE = """System,dice,dice_deviation,dice_low,paper_dice,training_seconds,seeds,said
A,0.900000,0.01,0.85,0.88,12.5,3,holds: 0.900 to 0.850
"""


def _record(seed, dice, **facts):
    known = {
        "name": "A-5", "changes": [], "seed": seed, "multiply_adds": 1000,
        "parameters": {"total": 10, "trainable": 4}, "device": "cpu", "precision": "float32",
        "data": {"slices of home": "abc"}, "summary": {"home": {"dice": dice, "auc": None}},
    }  # fmt: skip
    return json.dumps(known | facts)


def _results(dice=(0.90, 0.92), table=TABLE, **facts):
    texts = {
        f"results/runs/p/a/labels-5/seed-{seed}/record.json": _record(seed, each, **facts)
        for seed, each in enumerate(dice, start=1)
    }
    return texts | {"results/tables/p/home-slices.csv": table}


def _verdicts(made, reference=None):
    compared = compare_values(values_of(reference or _results()), values_of(made))
    return {(each.value.place, each.value.name): each.verdict for each in compared}


def test_the_same_results_match_in_every_number():
    verdicts = _verdicts(_results())
    assert set(verdicts.values()) == {"matched"}
    # two records: dice and three counts each; the table: six numbers, the words and two in them
    assert len(verdicts) == 2 * 4 + 5 + 3


def test_a_mean_may_differ_by_the_deviation_between_seeds():
    deviation = 0.02 / 2**0.5
    for shift, verdict in ((0.9, "within tolerance"), (1.1, "drifted")):
        verdicts = _verdicts(_results((0.90 + shift * deviation, 0.92)))
        assert verdicts["A-5, seed 1", "home dice"] == verdict
        assert verdicts["A-5, seed 2", "home dice"] == "matched"


def test_a_mean_may_differ_by_one_deviation_and_not_by_two():
    for shift, verdict in ((0.009, "within tolerance"), (0.015, "drifted")):
        table = TABLE.replace("0.900000,", f"{0.9 + shift:.6f},")
        assert _verdicts(_results(table=table))["table home-slices", "A: dice"] == verdict


def test_a_single_seed_is_measured_by_what_is_usual_for_the_metric():
    alone = _record(1, 0.8, changes=["x=1"])
    path = "results/runs/p/a/labels-5/seed-1/x=1/record.json"
    near, far = (_record(1, dice, changes=["x=1"]) for dice in (0.81, 0.83))
    for other, verdict in ((near, "within tolerance"), (far, "drifted")):
        verdicts = _verdicts(_results() | {path: other}, _results() | {path: alone})
        assert verdicts["A-5 x=1, seed 1", "home dice"] == verdict


def test_what_was_not_made_is_missing_and_what_is_new_is_not_judged():
    made = _results((0.90, 0.92, 0.91))
    del made["results/tables/p/home-slices.csv"]
    verdicts = _verdicts(made)
    assert {name for name, verdict in verdicts.items() if verdict == "missing"} == {
        name for name in verdicts if name[0] == "table home-slices"
    }
    assert ("A-5, seed 3", "home dice") not in verdicts


def test_counts_must_match_and_seconds_are_not_judged():
    verdicts = _verdicts(_results(multiply_adds=1001, table=TABLE.replace("12.5", "99")))
    assert verdicts["A-5, seed 1", "multiply_adds"] == "drifted"
    assert not [name for _, name in verdicts if "seconds" in name]


@pytest.mark.parametrize(
    ("before", "after", "name", "verdict"),
    [
        ("0.900000,", "0.905,", "dice", "within tolerance"),
        ("0.900000,", "0.915,", "dice", "drifted"),
        ("0.85,", "0.855,", "dice_low", "within tolerance"),
        ("0.88", "0.87", "paper_dice", "drifted"),
        (",3,", ",2,", "seeds", "drifted"),
        ("holds", "does not hold", "said (words)", "drifted"),
        ("to 0.850", "to 0.852", "said (2)", "within tolerance"),
        ("to 0.850", "to 0.500", "said (2)", "drifted"),
    ],
)
def test_a_number_of_a_table_is_judged_by_what_it_is(before, after, name, verdict):
    assert before in TABLE
    verdicts = _verdicts(_results(table=TABLE.replace(before, after, 1)))
    assert verdicts["table home-slices", f"A: {name}"] == verdict
    others = [each for (_, known), each in verdicts.items() if known != f"A: {name}"]
    assert set(others) == {"matched"}


@pytest.mark.parametrize(("now", "verdict"), [("0.04", "within tolerance"), ("0.06", "drifted")])
def test_a_p_value_stays_on_its_side(now, verdict):
    path = "results/tables/p/home-significance.csv"
    compared = compare_values(
        values_of({path: "System,A,B\nA,,0.01\n"}), values_of({path: f"System,A,B\nA,,{now}\n"})
    )
    assert [each.verdict for each in compared] == [verdict]


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """Made-up committed results, and a folder of results that holds the same."""
    for path, text in _results().items():
        place = tmp_path / path
        place.parent.mkdir(parents=True)
        place.write_text(text)
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr(report, "committed_texts", lambda *folders: _results())
    return tmp_path


def test_the_report_tells_records_made_anew_from_those_only_read(committed):
    assert (report.compare("p").anew, report.compare("p").read) == (0, 2)
    path = committed / "results/runs/p/a/labels-5/seed-2/record.json"
    path.write_text(_record(2, 0.92, commit="another"))
    found = report.compare("p")
    assert (found.anew, found.read) == (1, 1)
    assert found.good


def test_a_drift_is_on_the_page_and_not_good(committed):
    path = committed / "results/runs/p/a/labels-5/seed-2/record.json"
    path.write_text(_record(2, 0.5))
    times = committed / "build" / "times"
    times.mkdir(parents=True)
    (times / "01_first.tsv").write_text("s\th:m:s\tmax_rss\n12.4\t0:00:12\t340.5\n")
    found = report.compare("p")
    assert not found.good
    assert "1 drifted, 0 missing" in report.say(found)
    page = report.write_page({"p": found}, committed / "build", {"p": "2 certified"})
    assert "| drifted | A-5, seed 2 | home dice | 0.92 | 0.5 |" in page
    assert "| 01_first | 12 | 340 |" in page
    assert "| hash: slices of home | abc |" in page
    assert "| records | 1 made anew, 1 read from the committed ones |" in page


def test_every_study_has_a_line_and_a_section_of_its_own(committed):
    path = committed / "results/runs/p/a/labels-5/seed-2/record.json"
    found = {"p": report.compare("p")}
    path.write_text(_record(2, 0.5))
    found["q"] = report.compare("p")
    lines = report.say_all(found).splitlines()
    assert [line.split(":")[0] for line in lines] == ["p", "q"]
    assert "0 drifted" in lines[0]
    assert "1 drifted" in lines[1]
    page = report.write_page(found, committed / "build", {"p": "2 fresh", "q": "1 stale"})
    _, first, second = page.split("## Profile ")
    assert "| state of the planned runs | 2 fresh |" in first
    assert "| state of the planned runs | 1 stale |" in second
    assert "| drifted | A-5, seed 2 |" not in first
    assert "| drifted | A-5, seed 2 |" in second


def test_without_a_reference_nothing_is_claimed(committed, monkeypatch):
    monkeypatch.setattr(report, "committed_texts", lambda *folders: {})
    found = report.compare("p")
    assert found.good
    assert "No committed numbers" in report.say(found)


def test_the_committed_results_are_read_from_git():
    texts = report.committed_texts("results/tables/pocket")
    if texts is None:
        pytest.skip("not a git checkout")
    assert "results/tables/pocket/costs.csv" in texts
    # A folder that is not committed takes nothing from the others.
    assert report.committed_texts("results/tables/nowhere", "results/tables/pocket") == texts
    assert count_verdicts(compare_values(values_of(texts), values_of(texts)))["missing"] == 0
