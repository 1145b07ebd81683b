"""Med-SA and MedSAM asked about the slices of scans, many of which show no target.

Nobody prompts where there is nothing to be seen, and of a stack of slices that nobody prompts at
all every mask is empty, as SAM's is. They learn and answer as they do of pictures.
"""

from typing import Any

import torch
from torch import Tensor

from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.sam.settings import SamSettings
from samnb.prompts.asked import asked, shape_of
from samnb.systems import med_sa, med_sam
from samnb.systems.med_sa import MedSaSettings
from samnb.systems.med_sam import MedSamSettings
from samnb.systems.prompt_taught import PromptTaught
from samnb.systems.system import Declared, System


class AskedOrNot(Method):
    """A method of prompts, and silence where there are none."""

    def __init__(self, method: PromptTaught):
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.method(batch)

    @torch.no_grad()
    def begin(self, images: Tensor) -> Any:
        """images (N, 1 or 3, S, S), 0-1."""
        return self.method.begin(images)

    @torch.no_grad()
    def answer(self, state: Any, prompts: UserPrompts | None = None) -> Answer:
        """prompts: of the N slices; what nobody prompts stays empty."""
        if prompts is None or len(asked(prompts)[0]):
            return self.method.answer(state, prompts)
        size = (*shape_of(prompts), *state.shape[2:])
        return Answer(torch.zeros(size, dtype=torch.bool, device=state.embeddings.device))


def build(profile: Declared, seed: int) -> AskedOrNot:
    return AskedOrNot(med_sa.build(profile, seed))


def build_medsam(profile: Declared, seed: int) -> AskedOrNot:
    return AskedOrNot(med_sam.build(profile, seed))


SYSTEMS = {
    "med_sa_slices": System(
        "Med-SA", build, {"sam": SamSettings, "med_sa": MedSaSettings}, "med_sa",
        labels="either", prompted=True, needs_target=True,
    ),
    "medsam_slices": System(
        "MedSAM", build_medsam, {"sam": SamSettings, "med_sam": MedSamSettings}, "med_sam",
        labels="either", prompted=True, needs_target=True,
    ),
}  # fmt: skip
