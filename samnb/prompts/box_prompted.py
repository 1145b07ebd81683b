"""SAM prompted with a box for every slice: the step that all methods with boxes share.

With boxes from the truth (an *oracle*) it is the ceiling of what a method that finds its own boxes
can reach with the same SAM.
"""

from collections.abc import Iterator

import torch
from monai.losses import DiceLoss
from segment_anything.modeling import Sam
from torch import Tensor, nn

from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.prompts.boxes import box_of, jitter_boxes


class BoxPrompted(nn.Module):
    """Teaches a SAM from images and masks: jittered boxes of the truth, Dice loss (Eq. 9)."""

    def __init__(self, sam: Sam, jitter: float = 0.1):
        super().__init__()
        self.sam = sam
        self.jitter = jitter
        self.dice = DiceLoss(sigmoid=True)

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: images (N, 1, S, S), 0-1, and masks (N, S, S), none of them empty."""
        images, masks = batch
        side = masks.shape[-1]
        boxes = jitter_boxes(box_of(masks.bool()), side, self.jitter)
        prompts = Prompts(torch.arange(len(images), device=images.device), boxes)
        answer = decode(self.sam, encode(self.sam, images), prompts).at_side(side)
        return {"loss": self.dice(answer.single()[0][:, None], masks[:, None].float())}


@torch.no_grad()
def segment_in_boxes(sam: Sam, images: Tensor, boxes: Tensor, batch: int = 32) -> Tensor:
    """One object in each image: images (N, 1, S, S), boxes (N, 4) -> masks (N, S, S) bool."""
    found = []
    for some, theirs in zip(images.split(batch), boxes.split(batch), strict=True):
        prompts = Prompts(torch.arange(len(some), device=some.device), theirs)
        answer = decode(sam, encode(sam, some), prompts).at_side(images.shape[-1])
        found.append(answer.single()[0] > 0)
    return torch.cat(found)


def shuffled_batches(
    images: Tensor, masks: Tensor, size: int, seed: int, start: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, from step `start` on; every pass has an order of its own."""
    passes = max(1, -(-len(images) // size))
    step = start
    while True:
        shuffle = torch.Generator().manual_seed(seed * 1_000_003 + step // passes)
        order = torch.randperm(len(images), generator=shuffle)
        rows = order[step % passes * size :][:size]
        yield images[rows], masks[rows]
        step += 1
