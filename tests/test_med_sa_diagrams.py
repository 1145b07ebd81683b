"""Pictures of Med-SA: boxes, arrows, and a map for every slice."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from samnb.reports import med_sa_diagrams as diagrams


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def arrows(figure) -> int:
    return sum(isinstance(patch, FancyArrowPatch) for patch in figure.axes[0].patches)


@pytest.mark.parametrize(
    ("figure", "boxes", "lines"),
    [
        (lambda: diagrams.encoder_block(160, 10), 8, 9),
        (diagrams.decoder_block, 8, 8),
        (lambda: diagrams.space_and_depth(8, 256, 160), 7, 7),
        (lambda: diagrams.hyper_prompt(96, 6, 8), 9, 8),
    ],
)
def test_every_box_has_two_lines_and_arrows_join_them(figure, boxes, lines):
    drawn = figure()
    assert len(words(drawn)) == 2 * boxes
    assert arrows(drawn) == lines


def test_the_shapes_in_the_boxes_are_those_given():
    assert "160 → 10 → 160" in words(diagrams.encoder_block(160, 10))
    assert {"8 × 256 tokens", "256 × 8 tokens"} <= set(words(diagrams.space_and_depth(8, 256, 160)))
    assert {"8·96 → 6", "6 → 6·6"} <= set(words(diagrams.hyper_prompt(96, 6, 8)))


def test_every_slice_has_its_map_and_the_marked_one_its_star():
    part = np.zeros((4, 3, 3))
    part[2, 1, 0] = 1
    figure = diagrams.slice_grids({"one": part, "two": np.full((4, 3, 3), np.nan)}, (2, 1, 0))
    assert len(figure.axes) == 8
    stars = [axes.lines[0].get_xydata().tolist() for axes in figure.axes if axes.lines]
    assert stars == [[[0.5, 1.5]]] * 2
    assert [bool(axes.lines) for axes in figure.axes[:4]] == [False, False, True, False]
    values = figure.axes[2].collections[0].get_array()
    assert values.reshape(3, 3)[1, 0] == 1
    assert values.sum() == 1
    assert figure.axes[0].get_title(loc="left") == "one"
