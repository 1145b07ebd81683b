"""SAM at any size: attention equal to the library's own, and the image encoder around it."""

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, image_encoder

from samnb.base.errors import SamnbError
from samnb.networks.sam.attention import FastAttention
from samnb.networks.sam.model import SAM_SIZES, SamSize, build_sam, encode

# (width, heads, rows and columns of tokens), as they occur: windows of 14, whole images, no square
SHAPES = {
    "vit_b window": (768, 12, 14, 14),
    "vit_b at 128": (768, 12, 8, 8),
    "vit_b at 256": (768, 12, 16, 16),
    "vit_l window": (1024, 16, 14, 14),
    "vit_l at 128": (1024, 16, 8, 8),
    "vit_h window": (1280, 16, 14, 14),
    "vit_h at 128": (1280, 16, 8, 8),
    "wide image": (64, 2, 5, 9),
}


def _pair(width: int, heads: int, size: tuple[int, int], positions: bool = True):
    """The library's attention and ours with equal weights and large relative positions."""
    options = {"num_heads": heads, "use_rel_pos": positions, "input_size": size}
    plain = image_encoder.Attention(width, **options)
    fast = FastAttention(width, **options)
    with torch.no_grad():
        for name, value in plain.named_parameters():
            if "rel_pos" in name:
                value.normal_(0, 0.3)
    fast.load_state_dict(plain.state_dict())
    return plain, fast


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest value where that exceeds one."""
    return float((one - other).abs().max() / one.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", SHAPES)
def test_attention_equals_the_library_forward_and_backward(name):
    width, heads, rows, columns = SHAPES[name]
    torch.manual_seed(0)
    results = []
    x = torch.randn(2, rows, columns, width)
    weight = torch.randn(2, rows, columns, width)
    for attention in _pair(width, heads, (rows, columns)):
        given = x.clone().requires_grad_()
        out = attention(given)
        (out * weight).mean().backward()
        gradients = {name: value.grad for name, value in attention.named_parameters()}
        results.append({"out": out.detach(), "x": given.grad, **gradients})
    plain, fast = results
    for key in plain:
        scale = 1e-5 if key in ("out",) else 1e-5 * max(1e-3, float(plain[key].abs().max()))
        assert (plain[key] - fast[key]).abs().max() < scale, key


def test_attention_without_positions_and_with_tables_of_another_length():
    torch.manual_seed(0)
    for size, positions in (((6, 6), False), ((32, 32), True)):
        plain, fast = _pair(64, 4, size, positions)
        x = torch.randn(2, 6, 6, 64)
        with torch.no_grad():
            assert (plain(x) - fast(x)).abs().max() < 1e-5


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_attention_in_half_precision(precision):
    torch.manual_seed(0)
    plain, fast = _pair(128, 2, (9, 9))
    x = torch.randn(2, 9, 9, 128)
    exact = plain(x)
    with torch.autocast("cpu", precision):
        half, theirs = fast(x), plain(x)
    half.float().mean().backward()
    error = (half.float() - exact).abs().max()
    assert error < 3 * (theirs.float() - exact).abs().max() + 1e-3
    assert all(torch.isfinite(value.grad).all() for value in fast.parameters())


def _encoders(size: str, side: int, **options):
    """A fast and a plain SAM with equal weights, and images."""
    torch.manual_seed(0)
    fast, plain = build_sam(size, side, **options), build_sam(size, side, fast=False)
    with torch.no_grad():
        for name, value in fast.named_parameters():
            if "pos" in name:
                value.normal_(0, 0.1)
    plain.load_state_dict(fast.state_dict())
    return fast, plain, torch.rand(2, 1, side, side)


@pytest.mark.parametrize(("size", "side"), [("pocket", 64), ("pocket", 128), ("vit_b", 128)])
def test_every_block_equals_the_library(size, side):
    fast, plain, images = _encoders(size, side)
    with torch.no_grad():
        x = plain.image_encoder.patch_embed(images.expand(-1, 3, -1, -1))
        for ours, theirs in zip(fast.image_encoder.blocks, plain.image_encoder.blocks, strict=True):
            wanted = theirs(x)
            assert _difference(wanted, ours(x)) < 1e-5
            x = wanted
        assert _difference(encode(plain, images), encode(fast, images)) < 1e-5


def test_windows_that_do_not_divide_the_image(monkeypatch):
    size = SamSize(64, 4, 2, (1, 3), prompt_width=32, decoder_mlp=32, decoder_heads=2, window=7)
    monkeypatch.setitem(SAM_SIZES, "tiny", size)
    for side in (128, 256):
        fast, plain, images = _encoders("tiny", side)
        for sam in (fast, plain):
            encode(sam, images).square().mean().backward()
        gradients = dict(plain.image_encoder.named_parameters())
        for name, value in fast.image_encoder.named_parameters():
            assert _difference(gradients[name].grad, value.grad) < 1e-5, name


def test_a_fast_and_a_plain_model_live_side_by_side():
    library = image_encoder.Attention.forward
    fast, plain, _ = _encoders("pocket", 64)
    assert image_encoder.Attention.forward is library
    assert all(type(block.attn) is FastAttention for block in fast.image_encoder.blocks)
    assert all(type(block.attn) is image_encoder.Attention for block in plain.image_encoder.blocks)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    assert type(plain.image_encoder).__mro__[1] is ImageEncoderViT


def test_the_encoder_equals_the_library_s_own_class():
    fast, _, images = _encoders("pocket", 64)
    size = SAM_SIZES["pocket"]
    theirs = ImageEncoderViT(
        img_size=64,
        patch_size=8,
        embed_dim=size.width,
        depth=size.depth,
        num_heads=size.heads,
        out_chans=size.prompt_width,
        norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    )
    theirs.load_state_dict(fast.image_encoder.state_dict())
    with torch.no_grad():
        x = fast.preprocess(images.expand(-1, 3, -1, -1) * 255)
        assert _difference(theirs(x), encode(fast, images)) < 1e-5


def test_images_are_normalised_as_sam_s_own_were(monkeypatch):
    sam, given = build_sam("pocket", 64), []
    monkeypatch.setattr(sam.image_encoder, "forward", given.append)
    red, green, blue = (123.675, 58.395), (116.28, 57.12), (103.53, 57.375)  # mean and deviation
    for deviations in (0, 1, -2):
        colour = [mean + deviations * spread for mean, spread in (red, green, blue)]
        encode(sam, torch.tensor(colour)[None, :, None, None].expand(1, 3, 64, 64) / 255)
        wanted = torch.full_like(given[-1], deviations)
        torch.testing.assert_close(given[-1], wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "heads", "whole"),
    [("vit_b", 12, (2, 5, 8, 11)), ("vit_l", 16, (5, 11, 17, 23)), ("vit_h", 16, (7, 15, 23, 31))],
)
def test_windows_whole_images_and_heads_are_where_they_were_published(size, heads, whole):
    with torch.device("meta"):
        sam = build_sam(size)
    blocks = sam.image_encoder.blocks
    windows = [block.window_size for block in blocks]
    assert windows == [0 if place in whole else 14 for place in range(len(blocks))]
    assert {block.attn.num_heads for block in blocks} == {heads}
    assert {block.norm1.eps for block in blocks} == {1e-6}
    decoder = sam.mask_decoder
    assert {layer.self_attn.num_heads for layer in decoder.transformer.layers} == {8}
    assert decoder.num_mask_tokens == 1 + 3


def test_every_block_of_the_pocket_sam_sees_the_whole_image():
    assert {block.window_size for block in build_sam("pocket").image_encoder.blocks} == {0}


def test_gradient_checkpointing_changes_no_gradient():
    kept, _, images = _encoders("pocket", 64)
    spared = build_sam("pocket", 64, checkpointing=True)
    spared.load_state_dict(kept.state_dict())
    for sam in (kept, spared):
        encode(sam, images).square().mean().backward()
    gradients = dict(kept.image_encoder.named_parameters())
    for name, value in spared.image_encoder.named_parameters():
        assert torch.equal(gradients[name].grad, value.grad), name


def test_autocast_runs_through_the_whole_encoder():
    fast, _, images = _encoders("pocket", 64)
    with torch.no_grad():
        exact = encode(fast, images)
        with torch.autocast("cpu", torch.bfloat16):
            half = encode(fast, images)
    assert not torch.equal(half, exact)
    assert (half.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_sizes_are_those_of_the_paper():
    for size, total in (("vit_b", 93_735_472), ("vit_l", 312_342_832), ("vit_h", 641_090_608)):
        with torch.device("meta"):
            sam = build_sam(size)
        assert sum(value.numel() for value in sam.parameters()) == total
    pocket = sum(value.numel() for value in build_sam("pocket").parameters())
    assert 2e6 < pocket < 5e6
    assert pocket * 2 < 12e6  # bytes in half precision


@pytest.mark.parametrize(
    ("size", "side"), [("vit_g", None), ("vit_b", 100), ("pocket", 60), ("vit_b", 2048)]
)
def test_impossible_sizes_and_sides_are_refused(size, side):
    with pytest.raises(SamnbError) as caught:
        build_sam(size, side)
    assert caught.value.remedy
