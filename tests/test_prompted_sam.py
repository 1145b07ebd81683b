"""SAM as it is, under users: which of its masks counts, and what goes back into it."""

import pytest
import torch

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import consult
from samnb.method import UserPrompts, segment
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.weights import load_sam
from samnb.prompts.box_prompted import segment_in_boxes
from samnb.prompts.boxes import box_of
from samnb.prompts.users import find_user
from samnb.systems.prompted_sam import PromptedSam

SIDE = 64


@pytest.fixture(scope="module")
def method():
    return PromptedSam(load_sam("pocket", SIDE).eval())


@pytest.fixture(scope="module")
def case():
    """Two pictures and two targets: a disc in both, a square in the first alone."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    disc = (x - 20) ** 2 + (y - 24) ** 2 < 140
    square = (x > 40) & (x < 56) & (y > 38) & (y < 54)
    truths = torch.stack(
        [torch.stack([disc, square]), torch.stack([disc.flip(1), torch.zeros_like(square)])]
    )
    torch.manual_seed(0)
    images = 0.3 + 0.4 * truths.any(dim=1, keepdim=True) + 0.02 * torch.randn(2, 1, SIDE, SIDE)
    return images, truths


def ask(method, case, user):
    return consult(method, *case, ["first", "second"], find_user(user))


def test_a_box_is_answered_as_ever_and_what_nobody_prompts_stays_empty(method, case):
    images, truths = case
    answer = ask(method, case, "box 1")
    discs = segment_in_boxes(method.sam, images, box_of(truths[:, 0]))
    assert torch.equal(answer.masks[:, 0], discs)
    square = segment_in_boxes(method.sam, images[:1], box_of(truths[:1, 1]))
    assert torch.equal(answer.masks[:1, 1], square)
    assert not answer.masks[1, 1].any()
    assert answer.scores[:, :, 0].isnan().tolist() == [[False, False], [False, True]]


def decoded(method, images, image, points, masks=None):
    labels = torch.ones(points.shape[:2], dtype=torch.long)
    with torch.no_grad():
        embeddings = encode(method.sam, images)
        prompts = Prompts(image, points=points, labels=labels, masks=masks)
        return decode(method.sam, embeddings, prompts)


def test_of_one_point_the_best_scored_of_three_counts_of_several_the_single_mask(method, case):
    images, truths = case
    rows = torch.arange(2)
    for user, best in (("point", True), ("3 points", False)):
        said = find_user(user).prompts(truths, ["first", "second"])
        answer = decoded(method, images, rows, said.points[:, 0])
        logits, score = answer.best_of_three() if best else answer.single()
        found = ask(method, case, user)
        torch.testing.assert_close(found.scores[:, 0, 0], score)
        fine = torch.nn.functional.interpolate(logits[:, None], (SIDE, SIDE), mode="bilinear")
        assert torch.equal(found.masks[:, 0], fine[:, 0] > 0)


def test_the_last_answer_goes_back_in_with_the_next_click(method, case):
    images, _truths = case
    state = method.begin(images)
    points = torch.tensor([[20.0, 24.0]])[None, None].repeat(2, 1, 1, 1)
    points[1] = torch.tensor([43.0, 24.0])
    labels = torch.ones(2, 1, 1, dtype=torch.long)
    method.answer(state, UserPrompts(points, labels))
    first, _ = decoded(method, images, torch.arange(2), points[:, 0]).best_of_three()
    torch.testing.assert_close(state.earlier[:, 0], first)
    more = torch.cat([points, points + 4], dim=2)
    found = method.answer(state, UserPrompts(more, torch.ones(2, 1, 2, dtype=torch.long)))
    second = decoded(method, images, torch.arange(2), more[:, 0], first[:, None]).single()
    torch.testing.assert_close(found.scores[:, 0, 0], second[1])


def test_nobody_gets_no_answer(method, case):
    with pytest.raises(SamnbError, match="nobody does"):
        segment(method, case[0])
