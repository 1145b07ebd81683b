"""Reports beyond Med-SA's paper, on hand-made records: thick slices, and clicks of a map."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from samnb.reports import med_sa_automatic as automatic
from samnb.reports import med_sa_thickness as thickness
from samnb.reports.lunch_tests import FIRST, TIE
from samnb.reports.med_sa import told, track_of
from samnb.reports.med_sa_study import read_if_there
from samnb.reports.med_sa_thickness import FROZEN, WITH, WITHOUT
from samnb.reports.printing import printed
from samnb.studies import load_profile

THICK = {
    2.0: ("data.volumes.size=[80, 128, 128]", "data.volumes.spacing=[2, 2, 2]"),
    4.0: (),
    8.0: ("data.volumes.size=[20, 128, 128]", "data.volumes.spacing=[8, 2, 2]"),
}
FLAT = "med_sa.adapters.depth=none"
USER = "random point"
# What depth adds, and what a seed changes of it: nothing; less than seeds do; much.
GAIN, SWAY = {2.0: 0.0, 4.0: 0.03, 8.0: 0.06}, {2.0: 0.0, 4.0: 0.05, 8.0: 0.01}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def record(system, title, seed, changes, level):
    """Five patients, Dice level + 0.01 × patient, told a point and, 0.1 better, a box."""
    rows = [
        {"cohort": "brats", "target": "whole tumour", "user": f"{user}, every slice",
         "patient": f"p{patient}", "scan": f"p{patient}", "dice": level + more + 0.01 * patient}
        for user, more in ((USER, 0.0), ("box 0.75", 0.1))
        for patient in range(5)
    ]  # fmt: skip
    facts = {"system": system, "labels": None, "seed": seed, "changes": list(changes)}
    return SimpleNamespace(name=title, facts=facts, scans=pd.DataFrame(rows))


@pytest.fixture(scope="module")
def volumes():
    made = [record("sam_by_slice", "SAM", 1, thick, 0.3) for thick in THICK.values()]
    made += [record("med_sa", "Med-SA", 1, ["med_sa.clicks=0"], 0.99)]
    for mm, thick in THICK.items():
        for seed in (1, 2, 3):
            flat = 0.9 - 0.05 * mm
            deep = flat + GAIN[mm] + SWAY[mm] * (seed - 2)
            made += [record("med_sa", "Med-SA", seed, [*thick, FLAT], flat)]
            made += [record("med_sa", "Med-SA", seed, thick, deep)]
    study = SimpleNamespace(made=made, profile=load_profile("pocket", thickness.STUDY))
    return thickness.thickness_cases(study)


def test_runs_are_told_apart_by_spacing_and_depth(volumes):
    counts = volumes.groupby(["system", "mm"]).size()
    assert counts[FROZEN].to_dict() == dict.fromkeys(THICK, 10)  # patients and users, one seed
    assert counts[WITH].to_dict() == counts[WITHOUT].to_dict() == dict.fromkeys(THICK, 30)
    assert volumes["dice"].max() < 0.98  # a run that is otherwise changed is none of them
    assert set(volumes["user"]) == {USER, "box 0.75"}


def test_depth_is_judged_at_equal_spacing_against_patients_and_seeds(volumes):
    table = thickness.thickness_table(volumes, USER)
    assert list(table.index) == [2.0, 4.0, 8.0]
    assert table["flat"].tolist() == pytest.approx([0.82, 0.72, 0.52])  # 0.02 is the mean patient
    assert table["deep"].tolist() == pytest.approx([0.82, 0.75, 0.58])
    assert table["frozen"].tolist() == pytest.approx([0.32] * 3)
    assert table["deep_deviation"].tolist() == pytest.approx([0, 0.05, 0.01])
    assert table["difference"].tolist() == pytest.approx([0, 0.03, 0.06])
    assert table["spread"].tolist() == pytest.approx([0, 0.05, 0.01])
    assert table["better"].tolist() == [TIE, TIE, FIRST]
    assert table.loc[8.0, "p"] == pytest.approx(3 * 2 / 2**5)  # five of five, three tests
    boxed = thickness.thickness_table(volumes, "box 0.75")
    assert (boxed["deep"] - table["deep"]).tolist() == pytest.approx([0.1] * 3)


def test_whether_depth_adds_more_where_slices_are_far_apart_is_a_question_of_its_own(volumes):
    found = thickness.thick_against_thin(volumes, USER)
    assert found.difference.mean == pytest.approx(0.06)
    assert found.spread == pytest.approx(0.01)
    assert found.better() == FIRST
    near = thickness.thick_against_thin(volumes[volumes["mm"] < 8], USER)
    assert near.difference.mean == pytest.approx(0.03)
    assert near.better() == TIE
    assert thickness.thick_against_thin(volumes[volumes["mm"] == 2], USER) is None
    # Who lacks a seed of one variant has no gain of that seed.
    fewer = volumes[~(volumes["system"].eq(WITH) & volumes["seed"].eq(3))]
    assert set(thickness.gains(fewer, USER)["seed"]) == {1, 2}


def test_the_chart_has_a_column_for_each_user_and_holds_without_records(volumes):
    figure = thickness.thickness_chart(volumes)
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "told: random point", "told: box 0.75",
    ]  # fmt: skip
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["2", "4", "8"]
    gain = figure.axes[2].containers[0].lines[0]
    assert gain.get_ydata() == pytest.approx([0, 0.03, 0.06])
    assert read_if_there("smoke", thickness.STUDY) is None
    assert read_if_there("pocket", thickness.STUDY).cohort == "brats"
    empty = thickness.thickness_cases(None)
    thickness.thickness_chart(empty)
    assert thickness.thickness_table(empty, USER).empty
    assert thickness.thick_against_thin(empty, USER) is None


# Clicks of a map

# Two patients of five slices each; the target is in the first three. By row of the report, seed 1:
# Dice of these three, of the other two (1: rightly empty), whether asked, where the click fell.
NAN = float("nan")


def slices(dice, others=(1.0, 1.0), presence=(NAN,) * 3, hit=(NAN,) * 3):
    rows = [
        {"cohort": "brats", "target": "whole tumour", "patient": patient, "scan": patient,
         "slice": number, "label": int(number < 3), "dice": value, "presence": there, "hit": inside}
        for patient in ("a", "b")
        for number, (value, there, inside) in enumerate(
            zip([*dice, *others], [*presence, 0.9, 0.1], [*hit, NAN, NAN], strict=True)
        )
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    return table[table["label"].eq(1) | table["dice"].lt(1)]  # as the protocol of volumes keeps


def brain(name, level, table, user="nobody", seed=1, changes=()):
    scans = [
        {"cohort": "brats", "target": "whole tumour", "user": user, "patient": patient,
         "scan": patient, "dice": level + more}
        for patient, more in (("a", 0.0), ("b", 0.02))
    ]  # fmt: skip
    facts = {"seed": seed, "changes": list(changes)}
    return SimpleNamespace(
        name=name, facts=facts, scans=pd.DataFrame(scans), slices=table.assign(user=user)
    )


@pytest.fixture(scope="module")
def study():
    asked = {"presence": (0.9, 0.6, 0.4), "hit": (1.0, 0.0, 1.0)}
    made = [
        brain("Med-SA", 0.8, slices((0.9, 0.8, 0.7)), USER),
        brain("Med-SA", 0.8, slices((0.7, 0.8, 0.9)), USER, seed=2),
        brain("Self-pointed Med-SA", 0.5, slices((0.8, 0.2, 0.0), (0.0, 1.0), **asked)),
        brain("Self-pointed Med-SA", 0.5, slices((0.6, 0.0, 0.0), (1.0, 1.0), **asked), seed=2),
        brain("Mirrored Med-SA", 0.6, slices((0.8, 0.5, 0.0), (0.0, 1.0), **asked)),
        brain("CAM alone", 0.3, slices((0.3, 0.3, 0.3))),
        brain("Self-pointed Med-SA", 0.0, slices((0.0, 0.0, 0.0)), changes=["x=1"]),
        brain("UNETR", 0.1, slices((0.1, 0.1, 0.1))),
    ]
    return SimpleNamespace(made=made)


@pytest.fixture(scope="module")
def scans(study):
    tables = [
        each.scans.assign(
            system=each.name, seed=each.facts["seed"], change=",".join(each.facts["changes"])
        )
        for each in study.made
    ]
    return pd.concat(tables, ignore_index=True)


def test_who_points_for_himself_works_alone():
    for name in automatic.CLASSIFIERS:
        assert track_of(name) == told(name) == "automatic"
    assert told(automatic.TOLD) == "told: random point"


def test_rightly_empty_slices_count_though_no_table_has_them(study, scans):
    table = automatic.automatic_table(scans, automatic.slice_cases(study), tested=10)
    assert list(table.index) == [
        "Med-SA, random point", "Mirrored Med-SA", "Self-pointed Med-SA", "CAM alone",
    ]  # fmt: skip
    assert table["dice"].tolist() == pytest.approx([0.81, 0.61, 0.51, 0.31])
    assert table["shown"].tolist() == pytest.approx([0.8, 1.3 / 3, 1.6 / 6, 0.3])
    # Told: (2.4 + 2) / 5. Mirrored: (1.3 + 1) / 5. Self-pointed: (1 + 1 and 0.6 + 2) / 10.
    assert table["every"].tolist() == pytest.approx([0.88, 0.46, 0.46, 0.58])
    assert table["missed"].tolist() == pytest.approx([0, 100 / 3, 50, 0])
    assert table["false_alarms"].tolist() == pytest.approx([0, 50, 25, 0])
    assert table["seeds"].tolist() == [2, 1, 2, 1]
    assert table["dice_place"].tolist()[1:] == [1, 2, 3]
    assert np.isnan(table.loc["Med-SA, random point", "dice_place"])
    assert "told: random point" in printed(table)["Track"].tolist()


def test_a_click_costs_what_the_same_network_of_the_same_seed_would_have_had(study):
    table = automatic.clicks(automatic.slice_cases(study), "Self-pointed Med-SA")
    assert list(table.index) == ["in the target", "beside the target", "none: called empty"]
    assert table["share"].tolist() == pytest.approx([100 / 3] * 3)
    assert table["dice"].tolist() == pytest.approx([0.7, 0.1, 0.0])
    assert table["told_dice"].tolist() == pytest.approx([0.8, 0.8, 0.8])
    assert table["cost"].tolist() == pytest.approx([0.1 / 3, 0.7 / 3, 0.8 / 3])
    only = automatic.clicks(automatic.slice_cases(study), "Mirrored Med-SA")  # of seed 1
    assert only["told_dice"].tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_an_oracle_is_compared_and_not_ranked(scans):
    tests = automatic.automatic_tests(scans)
    cost = tests.loc[["What does a map's click cost?"]]
    assert cost["difference"].tolist() == pytest.approx([0.3, 0.2])
    assert cost["better"].tolist() == ["not ranked: first was told where"] * 2
    mirrors = tests.loc["Do mirrors help the map to point?"]
    assert mirrors["difference"] == pytest.approx(0.1)


@pytest.mark.parametrize("study", [None, SimpleNamespace(made=[], cases=None)])
def test_without_records_or_without_the_study_there_are_no_rows(study):
    nothing = automatic.slice_cases(study)
    empty = automatic.whole_scans(None)
    assert automatic.tested_slices(None) == 0
    assert automatic.where_it_clicks(None).empty
    assert automatic.automatic_table(empty, nothing, 10).empty
    assert automatic.clicks(nothing, "Mirrored Med-SA")["dice"].isna().all()
    assert automatic.automatic_tests(empty).empty
