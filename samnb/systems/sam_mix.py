"""SAM-Mix: classifier and SAM trained together, and two forms that close the gap it leaves.

A box is not differentiable, so in the paper's form the segmentation loss never reaches the
classifier: the two learn side by side. The *guided* form lets the labelled masks teach the map as
well. The *soft* form hands the map to SAM as its mask prompt too: end to end.
"""

from functools import partial

import torch
from torch import Tensor

from samnb.method import Batch, with_one_target
from samnb.networks.classifier import Classifier
from samnb.systems.map_prompted import PROMPTED, MapPrompted, adapted_sam
from samnb.systems.system import Declared, System
from samnb.training.losses import focal_loss, map_loss, segmentation_loss


class SamMix(MapPrompted):
    """One step: image labels teach the classifier, a few masks teach SAM in the current boxes."""

    def __init__(self, *parts, guided: bool = False, soft: bool = False):
        super().__init__(*parts, soft=soft)
        self.guided = guided

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Focal loss (Eq. 3) of the slices with image labels, Dice loss (Eq. 9) of the marked."""
        batch = with_one_target(batch)
        known = len(batch.images)
        logits, maps = self.look(torch.cat([batch.images, batch.marked]))
        focal = focal_loss(logits[:known], batch.labels, self.focal.alpha, self.focal.gamma)
        losses = {"classification": focal}
        marked = maps[known:]
        answer, found = self.ask(batch.marked, marked, self.prompting.jitter)
        chosen, _ = self.choose(answer)
        losses["segmentation"] = segmentation_loss(chosen, batch.masks[found.image])
        total = losses["classification"] + self.mix.segmentation * losses["segmentation"]
        if self.guided:
            losses["guidance"] = map_loss(marked, batch.masks, self.prompting.threshold)
            total = total + self.mix.guidance * losses["guidance"]
        return {"loss": total, **losses}


def build(profile: Declared, seed: int, guided: bool = False, soft: bool = False) -> SamMix:
    """A fresh classifier beside SAM with a fresh adapter."""
    classifier = Classifier(profile.classifier.width, profile.classifier.channels)
    sam = adapted_sam(profile, seed)
    return SamMix(classifier, sam, profile, guided=guided, soft=soft)


SYSTEMS = {
    "sam_mix": System("SAM-Mix", build, PROMPTED),
    "sam_mix_guided": System("SAM-Mix guided", partial(build, guided=True), PROMPTED),
    "sam_mix_soft": System("SAM-Mix soft", partial(build, soft=True), PROMPTED),
}
