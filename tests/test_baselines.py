"""The systems SAM-Mix is compared with: their sizes as published, and that each of them learns."""

from dataclasses import replace

import pytest
import torch

from samnb.errors import SamnbError
from samnb.models import multimix, nnunet, transunet, unet
from samnb.models.method import Batch
from samnb.profiles import BaselineSettings, TransUNetSettings, load_profile

SYSTEMS = {"unet": unet, "nnunet": nnunet, "transunet": transunet, "multimix": multimix}
# Learning rate and steps that four slices take. MultiMix drops a quarter of everything: it is slow.
HEART = {"unet": (3e-2, 60), "nnunet": (1e-2, 40), "transunet": (3e-3, 60), "multimix": (2e-2, 150)}
NARROW = BaselineSettings(
    unet_width=4,
    nnunet_width=8,
    nnunet_most=32,
    multimix_width=4,
    transunet=TransUNetSettings(stem=16, units=(1, 1, 1), embed=32, layers=1, heads=2, channels=1),
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def made(name):
    """The narrow system for slices of 64 x 64."""
    profile = replace(load_profile("smoke"), baselines=NARROW)
    return SYSTEMS[name].build(profile, 0)


def discs(count=4, side=64):
    """Grey noise with a brighter disc in each slice: images (N, 1, S, S) and masks (N, S, S)."""
    generator = torch.Generator().manual_seed(1)
    centres = side * (0.35 + 0.3 * torch.rand(count, 2, generator=generator))
    radii = side * (0.15 + 0.15 * torch.rand(count, 1, 1, generator=generator))
    axis = torch.arange(side) + 0.5
    rows, columns = axis[None, :, None], axis[None, None, :]
    distance = (rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2
    masks = distance < radii**2
    noise = 0.03 * torch.randn(count, side, side, generator=generator)
    images = (0.3 + 0.4 * masks + noise).clamp(0, 1)
    return images[:, None], masks.to(torch.uint8)


def batch(others=0):
    images, masks = discs()
    # Of four slices without masks, two show nothing.
    unmarked = images.flip(3)[:others].clone()
    unmarked[others // 2 :] = 0.3
    labels = (torch.arange(others) < others // 2).long()
    return Batch(unmarked.reshape(-1, 1, 64, 64), labels, images, masks)


def mean_dice(found, truth):
    shared = (found & truth.bool()).sum(dim=(1, 2))
    return (2 * shared / (found.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)))).mean().item()


def parameters(method):
    return sum(item.numel() for item in method.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [("unet", 31_036_546), ("nnunet", 33_460_000), ("multimix", 1_965_173)],
)
def test_the_paper_profile_has_the_published_sizes(name, published):
    with torch.device("meta"):
        method = SYSTEMS[name].build(load_profile("paper"), 0)
    assert parameters(method) == pytest.approx(published, rel=0.02)


def test_transunet_is_the_published_network_to_the_last_parameter():
    settings = load_profile("paper").baselines.transunet
    with torch.device("meta"):
        network = transunet.TransUNetNetwork(224, settings, classes=9)
        logits = network(torch.empty(1, 1, 224, 224))
    assert parameters(network) == 105_277_081
    assert logits.shape == (1, 9, 224, 224)


def test_transunet_has_its_skips_at_the_published_sizes():
    with torch.device("meta"):
        maps = transunet.Stem(3, 64, (3, 4, 9))(torch.empty(1, 3, 224, 224))
    shapes = [tuple(item.shape[1:]) for item in maps]
    assert shapes == [(64, 112, 112), (256, 56, 56), (512, 28, 28), (1024, 14, 14)]


@pytest.mark.parametrize("name", SYSTEMS)
def test_gradients_reach_every_parameter(name):
    method = made(name).train()
    method(batch(others=4))["loss"].backward()
    missed = [
        key
        for key, item in method.named_parameters()
        # A bias before a normalisation is given one too, though it cannot change anything.
        if item.grad is None or (item.ndim > 1 and not item.grad.any())
    ]
    assert not missed


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_side_the_network_cannot_take_is_said_with_the_remedy(name):
    with pytest.raises(SamnbError, match=r"Remedy: .*\b64\b"):
        made(name).eval().segment(torch.zeros(1, 1, 60, 60))


def test_transunet_for_an_impossible_side_is_not_built():
    with pytest.raises(SamnbError, match="multiples of 16"):
        transunet.TransUNet(100, NARROW.transunet)


@pytest.mark.parametrize("name", SYSTEMS)
def test_four_slices_are_learned_by_heart(name):
    method, (rate, steps) = made(name).train(), HEART[name]
    optimiser = torch.optim.Adam(method.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        method(batch())["loss"].backward()
        optimiser.step()
        schedule.step()
    images, masks = discs()
    assert mean_dice(method.eval().segment(images).masks, masks) > 0.98


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_answer_has_a_mask_for_every_slice(name):
    images = discs(3)[0]
    answer = made(name).eval().segment(images)
    assert answer.masks.shape == (3, 64, 64)
    assert answer.masks.dtype == torch.bool
    assert not answer.masks.requires_grad


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_seed_fixes_weights_and_losses(name):
    def drawn():
        torch.manual_seed(7)
        return made(name).train()(batch(others=4))["loss"].item()

    assert drawn() == drawn()


@pytest.mark.parametrize("name", SYSTEMS)
def test_half_precision_gives_finite_losses(name):
    with torch.autocast("cpu", torch.bfloat16):
        losses = made(name).train()(batch(others=4))
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["loss"].dtype == torch.float32


def test_multimix_needs_no_slices_without_masks():
    losses = made("multimix").train()(batch(others=0))
    assert "divergence" not in losses
    assert losses["loss"].item() == pytest.approx(
        losses["classification"].item() + 5 * losses["dice"].item()
    )


def test_the_divergence_of_multimix_is_not_always_zero():
    inside, outside = torch.full((2, 1, 8, 8), 2.0), torch.full((3, 1, 8, 8), -2.0)
    assert multimix.divergence(inside, inside[:1]).item() == pytest.approx(0, abs=1e-6)
    p = torch.sigmoid(torch.tensor(2.0)).item()
    expected = (2 * p - 1) * 2.0  # with q = 1 - p
    assert multimix.divergence(inside, outside).item() == pytest.approx(expected, rel=1e-4)


def test_the_saliency_of_multimix_is_the_gradient_of_the_larger_logit():
    method = made("multimix").train()
    images = discs(1)[0]
    saliency = method.saliency(images)
    assert method.encoder.training
    assert saliency.shape == images.shape
    encoder = method.encoder.double().eval()
    place = divmod(int(saliency.argmax()), 64)
    nudged = images.double().repeat(2, 1, 1, 1)
    nudged[0, 0, *place] += 1e-5
    nudged[1, 0, *place] -= 1e-5
    with torch.no_grad():
        larger = encoder(images.double())[1].argmax()
        above, below = encoder(nudged)[1][:, larger]
    slope = (above - below).abs().item() / 2e-5
    assert saliency.max().item() == pytest.approx(slope, rel=1e-3)
