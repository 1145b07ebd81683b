"""SAM in three dimensions: sizes, axes, windows, attention, prompts, weights."""

import argparse
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from samnb.base.errors import DataError, SamnbError
from samnb.networks.sam3d import model
from samnb.networks.sam3d.attention import Attention3D
from samnb.networks.sam3d.image_encoder import even_window, join_windows, split_windows
from samnb.networks.sam3d.model import Sam3DSize, build_sam3d, encode, normalise
from samnb.networks.sam3d.prompting import VolumePrompts, _tokens, decode
from samnb.networks.sam3d.published import PublishedAttention
from samnb.networks.sam3d.weights import load_weights

TINY = Sam3DSize(24, 2, 2, (1,), patch=4, window=3, prompt_width=24, decoder_heads=2, side=16)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    torch.manual_seed(0)
    sizes = {
        "tiny": replace(TINY, decoder_mlp=32, boxes=True),
        "tiny_published": replace(TINY, decoder_mlp=32, window=6, as_published=True),
    }
    for name, size in sizes.items():
        monkeypatch.setitem(model.SAM3D_SIZES, name, size)


def _shaken(module: nn.Module) -> nn.Module:
    """No parameter is zero, so that none is without effect."""
    for value in module.parameters():
        nn.init.normal_(value, std=0.3)
    return module


def _answer(sam, **prompts):
    volumes = torch.rand(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return decode(sam, encode(sam, volumes), VolumePrompts(**prompts))


# ---- sizes and places --------------------------------------------------------------------------


def test_parameters_are_those_of_sam_med3d():
    with torch.device("meta"):
        sam = build_sam3d("sam_med3d")
    parts = (sam, sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)
    counts = [sum(value.numel() for value in part.parameters()) for part in parts]
    assert counts == [100_509_232, 92_924_928, 8_668, 7_575_636]
    tables = {name: tuple(value.shape) for name, value in sam.named_parameters()}
    assert tables["image_encoder.blocks.0.attn.rel_pos_w"] == (27, 64)
    assert tables["image_encoder.blocks.2.attn.rel_pos_d"] == (15, 64)


def test_cells_and_points_of_one_place_have_one_encoding():
    encoder = build_sam3d("tiny").prompt_encoder
    cells = encoder.pe_layer.of_cells(4)[0].permute(1, 2, 3, 0)
    z, y, x = torch.meshgrid(*(torch.arange(4.0),) * 3, indexing="ij")
    middles = torch.stack([z, y, x], dim=-1) * 4 + 1.5  # of cells of 4 voxels, as voxel indices
    points = encoder.pe_layer((middles + 0.5) / 16)
    assert torch.allclose(cells, points, atol=1e-5)


def test_published_weights_exchange_the_first_two_axes_of_cells():
    places = build_sam3d("tiny_published").prompt_encoder.pe_layer
    cells, middle = places.of_cells(4)[0], (torch.tensor([0.0, 1.0, 2.0]) + 0.5) / 4
    assert torch.allclose(cells[:, 1, 0, 2], places(middle), atol=1e-5)
    assert not torch.allclose(cells[:, 0, 1, 2], places(middle), atol=1e-2)


def test_a_volume_is_normalised_over_its_voxels_above_zero():
    volume = torch.zeros(1, 1, 4, 4, 4)
    volume[..., :2] = torch.rand(1, 1, 4, 4, 2) + 1
    normed = normalise(torch.cat([volume, 7 * volume]))
    assert torch.allclose(normed[0], normed[1], atol=1e-4)
    inside = normed[0, ..., :2]
    assert abs(inside.mean()) < 1e-5
    assert abs(inside.std() - 1) < 1e-5
    assert torch.equal(normalise(torch.zeros(1, 1, 2, 2, 2)), torch.zeros(1, 1, 2, 2, 2))


# ---- windows and attention ---------------------------------------------------------------------


def test_windows_are_as_few_and_as_even_as_can_be():
    assert [even_window(grid, 14) for grid in (6, 8, 14, 15, 16)] == [6, 8, 14, 8, 8]
    with torch.device("meta"):
        blocks = build_sam3d("sam_med3d", as_published=False).image_encoder.blocks
    assert {block.window for block in blocks} == {0}
    small = build_sam3d("tiny").image_encoder.blocks
    assert [(block.window, len(block.attn.rel_pos_d)) for block in small] == [(2, 5), (0, 7)]


def test_windows_are_cut_and_joined():
    x = torch.rand(2, 4, 5, 3, 7)
    windows = split_windows(x, 2)
    assert windows.shape == (2 * 2 * 3 * 2, 2, 2, 2, 7)
    assert torch.equal(windows[1, :, :, 0], x[0, 0:2, 0:2, 2])  # the second along the columns
    assert torch.equal(join_windows(windows, 2, x.shape), x)


def _scores(attention: Attention3D, x, bias):
    """Attention with its whole matrix: `bias(query, key)` of places, for one volume x (n, n, n)."""
    size, width = x.shape[0], x.shape[-1] // attention.heads
    places = [(d, h, w) for d in range(size) for h in range(size) for w in range(size)]
    qkv = attention.qkv(x).reshape(size, size, size, 3, attention.heads, width)
    found = []
    for head in range(attention.heads):
        q, k, v = (qkv[..., part, head, :] for part in range(3))
        scores = torch.stack(
            [
                torch.stack([attention.scale * q[a] @ k[b] + bias(q, a, b) for b in places])
                for a in places
            ]
        )
        found.append(scores.softmax(dim=1) @ torch.stack([v[b] for b in places]))
    return attention.proj(torch.cat(found, dim=1)).reshape(x.shape)


def test_fast_attention_is_plain_attention():
    attention = _shaken(Attention3D(8, 2, cube=2))
    x = torch.randn(2, 2, 2, 2, 8, requires_grad=True)

    def bias(q, a, b):
        tables = (attention.rel_pos_d, attention.rel_pos_h, attention.rel_pos_w)
        return sum(q[a] @ tables[i][a[i] - b[i] + 1] for i in range(3))

    plain = torch.stack([_scores(attention, volume, bias) for volume in x])
    fast = attention(x)
    assert torch.allclose(plain, fast, atol=1e-5)
    weight = torch.randn_like(fast)
    wanted = [*attention.parameters(), x]
    first = torch.autograd.grad((plain * weight).sum(), wanted)
    second = torch.autograd.grad((fast * weight).sum(), wanted)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(first, second, strict=True))


