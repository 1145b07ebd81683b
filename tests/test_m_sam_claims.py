"""What M-SAM's own numbers say of its claims, and what hand-made scans of ours say."""

import numpy as np
import pandas as pd
import pytest
import yaml
from made_tumours import clicked, scans, studies

from samnb.reports import m_sam
from samnb.reports.claim_rules import FAILS, HOLDS, OTHERWISE, TIE, UNTESTABLE, Evidence
from samnb.reports.claim_rules import evaluate_claim as evaluate
from samnb.reports.claim_rules_m_sam import M_SAM_RULES
from samnb.reports.claims import HERE, ON_PAPER, OUR_NUMBERS, PAPER_NUMBERS
from samnb.reports.claims_m_sam import _FILE, audit_m_sam, counted, paper_evidence

TEN = "10 random clicks"


@pytest.fixture(scope="module")
def audit():
    return audit_m_sam(m_sam.all_cases(studies())).set_index("name")


@pytest.fixture(scope="module")
def entries():
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [
        ("Best of table 1", HOLDS, "40 of 40 ahead"),
        ("Two percent ahead", HOLDS, "recomputed 1.95 points"),
        ("Underlined", HOLDS, "5 of 5"),
        ("Against SAM-Med3D", HOLDS, "5 of 5"),
        ("Swin UNETR on brains", HOLDS, "0.9048"),
        ("Swin UNETR on the pancreas", OTHERWISE, "10 is the difference in points"),
        ("U-Nets vary", FAILS, "not: nnFormer 12.47, M-SAM 13.01"),
        ("SAM-based below U-Net-based", HOLDS, "5 of 5 lower"),
        ("SAM-Med3D falls short", FAILS, "7 of 10 ahead"),
        ("Slices against volumes", FAILS, "2 of 5 ahead"),
        ("Fewer parameters than the mean", HOLDS, "the mean 161.3; the median 104"),
        ("Fourth in tunable parameters", HOLDS, "behind SAM3D 1.88, Med-SA 13, nnU-Net 16"),
        ("Lower cost", UNTESTABLE, "no time and no operations"),
        ("About twenty percent", HOLDS, "21.19 %"),
        ("Share that is trained", OTHERWISE, "recomputed 21.12; 21.41 is the share with LoRA"),
        ("Share without the adapter", OTHERWISE, "recomputed 7.68; 8.09 is the share"),
        ("Size of M-SAM", HOLDS, "118"),
        ("Size of SAM3D", FAILS, "89.67 and 1.88 make 91.55, printed 91.88"),
        ("Ten points", HOLDS, "1 and 9 make 10"),
        ("Ten rounds in the code", FAILS, "recomputed 11"),
        ("Weights of the loss", FAILS, "recomputed 1.0"),
        ("Differences of table 2", HOLDS, "16 of 16"),
        ("Rates of table 2", HOLDS, "16 of 16"),
        ("Before the transfer", OTHERWISE, "M-SAM: before 82.17, on its source 81.62"),
        ("Loss between public sets", HOLDS, "recomputed 3.230"),
        ("Loss with the private set", HOLDS, "recomputed 4.896"),
        ("Less than SAM-Med3D, public", HOLDS, "recomputed 0.748"),
        ("Less than SAM-Med3D, private", HOLDS, "recomputed 0.715"),
        ("U-Nets lose a tenth", HOLDS, "8 of 8 lose it; in points 3 of 8 do not"),
        ("Ahead after the transfer", HOLDS, "12 of 12"),
        ("Least loss, in percent", HOLDS, "12 of 12"),
        ("Least loss, in points", FAILS, "2 of 4"),
        ("SAM-based methods adapt", HOLDS, "16 of 16"),
        ("Targets not trained on", FAILS, "3 of 4"),
        ("Benchmarks not trained on", FAILS, "5 of 5"),
        ("As good as all of it", HOLDS, "3 of 3 not behind"),
        ("The adapter, Dice", HOLDS, "KiTS19 +5.83, ablation: BraTS 2021 +7.73"),
        ("The adapter, private Dice", FAILS, "+4.21 points (5.40 % of it)"),
        ("The adapter, private IoU", FAILS, "+5.86 points (9.17 % of it)"),
        ("Learning at all", HOLDS, "9 of 9"),
        ("IoU over cases", FAILS, "0 of 12 above"),
        ("One number for brains", HOLDS, "92.08"),
        ("One number for kidneys", FAILS, "93.50 and M-SAM (ablation: KiTS19) 92.58"),
        ("One number for livers", FAILS, "89.95 and M-SAM (before: MSD Hepatic to LiTS) 86.89"),
        ("One number for UNETR", FAILS, "73.29"),
        ("Masks get better", UNTESTABLE, "the last click only"),
        ("Crop or pad", UNTESTABLE, "no cases"),
    ],
)  # fmt: skip
def test_what_the_papers_own_numbers_say(audit, name, verdict, says):
    assert audit.loc[name, ON_PAPER] == verdict
    assert says in audit.loc[name, PAPER_NUMBERS]


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [
        ("Best of table 1", UNTESTABLE, "not ranked, only some were told where; KiTS19: M-SAM"),
        ("Swin UNETR on the pancreas", UNTESTABLE, "no cases"),
        ("Against SAM-Med3D", TIE, "1 of 2 ahead; tied: M-SAM 0.925"),
        ("SAM-based below U-Net-based", UNTESTABLE, "not ranked"),
        ("Fewer parameters than the mean", UNTESTABLE, "the paper's own numbers"),
        ("Loss with the private set", UNTESTABLE, "another number"),
        ("Less than SAM-Med3D, private", HOLDS, "1 of 1 ahead"),
        ("U-Nets lose a tenth", TIE, "MSD Lung to Lung100, UNETR -5.00 points"),
        ("Ahead after the transfer", UNTESTABLE, "not ranked"),
        ("Ahead of SAM-Med3D after", HOLDS, "1 of 1 ahead"),
        ("Least loss, in points", HOLDS, "1 of 1 ahead"),
        ("Targets not trained on", UNTESTABLE, "shapes only"),
        ("As good as all of it", FAILS, "0.8250 and whole encoder trained 0.8450"),
        ("The adapter, Dice", HOLDS, "1 of 1 ahead"),
        ("The adapter, IoU", HOLDS, "1 of 1 ahead"),
        ("Learning at all", HOLDS, "4 of 4 ahead"),
        ("IoU over cases", HOLDS, "6 of 6 above"),
        ("Masks get better", HOLDS, "2 of 2 improve"),
        ("Crop or pad", FAILS, "0.8250 and cropped: M-SAM 0.8450"),
    ],
)  # fmt: skip
def test_what_ours_say(audit, name, verdict, says):
    assert audit.loc[name, HERE] == verdict
    assert says in audit.loc[name, OUR_NUMBERS]


