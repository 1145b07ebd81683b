"""Cheap Lunch with a point that does not lean: asked about an image and its mirror images.

A classifier that averages its features over the image is never told *where* it has to see a target,
so its filters are free to write what they see some cells aside, and always to the same side. In a
mirror image they write it to the other side: turned back, the four points lie around the target,
and their mean lies in its middle. Nothing more is learned. (SEAM, Wang et al. 2020, trains a
classifier to agree with itself so; here it is only asked four times.)
"""

import torch
from torch import Tensor

from samnb.method import Answer, Method, UserPrompts
from samnb.networks.classifier import PRESENT
from samnb.networks.sam.prompting import FOREGROUND, PADDING
from samnb.systems.cheap_lunch import CheapLunch, SelfPointed, strongest
from samnb.systems.map_prompted import ACTIVATIONS
from samnb.systems.system import Declared, System

MIRRORS = ((), (-1,), (-2,), (-2, -1))  # the axes that change their direction


class MirrorPointed(Method):
    """A finished self-pointing Cheap Lunch; presence is that of the image itself."""

    def __init__(self, first: SelfPointed):
        super().__init__()
        self.pointed = first

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. What a user says is not looked at.

        The answer's map is one where it points, and zero elsewhere.
        """
        presence = self.pointed.classifier(images).float().softmax(dim=1)[:, PRESENT]
        points = self.points(images)
        labels = torch.where(presence > 0.5, FOREGROUND, PADDING)
        said = UserPrompts(points[:, None, None], labels[:, None, None])
        found = CheapLunch.answer(self.pointed, images, said)
        return Answer(found.masks, presence[:, None], _at(points, images.shape[-1])[:, None])

    def points(self, images: Tensor) -> Tensor:
        """The mean of the points of the four views, turned back: (N, 2) x, y in pixels."""
        side = images.shape[-1]
        classifier = self.pointed.classifier
        activation = ACTIVATIONS[self.pointed.prompting.activation]
        found = []
        for axes in MIRRORS:
            maps = activation(classifier.features(images.flip(axes)).float(), classifier.head)
            point = strongest(maps, side)
            for axis in axes:  # -1 turns x, -2 turns y
                point[:, -1 - axis] = side - point[:, -1 - axis]
            found.append(point)
        return torch.stack(found).mean(dim=0).floor()


def _at(points: Tensor, side: int) -> Tensor:
    """points (N, 2) x, y -> (N, side, side), one at the point."""
    maps = points.new_zeros(len(points), side, side)
    x, y = points.long().unbind(dim=1)
    maps[torch.arange(len(points), device=points.device), y, x] = 1
    return maps


def build(profile: Declared, seed: int, first: SelfPointed) -> MirrorPointed:
    return MirrorPointed(first.requires_grad_(False))


SYSTEMS = {
    "cheap_lunch_mirrored": System(
        "Cheap Lunch, mirrored", build, first="cheap_lunch_self", labels="as first",
        needs_target=True,
    ),
}  # fmt: skip
