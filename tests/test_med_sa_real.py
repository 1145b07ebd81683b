"""Med-SA on real images: tables and orders, of made records."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from samnb.reports import med_sa_real
from samnb.reports.lunch import AUTOMATIC
from samnb.reports.lunch_tests import FIRST, SECOND, TIE, orders
from samnb.reports.med_sa_real import (
    SETS,
    TOO_FEW,
    real_cases,
    real_questions,
    set_table,
    set_tests,
)
from samnb.reports.printing import BEST, marks, printed
from samnb.runs.runner import plan
from samnb.studies import load_profile
from samnb.systems.registry import find_system

USERS = ("random point", "3 random points", "box 0.5", "box 0.75")
FLAT = ("med_sa.adapters.depth=none",)
BELLY, SKIN, BRAINS = "belly, MR volumes", "skin", "brains, MR volumes"
ALONE = "3D U-Net, nnU-Net's layout"


def record(system, title, dice, seed=1, changes=(), users=USERS, cohort="mr", patients=6, **cases):
    """Of every user a scan, or slice, per patient: Dice + 0.1 in boxes + 0.01 × patient."""
    rows = [
        {
            "cohort": cohort, "target": "x", "user": user, "patient": f"p{patient}",
            "scan": f"p{patient}", "dice": dice + 0.1 * ("box" in user) + patient / 100,
            "hd95": 10.0 - seed, "hd95_voxels": 5.0, **cases,
        }
        for user in users for patient in range(patients)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    facts = {"system": system, "labels": None, "seed": seed, "changes": list(changes),
             "title": title}  # fmt: skip
    return SimpleNamespace(name=title, facts=facts, scans=table, slices=table)


EVERY = tuple(f"{user}, every slice" for user in USERS)


def belly(cohort="mr", patients=6):
    """Med-SA above MedSAM above SAM, depth above none; one that works alone."""
    told = {"users": EVERY, "cohort": cohort, "patients": patients}
    made = [record("sam_by_slice", "SAM", 0.3, **told)]
    for seed in (1, 2, 3):
        made += [
            record("med_sa", "Med-SA", 0.7, seed, **told),
            record("med_sa", "Med-SA", 0.6, seed, FLAT, **told),
            record("med_sa", "Med-SA", 0.1, seed, ("learning.med_sa.epochs=1",), **told),
            record("medsam", "MedSAM", 0.5, seed, **told),
            record("unet_3d", ALONE, 0.9, seed, **{**told, "users": ("nobody",)}),
        ]
    return made


def skin():
    """Pictures: MedSAM and Med-SA alike, and pictures without a lesion that must not count."""
    told = {"cohort": "skin", "slice": 0}
    made = [record("sam", "SAM", 0.3, label=1, **told)]
    for seed in (1, 2):
        for system, title in (("med_sa", "Med-SA"), ("medsam", "MedSAM")):
            made.append(record(system, title, 0.6, seed, label=1, **told))
            empty = record(system, title, 0.0, seed, label=0, **told).slices.assign(dice=1.0)
            made[-1].slices = pd.concat([made[-1].slices, empty], ignore_index=True)
    return made


@pytest.fixture(scope="module")
def cases():
    made = {"med-sa-organs": belly(), "med-sa-skin": skin(), "med-sa-brain-3d": belly("brain", 2)}
    return real_cases({name: (each, load_profile("real", name)) for name, each in made.items()})


def test_every_set_is_a_cohort_of_a_study_and_its_view():
    for settings in SETS.values():
        profile = load_profile("real", settings.study)
        assert settings.cohort in profile.data.splits
        assert settings.volumes == (profile.data.view == "volumes")
        assert profile.users == USERS
    measured = {(each.study, each.cohort) for each in SETS.values()}
    studies = {each.study for each in SETS.values()}
    assert measured == {
        (study, cohort) for study in studies for cohort in load_profile("real", study).data.cohorts
    }


def test_every_order_of_the_paper_can_be_asked_of_what_the_studies_plan():
    flat = load_profile("real", "med-sa-organs")
    assert any(run.changes == FLAT for run in plan(flat))
    for settings in SETS.values():
        runs = plan(load_profile("real", settings.study))
        titles = {find_system(run.system).title for run in runs}
        assert {"SAM", "MedSAM", "Med-SA"} <= titles


def test_a_table_by_hand(cases):
    table = set_table(cases, BELLY, seeds=(1, 2, 3))
    row = table.loc["Med-SA, box 0.75"]
    assert row["dice"] == pytest.approx(0.825)
    assert row["dice_deviation"] == pytest.approx(0, abs=1e-9)
    values = np.array([0.8 + patient / 100 for patient in range(6)])
    assert row["iou"] == pytest.approx((values / (2 - values)).mean())
    assert row["hd95_mm"] == pytest.approx(8)  # 9, 8 and 7 of the seeds
    assert row["hd95_mm_deviation"] == pytest.approx(1)
    assert (row["patients"], row["seeds"], row["missing"]) == (6, 3, "")
    assert table.loc["Med-SA (2D), box 0.75", "dice"] == pytest.approx(0.725)
    assert table.loc[ALONE, "track"] == AUTOMATIC
    assert list(table.index)[:2] == [ALONE, "SAM, random point"]
    assert len(table) == 1 + 4 * 4
    assert "Patients" in printed(table)


def test_nobody_who_was_told_is_ranked_with_who_was_not(cases):
    table = set_table(cases, BELLY)
    best = marks(table)["Dice"]
    assert list(best.index[best == BEST]) == [f"Med-SA, {user}" for user in USERS]
    tests = set_tests(cases, BELLY)
    alone = tests.loc[med_sa_real.ALONE]
    assert len(alone) == 4
    assert alone["better"].str.startswith("not ranked").all()


def test_pictures_have_no_millimetres_and_count_where_they_show_the_target(cases):
    table = set_table(cases, SKIN)
    assert "hd95_mm" not in table
    assert table.loc["Med-SA, random point", "dice"] == pytest.approx(0.625)
    assert set_table(cases, "polyps").empty


def test_the_orders_of_the_paper_on_made_cases(cases):
    tests = {title: set_tests(cases, title) for title in (BELLY, SKIN)}
    table = orders(tests, real_questions())
    assert table[BELLY].to_dict() == {
        "Med-SA above MedSAM?": "4 the first",
        "MedSAM above SAM?": "4 the first",
        "Med-SA above SAM?": "4 the first",
        "A box above points, of Med-SA?": "4 the first",
        "Depth above none?": "4 the first",
    }
    assert table.loc["Med-SA above MedSAM?", SKIN] == "4 a tie"
    assert table.loc["Depth above none?", SKIN] == "–"
    pair = tests[BELLY].loc["Depth above none?"].iloc[0]
    assert (pair["first"], pair["second"]) == ("Med-SA, random point", "Med-SA (2D), random point")
    assert pair["difference"] == pytest.approx(0.1)
    assert {FIRST, SECOND, TIE} & set(tests[SKIN]["better"]) == {FIRST, TIE}


def test_two_patients_give_differences_and_no_verdict(cases):
    tests = set_tests(cases, BRAINS)
    assert tests.loc["Depth above none?", "difference"].tolist() == pytest.approx([0.1] * 4)
    ranked = tests.drop(index=med_sa_real.ALONE)
    assert set(ranked["better"]) == {TOO_FEW}
    assert orders({BRAINS: tests}, real_questions()).empty


def test_a_smaller_distance_is_better(cases):
    longer = cases.assign(hd95=cases["hd95"] + 5 * cases["system"].eq("MedSAM"))
    tests = set_tests(longer, BELLY, "hd95")
    assert (tests.loc["Med-SA above MedSAM?", "better"] == FIRST).all()


def test_without_records_there_are_no_rows():
    nothing = real_cases({"med-sa-organs": ([], load_profile("real", "med-sa-organs"))})
    assert nothing.empty
    assert set_table(nothing, BELLY).empty
