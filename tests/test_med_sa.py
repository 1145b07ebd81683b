"""Med-SA and MedSAM: what their lessons are, what learns, and whom they answer."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.data.settings import CohortSettings
from samnb.evaluation.answers import consult
from samnb.evaluation.volumes import examine_volumes
from samnb.method import Batch, UserPrompts, segment
from samnb.networks.sam.med_adapters import MedAdapterSettings, is_adapter
from samnb.networks.sam.model import build_sam, encode
from samnb.networks.sam.prompting import BACKGROUND, FOREGROUND, PADDING, Masks, Prompts, decode
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.space_depth import slices_of
from samnb.networks.sam.weights import load_sam
from samnb.prompts.by_slice import EverySlice, by_slice
from samnb.prompts.lessons import corrected, enlarged_boxes, first_prompts, noisy_boxes
from samnb.prompts.users import find_user
from samnb.studies import load_profile
from samnb.studies.profile import build as read_settings
from samnb.systems import med_sam, prompt_taught
from samnb.systems.med_sa import MedSaSettings
from samnb.systems.med_sam import MedSamSettings
from samnb.systems.registry import find_system
from samnb.systems.system import Declared

SIDE, DEPTH = 64, 4
SMOKE = load_profile("smoke")
POCKET = replace(SMOKE, sam=SamSettings("pocket", SIDE), med_sa=MedSaSettings(thickness=2))
USERS = ("point", "3 points", "box 0.5", "box 0.75")


def built(name="med_sa", profile=POCKET, exclusive=False, targets=("liver", "spleen"), **changes):
    """A system as a run would build it; changes: of Med-SA's settings."""
    system = find_system(name)
    cohorts = {"lits": CohortSettings("lits", tuple(targets))}
    data = replace(profile.data, cohorts=cohorts, exclusive=exclusive)
    profile = replace(profile, data=data, med_sa=replace(profile.med_sa, **changes))
    shown = Declared(profile, tuple(system.settings), system.title)
    return system.build(shown, 0)


