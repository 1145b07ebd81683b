"""LoRA: nothing changes at the start, little is trained, and it comes back from disk."""

import copy
import json
import shutil
from functools import cache

import pytest
import torch
from peft import PeftModel
from segment_anything.modeling import Sam
from torch import nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.networks.sam.adapters import load_adapter, save_adapter
from samnb.networks.sam.lora import add_lora, count_parameters, expose_query_value, merge
from samnb.networks.sam.model import SAM_SIZES, SamSize, build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import base_hash
from samnb.reports.parameters import parameter_table

CARD = {"data": "noise", "labels": 3, "metrics": {"dice": 0.5}}
BOTH = ("mask_decoder", "prompt_encoder")
PLACEMENTS = {
    "qv": (LoraSettings(), ()),
    "qkv": (LoraSettings(encoder="qkv"), ()),
    "qv and decoder": (LoraSettings(rank=4, alpha=16.0, decoder=True), ()),
    "qkv and decoder": (LoraSettings(encoder="qkv", decoder=True), ("prompt_encoder",)),
    "qv, parts trained": (LoraSettings(), BOTH),
}
placement = pytest.mark.parametrize("name", PLACEMENTS)


def fresh(seed: int = 0, side: int = 64) -> Sam:
    torch.manual_seed(seed)
    return build_sam("pocket", side)


def answer(sam: Sam) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    images = torch.rand(2, 1, 64, 64, generator=random)
    prompts = Prompts(torch.arange(2), boxes=torch.tensor([[5.0, 5, 40, 50], [0, 0, 64, 64]]))
    masks = decode(sam, encode(sam, images), prompts)
    return masks.logits, masks.scores


def trained(name: str) -> Sam:
    """A copy that may be spoilt."""
    return copy.deepcopy(_trained(name))


@cache
def _trained(name: str) -> Sam:
    """A few large steps: enough to change every trained number."""
    sam = add_lora(fresh(), *PLACEMENTS[name])
    optimiser = torch.optim.AdamW([p for p in sam.parameters() if p.requires_grad], lr=0.01)
    for _ in range(3):
        logits, scores = answer(sam)
        (logits.square().mean() + scores.square().mean()).backward()
        optimiser.step()
        optimiser.zero_grad()
    return sam.requires_grad_(False)


@placement
def test_a_fresh_adapter_changes_no_bit(name):
    with torch.no_grad():
        before, scores_before = answer(fresh())
        after, scores_after = answer(add_lora(fresh(), *PLACEMENTS[name]))
    assert torch.equal(before, after)
    assert torch.equal(scores_before, scores_after)


@placement
def test_merged_masks_equal_unmerged_ones_after_training(name):
    sam = trained(name)
    names = set(fresh().state_dict())
    with torch.no_grad():
        untrained, _ = answer(fresh())
        unmerged, scores = answer(sam)
        merged, merged_scores = answer(merge(sam))
    assert (unmerged - untrained).abs().max() > 1e-3
    assert (merged - unmerged).abs().max() < 1e-5
    assert (merged_scores - scores).abs().max() < 1e-5
    assert set(sam.state_dict()) == names
    assert type(sam) is Sam
    assert type(sam.image_encoder.blocks[0].attn.qkv) is nn.Linear


@placement
def test_only_the_adapter_learns_and_the_base_stays(name):
    plain = base_hash(fresh())
    sam = add_lora(fresh(), *PLACEMENTS[name])
    parts = PLACEMENTS[name][1]
    for key, value in sam.named_parameters():
        learns = ".lora_" in key or any(f"{part}.modules_to_save" in key for part in parts)
        assert value.requires_grad == learns or "pe_layer" in key, key
    assert base_hash(trained(name)) == plain


