"""SAM's interactive training recipe in small, on generic volumes.

One step asks about several objects of every volume. The first prompt is a jittered box or a random
voxel of the object; then the network is shown where it erred, a voxel at a time, with its own last
answer as mask prompt. Half of the steps show all clicks so far, as SAM's training does; half the
newest alone, as SAM-Med3D's does: the mask prompt has to remember the others.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.networks.sam3d.model import Sam3D, encode
from samnb.networks.sam3d.prompting import PADDING, VolumeMasks, VolumePrompts, decode
from samnb.pretraining.recipe import ShapeBatch, ShapeStream, iou, mask_losses
from samnb.pretraining.volumes.shapes import draw_volume
from samnb.prompts.volume_clicks import at_voxel, box_of, random_voxel, wrong

MOST_JITTER = 0.15  # of a box's edges, as a share of its side


class VolumeStream(ShapeStream):
    """Batch number `step` of an endless stream: images (N, 1, S, S, S), masks (N, K, S, S, S)."""

    def __getitem__(self, step: int) -> ShapeBatch:
        drawn = [
            draw_volume(self.seed, step * self.images + number, self.side)
            for number in range(self.images)
        ]
        choose = np.random.default_rng((self.seed, step, 4))
        masks = [
            item.masks[choose.permutation(np.arange(self.objects) % len(item.masks))]
            for item in drawn
        ]
        images = np.stack([item.image for item in drawn])[:, None].astype(np.float32) / 255
        return ShapeBatch(torch.from_numpy(images), torch.from_numpy(np.stack(masks)))


class VolumePretraining(nn.Module):
    """Forward: a batch -> losses. Random choices come from torch's global generator."""

    def __init__(self, sam: Sam3D, corrections: int = 3):
        super().__init__()
        self.sam = sam
        self.corrections = corrections  # most correcting clicks in a step

    def forward(self, batch: ShapeBatch) -> dict[str, Tensor]:
        embeddings = encode(self.sam, batch.images)
        target = at_logit_grid(batch.masks, self.sam).flatten(0, 1)
        boxed = torch.rand(len(target), device=target.device) < 0.5
        remember = bool(torch.rand(()) < 0.5)
        prompts = first_prompts(batch.masks, boxed)
        answer = decode(self.sam, embeddings, prompts)
        losses = [first_losses(answer, target, boxed)]
        best = best_first(answer, boxed)
        for _ in range(int(torch.randint(1, self.corrections + 1, ()))):
            side = self.sam.image_encoder.side
            prompts = correct(prompts, best.detach(), target, side, remember)
            answer = decode(self.sam, embeddings, prompts)
            best = answer.single()[0]
            losses.append(volume_losses(answer, target)[:, 0])
        rounds = torch.stack([loss.mean() for loss in losses])
        overlap = volume_iou(best.detach() > 0, target).mean()
        return {"loss": rounds.mean(), "first": rounds[0], "last": rounds[-1], "iou": overlap}


def first_prompts(masks: Tensor, boxed: Tensor) -> VolumePrompts:
    """A jittered box where `boxed` (R,), a random voxel elsewhere. masks: (N, K, S, S, S) bool."""
    volumes, objects, side = masks.shape[:3]
    flat = masks.flatten(0, 1)
    boxes = jitter_boxes(box_of(flat), side)
    boxes[~boxed] = torch.nan
    labels = torch.where(boxed, PADDING, 1)[:, None]
    volume = torch.arange(volumes, device=masks.device).repeat_interleave(objects)
    return VolumePrompts(volume, boxes, random_voxel(flat)[:, None], labels)


def jitter_boxes(boxes: Tensor, side: int) -> Tensor:
    """Move every face by Gaussian noise; each box (R, 6) has its own spread.

    Boxes stay inside the volume and at least 2 voxels wide.
    """
    size = (boxes[:, 3:] - boxes[:, :3]).repeat(1, 2)
    spread = MOST_JITTER * torch.rand(len(boxes), 1, device=boxes.device)
    moved = boxes + torch.randn_like(boxes) * spread * size
    low = moved[:, :3].clamp(min=0, max=side - 2)
    return torch.cat([low, torch.maximum(moved[:, 3:].clamp(max=side), low + 2)], dim=1)


def correct(
    prompts: VolumePrompts, logits: Tensor, target: Tensor, side: int, remember: bool
) -> VolumePrompts:
    """One click in the error of `logits` (R, h, h, h), and the logits as mask prompt.

    remember: beside the prompts so far; else in their place. Where nothing is wrong any more, a
    click inside the object confirms it.
    """
    place = random_voxel(wrong(logits > 0, target))
    label = at_voxel(target, place).long()[:, None]
    click = ((place + 0.5) * (side / target.shape[-1]) - 0.5)[:, None]
    masks = logits[:, None].float()
    if not remember:
        return VolumePrompts(prompts.volume, None, click, label, masks)
    points = torch.cat([prompts.points, click], dim=1)
    return VolumePrompts(
        prompts.volume, prompts.boxes, points, torch.cat([prompts.labels, label], dim=1), masks
    )


def best_first(answer: VolumeMasks, boxed: Tensor) -> Tensor:
    """The answer a user would go on with: logits (R, h, h, h)."""
    boxed = boxed[:, None, None, None]
    return torch.where(boxed, answer.single()[0], answer.best_of_three()[0])


def at_logit_grid(masks: Tensor, sam: Sam3D) -> Tensor:
    """Masks (N, K, S, S, S) bool -> (N, K, 4g, 4g, 4g): voxels that are at least half covered."""
    factor = masks.shape[-1] // (4 * sam.prompt_encoder.grid)
    return F.avg_pool3d(masks.float(), factor) >= 0.5


def first_losses(answer: VolumeMasks, target: Tensor, boxed: Tensor) -> Tensor:
    """A first prompt may mean several things: only the best of three answers is corrected.

    The small share of the other two keeps them from dying unused. A box is clear enough to ask
    the single mask too.
    """
    every = volume_losses(answer, target)
    three = every[:, 1:].min(dim=1).values + 0.05 * every[:, 1:].mean(dim=1)
    return three + every[:, 0] * boxed


def volume_losses(answer: VolumeMasks, target: Tensor) -> Tensor:
    """20 focal + Dice + squared error of the predicted IoU, for each of the four masks: (R, 4)."""
    flat = VolumeMasks(answer.logits.flatten(3), answer.scores)
    return mask_losses(flat, target.flatten(2))


def volume_iou(found: Tensor, wanted: Tensor) -> Tensor:
    """Intersection over union of bool masks (..., d, h, w) -> (...)."""
    return iou(found.flatten(-2), wanted.flatten(-2))
