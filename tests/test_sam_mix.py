"""SAM-PP and SAM-Mix: who learns from what, and what an image alone is answered with."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from made_batch import made_batch

from samnb.base.errors import SamnbError
from samnb.method import Batch, of_target, segment
from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.prompts.boxes import MapBoxes
from samnb.studies import load_profile
from samnb.systems import cam_alone, map_prompted, sam_mix, sam_mix_improved, sam_pp
from samnb.systems.map_prompted import MapPrompted, mask_of_map
from samnb.systems.registry import SYSTEMS, find_system

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
    answer = segment(method, batch.images)
    assert answer.masks.shape == (4, 1, SIDE, SIDE)
    assert answer.masks.dtype == torch.bool
    assert answer.cams.shape == (4, 1, SIDE // 8, SIDE // 8)
    assert answer.boxes.shape == (4, 1, 4)
    assert answer.presence.shape == answer.chosen.shape == (4, 1)
    assert not answer.boxes.isnan().any()
    assert answer.alternatives.shape == (4, 1, 3, SIDE, SIDE)
    assert answer.scores.shape == (4, 1, 3)
    answer = of_target(answer)
    assert set(answer.chosen.tolist()) <= ({0} if choice == "single" else {1, 2, 3})
    if regions == "one" and choice == "best":
        row = torch.arange(4)
        assert torch.equal(answer.masks, answer.alternatives[row, answer.chosen - 1])
        assert torch.equal(answer.scores.argmax(dim=1) + 1, answer.chosen)


def test_a_slice_called_free_of_the_target_gets_an_empty_mask(batch):
    method = mixed().eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([5.0, -5.0]))
    answer = segment(method, batch.images)
    assert not answer.masks.any()
    assert answer.boxes.isnan().all()
    assert (answer.presence < 0.5).all()


def test_neighbours_in_a_batch_change_nothing(batch):
    method = mixed().eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([-5.0, 5.0]))
    together = segment(method, batch.images)
    alone = [segment(method, batch.images[i : i + 1]) for i in range(4)]
    assert torch.equal(together.boxes, torch.cat([item.boxes for item in alone]))
    differing = together.masks != torch.cat([item.masks for item in alone])
    assert differing.float().mean() < 1e-3  # pixels at the threshold


def test_the_map_alone_segments_its_active_pixels(batch):
    method = cam_alone.build(PROFILE, 0).eval()
    with torch.no_grad():
        method.classifier.head.bias.copy_(torch.tensor([-5.0, 5.0]))
    answer = segment(method, batch.images)
    tight = answer.masks.flatten(2).any(dim=2)
    assert tight.shape == (4, 1)
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


# ---- what SAM is asked, and when ----------------------------------------------------------------


def sam_behind_a_finished_classifier(profile=PROFILE) -> MapPrompted:
    torch.manual_seed(0)
    return sam_pp.build(profile, 0, cam_alone.build(profile, 0))


def improved(profile=PROFILE, **switches) -> MapPrompted:
    torch.manual_seed(0)
    settings = replace(profile.improved, augmented=False, **switches)
    return sam_mix_improved.build(replace(profile, improved=settings), 0)


FORMS = {
    "SAM-PP": sam_behind_a_finished_classifier,
    "SAM-Mix": mixed,
    "guided": lambda profile=PROFILE: mixed(profile=profile, guided=True),
    "soft": lambda profile=PROFILE: mixed(profile=profile, soft=True),
    "improved": improved,
}


@pytest.fixture
def asked(monkeypatch) -> list[Prompts]:
    """The prompts that SAM is given, in order."""
    prompts = []
    for module in (map_prompted, sam_mix_improved):
        monkeypatch.setattr(
            module, "decode", lambda *given: prompts.append(given[2]) or decode(*given)
        )
    return prompts


def believe(method, probability: float):
    """Make the classifier give every slice this presence, whatever it shows."""
    with torch.no_grad():
        method.classifier.head.weight.zero_()
        odds = math.log(probability / (1 - probability))
        method.classifier.head.bias.copy_(torch.tensor([0.0, odds]))
    return method.eval()


EXACT = torch.tensor([20.0, 16, 50, 40])


@pytest.mark.parametrize("form", FORMS)
def test_boxes_are_shaken_while_sam_learns_and_exact_when_it_answers(
    form, batch, asked, monkeypatch
):
    def boxes_of_maps(maps: torch.Tensor, *_) -> MapBoxes:
        number = torch.arange(len(maps))
        return MapBoxes(number, EXACT.repeat(len(maps), 1), number)

    monkeypatch.setattr(map_prompted, "boxes_of_maps", boxes_of_maps)
    method = FORMS[form]()
    method.train()(batch)
    segment(believe(method, 0.9), batch.marked)
    shaken, exact = (prompts.boxes for prompts in asked)
    assert (shaken != EXACT).any(dim=1).all()
    assert (exact == EXACT).all()


def test_the_boxes_of_the_truth_are_shaken_too(batch, asked):
    for jitter in (0.1, 0.0):
        profile = replace(PROFILE, prompting=replace(PROFILE.prompting, jitter=jitter))
        improved(profile, warmup=1)(batch)
    shaken, exact = (prompts.boxes for prompts in asked)
    assert (shaken != EXACT).any(dim=1).all()
    assert (exact == EXACT).all()  # the square of the batch


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("presence", "spoken"), [(0.4, False), (0.6, True)])
def test_sam_is_asked_where_the_target_is_likelier_there_than_not(
    form, presence, spoken, batch, asked
):
    answer = segment(believe(FORMS[form](), presence), batch.images)
    torch.testing.assert_close(answer.presence, torch.full((4, 1), presence))
    assert len(asked) == spoken
    assert answer.boxes.isnan().any() != spoken


@pytest.mark.parametrize(("presence", "spoken"), [(0.4, False), (0.6, True)])
def test_the_map_alone_speaks_where_the_target_is_likelier_there_than_not(presence, spoken, batch):
    torch.manual_seed(0)
    answer = segment(believe(cam_alone.build(PROFILE, 0), presence), batch.images)
    torch.testing.assert_close(answer.presence, torch.full((4, 1), presence))
    assert answer.boxes.isnan().any() != spoken
    points = torch.zeros(1, 8, 8)
    points[0, 2, 3] = 1
    found = mask_of_map(points, torch.tensor([presence]), 0.5, SIDE)
    assert found.any() == spoken


def test_a_mask_is_where_the_logit_is_above_zero_and_several_boxes_are_joined(batch):
    """Two boxes in the first slice, of which the second is the main one; one in each other."""
    logits = torch.full((5, 4, SIDE, SIDE), -0.1)
    logits[0, 0, 10:20, 10:20] = 0.1
    logits[1, 0, 30:40, 30:40] = 0.1
    boxes = torch.arange(20.0).reshape(5, 4)
    found = MapBoxes(torch.tensor([0, 0, 1, 2, 3]), boxes, torch.tensor([1, 2, 3, 4]))
    method = believe(mixed(), 0.6)
    method.ask = lambda *_: (Masks(logits, torch.zeros(5, 4)), found)
    answer = segment(method, batch.images)
    expected = torch.zeros(4, 1, SIDE, SIDE, dtype=torch.bool)
    expected[0, :, 10:20, 10:20] = expected[0, :, 30:40, 30:40] = True
    assert torch.equal(answer.masks, expected)
    assert torch.equal(answer.boxes, boxes[1:, None])


@pytest.mark.parametrize(("choice", "number"), [("single", 0), ("best", 2)])
def test_the_mask_that_counts_is_the_single_one_or_the_best_of_three(choice, number):
    method = mixed(profile=replace(PROFILE, mix=replace(PROFILE.mix, choice=choice)))
    logits = torch.arange(4.0)[None, :, None, None].expand(1, 4, 2, 2)
    chosen, found = method.choose(Masks(logits, torch.tensor([[0.9, 0.1, 0.5, 0.2]])))
    assert found.tolist() == [number]
    assert (chosen == number).all()


def test_in_the_soft_form_sam_is_shown_the_map_as_logits(batch, asked):
    # 8 (g - omega max g) / max g with omega = 1/2: 4 inside, -4 outside.
    maps = torch.zeros(4, 8, 8)
    maps[:, 2:5, 3:7] = 3.0
    mixed(soft=True).ask(batch.images, maps)
    mixed().ask(batch.images, maps)
    shown, none = (prompts.masks for prompts in asked)
    assert none is None
    assert shown.amax(dim=(1, 2, 3)).tolist() == [4] * 4
    assert shown.amin(dim=(1, 2, 3)).tolist() == [-4] * 4


def test_the_map_that_prompts_is_the_evidence_the_network_decides_by(batch):
    method = mixed().eval()
    logits, maps = method.look(batch.images)
    bias = method.classifier.head.bias
    decides = logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(maps.mean(dim=(1, 2)) + bias[1] - bias[0], decides)


def test_nothing_of_a_finished_classifier_is_trained():
    trained = [
        name
        for name, value in sam_behind_a_finished_classifier().named_parameters()
        if value.requires_grad
    ]
    assert trained
    assert not [name for name in trained if name.startswith("classifier.")]


# ---- the losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["SAM-Mix", "guided", "improved", "CAM alone"])
def test_alpha_and_gamma_are_those_of_the_profile(form, batch):
    """With gamma 0 and alpha one half Eq. 3 is half the cross-entropy."""
    profile = replace(PROFILE, classifier=replace(PROFILE.classifier, gamma=0.0, alpha=0.5))
    torch.manual_seed(0)
    if form == "CAM alone":
        method = cam_alone.build(profile, 0).eval()
        found, logits = method(batch)["loss"], method.classifier(batch.images)
    else:
        method = FORMS[form](profile=profile).eval()
        found, logits = method(batch)["classification"], method.look(batch.images)[0]
    entropy = torch.nn.functional.cross_entropy(logits, batch.labels[:, 0])
    torch.testing.assert_close(found, entropy / 2)


def test_the_papers_form_has_two_losses_and_the_guided_one_three(batch):
    plain, guided = mixed()(batch), mixed(guided=True)(batch)
    assert set(plain) == {"loss", "classification", "segmentation"}
    assert set(guided) == {*plain, "guidance"}
    torch.testing.assert_close(plain["loss"], plain["classification"] + plain["segmentation"])


def test_the_improved_form_weighs_its_losses_as_the_profile_says(batch):
    def losses(**weights: float) -> dict[str, torch.Tensor]:
        method = improved(replace(PROFILE, mix=replace(PROFILE.mix, **weights))).eval()
        torch.manual_seed(1)
        return method(batch)

    plain = losses(segmentation=1.0, guidance=1.0)
    weighed = losses(segmentation=0.5, guidance=0.1)
    torch.testing.assert_close(weighed["segmentation"], 0.5 * plain["segmentation"])
    torch.testing.assert_close(weighed["guidance"], 0.1 * plain["guidance"])
    torch.testing.assert_close(weighed["classification"], plain["classification"])
    parts = [value for name, value in weighed.items() if name != "loss"]
    torch.testing.assert_close(weighed["loss"], torch.stack(parts).sum())