def test_without_records_every_claim_says_so():
    audit = audit_m_sam(m_sam.all_cases({}))
    assert len(audit) >= 50
    assert set(audit[HERE]) == {UNTESTABLE}
    assert audit[OUR_NUMBERS].ne("").all()


def test_parameters_follow_from_those_of_the_public_networks(entries):
    found = counted(entries["parameters"])
    # Twelve blocks of width 768: two pairs of matrices for queries and values.
    lora = 2 * 2 * 16 * 768 * 12
    whole = 92924928 + 8668 + 7575636 + 17145024 + lora
    assert found["sixteen_millions"] == pytest.approx(whole / 1e6)
    assert found["sixteen_millions"] == pytest.approx(118.24, abs=0.005)
    assert found["sixteen_trained"] == pytest.approx(25.32, abs=0.005)
    assert found["released_millions"] == pytest.approx(117.80, abs=0.005)
    assert found["released_trained"] == pytest.approx(24.88, abs=0.005)
    assert found["sixteen_share_without"] == pytest.approx(8.085, abs=0.0005)
    assert found["sam_med3d"] == pytest.approx(100.509232)


def on_paper(kind, tables, **settings):
    """A rule on printed numbers; tables: Dice by cohort and system."""
    frames = {
        name: pd.DataFrame.from_dict(
            {row: value if isinstance(value, dict) else {"dice": value}
             for row, value in table.items()},
            orient="index",
        )
        for name, table in tables.items()
    }  # fmt: skip
    return evaluate(Evidence(frames, {}, True), kind, rules=M_SAM_RULES, **settings)


