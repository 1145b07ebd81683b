"""Cheap Lunch, SAMed and Attention U-Net: what is trained, what is drawn, what an answer means."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.data.settings import CohortSettings
from samnb.method import Answer, Batch, UserPrompts, segment
from samnb.networks.classes import class_map, masks_of_classes
from samnb.networks.sam.class_tokens import target_margin
from samnb.networks.sam.model import build_sam, encode
from samnb.networks.sam.prompting import FOREGROUND, Masks, Prompts, decode
from samnb.networks.sam.settings import LoraSettings, SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.runs.examine import save_run_adapter
from samnb.runs.run import Run
from samnb.studies import load_profile
from samnb.systems import cheap_lunch, prompted_sam, samed
from samnb.systems.attention_unet import AttentionUNet, AttentionUNetSettings
from samnb.systems.cheap_lunch import draw_classes, strongest
from samnb.systems.registry import find_system
from samnb.systems.system import Declared

SIDE, LOW = 64, 32  # of the pictures, and of the pocket SAM's own masks
SMOKE = load_profile("smoke")
LORA = LoraSettings(rank=4, alpha=4.0, decoder=True)
POCKET = replace(SMOKE, sam=SamSettings("pocket", SIDE, lora=LORA))
ORGANS = ("liver", "spleen", "stomach", "aorta", "pancreas", "gallbladder", "left", "right")


def built(name, targets=("liver",), exclusive=False, first=None, profile=POCKET):
    """A system as a run would build it, for these targets."""
    system = find_system(name)
    cohorts = {"lits": CohortSettings("lits", tuple(targets))}
    data = replace(profile.data, cohorts=cohorts, exclusive=exclusive)
    shown = Declared(replace(profile, data=data), tuple(system.settings), system.title)
    torch.manual_seed(0)
    return system.build(shown, 0, *([] if first is None else [first])).eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    """Three pictures of two targets that exclude each other; edges lie at odd pixels."""
    torch.manual_seed(3)
    masks = torch.zeros(3, 2, SIDE, SIDE, dtype=torch.uint8)
    masks[0, 0, 11:30, 9:38] = 1
    masks[0, 1, 35:48, 21:44] = 1
    masks[1, 1, 20:31, 40:57] = 1
    masks[2, 0, 41:60, 5:32] = 1
    lit = 0.5 * masks[:, :1] + 0.3 * masks[:, 1:]
    images = 0.3 * torch.rand(3, 1, SIDE, SIDE)
    return Batch(images[:0], torch.zeros(0, 2).long(), images + lit, masks)


POINTS = torch.tensor([[[23.0, 20]], [[48, 25]], [[18, 50]]])


def dice_and_cross_entropy(logits: Tensor, classes: Tensor, squared: bool) -> tuple[Tensor, Tensor]:
    """Both losses, written out: logits (N, C, h, w), classes (N, h, w) long."""
    shares = torch.softmax(logits, dim=1)
    right = shares.gather(1, classes[:, None])
    losses = []
    for number in range(logits.shape[1]):
        truth, share = (classes == number).float(), shares[:, number]
        size = truth.sum() + (share**2 if squared else share).sum()
        losses.append(1 - (2 * (truth * share).sum() + 1e-5) / (size + 1e-5))
    return torch.stack(losses).mean(), -right.log().mean()


def seen(monkeypatch, module, name="decode") -> list:
    """All that a function of the module is given and answers, from now on."""
    calls, real = [], getattr(module, name)

    def spy(*given):
        calls.append((given, real(*given)))
        return calls[-1][1]

    monkeypatch.setattr(module, name, spy)
    return calls


# What Cheap Lunch begins with, and what it trains


def test_before_it_learns_it_answers_a_point_as_sams_single_mask(batch):
    method, plain = built("cheap_lunch"), load_sam("pocket", SIDE).eval()
    labels = torch.ones(3, 1, dtype=torch.long)
    prompts = Prompts(torch.arange(3), points=POINTS, labels=labels)
    with torch.no_grad():
        ours = decode(method.sam, encode(method.sam, batch.marked), prompts)
        theirs = decode(plain, encode(plain, batch.marked), prompts)
    assert ours.logits.shape == (3, 2, LOW, LOW)
    assert not ours.logits[:, 0].any()  # the background's logit is 0 everywhere
    single, _ = theirs.single()
    assert single.std() > 0.5
    # Equal up to the order in which sums are taken.
    torch.testing.assert_close(target_margin(ours.logits), single, atol=5e-5, rtol=0)
    found = method.answer(method.begin(batch.marked), UserPrompts(POINTS[:, None], labels[:, None]))
    fine = F.interpolate(single[:, None], (SIDE, SIDE), mode="bilinear")
    clear = fine.abs() > 1e-3
    assert torch.equal(found.masks & clear, (fine > 0) & clear)
    assert 0 < found.masks.float().mean() < 0.8


ATTENTIONS = [
    *(f"layers.{layer}.{name}" for layer in (0, 1)
      for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")),
    "final_attn_token_to_image",
]  # fmt: skip
HEADS = ("mask_tokens", "output_hypernetworks_mlps", "output_upscaling")


def adapters(decoder: bool, depth: int = 6) -> set[str]:
    """Names of the matrices A and B in queries and values of all that LoRA should enter."""
    layers = {f"image_encoder.blocks.{block}.attn.qkv.{part}"
              for block in range(depth) for part in ("query", "value")}  # fmt: skip
    if decoder:
        layers |= {f"mask_decoder.transformer.{attention}.{part}_proj"
                   for attention in ATTENTIONS for part in ("q", "v")}  # fmt: skip
    return {f"{layer}.lora_{matrix}.default.weight" for layer in layers for matrix in "AB"}


def learns(sam) -> dict[str, Tensor]:
    return {name: value for name, value in sam.named_parameters() if value.requires_grad}


def whole(sam, *parts) -> set[str]:
    """Names of SAM's own parameters in these parts of it."""
    inside = tuple(f"{part}." for part in parts)
    names = [name for name, _ in sam.named_parameters() if ".lora_" not in name]
    return {name for name in names if name.startswith(inside)}


