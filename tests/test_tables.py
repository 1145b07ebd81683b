"""Tables of results: the numbers by hand, the order, the marks, what is missing, the files."""

import numpy as np
import pandas as pd
import pytest
from made_cases import made_cases

from samnb.base.errors import SamnbError
from samnb.reports import paper, printing, systems
from samnb.reports.localisation import localisation_table
from samnb.reports.tables import (
    cost_table,
    difference_matrix,
    segmentation_table,
    significance_matrix,
    smallest_p,
    write_table,
)


@pytest.fixture(scope="module")
def cases():
    return made_cases()


def few(**columns):
    """A table of cases by hand; what is not given is the same in every row."""
    count = len(next(iter(columns.values())))
    same = {"system": "A", "seed": 1, "change": "", "cohort": "lits", "patient": "p", "slice": 0}
    measured = dict.fromkeys(("dice", "hd", "hd95", "surface_dice"), 0.5)
    return pd.DataFrame(same | measured | columns, index=range(count))


def numbers(**columns):
    return pd.DataFrame(columns, index=pd.Index([f"S{i}" for i in range(4)], name="System"))


@pytest.mark.parametrize(
    ("name", "family", "labels"),
    [
        ("SAM-Mix-50", "SAM-Mix", 50),
        ("SAM-Mix guided-5", "SAM-Mix guided", 5),
        ("U-Net", "U-Net", None),
        ("TransU-Net", "TransUNet", None),
        ("CAM alone", "CAM alone", 0),
        ("Mine-2-7", "Mine-2", 7),
    ],
)
def test_a_name_is_a_family_and_a_number_of_labels(name, family, labels):
    assert systems.parse(name) == (family, labels)


def test_systems_stand_in_the_papers_order_and_unknown_ones_last():
    names = ["Mine", "SAM-Mix soft-5", "SAM-Mix-100", "SAM-Mix-5", "SAM-PP-0", "U-Net", "MultiMix"]
    wanted = ["U-Net", "MultiMix", "SAM-PP-0", "SAM-Mix-5", "SAM-Mix-100", "SAM-Mix soft-5", "Mine"]
    assert systems.in_order(names * 2) == wanted


def test_published_numbers_are_the_papers():
    first, second = (paper.published(table).set_index("system") for table in (1, 2))
    assert list(first.index) == systems.in_order(first.index) == list(second.index)
    assert len(first) == 11
    best = first.loc["SAM-Mix-50"]
    assert (best["dice"], best["dice_deviation"], best["hd"]) == (0.948, 0.002, 9.842)
    assert second.loc["MultiMix", ["dice", "hd_deviation"]].tolist() == [0.159, 0.057]
    assert first["dice_place"].nsmallest(2).index.tolist() == ["SAM-Mix-50", "SAM-Mix-100"]
    assert first["hd_place"].nsmallest(2).index.tolist() == ["SAM-Mix-50", "TransUNet"]
    assert paper.table_of("totalsegmentator") == 2
    with pytest.raises(SamnbError, match="no table 3"):
        paper.published(3)


def test_every_number_of_labels_of_multimix_stands_beside_its_one_row_and_full_forms_do_not():
    beside = paper.beside(["MultiMix-5", "MultiMix-50", "U-Net-50", "Mine"], paper.published(1))
    assert beside["dice"].tolist()[:2] == [0.627, 0.627]
    assert beside["dice"].isna().tolist() == [False, False, True, True]


def test_the_segmentation_table_by_hand():
    # Seed 1: 0.2 and 0.6; seed 2: 0.4 and 0.8. Means 0.4 and 0.6 → 0.5 ± 0.1414.
    table = segmentation_table(
        few(dice=[0.2, 0.6, 0.4, 0.8], hd=[1, 2, 3, 4], seed=[1, 1, 2, 2], patient=list("pqpq")),
        "lits",
    )
    row = table.loc["A"]
    assert row["dice"] == pytest.approx(0.5)
    assert row["dice_deviation"] == pytest.approx(np.sqrt(0.02))
    assert row["hd"] == pytest.approx(2.5)
    assert 0.3 <= row["dice_low"] <= 0.5 <= row["dice_high"] <= 0.7
    text = printing.printed(table)
    assert text.loc["A", ["Dice", "HD, px", "Seeds"]].tolist() == [
        "0.500 ± 0.141",
        "2.50 ± 1.41",
        "2",
    ]


def test_rows_are_those_with_cases_and_the_paper_stands_beside(cases):
    table = segmentation_table(cases, "lits", paper.published(1))
    assert list(table.index) == ["U-Net", "SAM-PP-0", "SAM-PP-50", "SAM-Mix-5", "SAM-Mix-50"]
    assert table["paper_dice"].tolist() == [0.897, 0.441, 0.726, 0.919, 0.948]
    mine = segmentation_table(made_cases({"Mine-5": 0.5}), "lits", paper.published(1))
    assert mine["paper_dice"].isna().all()
    assert printing.printed(mine).loc["Mine-5", "Paper: HD"] == "–"


