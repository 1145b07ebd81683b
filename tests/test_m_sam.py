"""M-SAM and its kin: lessons of clicks, what goes on from round to round, and answers to users."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import consult
from samnb.method import Batch, UserPrompts
from samnb.networks.sam3d import model
from samnb.networks.sam3d import weights as weights_3d
from samnb.networks.sam3d.mea import MeaSettings
from samnb.networks.sam3d.model import Sam3DSize, encode
from samnb.networks.sam3d.prompting import VolumePrompts, decode
from samnb.networks.sam3d.settings import Sam3DSettings
from samnb.prompts.click_windows import cut_windows, put_window, window_starts
from samnb.prompts.users import find_user
from samnb.reports.m_sam_names import PROMPTED
from samnb.reports.style import SYSTEM_LOOKS
from samnb.runs.keys import _weights_3d
from samnb.systems import click_taught, m_sam, sam_3d, sam_med3d
from samnb.systems.click_taught import ClickLessonSettings
from samnb.systems.m_sam import MSamSettings
from samnb.systems.registry import find_system, sections

SIDE = 16
TINY = Sam3DSize(
    24, 2, 2, (1,), patch=4, window=3, prompt_width=24, decoder_heads=2, decoder_mlp=32, side=SIDE
)
MEA = MeaSettings(heads=2)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setitem(model.SAM3D_SIZES, "tiny", TINY)


def _shown(patch=(SIDE,) * 3, channels=1, lessons=None, **m_sam):
    data = SimpleNamespace(
        patches=SimpleNamespace(size=patch), channels=channels, targets=("a",), exclusive=False
    )
    own = {name: kind() for name, kind in sections().items()}
    own |= {"sam_3d": Sam3DSettings("tiny", None)}
    own |= {
        "click_lessons": ClickLessonSettings(**{"rounds": 3, "mirror": False} | (lessons or {}))
    }
    return SimpleNamespace(data=data, **own | {"m_sam": MSamSettings(**{"mea": MEA} | m_sam)})


def _built(system=m_sam, **changed):
    torch.manual_seed(1)
    return system.build(_shown(**changed), 0)


def _batch():
    """Two patches: two targets in the first, one in the second."""
    torch.manual_seed(2)
    masks = torch.zeros(2, 2, SIDE, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0, 2:7, 3:9, 4:10] = 1
    masks[:, 1, 9:13, 8:14, 1:6] = 1
    marked = 0.2 * torch.rand(2, 1, SIDE, SIDE, SIDE) + 0.6 * masks.amax(dim=1, keepdim=True)
    none = torch.zeros(0, 1, SIDE, SIDE, SIDE)
    return Batch(none, torch.zeros(0, 2, dtype=torch.long), marked, masks)


def _truth(batch):
    return torch.stack([batch.masks[0, 0], batch.masks[0, 1], batch.masks[1, 1]]).bool()


def _undecided(method):
    """The same method, but half of the voxels belong to every answer."""

    def counting(answer, first):
        logits = answer.single()[0]
        return logits - logits.flatten(1).median(dim=1).values[:, None, None, None]

    method.counting = counting
    return method


@pytest.fixture
def rounds(monkeypatch):
    """Every round as it happens: what went in, and the answer."""
    seen, stage = [], click_taught.ClickTaught.stage

    def noted(self, image, low, points, labels, first):
        answer = stage(self, image, low, points, labels, first)
        seen.append(SimpleNamespace(image=image, low=low, points=points, labels=labels,
                                    first=first, updated=answer[0], answer=answer[1]))  # fmt: skip
        return answer

    monkeypatch.setattr(click_taught.ClickTaught, "stage", noted)
    return seen


# ---- lessons -----------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [m_sam, sam_med3d], ids=["m_sam", "sam_med3d"])
def test_a_lesson_is_a_click_inside_and_clicks_in_the_error_with_the_last_mask(system, rounds):
    method, batch = _undecided(_built(system)), _batch()
    method(batch)
    truth, each = _truth(batch), torch.arange(3)
    assert len(rounds) == 3
    assert not rounds[0].low.any()  # a null mask
    assert [turn.first for turn in rounds] == [True, False, False]
    wrong = truth
    for number, turn in enumerate(rounds):
        assert turn.points.shape == (3, 1, 3)  # the newest click alone
        z, y, x = turn.points[:, 0].long().unbind(1)
        assert wrong[each, z, y, x].all()
        assert torch.equal(turn.labels[:, 0], truth[each, z, y, x].long())
        if number:
            assert torch.equal(turn.low, rounds[number - 1].answer)
        found = method.whole(turn.answer)[:, 0] > 0
        wrong = torch.where((found != truth).flatten(1).any(1)[:, None, None, None],
                            found != truth, truth)  # fmt: skip
    assert {int(label) for turn in rounds for label in turn.labels[:, 0]} == {0, 1}


@torch.no_grad()
def test_the_loss_is_half_dice_and_half_cross_entropy_of_every_answer(rounds):
    method, batch = _built(), _batch()
    # Of other rounds than the first the answers of a fresh network hardly differ.
    method.counting = lambda answer, first: answer.single()[0] + 2.0 * first
    found, truth, losses = method(batch), _truth(batch).float(), []
    for turn in rounds:
        logits = F.interpolate(turn.answer, (SIDE,) * 3, mode="trilinear")[:, 0]
        p, axes = logits.sigmoid(), (1, 2, 3)
        overlap = 2 * (p * truth).sum(axes) / ((p**2).sum(axes) + truth.sum(axes))
        entropy = F.binary_cross_entropy_with_logits(logits, truth)
        losses.append(0.5 * entropy + 0.5 * (1 - overlap).mean())
    assert found["loss"] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)
    assert found["last"] == pytest.approx(float(losses[-1]), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("carried", [True, False])
def test_the_updated_image_embedding_is_that_of_the_next_round_if_it_is_carried(carried, rounds):
    method, batch = _built(carried=carried), _batch()
    method(batch)
    embedded = encode(method.sam, batch.marked)[[0, 0, 1]]
    assert torch.allclose(rounds[0].image, embedded, atol=1e-5)
    for before, turn in pairwise(rounds):
        mask = method.sam.prompt_encoder.embed_masks(before.low)
        updated = method.mea(before.image, mask)
        wanted = updated if carried else embedded
        assert torch.allclose(turn.image, wanted, atol=1e-5)


def _gradients(**lessons):
    method = _built(lessons=lessons)
    torch.manual_seed(3)
    loss = method(_batch())["loss"]
    loss.backward()
    learned = {n: v.grad for n, v in method.named_parameters() if v.grad is not None}
    return loss.item(), learned


def _of_encoder(gradients):
    return torch.cat([g.flatten() for name, g in gradients.items() if "image_encoder" in name])


def test_rounds_computed_again_teach_the_same():
    plain, again = _gradients(), _gradients(checkpointing=True)
    assert plain[0] == again[0]
    assert plain[1].keys() == again[1].keys()
    assert all(torch.allclose(plain[1][n], again[1][n], atol=1e-6) for n in plain[1])


def test_detached_rounds_answer_the_same_and_teach_the_encoder_by_the_first_alone():
    plain, detached, first = _gradients(), _gradients(detached=True), _gradients(rounds=1)
    assert plain[0] == pytest.approx(detached[0])
    assert _of_encoder(first[1]).any()
    assert torch.allclose(_of_encoder(detached[1]), _of_encoder(first[1]) / 3, atol=1e-6)
    assert not torch.allclose(_of_encoder(plain[1]), _of_encoder(detached[1]), atol=1e-6)


def test_a_step_without_a_target_teaches_nothing():
    batch = _batch()
    loss = _built()(batch._replace(masks=torch.zeros_like(batch.masks)))["loss"]
    assert loss == 0
    loss.backward()


def test_patches_are_mirrored_with_their_masks(monkeypatch, rounds):
    shown = []
    monkeypatch.setattr(click_taught, "mirrored", lambda *pair: shown.append(pair) or
                        tuple(each.flip(2) for each in pair))  # fmt: skip
    method, batch = _built(lessons={"mirror": True}), _batch()
    method(batch)
    assert len(shown) == 1
    z, y, x = rounds[0].points[:, 0].long().unbind(1)
    assert _truth(batch)[torch.arange(3), SIDE - 1 - z, y, x].all()


def test_a_few_steps_teach_something():
    method, batch = _built(lessons={"rounds": 2}), _batch()
    learned = [value for value in method.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(learned, 1e-2)
    losses = []
    for _ in range(15):
        loss = method(batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]


# ---- what learns -------------------------------------------------------------------------------


def _learning(method):
    return {name for name, value in method.named_parameters() if value.requires_grad}


def test_lora_prompt_encoder_decoder_and_adapter_learn_and_the_encoder_does_not():
    learning = _learning(_built())
    every = {name for name, _ in _built().named_parameters()}
    assert {n for n in every if n.startswith(("mea.", "sam.mask_decoder.", "sam.prompt_encoder."))
            } <= learning  # fmt: skip
    encoder = {name for name in learning if name.startswith("sam.image_encoder.")}
    assert encoder
    assert all(".lora_" in name for name in encoder)


def test_changes_of_the_paper():
    without, whole = _built(adapter="none"), _built(encoder="whole")
    assert without.mea is None
    assert _learning(without) == {n for n in _learning(_built()) if not n.startswith("mea.")}
    assert _learning(whole) == {name for name, _ in whole.named_parameters()}
    assert _learning(_built(sam_med3d)) == {n for n in _learning(whole) if not n.startswith("mea.")}
    assert not _learning(_built(sam_3d))


@torch.no_grad()
def test_without_the_adapter_a_fresh_m_sam_is_sam():
    batch = _batch()
    found = [_built(system, adapter="none") for system in (m_sam, sam_med3d)]
    losses = []
    for method in found:
        torch.manual_seed(5)
        losses.append(method(batch)["loss"])
    assert torch.allclose(*losses, atol=1e-6)


# ---- answers -----------------------------------------------------------------------------------


def _said(*clicks):
    """Clicks (z, y, x, label) on each of K targets of one volume."""
    said = torch.tensor([[list(each) for each in clicks]], dtype=torch.float32)
    return UserPrompts(said[..., :3], said[..., 3].long())


@torch.no_grad()
def test_users_are_answered_as_in_lessons(rounds):
    method, image = _built().eval(), _batch().marked[:1]
    state = method.begin(image)
    first = _said([(4, 5, 6, 1)], [(0, 0, 0, -1)])
    answer = method.answer(state, first)
    assert answer.masks.shape == (1, 2, SIDE, SIDE, SIDE)
    assert not answer.masks[0, 1].any()  # nobody has spoken of it
    assert torch.equal(answer.masks[0, 0], (method.whole(rounds[0].answer) > 0)[0, 0])
    assert torch.allclose(rounds[0].image, encode(method.sam, image), atol=1e-6)
    second = _said([(4, 5, 6, 1), (9, 9, 9, 0)], [(0, 0, 0, -1), (10, 10, 3, 1)])
    method.answer(state, second)
    opened, went_on = rounds[1:]
    assert opened.first
    assert opened.points.tolist() == [[[10, 10, 3]]]
    assert went_on.points.tolist() == [[[9, 9, 9]]]  # the newest alone
    assert torch.equal(went_on.low, rounds[0].answer)
    assert torch.equal(went_on.image, rounds[0].updated)


@torch.no_grad()
def test_what_has_been_heard_is_not_answered_again(rounds):
    method = _built().eval()
    state, said = method.begin(_batch().marked[:1]), _said([(4, 5, 6, 1)])
    masks = method.answer(state, said).masks
    silent = _said([(4, 5, 6, 1), (0, 0, 0, -1)])
    assert torch.equal(method.answer(state, silent).masks, masks)
    assert torch.equal(method.answer(state, silent).masks, masks)
    assert len(rounds) == 1


@torch.no_grad()
def test_a_larger_volume_is_looked_at_once_around_the_first_click(rounds, monkeypatch):
    seen = []
    monkeypatch.setattr(click_taught, "encode", lambda sam, cubes: seen.append(cubes) or
                        encode(sam, cubes))  # fmt: skip
    method, image = _built().eval(), torch.rand(1, 1, 24, 12, 40)
    state = method.begin(image)
    found = method.answer(state, _said([(20, 5, 12, 1)], [(21, 5, 12, 1)])).masks
    assert len(seen) == 1
    assert len(seen[0]) == 1  # one look for both: the volume ends there
    cube = seen[0][0, 0]
    assert torch.equal(cube[:, 2:14], image[0, 0, 8:, :, 4:20])
    assert not cube[:, :2].any()
    assert rounds[0].points.tolist() == [[[12, 7, 8]], [[13, 7, 8]]]
    whole = method.whole(rounds[0].answer)[0, 0] > 0
    assert torch.equal(found[0, 0, 8:, :, 4:20], whole[:, 2:14])
    assert not found[0, 0, :8].any()
    far = _said([(20, 5, 12, 1), (20, 5, 39, 1)], [(21, 5, 12, 1), (21, 5, 3, 1)])
    assert torch.equal(method.answer(state, far).masks, found)  # beyond the window: not heard
    assert len(seen) == 1


@torch.no_grad()
def test_a_user_clicks_ten_times_in_a_volume(rounds):
    batch = _batch()
    names, user = ["c:s0", "c:s1"], find_user("4 random clicks")
    masks = consult(_built().eval(), batch.marked, batch.masks.bool(), names, user).masks
    assert masks.shape == batch.masks.shape
    assert not masks[1, 0].any()
    assert len(rounds) == 4
    assert all(len(turn.points) == 3 for turn in rounds)


@torch.no_grad()
@pytest.mark.parametrize("published", [True, False])
def test_sam_as_it_is_answers_as_its_pre_training_asked(published, rounds):
    method = _built(sam_3d).eval()
    method.as_published, method.null = published, 0.0 if published else float("nan")
    batch = _batch()
    asked = _said([(4, 5, 6, 1)])
    method.answer(method.begin(batch.marked[:1]), asked)
    (turn,) = rounds
    assert turn.low.isnan().all() == (not published)
    volume = torch.zeros(1, dtype=torch.long)
    prompts = VolumePrompts(
        volume, None, asked.points[0], asked.labels[0], turn.low if published else None
    )
    answer = decode(method.sam, encode(method.sam, batch.marked[:1]), prompts)
    wanted = answer.single()[0] if published else answer.best_of_three()[0]
    assert torch.allclose(turn.answer[:, 0], wanted, atol=1e-5)


def test_which_sam_was_told_of_empty_masks():
    pocket, published = (
        sam_3d.Sam3DAsItIs(_built(sam_med3d).sam, False, known) for known in (False, True)
    )
    assert pocket.empty_masks(2).isnan().all()
    assert not published.empty_masks(2).any()


# ---- windows -----------------------------------------------------------------------------------


def test_a_window_lies_around_its_click_and_inside_the_volume():
    points = torch.tensor([[10.0, 3.0, 2.0], [0.0, 0.0, 0.0], [19.0, 4.0, 29.0]])
    starts = window_starts(points, (20, 5, 30), 8)
    assert starts.tolist() == [[6, -2, 0], [0, -2, 0], [12, -2, 22]]


def test_windows_are_cut_and_put_back():
    volume = torch.rand(2, 1, 20, 5, 30)
    starts = window_starts(torch.tensor([[10.0, 3.0, 2.0], [19.0, 4.0, 29.0]]), (20, 5, 30), 8)
    cubes = cut_windows(volume, torch.tensor([1, 0]), starts, 8)
    assert torch.equal(cubes[0, 0, :, 2:7], volume[1, 0, 6:14, :, :8])
    assert torch.equal(cubes[1, 0, :, 2:7], volume[0, 0, 12:, :, 22:])
    assert not cubes[:, :, :, :2].any()
    assert not cubes[:, :, :, 7:].any()
    back = torch.zeros(20, 5, 30)
    put_window(back, cubes[1, 0], starts[1])
    assert torch.equal(back[12:, :, 22:], volume[0, 0, 12:, :, 22:])
    assert back[:12].count_nonzero() == back[..., :22].count_nonzero() == 0


# ---- names and refusals ------------------------------------------------------------------------


def test_titles_are_those_of_reports_and_have_looks():
    titles = [find_system(name).title for name in ("sam_3d", "sam_med3d", "m_sam")]
    assert titles == list(PROMPTED)
    assert set(titles) <= set(SYSTEM_LOOKS)


@pytest.mark.parametrize(
    "changed",
    [
        {"patch": (16, 16, 8)},
        {"channels": 2},
        {"adapter": "other"},
        {"encoder": "other"},
        {"lessons": {"rounds": 0}},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(changed):
    with pytest.raises(SamnbError, match="Remedy"):
        _built(**changed)


@pytest.mark.parametrize("prompts", [None, UserPrompts(boxes=torch.rand(1, 1, 6))])
def test_a_user_who_does_not_click_is_refused(prompts):
    method = _built()
    with pytest.raises(SamnbError, match="Remedy: name a user of points or clicks"):
        method.answer(method.begin(_batch().marked), prompts)


def test_the_weights_that_sam_starts_from_are_in_the_key_of_a_run(tmp_path, monkeypatch):
    (tmp_path / "mine.pth").write_bytes(b"numbers")
    monkeypatch.setattr(weights_3d, "weights_path", lambda size: tmp_path / "none.pth")
    keys = [
        _weights_3d(Sam3DSettings("pocket_3d", None)),
        _weights_3d(Sam3DSettings("pocket_3d", str(tmp_path / "mine.pth"))),
        _weights_3d(Sam3DSettings("sam_med3d")),
    ]
    monkeypatch.setattr(weights_3d, "weights_path", lambda size: tmp_path / "mine.pth")
    keys.append(_weights_3d(Sam3DSettings("sam_med3d")))
    assert keys == [None, keys[1], weights_3d.published()["sam_med3d"]["url"], keys[1]]
    assert len(keys[1]) == 64
