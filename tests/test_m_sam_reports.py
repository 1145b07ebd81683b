"""The tables, tests and figures of M-SAM: the paper's digits, and ours on hand-made scans."""

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_tumours import COUNTS, scans, studies

from samnb.base.errors import SamnbError
from samnb.prompts.users import find_user
from samnb.reports import (
    m_sam,
    m_sam_ablation,
    m_sam_clicks,
    m_sam_crop,
    m_sam_figures,
    m_sam_findings,
    m_sam_names,
    m_sam_parameters,
    m_sam_study,
    m_sam_transfer,
)
from samnb.reports.claims_m_sam import audit_m_sam
from samnb.reports.lunch import AUTOMATIC, ORACLE
from samnb.reports.lunch_tests import FIRST, SECOND, TIE, is_frozen, paired_tests
from samnb.reports.paper_m_sam import (
    note,
    printed_differences,
    published_ablation,
    published_comparison,
    published_transfer,
)
from samnb.reports.paper_med_sa import row_name
from samnb.reports.printing import marks, printed
from samnb.reports.style import SYSTEM_LOOKS
from samnb.reports.systems import FAMILIES, parse

mpl.use("Agg")

OWN, PLAIN, FROZEN = "M-SAM", "SAM-Med3D", "SAM (3D)"
TEN = "10 random clicks"
PATIENTS = 0.025  # the mean of what six patients add: 0.00 ... 0.05


@pytest.fixture(scope="module")
def cases():
    return m_sam.all_cases(studies())


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_published_numbers_are_the_papers():
    table = published_comparison()
    assert list(table.index) == [
        *("TransUNet", "UNETR", "Swin UNETR", "nnFormer", "nnU-Net"),
        *("Med-SA", "SAM3D", "SAM-Med3D", "M-SAM"),
    ]
    assert table.loc["M-SAM", m_sam_names.BENCHMARKS].tolist() == [
        *(0.9208, 0.9350, 0.8162, 0.8049, 0.8995)
    ]
    assert table.loc["SAM3D", ["parameters", "trainable", "KiTS19"]].tolist() == [
        *(91.88, 1.88, 0.8036)
    ]
    assert table.loc["Med-SA", "track"] == "not said"
    transfer = published_transfer("MSD Lung to Lung100")
    assert list(transfer.index) == ["UNETR", "U-Net", "SAM-Med3D", "M-SAM"]  # its order there
    assert transfer.loc["U-Net", ["before", "after", "difference", "rate"]].tolist() == [
        *(0.7322, 0.6232, -0.109, -14.89)
    ]
    ablation = published_ablation()
    assert ablation.loc["frozen", "Lung100 dice"] == 0.1007
    assert ablation.loc["without MEA", ["trained", "BraTS 2021 iou"]].tolist() == [8.09, 0.7294]
    with pytest.raises(SamnbError, match="no transfer 'BraTS to LiTS'"):
        published_transfer("BraTS to LiTS")
    assert "only Lung100 is new" in note()
    assert len(printed_differences()) == 16


def test_names_are_those_of_the_book():
    for title in m_sam_names.TITLES.values():
        assert title in FAMILIES
        assert title in SYSTEM_LOOKS
        assert parse(title).family == title
    for count in range(1, 11):
        user = m_sam_names.clicks(count)
        assert find_user(user).rounds == count
        assert m_sam_names.count_of(user) == count
    assert m_sam_names.count_of("10 clicks") is None  # another kind of user
    assert m_sam_names.count_of("random point") is None
    assert is_frozen(row_name(m_sam_names.FROZEN, TEN))
    cohorts = [settings.cohort for settings in m_sam_names.SETS.values()]
    assert len(set(cohorts)) == len(set(m_sam_names.STUDIES)) == 7


