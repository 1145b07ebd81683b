"""Med-SA that a map points for: whether and where the classifier says, the mask is Med-SA's."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.data.settings import CohortSettings
from samnb.method import Batch, UserPrompts, segment
from samnb.networks.classifier import ClassifierSettings
from samnb.networks.sam.med_adapters import is_adapter
from samnb.networks.sam.prompting import FOREGROUND, PADDING
from samnb.networks.sam.settings import SamSettings
from samnb.prompts.users import NOBODY
from samnb.runs import train
from samnb.runs.keys import first_run
from samnb.runs.run import Run
from samnb.studies import load_profile
from samnb.systems.med_sa_self import MirrorPointedMedSa
from samnb.systems.registry import find_system
from samnb.systems.system import Declared

SIDE = 64
PROFILE = replace(
    load_profile("smoke"),
    sam=SamSettings("pocket", SIDE),
    classifier=ClassifierSettings(width=0.0625, channels=1),
)


def built(name, *first, targets=("whole tumour",)):
    """A system as a run would build it."""
    system = find_system(name)
    cohorts = {"brats": CohortSettings("brats", targets, channels=("flair",))}
    profile = replace(PROFILE, data=replace(PROFILE.data, cohorts=cohorts))
    return system.build(Declared(profile, tuple(system.settings), system.title), 0, *first)


@pytest.fixture(scope="module")
def med_sa():
    """With random weights in every adapter, as if they had learned."""
    method = built("med_sa_slices")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in method.named_parameters():
            if is_adapter(name):
                value.normal_(0, 0.1)
    return method.eval()


class Seeing(nn.Module):
    """Sees brightness in cells of eight pixels, and writes it some cells aside; votes as told."""

    def __init__(self, votes, aside=(0, 0)):
        super().__init__()
        self.votes, self.aside = torch.tensor(votes), aside
        self.head = nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight[:] = torch.tensor([[0.0], [1.0]])

    def features(self, images):
        return torch.roll(F.avg_pool2d(images, 8), self.aside, (2, 3))

    def logits(self, features):
        return self.votes

    def forward(self, images):
        return self.votes


VOTES = [[-3.0, 3.0], [3.0, -3.0], [0.0, 0.5]]  # absent, present


@pytest.fixture(scope="module")
def images():
    """Faint noise, and one bright cell each, its middle at (20, 28), (44, 36) and (4, 60)."""
    images = 0.3 * torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images[0, 0, 24:32, 16:24] += 0.5
    images[1, 0, 32:40, 40:48] += 0.5
    images[2, 0, 56:64, 0:8] += 0.5
    return images


@pytest.fixture
def pointed(med_sa):
    method = built("med_sa_self", med_sa).eval()
    method.alone.classifier = Seeing(VOTES)
    return method


def clicked(med_sa, images, points):
    """Med-SA's own answer to a click on the target."""
    said = UserPrompts(
        torch.tensor(points).float()[:, None, None], torch.ones(len(points), 1, 1).long()
    )
    return med_sa.answer(med_sa.begin(images), said).masks


def test_it_answers_as_med_sa_does_to_a_click_on_the_maps_maximum(pointed, med_sa, images):
    answer = segment(pointed, images)
    told = clicked(med_sa, images[[0, 2]], [[20, 28], [4, 60]])
    assert told.flatten(1).any(dim=1).all()
    assert torch.equal(answer.masks[[0, 2]], told)
    assert not answer.masks[1].any()
    torch.testing.assert_close(answer.presence[:, 0], torch.tensor([6.0, -6.0, 0.5]).sigmoid())
    assert torch.equal(answer.cams[:, 0], F.avg_pool2d(images, 8)[:, 0])


def test_med_sa_looks_at_those_that_are_called_alone(monkeypatch, pointed, images):
    seen = []
    begin = pointed.asked.begin
    monkeypatch.setattr(pointed.asked, "begin", lambda some: seen.append(some) or begin(some))
    segment(pointed, images)
    assert len(seen) == 1
    assert torch.equal(seen[0], images[[0, 2]])
    pointed.alone.classifier.votes = torch.tensor(VOTES).flip(1)[[0, 0, 0]]
    assert not segment(pointed, images).masks.any()
    assert len(seen) == 1


