"""How well a SAM for volumes segments generic bodies it has never seen, by prompt."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import trange

from samnb.networks.sam3d.model import Sam3D, encode
from samnb.networks.sam3d.prompting import VolumeMasks, VolumePrompts, decode
from samnb.pretraining.evaluate import HELD_OUT
from samnb.pretraining.volumes.recipe import VolumeStream, volume_iou
from samnb.prompts.volume_clicks import box_of, click_and_correct

CLICKS = 10


@torch.no_grad()
def evaluate(sam: Sam3D, volumes: int = 500, batch: int = 5, progress: bool = True) -> dict:
    """Mean IoU at full resolution over four objects of every held-out volume.

    box: the single mask of a tight box; point best of three: of one click in the object's middle;
    clicks n: after n clicks, the later ones in the middle of the error (after the first, the mask
    SAM scores best); newest of n: the same, but every time with the newest click alone; score
    error: mean distance of predicted and true IoU; grid: the truth itself, drawn as finely as
    SAM's answers are, which no answer can be much better than.
    """
    device, side = next(sam.parameters()).device, sam.image_encoder.side
    stream = VolumeStream(HELD_OUT, side, batch, objects=4, steps=-(-volumes // batch))
    sums: dict[str, list[float]] = {}
    for step in trange(len(stream), desc="held-out volumes", disable=not progress):
        drawn = stream[step]
        embeddings = encode(sam, drawn.images.to(device))
        for name, values in _one_batch(sam, embeddings, drawn.masks.to(device), side).items():
            sums.setdefault(name, []).extend(values.flatten().tolist())
    result = {name: float(np.mean(values)) for name, values in sums.items()}
    return {**result, "volumes": len(stream) * batch, "objects": len(sums["box"]), "side": side}


def _one_batch(sam: Sam3D, embeddings: Tensor, masks: Tensor, side: int) -> dict[str, Tensor]:
    target = masks.flatten(0, 1)
    volume = torch.arange(len(masks), device=masks.device).repeat_interleave(masks.shape[1])
    boxed = decode(sam, embeddings, VolumePrompts(volume, boxes=box_of(target)))
    first, found = click_and_correct(sam, embeddings, volume, target, CLICKS)
    _, newest = click_and_correct(sam, embeddings, volume, target, CLICKS, remember=False)
    by_box, by_point = _true_iou(boxed, target, side), _true_iou(first, target, side)[:, 1:]
    return {
        "box": by_box[:, 0],
        "box best of three": by_box[:, 1:].max(dim=1).values,
        "grid": volume_iou(_on_grid(target, boxed.logits.shape[-1]), target),
        "point best of three": by_point.max(dim=1).values,
        "score error": (boxed.scores[:, 0] - by_box[:, 0]).abs(),
        "point score error": (first.scores[:, 1:] - by_point).abs(),
        **{f"clicks {count}": volume_iou(mask, target) for count, mask in enumerate(found, 1)},
        **{f"newest of {count}": volume_iou(newest[count - 1], target) for count in (5, CLICKS)},
    }


def _true_iou(answer: VolumeMasks, target: Tensor, side: int) -> Tensor:
    """IoU (R, 4) of each of SAM's masks with the target (R, side, side, side)."""
    return volume_iou(answer.at_side(side).logits > 0, target[:, None])


def _on_grid(target: Tensor, cells: int) -> Tensor:
    """Masks (R, S, S, S) bool, known only by the share that they cover of each of cells^3."""
    shares = F.avg_pool3d(target[:, None].float(), target.shape[-1] // cells)
    fine = F.interpolate(shares, target.shape[1:], mode="trilinear", align_corners=False)
    return fine[:, 0] > 0.5