def test_a_row_is_a_system_and_who_told_it(cases):
    assert set(cases.loc[cases["user"] == "", "row"]) == {"3D nnU-Net", "UNETR"}
    assert m_sam.track_of("3D U-Net, nnU-Net's layout") == AUTOMATIC
    assert m_sam.track_of("M-SAM, random click") == ORACLE
    assert m_sam.track_in_words("M-SAM, random click") == "interactive: random click"
    assert m_sam.track_in_words("Med-SA, prompt not said") == "prompt not said"
    assert m_sam.track_in_words("3D U-Net, nnU-Net's layout") == AUTOMATIC
    with pytest.raises(SamnbError, match="cohorts moon, which are none of its sets"):
        m_sam.all_cases({"m-sam-kits": scans(OWN, 0.5, TEN, cohort="moon")})


def test_a_set_by_hand(cases):
    table = m_sam.comparison_table(cases, "KiTS19", seeds=(1, 2, 3))
    row = table.loc[f"{OWN}, {TEN}"]
    assert row["dice"] == pytest.approx(0.8 + PATIENTS)
    each = 0.8 + 0.01 * np.arange(6)
    assert row["iou"] == pytest.approx(np.mean(each / (2 - each)))
    assert row["dice_low"] < row["dice"] < row["dice_high"]
    assert row["paper_dsc"] == 0.935
    assert np.isnan(table.loc[f"{OWN}, random click", "paper_dsc"])  # the paper has ten clicks
    alone = table.loc["UNETR"]
    assert alone["dice_deviation"] == pytest.approx(0.02 * np.sqrt(0.5))  # seeds at -0.02 and 0
    assert (alone["track"], alone["missing"], alone["seeds"]) == (AUTOMATIC, "3", 2)
    assert table.loc[f"{FROZEN}, {TEN}", "missing"] == ""  # learns nothing: one run is all
    assert table.loc["3D nnU-Net", "paper_dsc"] == 0.8988
    assert "nnU-Net" not in table.index  # ours stands for it
    assert printed(table).loc["TransUNet", "Dice"] == "–"  # no record
    assert "pre-training included" in table.attrs["note"]
    assert m_sam.comparison_table(cases, "Lung100")["paper_dsc"].isna().all()  # not in table 1


def test_places_are_given_within_a_track(cases):
    found = marks(m_sam.comparison_table(cases, "KiTS19"))["Dice"]
    assert found["3D nnU-Net"] == "best"
    assert found["UNETR"] == "second"
    for count in COUNTS:
        user = m_sam_names.clicks(count)
        rows = [found[f"{system}, {user}"] for system in (OWN, PLAIN, FROZEN)]
        assert rows == ["best", "second", ""]
    paper = marks(m_sam.comparison_table(cases, "KiTS19"))["Paper: Dice"]
    assert paper["3D nnU-Net"] == "best"  # 89.88, behind 93.50 of who is told
    assert paper[f"{OWN}, {TEN}"] == "best"
    assert paper["Med-SA, prompt not said"] == ""


def test_the_papers_med_sa_never_stands_beside_ours():
    asked = scans("Med-SA", 0.7, f"{TEN}, every slice")
    table = m_sam.comparison_table(m_sam.all_cases({"m-sam-kits": asked}), "KiTS19")
    row = f"Med-SA, {TEN}, every slice"
    assert np.isnan(table.loc[row, "paper_dsc"])  # nobody knows what it was told there
    assert table.loc[row, "track"] == f"interactive: {TEN}, every slice"
    assert table.loc["Med-SA, prompt not said", "paper_dsc"] == 0.8719


def test_a_patient_counts_once_however_many_scans_and_targets():
    more = scans("UNETR", 0.2, patients=1).assign(scan="again")
    both = pd.concat([scans("UNETR", 0.8), more])
    table = m_sam.comparison_table(m_sam.all_cases({"m-sam-kits": both}), "KiTS19")
    by_hand = np.mean([(0.8 + 0.2) / 2, *(0.8 + 0.01 * np.arange(1, 6))])
    assert table.loc["UNETR", "dice"] == pytest.approx(by_hand)


def test_a_records_own_iou_is_taken_where_there_is_one():
    given = m_sam.all_cases({"m-sam-kits": scans("UNETR", 0.8).assign(iou=0.5)})
    assert m_sam.comparison_table(given, "KiTS19").loc["UNETR", "iou"] == pytest.approx(0.5)


