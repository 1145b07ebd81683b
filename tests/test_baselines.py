"""The systems SAM-Mix is compared with: their sizes as published, and that each of them learns."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.method import Batch, segment
from samnb.studies import load_profile
from samnb.systems import multimix, nnunet, transunet, unet
from samnb.systems.multimix import MultiMixSettings
from samnb.systems.nnunet import NnUNetSettings
from samnb.systems.system import Declared
from samnb.systems.transunet import TransUNetSettings
from samnb.systems.unet import UNetSettings

SYSTEMS = {"unet": unet, "nnunet": nnunet, "transunet": transunet, "multimix": multimix}
# Learning rate and steps that four slices take. MultiMix drops a quarter of everything: it is slow.
HEART = {"unet": (3e-2, 60), "nnunet": (1e-2, 40), "transunet": (3e-3, 60), "multimix": (2e-2, 150)}
NARROW = {
    "unet": UNetSettings(width=4),
    "nnunet": NnUNetSettings(width=8, most=32),
    "multimix": MultiMixSettings(width=4),
    "transunet": TransUNetSettings(
        stem=16, units=(1, 1, 1), embed=32, layers=1, heads=2, channels=1
    ),
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def made(name):
    """The narrow system for slices of 64 x 64."""
    return SYSTEMS[name].build(shown(name, replace(load_profile("smoke"), **NARROW)), 0)


def shown(name, profile):
    """What the system sees of a profile in a run."""
    return Declared(profile, (name,), name)


def discs(count=4, side=64):
    """Grey noise with a brighter disc in each slice: images and masks (N, 1, S, S)."""
    generator = torch.Generator().manual_seed(1)
    centres = side * (0.35 + 0.3 * torch.rand(count, 2, generator=generator))
    radii = side * (0.15 + 0.15 * torch.rand(count, 1, 1, generator=generator))
    axis = torch.arange(side) + 0.5
    rows, columns = axis[None, :, None], axis[None, None, :]
    distance = (rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2
    masks = distance < radii**2
    noise = 0.03 * torch.randn(count, side, side, generator=generator)
    images = (0.3 + 0.4 * masks + noise).clamp(0, 1)
    return images[:, None], masks[:, None].to(torch.uint8)


def batch(others=0):
    images, masks = discs()
    # Of four slices without masks, two show nothing.
    unmarked = images.flip(3)[:others].clone()
    unmarked[others // 2 :] = 0.3
    labels = (torch.arange(others) < others // 2).long()[:, None]
    return Batch(unmarked.reshape(-1, 1, 64, 64), labels, images, masks)


def mean_dice(found, truth):
    shared = (found & truth.bool()).sum(dim=(2, 3))
    return (2 * shared / (found.sum(dim=(2, 3)) + truth.sum(dim=(2, 3)))).mean().item()


def parameters(method):
    return sum(item.numel() for item in method.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [("unet", 31_036_546), ("nnunet", 33_460_000), ("multimix", 1_965_173)],
)
def test_the_paper_profile_has_the_published_sizes(name, published):
    with torch.device("meta"):
        method = SYSTEMS[name].build(shown(name, load_profile("paper")), 0)
    assert parameters(method) == pytest.approx(published, rel=0.02)


def test_transunet_is_the_published_network_to_the_last_parameter():
    settings = load_profile("paper").transunet
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
        segment(made(name).eval(), torch.zeros(1, 1, 60, 60))


def test_transunet_for_an_impossible_side_is_not_built():
    with pytest.raises(SamnbError, match="multiples of 16"):
        transunet.TransUNet(100, NARROW["transunet"])


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
    assert mean_dice(segment(method.eval(), images).masks, masks) > 0.98


@pytest.mark.parametrize("name", SYSTEMS)
def test_an_answer_has_a_mask_for_every_slice(name):
    images = discs(3)[0]
    answer = segment(made(name).eval(), images)
    assert answer.masks.shape == (3, 1, 64, 64)
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


# Losses by hand. Of three slices of 2 x 2 pixels the first is all target, the others show none, and
# every pixel has a probability of 3/4 for what it is: a logit of log 3 or -log 3.
SURE = math.log(3)
ENTROPY = -math.log(0.75)


def loss_of_three_slices(name, monkeypatch):
    method = made(name)
    target = torch.tensor([SURE, -SURE, -SURE])[:, None, None, None].expand(3, 1, 2, 2)
    logits = target if name == "unet" else torch.cat([torch.zeros_like(target), target], dim=1)
    monkeypatch.setattr(method, "logits", lambda images: logits)
    masks = torch.tensor([1, 0, 0], dtype=torch.uint8)[:, None, None, None].expand(3, 1, 2, 2)
    given = Batch(torch.empty(0, 1, 2, 2), torch.empty(0, 1), torch.empty(3, 1, 2, 2), masks)
    return method(given)["loss"].item()


def test_unet_adds_cross_entropy_and_the_dice_of_a_whole_step(monkeypatch):
    # Shared: 4 x 3/4. Answer: 4 x 3/4 + 8 x 1/4. Truth: 4. By slice, two would have Dice 0.
    dice = 2 * 3 / (5 + 4)
    found = loss_of_three_slices("unet", monkeypatch)
    assert found == pytest.approx(ENTROPY + 1 - dice, abs=1e-4)


def test_transunet_averages_cross_entropy_and_the_squared_dice_of_each_slice(monkeypatch):
    # Of background and target, a slice shows one: 2 x 3 / (4 x 9/16 + 4). The other has Dice 0.
    # (The released code sums over the slices of a step instead.)
    dice = (6 / 6.25 + 0) / 2
    found = loss_of_three_slices("transunet", monkeypatch)
    assert found == pytest.approx(0.5 * ENTROPY + 0.5 * (1 - dice), abs=1e-4)


def test_multimix_weighs_its_three_terms(monkeypatch):
    method = made("multimix")
    # One slice without mask before the two marked ones; every pixel of it has 1/4 for the target.
    masks = torch.tensor([-SURE, SURE, -SURE])[:, None, None, None].expand(3, 1, 2, 2)
    # Of the right class each slice is as sure as 3/4, 1/2, 3/4.
    classes = torch.tensor([[0, SURE], [0, 0], [SURE, 0]])
    monkeypatch.setattr(method, "look", lambda images: (masks, classes))
    truth = torch.tensor([1, 0], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 2, 2)
    pictures = torch.empty(3, 1, 2, 2)
    losses = method(Batch(pictures[:1], torch.tensor([[1]]), pictures[1:], truth))
    entropy = (2 * ENTROPY + math.log(2)) / 3
    dice = (2 * 3 + 1) / (4 + 4 + 1)  # of both slices as one, smoothed by 1
    # The marked slices' mean answer is 1/2 everywhere, the other's 1/4.
    divergence = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert losses["classification"].item() == pytest.approx(entropy)
    assert losses["dice"].item() == pytest.approx(1 - dice)
    assert losses["divergence"].item() == pytest.approx(divergence, rel=1e-4)
    whole = entropy + 5 * (1 - dice) + 0.01 * divergence
    assert losses["loss"].item() == pytest.approx(whole, abs=1e-5)


def test_the_divergence_of_multimix_holds_the_marked_slices_fixed():
    marked, others = (torch.randn(2, 1, 4, 4, requires_grad=True) for _ in range(2))
    multimix.divergence(marked, others).backward()
    assert marked.grad is None
    assert others.grad.abs().sum() > 0


def test_unet_normalises_by_the_batch_and_cuts_below_zero():
    layers = list(made("unet").network.modules())
    normal = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    cut = [layer for layer in layers if isinstance(layer, nn.ReLU)]
    assert len(normal) == len(cut) == 18  # two for each of nine stages


def test_grey_enters_unet_between_minus_one_and_one():
    method, given = made("unet").eval(), []
    method.network.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    segment(method, torch.tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 1, 16, 16))
    assert [slice_.unique().tolist() for slice_ in given[0]] == [[-1.0], [0.0], [1.0]]


def test_a_pixel_is_unet_s_target_from_even_odds_on(monkeypatch):
    method = made("unet")
    logits = torch.tensor([[-0.4, -0.1], [0.1, 0.4]])[None, None]
    monkeypatch.setattr(method, "logits", lambda images: logits)
    found = segment(method, torch.empty(1, 1, 2, 2)).masks
    assert found.tolist() == [[[[False, False], [True, True]]]]


def test_the_filters_of_transunet_s_stem_have_mean_zero_and_variance_one():
    conv = transunet.StandardisedConv(2, 1, kernel=1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([0.0, 4.0])[None, :, None, None])  # standardised: -1 and 1
        found = conv(torch.tensor([5.0, 9.0])[None, :, None, None])
    assert found.item() == pytest.approx(9 - 5, abs=1e-4)


def test_transunet_s_stem_normalises_in_groups_but_its_shortcuts_channel_by_channel():
    with torch.device("meta"):
        stem = transunet.Stem(3, 64, (3, 4, 9))
    groups = {"": [], "shortcut": []}
    for name, layer in stem.named_modules():
        if isinstance(layer, nn.GroupNorm):
            groups["shortcut" * ("shortcut" in name)].append(layer.num_groups)
    assert groups == {"": [32] * (1 + 3 * 16), "shortcut": [256, 512, 1024]}


def test_a_bottleneck_of_transunet_activates_the_sum_with_its_shortcut():
    unit = transunet.Bottleneck(4, 4, stride=1)
    last = unit.expand[1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, -1.0)  # all that its own branch says
    x = torch.tensor([-5.0, 0.0, 0.5, 3.0])[None, :, None, None].expand(1, 4, 4, 4)
    assert unit(x)[0, :, 0, 0].tolist() == [0.0, 0.0, 0.0, 2.0]


def test_transunet_s_stem_pools_the_maximum_of_nine():
    one = torch.zeros(1, 1, 8, 8)
    one[0, 0, 3, 4] = 1.0
    pooled = transunet.Stem(1, 16, (1, 1, 1)).pool(one)[0, 0]
    # Row 3 belongs to 1-3 and to 3-5, which are the output's rows 1 and 2; column 4 only to 3-5.
    assert (pooled == 1).nonzero().tolist() == [[1, 2], [2, 2]]


def test_transunet_s_stem_strides_in_its_wide_convolutions():
    first = transunet.Stem(1, 16, (1, 2, 1)).stages[1][0]
    convs = (first.reduce[0], first.spatial[0], first.expand[0])
    assert [(conv.kernel_size[0], conv.stride[0]) for conv in convs] == [(1, 1), (3, 2), (1, 1)]


def test_a_layer_of_transunet_s_transformer_normalises_first_and_uses_gelu():
    layer = made("transunet").network.layers[0].eval()
    tokens = torch.randn(2, 16, 32)
    with torch.no_grad():
        normal = layer.norm1(tokens)
        seen = tokens + layer.self_attn(normal, normal, normal)[0]
        wanted = seen + layer.linear2(F.gelu(layer.linear1(layer.norm2(seen))))
        torch.testing.assert_close(layer(tokens), wanted, atol=1e-5, rtol=1e-5)


def test_transunet_s_transformer_drops_a_tenth_everywhere():
    layers = list(made("transunet").network.modules())
    rates = [layer.p for layer in layers if isinstance(layer, nn.Dropout)]
    rates += [layer.dropout for layer in layers if isinstance(layer, nn.MultiheadAttention)]
    # On the tokens; then in the one layer on attention, its sum, and twice in the hidden layer.
    assert rates == [0.1] * 5


def test_transunet_doubles_maps_with_corner_on_corner():
    block = transunet.UpBlock(1, 0, 1)
    block.convs = nn.Identity()
    doubled = block(torch.tensor([[[[0.0, 3.0], [0.0, 3.0]]]]), None)
    assert doubled[0, 0].tolist() == [[pytest.approx(value) for value in (0, 1, 2, 3)]] * 4


def test_every_map_of_transunet_s_stem_reaches_the_answer(monkeypatch):
    network = made("transunet").network.eval()
    maps = [item.detach().requires_grad_() for item in network.stem(discs(1)[0])]
    monkeypatch.setattr(network.stem, "forward", lambda images: maps)
    network(discs(1)[0]).square().sum().backward()
    assert [bool(item.grad.any()) for item in maps] == [True] * 4


def test_a_stage_of_multimix_normalises_each_slice_and_lets_a_fifth_of_the_negative_through():
    stage = multimix.double_conv(1, 1).eval()
    for layer in (stage[0], stage[4]):
        nn.init.zeros_(layer.bias)
        nn.init.dirac_(layer.weight)  # a convolution that changes nothing
    # 3 and 7 are -1 and 1 once normalised, then -0.2 and 1; and the same again.
    found = stage(torch.tensor([[[[3.0, 7.0]]]]))
    torch.testing.assert_close(found, torch.tensor([[[[-0.2, 1.0]]]]), atol=1e-4, rtol=0)


def test_a_stage_of_multimix_drops_a_quarter_while_it_learns():
    stage = multimix.double_conv(1, 8)
    x = torch.randn(4, 1, 32, 32)
    assert (stage(x) == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not (stage.eval()(x) == 0).any()


def test_multimix_s_encoder_halves_by_the_maximum():
    encoder = multimix.Encoder(4)
    encoder.stages = nn.ModuleList(nn.Identity() for _ in encoder.stages)
    encoder.head = nn.Identity()
    images = torch.zeros(1, 1, 32, 32)
    images[0, 0, 9, 22] = 1.0
    maps, logits = encoder(images)
    assert [item.shape[-1] for item in maps] == [32, 16, 8, 4, 2]
    assert [item.max().item() for item in maps] == [1.0] * 5
    assert logits.item() == 1.0


def test_multimix_s_decoder_sees_the_slice_and_its_saliency_at_an_eighth(monkeypatch):
    method, given = made("multimix").eval(), []
    method.ups[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    monkeypatch.setattr(method, "saliency", lambda images: images - 0.5)
    segment(method, torch.full((1, 1, 64, 64), 0.75))
    bridge = given[0][0, -2:]
    assert bridge.shape == (2, 8, 8)
    assert [part.unique().tolist() for part in bridge] == [[0.75], [0.25]]


def test_multimix_s_decoder_doubles_maps_bilinearly():
    method, given = made("multimix").eval(), []
    ramp = torch.arange(32.0).expand(1, 8, 32, 32)
    method.ups[2].register_forward_hook(lambda *_: ramp)
    method.ups[3].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    segment(method, torch.zeros(1, 1, 64, 64))
    assert given[0][0, 0, 0, :5].tolist() == pytest.approx([0, 0.25, 0.75, 1.25, 1.75])


def test_multimix_s_presence_is_the_probability_of_the_target(monkeypatch):
    method = made("multimix")
    seen = torch.zeros(1, 1, 2, 2), torch.tensor([[0, SURE]])
    monkeypatch.setattr(method, "look", lambda images: seen)
    assert segment(method, torch.empty(1, 1, 2, 2)).presence.item() == pytest.approx(0.75)


def test_the_saliency_of_multimix_has_no_sign():
    assert (made("multimix").saliency(discs(2)[0]) >= 0).all()


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
