"""The training recipe of the pocket SAM for volumes, and how it is examined."""

import inspect
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from samnb.base.errors import SamnbError
from samnb.networks.sam3d.model import build_sam3d, encode
from samnb.networks.sam3d.prompting import PADDING, VolumeMasks, VolumePrompts
from samnb.pretraining.evaluate import HELD_OUT
from samnb.pretraining.pretrain import Phase
from samnb.pretraining.recipe import ShapeBatch
from samnb.pretraining.volumes import recipe, release
from samnb.pretraining.volumes.evaluate import CLICKS, _on_grid, evaluate
from samnb.pretraining.volumes.pretrain import PHASES, pretrain
from samnb.pretraining.volumes.recipe import (
    VolumePretraining,
    VolumeStream,
    at_logit_grid,
    correct,
    first_losses,
    first_prompts,
    volume_iou,
    volume_losses,
)
from samnb.prompts import volume_clicks
from samnb.prompts.volume_clicks import box_of, click_and_correct, middle_voxel
from samnb.training import loop

SIDE = 16


@pytest.fixture
def sam():
    torch.manual_seed(0)
    return build_sam3d("pocket_3d", side=SIDE)


def _blocks(*corners: tuple[int, ...]) -> torch.Tensor:
    """One mask for each box z_min, y_min, x_min, z_max, y_max, x_max."""
    masks = torch.zeros(len(corners), SIDE, SIDE, SIDE, dtype=torch.bool)
    for mask, (a, b, c, d, e, f) in zip(masks, corners, strict=True):
        mask[a:d, b:e, c:f] = True
    return masks


BLOCKS = ((1, 2, 3, 9, 8, 7), (0, 5, 10, 16, 11, 16))


# ---- prompts of training -----------------------------------------------------------------------


def test_boxes_are_tight():
    assert box_of(_blocks(*BLOCKS)).tolist() == [list(map(float, box)) for box in BLOCKS]


def test_a_first_prompt_is_a_shaken_box_or_a_voxel_inside():
    torch.manual_seed(0)
    masks = _blocks(*BLOCKS)[None].repeat(2, 1, 1, 1, 1)
    boxed = torch.tensor([True, False, True, False])
    prompts = first_prompts(masks, boxed)
    exact = box_of(masks.flatten(0, 1))
    assert prompts.volume.tolist() == [0, 0, 1, 1]
    assert prompts.labels[:, 0].tolist() == [PADDING, 1, PADDING, 1]
    assert prompts.boxes[~boxed].isnan().all()
    assert (prompts.boxes[boxed] != exact[boxed]).any(dim=1).all()
    z, y, x = prompts.points[:, 0].long().unbind(1)
    assert masks.flatten(0, 1)[torch.arange(4), z, y, x].all()


def _clicked(found: torch.Tensor, target: torch.Tensor, remember: bool = True) -> VolumePrompts:
    """The prompts after one correction of `found` (4, 4, 4) bool, in a volume of 16 voxels."""
    before = VolumePrompts(
        torch.tensor([0]),
        torch.tensor([[0.0, 0, 0, 8, 8, 8]]),
        torch.tensor([[[9.0, 9, 9]]]),
        torch.tensor([[1]]),
    )
    return correct(before, torch.where(found, 2.0, -2.0)[None], target[None], SIDE, remember)


def test_a_click_goes_where_the_answer_was_wrong_and_says_what_is_there():
    target = torch.zeros(4, 4, 4, dtype=torch.bool)
    target[0:2, 0:3, 1] = True
    missed, added = target.clone(), target.clone()
    missed[1, 2, 1] = False
    added[3, 0, 2] = True
    # Cells are 4 voxels wide: the second spans 4 to 7, middle 5.5.
    after = _clicked(missed, target)
    assert after.points[0].tolist() == [[9, 9, 9], [5.5, 9.5, 5.5]]
    assert after.labels[0].tolist() == [1, 1]
    assert after.boxes is not None
    assert torch.equal(after.masks[0, 0] > 0, missed)  # and the last answer goes back in
    newest = _clicked(added, target, remember=False)
    assert newest.points[0].tolist() == [[13.5, 1.5, 9.5]]
    assert newest.labels[0].tolist() == [0]
    assert newest.boxes is None
    assert torch.equal(newest.masks[0, 0] > 0, added)
    assert _clicked(target, target).labels[0, 1] == 1  # nothing is wrong: the object is confirmed