def test_the_table_of_all_sets(cases):
    table = m_sam.all_sets(cases)
    names = list(table.index)
    assert names[names.index(f"{OWN}, {TEN}") + 1] == "· paper, M-SAM"
    assert names[names.index("3D nnU-Net") + 1] == "· paper, nnU-Net"
    assert f"{OWN}, random click" not in names
    assert "TransUNet" not in names  # has no record
    assert table.loc["· paper, TransUNet", "LiTS"] == 0.865
    assert table.loc[f"{OWN}, {TEN}", "KiTS19"] == pytest.approx(0.8 + PATIENTS)
    found = marks(table)
    assert found.loc["3D nnU-Net", "KiTS19"] == found.loc[f"{OWN}, {TEN}", "KiTS19"] == "best"
    assert found.loc["· paper, M-SAM", "KiTS19"] == ""
    few = m_sam.all_sets(cases, 1)
    assert few.loc[f"{OWN}, random click", "KiTS19"] == pytest.approx(0.7 + PATIENTS)
    assert f"{OWN}, {TEN}" not in few.index or few.loc[f"{OWN}, {TEN}"].isna().all()


def test_the_overview_has_one_number_of_clicks(cases):
    table = m_sam.overview(m_sam.comparison_table(cases, "KiTS19"), 3)
    assert f"{OWN}, 3 random clicks" in table.index
    assert f"{OWN}, {TEN}" not in table.index
    assert "3D nnU-Net" in table.index


def test_a_transfer_by_hand(cases):
    table = m_sam_transfer.transfer_table(cases, "MSD Lung to Lung100")
    row = table.loc[f"{OWN}, {TEN}"]
    # Trained on the second set 0.7, on the first 0.6; the first itself has 0.9.
    assert row[["source", "before", "after"]].tolist() == pytest.approx(
        [0.9 + PATIENTS, 0.7 + PATIENTS, 0.6 + PATIENTS]
    )
    assert row["change"] == pytest.approx(-0.1)
    assert row["rate"] == pytest.approx(-100 * 0.1 / (0.7 + PATIENTS))
    assert row["change_low"] == pytest.approx(-0.1)
    assert row["better"] == m_sam_transfer.LOST
    assert row[["paper_before", "paper_change", "paper_rate"]].tolist() == [
        *(0.8217, -0.0427, -5.2)
    ]
    assert table.loc["UNETR", "better"] == m_sam_transfer.KEPT  # seeds differ by more
    assert list(table.index)[:2] == ["UNETR", "U-Net"]  # the second without a record
    assert table.loc["U-Net", ["change", "better"]].isna().tolist() == [True, False]
    assert f"{FROZEN}, {TEN}" not in table.index
    assert f"{OWN}, random click" not in table.index
    other = m_sam_transfer.transfer_table(cases, "Lung100 to MSD Lung")
    assert other.loc[f"{OWN}, {TEN}", "before"] == pytest.approx(0.9 + PATIENTS)
    assert np.isnan(other.loc[f"{OWN}, {TEN}", "after"])  # was not examined
    rates = m_sam_transfer.mean_rates(cases, ["MSD Lung to Lung100"])
    assert rates[f"{OWN}, {TEN}"] == pytest.approx(row["rate"])


def test_who_loses_less(cases):
    found = m_sam_transfer.loss_tests(cases).set_index("second", append=True)
    plain = found.loc[("MSD Lung to Lung100", f"{PLAIN}, {TEN}")]
    assert plain["difference"] == pytest.approx(0.1)  # -0.1 against -0.2
    assert plain["better"] == FIRST
    alone = found.loc[("MSD Lung to Lung100", "UNETR"), "better"]
    assert alone == "not ranked: first was told where"
    assert len(found) == 2
    assert m_sam_transfer.loss_tests(m_sam.all_cases({})).empty