def test_tables_of_a_larger_cube_keep_the_meaning_of_distances():
    large, small = _shaken(Attention3D(8, 2, cube=5)), Attention3D(8, 2, cube=3)
    tables = {name: value[2:7] for name, value in large.state_dict().items() if "rel_pos" in name}
    small.load_state_dict({**large.state_dict(), **tables})
    x = torch.randn(1, 3, 3, 3, 8)
    assert torch.allclose(large(x), small(x), atol=1e-6)


def test_published_attention_mixes_axes_and_attends_to_padding():
    attention = _shaken(PublishedAttention(8, 2, cube=3, side=3))
    x = torch.randn(1, 2, 2, 2, 8)

    def bias(q, a, b):
        return (
            q[a] @ attention.rel_pos_d[a[0] - b[2] + 2]
            + q[a[0], a[1], b[0]] @ attention.rel_pos_h[a[1] - b[2] + 2]
            + q[a[0], a[1], b[1]] @ attention.rel_pos_w[b[1] - b[2] + 2]
        )

    padded = nn.functional.pad(x, (0, 0, 0, 1, 0, 1, 0, 1))
    plain = _scores(attention, padded[0], bias)[:2, :2, :2]
    assert torch.allclose(plain, attention(x)[0], atol=1e-5)


# ---- prompts -----------------------------------------------------------------------------------


