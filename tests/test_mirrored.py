"""Points of an image and its mirror images: a lean of the filters cancels, nothing else changes."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.networks.sam.prompting import FOREGROUND
from samnb.runs import train
from samnb.runs.run import Run
from samnb.studies import load_profile
from samnb.systems import cheap_lunch, mirrored
from samnb.systems.cheap_lunch import strongest

SIDE = 64


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def pointed():
    run = Run(load_profile("smoke", "cheap-lunch-brats"), "cheap_lunch_self", 2, 1)
    classifier = train.build(replace(run, system="classifier", labels=0), None)
    method = train.build(run, classifier).eval()
    torch.manual_seed(1)
    for value in method.classifier.head.parameters():
        torch.nn.init.normal_(value)
    return method


class Leaning(nn.Module):
    """Sees brightness in cells of eight pixels and writes it `down` and `right` cells aside."""

    def __init__(self, down, right):
        super().__init__()
        self.aside = down, right
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight[:] = torch.tensor([[0.0], [1.0]])

    def features(self, views):
        return torch.roll(F.avg_pool2d(views, 8), self.aside, (2, 3))

    def logits(self, features):
        return self.head(features.mean(dim=(2, 3)))

    forward = logits


@pytest.mark.parametrize("aside", [(0, 0), (1, 1), (2, 0), (-1, 2)])
def test_a_lean_of_the_filters_cancels(pointed, aside):
    image = torch.zeros(2, 1, SIDE, SIDE)
    image[0, 0, 24:32, 16:24] = 1  # one cell, its middle at x 20, y 28
    image[1, 0, 32:40, 40:48] = 1  # at x 44, y 36
    pointed.classifier = Leaning(*aside)
    assert mirrored.MirrorPointed(pointed).points(image).tolist() == [[20, 28], [44, 36]]
    features = pointed.classifier.features(image)[:, 0]
    assert strongest(features, SIDE).tolist() == [
        [20 + 8 * aside[1], 28 + 8 * aside[0]], [44 + 8 * aside[1], 36 + 8 * aside[0]],
    ]  # fmt: skip


def test_sam_is_asked_at_the_mean_point_where_the_image_itself_shows_the_target(
    monkeypatch, pointed, images
):
    said = []
    answer = cheap_lunch.CheapLunch.answer

    def listening(method, views, prompts):
        said.append(prompts)
        return answer(method, views, prompts)

    monkeypatch.setattr(cheap_lunch.CheapLunch, "answer", listening)
    votes = torch.tensor([[-3.0, 3], [3, -3], [0, 0.5]])  # absent, present
    of_itself = pointed.classifier.features(images).detach()

    def logits(features):
        assert torch.equal(features, of_itself)  # not of a mirror image
        return votes

    monkeypatch.setattr(pointed.classifier, "logits", logits)
    method = mirrored.MirrorPointed(pointed)
    found = method.answer(images)
    points = method.points(images)
    assert torch.equal(said[0].points[:, 0, 0], points)
    assert (said[0].labels[:, 0, 0] == FOREGROUND).tolist() == [True, False, True]
    assert not found.masks[1].any()
    assert found.masks[[0, 2]].any()
    torch.testing.assert_close(found.presence[:, 0], torch.sigmoid(votes[:, 1] - votes[:, 0]))
    places = [divmod(int(one.argmax()), SIDE) for one in found.cams[:, 0]]
    assert places == [(int(y), int(x)) for x, y in points]


def test_nothing_of_it_learns():
    profile = load_profile("smoke", "cheap-lunch-brats")
    assert not train.learns(Run(profile, "cheap_lunch_mirrored", 2, 1))