def test_table_3_by_hand(cases):
    table = m_sam_ablation.ablation_table(cases, "KiTS19")
    assert table["dice"].tolist() == pytest.approx([0.525, 0.675, 0.845, 0.825])
    assert table["tuned"].tolist() == [0, 8.09, 100, 21.41]
    assert table.loc["without MEA", ["paper_dsc", "paper_iou"]].tolist() == [0.8675, 0.7659]
    every = m_sam_ablation.all_ablations(cases)
    assert every.loc["without MEA", "KiTS19"] == pytest.approx(0.675)
    assert every.loc["· paper, without MEA", "Lung100"] == 0.7796
    assert every.loc["M-SAM", "Lung100"] == pytest.approx(0.725)
    assert "LiTS" not in every
    one = m_sam_ablation.ablation_table(cases, "KiTS19", 1)
    assert one.loc["M-SAM", "dice"] == pytest.approx(0.725)
    assert np.isnan(one.loc["without MEA", "dice"])


def test_the_whole_against_what_lacks_a_part(cases):
    found = m_sam_ablation.ablation_tests(cases).loc[["KiTS19"]].set_index("second")
    assert found["better"].to_dict() == {
        FROZEN: FIRST, "without MEA": FIRST, "whole encoder trained": SECOND
    }  # fmt: skip
    assert found.loc[FROZEN, "spread"] == 0.0  # a single run of what draws nothing
    assert m_sam_ablation.ablation_tests(m_sam.all_cases({})).empty


def test_dice_by_clicks(cases):
    table = m_sam_clicks.click_table(cases, "KiTS19")
    assert table.index.tolist() == list(COUNTS)
    assert table[OWN].tolist() == pytest.approx([0.725, 0.775, 0.825])
    assert list(table.filter(regex="^(?!.*_deviation)")) == [FROZEN, PLAIN, OWN]
    by_slice = scans("Med-SA", 0.9, f"{TEN}, every slice")
    nothing = m_sam_clicks.clicked_cases(m_sam.all_cases({"m-sam-kits": by_slice}), "KiTS19")
    assert nothing.empty  # ten clicks a slice are not ten clicks


def test_clicks_that_a_level_needs(cases):
    chosen = m_sam_clicks.clicked_cases(cases, "KiTS19")
    found = m_sam_clicks.clicks_to(chosen[chosen["system"] == OWN], 0.8)
    # Patients 0 ... 5 have 0.70 to 0.75 by one click, 0.75 to 0.80 by three, 0.80 to 0.85 by ten.
    assert found.groupby("patient")["needed"].first().tolist() == [10, 10, 10, 10, 10, 3]
    assert found["reached"].all()
    plain = m_sam_clicks.clicks_to(chosen[chosen["system"] == PLAIN], 0.75)
    # Ten clicks give 0.70 to 0.75: one patient of six gets there, the others count as ten.
    assert plain.groupby("patient")["reached"].first().tolist() == [False] * 5 + [True]
    assert set(plain["needed"]) == {10}
    table = m_sam_clicks.needed_table(cases, "KiTS19", [0.8, 0.9])
    assert list(table.index) == [FROZEN, PLAIN, OWN] * 2
    eight, nine = table.loc[OWN].to_dict("records")
    assert eight["needed"] == pytest.approx((5 * 10 + 3) / 6)
    assert eight["needed_low"] < eight["needed"] <= eight["needed_high"]
    assert (eight["reached"], eight["whole"], nine["reached"]) == (100, 10, 0)
    assert np.isnan(nine["whole"])


def test_how_many_clicks_are_worth_who_works_alone(cases):
    table = m_sam_clicks.worth_of_alone(cases, "KiTS19")
    assert set(table["alone"]) == {"3D nnU-Net"}
    assert table.loc[OWN, "clicks"] == 3  # 0.775 as the best alone has
    assert np.isnan(table.loc[PLAIN, "clicks"])


def test_pairs_of_clicks_are_named_before_looking(cases):
    found = m_sam_clicks.click_tests(cases, "KiTS19")
    adapter = found.loc["Is the adapter worth it, beside all of SAM-Med3D trained?"]
    assert adapter["better"].tolist() == [FIRST] * 3
    assert adapter["difference"].tolist() == pytest.approx([0.1] * 3)
    more = found.loc["Do more clicks help M-SAM?"]
    assert more["first"].tolist() == [f"{OWN}, 3 random clicks", f"{OWN}, {TEN}"]
    assert set(more["better"]) == {FIRST}
    assert len(found.loc["What does learning bring?"]) == 6
    alone = found.loc["Told where, against working alone?"]
    assert len(alone) == 3 * 2
    assert set(alone["better"]) == {"not ranked: first was told where"}