def test_cheap_lunch_trains_lora_in_encoder_and_decoder_and_what_paints_masks():
    sam = built("cheap_lunch").sam
    heads = whole(sam, *(f"mask_decoder.{head}" for head in HEADS))
    assert set(learns(sam)) == adapters(decoder=True) | heads
    assert len(heads) == 1 + 2 * 6 + 6  # tokens; two networks of three layers; two and a norm
    assert learns(sam)["mask_decoder.mask_tokens.trained"].shape == (2, 96)
    other = replace(POCKET, sam=replace(POCKET.sam, lora=replace(LORA, rank=3)))
    for profile, rank in ((POCKET, 4), (other, 3)):
        named = learns(built("cheap_lunch", profile=profile).sam)
        assert {value.shape[0] for name, value in named.items() if ".lora_A" in name} == {rank}
        assert {value.shape[1] for name, value in named.items() if ".lora_B" in name} == {rank}


@pytest.mark.parametrize("name", ["cheap_lunch", "samed", "samed_s"])
def test_all_that_is_said_to_learn_does_and_nothing_else(batch, name):
    method = built(name, ("liver", "spleen")).train()
    for _ in range(2):  # what lies before a zero, such as A before B, learns from the second on
        method.zero_grad()
        method(batch)["loss"].backward()
        torch.optim.SGD(learns(method).values(), lr=0.1).step()
    pulled = {name for name, value in method.sam.named_parameters()
              if value.grad is not None and value.grad.any()}  # fmt: skip
    # SAMed has no prompts but "none", and no loss of scores; a shift of all keys changes nothing.
    unused = ("iou_prediction_head", "point", "mask_downscaling", "k_proj.bias")
    wanted = {name for name in learns(method.sam) if not any(part in name for part in unused)}
    assert wanted <= pulled <= set(learns(method.sam))


def lora(inputs, outputs, rank=4):
    """Numbers of the two matrices, of a query and a value each."""
    return 2 * rank * (inputs + outputs)


