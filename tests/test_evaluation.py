"""Examination: tables by hand-made answers, the pointing game, boxes, AUC, choice of pictures."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from samnb.data.slices import SliceSet
from samnb.evaluation import answers
from samnb.evaluation import examine as evaluation
from samnb.evaluation.metrics import measure
from samnb.method import Answer

SIDE = 16
COUNT = 80  # more than a chunk in the first scan


class Copier(nn.Module):
    """Answers with what is bright in the picture; the box is one pixel wider on the right."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def segment(self, images):
        masks = images[:, 0] > 0.5
        boxes = torch.full((len(images), 4), torch.nan)
        shown = masks.any(dim=(1, 2))
        boxes[shown] = torch.tensor([4.0, 4.0, 9.0, 8.0])
        cams = torch.nn.functional.avg_pool2d(images, 4)[:, 0]
        return Answer(masks, shown.float() * self.weight, cams.bfloat16(), boxes)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Two scans; slices of odd number show a square, 4 pixels wide."""
    masks = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    masks[1::2, 4:8, 4:8] = 1
    images = masks.astype(np.uint16) * 60000
    images[3, 4, 4] = 0  # a pixel that is missed
    scans = np.repeat(["b", "a"], [70, 10])
    index = pd.DataFrame(
        {"patient": scans, "scan": scans, "slice": np.arange(COUNT), "label": np.arange(COUNT) % 2}
    )
    for name, value in (("spacing_z", 3.0), ("spacing_row", 1.0), ("spacing_column", 2.0)):
        index[name] = value
    return SliceSet(tmp_path_factory.mktemp("slices"), images, masks, index, {})


def test_tables_have_a_row_for_every_slice_and_scan(slices):
    method = Copier().train()
    of_slices, of_scans = evaluation.examine(method, slices, np.arange(COUNT), "home")
    assert method.training  # left as it was
    assert " ".join(of_slices) == (
        "cohort patient scan slice label presence dice iou hd hd95 surface_dice box_iou hit"
    )
    assert " ".join(of_scans) == "cohort patient scan dice hd95 surface_dice hd iou"
    assert of_slices["slice"].tolist() == list(range(COUNT))
    assert of_scans["scan"].tolist() == ["b", "a"]
    row = of_slices.iloc[3]
    assert row["dice"] == pytest.approx(2 * 15 / 31)
    assert (of_slices["dice"].drop(index=3) == 1).all()


def test_scans_are_measured_in_millimetres(slices):
    rows = np.arange(10)
    found = evaluation.examine(Copier(), slices, rows, "home")[1].iloc[0]
    answer = slices.images[rows] > 0
    wanted = measure(answer, slices.masks[rows] > 0, evaluation.SCAN_TOLERANCE, [3.0, 1.0, 2.0])
    assert {name: found[name] for name in wanted} == wanted
    assert wanted["hd"] == pytest.approx(1.0)  # one row further


def test_boxes_and_the_pointing_game_count_only_where_the_target_is(slices):
    table = evaluation.examine(Copier(), slices, np.arange(12), "home")[0]
    shown = table["label"] == 1
    assert table.loc[~shown, ["box_iou", "hit"]].isna().all(axis=None)
    np.testing.assert_allclose(table.loc[shown, "box_iou"], 16 / 20)
    assert (table.loc[shown, "hit"] == 1).all()


def test_a_box_is_compared_only_where_there_is_a_target_and_a_box():
    truths = np.zeros((3, SIDE, SIDE), bool)
    truths[:2, 4:8, 4:8] = True
    boxes = torch.tensor([[4.0, 4, 8, 6], [torch.nan] * 4, [0, 0, 16, 16]])
    np.testing.assert_array_equal(evaluation.box_fit(boxes, truths), [0.5, np.nan, np.nan])


def test_the_middle_of_the_strongest_cell_decides():
    truth = np.zeros((1, 8, 8), bool)
    truth[0, 2, 6] = True
    cams = torch.zeros(1, 2, 2)
    cams[0, 0, 1] = 1
    assert evaluation.hits(answers.peaks(cams, 8), truth).tolist() == [1.0]
    cams[0, 1, 1] = 2
    assert evaluation.hits(answers.peaks(cams, 8), truth).tolist() == [0.0]


def set_of(folder, images: np.ndarray, masks: np.ndarray, scans: list[str]) -> SliceSet:
    """Slices of 1 x 1 mm, 3 mm apart."""
    index = pd.DataFrame({"patient": scans, "scan": scans, "slice": np.arange(len(scans))})
    index["label"] = masks.any(axis=(1, 2)).astype(int)
    index[["spacing_z", "spacing_row", "spacing_column"]] = 3.0, 1.0, 1.0
    return SliceSet(folder, images.astype(np.uint16) * 60000, masks, index, {})


def test_surface_dice_forgives_two_pixels_in_a_slice_and_two_millimetres_in_a_scan(tmp_path):
    masks = np.zeros((2, SIDE, SIDE), np.uint8)
    masks[:, 4:8, 4:8] = 1
    images = np.stack([np.roll(masks[0], 2, axis=1), np.roll(masks[1], 3, axis=1)])
    given = set_of(tmp_path, images, masks, ["two", "three"])
    for table in evaluation.examine(Copier(), given, np.arange(2), "home"):
        assert table["surface_dice"][0] == 1
        assert table["surface_dice"][1] < 1


def test_a_scan_is_measured_with_its_slices_in_their_order(tmp_path):
    masks = np.zeros((6, SIDE, SIDE), np.uint8)
    masks[:, 4:8, 4:8] = 1
    images = masks.copy()
    images[3:] = 0  # the upper half is missed: its last slice is 3 x 3 mm from what was found
    given = set_of(tmp_path, images, masks, ["a"] * 6)
    rows = np.array([4, 0, 3, 1, 5, 2])
    of_slices, of_scans = evaluation.examine(Copier(), given, rows, "home")
    assert of_scans["hd"].tolist() == [9.0]
    assert of_slices["slice"].tolist() == list(range(6))


def test_a_method_is_examined_in_eval_mode_without_gradients(slices):
    class Restless(Copier):
        def segment(self, images):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().segment(images)

    seen = []
    evaluation.examine(Restless().train(), slices, np.arange(4), "home")
    assert seen == [(False, False)]


def test_a_training_is_watched_by_the_mean_over_slices(slices):
    # An empty slice rightly left empty counts 1; 15 of 16 pixels found are a Dice of 30 / 31.
    watched = evaluation.mean_dice(Copier(), slices, np.array([0, 2, 3]))
    assert watched == pytest.approx((1 + 1 + 30 / 31) / 3)


def test_area_under_curve_by_hand():
    labels, scores = np.array([1, 1, 0, 0, -1]), np.array([0.9, 0.4, 0.4, 0.1, 1.0])
    assert evaluation.area_under_curve(labels, scores) == pytest.approx(3.5 / 4)
    assert np.isnan(evaluation.area_under_curve(np.ones(3), np.ones(3)))


def test_a_method_that_knows_only_masks(slices):
    class Silent(Copier):
        def segment(self, images):
            return Answer(super().segment(images).masks)

    found = evaluation.examine(Silent(), slices, np.arange(6), "home")[0]
    assert found[["presence", "box_iou", "hit"]].isna().all(axis=None)
    summary = evaluation.summarise(found)["home"]
    assert np.isnan(summary["auc"])
    assert summary["dice"] == found["dice"].mean()


def test_half_precision_ends_in_the_tables(slices):
    found = evaluation.examine(Copier(), slices, np.arange(4), "home", "bfloat16")[0]
    assert found["presence"].tolist() == [0, 1, 0, 1]


def test_pictures_show_the_same_slices_of_every_system(slices):
    rows = answers.pictured_rows(slices, np.arange(10, COUNT))
    assert slices.index["label"][rows].tolist() == [1] * 6 + [0] * 2
    assert len(set(rows)) == 8
    shown = answers.pictures(Copier(), slices, rows, "home")
    assert set(shown) == {*("row", "cohort", "scan", "slice", "masks", "presence", "cams", "boxes")}
    assert shown["masks"].shape == (8, SIDE, SIDE)


def test_evenly_takes_the_middles_of_equal_stretches():
    assert answers.evenly(np.arange(10), 2).tolist() == [2, 7]
    assert answers.evenly(np.arange(3), 5).tolist() == [0, 1, 2]
    assert answers.evenly(np.arange(0), 5).tolist() == []


def test_answers_that_were_kept_are_measured_as_if_asked_again(slices):
    rows = np.arange(10, COUNT)
    kept = answers.ask(Copier(), slices, rows, "home")
    assert kept.seconds > 0
    assert kept.bits.shape == (len(rows), SIDE * SIDE // 8)
    assert np.array_equal(kept.masks(), slices.images[kept.rows] > 65535 / 2)
    for again, first in zip(
        evaluation.measure_answers(kept, slices, "home"),
        evaluation.examine(Copier(), slices, rows, "home"),
        strict=True,
    ):
        pd.testing.assert_frame_equal(again, first)


def test_masks_of_any_side_are_kept_to_the_bit():
    masks = np.random.default_rng(0).random((3, 5, 5)) < 0.5
    kept = answers.Answers(np.arange(3), answers.pack(masks), 5)
    assert kept.bits.shape == (3, 4)  # 25 bits
    assert np.array_equal(kept.masks(), masks)
    assert np.array_equal(kept.masks(slice(1, 2)), masks[1:2])
