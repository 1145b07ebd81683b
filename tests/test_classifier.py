"""ResNet38 as published, and its activation map in closed form."""

import numpy as np
import pytest
import torch
from torch import nn

from samnb.base.errors import SamnbError
from samnb.networks.classifier import (
    ABSENT,
    PRESENT,
    BasicUnit,
    BottleneckUnit,
    Classifier,
    class_activation,
    evidence,
    resnet38,
)
from samnb.networks.gradient_maps import MAPS, as_printed, gradient_map


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    model = Classifier(width=1 / 16).eval()
    with torch.no_grad():
        model.train()(torch.rand(8, 1, 64, 64))  # statistics that are not a fresh network's
        model.head.weight[PRESENT] += 0.05  # maps with something above zero
    return model.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))


def test_the_trunk_has_the_published_size():
    with torch.device("meta"):
        trunk = resnet38(1.0, channels=3)
    assert sum(value.numel() for value in trunk.parameters()) == 105_070_912


def test_places_survive_at_an_eighth_of_the_side():
    with torch.device("meta"):
        features = resnet38(1.0, channels=3)(torch.empty(1, 3, 256, 256))
    assert features.shape == (1, 4096, 32, 32)


def test_dilations_widen_the_view_where_strides_would_lose_places():
    with torch.device("meta"):
        trunk = resnet38(1.0, channels=3)
    found = [
        (layer.stride[0], layer.dilation[0])
        for layer in trunk.modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]
    halved = [(2, 1)] + [(1, 1)] * 5  # three units of two convolutions
    deep = [(2, 1)] + [(1, 1)] * 11
    assert found == [
        (1, 1), *halved, *halved, *deep,  # stages 1 to 4
        (1, 1), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2),  # stage 5: its very first is not dilated
        (1, 4), (1, 4),  # the two bottlenecks
    ]  # fmt: skip


def unit_of(kind: str) -> nn.Module:
    """Its projected shortcut adds up the two channels of the input; its other branch is silent."""
    if kind == "basic":
        unit = BasicUnit(2, 4, 4, stride=2, dilations=(1, 1))
        nn.init.zeros_(unit.conv2.weight)
    else:
        unit = BottleneckUnit(2, 8, dilation=4, dropout=0.3)
        nn.init.zeros_(unit.conv3.weight)
    nn.init.ones_(unit.shortcut.weight)
    return unit.eval()  # a fresh batch norm then changes nothing


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_a_projected_shortcut_reads_the_activated_input(kind):
    x = torch.tensor([-3.0, 2.0])[:, None, None].expand(1, 2, 8, 8)
    with torch.no_grad():
        found = unit_of(kind)(x)
    # Activated, -3 and 2 are 0 and 2, which add up to 2; raw, they would add up to -1.
    torch.testing.assert_close(found, torch.full_like(found, 2.0), atol=1e-4, rtol=0)


def test_an_identity_shortcut_hands_on_the_raw_input():
    unit = BasicUnit(3, 3, 3, stride=1, dilations=(1, 1)).eval()
    nn.init.zeros_(unit.conv2.weight)
    x = torch.randn(1, 3, 8, 8)  # half of it below zero
    assert unit.shortcut is None
    assert torch.equal(unit(x), x)


def test_bottlenecks_drop_whole_channels_before_their_last_two_convolutions():
    torch.manual_seed(0)
    unit = BottleneckUnit(8, 64, dilation=4, dropout=0.5)
    given = []
    for layer in (unit.conv2, unit.conv3):
        layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    x = torch.randn(20, 8, 16, 16)
    for training, share in ((True, 0.5), (False, 0.0)):
        given.clear()
        unit.train(training)(x)
        assert [maps.shape[1] for maps in given] == [16, 32]
        for maps in given:
            silent = (maps == 0).all(dim=(2, 3)).float().mean().item()
            assert silent == pytest.approx(share, abs=0.1)


