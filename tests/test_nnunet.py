"""nnU-Net: what it plans from which data, its augmentations, and its two doors."""

import copy
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from samnb.base.errors import SamnbError
from samnb.method import Batch, segment
from samnb.networks.nnunet_plan import (
    LEAST_STD,
    Fingerprint,
    Limits,
    fingerprint_of,
    plan,
    plan_text,
    unseen_fingerprint,
)
from samnb.studies import load_profile
from samnb.systems import nnunet
from samnb.systems.nnunet import NnUNetSettings
from samnb.systems.system import Declared
from samnb.training.augmentation import augment, augmentations


@pytest.mark.parametrize(
    ("side", "stages", "batch", "parameters"),
    [(256, 7, 49, 33_462_250), (512, 8, 12, 46_312_428)],
)
def test_the_plan_is_the_published_one(side, stages, batch, parameters):
    chosen = plan(unseen_fingerprint(side), side)
    assert len(chosen.features) == len(chosen.strides) == len(chosen.kernels) == stages
    assert chosen.features == tuple(min(32 * 2**stage, 512) for stage in range(stages))
    assert chosen.batch == batch
    assert chosen.patch == (side, side)
    assert chosen.rotation == 180
    with torch.device("meta"):
        method = nnunet.NnUNet(chosen)
    assert sum(item.numel() for item in method.parameters()) == parameters


def test_few_slices_mean_small_batches():
    fingerprint = unseen_fingerprint(256)
    assert plan(replace(fingerprint, slices=100), 256).batch == 5
    assert plan(replace(fingerprint, slices=5), 256).batch == 2


def test_a_coarse_axis_is_halved_later_and_has_flat_kernels_until_then():
    chosen = plan(Fingerprint(100, (64, 256), (4.0, 1.0), 0.6, 0.1, 0.3, 0.9), 256)
    assert chosen.strides[:4] == ((1, 1), (1, 2), (1, 2), (2, 2))
    assert chosen.kernels[:3] == ((1, 3), (1, 3), (3, 3))
    assert chosen.rotation == 15


def test_a_coarse_axis_is_doubled_as_often_as_it_was_halved():
    fingerprint = Fingerprint(100, (64, 256), (4.0, 1.0), 0.6, 0.1, 0.3, 0.9)
    method = nnunet.NnUNet(plan(fingerprint, 256, Limits(4, 16))).eval()
    assert method.network(torch.zeros(1, 1, 64, 256)).shape == (1, 2, 64, 256)


def test_a_target_of_one_grey_level_can_be_normalised():
    images, masks = np.full((2, 32, 32), 0.4, np.float32), np.ones((2, 32, 32), np.uint8)
    assert fingerprint_of(images, masks, np.ones((2, 2))).std == LEAST_STD > 0


def test_patches_are_padded_to_what_the_strides_divide():
    chosen = plan(unseen_fingerprint(120), 120)
    assert chosen.patch == (128, 128)
    assert len(chosen.features) == 6


def test_slices_too_small_for_a_plan_are_refused():
    with pytest.raises(SamnbError, match=r"too small.*Remedy.*16"):
        plan(unseen_fingerprint(12), 12)


def test_the_weights_of_deep_supervision_halve_and_sum_to_one():
    weights = plan(unseen_fingerprint(256), 256).deep_supervision
    assert len(weights) == 5  # six outputs, and the coarsest has no weight
    assert sum(weights) == pytest.approx(1)
    assert [later / earlier for earlier, later in pairwise(weights)] == [0.5] * 4


def test_the_fingerprint_is_of_the_pixels_under_the_masks():
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 32, 48), np.uint8)
    masks[:, 8:24, 8:24] = 1
    images = np.where(masks, rng.normal(0.6, 0.05, masks.shape), 0.1).astype(np.float32)
    found = fingerprint_of(images, masks, np.array([[1.0, 0.8]] * 5 + [[9.0, 9.0]]))
    assert (found.slices, found.shape, found.spacing) == (6, (32, 48), (1.0, 0.8))
    assert found.mean == pytest.approx(0.6, abs=0.01)
    assert found.std == pytest.approx(0.05, abs=0.005)
    assert found.low == pytest.approx(np.percentile(images[masks > 0], 0.5))
    assert found.high == pytest.approx(np.percentile(images[masks > 0], 99.5))
    with pytest.raises(SamnbError, match="mark other slices"):
        fingerprint_of(images, 0 * masks, np.ones((6, 2)))


def test_the_plan_is_text_that_can_be_read_back():
    chosen = plan(unseen_fingerprint(256), 256)
    text = plan_text(chosen)
    values = yaml.safe_load(text)
    assert tuple(values["patch"]) == chosen.patch
    assert values["stages"] == 7
    assert values["batch"] == 49
    assert values["normalisation"]["high"] == 1.0
    assert len(text.splitlines()) < 50


def small():
    torch.manual_seed(0)
    return nnunet.NnUNet(plan(unseen_fingerprint(32), 32, Limits(4, 16)))


