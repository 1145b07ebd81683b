"""The SAM of a finished system under users: nothing is learned, and its key holds what was."""

from dataclasses import replace

import pytest
import torch

from samnb.method import UserPrompts
from samnb.prompts.box_prompted import segment_in_boxes
from samnb.runs import train
from samnb.runs.keys import first_run, identify
from samnb.runs.run import Run
from samnb.runs.runner import label_counts, plan, weights_at_hand
from samnb.studies import load_profile
from samnb.systems import sam_mix, trained_sam
from samnb.systems.registry import find_system

SIDE = 64
NAMES = ["sam_pp_prompted", "sam_mix_prompted", "sam_mix_guided_prompted"]


@pytest.fixture(scope="module")
def profile():
    return load_profile("smoke")


@pytest.fixture(scope="module")
def mix(profile):
    """A SAM-Mix whose adapter has gone some way."""
    method = sam_mix.build(profile, 1, guided=True)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, values in method.named_parameters():
            if "lora_B" in name:
                values.add_(0.02 * torch.randn_like(values))
    return method.eval()


def test_it_answers_in_the_users_box_with_the_trained_sam_and_no_classifier(profile, mix):
    images = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    boxes = torch.tensor([[10.0, 12, 40, 44], [20, 5, 60, 50]])
    method = trained_sam.build(profile, 1, mix).eval()
    found = method.answer(method.begin(images), UserPrompts(boxes=boxes[:, None]))
    assert torch.equal(found.masks[:, 0], segment_in_boxes(mix.sam, images, boxes))
    plain = find_system("sam").build(profile, 1).eval()
    assert not torch.equal(found.masks[:, 0], segment_in_boxes(plain.sam, images, boxes))
    assert not [name for name, _ in method.named_parameters() if "classifier" in name]


def test_nothing_of_it_learns(profile, mix):
    method = trained_sam.build(profile, 1, mix)
    assert not any(values.requires_grad for values in method.parameters())
    for name in NAMES:
        assert not train.learns(Run(profile, name, 5, 1))
    assert train.learns(Run(profile, "sam_mix", 5, 1))


def test_it_is_there_for_every_system_whose_sam_needs_a_box_alone(profile):
    assert list(trained_sam.SYSTEMS) == NAMES
    for name in NAMES:
        run = Run(profile, name, 5, 1)
        assert first_run(run) == Run(profile, name.removesuffix("_prompted"), 5, 1)
        title = find_system(first_run(run).system).title
        assert find_system(name).title == f"SAM of {title}"
    assert label_counts(profile, "sam_pp_prompted") == [0, 2, 5, 8]
    assert label_counts(profile, "sam_mix_prompted") == [2, 5, 8]


def test_its_weights_are_those_of_the_system(profile, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    asked = []
    monkeypatch.setattr("samnb.runs.runner._weights_key", lambda run, _: asked.append(run) or "key")
    monkeypatch.setattr("samnb.runs.runner.identify", lambda run: None)
    assert not weights_at_hand(Run(profile, "sam_mix_prompted", 5, 1))
    assert asked == [Run(profile, "sam_mix", 5, 1)]


def test_who_asks_concerns_the_answers_and_how_a_box_was_found_the_training(profile):
    users, threshold = 'users=["box 1", "point"]', "prompting.threshold=0.7"
    run = Run(profile, "sam_pp_prompted", 5, 1, (users, threshold))
    taught = first_run(run)
    assert taught.changes == (threshold,)
    assert first_run(taught).changes == ()


def test_its_key_holds_the_code_and_settings_of_all_that_taught_it(profile, monkeypatch):
    run = Run(profile, "sam_pp_prompted", 5, 1)
    made, middle = identify(run), identify(first_run(run))
    classifier = identify(first_run(first_run(run)))
    assert made.code["first"] == "+".join([middle.code["weights"], classifier.code["weights"]])
    assert made.settings["first"]["first"] == classifier.settings
    assert middle.code["first"] == classifier.code["weights"]


def test_it_is_planned_by_name_alone_and_a_user_may_have_spaces(profile):
    planned = [run for run in plan(profile) if run.system in NAMES]
    user = 'users=["box 1"]'
    assert planned == [Run(profile, name, 8 if "pp" in name else 5, 1, (user,)) for name in NAMES]
    assert [str(user) for user in train.users_of(planned[0])] == ["box 1"]
    change = 'mix.guidance=0.1 users=["box 1", "3 points"] prompting.threshold=0.3'
    changed = replace(profile.plan.changed[0], change=change)
    runs = plan(replace(profile, plan=replace(profile.plan, changed=(changed,))))
    assert runs[-1].changes == (
        "mix.guidance=0.1",
        "prompting.threshold=0.3",
        'users=["box 1", "3 points"]',
    )
