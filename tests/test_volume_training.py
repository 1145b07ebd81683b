"""What learns from volumes: patches by seed and number, losses of K targets, layouts, answers."""

from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from made_volumes import made_volumes
from torch.nn import functional as F

from samnb.data.settings import PatchSettings
from samnb.evaluation.volumes import (
    mean_volume_dice,
    measure_volume_answers,
    pack_volumes,
    summarise_volumes,
)
from samnb.method import Answer, Method
from samnb.networks.targets import TargetHead, class_numbers
from samnb.networks.volume_plan import layout, supervision
from samnb.prompts.users import find_user
from samnb.training.patches import patch_batches

PATCH = PatchSettings((4, 6, 4), around_target=0.25)


@pytest.fixture
def volumes(tmp_path):
    """Three volumes of 0.2, 0.4 and 0.6, each with one voxel of a target in its inner part."""
    images = [np.full((2, 20, 18, 16), level) for level in (0.2, 0.4, 0.6)]
    masks = np.zeros((3, 1, 20, 18, 16), np.uint8)
    masks[range(3), 0, (9, 11, 8), (8, 9, 10), (7, 6, 9)] = 1
    return made_volumes(tmp_path, images, masks)


def _first(volumes, count, batch=2, seed=1, settings=PATCH, start=0):
    stream = patch_batches(volumes, np.arange(len(volumes)), settings, batch, seed)
    return list(islice(stream(start), count))


def test_a_batch_of_patches_has_images_masks_names_and_no_image_labels(volumes):
    (batch,) = _first(volumes, 1)
    assert batch.marked.shape == (2, 2, 4, 6, 4)
    assert batch.marked.dtype == torch.float32
    assert batch.masks.shape == (2, 1, 4, 6, 4)
    assert batch.images.shape == (0, 2, 4, 6, 4)
    assert batch.labels.shape == (0, 1)
    levels = [{"s0": 0.2, "s1": 0.4, "s2": 0.6}[name] for name in batch.names]
    torch.testing.assert_close(
        batch.marked.mean(dim=(1, 2, 3, 4)), torch.tensor(levels), atol=1e-4, rtol=0
    )


def test_patches_depend_on_the_seed_and_their_number_alone(tmp_path):
    images = np.random.default_rng(0).random((3, 1, 12, 12, 12))
    found = made_volumes(tmp_path, images, np.zeros((3, 1, 12, 12, 12)))
    whole = _first(found, 5)
    resumed = _first(found, 2, start=3)
    for early, late in zip(whole[3:], resumed, strict=True):
        assert torch.equal(early.marked, late.marked)
        assert early.names == late.names
    singles = torch.cat([each.marked for each in _first(found, 6, batch=1)])
    assert torch.equal(singles, torch.cat([each.marked for each in whole[:3]]))
    alone = [next(patch_batches(found, np.array([0]), PATCH, 4, seed)(0)) for seed in (1, 2)]
    assert not torch.equal(alone[0].marked, alone[1].marked)
    assert len(np.unique(torch.cat([each.marked for each in whole]).flatten(1), axis=0)) == 10


def test_every_volume_gives_equally_many_patches_in_an_order_of_each_pass(volumes):
    drawn = [name for batch in _first(volumes, 15, batch=2) for name in batch.names]
    passes = [drawn[start : start + 3] for start in range(0, 30, 3)]
    assert all(set(each) == {"s0", "s1", "s2"} for each in passes)
    assert len(set(map(tuple, passes))) > 2


@pytest.mark.parametrize(("share", "wanted"), [(0.25, 12), (0.0, 0), (1.0, 48)])
def test_the_share_of_patches_around_a_target_is_as_asked(volumes, share, wanted):
    settings = PatchSettings(PATCH.size, share)
    masks = torch.cat([batch.masks for batch in _first(volumes, 24, settings=settings)])
    middles = masks[:, 0, 2, 3, 2].sum()
    assert middles == wanted


def test_answers_of_volumes_of_several_sizes_come_back_bit_for_bit():
    generator = np.random.default_rng(3)
    masks = [generator.random((2, *shape)) < 0.5 for shape in ((3, 5, 7), (2, 2, 2), (4, 3, 11))]
    kept = pack_volumes(np.array([4, 0, 9]), masks, 1.0)
    for place, mask in enumerate(masks):
        assert np.array_equal(kept.masks(place), mask)
    assert len(kept.bits) == 2 * (14 + 1 + 17)


def _pair(tmp_path):
    """Two volumes of two targets: the first found one slice too high, the second not at all."""
    truths = np.zeros((2, 2, 8, 6, 6), bool)
    truths[:, 0, 2:4, 1:5, 1:5] = True
    truths[:, 1, 5:7, 2:4, 2:4] = True
    found = np.zeros_like(truths)
    found[:, 0, 3:5, 1:5, 1:5] = True
    images = np.zeros((2, 1, 8, 6, 6))
    return made_volumes(tmp_path, images, truths), found


