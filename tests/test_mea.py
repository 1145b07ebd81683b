"""The mask-enhanced adapter of M-SAM: its equations, its size, and what a fresh one does."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.networks.sam.lora import add_lora, count_parameters
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam3d.mea import (
    Local3D,
    MaskEnhancedAdapter,
    MeaSettings,
    MutualBlock,
    build_mea,
)
from samnb.networks.sam3d.model import build_sam3d

PLAIN = MeaSettings(heads=2, parts="plain")


def _shaken(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for value in module.parameters():
        nn.init.normal_(value, std=0.3)
    return module


def _plain_attention(attention, x):
    """MHSA without relative positions, for one volume: (g, g, g, C)."""
    size, heads = x.shape[0], attention.heads
    query, key, value = attention.qkv(x.flatten(0, 2)).reshape(size**3, 3, heads, -1).unbind(1)
    scores = torch.einsum("qhc,khc->hqk", query, key) * query.shape[-1] ** -0.5
    return attention.proj(
        torch.einsum("hqk,khc->qhc", scores.softmax(-1), value).flatten(1)
    ).reshape(x.shape)


def _adapter(settings=PLAIN):
    adapter = _shaken(MaskEnhancedAdapter(8, 2, settings))
    with torch.no_grad():
        for name, value in adapter.named_parameters():
            if "rel_pos" in name:
                value.zero_()
    return adapter


@torch.no_grad()
def test_a_plain_adapter_is_the_equations_of_the_paper():
    mea = _adapter()
    image, mask = torch.randn(2, 2, 2, 2, 8)
    left, right = mea.mutual.image, mea.mutual.mask
    a_image = _plain_attention(left.attn, left.norm1(image)) + mask
    a_mask = _plain_attention(right.attn, right.norm1(mask)) + image
    new_image = left.mlp(left.norm2(a_image)) + a_mask
    new_mask = right.mlp(right.norm2(a_mask)) + a_image
    new_image, new_mask = mea.norm_image(image + new_image), mea.norm_mask(mask + new_mask)
    fused = _plain_attention(mea.fusion, new_image + new_mask) + new_image
    wanted = mea.mlp(mea.norm(fused))
    found = mea(image.movedim(-1, 0)[None], mask.movedim(-1, 0)[None])
    assert torch.allclose(found[0].movedim(0, -1), wanted, atol=1e-4)


@torch.no_grad()
def test_residuals_are_the_other_blocks():
    block = MutualBlock(8, 2, PLAIN)
    for value in block.parameters():
        value.zero_()  # attention and MLP say nothing
    image, mask = torch.randn(2, 1, 2, 2, 2, 8)
    new_image, new_mask = block(image, mask)
    assert torch.equal(new_image, image)  # of the mask's block, which had it of the image's
    assert torch.equal(new_mask, mask)
    for value in (block.image.attn.proj.bias, block.mask.attn.proj.bias):
        value.fill_(1)
    block.mask.attn.proj.bias.fill_(3)
    new_image, new_mask = block(image, mask)
    assert torch.equal(new_image, image + 3)
    assert torch.equal(new_mask, mask + 1)


@torch.no_grad()
def test_a_released_block_sees_neighbours_and_has_two_mlps():
    mea = _adapter(MeaSettings(heads=2))
    x = torch.randn(1, 2, 2, 2, 8)
    local = mea.mutual.image.local
    near = F.conv3d(x.movedim(-1, 1), local.neighbours.weight, local.neighbours.bias, padding=1)
    mixed = local.mix(F.gelu(local.norm1(near.movedim(1, -1))))
    assert torch.allclose(local(x), local.norm2(x + mixed), atol=1e-5)
    unit = mea.mutual.image.attn
    wanted = unit.mlp(unit.norm(x[0] + _plain_attention(unit.attn, x[0])))
    assert torch.allclose(unit(x)[0], wanted, atol=1e-4)
    assert type(mea.fusion) is type(unit)


@torch.no_grad()
@pytest.mark.parametrize("parts", ["released", "plain"])
def test_the_mask_moves_the_image_embedding_and_a_fresh_adapter_moves_it_already(parts):
    mea = build_mea(8, 2, MeaSettings(2, parts), seed=1)
    image, mask = torch.randn(2, 1, 8, 2, 2, 2)
    found = mea(image, mask)
    assert found.shape == image.shape
    assert not torch.allclose(found, mea(image, 2 * mask), atol=1e-3)
    assert not torch.allclose(found, image + mask, atol=0.1)
    assert torch.equal(found, build_mea(8, 2, MeaSettings(2, parts), seed=1)(image, mask))
    assert not torch.equal(found, build_mea(8, 2, MeaSettings(2, parts), seed=2)(image, mask))


def test_every_part_of_an_adapter_learns():
    mea = _shaken(MaskEnhancedAdapter(8, 2, MeaSettings(2)))
    assert any(isinstance(module, Local3D) for module in mea.modules())
    mea(*torch.randn(2, 1, 8, 2, 2, 2)).square().sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in mea.parameters())


def _counts(rank, parts="released"):
    """Millions in all and trained of M-SAM at the paper's size."""
    with torch.device("meta"):
        sam = build_sam3d("sam_med3d")
        mea = MaskEnhancedAdapter(384, 8, MeaSettings(parts=parts))
        add_lora(sam, LoraSettings(rank, rank))
    for part in (sam.mask_decoder, sam.prompt_encoder):
        part.requires_grad_(True)
    count = count_parameters(nn.ModuleList([sam, mea]))
    return count.total / 1e6, count.trainable / 1e6, sum(each.numel() for each in mea.parameters())


def test_m_sam_has_the_papers_size_with_lora_of_rank_16_and_the_parts_of_its_code():
    total, trained, adapter = _counts(16)
    assert adapter == 17_145_024 - 4 * 768  # the public code has four norms more
    assert [round(total, 1), round(trained, 1)] == [118.2, 25.3]
    assert 100 * trained / total == pytest.approx(21.41, abs=0.01)
    rest = [value - adapter / 1e6 for value in (trained, total)]
    assert 100 * rest[0] / rest[1] == pytest.approx(8.09, abs=0.01)  # "w/o MEA" of table 3


def test_the_public_rank_and_the_text_alone_give_other_sizes():
    total, trained, _ = _counts(4)
    assert [round(total, 1), round(trained, 1)] == [117.8, 24.9]
    total, trained, _ = _counts(16, "plain")
    assert [round(total, 1), round(trained, 1)] == [106.4, 13.5]


@pytest.mark.parametrize("settings", [MeaSettings(5), MeaSettings(0), MeaSettings(2, "other")])
def test_an_adapter_that_cannot_be_is_refused(settings):
    with pytest.raises(SamnbError, match="Remedy"):
        MaskEnhancedAdapter(8, 2, settings)