def stir(method, scale=0.1):
    """Random weights in every adapter, as if they had learned."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in method.named_parameters():
            if is_adapter(name):
                value.normal_(0, scale)
    return method.eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Three pictures of two targets: both in the first, none in the second, one in the third."""
    masks = torch.zeros(3, 2, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0, 11:30, 9:38] = masks[0, 1, 35:48, 21:44] = masks[2, 1, 41:60, 5:32] = 1
    noise = torch.rand(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images = 0.3 * noise + 0.5 * masks.amax(dim=1, keepdim=True)
    return Batch(images[:0], torch.zeros(0, 2).long(), images, masks)


ROWS = [(0, 0), (0, 1), (2, 1)]  # image and target of what is there


@pytest.fixture(scope="module")
def volume() -> Batch:
    """One volume of four slices, targets in some of them."""
    masks = torch.zeros(1, 2, DEPTH, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0, 1:3, 11:30, 9:38] = masks[0, 1, 2:4, 35:48, 21:44] = 1
    noise = torch.rand(1, 1, DEPTH, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    images = 0.3 * noise + 0.5 * masks.amax(dim=1, keepdim=True)
    return Batch(images[:0], torch.zeros(0, 2).long(), images, masks)


def heard(monkeypatch) -> list:
    """All that SAM is asked and answers, from now on."""
    calls = []

    def listen(sam, embeddings, prompts):
        calls.append((embeddings, prompts, decode(sam, embeddings, prompts)))
        return calls[-1][2]

    monkeypatch.setattr(prompt_taught, "decode", listen)
    return calls


# Prompts of lessons


def test_boxes_are_shaken_as_sams_by_a_tenth_of_their_side_and_twenty_pixels_of_1024():
    torch.manual_seed(0)
    small = torch.tensor([400.0, 420, 440, 500]).expand(4000, 4)  # sides of 40 and 80
    moves = noisy_boxes(small, 1024) - small
    torch.testing.assert_close(moves.std(dim=0), torch.tensor([4.0, 8, 4, 8]), atol=0.3, rtol=0)
    assert moves.mean(dim=0).abs().max() < 0.5
    large = torch.tensor([100.0, 100, 900, 900]).expand(1000, 4)
    moves = noisy_boxes(large, 1024) - large
    assert moves.abs().max() == 20
    assert (moves.abs() == 20).float().mean() > 0.7  # of noise of 80 pixels nearly all is cut
    half = noisy_boxes(large / 2, 512) - large / 2
    assert half.abs().max() == 10
    edge = noisy_boxes(torch.tensor([[0.0, 0, 1, 64]]).repeat(50, 1), 64)
    assert edge.min() >= 0
    assert edge.max() <= 64
    assert (edge[:, 2:] - edge[:, :2]).min() > 2 - 1e-4


def test_medsams_boxes_grow_and_never_shrink():
    torch.manual_seed(0)
    tight = torch.tensor([200.0, 300, 500, 700]).expand(2000, 4)
    moves = enlarged_boxes(tight, 1024) - tight
    assert (moves[:, :2] <= 0).all()
    assert (moves[:, 2:] >= 0).all()
    assert 19.5 < moves.abs().max() <= 20
    torch.testing.assert_close(moves.abs().mean(dim=0), torch.full((4,), 10.0), atol=0.6, rtol=0)
    whole = torch.tensor([[0.0, 0, 64, 64]])
    assert torch.equal(enlarged_boxes(whole, 64), whole)


def test_a_lesson_begins_with_a_click_inside_or_a_box(batch):
    masks = batch.masks[[0, 0, 2], [0, 1, 1]].bool()
    torch.manual_seed(0)
    boxed = 0
    for _ in range(200):
        said = first_prompts(torch.tensor([0, 0, 2]), masks, 0.25)
        given = ~said.boxes.isnan().any(dim=1)
        assert torch.equal(said.labels[:, 0] == PADDING, given)
        assert torch.equal(said.labels[:, 0] == FOREGROUND, ~given)
        x, y = said.points[:, 0].long().T
        assert masks[torch.arange(3), y, x].all()
        boxed += int(given.sum())
    assert 0.2 < boxed / 600 < 0.3
    assert not first_prompts(torch.arange(3), masks, 1.0).boxes.isnan().any()
    assert first_prompts(torch.arange(3), masks, 0.0).boxes.isnan().all()


def test_a_correction_is_in_the_error_and_says_of_which_kind_it_is():
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[:, 2:6, 2:6] = True
    found = masks.clone()
    found[0, 3, 4] = False  # one pixel is missing
    found[1, 7, 1] = True  # one is too much; nothing is wrong in the third
    said = Prompts(torch.arange(3), points=torch.ones(3, 1, 2), labels=torch.ones(3, 1).long())
    more = corrected(said, found, masks)
    assert more.points[:2, 1].tolist() == [[4, 3], [1, 7]]
    assert more.labels.tolist() == [[1, FOREGROUND], [1, BACKGROUND], [1, PADDING]]
    assert torch.equal(more.points[:, :1], said.points)
    found[0, 3, 3] = found[0, 2, 5] = False
    torch.manual_seed(0)
    places = {tuple(corrected(said, found, masks).points[0, 1].tolist()) for _ in range(60)}
    assert places == {(4, 3), (3, 3), (5, 2)}


# Lessons


def test_every_target_that_is_there_is_a_lesson_with_one_to_three_corrections(batch, monkeypatch):
    method, lengths = built(), []
    for seed in range(12):
        calls = heard(monkeypatch)
        torch.manual_seed(seed)
        with torch.no_grad():
            method(batch)
        for turn, (_, prompts, answer) in enumerate(calls):
            assert prompts.image.tolist() == [image for image, _ in ROWS]
            assert prompts.masks is None
            assert prompts.points.shape[1] == turn + 1
            if turn:
                before = calls[turn - 1][1]
                assert torch.equal(prompts.points[:, :turn], before.points)
                assert torch.equal(prompts.labels[:, :turn], before.labels)
                found = calls[turn - 1][2].at_side(SIDE).single()[0] > 0
                for row, (image, target) in enumerate(ROWS):
                    x, y = prompts.points[row, turn].long().tolist()
                    truth = bool(batch.masks[image, target, y, x])
                    assert bool(found[row, y, x]) != truth
                    assert prompts.labels[row, turn] == int(truth)
            assert answer.logits.shape[0] == len(ROWS)
        lengths.append(len(calls))
    assert set(lengths) == {2, 3, 4}
    calls = heard(monkeypatch)
    with torch.no_grad():
        built(clicks=0)(batch)
    assert len(calls) == 1


def dice_and_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Written out: logits and masks (R, S, S); denominators squared, pixels' mean, rows' mean."""
    share = torch.sigmoid(logits)
    both = (share * masks).sum(dim=(1, 2))
    size = (share**2).sum(dim=(1, 2)) + masks.sum(dim=(1, 2))
    dice = 1 - (2 * both + 1e-5) / (size + 1e-5)
    entropy = -(masks * share.log() + (1 - masks) * (1 - share).log())
    return torch.stack([dice.mean(), entropy.mean()])


def test_the_loss_is_dice_and_cross_entropy_of_every_answer(batch, monkeypatch):
    method = built(dice=0.5, cross_entropy=2.0)
    calls = heard(monkeypatch)
    torch.manual_seed(3)
    with torch.no_grad():
        loss = method(batch)["loss"]
    masks = batch.masks[[0, 0, 2], [0, 1, 1]].float()
    assert len(calls) > 1
    weights = torch.tensor([0.5, 2.0])
    parts = [
        (weights * dice_and_cross_entropy(answer.at_side(SIDE).single()[0], masks)).sum()
        for _, _, answer in calls
    ]
    torch.testing.assert_close(loss, torch.stack(parts).mean(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["med_sa", "medsam"])
def test_a_batch_without_targets_teaches_nothing(batch, name):
    loss = built(name)(batch._replace(masks=torch.zeros_like(batch.masks)))["loss"]
    assert loss.item() == 0
    loss.backward()


def test_adapters_learn_and_sam_does_not(batch):
    method = built()
    learns = {name: value for name, value in method.named_parameters() if value.requires_grad}
    assert learns
    assert all(is_adapter(name) for name in learns)
    before = {name: value.clone() for name, value in method.named_parameters()}
    optimiser = torch.optim.SGD(learns.values(), lr=0.1)
    for seed in range(3):
        torch.manual_seed(seed)
        optimiser.zero_grad()
        method(batch)["loss"].backward()
        optimiser.step()
    same = {name for name, value in method.named_parameters() if torch.equal(value, before[name])}
    assert same == before.keys() - learns.keys()


def test_the_released_code_s_choice_can_be_asked_for(batch):
    sam = replace(POCKET.sam, trained=("mask_decoder",))
    method = built(profile=replace(POCKET, sam=sam))
    learns = {name for name, value in method.named_parameters() if value.requires_grad}
    assert "sam.mask_decoder.mask_tokens.weight" in learns
    assert all(is_adapter(name) or name.startswith("sam.mask_decoder.") for name in learns)


def test_a_few_steps_make_its_answers_better(batch):
    method = built(clicks=1)
    optimiser = torch.optim.Adam([x for x in method.parameters() if x.requires_grad], 3e-3)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)
        optimiser.zero_grad()
        loss = method(batch)["loss"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


# Volumes


def test_a_volume_is_taught_slice_by_slice_in_patches(volume, monkeypatch):
    method = built()
    calls = heard(monkeypatch)
    method(volume)["loss"].backward()
    assert calls[0][1].image.tolist() == [1, 2, 2, 3]  # of the four slices, target by target
    assert len(calls[0][0]) == DEPTH
    pulled = {name for name, value in method.named_parameters()
              if value.grad is not None and value.grad.any()}  # fmt: skip
    assert any("image_encoder" in name for name in pulled)


def test_slices_of_a_volume_see_the_slices_of_their_patch(volume):
    method = stir(built())
    images = volume.marked
    with torch.no_grad():
        before = method.begin(images).embeddings
        bright = images.clone()
        bright[:, :, 3] = 1 - bright[:, :, 3]
        after = method.begin(bright).embeddings
    assert (before != after).flatten(1).any(dim=1).tolist() == [False, False, True, True]
    alone = stir(built(adapters=MedAdapterSettings(depth="none")))
    with torch.no_grad():
        changed = alone.begin(images).embeddings != alone.begin(bright).embeddings
    assert changed.flatten(1).any(dim=1).tolist() == [False, False, False, True]


@pytest.mark.parametrize("name", USERS)
def test_volumes_are_answered_to_users_who_prompt_every_slice(volume, name):
    method, truths = stir(built()), volume.masks.bool()
    user = EverySlice(find_user(name))
    answer = consult(method, volume.marked, truths, ["scan"], user)
    assert answer.masks.shape == truths.shape
    present = truths.flatten(3).any(dim=3)
    assert not answer.masks.flatten(3).any(dim=3)[~present].any()
    said = user.prompts(truths, ["scan"])
    embeddings = method.begin(volume.marked).embeddings
    for number, target in ((1, 0), (2, 0), (2, 1), (3, 1)):
        row = {"image": torch.tensor([number])}
        if said.boxes is not None:
            row["boxes"] = said.boxes[number, target][None]
        else:
            row["points"] = said.points[number, target][None]
            row["labels"] = said.labels[number, target][None]
        with torch.no_grad():
            low = decode(method.sam, embeddings, Prompts(**row)).single()[0]
        fine = F.interpolate(low[:, None], (SIDE, SIDE), mode="bilinear")[0, 0]
        clear = fine.abs() > 1e-3
        assert torch.equal(answer.masks[0, target, number] & clear, (fine > 0) & clear)


def test_sam_by_slice_answers_each_slice_of_a_volume_as_sam_does(volume):
    truths = volume.masks.bool()
    alone, piled = built("sam"), built("sam_by_slice")
    user = EverySlice(find_user("2 clicks"))
    found = consult(piled, volume.marked, truths, ["scan"], user).masks
    names = [f"scan:{number}" for number in range(DEPTH)]
    slices = consult(
        alone, slices_of(volume.marked), slices_of(truths), names, find_user("2 clicks")
    )
    assert found.any()
    assert torch.equal(slices_of(found), slices.masks)
    with pytest.raises(SamnbError, match="nobody does"):
        piled.answer(piled.begin(volume.marked))


def test_who_clicks_on_every_slice_clicks_where_that_slice_is_wrong(volume):
    method, truths = stir(built()), volume.masks.bool()
    user = EverySlice(find_user("2 clicks"))
    first = user.prompts(truths, ["scan"])
    answer = method.answer(method.begin(volume.marked), first)
    second = user.prompts(truths, ["scan"], answer.masks, first)
    assert second.labels.shape == (DEPTH, 2, 2)
    assert torch.equal(second.points[:, :, :1], first.points)
    wrong, clicked = truths ^ answer.masks, 0
    for number, target in ((z, k) for z in range(DEPTH) for k in range(2)):
        if second.labels[number, target, 1] != PADDING:
            x, y = second.points[number, target, 1].long().tolist()
            assert wrong[0, target, number, y, x]
            clicked += 1
    assert clicked >= 4
    masks = consult(method, volume.marked, truths, ["scan"], user).masks
    assert torch.equal(masks, method.answer(method.begin(volume.marked), second).masks)


def test_volumes_are_examined_as_those_of_other_methods(volume):
    """A row for each target, with the user's own name."""
    index = pd.DataFrame({"patient": ["p"], "scan": ["s"]})
    images, masks = volume.marked.numpy(), volume.masks.numpy()
    volumes = SimpleNamespace(
        load=lambda rows: (images, masks), arrays=lambda row: (images[0], masks[0]),
        index=index, targets=("liver", "spleen"),
        spacing=lambda row: (3.0, 1.0, 1.0),
    )  # fmt: skip
    user = EverySlice(find_user("box 0.75"))
    found = examine_volumes(stir(built()), volumes, np.array([0]), "made", user=user)
    assert found["target"].tolist() == ["liver", "spleen"]
    assert set(found["user"]) == {"box 0.75, every slice"}
    assert found["dice"].between(0, 1).all()
    assert found["dice"].max() > 0


def test_a_slice_is_prompted_as_the_picture_of_its_name_would_be(volume):
    truths = volume.masks.bool()
    said = EverySlice(find_user("random point")).prompts(truths, ["cohort:scan"])
    for number in range(DEPTH):
        alone = find_user("random point").prompts(truths[:, :, number], [f"cohort:scan:{number}"])
        assert torch.equal(said.points[number], alone.points[0])
    assert str(EverySlice(find_user("box 0.5"))) == "box 0.5, every slice"
    assert EverySlice(find_user("10 clicks")).rounds == 10


def test_who_prompts_a_volume_as_a_whole_is_understood(volume):
    truths = volume.masks.bool()
    said = by_slice(find_user("3 points").prompts(truths, ["scan"]), 1, truths.shape[2:])
    assert said.points.shape == (DEPTH, 2, 3, 2)
    whole = find_user("3 points").prompts(truths, ["scan"])
    for target in range(2):
        for place in range(3):
            z, y, x = whole.points[0, target, place].tolist()
            wanted = [PADDING] * DEPTH
            wanted[int(z)] = FOREGROUND
            assert said.labels[:, target, place].tolist() == wanted
            assert said.points[int(z), target, place].tolist() == [x, y]
    boxes = by_slice(find_user("box 1").prompts(truths, ["scan"]), 1, truths.shape[2:]).boxes
    assert boxes.isnan().any(dim=2).tolist() == [
        [True, True], [False, True], [False, False], [True, False]
    ]  # fmt: skip
    assert boxes[1, 0].tolist() == [9, 11, 38, 30]
    assert boxes[3, 1].tolist() == [21, 35, 44, 48]
    thin = torch.tensor([[[1.6, 2, 3, 1.9, 20, 30]]])  # holds the middle of no slice
    assert by_slice(UserPrompts(boxes=thin), 1, truths.shape[2:]).boxes[:, 0, 0].isnan().tolist() \
        == [True, False, True, True]  # fmt: skip


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (UserPrompts(torch.tensor([[[[4.0, 9, 9]]]]), torch.ones(1, 1, 1)), "point lies outside"),
        (UserPrompts(torch.tensor([[[[1.0, -1, 9]]]]), torch.ones(1, 1, 1)), "point lies outside"),
        (UserPrompts(torch.tensor([[[[1.0, 9, 64]]]]), torch.ones(1, 1, 1)), "point lies outside"),
        (UserPrompts(boxes=torch.tensor([[[0.0, 5, 5, 5, 9, 9]]])), "box reaches outside"),
        (UserPrompts(boxes=torch.tensor([[[2.0, 5, 5, 2, 9, 9]]])), "or is empty"),
        (UserPrompts(boxes=torch.zeros(3, 1, 4)), "3 slices for 1 volumes of 4 slices"),
        (UserPrompts(boxes=torch.zeros(2, 1, 6)), "2 volumes for 1 volumes of 4"),
        (UserPrompts(torch.zeros(1, 1, 1, 3), torch.ones(1, 1, 1), torch.zeros(1, 1, 4)), "kinds"),
    ],
)
def test_prompts_that_fit_no_volume_are_refused(prompts, said):
    with pytest.raises(SamnbError, match=said):
        by_slice(prompts, 1, (DEPTH, SIDE, SIDE))


