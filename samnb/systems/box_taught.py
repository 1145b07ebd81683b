"""SAM fine-tuned in boxes of the truth, for users who prompt it: LoRA on a few labelled slices.

So MedSAM (Ma et al., 2024) is trained, whole and on a million masks; here an adapter learns from
the marked slices alone. It is asked like SAM as it is, so the two differ in what was learned.
"""

from dataclasses import dataclass

from segment_anything.modeling import Sam
from torch import Tensor

from samnb.method import Batch
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import SamSettings
from samnb.prompts.boxes import box_of, jitter_boxes
from samnb.systems.map_prompted import adapted_sam
from samnb.systems.prompted_sam import PromptedSam
from samnb.systems.system import Declared, System
from samnb.training.losses import segmentation_loss


@dataclass(frozen=True)
class BoxTaughtSettings:
    jitter: float = 0.1  # noise on the edges of boxes while training, as a share of the box's side


class BoxTaught(PromptedSam):
    """Each target of each marked slice is a lesson of its own; one that is not there is none."""

    def __init__(self, sam: Sam, settings: BoxTaughtSettings):
        super().__init__(sam)
        self.jitter = settings.jitter

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The Dice loss (Eq. 9) of SAM's single masks, in tight boxes that are shaken anew."""
        image, target = batch.masks.flatten(2).any(dim=2).nonzero(as_tuple=True)
        embeddings = encode(self.sam, batch.marked)
        if len(image) == 0:
            return {"loss": 0 * embeddings.float().sum()}
        masks, side = batch.masks[image, target], batch.masks.shape[-1]
        boxes = jitter_boxes(box_of(masks.bool()), side, self.jitter)
        answer = decode(self.sam, embeddings, Prompts(image, boxes)).at_side(side)
        return {"loss": segmentation_loss(answer.single()[0], masks)}


def build(profile: Declared, seed: int) -> BoxTaught:
    """The profile's SAM with a fresh adapter."""
    return BoxTaught(adapted_sam(profile, seed), profile.sam_lora)


SYSTEMS = {
    "sam_lora": System(
        "SAM-LoRA",
        build,
        {"sam": SamSettings, "sam_lora": BoxTaughtSettings},
        learning="sam_lora",
        labels="either",
        prompted=True,
    ),
}
