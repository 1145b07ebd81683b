"""How well a SAM segments generic shapes it has never seen, by prompt."""

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange

from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.pretraining.recipe import ShapeStream, iou
from samnb.prompts.boxes import box_of
from samnb.prompts.clicks import click_and_correct

HELD_OUT = 987_654_321  # seed of the held-out stream; training uses other seeds
CLICKS = 6  # the first click and five corrections


@torch.no_grad()
def evaluate(sam: Sam, images: int = 2000, batch: int = 20, progress: bool = True) -> dict:
    """Mean IoU at full resolution over up to four objects of every held-out image.

    box: the single mask of a tight box; point best of three: of one click in the object's middle;
    clicks n: after n clicks, the later ones in the middle of the largest error (after the first,
    the mask SAM scores best); score error: mean distance of predicted and true IoU; grid: the truth
    itself, drawn as finely as SAM's answers are, which no answer can be much better than.
    """
    device = sam.pixel_mean.device
    side = sam.image_encoder.img_size
    stream = ShapeStream(HELD_OUT, side, batch, objects=4, steps=-(-images // batch))
    sums: dict[str, list[float]] = {}
    for step in trange(len(stream), desc="held-out shapes", disable=not progress):
        drawn = stream[step]
        embeddings = encode(sam, drawn.images.to(device))
        for name, values in _one_batch(sam, embeddings, drawn.masks.to(device), side).items():
            sums.setdefault(name, []).extend(values.flatten().tolist())
    result = {name: float(np.mean(values)) for name, values in sums.items()}
    return {**result, "images": len(stream) * batch, "objects": len(sums["box"]), "side": side}


def _one_batch(sam: Sam, embeddings: Tensor, masks: Tensor, side: int) -> dict[str, Tensor]:
    target = masks.flatten(0, 1)
    image = torch.arange(len(masks), device=masks.device).repeat_interleave(masks.shape[1])
    boxed = decode(sam, embeddings, Prompts(image, boxes=box_of(target)))
    first, found = click_and_correct(sam, embeddings, image, target, CLICKS)
    by_box, by_point = _true_iou(boxed, target, side), _true_iou(first, target, side)[:, 1:]
    return {
        "box": by_box[:, 0],
        "box best of three": by_box[:, 1:].max(dim=1).values,
        "grid": iou(_on_grid(target, boxed.logits.shape[-1]), target),
        "point best of three": by_point.max(dim=1).values,
        "score error": (boxed.scores[:, 0] - by_box[:, 0]).abs(),
        "point score error": (first.scores[:, 1:] - by_point).abs(),
        **{f"clicks {count}": iou(mask, target) for count, mask in enumerate(found, start=1)},
    }


def _true_iou(answer: Masks, target: Tensor, side: int) -> Tensor:
    """IoU (R, 4) of each of SAM's masks with the target (R, side, side)."""
    return iou(answer.at_side(side).logits > 0, target[:, None])


def _on_grid(target: Tensor, cells: int) -> Tensor:
    """Masks (R, S, S) bool, known only by the share that they cover of each of cells x cells."""
    side = target.shape[-1]
    shares = F.avg_pool2d(target[:, None].float(), side // cells)
    return F.interpolate(shares, (side, side), mode="bilinear", align_corners=False)[:, 0] > 0.5