def test_points_that_are_none_may_lie_anywhere():
    prompts = UserPrompts(torch.full((1, 1, 1, 3), -5.0), torch.full((1, 1, 1), -1))
    assert (by_slice(prompts, 1, (DEPTH, SIDE, SIDE)).labels == PADDING).all()


def test_a_volume_thinner_than_the_patch_is_refused(volume):
    with pytest.raises(SamnbError, match="4 slices is thinner than the patch of 5"):
        built(thickness=5).begin(volume.marked)


# Answers


@pytest.mark.parametrize("name", USERS)
def test_one_training_answers_all_four_users_with_the_single_mask(batch, name):
    method, truths = stir(built()), batch.masks.bool()
    answer = consult(method, batch.marked, truths, ["a", "b", "c"], find_user(name))
    assert answer.masks.shape == truths.shape
    said = find_user(name).prompts(truths, ["a", "b", "c"])
    with torch.no_grad():
        embeddings = encode(method.sam, batch.marked)
    for image, target in ((n, k) for n in range(3) for k in range(2)):
        if (image, target) not in ROWS:
            assert not answer.masks[image, target].any()
            continue
        parts = {"points": said.points, "labels": said.labels, "boxes": said.boxes}
        given = {key: part[image, target][None] for key, part in parts.items() if part is not None}
        with torch.no_grad():
            low = decode(method.sam, embeddings, Prompts(torch.tensor([image]), **given))
        fine = F.interpolate(low.single()[0][:, None], (SIDE, SIDE), mode="bilinear")[0, 0]
        clear = fine.abs() > 1e-3
        assert torch.equal(answer.masks[image, target] & clear, (fine > 0) & clear)


