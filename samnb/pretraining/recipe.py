"""SAM's interactive training recipe in small, on generic shapes.

One step asks about several objects of every image. The first prompt is a jittered box or a random
point of the object; then the network is shown where it erred, a point at a time, with its own last
answer as mask prompt, as a person would correct it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import PADDING, Masks, Prompts, decode
from samnb.pretraining.shapes import draw_shapes
from samnb.prompts.boxes import box_of, jitter_boxes, random_click


class ShapeBatch(NamedTuple):
    """images: (N, 1, S, S), 0-1; masks: (N, K, S, S) bool, K objects of every image."""

    images: Tensor
    masks: Tensor


class ShapeStream(Dataset):
    """Batch number `step` of an endless stream; the same (seed, step) gives the same batch."""

    def __init__(self, seed: int, side: int, images: int, objects: int, steps: int):
        self.seed, self.side, self.images, self.objects = seed, side, images, objects
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> ShapeBatch:
        drawn = [
            draw_shapes(self.seed, step * self.images + number, self.side)
            for number in range(self.images)
        ]
        choose = np.random.default_rng((self.seed, step, 1))
        masks = [
            item.masks[choose.permutation(np.arange(self.objects) % len(item.masks))]
            for item in drawn
        ]
        images = np.stack([item.image for item in drawn])[:, None].astype(np.float32) / 255
        return ShapeBatch(torch.from_numpy(images), torch.from_numpy(np.stack(masks)))

    def batches(self, start: int, workers: int) -> Iterator[ShapeBatch]:
        """Batches from step `start` on, drawn ahead by worker processes if there are any."""
        ahead = {"num_workers": workers, "prefetch_factor": 8} if workers else {}
        return iter(DataLoader(self, batch_size=None, sampler=range(start, len(self)), **ahead))


class Pretraining(nn.Module):
    """Forward: a `ShapeBatch` -> losses. Random choices come from torch's global generator."""

    def __init__(self, sam: Sam, corrections: int = 3):
        super().__init__()
        self.sam = sam
        self.corrections = corrections  # most correcting clicks in a step

    def forward(self, batch: ShapeBatch) -> dict[str, Tensor]:
        embeddings = encode(self.sam, batch.images)
        target = at_logit_grid(batch.masks, self.sam).flatten(0, 1)
        boxed = torch.rand(len(target), device=target.device) < 0.5
        prompts = first_prompts(batch.masks, boxed)
        answer = decode(self.sam, embeddings, prompts)
        losses = [self._first_loss(answer, target, boxed)]
        best = _best_first(answer, boxed)
        for _ in range(int(torch.randint(1, self.corrections + 1, ()))):
            prompts = correct(prompts, best.detach(), target, self.sam.image_encoder.img_size)
            answer = decode(self.sam, embeddings, prompts)
            best = answer.logits[:, 0]
            losses.append(mask_losses(answer, target)[:, 0])
        rounds = torch.stack([loss.mean() for loss in losses])
        overlap = iou(best.detach() > 0, target).mean()
        return {"loss": rounds.mean(), "first": rounds[0], "last": rounds[-1], "iou": overlap}

    @staticmethod
    def _first_loss(answer: Masks, target: Tensor, boxed: Tensor) -> Tensor:
        """A first prompt may mean several things: only the best of three answers is corrected.

        The small share of the other two keeps them from dying unused. A box is clear enough to
        ask the single mask too.
        """
        every = mask_losses(answer, target)
        three = every[:, 1:].min(dim=1).values + 0.05 * every[:, 1:].mean(dim=1)
        return three + every[:, 0] * boxed


def first_prompts(masks: Tensor, boxed: Tensor) -> Prompts:
    """A jittered box where `boxed` (R,), a random point elsewhere. masks: (N, K, S, S) bool."""
    images, objects, side, _ = masks.shape
    flat = masks.flatten(0, 1)
    boxes = jitter_boxes(box_of(flat), side)
    boxes[~boxed] = torch.nan
    points = random_click(flat)
    labels = torch.where(boxed, PADDING, 1)[:, None]
    image = torch.arange(images, device=masks.device).repeat_interleave(objects)
    return Prompts(image, boxes, points[:, None], labels)


def correct(prompts: Prompts, logits: Tensor, target: Tensor, side: int) -> Prompts:
    """Add one click in the error of `logits` (R, h, w), and the logits as mask prompt."""
    found = logits > 0
    missed = found != target
    # Where nothing is wrong any more, a click inside the object confirms it.
    region = torch.where(missed.flatten(1).any(dim=1)[:, None, None], missed, target)
    row = torch.arange(len(target), device=target.device)
    place = random_click(region)
    x, y = place.long().unbind(1)
    label = target[row, y, x].long()
    scale = side / target.shape[-1]
    click = ((place + 0.5) * scale - 0.5)[:, None]
    return Prompts(
        prompts.image,
        prompts.boxes,
        torch.cat([prompts.points, click], dim=1),
        torch.cat([prompts.labels, label[:, None]], dim=1),
        logits[:, None].float(),
    )


def _best_first(answer: Masks, boxed: Tensor) -> Tensor:
    """The answer a user would go on with: logits (R, h, w)."""
    return torch.where(boxed[:, None, None], answer.single()[0], answer.best_of_three()[0])


def at_logit_grid(masks: Tensor, sam: Sam) -> Tensor:
    """Masks (N, K, S, S) bool -> (N, K, 4g, 4g) bool: cells that are at least half covered."""
    height, _ = sam.prompt_encoder.mask_input_size
    covered = F.avg_pool2d(masks.float(), masks.shape[-1] // height)
    return covered >= 0.5


def mask_losses(answer: Masks, target: Tensor) -> Tensor:
    """20 focal + Dice + squared error of the predicted IoU, for each of the four masks: (R, 4)."""
    logits = answer.logits.float()
    wanted = target[:, None].expand_as(logits).float()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    share = torch.sigmoid(logits)
    missed = share + wanted - 2 * share * wanted  # 1 - probability of the right answer
    focal = ((0.25 * wanted + 0.75 * (1 - wanted)) * missed**2 * entropy).mean(dim=(2, 3))
    both = (share * wanted).sum(dim=(2, 3))
    dice = 1 - (2 * both + 1) / (share.sum(dim=(2, 3)) + wanted.sum(dim=(2, 3)) + 1)
    true = iou(logits.detach() > 0, wanted > 0)
    return 20 * focal + dice + (answer.scores.float() - true) ** 2


def iou(found: Tensor, wanted: Tensor) -> Tensor:
    """Intersection over union of bool masks (..., h, w) -> (...)."""
    both = (found & wanted).sum(dim=(-2, -1))
    return both / (found | wanted).sum(dim=(-2, -1)).clamp(min=1)
