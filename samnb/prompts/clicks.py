"""SAM and a simulated user who clicks, looks, and clicks again where it is wrong.

So the pocket SAM is scored on its own shapes after pre-training. Systems are tested with the
`Clicks` of `samnb.prompts.users` instead, the protocol that papers compare by: there the deepest
pixel is sought among the missing and the surplus ones apart, never clicked twice, and an answer
without fault gets no click. Here the whole error is one region, and every round has a click.
"""

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.prompts.boxes import middle_click


@torch.no_grad()
def click_and_correct(
    sam: Sam, embeddings: Tensor, image: Tensor, target: Tensor, clicks: int
) -> tuple[Masks, list[Tensor]]:
    """The answers to one click after another about R objects; the user knows the truth (an oracle).

    embeddings: (N, C, g, g); image: (R,) which of them each object is in; target: (R, S, S) bool.
    The first click is in the middle of the object, and the user goes on with the answer that SAM
    scores best; each later click is in the middle of the largest error, and the last answer goes
    back in as mask prompt. Returns SAM's whole answer to the first click, and the masks (R, S, S)
    bool after each click.
    """
    side, row = target.shape[-1], torch.arange(len(target), device=target.device)
    points = target.new_zeros(len(target), 0, 2, dtype=torch.float32)
    labels = target.new_zeros(len(target), 0, dtype=torch.long)
    first, logits, found = None, None, []
    for _ in range(clicks):
        place = middle_click(_wrong(found[-1], target) if found else target)
        x, y = place.long().unbind(1)
        points = torch.cat([points, place[:, None]], dim=1)
        labels = torch.cat([labels, target[row, y, x].long()[:, None]], dim=1)
        earlier = None if logits is None else logits[:, None]
        answer = decode(sam, embeddings, Prompts(image, None, points, labels, earlier))
        logits = answer.best_of_three()[0] if first is None else answer.single()[0]
        first = first or answer
        found.append(
            F.interpolate(logits[:, None].float(), (side, side), mode="bilinear")[:, 0] > 0
        )
    return first, found


def _wrong(found: Tensor, target: Tensor) -> Tensor:
    """Where the mask is wrong; the whole object where nothing is."""
    error = found != target
    return torch.where(error.flatten(1).any(dim=1)[:, None, None], error, target)
