"""Where adapters help: what the page on studies beyond the paper says, of made cases."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from samnb.reports import med_sa, med_sa_figures, med_sa_real
from samnb.reports import med_sa_beyond as beyond
from samnb.reports import med_sa_thickness as thickness
from samnb.reports.lunch_tests import FIRST, SECOND, TIE, UNKNOWN
from samnb.reports.med_sa_automatic import automatic_tests, silence
from samnb.reports.med_sa_few import WHICH, label_tests
from samnb.reports.med_sa_tests import task_tests
from samnb.reports.printing import printed

POINT, BOX = "random point", "box 0.75"
WHOLE = "A small part of SAM, or all of it?"


def scans(system, level, user="nobody", seeds=(1, 2, 3), spread=0.0, patients=6, target="x"):
    """One scan per patient: Dice level + 0.01 × patient - 0.025, + spread × (seed - 2)."""
    rows = [
        {
            "system": system, "seed": seed, "change": "", "user": user, "cohort": "c",
            "target": target, "patient": f"p{patient}", "scan": f"p{patient}",
            "dice": level + 0.01 * patient - 0.025 + spread * (seed - 2),
            "hd95": 3.0, "hd95_voxels": 2.0,
        }
        for seed in seeds
        for patient in range(patients)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cases():
    """Thyroid: a lead told a point, a tie told a box. Tumours: one in volumes, two in slices."""
    levels = {"SAM": (0.3, 0.4), "MedSAM": (0.6, 0.8), "Med-SA": (0.7, 0.81)}
    pictures = [
        scans(system, level, user, (1,) if system == "SAM" else (1, 2, 3), 0.03 * (user == BOX))
        for system, both in levels.items()
        for user, level in zip((POINT, BOX), both, strict=True)
    ]
    volumes = [scans("UNETR", 0.5, seeds=(1,)), scans("3D U-Net, nnU-Net's layout", 0.65)]
    flat = [scans("nnU-Net", 0.6), scans("CAM alone", 0.1), scans("Med-SA", 0.7, POINT)]
    return med_sa.all_cases(
        {
            "med-sa-thyroid": pd.concat(pictures, ignore_index=True),
            "med-sa-brats-3d": pd.concat(volumes, ignore_index=True),
            "med-sa-brats-slices": pd.concat(flat, ignore_index=True),
        }
    )


@pytest.fixture(scope="module")
def few():
    """With 5 labels adapters lead, with all they are behind; of MedSAM with 5 there is one seed."""
    levels = {"Med-SA": (0.6, 0.8), "Med-LoRA": (0.5, 0.9), "MedSAM": (0.4, 0.7)}
    parts = [scans("SAM", 0.3, user, (1,)) for user in (POINT, BOX)]
    for system, both in levels.items():
        for end, level in zip(("-5", ""), both, strict=True):
            seeds = (1,) if system + end == "MedSAM-5" else (1, 2, 3)
            parts += [scans(system + end, level, user, seeds) for user in (POINT, BOX)]
    made = pd.concat(parts, ignore_index=True)
    return {user: label_tests(made, [5], user) for user in (POINT, BOX)}


def test_a_lead_is_of_both_told_the_same_by_this_user(cases):
    tests = {"thyroid nodule": task_tests(cases, "thyroid nodule")}
    point, box = beyond.leads(tests, POINT), beyond.leads(tests, BOX)
    assert point.loc["thyroid nodule", "difference"] == pytest.approx(0.1)
    assert point.loc["thyroid nodule", "better"] == FIRST
    assert box.loc["thyroid nodule", "difference"] == pytest.approx(0.01)
    assert box.loc["thyroid nodule", "better"] == TIE
    assert beyond.leads({"brain tumour": task_tests(cases, "brain tumour")}, POINT).empty


def test_a_lead_with_few_labels_is_over_all_of_sam_with_as_many(few):
    found = beyond.leads_of_labels(few[POINT])
    assert found["difference"].to_dict() == pytest.approx({"5 labels": 0.2, "all labels": 0.1})
    assert found["better"].to_dict() == {"5 labels": UNKNOWN, "all labels": FIRST}
    assert beyond.leads_of_labels(few[POINT].iloc[:0]).empty


def test_labels_in_rows_and_users_in_columns(few):
    table = beyond.labels_and_users(few, WHICH)
    assert table[BOX].to_dict() == {"5 labels": "+0.100, ahead", "all labels": "-0.100, behind"}
    assert list(table.columns) == [POINT, BOX]


def test_verdicts_are_counted_by_place_and_what_is_undecided_is_called_so(few):
    said = beyond.counted(beyond.by_labels(few), WHICH, "A against B")
    assert said == (
        "A against B, 4 comparisons: **ahead 2, behind 2**. *5 labels* +0.100 to +0.100 (ahead 2); "
        "*all labels* -0.100 to -0.100 (behind 2)."
    )
    said = beyond.counted({"skin": few[POINT]}, WHOLE, "Small")
    # Adapters and LoRA, with 5 labels and with all; of MedSAM-5 there is one seed.
    assert said.startswith("Small, 4 comparisons: **ahead 2, undecided (one seed) 2**.")
    assert beyond.counted({"skin": few[POINT]}, "Nobody asked", "Small") == ""
    assert beyond.by_labels({}) == {}


def test_who_was_told_is_not_counted_against_who_works_alone(cases):
    tests = {"brain tumour": task_tests(cases, "brain tumour")}
    assert len(tests["brain tumour"])
    assert beyond.counted(tests, None, "All") == ""


def test_networks_for_volumes_stand_against_those_for_slices_and_no_map_among_them(cases):
    alone = beyond.alone_in_volumes(cases)
    assert list(alone) == ["brain tumour"]
    assert set(alone["brain tumour"]["system"]) == {
        *("UNETR", "3D U-Net, nnU-Net's layout", "nnU-Net")
    }
    tests = beyond.volume_tests(alone["brain tumour"]).set_index("first")
    assert tests["second"].tolist() == ["nnU-Net", "nnU-Net"]
    assert tests["better"].to_dict() == {
        "UNETR": UNKNOWN, "3D U-Net, nnU-Net's layout": FIRST,
    }  # fmt: skip


def test_the_price_of_a_click_is_told_minus_alone_and_nobody_wins():
    levels = {"Self-pointed Med-SA": 0.4, "Mirrored Med-SA": 0.5, "CAM alone": 0.3, "nnU-Net": 0.6}
    parts = [scans("Med-SA", 0.8, POINT), *(scans(*each) for each in levels.items())]
    tests = automatic_tests(pd.concat(parts, ignore_index=True))
    said = beyond.price_said(tests)
    assert "Self-pointed Med-SA +0.400 (+0.400 to +0.400)" in said
    assert "Mirrored Med-SA +0.300" in said
    assert "ahead" not in said
    alone = [sentence for sentence in beyond.alone_said(tests) if sentence]
    assert len(alone) == 3  # of four questions; the price has no verdicts
    assert alone[0].startswith("Do mirrors help the map to point, one comparison: **ahead 1**")
    assert "-0.100 (behind 1)" in alone[2]
    assert beyond.price_said(tests.iloc[:0]) == ""


def test_silence_is_the_share_of_slices_without_the_target():
    slices = pd.DataFrame(
        {
            "scan": ["a", "a", "a", "b"] * 2, "slice": [1, 2, 3, 1] * 2,
            "label": [1, 1, 0, 1] * 2, "seed": [1] * 4 + [2] * 4,
        }
    )  # fmt: skip
    assert silence(slices, 10) == pytest.approx(0.7)  # three of ten show it, whatever the seeds


def test_what_depth_adds_is_said_by_spacing_and_then_of_thick_against_thin():
    parts = []
    for mm, gain in ((2, 0.0), (8, 0.06)):
        for name, level in ((thickness.WITHOUT, 0.5), (thickness.WITH, 0.5 + gain)):
            parts.append(scans(name, level, POINT).assign(mm=float(mm)))
    (said,) = beyond.thickness_said(pd.concat(parts, ignore_index=True))
    assert "2 mm +0.000 (+0.000 to +0.000), a tie; 8 mm +0.060" in said
    assert said.endswith("against where they are nearest: more.")
    assert beyond.thickness_said(thickness.thickness_cases(None)) == []


def test_real_sets_in_columns_with_places_within_a_track():
    parts = [scans("SAM", 0.3, POINT, (1,)), scans("SAM", 0.35, BOX, (1,))]
    parts += [scans("Med-SA", 0.6, POINT), scans("MedSAM", 0.5, POINT), scans("MedSAM", 0.9, BOX)]
    parts += [scans("TransUNet", 0.7), scans("Med-SA", 0.65, "box 0.5")]
    tasks = {"skin": med_sa.Task(("skin",)), "polyps": med_sa.Task(("polyps",))}
    table = pd.concat(parts, ignore_index=True)
    only = table[table["system"].isin(["SAM", "TransUNet"])]
    cases = med_sa.all_cases({"skin": table, "polyps": only}, tasks)
    found = med_sa_real.sets_overview(cases, [POINT, BOX])
    assert [name for name in found if not name.endswith("_place")] == ["skin", "polyps"]
    assert "Med-SA, box 0.5" not in found.index
    assert found.loc["Med-SA, random point", "skin_place"] == 1
    assert found.loc["MedSAM, box 0.75", "skin_place"] == 1  # of those who were told this box
    assert pd.isna(found.loc["TransUNet", "skin_place"])  # nobody else works alone
    assert printed(found).loc["MedSAM, box 0.75"].tolist() == ["0.900", "–"]
    assert med_sa_real.sets_overview(cases.iloc[:0], [POINT]).empty


def test_studies_without_records_are_named():
    assert beyond.without_records({"a": True}, "pocket") == []
    (said,) = beyond.without_records({"med-sa-few": False, "a": 3, "b": 0}, "pocket")
    assert said.startswith("No record is here of `med-sa-few`, `b` (size `pocket`)")
    assert beyond.in_lines(["", "one", "two"]) == "- one\n- two"
    assert beyond.in_lines([""]).startswith("*Nothing")


def test_leads_are_drawn_by_verdict_on_either_side_of_zero():
    found = pd.DataFrame(
        [(0.1, 0.05, 0.15, 0.0, FIRST), (-0.1, -0.2, -0.05, 0.0, SECOND), (0, -0.1, 0.1, 0, TIE)],
        columns=beyond.COLUMNS, index=["skin", "polyps", "organs"],
    )  # fmt: skip
    figure = med_sa_figures.leads_chart({POINT: found, BOX: found.iloc[1:]})
    left, right = figure.axes
    marks = [line for line in left.lines if line.get_marker() in ("o", "D", "x")]
    assert [float(line.get_xdata()[0]) for line in marks] == [0.1, -0.1, 0.0]
    assert [line.get_marker() for line in marks] == ["o", "D", "o"]
    assert marks[2].get_markerfacecolor() == "none"
    assert [text.get_text() for text in left.get_yticklabels()] == ["skin", "polyps", "organs"]
    assert [line.get_ydata()[0] for line in right.lines if line.get_marker() == "D"] == [1]
    assert med_sa_figures.leads_chart({}).axes


def test_rows_of_who_works_alone_are_hollow(cases):
    rows = ["Med-SA (2D), random point", "UNETR", "nnU-Net", "TransUNet"]
    table = med_sa.of_task(cases, "brain tumour")
    table["system"] = table["system"].replace("Med-SA, random point", rows[0])
    figure = med_sa_figures.rows_chart({"brain tumour": table}, rows)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == rows[:3]
    large = [line for line in axes.lines if line.get_markersize() == 8]
    assert [line.get_markerfacecolor() == "none" for line in large] == [False, True, True]
    seeds = [line for line in axes.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in seeds] == [3, 3]  # UNETR has one


def test_levels_of_any_tasks(cases):
    renamed = cases[cases["task"] == "thyroid nodule"].assign(task="polyps")
    figure = med_sa_figures.levels_chart(renamed, POINT, ["skin", "polyps"])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["polyps"]