def test_many_prompts_are_answered_in_parts(batch, monkeypatch):
    method, truths = stir(built()), batch.masks.bool()
    whole = consult(method, batch.marked, truths, ["a", "b", "c"], find_user("box 1")).masks
    monkeypatch.setattr(prompt_taught, "ROWS", 2)
    calls = heard(monkeypatch)
    parts = consult(method, batch.marked, truths, ["a", "b", "c"], find_user("box 1")).masks
    assert [len(prompts) for _, prompts, _ in calls] == [2, 1]
    assert (parts != whole).float().mean() < 1e-3


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_pixel_claimed_twice_goes_to_the_larger_logit_or_to_both(monkeypatch, exclusive):
    method = built(exclusive=exclusive)
    single = torch.tensor([1.0, 2.0])[:, None, None, None]
    logits = torch.cat([single, -9 * single.expand(-1, 3, -1, -1)], dim=1).repeat(1, 1, 32, 32)
    monkeypatch.setattr(prompt_taught, "decode", lambda *_: Masks(logits, torch.ones(2, 4)))
    boxes = torch.tensor([[[4.0, 4, 60, 60], [4, 4, 60, 60]]])
    masks = method.answer(method.begin(torch.rand(1, 1, SIDE, SIDE)), UserPrompts(boxes=boxes))
    assert [bool(mask.all()) for mask in masks.masks[0]] == [not exclusive, True]