def test_the_mirrored_click_is_where_the_image_and_its_mirrors_agree(pointed, med_sa, images):
    pointed.alone.classifier = Seeing(VOTES, aside=(1, 1))  # it leans down and to the right
    leaning = segment(pointed, images[:1].repeat(3, 1, 1, 1))
    answer = segment(MirrorPointedMedSa(pointed), images)
    assert torch.equal(leaning.masks[0], clicked(med_sa, images[:1], [[28, 36]])[0])
    # The corner's cell is rolled across the edge in one direction: not what is asked here.
    assert torch.equal(answer.masks[0], clicked(med_sa, images[:1], [[20, 28]])[0])
    assert not answer.masks[1].any()
    torch.testing.assert_close(answer.presence[:, 0], torch.tensor([6.0, -6.0, 0.5]).sigmoid())
    places = [divmod(int(each.argmax()), SIDE) for each in answer.cams[:, 0]]
    assert places[:2] == [(28, 20), (36, 44)]
    assert answer.cams.flatten(1).sum(dim=1).tolist() == [1, 1, 1]


def test_the_classifier_learns_whether_a_mask_is_empty_and_nothing_else_learns(med_sa, images):
    method = built("med_sa_self", med_sa).train()
    assert not method.asked.training
    assert method.alone.training
    assert not any(value.requires_grad for value in method.asked.parameters())
    masks = torch.zeros(3, 1, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0, 24:32, 16:24] = masks[2, 0, 60, 3] = 1
    batch = Batch(images[:0], torch.zeros(0, 1).long(), images, masks)
    moved = batch._replace(masks=masks.roll(5, 3))
    other = batch._replace(masks=masks[[0, 2, 1]])
    loss = lost(method, batch)
    assert torch.equal(lost(method, moved), loss)
    assert not torch.equal(lost(method, other), loss)
    by_labels = Batch(images, torch.tensor([[1], [0], [1]]), images[:0], masks[:0])
    assert torch.equal(lost(method.alone, by_labels), loss)
    loss.backward()


def lost(method, batch):
    """The loss of a copy, whose dropout is always the same."""
    torch.manual_seed(3)
    return copy.deepcopy(method)(batch)["loss"]


def test_it_stands_on_the_run_of_med_sa_and_the_mirrored_one_learns_nothing():
    profile = load_profile("pocket", "med-sa-brats-slices")
    run = Run(profile, "med_sa_self", None, 2)
    assert first_run(run) == Run(profile, "med_sa_slices", None, 2)
    assert train.learns(run)
    assert train.users_of(run) == [NOBODY]
    mirrored = Run(profile, "med_sa_mirrored", None, 2)
    assert first_run(mirrored) == run
    assert not train.learns(mirrored)


@pytest.mark.parametrize("name", ["med_sa_slices", "medsam_slices"])
def test_slices_that_nobody_prompts_stay_empty_alone_or_among_others(name, images):
    method, other = built(name).eval(), built(name.removesuffix("_slices")).eval()
    nothing = UserPrompts(torch.zeros(3, 1, 1, 2), torch.full((3, 1, 1), PADDING))
    answer = method.answer(method.begin(images), nothing)
    assert answer.masks.shape == (3, 1, SIDE, SIDE)
    assert not answer.masks.any()
    labels = torch.tensor([PADDING, FOREGROUND, PADDING])[:, None, None]
    said = UserPrompts(torch.full((3, 1, 1, 2), 40.0), labels)
    found = method.answer(method.begin(images), said).masks
    assert torch.equal(found, other.answer(other.begin(images), said).masks)
    assert found.flatten(1).any(dim=1).tolist() == [False, True, False]
    with pytest.raises(SamnbError, match="nobody does"):
        method.answer(method.begin(images))


def test_a_map_of_one_target_cannot_point_at_several(med_sa):
    with pytest.raises(SamnbError, match="of one target, and this study has several"):
        built("med_sa_self", med_sa, targets=("whole tumour", "tumour core"))
