"""SAM-PP: SAM as post-processing. Two stages: the classifier first, then SAM on its boxes."""

import torch
from torch import Tensor

from samnb.method import Batch, with_one_target
from samnb.systems.cam_alone import CamAlone
from samnb.systems.map_prompted import PROMPTED, MapPrompted, adapted_sam
from samnb.systems.system import Declared, System
from samnb.training.losses import segmentation_loss


class SamPP(MapPrompted):
    """The classifier is finished and stays as it is; SAM learns from the labelled slices."""

    def train(self, mode: bool = True) -> "SamPP":
        """Only SAM changes its mode: boxes must not depend on who shares a batch."""
        super().train(mode)
        self.classifier.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The Dice loss (Eq. 9) of SAM's masks in the boxes that the maps give."""
        batch = with_one_target(batch)
        with torch.no_grad():
            _, maps = self.look(batch.marked)
        answer, found = self.ask(batch.marked, maps, self.prompting.jitter)
        logits, _ = self.choose(answer)
        return {"loss": segmentation_loss(logits, batch.masks[found.image])}


def build(profile: Declared, seed: int, first: CamAlone) -> SamPP:
    """SAM with a fresh adapter behind the finished classifier of stage one."""
    sam = adapted_sam(profile, seed)
    return SamPP(first.classifier.requires_grad_(False), sam, profile)


SYSTEMS = {"sam_pp": System("SAM-PP", build, PROMPTED, first="classifier")}
