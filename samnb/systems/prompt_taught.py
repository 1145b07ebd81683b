"""SAM taught by prompts about masks, for users who prompt it: what Med-SA and MedSAM share.

Slices and volumes alike: a volume is answered slice by slice, whether or not the network lets its
slices know of one another.
"""

from dataclasses import dataclass

import torch
from monai.losses import DiceCELoss
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import exclusive
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.space_depth import slices_of
from samnb.prompts.asked import asked, shape_of
from samnb.prompts.by_slice import by_slice
from samnb.prompts.lessons import corrected

ROWS = 64  # prompts answered at once


@dataclass(frozen=True)
class Seen:
    """Images that the encoder has seen. shape: (N, C, S, S) or (N, C, D, S, S)."""

    embeddings: Tensor  # of N slices, or of N D, volume after volume
    shape: torch.Size


class PromptTaught(Method):
    """Each target of each slice is a lesson, and a question, of its own.

    It learns and answers with SAM's single mask, whatever the prompt. Of its own masks none goes
    back in: a prompt is points and boxes, as in the paper. Subclasses say how lessons are prompted.

    clicks: corrective clicks in a lesson at most; at least one, unless it is 0.
    exclusive: a pixel that several answers claim goes to the one with the largest logit.
    """

    def __init__(self, sam: Sam, clicks: int, dice: float, cross_entropy: float, exclusive: bool):
        super().__init__()
        if clicks < 0:
            raise SamnbError(f"A lesson of {clicks} corrective clicks.", "give 0 or more.")
        self.sam, self.clicks, self.exclusive = sam, clicks, exclusive
        self.loss = DiceCELoss(
            sigmoid=True, squared_pred=True, lambda_dice=dice, lambda_ce=cross_entropy
        )

    def first(self, image: Tensor, masks: Tensor) -> Prompts:
        """What a lesson begins with: image (R,), masks (R, S, S) bool, none of them empty."""
        raise NotImplementedError

    def encode(self, images: Tensor) -> Tensor:
        """(N, C, S, S), or (N, C, D, S, S) slice by slice -> embeddings of N or N D slices."""
        return encode(self.sam, slices_of(images) if images.ndim == 5 else images)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The mean loss of the answers to the first prompt and to every click that follows."""
        embeddings = self.encode(batch.marked)
        masks = slices_of(batch.masks) if batch.masks.ndim == 5 else batch.masks
        image, target = masks.flatten(2).any(dim=2).nonzero(as_tuple=True)
        if len(image) == 0:
            return {"loss": 0 * embeddings.float().sum()}
        masks = masks[image, target].bool()
        prompts, losses = self.first(image, masks), []
        clicks = int(torch.randint(1, self.clicks + 1, ())) if self.clicks else 0
        for turn in range(1 + clicks):
            answer = decode(self.sam, embeddings, prompts).at_side(masks.shape[-1])
            logits = answer.single()[0]
            losses.append(self.loss(logits[:, None], masks[:, None].float()))
            if turn < clicks:
                prompts = corrected(prompts, logits.detach() > 0, masks)
        return {"loss": torch.stack(losses).mean()}

    @torch.no_grad()
    def begin(self, images: Tensor) -> Seen:
        """images (N, 1 or 3, S, S) or (N, 1 or 3, D, S, S), 0-1; the encoder runs once."""
        return Seen(self.encode(images), images.shape)

    @torch.no_grad()
    def answer(self, state: Seen, prompts: UserPrompts | None = None) -> Answer:
        """prompts: of slices, N or N D of them, or of volumes; what nobody prompts stays empty."""
        if prompts is None:
            raise SamnbError("This system answers users who prompt, and nobody does.", "name one.")
        count, size = state.shape[0], state.shape[2:]
        if len(size) == 3:
            prompts = by_slice(prompts, count, size)
        image, target, said = asked(prompts)
        logits = torch.full(
            (*shape_of(prompts), *size[-2:]), -torch.inf, device=state.embeddings.device
        )
        for rows in torch.arange(len(image), device=image.device).split(ROWS):
            some = {name: value[rows] for name, value in said.items()}
            low = decode(self.sam, state.embeddings, Prompts(image[rows], **some)).single()[0]
            fine = F.interpolate(low[:, None].float(), tuple(size[-2:]), mode="bilinear")
            logits[image[rows], target[rows]] = fine[:, 0]
        masks = exclusive(logits) if self.exclusive else logits > 0
        if len(size) == 3:
            masks = masks.unflatten(0, (count, size[0])).movedim(1, 2)
        return Answer(masks)