@pytest.mark.parametrize("name", ["med_sa", "medsam"])
def test_nobody_gets_no_answer(batch, name):
    with pytest.raises(SamnbError, match="nobody does"):
        segment(built(name), batch.marked)


def test_a_user_who_clicks_on_and_on_meets_the_end_of_the_reduction(batch):
    method, truths = built(), batch.masks.bool()
    consult(method, batch.marked, truths, ["a", "b", "c"], find_user("7 random clicks"))
    with pytest.raises(SamnbError, match="9 tokens; this Med-SA's reduction takes 8"):
        consult(method, batch.marked, truths, ["a", "b", "c"], find_user("8 random clicks"))


# MedSAM


def test_medsam_trains_all_but_the_prompt_encoder(monkeypatch):
    def without_memory(size, side, weights, checkpointing):
        with torch.device("meta"):
            return build_sam(size, side, checkpointing=checkpointing)

    monkeypatch.setattr(med_sam, "load_sam", without_memory)
    profile = replace(POCKET, sam=SamSettings("vit_b", 1024))
    method = built("medsam", profile)
    learns = {name: value for name, value in method.named_parameters() if value.requires_grad}
    assert sum(value.numel() for value in learns.values()) == 93_729_252
    assert not any("prompt_encoder" in name for name in learns)


