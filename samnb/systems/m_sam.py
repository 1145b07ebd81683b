"""M-SAM (Shi et al., 2024): SAM-Med3D with LoRA, and an adapter that shows the decoder the mask.

Round by round the mask-enhanced adapter makes one embedding of the image's and that of the last
mask; the decoder answers from it, and it is the image's embedding in the next round.

What the paper leaves open. LoRA: neither rank nor place are said; rank 16 in queries and values of
the image encoder gives the printed number of parameters. The loss over rounds: their mean. The
image embedding of the next round is the updated one, as section 2.3 says ("carried"); the public
code reuses the encoder's in each round.
"""

from dataclasses import dataclass, field

from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam3d.mea import MeaSettings, build_mea
from samnb.networks.sam3d.model import SAM3D_SIZES, Sam3D
from samnb.networks.sam3d.settings import Sam3DSettings
from samnb.networks.sam3d.weights import load_sam3d
from samnb.systems.click_taught import ClickLessonSettings, ClickTaught, cube_of
from samnb.systems.system import Declared, System

MEA, NONE = "mea", "none"
LORA, WHOLE = "lora", "whole"


@dataclass(frozen=True)
class MSamSettings:
    adapter: str = MEA  # "none": SAM's own sum of embeddings
    encoder: str = LORA  # "whole": all of the image encoder learns, as the paper's last variant
    lora: LoraSettings = field(default_factory=lambda: LoraSettings(rank=16, alpha=16.0))
    mea: MeaSettings = field(default_factory=MeaSettings)
    carried: bool = True  # the updated image embedding goes on to the next round


class MSam(ClickTaught):
    def __init__(self, sam: Sam3D, mea, carried: bool, lessons, exclusive: bool = False):
        """sam: with its LoRA; mea: None without the adapter."""
        super().__init__(sam, lessons, exclusive)
        self.mea, self.carried = mea, carried

    def enhance(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.mea is None:
            return super().enhance(image, mask)
        updated = self.mea(image, mask.expand_as(image))
        if not self.carried:
            return updated, image
        return updated, updated.detach() if self.settings.detached else updated


def build(profile: Declared, seed: int) -> MSam:
    """The profile's SAM with fresh adapters; its prompt encoder and mask decoder learn whole."""
    settings, lessons, side = profile.m_sam, profile.click_lessons, cube_of(profile)
    for name, known in (("adapter", (MEA, NONE)), ("encoder", (LORA, WHOLE))):
        if getattr(settings, name) not in known:
            raise SamnbError(
                f"M-SAM has no {name} '{getattr(settings, name)}'.", f"use {' or '.join(known)}."
            )
    size, weights = profile.sam_3d.size, profile.sam_3d.weights
    sam = load_sam3d(size, side, weights, checkpointing=lessons.checkpointing)
    if settings.encoder == LORA:
        add_lora(sam, settings.lora, seed=seed)
        sam.prompt_encoder.requires_grad_(True)
        sam.mask_decoder.requires_grad_(True)
    mea = None
    if settings.adapter == MEA:
        mea = build_mea(SAM3D_SIZES[size].prompt_width, sam.prompt_encoder.grid, settings.mea, seed)
    return MSam(sam, mea, settings.carried, lessons, profile.data.exclusive)


SYSTEMS = {
    "m_sam": System(
        "M-SAM", build,
        {
            "sam_3d": Sam3DSettings,
            "click_lessons": ClickLessonSettings,
            "m_sam": MSamSettings,
        },
        learning="m_sam", labels="either", prompted=True, needs_target=True,
        views=("volumes",),
    ),
}  # fmt: skip