def test_losses_are_those_of_the_plane_recipe_over_all_voxels():
    logits = torch.randn(2, 4, 4, 4, 4)
    answer = VolumeMasks(logits, torch.rand(2, 4))
    target = torch.rand(2, 4, 4, 4) < 0.4
    found = volume_losses(answer, target)
    share, wanted = logits.sigmoid(), target[:, None].float()
    dice = 1 - (2 * (share * wanted).sum((2, 3, 4)) + 1) / (
        share.sum((2, 3, 4)) + wanted.sum((2, 3, 4)) + 1
    )
    right = torch.where(target[:, None], share, 1 - share)
    weight = torch.where(target[:, None], 0.25, 0.75)
    focal = (-weight * (1 - right) ** 2 * right.log()).mean(dim=(2, 3, 4))
    off = (answer.scores - volume_iou(logits > 0, target[:, None])) ** 2
    assert torch.allclose(found, 20 * focal + dice + off, atol=1e-5)
    three = found[:, 1:].min(dim=1).values + 0.05 * found[:, 1:].mean(dim=1)
    first = first_losses(answer, target, torch.tensor([True, False]))
    assert torch.allclose(first, three + torch.stack([found[0, 0], torch.tensor(0.0)]), atol=1e-5)


def test_a_cell_belongs_to_a_mask_that_covers_half_of_it(sam):
    masks = torch.zeros(1, 1, SIDE, SIDE, SIDE, dtype=torch.bool)
    masks[..., 0, 0, 0] = True  # one voxel of the first cell of 2 x 2 x 2
    masks[..., 2:4, 2:4, 2] = True  # half of another
    assert at_logit_grid(masks, sam).nonzero()[:, 2:].tolist() == [[1, 1, 1]]


def test_a_step_asks_by_box_and_point_remembers_or_forgets_and_corrects_itself(sam, monkeypatch):
    asked, corrected = [], []

    def first(*given):
        asked.append(given[1])
        return first_prompts(*given)

    def then(*given):
        corrected.append(given[4])
        return correct(*given)

    monkeypatch.setattr(recipe, "first_prompts", first)
    monkeypatch.setattr(recipe, "correct", then)
    batch = ShapeBatch(torch.rand(1, 1, SIDE, SIDE, SIDE), _blocks(*BLOCKS)[None])
    method, gradients = VolumePretraining(sam), []
    for seed in range(12):
        torch.manual_seed(seed)
        losses = method(batch)
        assert all(torch.isfinite(value) for value in losses.values())
        sam.zero_grad()
        losses["loss"].backward()
        gradients.append({name for name, value in sam.named_parameters() if value.grad.any()})
    assert 0.2 < torch.cat(asked).float().mean() < 0.8
    assert {True, False} == set(corrected)
    assert 12 < len(corrected) < 36
    # Some step or other teaches every weight.
    assert set.union(*gradients) == {name for name, _ in sam.named_parameters()}


def test_a_batch_depends_on_seed_and_step_alone():
    stream, other = (VolumeStream(seed, SIDE, images=2, objects=3, steps=5) for seed in (1, 2))
    for one, again in zip(stream[3], stream[3], strict=True):
        assert torch.equal(one, again)
    assert not torch.equal(stream[3].images, stream[4].images)
    assert not torch.equal(stream[3].images, other[3].images)
    assert stream[3].masks.shape == (2, 3, SIDE, SIDE, SIDE)


def test_held_out_volumes_are_of_a_seed_that_no_phase_trains_on():
    first = inspect.signature(pretrain).parameters["seed"].default
    assert HELD_OUT not in {first + phase for phase in range(len(PHASES))}


