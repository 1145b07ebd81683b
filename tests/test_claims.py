"""The audit of the paper's claims: its own arithmetic by hand, and ours on made-up systems."""

import numpy as np
import pandas as pd
import pytest
from made_cases import made_cases

from samnb.reports import claims
from samnb.reports.claim_rules import FAILS, HOLDS, OTHERWISE, UNTESTABLE, Evidence, evaluate_claim
from samnb.reports.claims import HERE, ON_PAPER, OUR_NUMBERS, PAPER_NUMBERS

# Everything the paper has, in the order that it claims.
AS_CLAIMED = {
    "U-Net": 0.60,
    "nnU-Net": 0.55,
    "TransUNet": 0.58,
    "MultiMix-50": 0.30,
    "SAM-PP-0": 0.20,
    "SAM-PP-5": 0.35,
    "SAM-PP-50": 0.45,
    "SAM-PP-100": 0.50,
    "SAM-Mix-5": 0.70,
    "SAM-Mix-50": 0.90,
    "SAM-Mix-100": 0.80,
}


@pytest.fixture(scope="module")
def found():
    return claims.audit(made_cases(AS_CLAIMED)).set_index("name")


def evidence(published=True, **dice):
    table = pd.DataFrame({"dice": dice, "dice_deviation": 0.01, "hd": 1.0})
    counts = {"few": 5, "labelled": 50, "all": 10_000, "trainings": 5}
    return Evidence({"lits": table}, counts, published)


def improves(given, printed):
    settings = {"cohort": "lits", "metric": "dice", "system": "A", "against": ["B*", "C"]}
    return evaluate_claim(given, "gain", **settings, printed=printed)


def test_every_claim_gets_a_verdict_with_numbers(found):
    assert len(found) == len(set(found.index)) > 20
    assert found.notna().all(axis=None)
    assert found.ne("").all(axis=None)
    assert not found["claim"].str.contains("{", regex=False).any()


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [
        ("Dice over the best baseline", OTHERWISE, "5.7 % against U-Net"),
        ("Dice over U-Net", FAILS, "5.9 is the difference in points against TransUNet"),
        ("HD under full supervision", HOLDS, "22.38 % against TransUNet"),
        ("Cross-domain Dice", OTHERWISE, "25.4 is the difference in points against U-Net"),
        ("Cross-domain HD", HOLDS, "cut, not rounded"),
        ("Share of labels", FAILS, "recomputed 0.44 % (50 of 11,437); 0.04 is the share of 5"),
        ("Fewer epochs", HOLDS, "10 against 100"),
        ("Dice over full supervision", HOLDS, "9 of 9 pairs"),
        ("Superior in the table", FAILS, "SAM-Mix-100 14.671 and U-Net 13.496 (HD)"),
        ("U-Net is the best, HD", FAILS, "place 1: TransUNet"),
        ("HD of the others", FAILS, "nnU-Net 21.407"),
        ("All baselines, cross-domain", HOLDS, "48 of 48"),
        ("Small loss, any labels", FAILS, "SAM-Mix-5 0.112 and SAM-PP-0 0.107"),
        ("More labels help SAM-PP", FAILS, "SAM-PP-50 0.726 and SAM-PP-5 0.754"),
        ("Faster training", UNTESTABLE, "does not say"),
        ("Classifies as well", UNTESTABLE, "no AUC"),
    ],
)
def test_the_papers_own_arithmetic(found, name, verdict, says):
    assert found.loc[name, ON_PAPER] == verdict
    assert says in found.loc[name, PAPER_NUMBERS]


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("Dice over the best baseline", HOLDS),
        ("HD under full supervision", HOLDS),
        ("Dice over full supervision", HOLDS),
        ("One stage, equal labels", HOLDS),
        ("U-Net is the best, Dice", HOLDS),
        ("Best in table 2, Dice", HOLDS),
        ("Second in table 1, Dice", HOLDS),
        ("Second in table 1, HD", FAILS),
        ("HD of the others", FAILS),
        ("More labels help SAM-PP", HOLDS),
        ("Classifies as well", HOLDS),
        ("Share of labels", UNTESTABLE),
    ],
)
def test_cases_made_as_the_paper_claims(found, name, verdict):
    assert found.loc[name, HERE] == verdict