# Of ViT-B: 12 blocks of width 768, a decoder of width 256 that crosses over at 128.
ENCODER_LORA = 12 * lora(768, 768)
DECODER_LORA = 2 * (lora(256, 256) + 2 * lora(256, 128)) + lora(256, 128)
NETWORK = 2 * (256 * 256 + 256) + 256 * 32 + 32  # of a mask
UPSCALING = (256 * 64 * 4 + 64) + 2 * 64 + (64 * 32 * 4 + 32)
TRANSFORMER, PROMPTS = 3_291_264, 6_220  # measured on SAM's own
SCORES = 256 + 2 * (256 * 256 + 256) + 9 * 256 + 9  # the token, and the head of nine scores
NINE = 9 * 256 + 9 * NETWORK + UPSCALING + SCORES + PROMPTS
COUNTS = {
    "cheap_lunch": ENCODER_LORA + DECODER_LORA + 2 * 256 + 2 * NETWORK + UPSCALING,
    "samed_s": ENCODER_LORA + DECODER_LORA + NINE,
    "samed": ENCODER_LORA + TRANSFORMER + NINE,
}


@pytest.mark.parametrize(
    ("name", "published"),
    [("cheap_lunch", 525_088), ("samed_s", 1_645_909), ("samed", 4_913_621)],
)
def test_at_vit_b_it_trains_as_many_numbers_as_the_parts_have(monkeypatch, name, published):
    def without_memory(size, side, weights):
        with torch.device("meta"):
            return build_sam(size, side)

    for module in (cheap_lunch, samed):
        monkeypatch.setattr(module, "load_sam", without_memory)
    profile = replace(SMOKE, sam=SamSettings("vit_b", 512, lora=LORA))
    with torch.device("meta"):
        sam = built(name, ORGANS, profile=profile).sam
    assert sum(value.numel() for value in learns(sam).values()) == COUNTS[name] == published


def test_an_adapter_is_written_only_where_it_is_all_that_was_learned(tmp_path):
    facts = {"history": [1], "labels": 5, "summary": {}, "name": "any"}
    for name in ("cheap_lunch", "samed_s"):
        save_run_adapter(Run(SMOKE, name, 5, 1), built(name), facts, tmp_path / name)
        assert not (tmp_path / name).exists()
    method = built("sam_pp", profile=SMOKE, first=built("classifier", profile=SMOKE))
    save_run_adapter(Run(SMOKE, "sam_pp", 5, 1), method, facts, tmp_path / "sam_pp")
    assert (tmp_path / "sam_pp" / "adapter_model.safetensors").is_file()


# What Cheap Lunch learns from


def test_one_class_of_each_image_is_drawn_uniformly_from_those_in_it():
    masks = torch.zeros(4, 3, 8, 8, dtype=torch.bool)
    for image, target, columns in (
        (0, 0, 1),
        (0, 1, 3),
        (0, 2, 8),
        (2, 1, 4),
        (3, 0, 2),
        (3, 2, 7),
    ):
        masks[image, target, target, :columns] = True  # in a row of its own; sizes do not matter
    torch.manual_seed(0)
    draws = 1500
    counts = torch.zeros(4, 3)
    for _ in range(draws):
        image, drawn = draw_classes(masks)
        assert image.tolist() == [0, 2, 3]
        target = drawn.any(dim=2).float().argmax(dim=1)
        assert torch.equal(drawn, masks[image, target])
        counts[image, target] += 1
    wanted = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0, 0, 0], [0, 1, 0], [1 / 2, 0, 1 / 2]])
    # Five standard deviations of the mean of 1500 draws are 0.065.
    torch.testing.assert_close(counts / draws, wanted, atol=0.065, rtol=0)
    with pytest.raises(SamnbError, match="No image of this step shows a target"):
        draw_classes(masks[1:2])


def test_it_is_pointed_at_a_pixel_of_the_class_that_was_drawn(monkeypatch, batch):
    asked, drawn = seen(monkeypatch, cheap_lunch), seen(monkeypatch, cheap_lunch, "draw_classes")
    method = built("cheap_lunch", ("liver", "spleen"))
    places = set()
    with torch.no_grad():
        for _ in range(6):
            method(batch)
    for ((_, _, prompts), _), (_, (_, masks)) in zip(asked, drawn, strict=True):
        assert torch.equal(prompts.image, torch.arange(3))
        assert torch.equal(prompts.labels, torch.full((3, 1), FOREGROUND))
        x, y = prompts.points[:, 0].long().T
        assert masks[torch.arange(3), y, x].all()
        places |= set(zip(x.tolist(), y.tolist(), strict=True))
    assert len(places) > 12
    empty = batch._replace(masks=batch.masks.clone())
    empty.masks[1] = 0  # shows nothing: only the other two are asked about
    with torch.no_grad():
        method(empty)
    (_, embeddings, prompts), _ = asked[-1]
    assert len(embeddings) == len(prompts) == 2


