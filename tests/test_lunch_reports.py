"""The tables, tests and claims of Cheap Lunch: the paper's digits, and ours on hand-made scans."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import Answers, pack
from samnb.reports import lunch, lunch_findings, lunch_synthesis
from samnb.reports.claim_rules import FAILS, HOLDS, OTHERWISE, TIE, UNTESTABLE, Evidence
from samnb.reports.claim_rules import evaluate_claim as evaluate
from samnb.reports.claim_rules_lunch import LUNCH_RULES
from samnb.reports.claims import HERE, ON_PAPER, PAPER_NUMBERS, verdict_counts
from samnb.reports.claims_lunch import audit_lunch, checkpoint, paper_evidence
from samnb.reports.lunch_budget import with_more_steps
from samnb.reports.lunch_figures import answer_grid
from samnb.reports.lunch_points import where_maps_point
from samnb.reports.lunch_real import real_table
from samnb.reports.lunch_silence import silenced
from samnb.reports.lunch_study import Shown, chosen_rows, middles
from samnb.reports.lunch_tests import (
    FIRST,
    SECOND,
    UNKNOWN,
    all_tests,
    compared,
    in_words,
    orders,
    paired_tests,
    users_compared,
)
from samnb.reports.lunch_tests import TIE as EVEN
from samnb.reports.paper_lunch import exemplar_counts, match_exemplars, published_lunch
from samnb.reports.printing import marks, printed

BRATS, SYNAPSE = [8, 15, 46], [1, 9, 18, 36]


def scans(system, level, user="point", seeds=(1, 2, 3), spread=0.0, patients=6, **columns):
    """One scan of one target per patient: Dice level + 0.01 × patient, + spread × (seed - 2)."""
    rows = [
        {
            "system": system, "seed": seed, "change": "", "user": user, "cohort": "brats",
            "target": "whole tumour", "patient": f"p{patient}", "scan": f"p{patient}",
            "dice": level + 0.01 * patient + spread * (seed - 2), "hd95": 20.0,
            "hd95_voxels": 10.0, "truth_voxels": 100, "answer_voxels": 90,
        }
        for seed in seeds
        for patient in range(patients)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**columns)


@pytest.fixture(scope="module")
def cases():
    parts = [scans("SAM", 0.2, seeds=(1,)), scans("Cheap Lunch", 0.9), scans("Cheap Lunch-8", 0.6)]
    parts += [scans("Cheap Lunch-15", 0.7), scans("Cheap Lunch-46", 0.7, spread=0.05)]
    parts += [scans("Cheap Lunch without synthesis-8", 0.5)]
    parts += [scans("SAMed_s-8", 0.8, "nobody"), scans("SAMed_s-15", 0.85, "nobody")]
    parts += [scans("Cheap Lunch-8", 0.55, "random point")]
    return pd.concat(parts, ignore_index=True)


def test_published_numbers_are_the_papers():
    tables = {number: published_lunch(number) for number in range(1, 7)}
    assert [len(table) for table in tables.values()] == [9, 11, 6, 6, 5, 6]
    first = tables[1].set_index(["system", "exemplars"])
    assert first.loc["Cheap Lunch", "150"][["dice", "hd"]].tolist() == [0.834, 10.03]
    second = tables[2].set_index(["system", "exemplars"])
    assert second.loc[("SAMed_s", "36"), ["dice", "hd", "aorta", "stomach"]].tolist() == [
        *(0.6696, 44.69, 0.6375, 0.6035)
    ]
    assert second.loc[("Cheap Lunch", "18"), "right kidney"] == 0.8646
    assert tables[5].attrs["user"] == tables[6].attrs["user"] == "random point"
    with pytest.raises(SamnbError, match="no table 7"):
        published_lunch(7)


def test_the_same_system_has_the_same_numbers_in_each_of_the_papers_tables():
    for full, part in ((1, 3), (2, 4)):
        whole, again = (published_lunch(number) for number in (full, part))
        keys = ["system", "exemplars"]
        both = whole.merge(again, on=keys, suffixes=("", "_again"))
        assert len(both) == 3
        names = [name for name in whole if name not in (*keys, "said")]
        assert all((both[name] == both[f"{name}_again"]).all() for name in names)


def test_exemplars_are_matched_by_number_or_else_by_place():
    assert exemplar_counts("brats") == [75, 150, 450]
    assert match_exemplars(SYNAPSE, exemplar_counts("synapse")) == {n: n for n in SYNAPSE}
    assert match_exemplars([46, 8, 15], [75, 150, 450]) == {8: 75, 15: 150, 46: 450}
    assert match_exemplars([9, 36], exemplar_counts("synapse")) == {9: 9, 36: 36}
    assert match_exemplars([4, 5], [75, 150, 450]) == {}


def test_the_table_by_hand(cases):
    table = lunch.lunch_table(cases, published_lunch(1), BRATS, 1600, (1, 2, 3))
    assert len(table) == 9
    row = table.loc["Cheap Lunch-8"]
    assert row["dice"] == pytest.approx(0.6 + 0.025)  # the mean of 0.00 ... 0.05; no random points
    assert (row["exemplars"], row["track"]) == ("8 (0.5 %)", "oracle")
    assert (row["paper_dsc"], row["paper_hd95"]) == (0.8278, 14.92)
    assert row["paper_exemplars"] == "75 (0.5%)"
    assert table.loc["Cheap Lunch-46", "dice_deviation"] == pytest.approx(0.05)
    assert row["dice_low"] < row["dice"] < row["dice_high"]
    assert table.loc["SAMed_s-46"][["dice", "missing"]].isna().tolist() == [True, False]
    assert table.loc["SAM", "missing"] == ""  # learns nothing: one run is all
    assert printed(table).loc["SAMed_s-46", "Dice"] == "–"


def test_an_oracle_is_never_ranked_with_who_works_alone_nor_with_all_slices(cases):
    found = marks(lunch.lunch_table(cases, published_lunch(1), BRATS))
    assert found.loc["SAMed_s-15", "Dice"] == "best"  # of its track; 0.85 against 0.70 is no race
    assert found.loc[["Cheap Lunch-15", "Cheap Lunch-46"], "Dice"].tolist() == ["best", "best"]
    assert found.loc["Cheap Lunch-8", "Dice"] == "second"
    assert found.loc["Cheap Lunch, all slices", "Dice"] == ""
    alone = cases[cases["system"] != "SAMed_s-15"]
    table = marks(lunch.lunch_table(alone, published_lunch(1), BRATS))
    assert table.loc["SAMed_s-8", "Dice"] == ""  # the best of one is no best


def test_random_points_stand_in_their_own_table(cases):
    table = lunch.lunch_table(cases, published_lunch(5), BRATS)
    assert table.loc["Cheap Lunch-8", "dice"] == pytest.approx(0.575)
    assert table["dice"].notna().sum() == 1


def test_without_records_the_paper_stands_alone():
    nothing = lunch.all_scans([], None)
    table = lunch.lunch_table(nothing, published_lunch(2), SYNAPSE)
    assert table["paper_dsc"].notna().all()
    assert table["dice"].isna().all()
    assert len(lunch.overview(table)) == 11
    assert lunch.two_rules(nothing, "point").empty
    assert all_tests(nothing, BRATS).empty
    assert in_words(all_tests(nothing, BRATS)).empty
    assert users_compared(nothing).empty
    audit = audit_lunch({"brats": nothing}, {"brats": BRATS})
    assert set(audit[HERE]) == {UNTESTABLE}
    assert len(lunch_findings.findings({"brats": nothing}, {"brats": BRATS}, audit)) == 1
    (sentence,) = lunch_findings.missing_records({"brats": nothing}, {"brats": "p"})
    assert "samnb run --all --profile p" in sentence


def test_organs_have_ours_above_the_papers():
    of = [scans("Cheap Lunch-9", 0.5, target=name) for name in ("aorta", "liver")]
    table = lunch.organ_table(pd.concat(of), published_lunch(4), SYNAPSE)
    assert table.loc["Cheap Lunch-9", "aorta"] == pytest.approx(0.525)
    assert np.isnan(table.loc["Cheap Lunch-9", "spleen"])
    assert table.loc["· paper, Cheap Lunch-9", "aorta"] == 0.8875
    assert list(table.index).index("Cheap Lunch-9") + 1 == list(table.index).index(
        "· paper, Cheap Lunch-9"
    )


def test_a_missed_target_is_the_worst_by_our_rule_and_costs_no_distance_by_the_public_one():
    silent = scans("SAMed_s-8", 0.5, "nobody", patients=2)
    missed = silent["patient"] == "p1"
    silent.loc[missed, ["dice", "hd95_voxels", "answer_voxels"]] = [0.0, 200.0, 0]
    row = lunch.two_rules(silent, "point").loc["SAMed_s-8"]
    assert row["missed"] == 50.0
    assert (row["hd95_voxels"], row["public_hd95"]) == (105.0, 5.0)
    assert row["dice"] == row["public_dice"] == 0.25


def test_a_difference_that_seeds_or_patients_could_turn_is_a_tie():
    low, high = scans("A-1", 0.5), scans("B-1", 0.6)
    assert compared(high, low).better() == FIRST
    assert compared(low, high).better() == SECOND
    assert compared(low, high).better(lower_is_better=True) == FIRST
    shaky = scans("B-1", 0.6, spread=0.2)
    assert compared(shaky, low).spread == pytest.approx(0.2)
    assert compared(shaky, low).better() == EVEN  # 0.1 apart, seeds 0.2
    mixed = low.assign(dice=low["dice"] + np.where(low["patient"] == "p0", -0.2, 0.05))
    assert compared(mixed, low).better() == EVEN  # one patient could turn it round
    assert compared(high[high["seed"] == 1], low).better() == UNKNOWN
    frozen = scans("SAM", 0.2, seeds=(1,))
    assert compared(low, frozen).better() == FIRST  # there is no chance in it


def test_pairs_are_tested_together_and_an_oracle_does_not_win_over_who_works_alone(cases):
    asked = lunch.asked(cases, "point")
    table = paired_tests(asked, [("Cheap Lunch-8", "SAM"), ("Cheap Lunch-8", "SAMed_s-8"),
                                 ("Cheap Lunch-8", "Attention U-Net-8")])  # fmt: skip
    assert len(table) == 2  # the third has no cases
    assert table["p"].tolist() == pytest.approx([2 * 2 / 2**6] * 2)  # six patients, two tests
    assert table["better"].tolist() == [FIRST, "not ranked: first was told where"]
    every = all_tests(asked, BRATS)
    words = in_words(every).loc["With synthesis or without?"]
    assert words["pair"] == "Cheap Lunch-8, Cheap Lunch without synthesis-8"
    assert words["difference"] == "+0.100 (+0.100 to +0.100)"
    assert every.loc["With synthesis or without?", "difference"] == pytest.approx(0.1)
    assert every.loc["Do more exemplars help?", "better"].tolist() == [FIRST, EVEN]


def test_the_middle_against_anywhere(cases):
    found = users_compared(cases)
    assert list(found.index) == ["Cheap Lunch-8"]
    assert found.loc["Cheap Lunch-8", "difference"] == pytest.approx(0.05)


def judged(kind, first, second, **settings):
    """A rule on our cases of two systems, A and B, of the cohort brats."""
    both = pd.concat([first.assign(system="A"), second.assign(system="B")])
    means = both.groupby("system")[["dice", "hd95_voxels"]].mean()
    table = means.rename(columns={"hd95_voxels": "hd"})
    given = Evidence({"brats": table}, {}, False, both)
    return evaluate(given, kind, rules=LUNCH_RULES, **settings).verdict


def test_claims_know_ties():
    pair = {"cohorts": ["brats"], "metrics": ["dice"], "better": ["A"], "worse": ["B"]}
    low, high = scans("x", 0.5), scans("x", 0.6)
    assert judged("ahead", high, low, **pair) == HOLDS
    assert judged("ahead", low, high, **pair) == FAILS
    assert judged("ahead", high, scans("x", 0.5, spread=0.3), **pair) == TIE
    assert judged("ahead", low, low, **pair) == TIE
    near, far = low.assign(hd95_voxels=5.0), low.assign(hd95_voxels=9.0)
    assert judged("ahead", near, far, **pair | {"metrics": ["hd"]}) == HOLDS
    assert judged("ahead", near, far, **pair | {"better": ["C"]}) == UNTESTABLE


def test_a_printed_tie_is_not_ahead():
    table = pd.DataFrame({"dice": {"A": 0.8528, "B": 0.8528}})
    given = Evidence({"brats": table}, {}, True)
    pair = {"cohorts": ["brats"], "metrics": ["dice"], "better": ["A"], "worse": ["B"]}
    assert evaluate(given, "ahead", rules=LUNCH_RULES, **pair).verdict == FAILS


@pytest.fixture(scope="module")
def audit(cases):
    return audit_lunch({"brats": cases}, {"brats": BRATS}).set_index("name")


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [
        ("Trainable parameters", OTHERWISE, "recomputed 1.65; 6.32 is the MiB of a file"),
        ("Share of SAM", OTHERWISE, "recomputed 1.76; 1.77 is the % of the bytes"),
        ("Training scans", HOLDS, "recomputed 228"),
        ("Slices of BraTS", FAILS, "printed 38340, recomputed 35,340"),
        ("Slices of Synapse", FAILS, "recomputed 2,211"),
        ("Share of exemplars, few", HOLDS, "75 of 14,662"),
        ("Exemplars per volume, table 4", FAILS, "recomputed 2"),
        ("Exemplars per volume, table 6", HOLDS, "recomputed 2"),
        ("Mean of organs, table 2", HOLDS, "14 of 14 rows"),
        ("Mean of organs, table 6", FAILS, "3 of 6 rows; Cheap Lunch-1: printed 72.88, mean 71.07"),
        ("HD95 against SAMed", HOLDS, "3 of 3 ahead"),
        ("Dice against SAMed, tumour", FAILS, "1 of 3 ahead"),
        ("One exemplar against SAM", HOLDS, "2 of 2 ahead"),
        ("One exemplar, a random point", FAILS, "0.7288 and SAM, random 0.7449"),
        ("18 exemplars, DSC", OTHERWISE, "recomputed 11.4 %"),
        ("18 exemplars, HD95", HOLDS, "recomputed 24.06"),
        ("Synthesis, Dice", HOLDS, "6 of 6 ahead"),
        ("Synthesis, HD95", FAILS, "16.94 and Cheap Lunch without synthesis-3% 11.14"),
        ("Synthesis, every organ", FAILS, "18 of 24 ahead"),
        ("Points matter more for organs", HOLDS, "3 of 3 ahead"),
        ("More exemplars, tumour", FAILS, "0.8307 and Cheap Lunch-1% 0.8340"),
        ("More exemplars, organs", HOLDS, "3 of 3 ahead"),
        ("Upper bound, tumour", HOLDS, "6 of 6 ahead"),
        ("The middle is the better point", FAILS, "8 of 11 ahead"),
    ],
)  # fmt: skip
def test_what_the_papers_own_numbers_say(audit, name, verdict, says):
    assert audit.loc[name, ON_PAPER] == verdict
    assert says in audit.loc[name, PAPER_NUMBERS]


def test_what_ours_say_under_the_papers_names(audit, cases):
    # 8, 15 and 46 exemplars stand at the places of 0.5, 1 and 3 %.
    assert audit.loc["Synthesis, Dice", HERE] == HOLDS  # 0.6 against 0.5, of the fewest alone
    assert audit.loc["More exemplars, tumour", HERE] == TIE  # 46 is level with 15
    assert audit.loc["Dice against SAMed, tumour", HERE] == FAILS
    assert audit.loc["The middle is the better point", HERE] == HOLDS
    assert audit.loc["Slices of BraTS", HERE] == UNTESTABLE
    assert verdict_counts(audit).loc[TIE, HERE] >= 1
    sentences = lunch_findings.findings({"brats": cases}, {"brats": BRATS}, audit.reset_index())
    assert "8 slices +0.100" in " ".join(sentences)


def test_the_worth_of_a_point_has_numbers_and_no_winner(cases, audit):
    own = scans("Cheap Lunch, self-pointed-8", 0.4, "nobody")
    both = {"brats": pd.concat([cases, own])}
    sentences = lunch_findings.findings(both, {"brats": BRATS}, audit.reset_index())
    (worth,) = [each for each in sentences if each.startswith("What the point")]
    assert worth.endswith("8 slices +0.200 (+0.200 to +0.200).")


def test_the_papers_tables_under_the_names_of_the_rules():
    tables = paper_evidence({"scans": 1, "training_scans": 1, "slices_of_a_scan": 1,
                             "most_exemplars": 1, "volumes": 1}).tables  # fmt: skip
    assert tables["brats"].loc["Cheap Lunch without synthesis-1%", "dice"] == 0.8176
    assert tables["synapse, random"].loc["Cheap Lunch-all", "hd"] == 12.43
    assert tables["synapse"].index.is_unique


def test_what_a_checkpoint_weighs():
    # LoRA of rank 4 on q, v: 12 blocks × 12,288 and 23,552 in the decoder; 9 tokens × 256; 9
    # hyper-networks × (2 × 65,792 + 8,224); upscaling 73,952; IoU token 256 and head (2 × 65,792 +
    # 2,313); prompt encoder 6,220.
    parts = 12 * 12_288 + 23_552 + 9 * 256 + 9 * (2 * 65_792 + 8_224) + 73_952
    parts += 256 + 2 * 65_792 + 2_313 + 6_220
    size = checkpoint()
    assert size["trained_millions"] == pytest.approx(parts / 1e6)
    assert size["trained_mebibytes"] == pytest.approx(4 * parts / 2**20)
    assert round(size["file_mebibytes"], 2) == 6.32
    assert round(size["file_share"], 2) == 1.77


def test_dice_against_the_number_of_synthetic_images():
    parts = [scans("Cheap Lunch-15", 0.7), scans("Cheap Lunch without synthesis-15", 0.6)]
    parts += [scans("Cheap Lunch-15", 0.65, seeds=(1,), change="synthesis.images=60")]
    parts += [scans("Cheap Lunch-15", 0.1, seeds=(1,), change="synthesis.images=60,x=1")]
    table = lunch_synthesis.by_images(pd.concat(parts), "Cheap Lunch-15", 900)
    assert table["images"].tolist() == [0, 60, 900]
    assert table["mean"].tolist() == pytest.approx([0.625, 0.675, 0.725])


class Facts:
    def __init__(self, best, *changes):
        self.facts = {"changes": changes, "validation": [{"dice": 0.1}, {"dice": best}]}


def test_a_transform_is_worth_what_the_validation_loses_without_it():
    split = "data.splits.brats.train=40"
    made = [Facts(0.8, split), Facts(0.7, split, "synthesis.blur=0"), Facts(0.9)]
    made += [Facts(0.9, split, "synthesis.images=60"), Facts(0.9, "synthesis.flip=0")]
    table = lunch_synthesis.without_transforms(made)
    assert table["dice"].to_dict() == {"every transform": 0.8, "blur": 0.7}
    # A quarter of the watched slices shows the target: 0.8 = 0.25 x + 0.75.
    quarter = lunch_synthesis.without_transforms(made, share=0.25)
    assert quarter.loc["every transform", "dice"] == pytest.approx(0.2)
    assert quarter.loc["blur", "change"] == pytest.approx(-0.4)
    assert lunch_synthesis.without_transforms([]).empty


def test_silence_is_that_of_the_other_systems_classifier():
    masks = np.ones((3, 1, 4, 4), dtype=bool)
    rows = np.arange(3)
    given = Answers(rows, pack(masks), 4)
    by = Answers(rows, pack(masks), 4, presence=np.array([[0.2], [0.5], [0.9]]))
    assert silenced(given, by).masks().any(axis=(1, 2)).tolist() == [False, False, True]
    assert given.masks().all()
    with pytest.raises(ValueError, match="other slices"):
        silenced(given, Answers(rows + 1, pack(masks), 4, presence=by.presence))


def test_slices_are_chosen_by_the_mean_over_the_targets_in_them():
    truths, answers = (np.zeros((4, 2, 4, 4), dtype=bool) for _ in range(2))
    truths[0, 0, :2], truths[1, 0, :2], truths[2, :, :2] = True, True, True
    answers[0, 0, :2] = True  # 1
    answers[2, 0, :2] = True  # 1 and 0: one half; row 1: 0; row 3 shows nothing
    assert chosen_rows(truths, answers) == {"best": 0, "median": 2, "worst": 1, "without": 3}
    more = np.zeros((4, 3, 4, 4), dtype=bool)
    more[:, :2] = truths
    more[2, 2, :2] = True  # three targets: a slice with one is too poor to be shown
    chosen = chosen_rows(more, np.zeros_like(more))
    assert chosen == {"best": 2, "median": 2, "worst": 2, "without": 3}


def test_a_grid_has_a_column_for_each_system_and_stars_for_those_that_are_told():
    truths = np.zeros((2, 2, 16, 16), dtype=bool)
    truths[0, 0, 2:8, 2:8] = truths[0, 1, 9:14, 9:14] = True
    masks = {"SAMed_s-9": truths.copy(), "Cheap Lunch-9": truths.copy()}
    masks["SAMed_s-9"][0, 1] = False
    masks["SAMed_s-9"][1, 0, 3:5, 3:5] = True
    images = np.random.default_rng(1).random((2, 16, 16))
    titles = ["best\nslice 4", "without\nslice 9"]
    figure = answer_grid(Shown(images, truths, masks, middles(truths), titles, ("liver", "spleen")))
    columns, below = [[axes.get_title() for axes in figure.axes[:3]], [
        axes.get_xlabel().strip() for axes in figure.axes
    ]]  # fmt: skip
    assert columns == ["truth", "SAMed_s\n9 exemplars\nalone",
                       "Cheap Lunch\n9 exemplars\ntold where"]  # fmt: skip
    assert below == ["", "Dice 0.50", "Dice 1.00", "", "false alarm", "empty, rightly"]
    stars = [sum(line.get_marker() == "*" and np.isfinite(line.get_xydata()).all(axis=1).sum()
                 for line in axes.lines) for axes in figure.axes]  # fmt: skip
    assert stars == [0, 0, 2, 0, 0, 0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["liver", "spleen"]


def test_points_are_the_users_and_nobody_points_at_nothing():
    truths = np.zeros((1, 2, 7, 7), dtype=bool)
    truths[0, 0, 1:4, 2:7] = True
    points = middles(truths)
    assert points[0, 0, 1] == 2  # x in the middle of five columns is one of several
    assert np.isnan(points[0, 1]).all()


def test_a_longer_training_is_compared_with_the_same_seed():
    change = "learning.samed.epochs=40"
    cases = pd.concat(
        [scans("SAMed_s-8", 0.5, "nobody", spread=0.1), scans("Cheap Lunch-8", 0.6),
         scans("SAMed_s-8", 0.7, "nobody", seeds=(1,), change=change),
         scans("Cheap Lunch-8", 0.9, seeds=(1,), change="sam.lora.rank=1"),
         scans("Cheap Lunch-8", 0.9, "random point", seeds=(1,), change="learning.x.epochs=2")]
    )  # fmt: skip
    table = with_more_steps({"brats": cases})
    assert list(table.index) == [("brain tumour", "SAMed_s-8")]
    row = table.iloc[0]
    assert row["tables"] == pytest.approx(0.4 + 0.025)
    assert [row["longer"] - row["tables"], row["difference"]] == pytest.approx([0.3, 0.3])


def test_a_map_that_leans_is_told_from_one_that_points_inside():
    masks = np.zeros((3, 1, 9, 9), np.uint8)
    masks[0, 0, 2:5, 2:5] = masks[2, 0, 4:7, 4:7] = 1  # row 1 shows nothing
    slices = SimpleNamespace(masks=masks, labels=masks.any(axis=(2, 3)).astype(int))
    peaks = np.array([[5, 7], [0, 0], [5, 5]])[:, None]
    presence = np.array([[0.9], [0.5], [0.2]])
    given = Answers(np.arange(3), pack(masks), 9, presence=presence, peaks=peaks)

    def record(name, seed=1, changes=()):
        facts = {"seed": seed, "changes": list(changes)}
        return SimpleNamespace(name=name, facts=facts, answers={("brats", "nobody"): given})

    made = [record("a", 2), record("a"), record("b"), record("a", 3, ["x=1"])]
    table = where_maps_point(made, ["b", "a"], slices, "brats")
    assert list(table.index) == [("b", 1), ("a", 1), ("a", 2)]
    # One of two pairs is in order. Row 0: two down, four right; row 2: in the middle.
    assert table.loc[("a", 1)].tolist() == pytest.approx([0.5, 50, 1, 2, 20**0.5 / 2])


def real(system, shown, silent, user="nobody"):
    """Two patients of a cohort, each with a slice of the target and one without."""
    rows = [
        {"system": system, "seed": 1, "user": user, "cohort": "du", "patient": patient,
         "label": label, "dice": dice, "change": ""}
        for patient in ("a", "b") for label, dice in ((1, shown), (0, silent))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_real_slices_with_and_without_the_target_are_counted_apart():
    tables = [real("SAMed_s-2", 0.0, 0.0), real("Cheap Lunch-2", 0.6, 1.0, "point")]
    tables += [real("Cheap Lunch, self-pointed-2", 0.5, 1.0)]
    away = real("SAM", 1.0, 1.0, "point").assign(cohort="cs")
    table = real_table(pd.concat([*tables, away]), "du")
    assert sorted(table.index) == ["Cheap Lunch, self-pointed-2", "Cheap Lunch-2", "SAMed_s-2"]
    assert table.loc["SAMed_s-2", ["dice", "all_dice", "missed", "false_alarms"]].tolist() == [
        0, 0, 100, 100,
    ]  # fmt: skip
    assert table.loc["Cheap Lunch-2", "all_dice"] == pytest.approx(0.8)
    assert table.loc["Cheap Lunch, self-pointed-2", ["track", "dice_place"]].tolist() == [
        "automatic", 1,
    ]  # fmt: skip


def test_verdicts_are_counted_by_question_and_what_is_not_ranked_is_left_out(cases):
    tests = all_tests(lunch.asked(cases, "point"), BRATS)
    table = orders({"here": tests, "there": tests.iloc[:2]})
    assert table.loc["What do few exemplars teach?"].tolist() == ["3 the first", "2 the first"]
    assert table.loc["Is every slice worth it?", "there"] == "–"
    assert "Who is told where?" not in table.index
