"""SAM as it is, asked about volumes: each slice is a picture, prompted on its own."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.method import Answer, Method, UserPrompts
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.space_depth import slices_of
from samnb.prompts.by_slice import by_slice
from samnb.systems.prompted_sam import build as build_sam
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class Piled:
    """Slices that a method of slices has begun with. shape: (N, C, D, S, S) of the volumes."""

    begun: Any
    shape: torch.Size


class BySlice(Method):
    """A prompted method of slices, for volumes. It learns nothing here."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    @torch.no_grad()
    def begin(self, images: Tensor) -> Piled:
        """images (N, 1 or 3, D, S, S), 0-1."""
        return Piled(self.method.begin(slices_of(images)), images.shape)

    @torch.no_grad()
    def answer(self, state: Piled, prompts: UserPrompts | None = None) -> Answer:
        """prompts: of volumes, or of their N D slices; what nobody prompts stays empty."""
        if prompts is None:
            raise SamnbError("SAM answers users who prompt, and nobody does.", "name a user.")
        count, size = state.shape[0], state.shape[2:]
        found = self.method.answer(state.begun, by_slice(prompts, count, size))
        return Answer(found.masks.unflatten(0, (count, size[0])).movedim(1, 2))


def build(profile: Declared, seed: int) -> BySlice:
    """The SAM of a profile, frozen: nothing is random and nothing learns."""
    return BySlice(build_sam(profile, seed))


SYSTEMS = {
    "sam_by_slice": System(
        "SAM", build, {"sam": SamSettings}, labels="nothing", prompted=True,
        views=("volumes",), by_slice=True,
    ),
}  # fmt: skip
