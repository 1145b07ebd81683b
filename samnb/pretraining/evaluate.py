"""How well a SAM segments generic shapes it has never seen, by prompt."""

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from tqdm import trange

from samnb.models.prompting import Masks, Prompts, decode
from samnb.models.sam import encode
from samnb.pretraining.recipe import ShapeStream, iou
from samnb.prompts import box_of, middle_click

HELD_OUT = 987_654_321  # seed of the held-out stream; training uses other seeds
CLICKS = 6  # the first click and five corrections


@torch.no_grad()
def evaluate(sam: Sam, images: int = 2000, batch: int = 20, progress: bool = True) -> dict:
    """Mean IoU at full resolution over up to four objects of every held-out image.

    box: the single mask of a tight box; point: the best of three masks of one click in the
    object's middle, and the one SAM prefers; clicks: after each of six clicks, the later ones in
    the middle of the largest error; score error: mean distance of predicted and true IoU.
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
    by_box = _true_iou(boxed, target, side)
    prompts = _click(Prompts(image), target)
    first = decode(sam, embeddings, prompts)
    by_point = _true_iou(first, target, side)[:, 1:]
    preferred = first.scores[:, 1:].argmax(dim=1, keepdim=True)
    result = {
        "box": by_box[:, 0],
        "point best of three": by_point.max(dim=1).values,
        "point preferred": by_point.gather(1, preferred),
        "score error": (boxed.scores[:, 0] - by_box[:, 0]).abs(),
        "point score error": (first.scores[:, 1:] - by_point).abs(),
        "clicks 1": by_point.gather(1, preferred),
    }
    logits = first.best_of_three()[0]
    for clicks in range(2, CLICKS + 1):
        wrong = _upscale(logits, side) != target
        prompts = _click(prompts, target, wrong, logits)
        answer = decode(sam, embeddings, prompts)
        logits = answer.logits[:, 0]
        result[f"clicks {clicks}"] = iou(_upscale(logits, side), target)
    return result


def _true_iou(answer: Masks, target: Tensor, side: int) -> Tensor:
    return iou(answer.at_side(side).logits > 0, target[:, None])


def _upscale(logits: Tensor, side: int) -> Tensor:
    grown = torch.nn.functional.interpolate(logits[:, None].float(), (side, side), mode="bilinear")
    return grown[:, 0] > 0


def _click(
    prompts: Prompts, target: Tensor, wrong: Tensor | None = None, logits: Tensor | None = None
) -> Prompts:
    """Add a click in the middle of the target, or of its largest error."""
    region = target if wrong is None else wrong
    places = middle_click(region)
    x, y = places.long().unbind(1)
    label = target[torch.arange(len(target), device=target.device), y, x].long()[:, None]
    points, labels = places[:, None], label
    if prompts.points is not None:
        points = torch.cat([prompts.points, points], dim=1)
        labels = torch.cat([prompts.labels, labels], dim=1)
    masks = None if logits is None else logits[:, None]
    return Prompts(prompts.image, points=points, labels=labels, masks=masks)