def test_ablations_and_other_cohorts_do_not_count(cases):
    changed = cases.assign(change="threshold-0.3", dice=0.0)
    both = pd.concat([cases, changed])
    pd.testing.assert_frame_equal(
        segmentation_table(both, "lits"), segmentation_table(cases, "lits")
    )
    with pytest.raises(SamnbError, match="brats"):
        segmentation_table(cases, "brats")


def test_a_change_that_was_run_with_every_seed_is_a_system_of_its_own():
    change = "mix.guidance=0.1"
    plain = few(system=["SAM-Mix guided-5", "SAM-Mix soft-5"], dice=[0.5, 0.6])
    cases = systems.with_variants(pd.concat([plain, plain.assign(change=change, dice=0.9)]))
    table = segmentation_table(cases, "lits")
    wanted = {"SAM-Mix guided-5": 0.5, "SAM-Mix lightly guided-5": 0.9, "SAM-Mix soft-5": 0.6}
    assert table["dice"].to_dict() == wanted  # the soft form's change stays an ablation
    facts = {"name": "SAM-Mix guided-5", "title": "SAM-Mix guided", "labels": 5}
    assert systems.shown_name(facts | {"changes": []}) == "SAM-Mix guided-5"
    assert systems.shown_name(facts | {"changes": [change]}) == "SAM-Mix lightly guided-5"
    assert systems.shown_name(facts | {"changes": [change, "sam.lora.rank=2"]}) is None


def test_a_variant_that_learns_from_all_masks_has_no_number_either():
    change = "learning.unet.epochs=30"
    plain = few(system=["U-Net", "U-Net-5"], dice=[0.5, 0.6])
    cases = systems.with_variants(pd.concat([plain, plain.assign(change=change, dice=0.9)]))
    names = set(segmentation_table(cases, "lits").index)
    assert names == {"U-Net", "U-Net-5", "U-Net longer", "U-Net longer-5"}
    facts = {"name": "U-Net", "title": "U-Net", "labels": None, "changes": [change]}
    assert systems.shown_name(facts) == "U-Net longer"


def test_missing_seeds_are_named(cases):
    part = cases[~((cases["system"] == "SAM-Mix-5") & (cases["seed"] == 2))]
    assert systems.missing_seeds(part) == {"SAM-Mix-5": [2]}
    table = segmentation_table(part, "lits")
    assert table.loc["SAM-Mix-5", ["seeds", "missing"]].tolist() == [2, "2"]
    assert printing.printed(table)["Missing seeds"].tolist() == ["–", "–", "–", "2", "–"]
    assert "Missing seeds" not in printing.printed(segmentation_table(cases, "lits"))
    wanted = segmentation_table(cases, "lits", seeds=range(1, 6))
    assert set(wanted["missing"]) == {"4, 5"}


def test_lengths_of_scans_are_in_mm(cases):
    table = segmentation_table(cases.drop(columns="slice"), "lits")
    assert {"hd_mm", "hd95_mm"} <= set(table)
    assert "HD, mm" in printing.printed(table)


def test_equal_prints_share_a_mark_and_lower_distances_are_better():
    table = numbers(dice=[0.8, 0.80001, 0.7, 0.7], hd=[9.0, 3.0, 3.0, 5.0])
    found = printing.marks(table)
    assert found["Dice"].tolist() == ["best", "best", "second", "second"]
    assert found["HD, px"].tolist() == ["", "best", "best", "second"]


def test_the_papers_marks_are_among_all_of_its_rows():
    table = segmentation_table(made_cases({"U-Net": 0.5, "SAM-Mix-100": 0.6}), "lits",
                               paper.published(1))  # fmt: skip
    assert printing.marks(table)["Paper: Dice"].tolist() == ["", "second"]
    assert printing.marks(table)["Dice"].tolist() == ["second", "best"]


def test_one_number_alone_is_not_the_best_of_its_column():
    table = numbers(dice=[np.nan, 0.4, np.nan, np.nan])
    assert set(printing.marks(table)["Dice"]) == {""}


def test_the_page_shows_bold_and_underlined_and_is_always_the_same():
    table = numbers(dice=[0.8, 0.9, 0.7, np.nan])
    html = printing.styled(table, "Made up").to_html()
    assert html == printing.styled(table, "Made up").to_html()
    style = html[: html.index("</style>")].replace("\n", " ")
    bold, underlined = style.index("font-weight: bold"), style.index("text-decoration: underline")
    assert "row1_col0" in style[:bold].rpartition("}")[2]
    assert "row0_col0" in style[:underlined].rpartition("}")[2]
    assert "<caption>Made up</caption>" in html