def test_what_is_augmented_keeps_its_kind_and_follows_the_seed():
    images = torch.rand(24, 1, 32, 32)
    masks = (images[:, 0] > 0.7).to(torch.uint8)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(augment(augmentations(180), images, masks))
    (first, first_masks), (again, again_masks), (other, _) = draws
    assert type(first) is torch.Tensor
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert first_masks.shape == masks.shape
    assert first_masks.dtype == torch.uint8
    assert torch.equal(first, again)
    assert torch.equal(first_masks, again_masks)
    assert not torch.equal(first, other)


def test_mask_and_image_are_moved_alike():
    masks = torch.zeros(40, 64, 64, dtype=torch.uint8)
    masks[:, 12:40, 20:30] = 1
    torch.manual_seed(0)
    images, moved = augment(augmentations(180), 4.0 * masks[:, None], masks)
    # Whatever noise and contrast do, what was bright before is brighter than the rest after.
    middle = (images.amin(dim=(1, 2, 3)) + images.amax(dim=(1, 2, 3))) / 2
    found = images[:, 0] > middle[:, None, None]
    shared = (found & (moved > 0)).sum() * 2 / (found.sum() + moved.sum())
    assert shared > 0.95
    assert not torch.equal(moved, masks)


def test_the_augmentations_are_as_frequent_and_as_strong_as_published():
    turn, zoom, noise, blur, brightness, contrast, coarse, inverted, gamma, *mirrors = (
        augmentations(180).transforms[:-1]  # the last only makes plain tensors
    )
    drawn = (turn, zoom, noise, blur, brightness, contrast, coarse, inverted, gamma)
    assert [each.prob for each in drawn] == [0.2, 0.2, 0.1, 0.2, 0.15, 0.15, 0.25, 0.1, 0.3]
    assert turn.rand_rotate.range_x == pytest.approx((-math.pi, math.pi))
    assert (*zoom.rand_zoom.min_zoom, *zoom.rand_zoom.max_zoom) == (0.7, 1.4)
    assert noise.rand_gaussian_noise.std**2 == pytest.approx(0.1)
    assert blur.rand_smooth.sigma_x == blur.rand_smooth.sigma_y == (0.5, 1.0)
    assert brightness.scaler.factors == contrast.scaler.factors == (-0.25, 0.25)
    assert coarse.zoom_range == (0.5, 1.0)
    for each in (inverted, gamma):
        assert tuple(each.adjuster.gamma) == (0.7, 1.5)
        assert each.adjuster.retain_stats
    assert (inverted.invert_image, gamma.invert_image) == (True, False)
    # Mirrored along rows, and along columns, each in every second slice.
    assert [(each.prob, each.flipper.spatial_axis) for each in mirrors] == [(0.5, 0), (0.5, 1)]


def test_a_turned_mask_keeps_its_area():
    turn = copy.deepcopy(augmentations(180).transforms[0])
    turn.prob = 1.0
    turn.set_random_state(0)
    mask = torch.zeros(1, 64, 64)
    mask[:, 20:44, 24:40] = 1
    areas = [(turn({"image": mask, "mask": mask})["mask"] > 0).sum().item() for _ in range(20)]
    assert sum(areas) / 20 == pytest.approx(24 * 16, rel=0.02)


def test_it_learns_from_slices_that_are_augmented(monkeypatch):
    method, given = small(), []
    monkeypatch.setattr(method, "loss_of", lambda *pair: given.extend(pair))
    images = torch.rand(24, 1, 32, 32)
    masks = (images > 0.7).to(torch.uint8)
    method(Batch(images[:0], torch.empty(0, 1), images, masks))
    plain = method.normalise(images)
    # A slice stays as it is in 4 of 100, a mask stays where it is in 16 of 100.
    changed = [not torch.equal(*pair) for pair in zip(given[0], plain, strict=True)]
    moved = [not torch.equal(*pair) for pair in zip(given[1], masks[:, 0], strict=True)]
    assert sum(changed) >= 20
    assert sum(moved) >= 14


def outputs_of(*probabilities):
    """What a network says at several depths: of three slices of 2 x 2, the first all target and two
    without, each pixel has this probability for what it is. Shape (3, depths, 2, 2, 2)."""
    sure = [math.log(p / (1 - p)) for p in probabilities]
    target = torch.tensor([1.0, -1.0, -1.0])[:, None] * torch.tensor(sure)
    target = target[:, :, None, None].expand(3, len(sure), 2, 2)
    return torch.stack([torch.zeros_like(target), target], dim=2)


PICTURES = torch.empty(3, 1, 2, 2)
MASKS = torch.tensor([1, 0, 0], dtype=torch.uint8)[:, None, None].expand(3, 2, 2)
# Cross-entropy, and the Dice of the target in all slices as one: twice shared by answer + truth.
AT_3_4 = -math.log(0.75) + 1 - 2 * 3 / (5 + 4)
AT_1_2 = -math.log(0.5) + 1 - 2 * 2 / (6 + 4)