def test_a_row_s_answer_does_not_hang_on_the_batch():
    sam = _shaken(build_sam3d("tiny"))
    points = torch.tensor(
        [[[3.0, 5, 7], [9, 2, 4]], [[1, 2, 3], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    )
    labels = torch.tensor([[1, 0], [0, -1], [-1, -1]])
    boxes = torch.full((3, 6), torch.nan)
    boxes[1:] = torch.tensor([[2.0, 3, 4, 9, 10, 11], [0, 0, 1, 5, 6, 16]])
    masks = torch.randn(3, 1, 16, 16, 16)
    masks[0] = torch.nan
    volume = torch.tensor([1, 0, 1])
    together = _answer(sam, volume=volume, boxes=boxes, points=points, labels=labels, masks=masks)
    alone = [
        _answer(sam, volume=volume[:1], points=points[:1], labels=labels[:1]),
        _answer(
            sam,
            volume=volume[1:2],
            boxes=boxes[1:2],
            points=points[1:2, :1],
            labels=labels[1:2, :1],
            masks=masks[1:2],
        ),
        _answer(sam, volume=volume[2:], boxes=boxes[2:], masks=masks[2:]),
    ]
    for row, answer in enumerate(alone):
        assert torch.allclose(together.logits[row], answer.logits[0], atol=1e-4)
        assert torch.allclose(together.scores[row], answer.scores[0], atol=1e-4)
    assert together.logits.shape == (3, 4, 16, 16, 16)
    assert together.at_side(20).logits.shape == (3, 4, 20, 20, 20)


def test_points_are_closed_by_a_padding_token_unless_a_box_follows():
    points, labels = torch.zeros(3, 2, 3), torch.tensor([[1, 0], [1, -1], [-1, -1]])
    boxes = torch.full((3, 6), torch.nan)
    boxes[1:] = torch.tensor([2.0, 3, 4, 9, 10, 11])
    prompts = VolumePrompts(torch.zeros(3, dtype=torch.long), boxes, points, labels)
    places, kinds, counts = _tokens(prompts)
    assert counts.tolist() == [3, 3, 2]
    assert kinds.tolist() == [[1, 0, -1], [2, 3, 1], [2, 3, -1]]
    assert places[2, :2].tolist() == [[2, 3, 4], [9, 10, 11]]


def test_every_kind_of_prompt_counts():
    sam = _shaken(build_sam3d("tiny"))
    volume, point, one = torch.tensor([0]), torch.tensor([[[3.0, 5, 7]]]), torch.tensor([[1]])
    box = torch.tensor([[2.0, 3, 4, 9, 10, 11]])
    turned = torch.tensor([[2.0, 3, 4, 9, 11, 10]])
    asked = [
        {"points": point, "labels": one},
        {"points": point, "labels": 1 - one},
        {"points": point.flip(2), "labels": one},
        {"boxes": box},
        {"boxes": turned},
        {"points": point, "labels": one, "masks": torch.zeros(1, 1, 16, 16, 16)},
        {"points": point, "labels": one, "masks": torch.ones(1, 1, 16, 16, 16)},
    ]
    found = [_answer(sam, volume=volume, **prompts).logits for prompts in asked]
    for i, first in enumerate(found):
        assert all((first - other).abs().max() > 1e-4 for other in found[:i])


def test_logits_stand_where_their_cells_do():
    """The painted voxels of cells are those of transposed convolutions."""
    decoder = _shaken(build_sam3d("tiny").mask_decoder)
    cells, kernels = torch.randn(2, 27, 24), torch.randn(2, 4, 3)
    grid = cells.transpose(1, 2).reshape(2, 24, 3, 3, 3)
    wanted = torch.einsum("rme,rezyx->rmzyx", kernels, decoder.output_upscaling(grid))
    assert torch.allclose(decoder.paint(cells, kernels), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"points": torch.zeros(1, 1, 3)}, "go together"),
        ({"points": torch.full((1, 1, 3), 17.0), "labels": torch.ones(1, 1)}, "outside the volume"),
        ({"points": torch.zeros(1, 1, 3), "labels": torch.full((1, 1), 2)}, "unknown label"),
        ({"boxes": torch.tensor([[5.0, 5, 5, 5, 9, 9]])}, "no volume"),
        ({"boxes": torch.tensor([[5.0, 5, 5, 9, 9, 17]])}, "outside the volume"),
        ({"boxes": torch.zeros(1, 4)}, "of shape"),
        ({"masks": torch.zeros(1, 1, 8, 8, 8)}, "of shape"),
    ],
)
def test_prompts_without_sense_are_refused(prompts, message):
    with pytest.raises(SamnbError, match=message):
        _answer(build_sam3d("tiny"), volume=torch.tensor([0]), **prompts)


def test_boxes_need_embeddings_of_their_corners():
    box = torch.tensor([[2.0, 3, 4, 9, 10, 11]])
    with pytest.raises(SamnbError, match="no embeddings for the corners"):
        _answer(build_sam3d("tiny_published"), volume=torch.tensor([0]), boxes=box)
    _answer(build_sam3d("tiny_published", boxes=True), volume=torch.tensor([0]), boxes=box)


# ---- weights -----------------------------------------------------------------------------------


def test_checkpoints_of_sam_med3d_load_by_name(tmp_path):
    sam = _shaken(build_sam3d("tiny_published"))
    checkpoint = {"model_state_dict": sam.state_dict(), "args": argparse.Namespace(lr=1)}
    torch.save(checkpoint, tmp_path / "turbo.pth")
    plain = load_weights(build_sam3d("tiny_published"), tmp_path / "turbo.pth")
    for name, value in sam.state_dict().items():
        assert torch.equal(plain.state_dict()[name], value)
    boxed = load_weights(build_sam3d("tiny_published", boxes=True), tmp_path / "turbo.pth")
    corners = boxed.prompt_encoder.point_embeddings
    assert torch.equal(corners[2].weight, sam.prompt_encoder.point_embeddings[1].weight)
    assert corners[3].weight.requires_grad
    with pytest.raises(DataError, match="of another shape"):
        load_weights(build_sam3d("pocket_3d"), tmp_path / "turbo.pth")


def test_weights_are_fitted_to_another_side(tmp_path):
    sam = _shaken(build_sam3d("tiny"))
    with torch.no_grad():
        steps = torch.arange(4.0)[None, :, None, None, None]
        sam.image_encoder.pos_embed.copy_(steps.expand(1, 4, 4, 4, 24))
    save_file(sam.state_dict(), tmp_path / "sam.safetensors")
    larger = load_weights(build_sam3d("tiny", side=24), tmp_path / "sam.safetensors")
    table = larger.image_encoder.pos_embed[0, :, 0, 0, 0]
    assert len(table) == 6
    assert torch.all(table[1:] >= table[:-1])
    assert larger.image_encoder.blocks[1].attn.rel_pos_h.shape == (11, 12)