def test_the_last_bottleneck_drops_more_than_the_one_before():
    units = [unit for unit in resnet38(1 / 16) if isinstance(unit, BottleneckUnit)]
    assert [unit.dropout.p for unit in units] == [0.3, 0.5]


def test_grey_enters_the_trunk_between_minus_one_and_one():
    colour, given = Classifier(1 / 16, channels=3).eval(), []
    colour.trunk.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    colour(torch.tensor([0.0, 0.5, 1.0])[:, None, None, None].expand(3, 1, 16, 16))
    assert given[0].shape == (3, 3, 16, 16)
    assert [slice_.unique().tolist() for slice_ in given[0]] == [[-1.0], [0.0], [1.0]]


def test_the_last_features_are_rectified(classifier, images):
    with torch.no_grad():
        features = classifier.features(images)
    assert features.min() == 0
    assert features.max() > 0


def test_the_width_scales_every_layer():
    with torch.device("meta"):
        full, half = resnet38(1.0), resnet38(0.5)
    sizes = [sum(value.numel() for value in trunk.parameters()) for trunk in (full, half)]
    assert 3.9 < sizes[0] / sizes[1] < 4.1


def test_colour_trunks_take_grey(images):
    assert Classifier(1 / 16, channels=3)(images).shape == (4, 2)


def test_the_evidence_is_what_the_network_decides_by(classifier, images):
    with torch.no_grad():
        features = classifier.features(images)
        logits = classifier.logits(features)
        bias = classifier.head.bias[PRESENT] - classifier.head.bias[ABSENT]
        decided = evidence(features, classifier.head).mean(dim=(1, 2)) + bias
    torch.testing.assert_close(decided, logits[:, 1] - logits[:, 0], atol=1e-5, rtol=0)


def test_one_class_s_map_is_open_to_a_shift_that_the_evidence_is_not(classifier, images):
    with torch.no_grad():
        features = classifier.features(images)
        shifted = torch.nn.Linear(*reversed(classifier.head.weight.shape))
        shift = torch.randn(classifier.head.weight.shape[1])
        shifted.weight.copy_(classifier.head.weight + shift)
        shifted.bias.copy_(classifier.head.bias)
        before, after = (features.mean((2, 3)) @ h.weight.T for h in (classifier.head, shifted))
        torch.testing.assert_close(before.softmax(1), after.softmax(1), atol=1e-4, rtol=0)
        first, second = (class_activation(features, h) for h in (classifier.head, shifted))
        assert (first - second).abs().max() > 0.1
        first, second = (evidence(features, h) for h in (classifier.head, shifted))
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("activation", ["class", "evidence"])
def test_the_closed_form_is_grad_cam(classifier, images, activation):
    with torch.no_grad():
        features = classifier.features(images)
        form = class_activation if activation == "class" else evidence
        ours = form(features, classifier.head)
    theirs = gradient_map(classifier, images, "grad-cam", activation)
    # The library divides by (its maximum + 1e-7) what is h w times smaller than ours.
    cells = ours[0].numel()
    np.testing.assert_allclose(
        as_printed(ours / cells, 64).numpy(), theirs.numpy(), atol=1e-5, rtol=0
    )
    assert theirs.max() > 0.9


def test_a_printed_map_is_cut_below_zero_before_it_is_stretched():
    maps = torch.tensor([[[-1.0, 0.0], [1.0, 2.0]]])
    wanted = torch.tensor([[[0.0, 0.0], [0.5, 1.0]]])
    torch.testing.assert_close(as_printed(maps, 2).float(), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MAPS)
def test_every_map_of_the_library_is_at_hand(classifier, images, name):
    maps = gradient_map(classifier, images[:2], name)
    assert maps.shape == (2, 64, 64)
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_unknown_maps_and_frozen_classifiers_are_refused(classifier, images):
    with pytest.raises(SamnbError, match="No activation map 'score-cam'"):
        gradient_map(classifier, images, "score-cam")
    frozen = Classifier(1 / 16).requires_grad_(False)
    with pytest.raises(SamnbError, match="needs gradients"):
        gradient_map(frozen, images)