def test_its_loss_is_cross_entropy_and_four_fifths_dice_of_two_classes(monkeypatch, batch):
    asked, drawn = seen(monkeypatch, cheap_lunch), seen(monkeypatch, cheap_lunch, "draw_classes")
    method = built("cheap_lunch", ("liver", "spleen"))
    with torch.no_grad():
        found = method(batch)["loss"]
    logits = F.interpolate(asked[0][1].logits, (SIDE, SIDE), mode="bilinear")
    dice, cross_entropy = dice_and_cross_entropy(logits, drawn[0][1][1].long(), squared=True)
    torch.testing.assert_close(found, 1.0 * cross_entropy + 0.8 * dice)
    assert dice > 0.05
    assert cross_entropy > 0.05


# What it answers


def said(margins: dict[int, float]) -> tuple[UserPrompts, Tensor]:
    """Points at these of three targets, and logits (R, 2, h, w) with these margins.

    The larger the margin, the smaller is the target's own logit: only the difference counts.
    """
    labels = torch.full((1, 3, 1), -1)
    labels[0, list(margins), 0] = 1
    logits = torch.stack(
        [torch.tensor([9 - 2 * margin, 9 - margin]) for margin in margins.values()]
    )
    flat = logits[:, :, None, None].expand(-1, -1, LOW, LOW)
    return UserPrompts(torch.full((1, 3, 1, 2), 30.0), labels), flat


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_pixel_claimed_twice_goes_to_the_larger_margin_or_to_both(monkeypatch, exclusive):
    method = built("cheap_lunch", ORGANS[:3], exclusive)
    state = method.begin(torch.rand(1, 1, SIDE, SIDE))
    for margins, winner in (({0: 1.0, 2: 2.0}, 2), ({0: 2.0, 2: 1.0}, 0)):
        prompts, logits = said(margins)
        monkeypatch.setattr(cheap_lunch, "decode", lambda *_, logits=logits: Masks(logits, None))
        masks = method.answer(state, prompts).masks[0]
        shown = [bool(mask.all()) for mask in masks]
        assert shown == [number in ((winner,) if exclusive else (0, 2)) for number in range(3)]
        assert not masks[1].any()  # nobody pointed at it
    prompts, logits = said({1: -1.0})
    monkeypatch.setattr(cheap_lunch, "decode", lambda *_: Masks(logits, None))
    assert not method.answer(state, prompts).masks.any()


def test_what_nobody_points_at_stays_empty(batch):
    method = built("cheap_lunch", ("liver", "spleen"))
    nowhere = UserPrompts(torch.zeros(3, 2, 1, 2), torch.full((3, 2, 1), -1))
    answer = method.answer(method.begin(batch.marked), nowhere)
    assert answer.masks.shape == (3, 2, SIDE, SIDE)
    assert not answer.masks.any()
    with pytest.raises(SamnbError, match="nobody does"):
        segment(method, batch.marked)


def test_an_answer_is_about_its_own_image_whoever_else_is_asked_about(batch):
    method = built("cheap_lunch", ("liver", "spleen"))
    labels = torch.full((3, 2, 1), -1)
    labels[2, 0] = labels[2, 1] = labels[1, 1] = 1
    points = POINTS[:, None].repeat(1, 2, 1, 1)
    found = method.answer(batch.marked, UserPrompts(points, labels)).masks
    assert found.any(dim=(2, 3)).tolist() == [[False, False], [False, True], [True, True]]
    for image, target in ((1, 1), (2, 0), (2, 1)):
        alone = UserPrompts(points[image, target][None, None], torch.ones(1, 1, 1).long())
        masks = method.answer(batch.marked[image][None], alone).masks[0, 0]
        assert (masks != found[image, target]).float().mean() < 1e-3