def test_without_a_system_nothing_is_said_of_it():
    few = claims.audit(made_cases({"U-Net": 0.9, "SAM-PP-0": 0.4})).set_index("name")
    assert few.loc["Dice over U-Net", HERE] == UNTESTABLE
    assert few.loc["Dice over U-Net", OUR_NUMBERS] == "no cases of SAM-Mix-50"
    assert few.loc["U-Net is the best, Dice", HERE] == UNTESTABLE
    assert set(few[HERE]) == {UNTESTABLE}


def test_a_missing_opponent_is_named(found):
    cases = made_cases({"U-Net": 0.6, "SAM-Mix-50": 0.9})
    partly = claims.audit(cases).set_index("name").loc["Dice over the best baseline"]
    assert partly[HERE] == HOLDS
    assert partly[OUR_NUMBERS].endswith("no cases of nnU-Net, TransUNet, MultiMix, SAM-PP")


def test_one_cohort_is_enough():
    cases = made_cases(AS_CLAIMED)
    one = claims.audit(cases[cases["cohort"] == "lits"]).set_index("name")
    assert one.loc["Cross-domain Dice", HERE] == UNTESTABLE
    assert one.loc["Dice over U-Net", HERE] == HOLDS


def test_runs_with_changed_settings_do_not_count(found):
    cases = made_cases(AS_CLAIMED)
    changed = cases[cases["system"] == "U-Net"].assign(dice=1.0, change="sam.lora.rank=2")
    again = claims.audit(pd.concat([cases, changed])).set_index("name")
    pd.testing.assert_frame_equal(again, found)


@pytest.mark.parametrize(
    ("printed", "verdict", "says"),
    [
        ("12.5", HOLDS, "recomputed 12.5 % against B"),
        ("12.50", HOLDS, "12.50 %"),
        ("10.0", OTHERWISE, "points against B"),
        ("50.0", FAILS, "50.0 is % of it against C"),
        ("99.9", FAILS, "recomputed 12.5 % against B (0.900, 0.800)"),
    ],
)
def test_a_printed_gain_is_recomputed_and_other_readings_are_named(printed, verdict, says):
    finding = improves(evidence(A=0.9, B=0.8, C=0.6), printed)
    assert finding.verdict == verdict
    assert finding.numbers.endswith(says) or says in finding.numbers


def test_our_gain_is_asked_for_its_direction_only():
    assert improves(evidence(False, A=0.9, B=0.8, C=0.6), "99.9").verdict == HOLDS
    assert improves(evidence(False, A=0.7, B=0.8, C=0.6), "99.9").verdict == FAILS


def test_equal_numbers_share_a_place_and_beat_nobody():
    tied = evidence(A=0.9, B=0.9, C=0.6)
    where = {"cohort": "lits", "metric": "dice", "among": ["A", "B", "C"]}
    assert evaluate_claim(tied, "rank", system="B", printed=1, **where).verdict == HOLDS
    assert evaluate_claim(tied, "rank", system="C", printed=2, **where).verdict == HOLDS
    beaten = evaluate_claim(
        tied, "order", cohorts=["lits"], metrics=["dice"], better=["A"], worse=["B"]
    )
    assert beaten.verdict == FAILS


def test_shares():
    given = evidence(A=1.0)
    settings = {"part": "labelled", "whole": "all"}
    assert evaluate_claim(given, "share", **settings, printed="0.5").verdict == HOLDS
    assert evaluate_claim(given, "share", **settings, printed="99.5", fewer=True).verdict == HOLDS
    assert (
        evaluate_claim(given, "share", part="nobody", whole="all", printed="1").verdict
        == UNTESTABLE
    )
    meant = evaluate_claim(given, "share", **settings, others=["few"], printed="0.05")
    assert (meant.verdict, meant.numbers.rpartition("; ")[2]) == (FAILS, "0.05 is the share of 5")


def test_one_pair_against_a_claim_about_all_pairs_is_enough():
    settings = {"cohorts": ["lits"], "metrics": ["dice"], "better": ["A"], "worse": ["B", "C"]}
    assert evaluate_claim(evidence(A=0.9, B=0.8, C=0.7), "order", **settings).verdict == HOLDS
    assert evaluate_claim(evidence(A=0.75, B=0.8, C=0.7), "order", **settings).verdict == FAILS


