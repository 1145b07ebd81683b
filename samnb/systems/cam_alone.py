"""The classifier by itself: stage one of SAM-PP, and how far its map goes as a segmentation."""

import torch
from torch import Tensor

from samnb.method import Answer, Batch, Method, UserPrompts, about_one_target
from samnb.networks.classifier import PRESENT, Classifier
from samnb.prompts.boxes import boxes_of_maps
from samnb.systems.map_prompted import ACTIVATIONS, CLASSIFIED, mask_of_map
from samnb.systems.system import Declared, System
from samnb.training.losses import focal_loss


class CamAlone(Method):
    """Learns from image labels only (Eq. 3); its mask is the thresholded map (Eq. 5)."""

    def __init__(self, classifier: Classifier, profile: Declared):
        super().__init__()
        self.classifier = classifier
        self.settings, self.prompting = profile.classifier, profile.prompting

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The focal loss of the slices with image labels."""
        logits = self.classifier(batch.images)
        focus = self.settings
        return {"loss": focal_loss(logits, batch.labels[:, 0], focus.alpha, focus.gamma)}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """Class, map, box, and the active pixels as mask; images (N, 1, S, S)."""
        side = images.shape[-1]
        features = self.classifier.features(images)
        presence = self.classifier.logits(features).float().softmax(dim=1)[:, PRESENT]
        maps = ACTIVATIONS[self.prompting.activation](features.float(), self.classifier.head)
        found = boxes_of_maps(maps, self.prompting, side)
        boxes = torch.where((presence > 0.5)[:, None], found.boxes[found.main], torch.nan)
        masks = mask_of_map(maps, presence, self.prompting.threshold, side)
        return about_one_target(Answer(masks, presence, maps, boxes))


def build(profile: Declared, seed: int) -> CamAlone:
    """A fresh classifier; its weights are drawn from torch's generator."""
    return CamAlone(Classifier(profile.classifier.width, profile.classifier.channels), profile)


SYSTEMS = {"classifier": System("CAM alone", build, CLASSIFIED, labels="image")}