def test_volumes_are_measured_target_after_target_in_mm_and_voxels(tmp_path):
    made, found = _pair(tmp_path)
    answers = pack_volumes(np.array([1, 0]), list(found[::-1]), 0.0)
    table = measure_volume_answers(answers, made, "home", find_user("point"))
    assert table["target"].tolist() == ["target 0", "target 0", "target 1", "target 1"]
    assert table["scan"].tolist() == ["s1", "s0"] * 2
    assert set(table["user"]) == {"point"}
    high, lost = table.iloc[0], table.iloc[2]
    assert high["dice"] == pytest.approx(0.5)
    assert high["hd"] == pytest.approx(3.0)  # a slice is 3 mm
    assert high["hd95_voxels"] == pytest.approx(1.0)
    assert (high["truth_voxels"], high["answer_voxels"]) == (32, 32)
    assert (lost["dice"], lost["truth_voxels"], lost["answer_voxels"]) == (0, 8, 0)
    summary = summarise_volumes(table)["home"]
    assert summary["dice"] == pytest.approx(0.25)


def test_only_the_first_user_is_summarised(tmp_path):
    made, found = _pair(tmp_path)
    truths = [np.asarray(made.arrays(row)[1]) > 0 for row in (0, 1)]
    tables = [
        measure_volume_answers(
            pack_volumes(np.arange(2), masks, 0.0), made, "home", find_user(user)
        )
        for user, masks in (("nobody", list(found)), ("box 1", truths))
    ]
    together = pd.concat(tables, ignore_index=True)
    assert summarise_volumes(together)["home"]["dice"] == pytest.approx(0.25)


class Fixed(Method):
    def __init__(self, masks):
        super().__init__()
        self.place, self.masks = torch.nn.Parameter(torch.zeros(1)), masks

    def answer(self, state, prompts=None):
        return Answer(torch.from_numpy(self.masks[:1]))


def test_a_training_is_watched_by_the_dice_of_whole_volumes_and_all_targets(tmp_path):
    made, found = _pair(tmp_path)
    # By slices it would be another number: most are empty in answer and truth, and right.
    assert mean_volume_dice(Fixed(found), made, np.array([0, 1])) == pytest.approx(0.25)


# ---- losses and masks of K targets --------------------------------------------------------------


def test_targets_that_may_overlap_are_each_a_yes_or_no():
    torch.manual_seed(0)
    head = TargetHead(2, exclusive=False)
    assert head.outputs == 2
    logits = torch.randn(3, 2, 2, 3, 4)
    masks = (torch.rand(3, 2, 2, 3, 4) < 0.5).to(torch.uint8)
    sure, truth = logits.sigmoid(), masks.float()
    axes = (0, 2, 3, 4)
    dice = (2 * (sure * truth).sum(axes) + 1e-5) / ((sure + truth).sum(axes) + 1e-5)
    entropy = F.binary_cross_entropy(sure, truth)
    torch.testing.assert_close(head.loss(logits, masks), 1 - dice.mean() + entropy)
    assert torch.equal(head.masks(logits), logits > 0)


def test_targets_that_exclude_each_other_are_classes_of_a_voxel():
    torch.manual_seed(0)
    head = TargetHead(3, exclusive=True)
    assert head.outputs == 4
    # As many targets as slices: numbers of classes must not run along the slices.
    masks = F.one_hot(torch.randint(0, 4, (2, 3, 4, 5)), 4).permute(0, 4, 1, 2, 3)[:, 1:]
    classes = class_numbers(masks.to(torch.uint8))
    assert classes.shape == (2, 3, 4, 5)
    for number in (1, 2, 3):
        assert torch.equal(classes == number, masks[:, number - 1] == 1)
    logits = torch.randn(2, 4, 3, 4, 5)
    sure, axes = logits.softmax(dim=1)[:, 1:], (0, 2, 3, 4)
    dice = (2 * (sure * masks).sum(axes) + 1e-5) / ((sure + masks).sum(axes) + 1e-5)
    wanted = 1 - dice.mean() + F.cross_entropy(logits, classes)
    torch.testing.assert_close(head.loss(logits, masks.to(torch.uint8)), wanted)
    found = head.masks(logits)
    assert torch.equal(found, torch.stack([logits.argmax(1) == n for n in (1, 2, 3)], dim=1))


# ---- nnU-Net's layout, by hand ------------------------------------------------------------------


def test_equal_voxels_are_halved_alike_down_to_four():
    found = layout((128, 128, 128), (1, 1, 1))
    assert found.strides == ((1, 1, 1), *[(2, 2, 2)] * 5)
    assert found.kernels == ((3, 3, 3),) * 6
    assert found.steps == (32, 32, 32)
    assert layout((128, 128, 128), (1, 1, 1), most=4).steps == (16, 16, 16)


def test_thick_slices_are_halved_when_the_rest_has_come_up_to_them():
    # Slices of 5 mm: rows and columns are halved to 4 mm, then all; a kernel is flat till then.
    found = layout((16, 128, 128), (5, 1, 1))
    flat, whole = (1, 2, 2), (2, 2, 2)
    assert found.strides == ((1, 1, 1), flat, flat, whole, whole, flat)
    assert found.kernels == ((1, 3, 3), (1, 3, 3), *[(3, 3, 3)] * 4)
    assert found.steps == (4, 32, 32)


def test_deep_supervision_weighs_half_as_much_each_stage_down_and_the_last_not_at_all():
    assert supervision(5) == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15])
    assert supervision(2) == supervision(1) == (1.0,)
