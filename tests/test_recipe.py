"""The training recipe of the pocket SAM: losses by hand, first prompts, corrections."""

import inspect
import math

import pytest
import torch

from samnb.networks.sam.model import build_sam
from samnb.networks.sam.prompting import PADDING, Masks, Prompts
from samnb.pretraining import recipe
from samnb.pretraining.evaluate import HELD_OUT
from samnb.pretraining.pretrain import PHASES, pretrain
from samnb.pretraining.recipe import (
    Pretraining,
    ShapeBatch,
    ShapeStream,
    at_logit_grid,
    correct,
    first_prompts,
    mask_losses,
)
from samnb.prompts.boxes import box_of

SIDE = 64
SURE = math.log(3)  # the logit of a probability of 3/4


def answer_of(*masks: list[float], scores: list[float]) -> Masks:
    """One row of pixels for each mask."""
    return Masks(torch.tensor(masks)[None, :, None, :], torch.tensor([scores]))


def test_the_loss_of_a_mask_by_hand():
    target = torch.tensor([[[True, False]]])
    # Both pixels right with 3/4: focal 0.25 x (1/4)² x -log(3/4) and 0.75 x the same, on average
    # half; Dice with one in numerator and denominator 1 - (2 x 3/4 + 1) / (1 + 1 + 1); the IoU is 1
    # and 0.9 was predicted.
    right = -math.log(0.75) / 16 / 2
    first = 20 * right + 1 / 6 + 0.1**2
    # The second pixel wrong: 0.75 x (3/4)² x -log(1/4); 1 - 2.5 / (1.5 + 1 + 1); the IoU is 1/2,
    # as predicted.
    wrong = (-0.25 * math.log(0.75) / 16 - 0.75 * math.log(0.25) * 9 / 16) / 2
    second = 20 * wrong + (1 - 2.5 / 3.5)
    answer = answer_of([SURE, -SURE], [SURE, SURE], scores=[0.9, 0.5])
    found = mask_losses(answer, target)
    assert found.tolist()[0] == pytest.approx([first, second], rel=1e-5)


def test_only_the_best_of_three_first_answers_is_corrected_and_points_ask_no_single_mask():
    masks = [[SURE, SURE], [-SURE, -SURE], [SURE, -SURE], [-SURE, SURE]]
    answer = answer_of(*masks, scores=[0.5, 0.0, 1.0, 0.0])
    target = torch.tensor([[[True, False]]])
    single, *three = mask_losses(answer, target)[0].tolist()
    expected = three[1] + 0.05 * sum(three) / 3  # the second is right
    by_point = Pretraining._first_loss(answer, target, torch.tensor([False]))
    by_box = Pretraining._first_loss(answer, target, torch.tensor([True]))
    assert by_point.item() == pytest.approx(expected, rel=1e-5)
    assert by_box.item() == pytest.approx(expected + single, rel=1e-5)


def test_a_first_prompt_is_a_shaken_box_or_a_point_inside():
    torch.manual_seed(0)
    masks = torch.zeros(2, 2, SIDE, SIDE, dtype=torch.bool)
    masks[:, 0, 10:30, 20:50] = True
    masks[:, 1, 40:60, 5:25] = True
    boxed = torch.tensor([True, False, True, False])
    prompts = first_prompts(masks, boxed)
    exact = box_of(masks.flatten(0, 1))
    assert prompts.image.tolist() == [0, 0, 1, 1]
    assert prompts.labels[:, 0].tolist() == [PADDING, 1, PADDING, 1]
    assert prompts.boxes[~boxed].isnan().all()
    assert (prompts.boxes[boxed] != exact[boxed]).any(dim=1).all()
    assert (prompts.boxes[boxed] - exact[boxed]).abs().max() < 0.15 * 30 * 4
    x, y = prompts.points[:, 0].long().unbind(1)
    assert masks.flatten(0, 1)[torch.arange(4), y, x].all()


def clicked(found: torch.Tensor, target: torch.Tensor) -> tuple[list[float], int, Prompts]:
    """Place and label of the click that corrects `found` (4, 4) bool, in a picture of 64 pixels."""
    before = Prompts(
        torch.tensor([0]), None, torch.tensor([[[9.0, 9.0]]]), torch.tensor([[1]]), None
    )
    logits = torch.where(found, 2.0, -2.0)[None]
    after = correct(before, logits, target[None], SIDE)
    assert after.points[0, 0].tolist() == [9, 9]  # what was asked before is asked again
    assert after.masks is not None  # and the last answer goes back in
    assert torch.equal(after.masks[:, 0], logits)
    return after.points[0, 1].tolist(), int(after.labels[0, 1]), after


def test_a_click_goes_where_the_answer_was_wrong_and_says_what_is_there():
    target = torch.zeros(4, 4, dtype=torch.bool)
    target[0:2, 0:3] = True
    missed = target.clone()
    missed[1, 2] = False
    # Cells are 16 pixels wide: the third spans 32 to 47, middle 39.5; the second row 16 to 31.
    assert clicked(missed, target)[:2] == ([39.5, 23.5], 1)
    added = target.clone()
    added[3, 0] = True
    assert clicked(added, target)[:2] == ([7.5, 55.5], 0)
    (x, y), label, _ = clicked(target, target)  # nothing is wrong: the object is confirmed
    assert label == 1
    assert target[int(y // 16), int(x // 16)]


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("pocket", side=SIDE)


def test_a_cell_belongs_to_a_mask_that_covers_half_of_it(sam):
    height, _ = sam.prompt_encoder.mask_input_size
    cell = SIDE // height
    masks = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    masks[..., 0, 0] = True  # one pixel of the first cell
    masks[..., cell : 2 * cell, cell : cell + cell // 2] = True  # half of another
    found = at_logit_grid(masks, sam)
    assert found.nonzero()[:, 2:].tolist() == [[1, 1]]


def test_half_of_the_objects_are_asked_for_by_a_box(sam, monkeypatch):
    boxed = []
    monkeypatch.setattr(
        recipe, "first_prompts", lambda *given: boxed.append(given[1]) or first_prompts(*given)
    )
    masks = torch.zeros(1, 60, SIDE, SIDE, dtype=torch.bool)
    masks[..., 10:40, 12:44] = True
    torch.manual_seed(0)
    losses = Pretraining(sam, corrections=1)(ShapeBatch(torch.rand(1, 1, SIDE, SIDE), masks))
    assert 0.25 < boxed[0].float().mean() < 0.75
    assert all(torch.isfinite(value) for value in losses.values())


def test_a_batch_depends_on_seed_and_step_alone():
    stream, other = (ShapeStream(seed, SIDE, images=2, objects=3, steps=5) for seed in (1, 2))
    for one, again in zip(stream[3], stream[3], strict=True):
        assert torch.equal(one, again)
    assert not torch.equal(stream[3].images, stream[4].images)
    assert not torch.equal(stream[3].images, other[3].images)
    assert stream[3].masks.shape == (2, 3, SIDE, SIDE)


def test_held_out_shapes_are_of_a_seed_that_no_phase_trains_on():
    first = inspect.signature(pretrain).parameters["seed"].default
    assert HELD_OUT not in {first + phase for phase in range(len(PHASES))}