def of_ours(kind, tables, **settings):
    """A rule on scans, by cohort and system."""
    cases = pd.concat([
        table.assign(cohort=cohort, system=system, iou=table["dice"] / (2 - table["dice"]))
        for cohort, systems in tables.items() for system, table in systems.items()
    ])  # fmt: skip
    means = {name: each.groupby("system")[["dice", "iou"]].mean()
             for name, each in cases.groupby("cohort")}  # fmt: skip
    return evaluate(Evidence(means, {}, False, cases), kind, rules=M_SAM_RULES, **settings)


def test_a_lead_is_over_the_best_other_of_each_cohort():
    tables = {"x": {"A": 0.9, "B": 0.85, "C": 0.8}, "y": {"A": 0.8, "B": 0.7, "C": 0.79}}
    asked = {"cohorts": ["x", "y"], "metric": "dice", "system": "A", "against": ["B", "C"]}
    assert on_paper("mean_lead", tables, printed="3.0", **asked).verdict == HOLDS
    assert on_paper("mean_lead", tables, printed="7.5", **asked).verdict == FAILS


def test_the_second_is_not_the_first_and_not_the_third():
    table = {"x": {"A": 0.9, "B": 0.85, "C": 0.8}}

    def verdict(name):
        return on_paper("second_best", table, metric="dice", second={"x": name}).verdict

    assert [verdict(name) for name in "ABC"] == [FAILS, HOLDS, FAILS]


def transfer(before, after, difference, rate):
    """Table 2 with one system, whose numbers are the same for every transfer."""
    names = ("LiTS to MSD Hepatic", "MSD Hepatic to LiTS")
    names += ("MSD Lung to Lung100", "Lung100 to MSD Lung")
    columns = {"before: ": before, "after: ": after, "loss: ": difference, "rate: ": rate}
    return {side + name: {"A": value} for side, value in columns.items() for name in names}


def test_differences_and_rates_are_recomputed():
    right = transfer(0.80, 0.76, -0.04, -5.0)
    assert on_paper("differences", right).verdict == HOLDS
    assert on_paper("rates", right).verdict == HOLDS
    assert on_paper("differences", transfer(0.80, 0.76, -0.05, -5.0)).verdict == FAILS
    found = on_paper("rates", transfer(0.80, 0.76, -0.04, -5.26))  # in percent of after
    assert found.verdict == FAILS
    assert "recomputed -5.00" in found.numbers


def test_before_may_be_of_the_source_or_of_the_target():
    def verdict(source, target):
        tables = transfer(0.8, 0.7, -0.1, -12.5)
        tables |= {"MSD Lung": {"A": source}, "ablation: Lung100": {"A": target}}
        asked = {"transfers": ["MSD Lung to Lung100"], "systems": ["A"]}
        return on_paper("before_is_the_sources", tables, **asked).verdict

    assert verdict(0.8, 0.9) == HOLDS
    assert verdict(0.9, 0.8) == OTHERWISE
    assert verdict(0.9, 0.9) == FAILS