def test_latex_is_a_booktabs_table_with_escapes_and_marks():
    table = numbers(dice=[0.8, 0.9, 0.7, np.nan], dice_deviation=[0.1, 0.1, np.nan, np.nan])
    table = table.rename(index={"S0": "a_b & 5 %", "S1": "ω=0.3"})
    lines = printing.latex(table).splitlines()
    assert lines[0] == r"\begin{tabular}{ll}"
    assert lines[1] == r"\toprule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert lines[4] == r"a\_b \& 5 \% & \underline{0.800 $\pm$ 0.100} \\"
    assert lines[5] == r"$\omega$=0.3 & \textbf{0.900 $\pm$ 0.100} \\"
    assert lines[7] == r"S3 & -- \\"
    assert printing.escape("\\{~}#") == r"\textbackslash{}\{\textasciitilde{}\}\#"


def test_files_hold_every_digit_and_the_printed_table(tmp_path, cases):
    table = segmentation_table(cases, "lits", paper.published(1))
    csv, tex = write_table(table, "table1", tmp_path / "tables")
    read = pd.read_csv(csv, index_col="System")
    np.testing.assert_allclose(read["dice"], table["dice"], rtol=1e-5)
    assert tex.read_text(encoding="utf-8") == printing.latex(table)
    assert tex.name == "table1.tex"


def test_significance_is_square_and_difference_changes_its_sign(cases):
    p_values = significance_matrix(cases, "lits")
    difference = difference_matrix(cases, "lits")
    assert list(p_values.index) == list(p_values.columns) == systems.in_order(cases["system"])
    np.testing.assert_array_equal(p_values, p_values.T)
    np.testing.assert_array_equal(difference, -difference.T)
    assert difference.loc["SAM-Mix-50", "SAM-PP-0"] == pytest.approx(0.3, abs=0.03)
    # Six patients, all on one side: 2 / 2^6; of two systems there is one pair and no correction.
    pair = significance_matrix(cases, "lits", systems=["SAM-PP-0", "U-Net"])
    assert pair.loc["U-Net", "SAM-PP-0"] == pytest.approx(2 / 2**6)
    assert smallest_p(6, 2) == pytest.approx(2 / 2**6)
    assert p_values.min(axis=None) == pytest.approx(smallest_p(6, 5))


def test_cost_by_hand():
    def record(seed, **more):
        base = {"name": "SAM-Mix-5", "seed": seed, "changes": [], "multiply_adds": 2e9}
        base |= {"parameters": {"total": 3_000_000, "trainable": 12_000}, "device": "cpu"}
        base |= {"seconds": {"training": 10 * seed}, "milliseconds_per_slice": 5.0}
        return base | {"peak_memory_mb": None} | more

    other = record(1, name="U-Net", device="cuda")
    table = cost_table([record(1), record(3), other, record(9, changes=["sam.lora.rank=2"])])
    assert list(table.index) == ["U-Net", "SAM-Mix-5"]
    row = printing.printed(table).loc["SAM-Mix-5"]
    wanted = ["3.00", "0.012", "2.00", "20 ± 14", "5.0 ± 0.0", "–", "cpu", "2"]
    assert row.tolist() == wanted


def test_localisation_counts_silence_as_a_miss():
    rows = few(
        system=["A"] * 4 + ["U-Net"] * 4,
        label=[1, 1, 1, 0] * 2,
        presence=[0.9, 0.8, 0.1, 0.3] + [np.nan] * 4,
        hit=[1.0, 0.0, 0.0, np.nan] + [np.nan] * 4,
        box_iou=[0.6, 0.3, np.nan, np.nan] + [np.nan] * 4,
    )
    table = localisation_table(rows, "lits")
    assert list(table.index) == ["A"]
    row = table.loc["A"]
    assert row["auc"] == pytest.approx(2 / 3)
    assert row["hit"] == pytest.approx(1 / 3)
    assert row["box_iou"] == pytest.approx(0.3)
    assert row["boxed"] == pytest.approx(2 / 3)


def test_a_map_without_an_answer_is_a_miss():
    rows = few(
        label=[1, 1, 1], presence=[0.9, 0.8, 0.1], hit=[1.0, 1.0, np.nan], box_iou=[0.6, 0.3, 0.9]
    )
    assert localisation_table(rows, "lits").loc["A", "hit"] == pytest.approx(2 / 3)


def test_a_run_that_calls_everything_empty_has_box_iou_zero():
    rows = few(
        seed=[1, 2], label=[1, 1], presence=[0.9, 0.1], hit=[1.0, 0.0], box_iou=[0.8, np.nan]
    )
    assert localisation_table(rows, "lits").loc["A", "box_iou"] == pytest.approx(0.4)