@pytest.mark.parametrize("exclusive", [True, False])
def test_plain_sam_gives_a_pixel_to_the_larger_logit_or_to_both(monkeypatch, exclusive):
    method = built("sam", ("liver", "spleen"), exclusive)
    boxes = torch.tensor([[[4.0, 4, 60, 60], [4, 4, 60, 60]]])
    single = torch.tensor([1.0, 2.0])[:, None, None, None]
    logits = torch.cat([single, -9 * single.expand(-1, 3, -1, -1)], dim=1).repeat(1, 1, LOW, LOW)
    answer = Masks(logits, torch.ones(2, 4))
    monkeypatch.setattr(prompted_sam, "decode", lambda *_: answer)
    state = method.begin(torch.rand(1, 1, SIDE, SIDE))
    masks = method.answer(state, UserPrompts(boxes=boxes)).masks[0]
    assert [bool(mask.all()) for mask in masks] == [not exclusive, True]
    assert [bool(mask.any()) for mask in masks] == [not exclusive, True]


# Cheap Lunch that points itself


@pytest.fixture
def self_pointed():
    method = built("cheap_lunch_self", first=built("classifier"))
    torch.manual_seed(1)
    for value in method.classifier.head.parameters():
        torch.nn.init.normal_(value)
    return method


def test_the_point_is_the_middle_of_the_strongest_cell():
    maps = torch.zeros(3, 8, 8)
    maps[0, 2, 5] = maps[1, 7, 0] = 1
    maps[2] = -1 + maps[0]
    assert strongest(maps, 64).tolist() == [[44, 20], [4, 60], [44, 20]]
    assert strongest(maps[:2, :, :], 60).tolist() == [[41, 18], [3, 56]]  # 41.25, 18.75, 56.25


def test_it_points_where_the_classifier_says_present_and_is_silent_elsewhere(
    monkeypatch, self_pointed, batch
):
    asked, looked = seen(monkeypatch, cheap_lunch), seen(monkeypatch, cheap_lunch, "encode")
    votes = torch.tensor([[-3.0, 3], [3, -3], [0, 0.5]])  # absent, present
    monkeypatch.setattr(self_pointed.classifier, "logits", lambda features: votes)
    answer = segment(self_pointed, batch.marked)
    assert isinstance(answer, Answer)
    torch.testing.assert_close(answer.presence[:, 0], torch.sigmoid(votes[:, 1] - votes[:, 0]))
    (((_, _, prompts), _),) = asked
    assert torch.equal(looked[0][0][1], batch.marked[[0, 2]])
    assert prompts.image.tolist() == [0, 1]
    head = self_pointed.classifier.head.weight
    features = self_pointed.classifier.features(batch.marked)
    maps = torch.einsum("d,ndhw->nhw", head[1] - head[0], features)
    torch.testing.assert_close(answer.cams[:, 0], maps)
    cells = [divmod(int(each.argmax()), 8) for each in maps[[0, 2]]]
    assert prompts.points[:, 0].tolist() == [[8 * x + 4, 8 * y + 4] for y, x in cells]
    assert not answer.masks[1].any()
    with torch.no_grad():
        margin = target_margin(decode(self_pointed.sam, *asked[0][0][1:]).logits)
    fine = F.interpolate(margin[:, None], (SIDE, SIDE), mode="bilinear")
    assert torch.equal(answer.masks[[0, 2]], fine > 0)


def test_the_classifier_stays_as_it_was_while_sam_learns(self_pointed, batch):
    method = self_pointed.train()
    assert not method.classifier.training
    assert method.sam.training
    before = copy.deepcopy(method.state_dict())
    optimiser = torch.optim.SGD(learns(method).values(), lr=0.1)
    method(batch._replace(masks=batch.masks[:, :1]))["loss"].backward()
    optimiser.step()
    segment(method, batch.marked)
    changed = {name for name, value in method.state_dict().items()
               if not torch.equal(value, before[name])}  # fmt: skip
    assert changed
    assert all(name.startswith("sam.") for name in changed)
    assert all(name.startswith("sam.") for name in learns(method))


def test_a_map_of_one_target_cannot_point_at_several():
    with pytest.raises(SamnbError, match="of one target, and this study has several"):
        built("cheap_lunch_self", ("liver", "spleen"), first=built("classifier"))


# SAMed


