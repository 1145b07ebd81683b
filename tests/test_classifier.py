"""ResNet38 as published, and its activation map in closed form."""

import numpy as np
import pytest
import torch

from samnb.errors import SamnbError
from samnb.models.classifier import (
    ABSENT,
    PRESENT,
    Classifier,
    class_activation,
    evidence,
    resnet38,
)
from samnb.models.gradient_maps import MAPS, as_printed, gradient_map


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