def test_iou_that_is_computed_from_the_mean_dice_is_no_mean():
    def verdict(iou):
        table = {"x": {"A": {"dice": 0.8, "iou": iou}}}
        return on_paper("of_single_cases", table, cohorts=["x"], systems=["A"]).verdict

    assert verdict(0.6667) == FAILS  # 0.8 / 1.2
    assert verdict(0.68) == HOLDS
    assert verdict(np.nan) == UNTESTABLE
    alike = scans("A", 0.8, patients=1)
    asked = {"cohorts": ["x"], "systems": ["A"]}
    assert of_ours("of_single_cases", {"x": {"A": alike}}, **asked).verdict == FAILS
    assert of_ours("of_single_cases", {"x": {"A": scans("A", 0.8)}}, **asked).verdict == HOLDS


def test_points_and_percent_of_a_gain():
    table = {"x": {"A": 0.60, "B": 0.50}}
    asked = {"cohorts": ["x"], "metric": "dice", "system": "A", "against": "B"}

    def verdict(printed, **more):
        return on_paper("gained_points", table, printed=printed, **asked, **more).verdict

    assert verdict("10") == HOLDS
    assert verdict("20") == OTHERWISE  # percent of it
    assert verdict("12") == FAILS
    assert verdict("9.9", at_least=True) == HOLDS
    assert verdict("10.1", at_least=True) == FAILS


def test_nearly_identical_is_within_a_point_on_paper_and_not_surely_behind_of_ours():
    asked = {"cohorts": ["x"], "metric": "dice", "system": "A", "other": "B"}
    assert on_paper("not_behind", {"x": {"A": 0.89, "B": 0.90}}, **asked).verdict == HOLDS
    assert on_paper("not_behind", {"x": {"A": 0.88, "B": 0.90}}, **asked).verdict == FAILS
    ahead, steady, shaky = scans("B", 0.6), scans("A", 0.55), scans("A", 0.55, spread=0.2)
    assert of_ours("not_behind", {"x": {"A": steady, "B": ahead}}, **asked).verdict == FAILS
    assert of_ours("not_behind", {"x": {"A": shaky, "B": ahead}}, **asked).verdict == HOLDS


def test_a_loss_of_ours_is_sure_or_a_tie():
    asked = {"transfers": ["t"], "systems": ["A"], "percent": 10}

    def verdict(**scan):
        return of_ours("loses", {"loss: t": {"A": scans("A", **scan)}}, **asked).verdict

    assert verdict(level=-0.2) == HOLDS
    assert verdict(level=-0.02) == TIE  # patients differ: -0.02 to +0.03
    assert verdict(level=-0.2, spread=0.3) == TIE  # seeds do
    assert verdict(level=0.2) == FAILS
    assert verdict(level=-0.2, seeds=(1,)) == UNTESTABLE


def test_every_further_click_has_to_help():
    def verdict(levels):
        names = ["A, clicks 1", "A, clicks 3", "A"]
        tables = {name: scans(name, level) for name, level in zip(names, levels, strict=True)}
        asked = {"cohorts": ["x"], "metric": "dice", "system": "A"}
        return of_ours("improves", {"x": tables}, **asked).verdict

    assert verdict([0.5, 0.6, 0.7]) == HOLDS
    assert verdict([0.5, 0.7, 0.6]) == FAILS
    assert verdict([0.5, 0.6, 0.6]) == TIE


def test_counts_of_the_pre_training_are_those_of_the_sets(entries):
    counts = paper_evidence(entries["counts"], entries["parameters"]).counts
    assert [counts[name] for name in ("targets", "targets_seen")] == [4, 3]
    assert [counts[name] for name in ("benchmarks", "benchmarks_seen")] == [5, 5]


def test_who_got_the_papers_ten_clicks_has_the_papers_name():
    cases = m_sam.all_cases({"m-sam-kits": pd.concat(clicked("M-SAM", 0.7))})
    audit = audit_m_sam(cases).set_index("name")
    said = audit.loc["Masks get better", OUR_NUMBERS]
    assert said.startswith("2 of 2 improve")
    assert TEN not in said
