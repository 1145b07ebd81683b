"""MedSAM (Ma et al., 2024): all of SAM fine-tuned, but for its prompt encoder, in boxes.

The boxes of the truth are enlarged at random; the loss is Dice (squared denominators) +
cross-entropy. A volume is its slices, each alone. Med-SA's paper asks it by points as well, which
it has never seen in a box's lesson, and does not say how it was taught: `taught: both` gives it
Med-SA's own lessons.
"""

from dataclasses import dataclass

from segment_anything.modeling import Sam
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.networks.sam.prompting import Prompts
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.boxes import box_of
from samnb.prompts.lessons import enlarged_boxes, first_prompts
from samnb.systems.prompt_taught import PromptTaught
from samnb.systems.system import Declared, System

CLICKS, BOXES = 3, 0.5  # of lessons as Med-SA's: corrective clicks, share of boxes
TAUGHT = ("boxes", "both")


@dataclass(frozen=True)
class MedSamSettings:
    taught: str = "boxes"  # "both": clicks and boxes, and clicks in the error
    checkpointing: bool = False  # blocks of the encoder are computed again: less memory, more time


class MedSam(PromptTaught):
    def __init__(self, sam: Sam, taught: str, exclusive: bool = False):
        if taught not in TAUGHT:
            raise SamnbError(f"No lessons of '{taught}'.", f"use {' or '.join(TAUGHT)}.")
        super().__init__(sam, 0 if taught == "boxes" else CLICKS, 1.0, 1.0, exclusive)
        self.taught = taught

    def first(self, image: Tensor, masks: Tensor) -> Prompts:
        if self.taught == "both":
            return first_prompts(image, masks, BOXES)
        return Prompts(image, boxes=enlarged_boxes(box_of(masks), masks.shape[-1]))


def build(profile: Declared, seed: int) -> MedSam:
    """The profile's SAM, trained whole but for the prompt encoder; nothing is random."""
    settings, sam = profile.med_sam, profile.sam
    base = load_sam(sam.size, sam.side, sam.weights, checkpointing=settings.checkpointing)
    base.prompt_encoder.requires_grad_(False)
    return MedSam(base, settings.taught, profile.data.exclusive)


SYSTEMS = {
    "medsam": System(
        "MedSAM", build, {"sam": SamSettings, "med_sam": MedSamSettings}, "med_sam",
        labels="either", prompted=True, needs_target=True,
        views=("slices", "volumes"), by_slice=True,
    ),
}  # fmt: skip