def test_query_and_value_have_pairs_of_their_own_and_keys_none():
    sam = trained("qv")
    plain = fresh()
    for ours, theirs in zip(
        merge(sam).image_encoder.blocks, plain.image_encoder.blocks, strict=True
    ):
        change = (ours.attn.qkv.weight - theirs.attn.qkv.weight).chunk(3)
        ranks = [int(torch.linalg.matrix_rank(part, atol=1e-5)) for part in change]
        assert ranks[1] == 0
        assert 0 < ranks[0] <= 8
        assert 0 < ranks[2] <= 8
        assert torch.equal(ours.attn.qkv.bias, theirs.attn.qkv.bias)


def test_the_share_of_an_adapter_is_alpha_over_rank_times_b_a_x():
    sam = add_lora(fresh(), LoraSettings(rank=2, alpha=6.0)).train()
    fused = sam.image_encoder.blocks[0].attn.qkv
    x = torch.randn(5, fused.in_features)
    before = F.linear(x, fused.weight, fused.bias)
    shares = []
    with torch.no_grad():
        for door in (fused.query, fused.value):
            a, b = door.lora_A["default"].weight, door.lora_B["default"].weight
            b.normal_()
            shares.append(3 * x @ a.T @ b.T)
        query, key, value = (fused(x) - before).chunk(3, dim=-1)
    torch.testing.assert_close(query, shares[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(value, shares[1], atol=1e-4, rtol=1e-4)
    assert not key.any()


def test_in_the_decoder_lora_enters_queries_and_values_of_every_attention():
    sam = add_lora(fresh(), LoraSettings(decoder=True))
    modules = sam.mask_decoder.named_modules()
    entered = [name for name, module in modules if hasattr(module, "lora_A")]
    # Two layers of three attentions each, and the last one.
    assert len(entered) == 2 * 7
    assert {name.rpartition(".")[2] for name in entered} == {"q_proj", "v_proj"}


def test_the_seed_decides_the_adapter():
    def weights(seed: int) -> torch.Tensor:
        sam = add_lora(fresh(), LoraSettings(), seed=seed)
        return sam.image_encoder.blocks[0].attn.qkv.query.lora_A["default"].weight

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = weights(1)
    torch.manual_seed(5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_adapters_work_in_half_precision(precision):
    sam = trained("qv and decoder")
    with torch.no_grad():
        exact, _ = answer(sam)
        with torch.autocast("cpu", precision):
            half, _ = answer(sam)
    assert (half.float() - exact).abs().max() < 0.05 * exact.abs().max()


@placement
def test_an_adapter_comes_back_from_disk(name, tmp_path):
    sam = trained(name)
    with torch.no_grad():
        wanted, _ = answer(sam)
        folder = save_adapter(sam, tmp_path / "adapter", CARD)
        found, _ = answer(load_adapter(fresh(), folder))
    assert torch.equal(wanted, found)
    card = json.loads((folder / "card.json").read_text())
    assert card.items() >= CARD.items()
    assert card["base"] == base_hash(fresh())
    buffers = 2 * 48 * ("prompt_encoder" in PLACEMENTS[name][1])  # of the position codes
    learnt = count_parameters(add_lora(fresh(), *PLACEMENTS[name])).trainable
    assert card["adapter parameters"] == learnt + buffers
    assert "base_model: pocket" in (folder / "README.md").read_text()
    assert (folder / "adapter_model.safetensors").stat().st_size < 2.5e6


@placement
def test_the_files_are_those_of_peft(name, tmp_path):
    sam = trained(name)
    folder = save_adapter(sam, tmp_path / "adapter", CARD)
    base = fresh()
    if PLACEMENTS[name][0].encoder == "qv":
        expose_query_value(base)
    theirs = PeftModel.from_pretrained(base, str(folder)).base_model.model
    with torch.no_grad():
        assert torch.equal(answer(sam)[0], answer(theirs)[0])


def test_an_adapter_loads_only_onto_its_own_base(tmp_path):
    folder = save_adapter(trained("qv"), tmp_path, CARD)
    for other in (fresh(seed=1), fresh(side=128), trained("qkv")):
        with pytest.raises(SamnbError):
            load_adapter(other, folder)
    with pytest.raises(SamnbError, match="belongs to another base, pocket at 64 pixels"):
        load_adapter(fresh(seed=1), folder)
    with pytest.raises(SamnbError, match="has an adapter already"):
        load_adapter(load_adapter(fresh(), folder), folder)


def test_broken_adapters_are_refused(tmp_path):
    folder = save_adapter(trained("qv"), tmp_path / "whole", CARD)
    weights = (folder / "adapter_model.safetensors").read_bytes()
    cut = shutil.copytree(folder, tmp_path / "cut")
    (cut / "adapter_model.safetensors").write_bytes(weights[:-100])
    with pytest.raises(SamnbError, match="checksum mismatch"):
        load_adapter(fresh(), cut)
    half = shutil.copytree(folder, tmp_path / "half")
    (half / "card.json").unlink()
    with pytest.raises(SamnbError, match=r"card\.json is missing"):
        load_adapter(fresh(), half)
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "r": 4}))
    with pytest.raises(SamnbError, match="does not fit its own configuration"):
        load_adapter(fresh(), other)


