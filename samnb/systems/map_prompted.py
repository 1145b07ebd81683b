"""From the image alone to a mask: classifier -> activation map -> box -> SAM.

What SAM-PP and SAM-Mix share. They differ only in how the two networks learn.
"""

from dataclasses import dataclass

import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.method import Answer, Method, UserPrompts, about_one_target
from samnb.networks.classifier import (
    PRESENT,
    Classifier,
    ClassifierSettings,
    class_activation,
    evidence,
)
from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.boxes import (
    MapBoxes,
    PromptingSettings,
    active_pixels,
    boxes_of_maps,
    jitter_boxes,
)
from samnb.systems.system import Declared
from samnb.training.losses import relative_logits


@dataclass(frozen=True)
class MixSettings:
    """What the paper leaves open about training classifier and SAM together."""

    segmentation: float = 1.0  # weight of the Dice loss beside the classification loss
    guidance: float = 1.0  # weight of the loss between map and mask, in the guided form
    choice: str = "single"  # SAM's answer: its "single" mask, or the "best" scored of the three


ACTIVATIONS = {"evidence": evidence, "class": class_activation}


class MapPrompted(Method):
    """A classifier that shows SAM where to look. Subclasses say how both are trained.

    soft: the map also enters SAM as its mask prompt.
    """

    def __init__(self, classifier: Classifier, sam: Sam, profile: Declared, soft: bool = False):
        super().__init__()
        self.classifier, self.sam = classifier, sam
        self.prompting, self.mix, self.focal = profile.prompting, profile.mix, profile.classifier
        self.soft = soft
        if self.prompting.activation not in ACTIVATIONS:
            raise SamnbError(
                f"No activation map '{self.prompting.activation}'.",
                f"use one of {', '.join(ACTIVATIONS)}.",
            )

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (N, 1, S, S) -> class logits (N, 2), activation maps (N, S / 8, S / 8)."""
        features = self.classifier.features(images)
        maps = ACTIVATIONS[self.prompting.activation](features.float(), self.classifier.head)
        return self.classifier.logits(features), maps

    def ask(self, images: Tensor, maps: Tensor, jitter: float = 0.0) -> tuple[Masks, MapBoxes]:
        """SAM's answers, one for each box in the maps: images (N, 1, S, S), maps (N, h, w)."""
        side = images.shape[-1]
        found = boxes_of_maps(maps.detach(), self.prompting, side)
        boxes = jitter_boxes(found.boxes, side, jitter) if jitter else found.boxes
        prompts = Prompts(found.image, boxes, masks=self._mask_prompts(maps, found.image))
        answer = decode(self.sam, encode(self.sam, images), prompts)
        return answer.at_side(side), found

    def _mask_prompts(self, maps: Tensor, image: Tensor) -> Tensor | None:
        """The maps as logits on the grid of SAM's mask prompt (R, 1, 4g, 4g): the way back."""
        if not self.soft:
            return None
        logits = relative_logits(maps, self.prompting.threshold)[:, None]
        size = self.sam.prompt_encoder.mask_input_size
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)[image]

    def choose(self, answer: Masks) -> tuple[Tensor, Tensor]:
        """The mask that counts, of each answer: logits (R, S, S), its number (R,), 0 to 3."""
        scores = answer.scores.detach()
        if self.mix.choice == "single":
            number = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
        elif self.mix.choice == "best":
            number = 1 + scores[:, 1:].argmax(dim=1)
        else:
            raise SamnbError(f"No mask choice '{self.mix.choice}'.", "use single or best.")
        return answer.logits[torch.arange(len(number), device=number.device), number], number

    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S). It prompts itself: what a user says is not looked at."""
        return about_one_target(self.segment(images))

    @torch.no_grad()
    def segment(self, images: Tensor) -> Answer:
        """The image alone: a slice called free of the target gets an empty mask.

        Of several boxes the masks are joined; alternatives and scores are the main box's.
        """
        count, side = len(images), images.shape[-1]
        logits, maps = self.look(images)
        presence = logits.float().softmax(dim=1)[:, PRESENT]
        found = Answer(
            masks=torch.zeros(count, side, side, dtype=torch.bool, device=images.device),
            presence=presence,
            cams=maps,
            boxes=torch.full((count, 4), torch.nan, device=images.device),
            alternatives=torch.zeros(count, 3, side, side, dtype=torch.bool, device=images.device),
            scores=torch.full((count, 3), torch.nan, device=images.device),
            chosen=torch.zeros(count, dtype=torch.long, device=images.device),
        )
        called = torch.nonzero(presence > 0.5)[:, 0]
        if len(called) == 0:
            return found
        answer, boxes = self.ask(images[called], maps[called])
        chosen, number = self.choose(answer)
        main, rows = boxes.main, called[boxes.image]
        joined = torch.zeros(count, side, side, device=images.device)
        joined.index_add_(0, rows, (chosen > 0).float())
        found.masks[:] = joined > 0
        found.boxes[called] = boxes.boxes[main]
        found.alternatives[called] = answer.three()[0][main] > 0
        found.scores[called] = answer.three()[1][main].float()
        found.chosen[called] = number[main]
        return found


def adapted_sam(profile: Declared, seed: int) -> Sam:
    """The profile's SAM with a fresh adapter, and a copy of the parts that are trained whole."""
    sam = load_sam(profile.sam.size, profile.sam.side, profile.sam.weights)
    return add_lora(sam, profile.sam.lora, profile.sam.trained, seed)


def mask_of_map(maps: Tensor, presence: Tensor, threshold: float, side: int) -> Tensor:
    """What the map alone would segment: (N, side, side) bool, empty where nothing is present."""
    return active_pixels(maps, threshold, side) & (presence > 0.5)[:, None, None]


# The sections of a profile that these systems read.
CLASSIFIED = {"classifier": ClassifierSettings, "prompting": PromptingSettings}
PROMPTED = {**CLASSIFIED, "sam": SamSettings, "mix": MixSettings}
