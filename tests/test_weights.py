"""Weights: fetched whole, read safely, fitted to the side, never half loaded."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling.image_encoder import get_rel_pos

from samnb.base.errors import SamnbError
from samnb.networks.sam import weights
from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.model import SAM_SIZES, SamSize, build_sam, encode
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import base_hash, fit_to_side, load_sam, load_weights, published


@pytest.fixture
def tiny(monkeypatch) -> str:
    """A SAM of ViT-B's make, thin and shallow: windowed, global, windowed block."""
    size = SamSize(32, 3, 2, (1,), prompt_width=32, decoder_mlp=32, decoder_heads=2)
    monkeypatch.setitem(SAM_SIZES, "tiny", size)
    return "tiny"


def _random(size: str, side: int, seed: int = 0):
    torch.manual_seed(seed)
    sam = build_sam(size, side)
    with torch.no_grad():
        for name, value in sam.named_parameters():
            if "pos" in name:
                value.normal_()
    return sam


@pytest.mark.parametrize("side", [128, 256, 512, 1024])
def test_an_official_checkpoint_loads_into_any_side(tiny, tmp_path, side):
    official = _random(tiny, 1024)
    torch.save(official.state_dict(), tmp_path / "official.pth")
    sam = load_sam(tiny, side, tmp_path / "official.pth")
    grid = side // 16
    theirs, ours = official.image_encoder, sam.image_encoder
    # The library itself interpolates tables of another length: in the global block it must agree.
    for name in ("rel_pos_h", "rel_pos_w"):
        wanted = get_rel_pos(grid, grid, getattr(theirs.blocks[1].attn, name))
        found = get_rel_pos(grid, grid, getattr(ours.blocks[1].attn, name))
        assert (wanted - found).abs().max() < 1e-5
        assert torch.equal(getattr(theirs.blocks[0].attn, name), getattr(ours.blocks[0].attn, name))
    assert ours.pos_embed.shape == (1, grid, grid, 32)
    assert (ours.pos_embed.mean() - theirs.pos_embed.mean()).abs() < 0.05
    exact = [
        name
        for name, value in official.state_dict().items()
        if value.shape == sam.state_dict()[name].shape
    ]
    assert all(torch.equal(official.state_dict()[n], sam.state_dict()[n]) for n in exact)
    if side <= 256:
        with torch.no_grad():
            assert torch.isfinite(encode(sam, torch.rand(1, 1, side, side))).all()


def test_a_smooth_position_table_stays_smooth_and_in_place(tiny):
    official, sam = build_sam(tiny, 1024), build_sam(tiny, 256)
    ramp = torch.linspace(0, 1, 64)
    with torch.no_grad():
        official.image_encoder.pos_embed.copy_(ramp[None, :, None, None].expand(1, 64, 64, 32))
    table = fit_to_side(official.state_dict(), sam)["image_encoder.pos_embed"]
    rows = table[0, :, 0, 0]
    assert torch.allclose(rows, ramp.reshape(16, 4).mean(dim=1), atol=0.01)
    assert torch.equal(table[0, :, 0], table[0, :, 9])


@pytest.mark.parametrize(("side", "length"), [(256, 31), (512, 63)])
def test_exactly_nine_tensors_of_vit_b_depend_on_the_side(side, length):
    with torch.device("meta"):
        official, sam = build_sam("vit_b").state_dict(), build_sam("vit_b", side)
    differ = {n for n, value in sam.state_dict().items() if value.shape != official[n].shape}
    tables = {f"image_encoder.blocks.{b}.attn.rel_pos_{a}" for b in (2, 5, 8, 11) for a in "hw"}
    assert differ == {"image_encoder.pos_embed", *tables}
    fitted = fit_to_side(official, sam)
    assert {n: v.shape for n, v in fitted.items()} == {
        n: v.shape for n, v in sam.state_dict().items()
    }
    assert fitted["image_encoder.blocks.2.attn.rel_pos_h"].shape == (length, 64)


def test_every_key_that_does_not_match_is_named(tmp_path):
    sam = build_sam("pocket")
    state = sam.state_dict()
    del state["mask_decoder.iou_token.weight"]
    state["mask_decoder.spare"] = torch.zeros(2)
    state["prompt_encoder.no_mask_embed.weight"] = torch.zeros(1, 5)
    torch.save(state, tmp_path / "odd.pth")
    before = base_hash(sam)
    with pytest.raises(SamnbError) as caught:
        load_weights(sam, tmp_path / "odd.pth")
    words = str(caught.value)
    assert "1 missing: mask_decoder.iou_token.weight" in words
    assert "1 unexpected: mask_decoder.spare" in words
    assert "1 misshaped: prompt_encoder.no_mask_embed.weight (1, 5) for (1, 96)" in words
    assert base_hash(sam) == before


