"""Batched prompting against Segment Anything's own forward, image by image."""

from functools import cache

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from samnb.base.errors import SamnbError
from samnb.networks.sam.model import build_sam, encode
from samnb.networks.sam.prompting import Prompts, decode

IMAGES, SIDE = 3, 128
NONE = float("nan")


@cache
def network(size: str) -> tuple[Sam, torch.Tensor, torch.Tensor]:
    """A SAM with random weights, images in 0-1 and their embeddings."""
    torch.manual_seed(1)
    sam = build_sam(size, side=SIDE)
    images = torch.rand(IMAGES, 3, SIDE, SIDE)
    with torch.no_grad():
        return sam, images, encode(sam, images)


def _boxes(random: np.random.Generator, count: int) -> torch.Tensor:
    low = random.uniform(0, SIDE / 2, (count, 2))
    return torch.tensor(np.hstack([low, low + random.uniform(2, SIDE / 2, (count, 2))])).float()


def _masks(sam: Sam, random: np.random.Generator, count: int) -> torch.Tensor:
    side = sam.prompt_encoder.mask_input_size[0]
    return torch.tensor(random.normal(0, 5, (count, 1, side, side))).float()


def prompts_of_one_image(kind: str, sam: Sam, random: np.random.Generator, count: int) -> dict:
    """Prompts as the library takes them, `count` for one image."""
    given = {}
    if "points" in kind:
        given["point_coords"] = torch.tensor(random.uniform(0, SIDE, (count, 3, 2))).float()
        given["point_labels"] = torch.tensor(random.integers(0, 2, (count, 3)))
    if "box" in kind:
        given["boxes"] = _boxes(random, count)
    if "mask" in kind:
        given["mask_inputs"] = _masks(sam, random, count)
    return given


def as_rows(given: list[dict]) -> Prompts:
    """The same prompts, all images at once."""

    def joined(name: str) -> torch.Tensor | None:
        return torch.cat([item[name] for item in given]) if name in given[0] else None

    image = [i for i, item in enumerate(given) for _ in next(iter(item.values()))]
    return Prompts(
        torch.tensor(image),
        joined("boxes"),
        joined("point_coords"),
        joined("point_labels"),
        joined("mask_inputs"),
    )


def library(sam: Sam, images: torch.Tensor, given: list[dict], three: bool) -> list[dict]:
    records = [
        {"image": image * 255, "original_size": (SIDE, SIDE), **item}
        for image, item in zip(images, given, strict=True)
    ]
    return sam(records, multimask_output=three)


def assert_equal_to_library(sam, images, embeddings, given: list[dict], prompts: Prompts) -> None:
    with torch.no_grad():
        answer = decode(sam, embeddings, prompts)
    full = answer.at_side(SIDE).logits > 0
    for three in (False, True):
        kept = slice(1, 4) if three else slice(0, 1)
        wanted = library(sam, images, given, three)
        for name, ours in (
            ("low_res_logits", answer.logits[:, kept]),
            ("iou_predictions", answer.scores[:, kept]),
        ):
            theirs = torch.cat([item[name] for item in wanted])
            assert (ours - theirs).abs().max() < 1e-5, name
        masks = torch.cat([item["masks"] for item in wanted])
        assert (full[:, kept] == masks).float().mean() > 0.9999


KINDS = (
    "points",
    "box",
    "points and box",
    "mask",
    "mask and points",
    "mask and box",
    "all: points, box, mask",
)


