"""Med-SA that nobody has to prompt: an activation map says where to click.

Behind the finished Med-SA, of which nothing changes, a classifier learns whether a slice shows the
target, and from nothing else: of a mask it is told whether it is empty. It decides *whether* Med-SA
is asked, and the maximum of its map *where* the click goes. So Med-SA told the truth and Med-SA
told by a map are the same network, and what lies between them is what the click costs.

Mirrored: the click is the mean of the maxima of four mirror images (see `mirrored`).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.classifier import PRESENT, Classifier
from samnb.networks.sam.prompting import FOREGROUND
from samnb.systems import cam_alone
from samnb.systems.cam_alone import CamAlone
from samnb.systems.cheap_lunch import strongest
from samnb.systems.map_prompted import ACTIVATIONS, CLASSIFIED
from samnb.systems.med_sa_slices import AskedOrNot
from samnb.systems.mirrored import MirrorPointed
from samnb.systems.system import Declared, System


class SelfPointed(Method):
    """A finished Med-SA, and a classifier that learns to point for it; of one target."""

    def __init__(self, first: AskedOrNot, alone: CamAlone):
        super().__init__()
        self.asked, self.alone = first.requires_grad_(False), alone
        self.prompting = alone.prompting

    @property
    def classifier(self) -> Classifier:
        return self.alone.classifier

    def train(self, mode: bool = True) -> "SelfPointed":
        """Med-SA has learned already."""
        super().train(mode)
        self.asked.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The classifier's loss; of the masks (M, 1, S, S) it sees whether they are empty."""
        labels = batch.masks.flatten(2).any(dim=2).long()
        return self.alone(batch._replace(images=batch.marked, labels=labels))

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. It points itself: what a user says is not looked at."""
        features = self.classifier.features(images)
        presence = self.classifier.logits(features).float().softmax(dim=1)[:, PRESENT]
        maps = ACTIVATIONS[self.prompting.activation](features.float(), self.classifier.head)
        masks = self.masks_at(images, strongest(maps, images.shape[-1]), presence > 0.5)
        return Answer(masks, presence[:, None], maps[:, None])

    def masks_at(self, images: Tensor, points: Tensor, called: Tensor) -> Tensor:
        """Med-SA's masks (N, 1, S, S) bool for a click each, points (N, 2) x, y in pixels.

        called (N,) bool: Med-SA sees these images alone; the masks of the others stay empty.
        """
        masks = torch.zeros_like(images, dtype=torch.bool)
        if called.any():
            clicks = points[called][:, None, None]
            labels = torch.full(clicks.shape[:3], FOREGROUND, device=images.device)
            state = self.asked.begin(images[called])
            masks[called] = self.asked.answer(state, UserPrompts(clicks, labels)).masks
        return masks


class MirrorPointedMedSa(MirrorPointed):
    """A finished self-pointed Med-SA; presence is that of the image itself."""

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. The answer's map is one where it points, and zero elsewhere."""
        presence = self.pointed.classifier(images).float().softmax(dim=1)[:, PRESENT]
        points, side = self.points(images), images.shape[-1]
        masks = self.pointed.masks_at(images, points, presence > 0.5)
        x, y = points.long().unbind(dim=1)
        maps = F.one_hot(y * side + x, side * side).unflatten(1, (side, side)).float()
        return Answer(masks, presence[:, None], maps[:, None])


def build(profile: Declared, seed: int, first: AskedOrNot) -> SelfPointed:
    """Behind the finished Med-SA a fresh classifier; for one target."""
    if len(profile.data.targets) > 1:
        raise SamnbError(
            "An activation map is of one target, and this study has several.",
            "name one in `targets`.",
        )
    return SelfPointed(first, cam_alone.build(profile, seed))


def build_mirrored(profile: Declared, seed: int, first: SelfPointed) -> MirrorPointedMedSa:
    return MirrorPointedMedSa(first.requires_grad_(False))


SYSTEMS = {
    "med_sa_self": System(
        "Self-pointed Med-SA", build, CLASSIFIED, first="med_sa_slices", labels="either",
    ),
    "med_sa_mirrored": System(
        "Mirrored Med-SA", build_mirrored, first="med_sa_self", labels="as first",
    ),
}  # fmt: skip
