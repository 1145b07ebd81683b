"""Finished systems whose activation maps do not lean: averaged over an image and its mirror images.

A classifier that averages its features over the image is never told *where* it has to see a target,
so its filters are free to write what they see some cells aside, and always to the same side. In a
mirror image they write it to the other side; turned back and averaged, the sides cancel. Nothing
more is learned. (SEAM, Wang et al. 2020, trains a classifier to agree with itself so; here it is
only asked four times.)
"""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from samnb.method import Answer, Method, UserPrompts
from samnb.networks.classifier import PRESENT
from samnb.networks.sam.prompting import FOREGROUND, PADDING
from samnb.systems import cheap_lunch, sam_mix, sam_pp
from samnb.systems.cheap_lunch import CheapLunch, SelfPointed, strongest
from samnb.systems.map_prompted import ACTIVATIONS, MapPrompted
from samnb.systems.system import Declared, System

MIRRORS = ((), (-1,), (-2,), (-2, -1))  # the axes that change their direction


def mirrored(maps_of: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The mean of the maps (N, h, w) of images (N, 1, S, S) and of their three mirror images."""
    return torch.stack([maps_of(images.flip(axes)).flip(axes) for axes in MIRRORS]).mean(dim=0)


class MirrorPrompted(MapPrompted):
    """SAM-PP or SAM-Mix, with the box of the averaged map; presence is that of the image itself."""

    def __init__(self, first: MapPrompted):
        shown = SimpleNamespace(prompting=first.prompting, mix=first.mix, classifier=first.focal)
        super().__init__(first.classifier, first.sam, shown, first.soft)

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, _ = super().look(images)
        return logits, mirrored(lambda views: super(MirrorPrompted, self).look(views)[1], images)


class MirrorPointed(Method):
    """Cheap Lunch, pointing itself at the maximum of the averaged map."""

    def __init__(self, first: SelfPointed):
        super().__init__()
        self.pointed = first

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. What a user says is not looked at."""
        network, prompting = self.pointed.classifier, self.pointed.prompting

        def maps_of(views: Tensor) -> Tensor:
            features = network.features(views).float()
            return ACTIVATIONS[prompting.activation](features, network.head)

        presence = network(images).float().softmax(dim=1)[:, PRESENT]
        maps = mirrored(maps_of, images)
        points = strongest(maps, images.shape[-1])[:, None, None]
        labels = torch.where(presence > 0.5, FOREGROUND, PADDING)[:, None, None]
        found = CheapLunch.answer(self.pointed, images, UserPrompts(points, labels))
        return Answer(found.masks, presence[:, None], maps[:, None])


def build_prompted(profile: Declared, seed: int, first: MapPrompted) -> MirrorPrompted:
    return MirrorPrompted(first.requires_grad_(False))


def build_pointed(profile: Declared, seed: int, first: SelfPointed) -> MirrorPointed:
    return MirrorPointed(first.requires_grad_(False))


# Those whose map makes the prompt and nothing else; the soft form's SAM has learned from its map.
PROMPTED = {
    name: system
    for name, system in {**sam_pp.SYSTEMS, **sam_mix.SYSTEMS}.items()
    if name != "sam_mix_soft"
}
SYSTEMS = {
    f"{name}_mirrored": System(
        f"{system.title}, mirrored", build_prompted, first=name, labels="as first"
    )
    for name, system in PROMPTED.items()
} | {
    "cheap_lunch_mirrored": System(
        "Cheap Lunch, mirrored",
        build_pointed,
        first="cheap_lunch_self",
        labels="as first",
        needs_target=cheap_lunch.SYSTEMS["cheap_lunch_self"].needs_target,
    )
}
