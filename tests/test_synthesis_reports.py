"""What the book says of synthetic images: galleries, seams, leaks, and whether they help others."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from samnb.data.synthesis import TRANSFORMS, SynthesisSettings
from samnb.evaluation.answers import Answers, pack
from samnb.reports import style, synthesis_gain
from samnb.reports.lunch_silence import told_where_absent
from samnb.reports.lunch_tests import FIRST, TIE
from samnb.reports.prompted import show_points
from samnb.reports.synthesis import (
    Material,
    exemplar_gallery,
    lost_share,
    made_of,
    outline_step,
)

SIDE = 24
STILL = SynthesisSettings(images=6, **dict.fromkeys(TRANSFORMS, 0.0))


@pytest.fixture
def material() -> Material:
    """Three exemplars of two targets of value 0.8 on 0.4, the first one's with a black hole."""
    images = np.full((3, 1, SIDE, SIDE), 0.4, np.float32)
    masks = np.zeros((3, 2, SIDE, SIDE), np.uint8)
    masks[:, 0, 4:8, 4:9] = masks[:, 1, 14:20, 12:20] = 1
    images[masks.any(axis=1, keepdims=True)] = 0.8
    images[:, 0, 5:7, 5:7] = 0
    backgrounds = np.full((2, 1, SIDE, SIDE), 0.3, np.float32)
    return Material(images, masks, backgrounds, ("liver", "spleen"))


def test_images_of_an_exemplar_are_the_first_that_are_made_of_it(material):
    synthesis = material.synthesis(STILL, seed=2)
    numbers = [made_of(synthesis, exemplar, 4) for exemplar in range(3)]
    assert sorted(np.concatenate(numbers)) == list(range(12))
    for exemplar, made in enumerate(numbers):
        assert {synthesis.exemplar_of(number) for number in made} == {exemplar}
        assert made == sorted(made)


def test_a_gallery_shows_exemplars_and_what_is_made_of_them(material):
    synthesis = material.synthesis(STILL, seed=2)
    figure = exemplar_gallery(material, synthesis, [2, 0], count=3)
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    assert len(pictures) == 2 * 2 * 4
    np.testing.assert_allclose(pictures[0], material.exemplars[2, 0])
    made = synthesis.make(made_of(synthesis, 2, 3))[0]
    np.testing.assert_allclose(pictures[1], made[0, 0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["liver", "spleen"]


def test_the_papers_rule_loses_what_is_black_and_nothing_else(material):
    lost = lost_share(*material[:3], STILL, 1, range(3))
    assert lost.tolist() == [4 / 20, 0]


def test_a_step_is_the_mean_difference_across_outlines(material):
    assert outline_step(material.exemplars[:, :, 10:], material.masks[:, 1:, 10:]) == pytest.approx(
        0.4
    )
    made = material.synthesis(STILL, seed=1).make(range(3))
    assert outline_step(made[0][:, :, 10:], made[1][:, 1:, 10:]) == pytest.approx(0.5)
    assert np.isnan(outline_step(material.exemplars, 0 * material.masks))


def test_who_is_told_of_absence_keeps_the_other_masks():
    masks = np.ones((2, 2, 4, 4), dtype=bool)
    given = Answers(np.array([5, 3]), pack(masks), 4)
    labels = np.zeros((6, 2), np.int8)
    labels[5], labels[3] = (1, 0), (-1, 1)
    told = told_where_absent(given, SimpleNamespace(labels=labels))
    kept = [told.masks(target=target).any(axis=(1, 2)).tolist() for target in range(2)]
    assert kept == [[True, False], [False, True]]
    assert given.masks(target=1).all()


def test_stars_crosses_and_no_point_at_all():
    _, axes = style.panels()
    points = np.array([[1, 2], [3, 4], [5, 6]])
    show_points(axes, points, np.array([1, -1, 0]))
    assert [line.get_marker() for line in axes.lines] == ["*", "X"]
    assert [line.get_xydata()[0].tolist() for line in axes.lines] == [[1, 2], [5, 6]]


def cases(system, level, change="", seeds=(1, 2, 3), cohort="lits"):
    rows = [
        {"system": system, "seed": seed, "change": change, "cohort": cohort,
         "patient": f"p{patient}", "dice": level + 0.01 * patient + 0.001 * seed}
        for seed in seeds
        for patient in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_others_are_compared_with_their_own_runs_of_the_same_seeds(monkeypatch):
    made = "synthesis.images=900"
    table = pd.concat(
        [
            cases("U-Net-5", 0.5), cases("U-Net-5", 0.6, made),
            cases("U-Net-50", 0.7, seeds=(1, 2)), cases("U-Net-50", 0.1, seeds=(3,)),
            cases("U-Net-50", 0.7, made, seeds=(1, 2)),
            cases("U-Net-5", 0.2, cohort="totalsegmentator"),
            cases("U-Net-5", 0.3, made, cohort="totalsegmentator"),
            cases("U-Net-5", 0.9, "unet.width=8"), cases("SAM-Mix-5", 0.9),
            cases("U-Net-50", 0.9, f"{made},unet.width=8"),
        ]
    )  # fmt: skip
    monkeypatch.setattr(synthesis_gain, "load_cases", lambda profile: table)
    found = synthesis_gain.synthesis_gain(None)
    assert list(found.index) == [
        ("LiTS-like", "U-Net-5"), ("LiTS-like", "U-Net-50"), ("TotalSegmentator-like", "U-Net-5"),
    ]  # fmt: skip
    assert found["difference"].tolist() == pytest.approx([0.1, 0, 0.1])
    assert found["better"].tolist() == [FIRST, TIE, FIRST]
    assert found["labelled"].iloc[0] == pytest.approx(0.5 + 0.025 + 0.002)
