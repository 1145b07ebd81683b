"""Few labels and wrong boxes: tables, tests and curves of made scans, numbers by hand."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from samnb.reports import med_sa_boxes, med_sa_few
from samnb.reports.lunch_tests import FIRST, SECOND, TIE
from samnb.reports.med_sa_study import read_if_there
from samnb.reports.printing import printed
from samnb.reports.systems import parse
from samnb.studies import studies_of

POINT, BOX = "random point", "box 0.75"
OVERLAPS = (0.3, 0.5, 0.8, 1.0)


def scans(system, level, user=POINT, seeds=(1, 2, 3), spread=0.0, change="", patients=6):
    """One scan per patient: Dice level + 0.01 × patient - 0.025, + spread × (seed - 2)."""
    rows = [
        {
            "system": system, "seed": seed, "change": change, "user": user, "cohort": "isic",
            "target": "lesion", "patient": f"p{patient}", "scan": f"p{patient}",
            "dice": level + 0.01 * patient - 0.025 + spread * (seed - 2),
        }
        for seed in seeds
        for patient in range(patients)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def few():
    """With 5 labels LoRA is behind, with 50 the seeds decide, with all it is ahead."""
    levels = {"Med-SA": (0.6, 0.7, 0.8), "Med-LoRA": (0.5, 0.71, 0.9), "MedSAM": (0.4, 0.7, 0.85)}
    parts = [scans("SAM", 0.3, user, seeds=(1,)) for user in (POINT, BOX)]
    for system, of_labels in levels.items():
        for end, level in zip(("-5", "-50", ""), of_labels, strict=True):
            for user, more in ((POINT, 0.0), (BOX, 0.05)):
                spread = 0.02 if end == "-50" else 0.001
                seeds = (1, 2) if (system, end) == ("MedSAM", "-5") else (1, 2, 3)
                parts.append(scans(system + end, level + more, user, seeds, spread))
    parts.append(scans("Med-SA", 0.1, change="learning.med_sa.learning_rate=1"))
    return pd.concat(parts, ignore_index=True)


TRAINED = pd.Series({"SAM": 0.0, "Med-SA": 200.0, "Med-LoRA": 205.0, "MedSAM": 3000.0})


def test_labels_in_columns_and_how_many_numbers_learn(few):
    table = med_sa_few.label_table(few, TRAINED, [50, 5], POINT, [1, 2, 3])
    assert list(table.index) == ["SAM", "Med-SA", "Med-LoRA", "MedSAM"]
    counts = ["5 labels", "50 labels", "all labels"]
    assert table.loc["Med-SA", counts].tolist() == pytest.approx([0.6, 0.7, 0.8])
    assert table.loc["SAM", counts].tolist() == pytest.approx([0.3] * 3)  # it learns nothing
    assert table.loc["Med-LoRA", "50 labels_deviation"] == pytest.approx(0.02)
    assert np.isnan(table.loc["SAM", "5 labels_deviation"])
    assert table["against Med-SA"].tolist() == ["", "", "+2.5%", "+1400.0%"]
    assert table["missing"].tolist() == ["", "", "", "5 labels: 3"]
    shown = printed(table)
    assert shown.loc["Med-LoRA", "50 labels"] == "0.710 ± 0.020"
    boxed = med_sa_few.label_table(few, TRAINED, [5, 50], BOX)
    assert boxed.loc["Med-SA", "5 labels"] == pytest.approx(0.65)


def test_which_one_for_few_labels_by_the_rule_of_ties(few):
    tests = med_sa_few.label_tests(few, [5, 50], POINT)
    found = tests.loc[med_sa_few.WHICH]
    assert found["first"].tolist() == ["Med-SA-5", "Med-SA-50", "Med-SA"]
    assert found["second"].tolist() == ["Med-LoRA-5", "Med-LoRA-50", "Med-LoRA"]
    assert found["better"].tolist() == [FIRST, TIE, SECOND]
    said = med_sa_few.answer({POINT: tests, BOX: tests.iloc[:0]})
    assert len(said) == 1
    assert "5 labels: adapters ahead, +0.100" in said[0]
    assert "50 labels: a tie, -0.010" in said[0]
    assert "all labels: LoRA ahead, -0.100" in said[0]


def test_all_pairs_are_of_equal_labels_but_where_labels_are_the_question():
    asked = med_sa_few.questions([5, 50])
    assert len(asked[med_sa_few.WHICH]) == 3
    for question, pairs in asked.items():
        for first, second in pairs if "more" not in question else []:
            assert second == "SAM" or parse(first).labels == parse(second).labels
    more = asked["Are more labels worth it?"]
    assert ("Med-LoRA-50", "Med-LoRA-5") in more
    assert ("Med-LoRA", "Med-LoRA-50") in more
    assert len(more) == 6


def test_a_point_for_each_seed_and_a_line_through_the_means(few):
    figure = med_sa_few.label_chart(few, [5, 50], 130, [POINT, BOX])
    left = figure.axes[0]
    lines = {line.get_label(): line for line in left.lines}
    np.testing.assert_allclose(lines["Med-LoRA"].get_xdata(), [5, 50, 130])
    np.testing.assert_allclose(lines["Med-LoRA"].get_ydata(), [0.5, 0.71, 0.9])
    clouds = [line for line in left.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in clouds] == [9, 9, 8]
    np.testing.assert_allclose(lines["SAM, nothing learned"].get_ydata(), [0.3, 0.3])
    assert [axes.get_title() for axes in figure.axes] == [f"told: {POINT}", f"told: {BOX}"]
    plt.close(figure)


def test_numbers_that_learn_are_read_from_records():
    made = [
        SimpleNamespace(name=name, facts={"parameters": {"trainable": count}})
        for name, count in (("Med-SA-5", 7), ("Med-SA", 7), ("Med-LoRA-50", 8))
    ]
    assert med_sa_few.trained_numbers(made).to_dict() == {"Med-SA": 7, "Med-LoRA": 8}


def test_a_size_without_the_study_or_without_records_has_empty_pages():
    assert "med_sa_few" not in studies_of("smoke")
    study = read_if_there("smoke", med_sa_few.STUDY)
    assert study is None
    cases = med_sa_few.cases_of(study)
    table = med_sa_few.label_table(cases, med_sa_few.trained_numbers([]), [5], POINT, [1])
    assert table["5 labels"].isna().all()
    tests = med_sa_few.label_tests(cases, [5], POINT)
    assert tests.empty
    assert med_sa_few.answer({POINT: tests}) == []
    assert med_sa_boxes.overlap_table(cases).empty
    assert med_sa_boxes.tolerance_table(cases).empty
    assert med_sa_boxes.box_tests(cases).empty
    for figure in (
        med_sa_few.label_chart(cases, [5], 9, [POINT]),
        med_sa_boxes.overlap_curves(cases),
    ):
        assert not figure.axes[0].lines
        plt.close(figure)


# Boxes


@pytest.fixture(scope="module")
def boxes():
    """SAM falls at once, MedSAM slowly, Med-SA hardly; points beside them."""
    curves = {
        "SAM": (0.2, 0.4, 0.6, 0.8),
        "MedSAM": (0.5, 0.7, 0.8, 0.82),
        "Med-SA": (0.86, 0.87, 0.88, 0.9),
    }
    parts = []
    for system, levels in curves.items():
        seeds = (1,) if system == "SAM" else (1, 2, 3)
        for overlap, level in zip(OVERLAPS, levels, strict=True):
            parts.append(scans(system, level, f"box {overlap:g}", seeds, 0.01))
        parts.append(scans(system, 0.7, POINT, seeds))
    parts.append(scans("Med-SA", 0.1, "box 1", change="med_sa.adapters.prompt=none"))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("curve", "wanted"),
    [
        # From 0.90 to 0.84 between 1 and 0.8: 0.05 of 0.06 of the way.
        ({1.0: 0.9, 0.8: 0.84, 0.5: 0.6}, 1 - 0.2 * 5 / 6),
        # Higher at 0.8 than at 1, then to 0.75 at 0.5: 0.85 is a half of the way from 0.95.
        ({1.0: 0.9, 0.8: 0.95, 0.5: 0.75}, 0.65),
        ({0.5: 0.85, 1.0: 0.9}, 0.5),  # exactly there; the order of the index is no matter
        ({1.0: 0.9, 0.5: 0.86}, np.nan),
        # It comes back; the first time counts.
        ({1.0: 0.9, 0.8: 0.8, 0.5: 0.9, 0.3: 0.2}, 0.9),
    ],
    ids=["between", "higher", "exactly", "never", "twice"],
)
def test_where_a_curve_has_fallen_by_five_hundredths(curve, wanted):
    assert med_sa_boxes.fallen(pd.Series(curve)) == pytest.approx(wanted, nan_ok=True)


def test_how_wrong_a_box_may_be(boxes):
    table = med_sa_boxes.tolerance_table(boxes)
    assert list(table.index) == ["SAM", "MedSAM", "Med-SA"]
    # SAM: 0.2 of Dice on 0.2 of overlap; MedSAM: 0.02 lost at 0.8, then 0.1 on 0.3.
    assert table.loc["SAM", "overlap"] == pytest.approx(0.95)
    assert table.loc["MedSAM", "overlap"] == pytest.approx(0.8 - 0.3 * 0.3)
    assert np.isnan(table.loc["Med-SA"]).all()
    # All patients, and all seeds, fall alike here.
    np.testing.assert_allclose(table.loc["MedSAM", ["low", "high", "first", "last"]], 0.71)
    said = med_sa_boxes.said_of(table)
    assert said[0].startswith("SAM has lost 0.05 of Dice at an overlap of 0.95 (95 % interval")
    assert said[2] == "Med-SA does not lose 0.05 of Dice at any overlap that was asked."


def test_patients_and_seeds_that_fall_otherwise_make_the_limits_uncertain():
    """Two patients of six lose 0.1 on the way to 0.5, in the third seed all lose 0.1 more."""
    tight, wrong = scans("Med-SA", 0.9, "box 1"), scans("Med-SA", 0.9, "box 0.5")
    wrong.loc[wrong["patient"].isin(["p0", "p1"]), "dice"] -= 0.1
    wrong.loc[wrong["seed"] == 3, "dice"] -= 0.1
    row = med_sa_boxes.tolerance_table(pd.concat([tight, wrong])).loc["Med-SA"]
    # The mean loses 0.1 / 3 + 0.1 / 3; the third seed 0.4 / 3, the others too little.
    assert row["overlap"] == pytest.approx(1 - 0.5 * 0.05 / (0.2 / 3))
    assert np.isnan(row["first"])
    assert row["last"] == pytest.approx(1 - 0.5 * 0.05 / (0.4 / 3))
    # Of the draws 9 % are without a patient who loses; 10 % have four or more, 2 % five or six.
    assert np.isnan(row["low"])
    assert row["high"] == pytest.approx(1 - 0.5 * 0.05 / (0.2 / 3 + 0.1 / 3))


def test_overlaps_in_rows_the_point_last(boxes):
    table = med_sa_boxes.overlap_table(boxes)
    assert list(table.index) == ["box 1", "box 0.8", "box 0.5", "box 0.3", POINT]
    assert table["MedSAM"].tolist() == pytest.approx([0.82, 0.8, 0.7, 0.5, 0.7])
    assert table.loc["box 1", "Med-SA"] == pytest.approx(0.9)  # without the changed run
    assert table.loc["box 1", "Med-SA_deviation"] == pytest.approx(0.01)


def test_systems_and_prompts_are_compared_on_the_same_box(boxes):
    tests = med_sa_boxes.box_tests(boxes)
    same = tests.loc["Adapters or all of SAM, in wrong boxes?"]
    assert same["first"].tolist()[0] == "Med-SA, box 0.3"
    assert same["better"].tolist() == [FIRST] * 4
    asked = tests.loc["Such a box, or a point?"].set_index("first")["better"]
    assert asked["SAM, box 0.3"] == SECOND
    assert asked["MedSAM, box 0.5"] == TIE
    assert asked["Med-SA, box 0.3"] == FIRST


def test_curves_run_from_the_tight_box_to_the_wrong_ones(boxes):
    figure = med_sa_boxes.overlap_curves(boxes)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["MedSAM"].get_xdata(), OVERLAPS)
    np.testing.assert_allclose(lines["MedSAM"].get_ydata(), [0.5, 0.7, 0.8, 0.82])
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    marks = [line for line in axes.lines if line.get_marker() == "|" and len(line.get_xdata())]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx([0.95, 0.71])
    assert marks[1].get_ydata()[0] == pytest.approx(0.77)  # 0.05 below the tight box
    assert len(axes.collections) == 3  # a band for each system
    plt.close(figure)
