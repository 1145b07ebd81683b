"""Simulated users, and the teaching of SAM with boxes."""

from itertools import islice

import pytest
import torch

from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.model import build_sam, encode
from samnb.networks.sam.prompting import Masks, decode
from samnb.networks.sam.settings import LoraSettings
from samnb.prompts import box_prompted
from samnb.prompts import clicks as interactive
from samnb.prompts.box_prompted import BoxPrompted, segment_in_boxes, shuffled_batches
from samnb.prompts.boxes import (
    box_iou,
    box_of,
    boxes_with_iou,
    jitter_boxes,
    middle_click,
    random_click,
)
from samnb.prompts.clicks import click_and_correct

SIDE = 64


def squares(count: int) -> torch.Tensor:
    """Masks (count, SIDE, SIDE) of growing squares."""
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    for number in range(count):
        masks[number, 10 : 20 + 4 * number, 12 : 30 + 3 * number] = True
    return masks


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build_sam("pocket", side=SIDE).eval()


def test_boxes_are_tight_and_exclusive():
    assert box_of(squares(2)).tolist() == [[12, 10, 30, 20], [12, 10, 33, 24]]


@pytest.mark.parametrize("wanted", [0.4, 0.5, 0.75, 0.9])
def test_boxes_of_a_wanted_overlap_have_it(wanted):
    exact = box_of(squares(8))
    moved = boxes_with_iou(exact, wanted, SIDE, torch.Generator().manual_seed(1))
    torch.testing.assert_close(box_iou(moved, exact), torch.full((8,), wanted), atol=1e-3, rtol=0)
    assert not torch.equal(moved[0] - exact[0], moved[1] - exact[1])
    assert (moved >= 0).all()
    assert (moved <= SIDE).all()


def test_shaken_boxes_stay_inside_and_keep_an_area():
    torch.manual_seed(0)
    edge = torch.tensor([[0.0, 0, 3, 3], [60, 60, 64, 64], [0, 0, 64, 64]]).repeat(200, 1)
    shaken = jitter_boxes(edge, SIDE)
    assert (shaken[:, 2:] - shaken[:, :2] > 1.99).all()
    assert (shaken >= 0).all()
    assert (shaken <= SIDE).all()
    assert (shaken != edge).any()


@pytest.mark.parametrize(("given", "largest"), [({"largest": 0.2}, 0.2), ({}, 0.15)])
def test_boxes_are_shaken_edge_by_edge_by_a_share_of_their_sides(given, largest):
    # Each box draws a spread u evenly from 0 to the largest, each edge a Gaussian of that spread:
    # its second moment is E[u²] = largest² / 3, its fourth 3 E[u⁴] = 3 largest⁴ / 5.
    torch.manual_seed(0)
    exact = torch.tensor([[300.0, 300, 400, 500]]).repeat(20_000, 1)  # 100 x 200 pixels
    moved = (jitter_boxes(exact, 1000, **given) - exact) / torch.tensor([100, 200, 100, 200])
    torch.testing.assert_close(moved.mean(dim=0), torch.zeros(4), atol=0.005, rtol=0)
    second, fourth = moved.square().mean(dim=0), moved.pow(4).mean(dim=0)
    torch.testing.assert_close(second, torch.full((4,), largest**2 / 3), atol=0, rtol=0.05)
    torch.testing.assert_close(fourth / second**2, torch.full((4,), 27 / 5), atol=0, rtol=0.2)
    torch.testing.assert_close(torch.corrcoef(moved.T), torch.eye(4), atol=0.05, rtol=0)


def test_clicks_are_inside_and_the_middle_is_in_the_middle():
    masks = squares(8)
    row = torch.arange(8)
    for click in (random_click(masks), middle_click(masks)):
        x, y = click.long().unbind(1)
        assert masks[row, y, x].all()
    ring = torch.ones(1, 9, 9, dtype=torch.bool)
    assert middle_click(ring).tolist() == [[4, 4]]


def test_random_clicks_reach_every_pixel_of_a_region():
    region = torch.zeros(1, 4, 4, dtype=torch.bool)
    region[0, 1, 1:4] = True
    torch.manual_seed(0)
    seen = {tuple(random_click(region)[0].tolist()) for _ in range(60)}
    assert seen == {(1, 1), (2, 1), (3, 1)}