def test_medsam_learns_in_enlarged_boxes_or_as_med_sa_does(batch, monkeypatch):
    calls = heard(monkeypatch)
    built("medsam")(batch)["loss"].backward()
    ((_, prompts, _),) = calls
    assert prompts.points is None
    tight = torch.tensor([[9.0, 11, 38, 30], [21, 35, 44, 48], [5, 41, 32, 60]])
    moves = prompts.boxes - tight
    assert (moves[:, :2] <= 0).all()
    assert (moves[:, 2:] >= 0).all()
    assert moves.abs().max() > 0
    calls = heard(monkeypatch)
    profile = replace(POCKET, med_sam=MedSamSettings(taught="both"))
    with torch.no_grad():
        built("medsam", profile)(batch)
    assert len(calls) > 1
    assert calls[0][1].points is not None
    with pytest.raises(SamnbError, match="No lessons of 'songs'"):
        built("medsam", replace(POCKET, med_sam=MedSamSettings(taught="songs")))


def test_medsam_sees_a_volume_slice_by_slice(volume):
    method = built("medsam").eval()
    plain = load_sam("pocket", SIDE).eval()
    with torch.no_grad():
        slices = volume.marked.movedim(2, 1).flatten(0, 1)
        assert torch.equal(method.begin(volume.marked).embeddings, encode(plain, slices))
    truths = volume.masks.bool()
    user = EverySlice(find_user("box 1"))
    answer = consult(method, volume.marked, truths, ["scan"], user)
    assert answer.masks.shape == truths.shape


# Settings


def test_checkpointing_reaches_the_encoder():
    both = {"med_sa": MedSaSettings(checkpointing=True)}
    both["med_sam"] = MedSamSettings(checkpointing=True)
    for name in ("med_sa", "medsam"):
        assert built(name, replace(POCKET, **both)).sam.image_encoder.checkpointing
        assert not built(name).sam.image_encoder.checkpointing


@pytest.mark.parametrize("change", [{"thickness": 0}, {"boxes": 1.5}, {"clicks": -1}])
def test_impossible_lessons_are_refused(change):
    with pytest.raises(SamnbError):
        built(**change)


def test_ablations_are_settings_of_a_profile():
    text = {"adapters": {"prompt": "addition", "depth": "none", "bottleneck": 8}, "boxes": 1}
    settings = read_settings(MedSaSettings, text, "med_sa")
    assert settings.adapters == MedAdapterSettings(8, 0.5, "none", "addition", 8)
    assert settings.boxes == 1.0
    with pytest.raises(SamnbError, match="unknown setting loud"):
        read_settings(MedSaSettings, {"adapters": {"loud": 1}}, "med_sa")
