"""SAM-PP and SAM-Mix: who learns from what, and what an image alone is answered with."""

import copy
from dataclasses import replace

import pytest
import torch
from made_batch import made_batch

from samnb.errors import SamnbError
from samnb.models import cam_alone, sam_mix, sam_pp
from samnb.models.map_prompted import MapPrompted
from samnb.models.method import Batch
from samnb.models.registry import SYSTEMS, find_system
from samnb.profiles import load_profile

PROFILE = load_profile("smoke")
SIDE = PROFILE.sam.side


@pytest.fixture
def batch() -> Batch:
    return made_batch(SIDE)


def mixed(seed: int = 0, profile=PROFILE, **form) -> MapPrompted:
    torch.manual_seed(seed)
    return sam_mix.build(profile, seed, **form)


def gradients(method: MapPrompted, batch: Batch, name: str) -> dict[str, float]:
    """How strongly one loss pulls at the classifier and at SAM."""
    method.train().zero_grad()
    torch.manual_seed(0)
    method(batch)[name].backward()
    return {
        part: sum(
            float(value.grad.abs().sum())
            for value in getattr(method, part).parameters()
            if value.grad is not None
        )
        for part in ("classifier", "sam")
    }


def test_in_the_paper_s_form_the_segmentation_loss_never_reaches_the_classifier(batch):
    method = mixed()
    assert gradients(method, batch, "segmentation")["classifier"] == 0
    assert gradients(method, batch, "segmentation")["sam"] > 0
    assert gradients(method, batch, "classification")["classifier"] > 0
    assert gradients(method, batch, "classification")["sam"] == 0


def test_guidance_reaches_the_classifier(batch):
    assert gradients(mixed(guided=True), batch, "guidance")["classifier"] > 0


def test_in_the_soft_form_the_segmentation_loss_reaches_the_classifier(batch):
    assert gradients(mixed(soft=True), batch, "segmentation")["classifier"] > 0


def test_the_total_is_the_sum_of_the_losses(batch):
    profile = replace(PROFILE, mix=replace(PROFILE.mix, segmentation=0.5, guidance=2.0))
    losses = mixed(profile=profile, guided=True)(batch)
    expected = losses["classification"] + 0.5 * losses["segmentation"] + 2 * losses["guidance"]
    torch.testing.assert_close(losses["loss"], expected)


def test_classifier_adapter_and_named_parts_are_trained_and_nothing_else():
    method = mixed()
    trained = {name for name, value in method.named_parameters() if value.requires_grad}
    kinds = {
        next((kind for kind in ("classifier.", "lora_", "modules_to_save.") if kind in name), name)
        for name in trained
    }
    assert kinds == {"classifier.", "lora_", "modules_to_save."}
    assert {name.split(".")[1] for name in trained if "modules_to_save" in name} == {"mask_decoder"}


def test_two_stages_leave_the_classifier_as_it_was(batch):
    torch.manual_seed(0)
    first = cam_alone.build(PROFILE, 0)
    first.train()(batch)["loss"].backward()
    before = copy.deepcopy(first.classifier.state_dict())
    method = sam_pp.build(PROFILE, 0, first).train()
    optimiser = torch.optim.SGD([v for v in method.parameters() if v.requires_grad], lr=0.1)
    method(batch)["loss"].backward()
    optimiser.step()
    after = method.classifier.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("regions", ["one", "each"])
@pytest.mark.parametrize("choice", ["single", "best"])
@pytest.mark.parametrize("soft", [False, True])
def test_an_image_alone_gives_everything_the_figure_shows(batch, regions, choice, soft):
    profile = replace(
        PROFILE,
        prompting=replace(PROFILE.prompting, regions=regions),
        mix=replace(PROFILE.mix, choice=choice),
    )
    method = mixed(profile=profile, soft=soft).eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([-5.0, 5.0]))
    answer = method.segment(batch.images)
    assert answer.masks.shape == (4, SIDE, SIDE)
    assert answer.masks.dtype == torch.bool
    assert answer.cams.shape == (4, SIDE // 8, SIDE // 8)
    assert not answer.boxes.isnan().any()
    assert answer.alternatives.shape == (4, 3, SIDE, SIDE)
    assert answer.scores.shape == (4, 3)
    assert set(answer.chosen.tolist()) <= ({0} if choice == "single" else {1, 2, 3})
    if regions == "one" and choice == "best":
        row = torch.arange(4)
        assert torch.equal(answer.masks, answer.alternatives[row, answer.chosen - 1])
        assert torch.equal(answer.scores.argmax(dim=1) + 1, answer.chosen)


def test_a_slice_called_free_of_the_target_gets_an_empty_mask(batch):
    method = mixed().eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([5.0, -5.0]))
    answer = method.segment(batch.images)
    assert not answer.masks.any()
    assert answer.boxes.isnan().all()
    assert (answer.presence < 0.5).all()


def test_neighbours_in_a_batch_change_nothing(batch):
    method = mixed().eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([-5.0, 5.0]))
    together = method.segment(batch.images)
    alone = [method.segment(batch.images[i : i + 1]) for i in range(4)]
    assert torch.equal(together.boxes, torch.cat([item.boxes for item in alone]))
    differing = together.masks != torch.cat([item.masks for item in alone])
    assert differing.float().mean() < 1e-3  # pixels at the threshold


def test_the_map_alone_segments_its_active_pixels(batch):
    method = cam_alone.build(PROFILE, 0).eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([-5.0, 5.0]))
    answer = method.segment(batch.images)
    tight = answer.masks.flatten(1).any(dim=1)
    assert answer.boxes[tight].isfinite().all()
    assert answer.scores is None


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [("prompting", "activation", "gradcam"), ("mix", "choice", "third")],
)
def test_unknown_settings_are_refused(batch, part, setting, value):
    profile = replace(PROFILE, **{part: replace(getattr(PROFILE, part), **{setting: value})})
    with pytest.raises(SamnbError, match=f"'{value}'"):
        mixed(profile=profile)(batch)


def test_systems_are_found_by_either_spelling():
    assert find_system("sam-mix") is find_system("SAM_MIX") is SYSTEMS["sam_mix"]
    with pytest.raises(SamnbError, match="No system 'sam-max'"):
        find_system("sam-max")