def test_each_correction_goes_where_the_last_answer_was_wrong(sam, monkeypatch):
    asked = []
    from samnb.prompts import clicks as interactive

    def spy(model, embeddings, prompts):
        asked.append(prompts)
        return decode(model, embeddings, prompts)

    monkeypatch.setattr(interactive, "decode", spy)
    target = squares(3)
    embeddings = encode(sam, torch.rand(3, 1, SIDE, SIDE)).detach()
    _, found = click_and_correct(sam, embeddings, torch.arange(3), target, clicks=3)
    assert [prompts.points.shape[1] for prompts in asked] == [1, 2, 3]
    assert asked[0].masks is None
    assert asked[1].masks is not None
    for turn in (1, 2):
        x, y = asked[turn].points[:, -1].long().unbind(1)
        row = torch.arange(3)
        assert (found[turn - 1][row, y, x] != target[row, y, x]).all()
        assert (asked[turn].labels[:, -1] == target[row, y, x].long()).all()


def test_masks_do_not_depend_on_the_batch(sam):
    images, masks = torch.rand(5, 1, SIDE, SIDE), squares(5)
    whole = segment_in_boxes(sam, images, box_of(masks))
    assert torch.equal(whole, segment_in_boxes(sam, images, box_of(masks), batch=2))


def test_teaching_with_boxes_lowers_the_loss_and_touches_only_the_adapter():
    torch.manual_seed(0)
    sam = add_lora(build_sam("pocket", side=SIDE), LoraSettings(4, 4.0), ("mask_decoder",))
    masks = squares(4)
    images = masks[:, None].float() * 0.5 + 0.2
    frozen = {name: p.clone() for name, p in sam.named_parameters() if not p.requires_grad}
    method = BoxPrompted(sam, jitter=0)
    trained = [p for p in sam.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=3e-3)
    losses = []
    for _ in range(25):
        losses.append(method((images, masks))["loss"])
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.6 * losses[0]
    for name, parameter in sam.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name]), name


def test_batches_go_through_all_slices_and_start_at_any_step():
    images, masks = torch.arange(10.0)[:, None, None, None], torch.arange(10)[:, None, None]
    first = list(islice(shuffled_batches(images, masks, 4, seed=3), 6))
    seen = torch.cat([batch[0].flatten() for batch in first[:3]])
    assert sorted(seen.tolist()) == list(range(10))
    later = list(islice(shuffled_batches(images, masks, 4, seed=3, start=4), 2))
    for (one, _), (other, _) in zip(first[4:], later, strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def asked(monkeypatch):
    """Whatever SAM is asked with boxes of the truth, in order."""
    prompts = []
    monkeypatch.setattr(
        box_prompted, "decode", lambda *given: prompts.append(given[2]) or decode(*given)
    )
    return prompts


def test_sam_is_taught_in_shaken_boxes_of_the_truth(sam, asked):
    images, masks = torch.rand(4, 1, SIDE, SIDE), squares(4)
    torch.manual_seed(1)
    for jitter in (0.1, 0.0):
        BoxPrompted(sam, jitter)((images, masks.to(torch.uint8)))
    shaken, exact = (prompts.boxes for prompts in asked)
    assert torch.equal(exact, box_of(masks))
    assert (shaken != exact).any(dim=1).all()
    assert (shaken - exact).abs().max() < 0.1 * 40 * 5


def test_the_oracle_answers_in_exact_boxes_where_the_logit_is_above_zero(sam, monkeypatch):
    for value in (0.3, -0.3):
        logits = torch.full((2, 4, 16, 16), value)
        monkeypatch.setattr(
            box_prompted, "decode", lambda *_, logits=logits: Masks(logits, torch.zeros(2, 4))
        )
        found = segment_in_boxes(sam, torch.rand(2, 1, SIDE, SIDE), box_of(squares(2)))
        assert (found == (value > 0)).all()


def test_the_user_goes_on_from_the_best_of_three_answers_and_then_from_the_last(sam, monkeypatch):
    asked, answers = [], []

    def spy(*given):
        asked.append(given[2])
        answers.append(decode(*given))
        return answers[-1]

    monkeypatch.setattr(interactive, "decode", spy)
    embeddings = encode(sam, torch.rand(2, 1, SIDE, SIDE)).detach()
    click_and_correct(sam, embeddings, torch.arange(2), squares(2), clicks=3)
    row = torch.arange(2)
    best = answers[0].scores[:, 1:].argmax(dim=1) + 1
    assert asked[1].masks is not None
    assert torch.equal(asked[1].masks[:, 0], answers[0].logits[row, best])
    assert torch.equal(asked[2].masks[:, 0], answers[1].logits[:, 0])


def test_every_pass_through_the_labelled_slices_has_an_order_of_its_own():
    images, masks = torch.arange(10.0)[:, None, None, None], torch.arange(10)[:, None, None]
    batches = list(islice(shuffled_batches(images, masks, 5, seed=3), 8))
    passes = {tuple(torch.cat([batches[i][1], batches[i + 1][1]]).flatten().tolist())
              for i in (0, 2, 4, 6)}  # fmt: skip
    assert len(passes) == 4