def test_more_iou_is_better_in_paired_tests(cases):
    found = m_sam_clicks.click_tests(cases, "KiTS19", "iou")
    assert set(found.loc["Do more clicks help M-SAM?", "better"]) == {FIRST}
    far = pd.concat([scans("UNETR", 0.5), scans("nnFormer", 0.5).assign(hd95=5.0)])
    by_distance = paired_tests(far, [("UNETR", "nnFormer")], "hd95", m_sam.track_of)
    assert by_distance["better"].tolist() == [SECOND]


def test_what_the_crop_of_the_truth_is_worth(cases):
    table = m_sam_crop.crop_table(cases).set_index("set", append=True)
    own = table.loc[(f"{OWN}, {TEN}", "KiTS19")]
    assert own[["honest", "cropped"]].tolist() == pytest.approx([0.825, 0.845])
    assert own["change"] == pytest.approx(0.02)
    assert own["better"] == m_sam_crop.HELPS
    assert table.loc[("UNETR", "KiTS19"), "better"] == TIE
    assert len(table) == 2
    assert m_sam_crop.crop_table(m_sam.all_cases({})).empty
    # What was only run with the crop is nobody's gap.
    lonely = m_sam.all_cases({"m-sam-kits": scans(OWN, 0.8, TEN, change="data.crop=truth")})
    assert m_sam_crop.crop_table(lonely).empty


def test_without_records_the_paper_stands_alone():
    nothing = m_sam.all_cases({})
    for name in m_sam_names.SETS:
        assert m_sam.comparison_table(nothing, name, (1, 2))["dice"].isna().all()
        assert m_sam_clicks.click_table(nothing, name).empty
        assert m_sam_clicks.needed_table(nothing, name).empty
        assert m_sam_clicks.click_tests(nothing, name).empty
        assert m_sam_clicks.worth_of_alone(nothing, name).empty
    assert m_sam.all_sets(nothing)["LiTS"].count() == 9
    for name in m_sam_names.TRANSFERS:
        table = m_sam_transfer.transfer_table(nothing, name)
        assert table["change"].isna().all()
        assert table["paper_rate"].count() == 4
    assert m_sam_ablation.all_ablations(nothing)["KiTS19"].count() == 4
    for draw in ("click_curves", "transfer_chart", "ablation_chart", "crop_chart"):
        getattr(m_sam_figures, draw)(nothing)


def test_curves_of_clicks_and_the_level_of_who_works_alone(cases):
    figure = m_sam_figures.click_curves(cases)
    titles = [axes.get_title() for axes in figure.axes if axes.axison]
    assert titles == ["KiTS19", "MSD Lung", "Lung100"]
    axes = figure.axes[0]
    curves = [tuple(np.array(line.get_ydata(), float).round(3)) for line in axes.lines
              if len(line.get_xdata()) == 3]  # fmt: skip
    assert (0.725, 0.775, 0.825) in curves
    assert [text.get_text() for text in axes.texts] == ["alone: 3D nnU-Net"]
    assert any(
        line.get_linestyle() == "--" and line.get_ydata()[0] == pytest.approx(0.775)
        for line in axes.lines
    )


