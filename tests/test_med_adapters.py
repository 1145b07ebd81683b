"""Med-SA's adapters in SAM: where they sit, what they add, what they know of depth and prompts."""

import copy

import pytest
import torch
from segment_anything.modeling import image_encoder
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from samnb.base.errors import DataError, SamnbError
from samnb.base.files import read_json
from samnb.networks.sam.hyper_prompt import PROMPTINGS, Hyper
from samnb.networks.sam.lora import add_lora, count_parameters
from samnb.networks.sam.med_adapter_files import load_med_adapters, save_med_adapters
from samnb.networks.sam.med_adapters import (
    ADAPTERS,
    MedAdapterSettings,
    add_med_adapters,
    is_adapter,
)
from samnb.networks.sam.model import SAM_SIZES, SamSize, build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.space_depth import encode_in_patches, encode_volumes, slices_of
from samnb.networks.sam.weights import base_hash

SIDE, GRID, WIDTH, WINDOW = 128, 8, 32, 3  # windows of 3 do not divide a grid of 8
DEPTH = 4  # slices of the volumes here
WINDOWED, GLOBAL = 0, 1  # blocks
FOUR = MedAdapterSettings(bottleneck=8)  # four channels in every adapter
WHOLE = 1  # a bottleneck that is none: among 32 channels ReLU leaves some alive


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    size = SamSize(WIDTH, 2, 2, (GLOBAL,), window=WINDOW, prompt_width=WIDTH,
                   decoder_heads=2, decoder_mlp=32, mask_channels=4, side=SIDE)  # fmt: skip
    monkeypatch.setitem(SAM_SIZES, "tiny", size)


def plain(seed: int = 0):
    """A SAM with random weights, relative positions among them."""
    torch.manual_seed(seed)
    sam = build_sam("tiny").eval()
    with torch.no_grad():
        for name, value in sam.named_parameters():
            if "pos" in name:
                value.normal_(0, 0.3)
    return sam


def stir(sam):
    """Give every adapter random weights, as if it had learned."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in sam.named_parameters():
            if is_adapter(name):
                value.normal_(0, 0.3)
    return sam


def adapted(settings=FOUR, **options):
    return add_med_adapters(plain(), settings, **options)


def trained(bottleneck=8, **changes):
    return stir(adapted(MedAdapterSettings(bottleneck, **changes)))


def made(depth: int = DEPTH, count: int = 2) -> Tensor:
    return torch.rand(count, 1, depth, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def mixed_prompts() -> Prompts:
    """Of four rows: a point, three points, a box, a box and a point: 2, 4, 2 and 3 tokens."""
    nowhere = [0.0, 0.0]
    points = [[[30.0, 40], nowhere, nowhere], [[30, 40], [60, 70], [90, 20]],
              [nowhere] * 3, [[50, 60], nowhere, nowhere]]  # fmt: skip
    labels = [[1, -1, -1], [1, 0, 1], [-1, -1, -1], [0, -1, -1]]
    none = [float("nan")] * 4
    boxes = [none, none, [10.0, 20, 70, 90], [30, 30, 99, 80]]
    return Prompts(torch.tensor([0, 1, 2, 0]), torch.tensor(boxes),
                   torch.tensor(points), torch.tensor(labels))  # fmt: skip


# A fresh Med-SA is SAM


@pytest.mark.parametrize("prompt", PROMPTINGS)
@pytest.mark.parametrize("depth", ["none", "joined", "own"])
def test_a_fresh_med_sa_is_sam_bit_for_bit(depth, prompt):
    settings = MedAdapterSettings(bottleneck=8, depth=depth, prompt=prompt)
    sam, ours = plain(), adapted(settings)
    volumes, prompts = made(), mixed_prompts()
    with torch.no_grad():
        embeddings = encode(sam, slices_of(volumes))
        assert torch.equal(encode_volumes(ours, volumes), embeddings)
        assert torch.equal(encode(ours, slices_of(volumes)), embeddings)
        theirs, found = decode(sam, embeddings, prompts), decode(ours, embeddings, prompts)
    assert theirs.logits.std() > 0
    assert torch.equal(found.logits, theirs.logits)
    assert torch.equal(found.scores, theirs.scores)
    nothing = Prompts(torch.arange(3))
    with torch.no_grad():
        theirs, found = decode(sam, embeddings, nothing), decode(ours, embeddings, nothing)
    assert torch.equal(found.logits, theirs.logits)


def test_sams_own_parameters_keep_their_names_and_values_and_do_not_learn():
    sam, ours = plain(), adapted()
    own = {name: value for name, value in ours.named_parameters() if not is_adapter(name)}
    assert own.keys() == dict(sam.named_parameters()).keys()
    assert all(torch.equal(value, own[name]) for name, value in sam.named_parameters())
    assert not any(value.requires_grad for value in own.values())
    learns = {name for name, value in ours.named_parameters() if value.requires_grad}
    assert learns == set(dict(ours.named_parameters())) - own.keys()
    kinds = {part for name in learns for part in name.split(".") if part in ADAPTERS}
    assert kinds == set(ADAPTERS) - {"depth_adapter"}


def test_parts_are_trained_whole_where_asked_and_seeds_decide_the_rest():
    sam = adapted(trained=("mask_decoder",))
    learns = {name for name, value in sam.named_parameters() if value.requires_grad}
    assert {name for name, _ in sam.named_parameters() if name.startswith("mask_")} <= learns
    assert not any(name.startswith("prompt_encoder") for name in learns)
    before = torch.random.get_rng_state()
    one, same, other = (adapted(seed=seed).state_dict() for seed in (1, 1, 2))
    torch.random.set_rng_state(before)
    name = "image_encoder.blocks.0.attention_adapter.down.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def by_kind(sam) -> dict[str, int]:
    """Numbers of adapters' parameters in encoder and decoder."""
    found = {"image_encoder": 0, "mask_decoder": 0}
    for name, value in sam.named_parameters():
        if value.requires_grad:
            found[name.split(".")[0]] += value.numel()
    return found


