"""The improved SAM-Mix: each step does what it says, and off it is the guided form."""

import math
from dataclasses import replace

import pytest
import torch
from made_batch import made_batch

from samnb.base.errors import SamnbError
from samnb.method import Batch, segment, with_one_target
from samnb.studies import load_profile
from samnb.systems import sam_mix, sam_mix_improved
from samnb.systems.sam_mix_improved import SamMixImproved, best_silence

PROFILE = load_profile("smoke")
SIDE = PROFILE.sam.side
OFF = {"soft": False, "pooling": "average", "negatives": 0.0, "augmented": False,
       "warmup": 0, "calibrated": False}  # fmt: skip


@pytest.fixture
def batch() -> Batch:
    return made_batch(SIDE)


def improved(**changes) -> SamMixImproved:
    torch.manual_seed(0)
    settings = replace(PROFILE.improved, **{**OFF, **changes})
    return sam_mix_improved.build(replace(PROFILE, improved=settings), 0)


def losses(method, batch: Batch) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return method.eval()(batch)


def test_with_every_step_off_it_is_the_guided_form(batch):
    torch.manual_seed(0)
    guided = sam_mix.build(PROFILE, 0, guided=True)
    # A local logit has the bias in it, and the map of the guided form has not.
    with torch.no_grad():
        guided.classifier.head.bias.zero_()
        plain = improved()
        plain.classifier.head.bias.zero_()
    expected, found = losses(guided, batch), losses(plain, batch)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    mine, theirs = segment(plain, batch.marked), segment(guided, batch.marked)
    torch.testing.assert_close(mine.presence, theirs.presence)
    assert torch.equal(mine.masks, theirs.masks)


def test_the_average_of_the_local_logits_is_the_class_logit(batch):
    method = improved().eval()
    logits, maps = method.look(batch.images)
    expected = method.classifier(batch.images)
    torch.testing.assert_close(logits[:, 1], expected[:, 1] - expected[:, 0])
    torch.testing.assert_close(maps.mean(dim=(1, 2)), logits[:, 1])


def test_one_small_place_makes_a_slice_positive_by_its_peak_only():
    maps = torch.full((1, 8, 8), -3.0)
    maps[0, 2, 2] = 8.0
    assert improved(pooling="average")._pool(maps).item() < 0
    assert improved(pooling="peak")._pool(maps).item() > 0


def test_peak_pooling_is_the_log_of_the_mean_odds():
    pool = improved(pooling="peak")._pool
    assert pool(torch.full((1, 8, 8), 0.7)).item() == pytest.approx(0.7)
    # Odds of 5, 1, 1 and 1: their mean is 2.
    assert pool(torch.tensor([[[5.0, 1], [1, 1]]]).log()).item() == pytest.approx(math.log(2))


def test_slices_without_target_teach_their_map_to_be_low(batch):
    plain, taught = losses(improved(), batch), losses(improved(negatives=2.0), batch)
    _, maps = improved(negatives=2.0).eval().look(batch.images)
    expected = 2 * torch.log1p(maps[batch.labels[:, 0] == 0].exp()).mean()
    torch.testing.assert_close(taught["loss"] - plain["loss"], expected)
    positive = batch._replace(labels=torch.ones(4, 1, dtype=torch.long))
    assert "negatives" not in losses(improved(negatives=2.0), positive)


def test_the_first_steps_are_taught_in_boxes_of_the_truth(batch, monkeypatch):
    method, asked = improved(warmup=2), []
    monkeypatch.setattr(method, "ask", lambda *rest: asked.append(1) or 1 / 0)
    for _ in range(2):
        assert torch.isfinite(method(batch)["loss"])
    with pytest.raises(ZeroDivisionError):
        method(batch)
    assert asked == [1]


def test_augmentation_moves_a_mask_with_its_slice(batch):
    method = improved(augmented=True, mirrored=True)
    shown = with_one_target(batch._replace(marked=batch.masks.float()))
    torch.manual_seed(5)
    _, marked, masks = method._changed(shown)
    assert not torch.equal(masks, shown.masks)
    inside = marked[:, 0] > 0.3
    assert (inside == masks.bool()).float().mean() > 0.97
    torch.manual_seed(5)
    assert torch.equal(method._changed(shown)[2], masks)  # the step's seed decides


@pytest.mark.parametrize("mirrored", [False, True])
def test_slices_are_mirrored_only_where_left_and_right_are_alike(mirrored):
    slices = torch.zeros(40, 1, SIDE, SIDE)
    slices[:, :, 24:40, 4:16] = 1  # on the left, and no turn or zoom brings it to the right
    method = improved(augmented=True, mirrored=mirrored)
    torch.manual_seed(2)
    given = with_one_target(Batch(slices[:1], torch.ones(1, 1), slices, slices.to(torch.uint8)))
    _, moved, _ = method._changed(given)
    right = moved[..., SIDE // 2 :].sum(dim=(1, 2, 3)) > moved[..., : SIDE // 2].sum(dim=(1, 2, 3))
    assert right.any() == mirrored
    assert not right.all()


def test_a_turned_mask_is_neither_larger_nor_smaller_than_what_it_masks():
    masks = torch.zeros(40, 1, SIDE, SIDE, dtype=torch.uint8)
    masks[..., 24:40, 20:30] = 1
    slices = masks.float()
    torch.manual_seed(2)
    method = improved(augmented=True)
    _, pictures, moved = method._changed(
        with_one_target(Batch(slices[:1], torch.ones(1, 1), slices, masks))
    )
    brightest = pictures.amax(dim=(1, 2, 3), keepdim=True)
    bright = (pictures > brightest / 2).sum()
    assert moved.sum() / bright == pytest.approx(1, abs=0.04)


def test_silence_is_settled_where_dice_is_best():
    logits = torch.tensor([-2.0, 3.0, 1.0, -1.0])
    spoken = torch.tensor([0.0, 0.9, 0.0, 0.8])
    empty = torch.tensor([True, False, True, False])
    # Speaking from -1 on gives 1 + 0.8 + 0 + 0.9, from 3 on 1 + 0 + 1 + 0.9.
    assert best_silence(logits, spoken, empty) == pytest.approx(2.0)
    speaks_well = torch.tensor([0.0, 0.9, 0.5, 0.8])  # ... and now 1 + 0.8 + 0.5 + 0.9 is more
    assert best_silence(logits, speaks_well, empty) == pytest.approx(-1.5)
    assert best_silence(logits, spoken, torch.zeros(4, dtype=torch.bool)) < -1


def test_presence_is_counted_from_the_settled_logit(batch):
    method = improved().eval()
    before = method.look(batch.images)[0]
    method.silence.fill_(0.7)
    after = method.look(batch.images)[0]
    torch.testing.assert_close(after[:, 1] - after[:, 0], before[:, 1] - before[:, 0] - 0.7)


def test_settling_makes_it_silent_where_no_slice_has_the_target(batch):
    method = improved(calibrated=True).eval()
    method.calibrate(batch.images, torch.zeros(4, 1, SIDE, SIDE, dtype=torch.uint8))
    assert not segment(method, batch.images).masks.any()
    kept = improved()
    kept.calibrate(batch.images, torch.zeros(4, 1, SIDE, SIDE, dtype=torch.uint8))
    assert kept.silence == 0


def test_an_unknown_pooling_is_refused():
    with pytest.raises(SamnbError, match="pooling"):
        improved(pooling="largest")
