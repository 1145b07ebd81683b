"""Figures of results: what is drawn, in which order, and that missing systems do no harm."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_cases import COHORTS, SYSTEMS, made_cases

from samnb.reports import boxes, cams, curves, grids, style, tables
from samnb.reports.significance import significance_map

mpl.use("Agg")


@pytest.fixture(scope="module")
def cases():
    return made_cases()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def square(side=32, low=8, high=16):
    mask = np.zeros((side, side), bool)
    mask[low:high, low:high] = True
    return mask


@pytest.mark.parametrize(
    "name", [f"{family}-{n}" for family in style.SYSTEM_LOOKS for n in (5, 100)]
)
def test_colours_of_systems_are_seen_on_white_and_on_dark_pages(name):
    channels = np.array(style.system_tint(name))
    linear = np.where(channels <= 0.04, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    light = float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05
    assert 1.05 / light > 1.7
    assert light / 0.0561 > 1.7


def test_families_differ_by_colour_line_and_marker():
    for part in range(3):
        assert len({looks[part] for looks in style.SYSTEM_LOOKS.values()}) == len(
            style.SYSTEM_LOOKS
        )
    assert style.system_look("Mine-5")["color"] == style.INK
    shades = [sum(style.system_tint(f"SAM-Mix-{n}")) for n in (5, 50, 100)]
    assert shades == sorted(shades, reverse=True)


def test_boxes_show_every_patient_of_both_cohorts_and_bear_a_missing_system(cases):
    cases = cases[~(cases["system"].eq("SAM-PP-0") & cases["cohort"].eq("totalsegmentator"))]
    figure = boxes.case_boxes(cases, list(COHORTS))
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == list(SYSTEMS)
    clouds = [line for line in left.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in clouds] == [COHORTS["lits"]] * len(SYSTEMS)
    assert len([line for line in right.lines if line.get_marker() == "o"]) == len(SYSTEMS) - 1
    values = cases[cases["system"].eq("U-Net") & cases["cohort"].eq("lits")]
    means = values.groupby("patient")["dice"].mean()
    np.testing.assert_allclose(clouds[0].get_xdata(), means)


def test_boxes_of_slices_have_a_point_for_each(cases):
    figure = boxes.case_boxes(cases, ["lits"], by="slice", systems=["U-Net"])
    assert len(figure.axes[0].lines[0].get_xdata()) == 4 * COHORTS["lits"]


def test_label_efficiency_has_a_line_per_family_and_horizontal_ones_for_all_masks(cases):
    figure = curves.label_efficiency(cases, list(COHORTS))
    axes = figure.axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    assert drawn["SAM-PP"].get_xdata().tolist() == [0, 50]
    assert drawn["SAM-Mix"].get_xdata().tolist() == [5, 50]
    assert "U-Net (all masks)" in drawn
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == ["U-Net (all masks)", "SAM-PP", "SAM-Mix"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "5", "50"]


def test_training_curves_have_a_panel_per_quantity_and_a_line_per_run():
    records = [
        {
            "name": "SAM-Mix-5",
            "seed": seed,
            "history": [{"step": step, "loss": 1 / step, "guidance": None} for step in (1, 2, 3)],
            "validation": [{"step": 3, "dice": 0.5}],
        }
        for seed in (1, 2)
    ] + [{"name": "SAM-PP-0", "seed": 1, "history": [], "validation": None}]
    figure = curves.training_curves(records)
    assert [axes.get_title() for axes in figure.axes] == ["Loss", "Dice of the validation patients"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    assert len(curves.training_curves(records, ["loss"]).axes) == 1


def test_the_map_of_significance_fills_what_is_sure_and_says_who_is_better(cases):
    chosen = ["U-Net", "SAM-PP-0"]
    matrices = [
        matrix(cases, "lits", systems=chosen)
        for matrix in (tables.significance_matrix, tables.difference_matrix)
    ]
    axes = significance_map(*matrices).axes[0]
    filled = {patch.get_facecolor() for patch in axes.patches}
    assert {mpl.colors.to_rgba(colour) for colour in (style.BETTER, style.WORSE)} <= filled
    assert axes.texts[0].get_text().startswith("+.3")
    unsure = significance_map(matrices[0] * 0 + 1, matrices[1]).axes[0]
    assert len(unsure.patches) == len(chosen)  # the diagonal


def test_a_difference_is_called_sure_below_a_p_of_one_in_twenty():
    names = ["U-Net", "SAM-PP-0"]
    difference = pd.DataFrame([[np.nan, 0.1], [-0.1, np.nan]], names, names)
    for p, filled in ((0.049, 2), (0.051, 0)):
        p_values = pd.DataFrame([[np.nan, p], [p, np.nan]], names, names)
        axes = significance_map(p_values, difference).axes[0]
        assert len(axes.patches) == len(names) + filled


def test_blue_means_better_also_where_lower_is_better():
    names = ["U-Net", "SAM-PP-0"]
    p_values = pd.DataFrame([[np.nan, 0.01], [0.01, np.nan]], names, names)
    difference = pd.DataFrame([[np.nan, 0.1], [-0.1, np.nan]], names, names)
    for metric, better in (("dice", (1, 0)), ("hd", (0, 1))):  # column and row of the cell
        axes = significance_map(p_values, difference, metric).axes[0]
        blue = [patch for patch in axes.patches
                if patch.get_facecolor() == mpl.colors.to_rgba(style.BETTER)]  # fmt: skip
        assert [tuple(np.round(patch.get_center())) for patch in blue] == [better]


def test_rows_are_chosen_by_rank_among_slices_with_target():
    truths = np.stack([square()] * 4 + [square() & False])
    reference = np.stack(
        [square(high=10), square(), square(high=15), square(high=12), square() & False]
    )
    assert grids.chosen_rows(truths, reference) == {"best": 1, "median": 3, "worst": 0}
    assert grids.chosen_rows(truths[4:], reference[4:]) == {}


def test_the_grid_has_a_column_per_system_and_hides_no_prediction():
    truths = np.stack([square(), square()])
    far = square(low=28, high=32)
    masks = {"U-Net": truths, "SAM-Mix guided-5": np.stack([far, square() & False])}
    figure = grids.qualitative_grid(np.zeros((2, 32, 32)), truths, masks, ["best: a", "worst: b"])
    assert len(figure.axes) == 4
    first, second = figure.axes[0], figure.axes[2]
    assert first.images[0].get_array().shape == (30, 30)  # 8 to 32, and a margin
    assert second.images[0].get_array().shape == (16, 16)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["Dice 1.00", "Dice 0.00", "Dice 1.00", "Dice 0.00"]


def test_every_stage_has_its_panel_and_an_empty_answer_leaves_the_three_out():
    image, mask, cam = np.zeros((32, 32)), square(), np.zeros((4, 4))
    cam[1, 2] = 1.0
    box = np.array([8.0, 8, 16, 16])
    figure = cams.show_stages(image, cam, mask, box, mask, mask, np.stack([mask] * 3), [0.9] * 3, 2)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 8
    assert titles[6:] == ["Chosen: $m_2$", "Truth, Dice 1.00"]
    star = figure.axes[1].lines[0]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (19.5, 11.5)  # middle of its cell
    nothing = np.full(4, np.nan)
    empty = cams.show_stages(image, cam * 0, mask & False, nothing, mask & False, mask,
                             np.stack([mask] * 3), nothing[:3], 0, 0.1)  # fmt: skip
    assert [axes.get_title() for axes in empty.axes][2:4] == ["No box", "Empty mask"]
    assert len(empty.axes) == 5