def of_adapter(width: int, length: int) -> int:
    return (width * length + length) + (length * width + width)


@pytest.mark.parametrize(
    ("size", "blocks", "width", "encoder"),
    [("vit_h", 32, 1280, 13_194_240), ("vit_b", 12, 768, 1_789_056)],
)
def test_at_the_papers_size_the_encoder_has_its_thirteen_million(size, blocks, width, encoder):
    with torch.device("meta"):
        sam = add_med_adapters(build_sam(size), MedAdapterSettings())
        own = add_med_adapters(build_sam(size), MedAdapterSettings(depth="own"))
    found = by_kind(sam)
    assert found["image_encoder"] == encoder == 2 * blocks * of_adapter(width, width // 16)
    assert by_kind(own)["image_encoder"] == encoder * 3 // 2
    reduction, generators = 8 * 256 * 16 + 16, 3 * (16 * 256 + 256)
    norm = 2 * 256 + 1
    hyper = of_adapter(256, 16) + reduction + generators
    decoder = 2 * (hyper + 2 * of_adapter(256, 16) + norm)
    assert found["mask_decoder"] == decoder == 143_490
    assert count_parameters(sam).trainable == encoder + decoder


# The encoder's adapters and SD-Trans, written out once more, window by window, column by column


def reference(block, x: Tensor, depth: int, kind: str) -> Tensor:
    """A block by the library's own attention: the score matrix is written out."""
    attention = image_encoder.Attention(
        WIDTH, 2, use_rel_pos=True, input_size=(block.window_size or GRID,) * 2
    )
    attention.load_state_dict(block.attn.state_dict())
    normed = block.norm1(x)
    space, behind = torch.zeros_like(x), torch.zeros_like(x)
    if block.window_size:
        for picture in range(len(x)):
            padded = F.pad(normed[picture], (0, 0, 0, 1, 0, 1))
            for top in range(0, GRID, WINDOW):
                for left in range(0, GRID, WINDOW):
                    window = padded[top : top + WINDOW, left : left + WINDOW]
                    seen = attention(window[None])[0]
                    seen = seen[: GRID - top, : GRID - left]
                    space[picture, top : top + WINDOW, left : left + WINDOW] = seen
    else:
        for picture in range(len(x)):
            space[picture] = attention(normed[picture][None])[0]
    for first in range(0, len(x), depth):
        for row in range(GRID):
            for column in range(GRID):
                tokens = normed[first : first + depth, row, column]
                mixed = attention(tokens[None, :, None])[0, :, 0]
                behind[first : first + depth, row, column] = mixed

    def bottleneck(adapter, values):
        return adapter.up(torch.relu(adapter.down(values)))

    x = x + space
    if kind == "joined":
        x = x + bottleneck(block.attention_adapter, space + behind)
    else:
        x = x + bottleneck(block.attention_adapter, space)
    if kind == "own":
        x = x + bottleneck(block.depth_adapter, behind)
    normed = block.norm2(x)
    return x + block.mlp(normed) + block.scale * bottleneck(block.mlp_adapter, normed)


@pytest.mark.parametrize("place", [WINDOWED, GLOBAL])
@pytest.mark.parametrize("kind", ["none", "joined", "own"])
def test_a_block_is_what_the_paper_describes(place, kind):
    block = trained(depth=kind, scale=0.7).image_encoder.blocks[place]
    assert block.window_size == (WINDOW if place == WINDOWED else 0)
    x = torch.randn(2 * DEPTH, GRID, GRID, WIDTH, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        found, wanted = block(x, DEPTH), reference(block, x, DEPTH, kind)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["joined", "own"])
@pytest.mark.parametrize("place", [WINDOWED, GLOBAL])
def test_depth_mixes_along_the_column_of_a_bright_token_and_nothing_else(place, kind):
    block = trained(WHOLE, depth=kind).image_encoder.blocks[place]
    x = torch.randn(2 * DEPTH, GRID, GRID, WIDTH, generator=torch.Generator().manual_seed(3))
    bright = x.clone()
    slice_, row, column = DEPTH + 2, 4, 6  # the third slice of the second volume
    bright[slice_, row, column] += torch.arange(WIDTH) % 5
    with torch.no_grad():
        changed = (block(bright, DEPTH) != block(x, DEPTH)).any(dim=-1)
    wanted = torch.zeros_like(changed)
    wanted[DEPTH:, row, column] = True
    if place == WINDOWED:
        wanted[slice_, 3:6, 6:8] = True  # its window: rows 3 to 5, columns 6 to 8, cut at 8
    else:
        wanted[slice_] = True
    assert torch.equal(changed, wanted)


@pytest.mark.parametrize("place", [WINDOWED, GLOBAL])
def test_a_bright_slice_is_seen_by_its_volume_and_by_no_other(place):
    block = trained(WHOLE).image_encoder.blocks[place]
    x = torch.randn(2 * DEPTH, GRID, GRID, WIDTH, generator=torch.Generator().manual_seed(3))
    bright = x.clone()
    bright[1] += torch.randn(WIDTH, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        changed = (block(bright, DEPTH) != block(x, DEPTH)).any(dim=-1)
    assert changed[:DEPTH].all()
    assert not changed[DEPTH:].any()
    alone = trained(WHOLE, depth="none").image_encoder.blocks[place]
    with torch.no_grad():
        changed = (alone(bright, DEPTH) != alone(x, DEPTH)).any(dim=-1)
    assert changed[1].all()
    assert not changed[[0, *range(2, 2 * DEPTH)]].any()


def test_nearer_slices_are_told_from_farther_ones():
    """With equal contents only relative positions can tell slices apart."""
    block = trained().image_encoder.blocks[WINDOWED]
    x = torch.randn(1, GRID, GRID, WIDTH).expand(DEPTH, -1, -1, -1)

    def shares(x):
        asked = x.clone()
        asked[3] += 1  # the last slice is another
        with torch.no_grad():
            return block._over_depth(asked, DEPTH)[:3, 0, 0]

    first, second, third = shares(x)
    assert (first - third).abs().max() > 1e-4
    assert (first - second).abs().max() > 1e-4
    with torch.no_grad():
        block.attn.rel_pos_h.zero_()
    first, second, third = shares(x)
    torch.testing.assert_close(first, third)


def test_a_volume_of_one_slice_is_a_picture():
    for kind in ("joined", "own"):
        sam, volumes = trained(WHOLE, depth=kind), made(1)
        alone = adapted(MedAdapterSettings(WHOLE, depth="none"))
        alone.load_state_dict(sam.state_dict(), strict=False)
        with torch.no_grad():
            picture = encode(alone, volumes[:, :, 0])
            assert torch.equal(encode_volumes(sam, volumes), picture)
            assert torch.equal(encode(sam, volumes[:, :, 0]), picture)


def test_slices_that_see_one_another_are_no_pictures():
    volumes = made()
    sam, alone = trained(), trained(depth="none")
    with torch.no_grad():
        pictures = encode(sam, slices_of(volumes))
        assert (encode_volumes(sam, volumes) - pictures).abs().max() > 1e-2
        assert torch.equal(encode_volumes(alone, volumes), encode(alone, slices_of(volumes)))


class Listening(TorchDispatchMode):
    """Notes every operation, and the largest tensor that any of them gives."""

    def __init__(self):
        super().__init__()
        self.names, self.largest = set(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.names.add(str(function))
        for value in result if isinstance(result, tuple | list) else [result]:
            if isinstance(value, Tensor):
                self.largest = max(self.largest, value.numel())
        return result


def test_no_matrix_of_scores_is_written_out():
    block = trained().image_encoder.blocks[GLOBAL]
    x = torch.randn(DEPTH, GRID, GRID, WIDTH)
    with Listening() as heard, torch.no_grad():
        block._over_depth(x, DEPTH)
    assert not any("softmax" in name for name in heard.names)
    assert any("scaled_dot_product" in name for name in heard.names)
    tokens = DEPTH * GRID * GRID
    # Queries, keys and values; the scores of all tokens with all would be 2.7 times as many.
    assert heard.largest <= 3 * WIDTH * tokens


def test_gradient_checkpointing_changes_no_gradient():
    volumes = made(count=1)
    kept = trained()
    torch.manual_seed(0)
    base = build_sam("tiny", checkpointing=True)
    spared = add_med_adapters(base, FOUR)
    assert spared.image_encoder.checkpointing
    spared.load_state_dict(kept.state_dict())
    for sam in (kept, spared):
        encode_volumes(sam, volumes).square().mean().backward()
    gradients = {name: value.grad for name, value in kept.named_parameters()}
    assert gradients["image_encoder.blocks.0.attention_adapter.down.weight"].abs().max() > 0
    for name, value in spared.named_parameters():
        if value.requires_grad and name.startswith("image_encoder"):
            assert torch.equal(gradients[name], value.grad), name


def test_thick_volumes_are_seen_in_patches_the_last_of_which_ends_with_them():
    sam, volumes = trained(), made(5, count=2)
    with torch.no_grad():
        found = encode_in_patches(sam, volumes, 2).unflatten(0, (2, 5))
        for start, kept in ((0, [0, 1]), (2, [0, 1]), (3, [1])):
            patch = encode_volumes(sam, volumes[:, :, start : start + 2]).unflatten(0, (2, 2))
            places = [start + each for each in kept]
            torch.testing.assert_close(found[:, places], patch[:, kept])
        whole = encode_in_patches(sam, volumes, 5)
        assert torch.equal(whole, encode_volumes(sam, volumes))
    with pytest.raises(SamnbError, match="5 slices is thinner than the patch of 6"):
        encode_in_patches(sam, volumes, 6)


def test_half_precision_runs_through_encoder_and_decoder():
    sam, volumes = trained(), made(2)
    with torch.no_grad():
        exact = encode_volumes(sam, volumes)
        with torch.autocast("cpu", torch.bfloat16):
            half = encode_volumes(sam, volumes)
            logits = decode(sam, half, mixed_prompts()).logits
    assert not torch.equal(half, exact)
    assert (half.float() - exact).abs().mean() < 0.1 * exact.abs().mean()
    assert torch.isfinite(logits).all()


def test_what_is_no_volume_is_refused():
    sam = adapted()
    for wrong in (torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, 2, 4, SIDE, SIDE),
                  torch.zeros(1, 1, 4, SIDE, 64)):  # fmt: skip
        with pytest.raises(SamnbError, match="this SAM takes"):
            encode_volumes(sam, wrong)
    with pytest.raises(SamnbError, match="NaN or infinite"):
        encode_volumes(sam, made() / 0 * 0)


# The decoder


def test_a_decoder_block_is_what_the_paper_describes():
    for number in (0, 1):
        block = trained(scale=0.7).mask_decoder.transformer.layers[number]
        with torch.no_grad():
            block.image_norm.share.fill_(0.25)
        torch.manual_seed(2)
        queries, places = torch.randn(3, 5 + 2, WIDTH), torch.randn(3, 5 + 2, WIDTH)
        keys, where = torch.randn(3, 16, WIDTH), torch.randn(1, 16, WIDTH)
        with torch.no_grad():
            found = block(queries, keys, places, where)
            prompt = places[:, 5:]  # behind the score's and the four masks' tokens
            if number == 0:
                said = block.self_attn(queries, queries, queries)
                tokens = block.norm1(said + block.prompt_adapter(said, prompt))
            else:
                said = block.self_attn(queries + places, queries + places, queries)
                tokens = block.norm1(queries + said + block.prompt_adapter(said, prompt))
            looked = block.cross_attn_token_to_image(tokens + places, keys + where, keys)
            tokens = block.norm2(tokens + looked)
            more = 0.7 * block.mlp_adapter(tokens)
            tokens = block.norm3(tokens + block.mlp(tokens) + more)
            told = block.cross_attn_image_to_token(keys + where, tokens + places, tokens)
            image = block.norm4(keys + told)
            image = image + block.image_adapter(image)
            normed = F.layer_norm(
                image, (WIDTH,), block.image_norm.norm.weight, block.image_norm.norm.bias
            )
            image = 0.75 * image + 0.25 * normed
        torch.testing.assert_close(found[0], tokens, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[1], image, atol=1e-5, rtol=1e-4)


def test_the_norm_behind_the_image_s_adapter_begins_as_a_copy_of_sams_that_has_no_share():
    block = adapted().mask_decoder.transformer.layers[0]
    assert block.image_norm.share.item() == 0
    assert block.image_norm.norm.weight is not block.norm4.weight
    assert torch.equal(block.image_norm.norm.weight, block.norm4.weight)
    assert block.image_norm.norm.weight.requires_grad
    assert not block.norm4.weight.requires_grad


def prompted(kind: str, width: int = WIDTH) -> nn.Module:
    torch.manual_seed(7)
    adapter = PROMPTINGS[kind](width, 8, 3)
    nn.init.normal_(adapter.up.weight)
    nn.init.normal_(adapter.up.bias)
    return adapter


@torch.no_grad()
def test_hyp_adpt_is_three_generated_matrices_with_norm_and_relu():
    adapter = prompted("hyper")
    tokens, prompts = torch.randn(2, 5, WIDTH), torch.randn(2, 2, WIDTH)
    found = adapter(tokens, prompts)
    assert len(adapter.generators) == 3
    for row in range(2):
        side_by_side = torch.cat([prompts[row].flatten(), torch.zeros(WIDTH)])
        short = adapter.reduction.project(side_by_side)
        for token in range(5):
            e = adapter.down(tokens[row, token])
            for generator in adapter.generators:
                w = generator(short).reshape(4, 4)
                product = torch.stack([sum(e[i] * w[i, j] for i in range(4)) for j in range(4)])
                centred = product - product.mean()
                e = torch.relu(centred / (centred.square().mean() + 1e-5).sqrt())
            torch.testing.assert_close(found[row, token], adapter.up(e), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_simpler_adapters_add_the_prompt_or_put_it_beside_or_do_without():
    tokens, prompts = torch.randn(2, 5, WIDTH), torch.randn(2, 3, WIDTH)
    for kind in ("none", "addition", "concatenation"):
        adapter = prompted(kind)
        found, e = adapter(tokens, prompts), adapter.down(tokens)
        if kind != "none":
            short = adapter.reduction.project(prompts.flatten(1))[:, None].expand(-1, 5, -1)
        if kind == "addition":
            e = e + short
        if kind == "concatenation":
            e = adapter.merge(torch.cat([e, short], dim=2))
        torch.testing.assert_close(found, adapter.up(torch.relu(e)), atol=1e-5, rtol=1e-4)
        assert torch.equal(adapter(tokens, 2 * prompts), found) == (kind == "none")


def test_gradients_reach_every_generator_and_the_prompt():
    adapter = prompted("hyper")
    prompts = torch.randn(2, 2, WIDTH, requires_grad=True)
    (adapter(torch.randn(2, 5, WIDTH), prompts) * torch.randn(2, 5, WIDTH)).sum().backward()
    for name, value in adapter.named_parameters():
        assert value.grad.abs().max() > 0, name
    assert (prompts.grad.abs().amax(dim=2) > 0).all()


def test_after_one_step_every_adapter_of_the_network_learns():
    sam = adapted(MedAdapterSettings(bottleneck=8, depth="own"))
    learns = {name: value for name, value in sam.named_parameters() if value.requires_grad}
    optimiser = torch.optim.SGD(learns.values(), lr=0.1)
    for _ in range(3):  # what lies before a zero learns from the next step on
        optimiser.zero_grad()
        embeddings = encode_volumes(sam, made(2))
        decode(sam, embeddings, mixed_prompts()).logits.square().mean().backward()
        optimiser.step()
    silent = {name for name, value in learns.items() if not value.grad.abs().max() > 0}
    assert not silent


def test_several_prompt_counts_in_one_batch_are_answered_as_each_alone():
    sam, prompts = trained(), mixed_prompts()
    with torch.no_grad():
        embeddings = encode(sam, slices_of(made(2)))
        together = decode(sam, embeddings, prompts).logits
        for row in range(len(prompts)):
            alone = decode(sam, embeddings, prompts.rows(torch.tensor([row]))).logits
            torch.testing.assert_close(together[row], alone[0], atol=1e-4, rtol=1e-4)
        other = decode(trained(prompt="none"), embeddings, prompts).logits
    assert (other - together).abs().max() > 1e-3


def test_more_prompts_than_the_reduction_takes_are_refused():
    sam = adapted(MedAdapterSettings(bottleneck=8, places=3))
    points, labels = torch.full((1, 3, 2), 9.0), torch.ones(1, 3)
    prompts = Prompts(torch.zeros(1, dtype=torch.long), points=points, labels=labels)
    embeddings = torch.zeros(1, WIDTH, GRID, GRID)
    with pytest.raises(SamnbError, match="4 tokens; this Med-SA's reduction takes 3"):
        decode(sam, embeddings, prompts)
    decode(adapted(MedAdapterSettings(bottleneck=8, places=4)), embeddings, prompts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bottleneck": 7}, "1/7 of 32 channels"),
        ({"bottleneck": 0}, "1/0 of 32"),
        ({"depth": "time"}, "over depth 'time'"),
        ({"prompt": "loud"}, "adapter 'loud'"),
        ({"places": 0}, "0 tokens"),
    ],
)
def test_impossible_adapters_are_refused(change, said):
    with pytest.raises(SamnbError, match=said):
        adapted(MedAdapterSettings(**{"bottleneck": 8, **change}))


def test_adapters_enter_a_sam_once_and_only_known_parts_learn_whole():
    with pytest.raises(SamnbError, match="has adapters already"):
        add_med_adapters(adapted(), FOUR)
    with pytest.raises(SamnbError, match="has adapters already"):
        add_med_adapters(add_lora(plain(), LoraSettings()), FOUR)
    with pytest.raises(SamnbError, match="Cannot train neck"):
        adapted(trained=("neck",))


# On disk


def test_saved_adapters_come_back_onto_their_own_base(tmp_path):
    sam = trained()
    card = read_json(save_med_adapters(sam, tmp_path, {"data": "none"}) / "card.json")
    assert card["base"] == base_hash(plain())
    assert card["data"] == "none"
    for target in (plain(), adapted(seed=9)):
        loaded = load_med_adapters(target, tmp_path)
        volumes = made()
        with torch.no_grad():
            embeddings = encode_volumes(sam, volumes)
            assert torch.equal(encode_volumes(loaded, volumes), embeddings)
            ours, theirs = (decode(x, embeddings, mixed_prompts()) for x in (loaded, sam))
        assert torch.equal(ours.logits, theirs.logits)
        assert not any(value.requires_grad for value in loaded.parameters())


def test_adapters_of_another_base_ratio_or_content_are_refused(tmp_path):
    save_med_adapters(trained(), tmp_path, {})
    with pytest.raises(SamnbError, match="belong to another base, at 128 pixels"):
        load_med_adapters(plain(seed=3), tmp_path)
    with pytest.raises(SamnbError, match="bottleneck 8 there, 16 here"):
        load_med_adapters(adapted(MedAdapterSettings(bottleneck=16)), tmp_path)
    with pytest.raises(DataError, match="no adapters: adapters"):
        load_med_adapters(plain(), tmp_path / "elsewhere")
    file = tmp_path / "adapters.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="checksum mismatch"):
        load_med_adapters(plain(), tmp_path)


def test_what_is_more_or_less_than_adapters_is_not_saved(tmp_path):
    with pytest.raises(SamnbError, match="has no Med-SA adapters"):
        save_med_adapters(plain(), tmp_path, {})
    with pytest.raises(SamnbError, match="More of this SAM learns"):
        save_med_adapters(adapted(trained=("mask_decoder",)), tmp_path, {})


def test_a_copy_is_a_network_of_its_own():
    sam = adapted()
    other = copy.deepcopy(sam)
    stir(other)
    with torch.no_grad():
        volumes = made(2)
        assert not torch.equal(encode_volumes(sam, volumes), encode_volumes(other, volumes))
    assert isinstance(sam.mask_decoder.transformer.layers[0].prompt_adapter, Hyper)
