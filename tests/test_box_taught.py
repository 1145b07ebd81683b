"""SAM fine-tuned in boxes of the truth: which lessons a batch holds, and that users ask it."""

from dataclasses import replace

import pytest
import torch
from monai.losses import DiceLoss

from samnb.evaluation.answers import consult
from samnb.method import Batch
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.prompts import boxes
from samnb.prompts.users import find_user
from samnb.runs.run import Run
from samnb.runs.runner import label_counts, plan
from samnb.studies import load_profile
from samnb.systems import box_taught
from samnb.systems.box_taught import build
from samnb.systems.registry import find_system

SIDE = 64
BOXES = {(0, 0): [8, 10, 24, 30], (0, 1): [20, 20, 40, 50], (2, 1): [5, 30, 45, 60]}


@pytest.fixture(scope="module")
def profile():
    return load_profile("smoke")


@pytest.fixture
def method(profile):
    return build(profile, 1)


@pytest.fixture(scope="module")
def batch():
    """Three slices, two targets: both in the first, none in the second, one in the third."""
    masks = torch.zeros(3, 2, SIDE, SIDE, dtype=torch.uint8)
    for (image, target), (left, top, right, bottom) in BOXES.items():
        masks[image, target, top:bottom, left:right] = 1
    images = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return Batch(images[:0], torch.zeros(0, 2), images, masks)


def heard(monkeypatch):
    """Everything that SAM is asked, without changing an answer."""
    asked = []

    def listen(sam, embeddings, prompts):
        asked.append(prompts)
        return decode(sam, embeddings, prompts)

    monkeypatch.setattr(box_taught, "decode", listen)
    return asked


def test_every_target_that_is_there_is_asked_in_its_own_box(profile, batch, monkeypatch):
    settings = replace(profile, sam_lora=replace(profile.sam_lora, jitter=0.0))
    asked = heard(monkeypatch)
    build(settings, 1)(batch)
    assert asked[0].image.tolist() == [image for image, _ in BOXES]
    assert asked[0].boxes.tolist() == list(BOXES.values())
    assert asked[0].points is None
    assert asked[0].masks is None


def test_boxes_are_shaken_anew_in_every_step_by_the_share_that_the_profile_says(
    method, batch, monkeypatch
):
    tight = torch.tensor(list(BOXES.values()), dtype=torch.float32)
    asked = heard(monkeypatch)
    for _ in range(2):
        method(batch)
    assert not torch.equal(asked[0].boxes, asked[1].boxes)
    assert all(not torch.equal(each.boxes, tight) for each in asked)
    torch.manual_seed(3)
    method(batch)
    torch.manual_seed(3)
    assert torch.equal(asked[2].boxes, boxes.jitter_boxes(tight, SIDE, 0.1))


def test_the_loss_is_one_less_the_dice_of_the_single_masks(method, batch):
    method.jitter = 0.0
    image = torch.tensor([image for image, _ in BOXES])
    tight = torch.tensor(list(BOXES.values()), dtype=torch.float32)
    truths = torch.stack([batch.masks[place] for place in BOXES])[:, None].float()
    embeddings = encode(method.sam, batch.marked)
    answer = decode(method.sam, embeddings, Prompts(image, tight)).at_side(SIDE)
    expected = DiceLoss(sigmoid=True)(answer.logits[:, :1], truths)
    torch.testing.assert_close(method(batch)["loss"], expected)


def test_adapter_and_decoder_learn_and_nothing_else(method, batch):
    method(batch)["loss"].backward()
    taught = {name for name, each in method.named_parameters() if each.grad is not None}
    assert any("lora_" in name for name in taught)
    assert any(name.startswith("sam.mask_decoder") for name in taught)
    assert all("lora_" in name or name.startswith("sam.mask_decoder") for name in taught)


def test_a_batch_without_any_target_teaches_nothing(method, batch):
    loss = method(batch._replace(masks=torch.zeros_like(batch.masks)))["loss"]
    loss.backward()
    assert loss.item() == 0
    assert all(each.grad is None or not each.grad.any() for each in method.parameters())


def test_before_it_has_learned_it_answers_users_as_sam_does(method, profile, batch):
    plain = find_system("sam").build(profile, 1).eval()
    truths = batch.masks.bool()
    for user in ("box 0.75", "3 clicks"):
        asked = (batch.marked, truths, ["a", "b", "c"], find_user(user))
        found, expected = consult(method.eval(), *asked), consult(plain, *asked)
        assert torch.equal(found.masks, expected.masks)


def test_it_learns_from_the_marked_slices_alone(profile):
    assert label_counts(profile, "sam_lora") == [2, 5, 8, None]
    for labels in (5, None):
        seen = Run(profile, "sam_lora", labels, 1).data
        assert len(seen.classified) == 0
        assert len(seen.marked) == labels or labels is None
    assert len(seen.marked) > 8


def test_it_is_planned_where_a_profile_says_how_it_learns_and_who_prompts():
    for name, planned in (("real_ct", 12), ("smoke", 4), ("pocket", 0)):
        runs = plan(load_profile(name))
        assert sum(run.system == "sam_lora" for run in runs) == planned