def test_weights_of_another_size_are_refused(tiny, tmp_path):
    torch.save(build_sam(tiny, 1024).state_dict(), tmp_path / "tiny.pth")
    with pytest.raises(SamnbError, match="not the weights of this SAM"):
        load_weights(build_sam("pocket"), tmp_path / "tiny.pth")


def test_windows_of_another_size_are_not_stretched(tiny, monkeypatch, tmp_path):
    torch.save(build_sam(tiny, 256).state_dict(), tmp_path / "tiny.pth")
    monkeypatch.setitem(SAM_SIZES, tiny, SamSize(**{**vars(SAM_SIZES[tiny]), "window": 7}))
    with pytest.raises(SamnbError, match="4 misshaped"):
        load_weights(build_sam(tiny, 256), tmp_path / "tiny.pth")


class _Code:
    def __reduce__(self):
        return os.system, ("echo run > evidence",)


def _cut(path, suffix: str):
    state = build_sam("pocket").state_dict()
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    path.write_bytes(path.read_bytes()[:1_000_000])


BROKEN = {
    "cut.pth": lambda path: _cut(path, ".pth"),
    "cut.safetensors": lambda path: _cut(path, ".safetensors"),
    "empty.pth": lambda path: path.write_bytes(b""),
    "page.pth": lambda path: path.write_text("<html>404 not found</html>"),
    "code.pth": lambda path: path.write_bytes(pickle.dumps({"weight": _Code()}, protocol=2)),
    "wrapped.pth": lambda path: torch.save({"model": {"a": torch.zeros(1)}, "step": 3}, path),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_clear_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BROKEN[name](tmp_path / name)
    with pytest.raises(SamnbError, match=name) as caught:
        load_weights(build_sam("pocket"), tmp_path / name)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evidence").exists()


def test_weights_that_are_not_there():
    with pytest.raises(SamnbError, match="No weights at nowhere"):
        load_weights(build_sam("pocket"), "nowhere.pth")
    with pytest.raises(SamnbError, match="No weights of the name 'vit_g'"):
        weights.get("vit_g")


def test_the_pocket_weights_are_half_on_disk_and_single_in_memory(tmp_path, monkeypatch):
    state = {name: value.half() for name, value in _random("pocket", 128).state_dict().items()}
    save_file(state, tmp_path / "pocket.safetensors")
    monkeypatch.setattr(weights, "POCKET", tmp_path / "pocket.safetensors")
    sam = load_sam("pocket")
    assert all(value.dtype == torch.float32 for value in sam.state_dict().values())
    assert torch.equal(
        sam.mask_decoder.iou_token.weight.half(), state["mask_decoder.iou_token.weight"]
    )
    monkeypatch.setattr(weights, "POCKET", tmp_path / "absent.safetensors")
    with pytest.raises(SamnbError, match="missing from this copy"):
        load_sam("pocket")
    assert load_sam("pocket", weights=None).image_encoder.img_size == 128


def test_published_weights_are_named_in_full():
    assert set(published()) == {"vit_b", "vit_l", "vit_h"}
    for entry in published().values():
        assert len(entry.sha256) == 64
        assert entry.url.endswith(entry.file)
        assert entry.bytes > 3e8


def test_a_damaged_download_is_noticed_before_use(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    path = weights.weights_path("vit_b")
    path.parent.mkdir()
    path.write_bytes(b"not what was published")
    with pytest.raises(SamnbError, match=r"sam_vit_b_01ec64\.pth: checksum mismatch"):
        weights.get("vit_b", progress=False)
    assert path.read_bytes() == b"not what was published"  # the reader's file, not ours to delete


def test_the_hash_of_the_base_ignores_adapter_and_speed_but_no_weight():
    plain = base_hash(_random("pocket", 128))
    torch.manual_seed(0)
    assert base_hash(_random("pocket", 128, seed=1)) != plain
    for settings in (LoraSettings(), LoraSettings(encoder="qkv", decoder=True)):
        sam = add_lora(_random("pocket", 128), settings, ("prompt_encoder",))
        with torch.no_grad():
            for value in sam.parameters():
                if value.requires_grad:
                    value += 1
        assert base_hash(sam) == plain
    with torch.no_grad():
        sam.image_encoder.blocks[3].attn.qkv.base_layer.bias[7] += 1e-6
    assert base_hash(sam) != plain
