"""The equations of the losses, recomputed."""

import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from samnb.losses import focal_loss, map_loss, relative_logits, segmentation_loss


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
