"""SAM as it is, answering a user who prompts: what the published model can do without learning.

The user knows the truth (see `samnb.prompts.users`), so these numbers are an oracle's. Beside the
systems that find their own prompts they say how much a better prompt could give.
"""

from dataclasses import dataclass, field

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import exclusive
from samnb.method import Answer, Method, UserPrompts
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.asked import asked, shape_of
from samnb.systems.system import Declared, System


@dataclass
class Embedded:
    """Images that SAM has seen. earlier: (N, K, 4g, 4g) logits of the last answer, or None."""

    embeddings: Tensor
    side: int
    earlier: Tensor | None = field(default=None)


class PromptedSam(Method):
    """Each target of each image is asked about on its own; one that nobody prompts stays empty.

    exclusive: a pixel that several answers claim goes to the one with the largest logit.
    """

    def __init__(self, sam: Sam, exclusive: bool = False):
        super().__init__()
        self.sam, self.exclusive = sam, exclusive

    @torch.no_grad()
    def begin(self, images: Tensor) -> Embedded:
        """images (N, 1, S, S), 0-1; the image encoder runs once, however often the user prompts."""
        return Embedded(encode(self.sam, images), images.shape[-1])

    @torch.no_grad()
    def answer(self, state: Embedded, prompts: UserPrompts | None = None) -> Answer:
        """Of a single point the best scored of three masks counts, else the single mask.

        From the second answer on the last one goes back in as mask prompt, as SAM was trained.
        """
        if prompts is None:
            raise SamnbError("SAM answers users who prompt, and nobody does.", "name a user.")
        image, target, rows = asked(prompts)
        count, targets = shape_of(prompts)
        scores = torch.full((count, targets, 1), torch.nan, device=image.device)
        fine = scores.new_full((count, targets, state.side, state.side), -torch.inf)
        if len(image) == 0:
            return Answer(fine > 0, scores=scores)
        if state.earlier is not None:
            rows["masks"] = state.earlier[image, target][:, None]
        answer = decode(self.sam, state.embeddings, Prompts(image, **rows))
        logits, score = _counting(answer, rows, state.earlier is None)
        low = answer.logits.new_full((count, targets, *logits.shape[1:]), torch.nan)
        low[image, target] = logits
        state.earlier = low
        fine[image, target] = (
            Masks(logits[:, None], score[:, None]).at_side(state.side).logits[:, 0]
        )
        scores[image, target, 0] = score.float()
        return Answer(exclusive(fine) if self.exclusive else fine > 0, scores=scores)


def _counting(answer: Masks, rows: dict[str, Tensor], first: bool) -> tuple[Tensor, Tensor]:
    """The mask that counts of each answer: logits (R, 4g, 4g), score (R,)."""
    single, three = answer.single(), answer.best_of_three()
    if not first or "labels" not in rows or "boxes" in rows:
        return single
    ambiguous = (rows["labels"] >= 0).sum(dim=1) == 1
    return (
        torch.where(ambiguous[:, None, None], three[0], single[0]),
        torch.where(ambiguous, three[1], single[1]),
    )


def build(profile: Declared, seed: int) -> PromptedSam:
    """The SAM of a profile, frozen: nothing is random and nothing learns."""
    sam = load_sam(profile.sam.size, profile.sam.side, profile.sam.weights)
    return PromptedSam(sam.requires_grad_(False), profile.data.exclusive)


SYSTEMS = {
    "sam": System("SAM", build, {"sam": SamSettings}, labels="nothing", prompted=True),
}
