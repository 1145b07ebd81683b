"""Examination: tables by hand-made answers, the pointing game, boxes, AUC, choice of pictures."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.data.slices import SliceSet
from samnb.evaluation import answers
from samnb.evaluation import examine as evaluation
from samnb.evaluation.metrics import measure
from samnb.method import Answer, Method

SIDE = 16
COUNT = 80  # more than a chunk in the first scan


class Copier(Method):
    """Of every target it answers with what is bright in that channel of the picture.

    The box is one pixel wider on the right.
    """

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def answer(self, state, prompts=None):
        masks = state > 0.5
        shown = masks.any(dim=(2, 3))
        boxes = torch.full((*shown.shape, 4), torch.nan)
        boxes[shown] = torch.tensor([4.0, 4.0, 9.0, 8.0])
        cams = F.avg_pool2d(state, 4)
        return Answer(masks, shown.float() * self.weight, cams.bfloat16(), boxes)


def set_of(folder, images, masks, scans, targets=("liver",), spacing=(3.0, 1.0, 1.0)) -> SliceSet:
    """Slices (N, C, S, S) that are bright (1) or dark, and their masks (N, K, S, S)."""
    labels = masks.any(axis=(2, 3)).astype(np.int8)
    index = pd.DataFrame({"patient": scans, "scan": scans, "slice": np.arange(len(scans))})
    index["label"] = labels.max(axis=1)
    index[["spacing_z", "spacing_row", "spacing_column"]] = spacing
    records = {scan: {"targets": list(targets)} for scan in scans}
    return SliceSet(folder, images.astype(np.uint16) * 60000, masks, labels, index, records)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    """Two scans; slices of odd number show a square, 4 pixels wide."""
    masks = np.zeros((COUNT, 1, SIDE, SIDE), np.uint8)
    masks[1::2, :, 4:8, 4:8] = 1
    images = masks.copy()
    images[3, 0, 4, 4] = 0  # a pixel that is missed
    scans = np.repeat(["b", "a"], [70, 10])
    folder = tmp_path_factory.mktemp("slices")
    return set_of(folder, images, masks, scans, spacing=(3.0, 1.0, 2.0))


def test_tables_have_a_row_for_every_slice_and_scan(slices):
    method = Copier().train()
    of_slices, of_scans = evaluation.examine(method, slices, np.arange(COUNT), "home")
    assert method.training  # left as it was
    assert " ".join(of_slices) == (
        "cohort target user patient scan slice label presence "
        "dice iou hd hd95 surface_dice box_iou hit"
    )
    assert " ".join(of_scans) == "cohort target user patient scan dice hd95 surface_dice hd iou"
    assert of_slices["slice"].tolist() == list(range(COUNT))
    assert of_scans["scan"].tolist() == ["b", "a"]
    row = of_slices.iloc[3]
    assert row["dice"] == pytest.approx(2 * 15 / 31)
    assert (of_slices["dice"].drop(index=3) == 1).all()


def test_scans_are_measured_in_millimetres(slices):
    rows = np.arange(10)
    found = evaluation.examine(Copier(), slices, rows, "home")[1].iloc[0]
    answer = slices.images[rows, 0] > 0
    wanted = measure(answer, slices.masks[rows, 0] > 0, evaluation.SCAN_TOLERANCE, [3.0, 1.0, 2.0])
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
    cams = torch.zeros(1, 1, 2, 2)
    cams[0, 0, 0, 1] = 1
    assert evaluation.hits(answers.peaks(cams, 8)[:, 0], truth).tolist() == [1.0]
    cams[0, 0, 1, 1] = 2
    assert evaluation.hits(answers.peaks(cams, 8)[:, 0], truth).tolist() == [0.0]


def test_every_target_has_a_peak_of_its_own_also_in_oblong_maps():
    cams = torch.zeros(1, 2, 2, 4)
    cams[0, 0, 1, 0] = cams[0, 1, 0, 3] = 1
    assert answers.peaks(cams, 8).tolist() == [[[6, 1], [2, 7]]]


def test_surface_dice_forgives_two_pixels_in_a_slice_and_two_millimetres_in_a_scan(tmp_path):
    masks = np.zeros((2, 1, SIDE, SIDE), np.uint8)
    masks[..., 4:8, 4:8] = 1
    images = np.stack([np.roll(masks[0], 2, axis=2), np.roll(masks[1], 3, axis=2)])
    given = set_of(tmp_path, images, masks, ["two", "three"])
    for table in evaluation.examine(Copier(), given, np.arange(2), "home"):
        assert table["surface_dice"][0] == 1
        assert table["surface_dice"][1] < 1


def test_a_scan_is_measured_with_its_slices_in_their_order(tmp_path):
    masks = np.zeros((6, 1, SIDE, SIDE), np.uint8)
    masks[..., 4:8, 4:8] = 1
    images = masks.copy()
    images[3:] = 0  # the upper half is missed: its last slice is 3 x 3 mm from what was found
    given = set_of(tmp_path, images, masks, ["a"] * 6)
    rows = np.array([4, 0, 3, 1, 5, 2])
    of_slices, of_scans = evaluation.examine(Copier(), given, rows, "home")
    assert of_scans["hd"].tolist() == [9.0]
    assert of_slices["slice"].tolist() == list(range(6))


def test_a_method_is_examined_in_eval_mode_without_gradients(slices):
    class Restless(Copier):
        def answer(self, state, prompts=None):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().answer(state)

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
        def answer(self, state, prompts=None):
            return Answer(super().answer(state).masks)

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
    assert shown["masks"].shape == (8, 1, SIDE, SIDE)


def test_evenly_takes_the_middles_of_equal_stretches():
    assert answers.evenly(np.arange(10), 2).tolist() == [2, 7]
    assert answers.evenly(np.arange(3), 5).tolist() == [0, 1, 2]
    assert answers.evenly(np.arange(0), 5).tolist() == []


def test_answers_that_were_kept_are_measured_as_if_asked_again(slices):
    rows = np.arange(10, COUNT)
    kept = answers.ask(Copier(), slices, rows, "home")
    assert kept.seconds > 0
    assert kept.bits.shape == (len(rows), 1, SIDE * SIDE // 8)
    assert np.array_equal(kept.masks(), slices.images[kept.rows, 0] > 65535 / 2)
    for again, first in zip(
        evaluation.measure_answers(kept, slices, "home"),
        evaluation.examine(Copier(), slices, rows, "home"),
        strict=True,
    ):
        pd.testing.assert_frame_equal(again, first)


def test_masks_of_any_side_are_kept_to_the_bit():
    masks = np.random.default_rng(0).random((3, 2, 5, 5)) < 0.5
    kept = answers.Answers(np.arange(3), answers.pack(masks), 5)
    assert kept.bits.shape == (3, 2, 4)  # 25 bits
    assert np.array_equal(kept.masks(), masks[:, 0])
    assert np.array_equal(kept.masks(target=1), masks[:, 1])
    assert np.array_equal(kept.masks(slice(1, 2), target=1), masks[1:2, 1])


# ---- several targets, and users who prompt ------------------------------------------------------


@pytest.fixture(scope="module")
def twofold(tmp_path_factory):
    """Two slices of one scan; a liver of 16 pixels in both, a tumour of 4 in the second.

    Of the first liver a pixel is missed; where the tumour is, its upper row is not found, and where
    it is not, a pixel is called one.
    """
    masks = np.zeros((2, 2, SIDE, SIDE), np.uint8)
    masks[:, 0, 4:8, 4:8] = 1
    masks[1, 1, 6:8, 6:8] = 1
    images = masks.copy()
    images[0, 0, 4, 4] = images[1, 1, 6] = 0
    images[0, 1, 0, 0] = 1
    folder = tmp_path_factory.mktemp("twofold")
    return set_of(folder, images, masks, ["a", "a"], ("liver", "tumour"))


class Talker:
    """A user who says in every round what it was shown, and keeps a list of it."""

    def __init__(self, name: str, rounds: int = 1):
        self.name, self.rounds, self.shown = name, rounds, []

    def prompts(self, truths, names, answers=None, earlier=None):
        self.shown.append((truths, names, answers, earlier))
        return f"{self.name} {len(self.shown)}"

    def __str__(self):
        return self.name


def test_tables_have_rows_for_every_target_and_say_which_user_prompted(twofold):
    of_slices, of_scans = (
        pd.concat(tables, ignore_index=True)
        for tables in zip(
            *(
                evaluation.examine(Copier(), twofold, np.arange(2), "home", user=user)
                for user in (Talker("box"), Talker("click"))
            ),
            strict=True,
        )
    )
    asked = [(user, target) for user in ("box", "click") for target in ("liver", "tumour")]
    found = of_slices[["user", "target", "slice", "label", "presence"]].to_numpy().tolist()
    labels = {("liver", 0): 1, ("liver", 1): 1, ("tumour", 0): 0, ("tumour", 1): 1}
    assert found == [
        [user, target, number, labels[target, number], 1.0]
        for user, target in asked
        for number in (0, 1)
    ]
    # 15 of 16 and all of 16; a pixel where nothing is, and 2 of 4.
    assert of_slices["dice"].tolist() == pytest.approx([30 / 31, 1, 0, 4 / 6] * 2)
    assert of_scans[["user", "target"]].to_numpy().tolist() == [list(each) for each in asked]
    # In a scan the pixels of all slices count together: 31 of 32, and 2 of 4 with one too many.
    assert of_scans["dice"].tolist() == pytest.approx([62 / 63, 4 / 7] * 2)
    # The box (4, 4, 9, 8) beside the tight ones (4, 4, 8, 8) and (6, 6, 8, 8).
    expected = np.array([16 / 20, 16 / 20, np.nan, 4 / 20] * 2)
    np.testing.assert_allclose(of_slices["box_iou"], expected)


def test_a_summary_is_about_the_first_user(twofold):
    first = evaluation.examine(Copier(), twofold, np.arange(2), "home", user=Talker("box"))[0]
    second = first.assign(user="click", dice=0.0, presence=1 - first["label"])
    alone = evaluation.summarise(first)["home"]
    assert alone["dice"] == pytest.approx((30 / 31 + 1 + 0 + 4 / 6) / 4)
    assert evaluation.summarise(pd.concat([first, second]))["home"] == alone


def test_a_training_is_watched_by_the_mean_over_slices_and_targets(twofold):
    watched = evaluation.mean_dice(Copier(), twofold, np.arange(2))
    assert watched == pytest.approx((30 / 31 + 1 + 0 + 4 / 6) / 4)


class Listener(Copier):
    """Begins by counting; answers with one row more in every round."""

    def __init__(self):
        super().__init__()
        self.begun, self.heard = 0, []

    def begin(self, images):
        self.begun += 1
        return images

    def answer(self, state, prompts=None):
        self.heard.append(prompts)
        masks = torch.zeros(state.shape, dtype=torch.bool)
        masks[..., : len(self.heard), :] = True
        return Answer(masks)


def test_a_user_looks_at_each_answer_and_the_method_begins_once():
    images, truths = torch.rand(2, 1, 8, 8), torch.rand(2, 3, 8, 8) < 0.5
    method, user = Listener(), Talker("click", rounds=3)
    answer = answers.consult(method, images, truths, ["home:a:0", "home:a:1"], user)
    assert method.begun == 1
    assert method.heard == ["click 1", "click 2", "click 3"]
    assert answer.masks[0, 0].any(dim=1).sum() == 3  # the last one
    assert all(shown[0] is truths and shown[1] == ["home:a:0", "home:a:1"] for shown in user.shown)
    seen = [
        None if shown[2] is None else int(shown[2][0, 0].any(dim=1).sum()) for shown in user.shown
    ]
    assert seen == [None, 1, 2]
    assert [shown[3] for shown in user.shown] == [None, "click 1", "click 2"]


def test_whom_nobody_prompts_is_asked_once():
    method, user = Listener(), Talker("nobody", rounds=0)
    answers.consult(method, torch.rand(2, 1, 8, 8), torch.ones(2, 1, 8, 8) > 0, ["a", "b"], user)
    assert len(method.heard) == 1


def test_the_users_chance_knows_slices_by_cohort_scan_and_number(slices):
    user = Talker("click")
    answers.segment(Copier(), slices, np.array([70, 3]), user=user, cohort="home")
    [(truths, names, _, _)] = user.shown
    assert names == ["home:a:70", "home:b:3"]
    assert truths.dtype == torch.bool
    assert np.array_equal(truths, slices.masks[[70, 3]] > 0)


def test_a_pixel_belongs_to_the_target_with_the_largest_logit():
    logits = torch.tensor(
        [[[1.0, -1.0, 2.0, 0.5]], [[3.0, -2.0, 2.0, -0.5]], [[2.0, -3.0, 1.0, 0]]]
    )
    found = answers.exclusive(logits[None])[0, :, 0]
    # The largest; nobody; of equal ones the first; the only one above zero.
    expected = [[False, False, True, True], [True, False, False, False], [False] * 4]
    assert found.tolist() == expected