def test_charts_of_transfers_variants_and_crops(cases):
    figure = m_sam_figures.transfer_chart(cases)
    axes = figure.axes[0]
    assert axes.get_title() == "MSD Lung to Lung100"
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["UNETR", f"{PLAIN}, 10 clicks", f"{OWN}, 10 clicks"]
    hollow = [line.get_xdata()[0] for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert hollow[-1] == pytest.approx(0.6 + PATIENTS)  # trained elsewhere
    axes = m_sam_figures.ablation_chart(cases).axes[0]
    drawn = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert drawn == pytest.approx([0.525, 0.675, 0.845, 0.825])
    axes = m_sam_figures.crop_chart(cases).axes[0]
    hollow = [line.get_xdata()[0] for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert hollow == pytest.approx([0.74, 0.845])


def test_findings_are_sentences_about_the_records(cases):
    levels, adapter, eight, nine, lost, ablation, crop, claims = m_sam_findings.findings(
        cases, audit_m_sam(cases)
    )
    assert "*KiTS19* SAM (3D) 0.53, SAM-Med3D 0.72, M-SAM 0.82, told nothing 3D nnU-Net 0.78" in (
        levels
    )
    assert "not ranked" in levels
    assert "**ahead 2, a tie 1**. *KiTS19* +0.100" in adapter
    assert "M-SAM 8.8 (100 % reach it)" in eight
    assert "Lung" not in eight  # one number of clicks is no curve
    assert "Dice of 0.9" in nine
    assert "*MSD Lung to Lung100*" in lost
    assert f"{OWN}, {TEN} -0.100 (lost)" in lost
    assert "*KiTS19*, against SAM (3D) +0.300, ahead" in ablation
    assert f"interactive: {TEN} +0.020 to +0.020 (ahead 1)" in crop
    assert "automatic" in crop
    assert claims.startswith("Of ")
    nothing = m_sam.all_cases({})
    assert len(m_sam_findings.findings(nothing, audit_m_sam(nothing))) == 1


def test_studies_that_a_size_lacks_are_said(monkeypatch, cases):
    monkeypatch.setattr(m_sam_study, "studies_of", lambda size: {"m_sam_kits": 0, "m_sam_lits": 0})
    monkeypatch.setattr(m_sam_study, "load_profile", lambda size, name: (size, name))
    found = m_sam_study.read_studies("pocket")
    assert found == {name: ("pocket", name) for name in ("m-sam-kits", "m-sam-lits")}
    absent, empty = m_sam_study.missing_records(found, cases, "pocket")
    assert "BraTS 2021 (`m-sam-brats`)" in absent
    assert "KiTS19" not in absent + empty
    assert empty.startswith("No record is here of LiTS (`m-sam-lits`), ")


def test_cases_of_studies_are_their_records(monkeypatch):
    made = [SimpleNamespace(name=OWN, scans=scans(OWN, 0.5, TEN).drop(columns=["system", "seed"]))]
    monkeypatch.setattr(m_sam_study, "all_records", lambda profile: made)
    run = SimpleNamespace(seed=7, slug="")
    monkeypatch.setattr("samnb.reports.lunch.run_of", lambda record, profile: run)
    found = m_sam_study.study_cases({"m-sam-kits": None})
    assert set(found["seed"]) == {7}
    assert set(found["row"]) == {f"{OWN}, {TEN}"}


def test_parameters_of_the_paper_counted_and_here():
    table = m_sam_parameters.parameter_table()
    own = table.loc[OWN]
    assert own[["paper", "paper_trained"]].tolist() == [118, 25]
    assert own[["counted", "counted_trained"]].tolist() == pytest.approx([118.24, 25.32], abs=0.01)
    public = table.loc["M-SAM, public code"]
    assert public[["counted", "counted_trained"]].tolist() == pytest.approx(
        [117.80, 24.88], abs=0.01
    )
    assert np.isnan(public["paper"])
    assert table.loc[PLAIN, "counted"] == table.loc[PLAIN, "counted_trained"]
    assert table.loc["nnU-Net", "counted"] == pytest.approx(16.54, abs=0.01)
    assert np.isnan(table.loc["SAM3D", "counted"])
    facts = {
        "name": "3D nnU-Net", "title": "3D nnU-Net", "seed": 1, "changes": [],
        "parameters": {"total": 2_000_000, "trainable": 2_000_000}, "seconds": {"training": 1},
    }  # fmt: skip
    here = m_sam_parameters.parameter_table([SimpleNamespace(facts=facts)])
    assert here.loc["nnU-Net", "here"] == 2.0  # ours that stands for it