def test_its_loss_adds_cross_entropy_and_the_dice_of_the_target_in_a_batch(monkeypatch):
    method = small()
    monkeypatch.setattr(method.network, "forward", lambda images: outputs_of(0.75)[:, 0])
    assert method.loss_of(PICTURES, MASKS).item() == pytest.approx(AT_3_4, abs=1e-4)


def test_a_coarser_output_counts_half_of_the_one_before(monkeypatch):
    method = small()
    monkeypatch.setattr(method.network, "forward", lambda images: outputs_of(0.75, 0.5))
    wanted = AT_3_4 * 2 / 3 + AT_1_2 * 1 / 3
    assert method.loss_of(PICTURES, MASKS).item() == pytest.approx(wanted, abs=1e-4)


def test_preparing_takes_the_intensities_and_completes_the_plan():
    method = small()
    weights = copy.deepcopy(dict(method.named_parameters()))
    images, masks = np.full((4, 32, 32), 0.2, np.float32), np.zeros((4, 32, 32), np.uint8)
    images[:, 8:16], images[:, 16:24] = 0.5, 0.7
    masks[:, 8:24] = 1
    method.prepare(images[:, None], masks[:, None], np.full((4, 2), 0.9))
    normal = method.normalise(torch.tensor(images[:, None]))
    assert normal[:, :, 8:24].mean().item() == pytest.approx(0, abs=1e-5)
    assert normal[:, :, 8:24].std().item() == pytest.approx(1, abs=1e-2)
    assert normal.min().item() == pytest.approx(-1, abs=1e-4)  # clipped to the target's range
    assert yaml.safe_load(method.plan_text())["spacing"] == [0.9, 0.9]
    assert all(torch.equal(item, weights[name]) for name, item in method.named_parameters())
    another = small()
    another.load_state_dict(method.state_dict())
    assert torch.equal(another.intensities, method.intensities)


@pytest.mark.parametrize("axes", [(2,), (3,), (2, 3)])
def test_the_answer_is_the_same_mirrored(axes):
    method = small().eval()
    images = torch.rand(2, 1, 32, 32)
    mirrored = segment(method, images.flip(axes)).masks.flip(axes)
    assert torch.equal(mirrored, segment(method, images).masks)


class Doubtful(nn.Module):
    """Certain of the target in its first pass, and in the others a little against it."""

    def __init__(self):
        super().__init__()
        self.logits = iter([9.0, -1.0, -1.0, -1.0])

    def forward(self, images):
        target = torch.full_like(images, next(self.logits))
        return torch.cat([torch.zeros_like(target), target], dim=1)


def test_one_certain_pass_does_not_outvote_three():
    method = small().eval()
    method.network = Doubtful()
    # Probabilities: (1 + 3 x 0.27) / 4 is below a half, although the mean logit is above zero.
    assert not segment(method, torch.rand(1, 1, 32, 32)).masks.any()


@pytest.mark.parametrize("helps", [True, False])
def test_the_largest_piece_is_kept_where_that_helped(helps, monkeypatch):
    found = torch.zeros(2, 32, 32, dtype=torch.bool)
    found[:, 4:20, 4:20] = True
    found[:, 26:30, 26:30] = True
    truth = found.clone()
    if helps:
        truth[:, 26:30, 26:30] = False
    method = small().eval()
    monkeypatch.setattr(method, "_unpruned", lambda images: found[:, None])
    method.calibrate(torch.zeros(2, 1, 32, 32), truth[:, None])
    assert bool(method.largest_component) is helps
    assert torch.equal(segment(method, torch.zeros(2, 1, 32, 32)).masks, truth[:, None])


def test_pieces_are_kept_where_pruning_changed_nothing(monkeypatch):
    method = small().eval()
    square = torch.zeros(1, 32, 32, dtype=torch.bool)
    square[:, 4:20, 4:20] = True
    monkeypatch.setattr(method, "_unpruned", lambda images: square[:, None])
    method.calibrate(torch.zeros(1, 1, 32, 32), square[:, None])
    assert not method.largest_component


def test_a_trained_network_can_be_copied():
    method = small().train()
    method.loss_of(torch.rand(2, 1, 32, 32), torch.ones(2, 32, 32, dtype=torch.uint8)).backward()
    copy.deepcopy(method)


def test_the_switch_runs_its_own_schedule():
    def shown(profile):
        return Declared(profile, ("nnunet", "learning"), "nnU-Net")

    profile = load_profile("smoke")
    assert nnunet.learning_of(shown(profile)) == profile.learning["nnunet"]
    profile = shown(replace(profile, nnunet=NnUNetSettings(schedule="own")))
    own = nnunet.learning_of(profile)
    assert (own.epochs, own.steps_per_epoch) == (1000, 250)
    assert own.marked == nnunet.build(profile, 0).plan.batch