def test_to_be_significant_is_to_be_ahead():
    settings = {"cohort": "lits", "metric": "dice", "system": "A", "against": ["B"]}
    assert evaluate_claim(evidence(A=0.9, B=0.8), "significant", **settings).verdict == HOLDS
    assert evaluate_claim(evidence(A=0.8, B=0.9), "significant", **settings).verdict == FAILS


def test_the_tests_of_the_papers_numbers_are_corrected():
    # Means 0.015 apart, deviations 0.01 of five trainings each: t = 0.015 / (0.01 √(2/5)) = 2.37
    # with 8 degrees of freedom, p = 0.045. Of two such tests the larger corrected p is 0.09.
    settings = {"cohort": "lits", "metric": "dice", "system": "A"}
    given = evidence(A=0.900, B=0.885, C=0.885)
    assert evaluate_claim(given, "significant", against=["B"], **settings).verdict == HOLDS
    both = evaluate_claim(given, "significant", against=["B", "C"], **settings)
    assert both.verdict == FAILS
    assert "largest corrected p 0.09" in both.numbers


def test_a_bound_is_passed_in_every_cohort():
    table = pd.DataFrame({"auc": {"A": 0.9}})
    both = Evidence({"lits": table, "other": table - 0.5}, {}, published=False)
    settings = {"metric": "auc", "system": "A", "bound": 0.5}
    assert evaluate_claim(both, "above", cohorts=["lits"], **settings).verdict == HOLDS
    assert evaluate_claim(both, "above", cohorts=["lits", "other"], **settings).verdict == FAILS


def test_significance_needs_patients_enough_to_be_shown():
    settings = {"cohort": "lits", "metric": "dice", "system": "SAM-Mix-50", "against": ["U-Net"]}
    cases = made_cases({"U-Net": 0.5, "SAM-Mix-50": 0.9})
    sure = evaluate_claim(claims.our_evidence(cases, {}), "significant", **settings)
    assert sure.verdict == HOLDS
    few = cases[cases["patient"].isin(["lits-0", "lits-1"])]
    assert (
        evaluate_claim(claims.our_evidence(few, {}), "significant", **settings).verdict
        == UNTESTABLE
    )


def test_counts_of_records():
    def record(system, labels, seconds, epochs, changes=()):
        settings = {"learning": {"epochs": epochs}}
        return {
            "system": system,
            "labels": labels,
            "seconds": {"training": seconds},
            "settings": settings,
            "changes": list(changes),
        }

    records = [record("sam_mix", 5, 10, 4), record("sam_mix", 50, 20, 4)]
    records += [record("unet", None, 60, 8), record("unet", 50, 1, 1)]
    records += [record("sam_mix", 50, 1000, 1, ["a=1"])]
    counts = claims.counts_of_records(records)
    assert counts == {"epochs": 4, "baseline_epochs": 8}
    faster = claims.audit(made_cases(), counts).set_index("name").loc["Faster training"]
    assert faster[HERE] == UNTESTABLE  # seconds of a machine that did other work too
    timed = {"seconds": 15, "baseline_seconds": 60}
    faster = claims.audit(made_cases(), timed).set_index("name").loc["Faster training"]
    assert (faster[HERE], faster[OUR_NUMBERS]) == (HOLDS, "75 % (15 against 60)")
    assert claims.counts_of_records([]) == {}


def test_page_and_chart_show_every_claim(found):
    table = found.reset_index()
    html = claims.claims_page(table).to_html()
    assert html == claims.claims_page(table).to_html()
    assert html.count("<tr") == len(table) + 1
    assert "✗ does not hold" in html
    assert " at 0x" not in repr(claims.claims_page(table))
    assert claims.HERE not in claims.claims_page(table, [claims.ON_PAPER]).to_html()
    axes = claims.claims_chart(table).axes[0]
    assert sum(len(line.get_xdata()) for line in axes.lines) == 2 * len(table)
    counted = claims.verdict_counts(table)
    assert np.all(counted.sum() == len(table))