@pytest.mark.parametrize("size", ["pocket", "vit_b"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_prompt_equals_the_library(size, kind, monkeypatch):
    sam, images, embeddings = network(size)
    if kind != "box":  # once is enough for the costly part, which does not see the prompts
        monkeypatch.setattr(sam.image_encoder, "forward", lambda _: embeddings)
    random = np.random.default_rng(len(kind))
    given = [prompts_of_one_image(kind, sam, random, count) for count in (1, 3, 2)]
    assert_equal_to_library(sam, images, embeddings, given, as_rows(given))


def test_rows_of_one_batch_may_have_different_prompts():
    sam, images, embeddings = network("pocket")
    random = np.random.default_rng(5)
    kinds = ("box", "points", "mask")
    given = [prompts_of_one_image(kind, sam, random, 1) for kind in kinds]
    mask = torch.full_like(given[2]["mask_inputs"], NONE)
    no_points, no_labels = torch.zeros(1, 3, 2), torch.full((1, 3), -1)
    prompts = Prompts(
        torch.arange(3),
        torch.cat([given[0]["boxes"], torch.full((2, 4), NONE)]),
        torch.cat([no_points, given[1]["point_coords"], no_points]),
        torch.cat([no_labels, given[1]["point_labels"], no_labels]),
        torch.cat([mask, mask, given[2]["mask_inputs"]]),
    )
    assert_equal_to_library(sam, images, embeddings, given, prompts)


def test_rows_may_have_different_numbers_of_points():
    sam, images, embeddings = network("pocket")
    random = np.random.default_rng(6)
    given = [prompts_of_one_image("points", sam, random, 1) for _ in range(IMAGES)]
    prompts = as_rows(given)
    for row, count in enumerate((1, 3, 2)):
        for name in ("point_coords", "point_labels"):
            given[row][name] = given[row][name][:, :count]
        prompts.labels[row, count:] = -1
    assert_equal_to_library(sam, images, embeddings, given, prompts)


def test_no_prompt_at_all_equals_the_library():
    sam, images, embeddings = network("pocket")
    prompts = Prompts(torch.arange(IMAGES))
    assert_equal_to_library(sam, images, embeddings, [{}] * IMAGES, prompts)


def test_grey_images_count_as_three_equal_channels():
    sam, images, _ = network("pocket")
    grey = images[:, :1]
    with torch.no_grad():
        assert torch.equal(encode(sam, grey), encode(sam, grey.expand(-1, 3, -1, -1)))


def test_gradients_reach_the_image_and_the_prompt_encoder():
    sam, _, embeddings = network("pocket")
    embeddings = embeddings.clone().requires_grad_()
    prompts = Prompts(torch.tensor([1, 1]), boxes=torch.tensor([[4.0, 4, 60, 60]] * 2))
    decode(sam, embeddings, prompts).logits.mean().backward()
    reached = embeddings.grad.abs().flatten(1).sum(dim=1)
    assert reached[1] > 0
    assert reached[0] == reached[2] == 0
    assert sam.prompt_encoder.point_embeddings[2].weight.grad.abs().sum() > 0
    sam.zero_grad()


def test_best_of_three_follows_the_predicted_iou():
    sam, _, embeddings = network("pocket")
    prompts = Prompts(torch.arange(3), points=torch.full((3, 1, 2), 64.0), labels=torch.ones(3, 1))
    with torch.no_grad():
        answer = decode(sam, embeddings, prompts)
    logits, scores = answer.best_of_three()
    three, three_scores = answer.three()
    for row in range(3):
        best = int(three_scores[row].argmax())
        assert torch.equal(logits[row], three[row, best])
        assert scores[row] == three_scores[row, best]


def _points(x: float, y: float, label: int = 1) -> dict:
    return {"points": torch.tensor([[[x, y]]]), "labels": torch.tensor([[label]])}


WRONG = {
    "empty": ({"image": torch.zeros(0, dtype=torch.long)}, "prompt set is empty"),
    "image": ({"image": torch.tensor([IMAGES])}, f"asks about image {IMAGES} of a batch of"),
    "negative image": ({"image": torch.tensor([-1])}, "asks about image -1"),
    "box outside": ({"boxes": torch.tensor([[0.0, 0, SIDE + 1, 5]])}, "outside the image"),
    "box before": ({"boxes": torch.tensor([[-3.0, 0, 5, 5]])}, "outside the image"),
    "box turned": ({"boxes": torch.tensor([[9.0, 0, 3, 5]])}, "no area"),
    "box flat": ({"boxes": torch.tensor([[3.0, 4, 9, 4]])}, "no area"),
    "box torn": ({"boxes": torch.tensor([[3.0, NONE, 9, 4]])}, "NaN"),
    "box shape": ({"boxes": torch.zeros(1, 2)}, "shape"),
    "batch sizes": ({"boxes": torch.tensor([[1.0, 1, 5, 5]] * 2)}, "2 boxes for 1 prompts"),
    "point outside": (_points(3, SIDE + 2), "outside the image"),
    "point NaN": (_points(NONE, 3), "outside the image"),
    "label": (_points(3, 3, label=2), "label"),
    "labels missing": ({"points": torch.zeros(1, 1, 2)}, "go together"),
    "labels count": ({"points": torch.zeros(1, 2, 2), "labels": torch.ones(1, 1)}, "shape"),
    "mask torn": ({"masks": torch.eye(64).log()[None, None] * 0}, "mask is partly NaN"),
    "mask shape": ({"masks": torch.zeros(1, 1, 8, 8)}, "Mask prompts of shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_prompts_are_refused(case):
    sam, _, embeddings = network("pocket")
    values, words = WRONG[case]
    with pytest.raises(SamnbError, match=words) as caught:
        decode(sam, embeddings, Prompts(**{"image": torch.tensor([0]), **values}))
    assert caught.value.remedy


def test_wrong_images_are_refused():
    sam, images, _ = network("pocket")
    broken = images.clone()
    broken[1, 0, 5, 5] = NONE
    with pytest.raises(SamnbError, match="NaN"):
        encode(sam, broken)
    with pytest.raises(SamnbError, match="takes"):
        encode(sam, images[..., :64])
    with pytest.raises(SamnbError, match="takes"):
        encode(sam, images[:, :2])