def test_samed_trains_the_decoder_whole_and_the_small_one_by_lora():
    large, small = (built(name, ("liver", "spleen")).sam for name in ("samed", "samed_s"))
    rest = ("iou_token", "iou_prediction_head", *HEADS)
    assert set(learns(large)) == adapters(False) | whole(large, "mask_decoder", "prompt_encoder")
    named = whole(small, *(f"mask_decoder.{part}" for part in rest), "prompt_encoder")
    assert set(learns(small)) == adapters(decoder=True) | named
    assert not any("transformer" in name for name in named)
    assert any("transformer" in name for name in learns(large))


def test_samed_has_a_token_for_each_class_and_no_prompts(batch):
    method = built("samed_s", ORGANS[:3])
    decoder, given = method.sam.mask_decoder, []
    decoder.transformer.register_forward_hook(lambda _, parts, __: given.append(parts[2].shape))
    with torch.no_grad():
        assert method.logits(batch.marked).shape == (3, 4, LOW, LOW)
    assert given == [(3, 1 + 4, 96)]  # the token of the score, and those of four classes
    assert decoder.mask_tokens.weight.shape == (4, 96)
    assert len(decoder.output_hypernetworks_mlps) == 4
    own = load_sam("pocket", SIDE).mask_decoder.mask_tokens.weight
    assert (decoder.mask_tokens.weight - own).abs().max() > 0.1  # fresh ones
    again = built("samed_s", ORGANS[:3]).sam.mask_decoder.mask_tokens.weight
    assert torch.equal(decoder.mask_tokens.weight, again)


def test_samed_answers_by_the_largest_logit_the_background_first(monkeypatch):
    method = built("samed_s", ("liver", "spleen"))
    best = torch.zeros(1, 3, LOW, LOW)
    best[:, 0, :8] = best[:, 1, 8:16] = best[:, 2, 16:] = 1
    monkeypatch.setattr(method, "logits", lambda images: best)
    masks = method.answer(torch.zeros(1, 1, SIDE, SIDE)).masks[0]
    middles = masks[:, [4, 24, 48], 30]  # a row of each stretch
    assert middles.tolist() == [[False, True, False], [False, False, True]]


def test_samed_learns_at_the_side_of_its_masks_classes_of_the_nearest_pixel(batch):
    method = built("samed", ("liver", "spleen"))
    with torch.no_grad():
        found, logits = method(batch)["loss"], method.logits(batch.marked)
    step = SIDE // LOW  # for SAM's own patches it is 4
    classes = (batch.masks[:, 0] + 2 * batch.masks[:, 1]).long()[:, ::step, ::step]
    dice, cross_entropy = dice_and_cross_entropy(logits, classes, squared=True)
    torch.testing.assert_close(found, 0.2 * cross_entropy + 0.8 * dice)


# Attention U-Net, and classes


def test_attention_unet_has_the_published_size_and_a_channel_for_each_class(batch):
    with torch.device("meta"):
        large = AttentionUNet(AttentionUNetSettings(), len(ORGANS))
    assert f"{sum(value.numel() for value in large.parameters()) / 1e6:.2f}" == "31.74"
    small = AttentionUNet(AttentionUNetSettings(width=4), 2).eval()
    with torch.no_grad():
        logits, found = small.logits(batch.marked), small(batch)["loss"]
        assert logits.shape == (3, 3, SIDE, SIDE)
        assert torch.equal(segment(small, batch.marked).masks, masks_of_classes(logits))
        with pytest.raises(SamnbError, match="multiples of 16"):
            small.logits(torch.zeros(1, 1, 72, 72))
    classes = (batch.masks[:, 0] + 2 * batch.masks[:, 1]).long()
    dice, cross_entropy = dice_and_cross_entropy(logits, classes, squared=False)
    torch.testing.assert_close(found, cross_entropy + dice)


def test_masks_are_classes_and_classes_masks():
    masks = torch.tensor([[[[1, 1, 0, 0]], [[0, 1, 1, 0]]]])
    assert class_map(masks).tolist() == [[[1, 2, 2, 0]]]  # of two the later one
    logits = torch.tensor([[[[0.0, 1, 0, 2]], [[1.0, 0, 1, 2]], [[0.5, 0, 3, 2]]]])
    assert masks_of_classes(logits).long().tolist() == [[[[1, 0, 0, 0]], [[0, 0, 1, 0]]]]
