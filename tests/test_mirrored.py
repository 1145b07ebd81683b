"""Maps averaged over mirror images: a lean of the filters cancels, and nothing else changes."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from samnb.networks.sam.prompting import FOREGROUND
from samnb.runs import train
from samnb.runs.run import Run
from samnb.studies import load_profile
from samnb.systems import cheap_lunch, mirrored, sam_mix

SIDE = 64


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def mix():
    return sam_mix.build(load_profile("smoke"), 1).eval()


@pytest.fixture(scope="module")
def pointed():
    run = Run(load_profile("smoke", "cheap-lunch-brats"), "cheap_lunch_self", 2, 1)
    classifier = train.build(replace(run, system="classifier", labels=0), None)
    method = train.build(run, classifier).eval()
    torch.manual_seed(1)
    for value in method.classifier.head.parameters():
        torch.nn.init.normal_(value)
    return method


def leaning(views):
    """A map (N, 8, 8) that sees brightness in cells of eight pixels and writes it one cell aside,
    down and to the right, whatever it looks at."""
    cells = F.avg_pool2d(views, 8)[:, 0]
    return torch.roll(cells, (1, 1), (1, 2))


def test_filters_that_lean_to_one_side_point_right_on_the_average():
    image = torch.zeros(1, 1, SIDE, SIDE)
    image[0, 0, 20:36, 28:44] = 1  # its middle lies in the corner of the cells (3, 4) and (4, 5)
    alone, averaged = leaning(image)[0], mirrored.mirrored(leaning, image)[0]

    def middle(values):
        rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        return [float((values * axis).sum() / values.sum()) for axis in (rows, columns)]

    assert middle(alone) == pytest.approx([4, 5])
    assert middle(averaged) == pytest.approx([3, 4])
    assert averaged.sum() == pytest.approx(float(alone.sum()))


def test_a_mirrored_image_has_the_mirrored_map(mix, images):
    method = mirrored.MirrorPrompted(mix)
    _, maps = method.look(images)
    for axes in mirrored.MIRRORS:
        torch.testing.assert_close(method.look(images.flip(axes))[1].flip(axes), maps)
    assert not torch.allclose(mix.look(images)[1], maps)


def test_presence_is_of_the_image_itself_and_the_box_of_the_average(mix, images):
    method = mirrored.MirrorPrompted(mix)
    logits, maps = method.look(images)
    torch.testing.assert_close(logits, mix.look(images)[0])
    with torch.no_grad():
        mix.classifier.head.bias[1] += 10  # present everywhere
        found, boxes = method.segment(images), mix.ask(images, maps)[1]
        mix.classifier.head.bias[1] -= 10
    assert torch.equal(found.cams, maps)
    assert torch.equal(found.boxes, boxes.boxes[boxes.main])


def test_the_point_is_the_maximum_of_the_average(monkeypatch, pointed, images):
    said = []
    answer = cheap_lunch.CheapLunch.answer

    def listening(method, views, prompts):
        said.append(prompts)
        return answer(method, views, prompts)

    monkeypatch.setattr(cheap_lunch.CheapLunch, "answer", listening)
    votes = torch.tensor([[-3.0, 3], [3, -3], [0, 0.5]])  # absent, present
    monkeypatch.setattr(pointed.classifier, "logits", lambda features: votes)
    found = mirrored.MirrorPointed(pointed).answer(images)
    network = pointed.classifier
    views = [network.features(images.flip(axes)) for axes in mirrored.MIRRORS]
    weight = network.head.weight[1] - network.head.weight[0]
    each = [torch.einsum("d,ndhw->nhw", weight, view) for view in views]
    maps = sum(map_.flip(axes) for map_, axes in zip(each, mirrored.MIRRORS, strict=True)) / 4
    torch.testing.assert_close(found.cams[:, 0], maps)
    cells = [divmod(int(one.argmax()), 8) for one in maps]
    assert said[0].points[:, 0, 0].tolist() == [[8 * x + 4, 8 * y + 4] for y, x in cells]
    assert (said[0].labels[:, 0, 0] == FOREGROUND).tolist() == [True, False, True]
    assert not found.masks[1].any()
    torch.testing.assert_close(found.presence[:, 0], torch.sigmoid(votes[:, 1] - votes[:, 0]))


def test_nothing_of_it_learns():
    profile = load_profile("smoke", "cheap-lunch-brats")
    assert not train.learns(Run(profile, "cheap_lunch_mirrored", 2, 1))
    assert not train.learns(Run(load_profile("smoke"), "sam_mix_mirrored", 5, 1))


def test_it_is_there_for_every_system_whose_map_makes_a_prompt_alone():
    assert list(mirrored.SYSTEMS) == [
        "sam_pp_mirrored", "sam_mix_mirrored", "sam_mix_guided_mirrored", "cheap_lunch_mirrored",
    ]  # fmt: skip
