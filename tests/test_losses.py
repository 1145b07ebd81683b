"""The equations of the losses, recomputed."""

import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from samnb.training.losses import focal_loss, map_loss, relative_logits, segmentation_loss


def test_focal_loss_is_equation_3():
    logits = torch.tensor([[0.3, 1.2], [2.0, -1.0], [0.0, 0.5]])
    labels = torch.tensor([1, 1, 0])
    expected = []
    for (a, b), label in zip(logits.tolist(), labels.tolist(), strict=True):
        p = math.exp(b if label else a) / (math.exp(a) + math.exp(b))
        expected.append(-(0.25 if label else 0.75) * (1 - p) ** 2 * math.log(p))
    assert float(focal_loss(logits, labels)) == pytest.approx(sum(expected) / 3, rel=1e-6)


def test_focal_loss_is_the_known_one_on_the_difference_of_the_logits():
    logits, labels = torch.randn(50, 2), torch.randint(0, 2, (50,))
    difference = logits[:, 1] - logits[:, 0]
    known = sigmoid_focal_loss(difference, labels.float(), reduction="mean")
    torch.testing.assert_close(focal_loss(logits, labels), known)


def test_segmentation_loss_is_one_minus_dice():
    masks = torch.zeros(2, 8, 8)
    masks[:, 2:6, 2:6] = 1
    right = torch.where(masks > 0, 50.0, -50.0)
    assert float(segmentation_loss(right, masks)) < 1e-4
    half = right.clone()
    half[:, 4:] = -50
    assert float(segmentation_loss(half, masks)) == pytest.approx(1 - 2 * 8 / 24, abs=1e-4)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_segmentation_loss_by_hand_is_a_mean_over_slices_of_soft_dice():
    # First slice: 2 (0.5 + 0.5) / (0.5 + 0.5 + 0.2 + 0.2 + 2); second: 2 x 0.8 / (4 x 0.8 + 1).
    low, even, high = logit(0.2), 0.0, logit(0.8)
    logits = torch.tensor([[[even, even], [low, low]], [[high, high], [high, high]]])
    masks = torch.tensor([[[1, 1], [0, 0]], [[1, 0], [0, 0]]])
    expected = 1 - (2 / 3.4 + 1.6 / 4.2) / 2
    assert float(segmentation_loss(logits, masks)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_the_soft_threshold_crosses_zero_where_equation_5_does(threshold):
    maps = torch.randn(5, 12, 12) + 1
    active = maps >= threshold * maps.amax(dim=(1, 2), keepdim=True)
    assert torch.equal(relative_logits(maps, threshold) >= 0, active)


def test_guidance_moves_the_map_onto_the_mask_without_asking_for_a_negative_mean():
    torch.manual_seed(0)
    masks = torch.zeros(1, 64, 64)
    masks[:, 16:32, 32:56] = 1
    maps = (torch.randn(1, 8, 8) * 0.1).requires_grad_()
    optimiser = torch.optim.Adam([maps], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        loss = map_loss(maps, masks, 0.5)
        loss.backward()
        optimiser.step()
    inside = torch.nn.functional.avg_pool2d(masks[:, None], 8)[:, 0] > 0.5
    assert torch.equal(relative_logits(maps, 0.5) > 0, inside)
    shifted = relative_logits(torch.full((1, 8, 8), -1.0).requires_grad_(), 0.5)
    assert torch.isfinite(shifted).all()


def test_the_soft_threshold_by_hand():
    # 8 (g - omega max g) / max |g|; a map without a positive value is measured from zero.
    positive = torch.tensor([[[1.0, 0.0], [0.25, 0.0]]])
    assert relative_logits(positive, 0.25).flatten().tolist() == [6, -2, 0, -2]
    mixed = torch.tensor([[[2.0, -4.0]]])
    assert relative_logits(mixed, 0.5).flatten().tolist() == [2, -10]
    negative = torch.tensor([[[-1.0, -2.0]]])
    assert relative_logits(negative, 0.5).flatten().tolist() == [-4, -8]


def test_gradients_of_the_soft_threshold_know_the_peak_but_not_the_scale():
    # The logit of the lower cell is 8 (b - a / 2) / s with the scale s = a = 2 held fast.
    maps = torch.tensor([[[2.0, 0.5]]], requires_grad=True)
    relative_logits(maps, 0.5)[0, 0, 1].backward()
    assert maps.grad.flatten().tolist() == [-2, 4]


def test_guidance_by_hand_is_dice_plus_cross_entropy_against_what_a_cell_covers():
    # Logits 4, -4, -4, -4. The mask fills the first cell and a quarter of the second.
    maps = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    masks = torch.zeros(1, 4, 4, dtype=torch.uint8)
    masks[0, :2, :3] = torch.tensor([[1, 1, 1], [1, 1, 0]])
    high = 1 / (1 + math.exp(-4))
    low = 1 - high
    dice = 2 * (high + 0.25 * low) / (high + 3 * low + 1.25)
    entropy = -(3 * math.log(high) + 0.25 * math.log(low) + 0.75 * math.log(high)) / 4
    expected = 1 - dice + entropy
    assert float(map_loss(maps, masks, 0.5)) == pytest.approx(expected, abs=2e-5)
