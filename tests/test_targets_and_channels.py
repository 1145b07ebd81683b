"""nnU-Net and TransUNet with several targets, nested or exclusive, and with slices of colour."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from samnb.base.errors import SamnbError
from samnb.data.settings import CohortSettings
from samnb.method import Batch, segment
from samnb.networks.nnunet_plan import plan, unseen_fingerprint
from samnb.networks.targets import SliceTargets
from samnb.studies import load_profile
from samnb.systems import nnunet, transunet
from samnb.systems.nnunet import NnUNetSettings
from samnb.systems.system import Declared
from samnb.systems.transunet import TransUNetSettings

SIDE = 32
SYSTEMS = {"nnunet": nnunet, "transunet": transunet}
NARROW = {
    "nnunet": NnUNetSettings(width=8, most=32),
    "transunet": TransUNetSettings(stem=16, units=(1, 1, 1), embed=32, layers=1, heads=2),
}
STEPS = {"nnunet": 40, "transunet": 12}  # nnU-Net has the tests of what is learned; they are quick
each = pytest.mark.parametrize("name", SYSTEMS)
AXIS = torch.arange(SIDE)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def built(name, targets, exclusive=False, colour=False, **settings):
    """The narrow system for slices of 32 x 32; colour: of a layout of photographs."""
    profile = load_profile("smoke")
    cohort = CohortSettings("refuge" if colour else "lits", tuple("abc"[:targets]))
    slices = replace(profile.data.slices, side=SIDE)
    data = replace(profile.data, cohorts={"home": cohort}, exclusive=exclusive, slices=slices)
    narrow = {name: replace(NARROW[name], **settings)}
    shown = Declared(replace(profile, data=data, **narrow), (name,), name)
    return SYSTEMS[name].build(shown, 0)


def squares(places, count=6):
    """Masks (N, K, S, S) of squares: for each target its middle row and column, and its half."""
    masks = torch.zeros(count, len(places), SIDE, SIDE, dtype=torch.uint8)
    for number in range(count):
        for target, (row, column, half) in enumerate(places):
            row, column = row + number % 3, column + number % 2
            masks[number, target, row - half : row + half, column - half : column + half] = 1
    return masks


def noisy(images):
    return (images + 0.02 * torch.randn(images.shape)).clamp(0, 1)


def nested():
    """A disc of 0.5 with a cup of 0.8 in it, on 0.2, grey."""
    masks = squares([(14, 15, 9), (14, 15, 4)])
    return noisy(0.2 + 0.3 * masks.sum(dim=1, keepdim=True)), masks


def exclusive():
    """Three squares of 0.4, 0.6 and 0.8 on 0.1, grey."""
    masks = squares([(8, 8, 5), (8, 22, 5), (22, 14, 5)])
    levels = torch.tensor([0.3, 0.5, 0.7])[:, None, None]
    return noisy(0.1 + (masks * levels).sum(dim=1, keepdim=True)), masks


def coloured():
    """A red square, the target, and a green one as bright: only colour tells them apart."""
    both = squares([(9, 9, 5), (21, 21, 5)])
    both[3:] = both[3:].flip(1)  # red is on one side and on the other
    red, green = both[:, 0], both[:, 1]
    images = 0.3 + 0.4 * torch.stack([red, green, 0 * red], dim=1)
    return noisy(images), both[:, :1]


def learned(method, images, masks, steps):
    """Losses of the first and the last five steps on the same slices, and the answer after them."""
    if hasattr(method, "prepare"):
        method.prepare(images.numpy(), masks.numpy(), np.ones((len(images), 2)))
    batch = Batch(images[:0], torch.empty(0, masks.shape[1]), images, masks)
    optimiser, losses = torch.optim.Adam(method.train().parameters(), lr=1e-2), []
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = method(batch)["loss"]
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return np.mean(losses[:5]), np.mean(losses[-5:]), segment(method.eval(), images).masks


def dice(found, masks):
    """Of each target over all slices: (K,)."""
    truth = masks.bool()
    shared = (found & truth).sum(dim=(0, 2, 3))
    return 2 * shared / (found.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3)))


@each
def test_nested_targets_are_both_answered(name):
    images, masks = nested()
    method = built(name, 2)
    assert method.targets.outputs == 2
    first, last, found = learned(method, images, masks, STEPS[name])
    assert last < 0.9 * first
    assert found.shape == masks.shape
    assert found.dtype == torch.bool
    if name == "nnunet":
        assert (dice(found, masks) > 0.8).all()
        cup = masks[:, 1].bool()
        assert found[:, 0][cup].float().mean() > 0.9  # a softmax would take the cup from the disc


@each
def test_exclusive_targets_share_no_pixel(name):
    images, masks = exclusive()
    method = built(name, 3, exclusive=True)
    assert method.targets.outputs == 4
    first, last, found = learned(method, images, masks, STEPS[name])
    assert last < 0.9 * first
    assert found.shape == masks.shape
    assert found.sum(dim=1).max() == 1
    if name == "nnunet":
        assert (dice(found, masks) > 0.7).all()


@each
def test_colour_tells_targets_apart(name):
    images, masks = coloured()
    method = built(name, 1, colour=True)
    first, last, found = learned(method, images, masks, STEPS[name])
    assert last < 0.9 * first
    assert found.shape == masks.shape
    if name == "nnunet":
        assert (dice(found, masks) > 0.7).all()


@each
def test_one_target_is_two_classes(name):
    method = built(name, 1)
    assert method.targets.exclusive
    assert method.targets.outputs == 2


@each
@pytest.mark.parametrize(("built_for", "given"), [("colour", 1), ("grey", 3), ("grey", 4)])
def test_other_channels_than_a_system_was_built_for_are_refused(name, built_for, given):
    method = built(name, 1, colour=built_for == "colour").eval()
    images = torch.rand(1, given, SIDE, SIDE)
    if name == "transunet" and given in (1, 3):  # the published stem takes grey and colour
        assert segment(method, images).masks.shape == (1, 1, SIDE, SIDE)
        return
    with pytest.raises(SamnbError, match=rf"cannot take slices with {given} channel.*Remedy"):
        segment(method, images)


def test_a_grey_stem_for_slices_of_colour_is_not_built():
    with pytest.raises(SamnbError, match=r"3 channels.*built for 1\. Remedy: .*channels.* to 3"):
        built("transunet", 1, colour=True, channels=1)


def test_transunet_takes_colour_as_it_is_and_triples_grey():
    method, given = built("transunet", 1, colour=True).eval(), []
    method.network.stem.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    colour, grey = torch.rand(2, 3, SIDE, SIDE), torch.rand(2, 1, SIDE, SIDE)
    segment(method, colour)
    segment(method, grey)
    assert torch.equal(given[0], colour)
    assert all(torch.equal(given[1][:, channel], grey[:, 0]) for channel in range(3))


# Two pixels in a row, of two targets: the second lies in the first. Row, column: the pixels.
ALL, INSIDE = torch.tensor([[1, 1, 0, 0]]), torch.tensor([[0, 1, 0, 0]])
NESTED = torch.stack([ALL, INSIDE])[None].to(torch.uint8)  # (1, 2, 1, 4)


def test_a_pixel_s_number_says_all_that_it_lies_in():
    assert SliceTargets(2, False).numbers(NESTED).tolist() == [[[1, 3, 0, 0]]]
    assert SliceTargets(2, True).numbers(NESTED).tolist() == [[[1, 2, 0, 0]]]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        # Shared 3/4 of each pixel inside; answers of 3/4 inside and 1/4 outside; truth.
        ({"batch": True}, [1.5 / (2 + 2), 0.75 / (1.5 + 1)]),
        # Squares of the answers and of the truth in the denominator.
        ({"squared_pred": True}, [1.5 / (20 / 16 + 2), 0.75 / (12 / 16 + 1)]),
    ],
)
def test_targets_that_may_overlap_are_each_a_yes_or_no_in_the_loss(settings, wanted):
    targets = SliceTargets(2, False, weight=0.5, **settings)
    logits = math.log(3) * (2.0 * NESTED - 1)
    found = targets.loss(logits, targets.numbers(NESTED)[:, None]).item()
    overlap = sum(1 - 2 * share for share in wanted) / 2
    assert found == pytest.approx(0.5 * -math.log(0.75) + 0.5 * overlap, abs=1e-4)


@pytest.mark.parametrize("settings", [{"batch": True}, {"squared_pred": True}])
def test_the_loss_is_least_where_nested_targets_are_both_answered(settings):
    targets = SliceTargets(2, False, **settings)
    logits = torch.zeros(NESTED.shape, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(30):
        optimiser.zero_grad()
        targets.loss(logits, targets.numbers(NESTED)[:, None]).backward()
        optimiser.step()
    assert torch.equal(targets.masks(logits), NESTED.bool())


def test_transunet_s_dice_of_several_targets_is_that_of_a_step():
    """Two slices of two targets: by slice, the second target's Dice in the first would be 0."""
    method = built("transunet", 2, exclusive=True)
    masks = torch.zeros(2, 2, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0], masks[1, 1] = 1, 1
    # Every pixel is a half its own class and a quarter each of the others.
    likely = torch.cat([torch.zeros(2, 1, SIDE, SIDE), masks], dim=1)
    method.logits = lambda images: math.log(2) * likely
    images = torch.rand(2, 1, SIDE, SIDE)
    batch = Batch(images[:0], torch.empty(0, 2), images, masks)
    # In slices: shared 1/2, squares of the answers 1/4 + 1/16, truth 1. There is no background.
    wanted = (1 / (5 / 16 + 1)) * 2 / 3
    found = method(batch)["loss"].item()
    assert found == pytest.approx(0.5 * math.log(2) + 0.5 * (1 - wanted), abs=1e-4)