def test_wrong_requests_are_refused(tmp_path):
    for settings, parts, words in (
        (LoraSettings(encoder="v"), (), "use qv or qkv"),
        (LoraSettings(rank=0), (), "rank of at least 1"),
        (LoraSettings(), ("image_encoder",), "Cannot train image_encoder"),
        (LoraSettings(decoder=True), ("mask_decoder",), "choose one"),
    ):
        with pytest.raises(SamnbError, match=words):
            add_lora(fresh(), settings, parts)
    with pytest.raises(SamnbError, match="no adapter to save"):
        save_adapter(fresh(), tmp_path, CARD)
    with pytest.raises(SamnbError, match="lacks labels, metrics"):
        save_adapter(add_lora(fresh(), LoraSettings()), tmp_path, {"data": "noise"})


def test_the_numbers_of_the_papers():
    table = parameter_table(("vit_b",), (4, 8)).set_index(["LoRA in", "rank"])
    trainable = table["trainable"]
    assert trainable["encoder", 4] == 147_456
    assert trainable["encoder", 8] == 294_912
    assert trainable["encoder and decoder", 4] - trainable["encoder", 4] == 23_552
    assert trainable["encoder; decoder trained", 4] - trainable["encoder", 4] == 4_058_340
    assert table["total"]["encoder", 8] == 93_735_472 + 294_912
    # A decoder that is trained whole counts once, although its original stays beside the copy.
    assert table["total"]["encoder; decoder trained", 8] == 93_735_472 + 294_912
    assert "1.77 %" in table["papers"]["encoder and decoder", 4]


def test_the_larger_sams_count_right():
    for size, wanted in (("vit_l", 393_216), ("vit_h", 655_360)):
        with torch.device("meta"):
            sam = add_lora(build_sam(size), LoraSettings(rank=4))
        assert count_parameters(sam).trainable == wanted


def test_lora_works_with_windows_fast_and_plain(monkeypatch):
    size = SamSize(32, 2, 2, (1,), prompt_width=32, decoder_mlp=32, decoder_heads=2, window=3)
    monkeypatch.setitem(SAM_SIZES, "tiny", size)
    torch.manual_seed(0)
    fast, plain = (add_lora(build_sam("tiny", 64, fast=kind), LoraSettings()) for kind in (1, 0))
    with torch.no_grad():
        for key, value in fast.named_parameters():
            if "lora" in key or "rel_pos" in key:
                value.normal_(0, 0.3)
        plain.load_state_dict(fast.state_dict())
        images = torch.rand(2, 1, 64, 64)
        assert (encode(fast, images) - encode(plain, images)).abs().max() < 1e-5