# ---- the whole, killed and resumed -------------------------------------------------------------

SHORT = (
    Phase(16, steps=3, images=2, objects=2, learning_rate=1e-3, warmup=1),
    Phase(24, steps=3, images=1, objects=2, learning_rate=1e-3, warmup=1),
)


class Killed(Exception):
    """As if the machine had stopped."""


def test_a_pretraining_that_was_killed_ends_as_one_that_was_not(tmp_path: Path, monkeypatch):
    learn = loop._Learner.learn

    def mortal(learner, group):
        if learner.state.step == 2 and "phase2" in str(learner.state.path):
            learner.state.save()
            raise Killed
        return learn(learner, group)

    monkeypatch.setattr(loop._Learner, "learn", mortal)
    with pytest.raises(Killed):
        pretrain(tmp_path / "a", SHORT, workers=0, progress=False)
    assert not (tmp_path / "a" / "sam.safetensors").exists()
    steps = []
    monkeypatch.setattr(loop._Learner, "learn", lambda *given: steps.append(given) or learn(*given))
    pretrain(tmp_path / "a", SHORT, workers=0, progress=False)
    resumed = len(steps)
    pretrain(tmp_path / "b", SHORT, workers=0, progress=False)
    assert (resumed, len(steps) - resumed) == (3 + 1, 6)
    one, other = (load_file(tmp_path / name / "sam.safetensors") for name in "ab")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


# ---- examination -------------------------------------------------------------------------------


def test_the_middle_of_a_region_is_deepest():
    assert middle_voxel(_blocks((1, 2, 3, 8, 9, 10))).tolist() == [[4, 5, 6]]


@pytest.mark.parametrize("remember", [True, False])
def test_a_user_clicks_in_the_error_and_sends_the_last_answer(sam, monkeypatch, remember):
    sent, answered = [], []

    def watched(*given):
        sent.append(given[2])
        answered.append(decode(*given))
        return answered[-1]

    decode = volume_clicks.decode
    monkeypatch.setattr(volume_clicks, "decode", watched)
    target = _blocks(*BLOCKS)
    with torch.no_grad():
        embeddings = encode(sam, torch.rand(1, 1, SIDE, SIDE, SIDE))
    _, found = click_and_correct(
        sam, embeddings, torch.zeros(2, dtype=torch.long), target, 3, remember
    )
    assert [prompts.points.shape[1] for prompts in sent] == ([1, 2, 3] if remember else [1, 1, 1])
    assert torch.equal(sent[0].points[:, 0], middle_voxel(target))
    assert sent[0].masks is None
    assert torch.equal(sent[1].masks[:, 0], answered[0].best_of_three()[0])
    assert torch.equal(sent[2].masks[:, 0], answered[1].single()[0])
    for row in range(2):
        z, y, x = sent[1].points[row, -1].long()
        assert found[0][row, z, y, x] != target[row, z, y, x]
        assert sent[1].labels[row, -1] == target[row, z, y, x]


def test_a_slab_of_whole_cells_survives_the_grid_and_a_voxel_does_not():
    mask = _blocks((4, 0, 0, 10, 16, 16))
    assert torch.equal(_on_grid(mask, 8), mask)
    assert not _on_grid(_blocks((5, 5, 5, 6, 6, 6)), 8).any()


def test_every_number_of_the_report_lies_where_it_can(sam):
    found = evaluate(sam.eval(), volumes=2, batch=1, progress=False)
    assert found["volumes"] == 2
    assert found["objects"] == 8
    shares = [name for name in found if name not in ("volumes", "objects", "side")]
    assert all(0 <= found[name] <= 1.5 for name in shares)  # a score may lie outside 0 to 1
    assert found["grid"] > found["box best of three"]
    assert [name for name in found if name.startswith("clicks")] == [
        f"clicks {count}" for count in range(1, CLICKS + 1)
    ]


def test_only_a_finished_pretraining_is_released(tmp_path: Path):
    with pytest.raises(SamnbError, match="no finished pretraining"):
        release.release(tmp_path)