class Passes(nn.Module):
    """Says in its four passes these logits of two targets everywhere."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = iter(logits)

    def forward(self, images):
        logits = torch.tensor(next(self.logits))[None, :, None, None]
        return logits.expand(len(images), -1, *images.shape[2:])


def test_nnunet_averages_the_probability_of_each_of_overlapping_targets():
    method = built("nnunet", 2).eval()
    method.network = Passes([9.0, 9.0], [-1.0, -0.5], [-1.0, -0.5], [-1.0, -0.5])
    found = segment(method, torch.rand(1, 1, SIDE, SIDE)).masks[0, :, 0, 0]
    # (1 + 3 x 0.27) / 4 is below a half, (1 + 3 x 0.38) / 4 above it.
    assert found.tolist() == [False, True]


def test_nnunet_keeps_the_largest_piece_of_the_targets_for_which_that_helped(monkeypatch):
    found = torch.zeros(2, 2, SIDE, SIDE, dtype=torch.bool)
    found[:, :, 4:16, 4:16] = True
    found[:, :, 24:28, 24:28] = True
    truth = found.clone()
    truth[:, 0, 24:28, 24:28] = False  # of the first target the second piece is wrong
    method = built("nnunet", 2).eval()
    monkeypatch.setattr(method, "_unpruned", lambda images: found)
    method.calibrate(torch.zeros(2, 1, SIDE, SIDE), truth)
    assert method.largest_component.tolist() == [True, False]
    assert torch.equal(segment(method, torch.zeros(2, 1, SIDE, SIDE)).masks, truth)


def test_nnunet_normalises_each_channel_of_each_colour_slice():
    method = built("nnunet", 1, colour=True)
    images, masks = coloured()
    dark = torch.tensor([0.5, 0.25, 0.125])[:, None, None]
    images = torch.cat([images, dark * images + 0.3])
    masks = torch.cat([masks, masks])
    method.prepare(images.numpy(), masks.numpy(), np.ones((len(images), 2)))
    normal = method.normalise(images)
    assert normal.mean(dim=(2, 3)).abs().max() < 1e-4
    torch.testing.assert_close(normal.var(dim=(2, 3), correction=0), torch.ones(12, 3))
    # The same picture through another camera; nothing of it is clipped.
    torch.testing.assert_close(normal[6:], normal[:6], atol=1e-3, rtol=0)


def test_nnunet_sees_all_targets_in_its_fingerprint():
    method = built("nnunet", 2)
    images = torch.full((2, 1, SIDE, SIDE), 0.1)
    masks = torch.zeros(2, 2, SIDE, SIDE)
    images[:, :, :8], masks[:, 0, :8] = 0.4, 1
    images[:, :, 8:16], masks[:, 1, 8:16] = 0.8, 1
    method.prepare(images.numpy(), masks.numpy(), np.ones((2, 2)))
    assert method.plan.mean == pytest.approx(0.6)


def test_nnunet_s_batch_shrinks_with_the_number_of_its_outputs():
    # Three stages at 16 pixels: maps of 2 x width downwards, 3 x width + outputs upwards.
    many = replace(unseen_fingerprint(16), slices=10**7)
    for outputs in (2, 14):
        maps = 256 * (5 * 32 + outputs) + 64 * (5 * 64 + outputs) + 16 * 2 * 128
        assert plan(many, 16, outputs=outputs).batch == round(85e6 / maps * 12)


def test_augmented_numbers_stay_those_that_they_were():
    images, masks = nested()
    method, given = built("nnunet", 2), []
    method.loss_of = lambda *pair: given.append(pair[1])
    method(
        Batch(images[:0], torch.empty(0, 2), images.repeat(8, 1, 1, 1), masks.repeat(8, 1, 1, 1))
    )
    assert set(given[0].unique().tolist()) == {0, 1, 3}  # no cup outside of a disc
