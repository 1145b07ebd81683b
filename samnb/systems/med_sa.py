"""Med-SA (Wu et al., 2023): SAM frozen, and adapters that know of depth and of the prompt.

One training serves all users: a lesson begins with a random click or a noisy box and goes on with
one to three clicks in the error of the last answer; every answer counts in the loss.

What the paper leaves open. The loss: Dice (squared denominators) + cross-entropy, as the released
code's for volumes. The decoder: the text freezes all of SAM, the released code trains its mask
decoder whole; here nothing but adapters learns, unless the profile's `sam.trained` says so. Where
clicks go: any pixel of the error. Volumes: patches of a few slices, as thick at test time.
"""

from dataclasses import dataclass, field

from segment_anything.modeling import Sam
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.networks.sam.med_adapters import MedAdapterSettings, add_med_adapters
from samnb.networks.sam.prompting import Prompts
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.space_depth import encode_in_patches
from samnb.networks.sam.weights import load_sam
from samnb.prompts.lessons import first_prompts
from samnb.systems.prompt_taught import PromptTaught
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class MedSaSettings:
    adapters: MedAdapterSettings = field(default_factory=MedAdapterSettings)
    thickness: int = 8  # slices of a volume that see one another
    clicks: int = 3  # corrective clicks in a lesson at most
    boxes: float = 0.5  # share of lessons that begin with a box
    dice: float = 1.0
    cross_entropy: float = 1.0
    checkpointing: bool = False  # blocks of the encoder are computed again: less memory, more time


class MedSa(PromptTaught):
    def __init__(self, sam: Sam, settings: MedSaSettings, exclusive: bool = False):
        """sam: with its adapters."""
        super().__init__(sam, settings.clicks, settings.dice, settings.cross_entropy, exclusive)
        if settings.thickness < 1 or not 0 <= settings.boxes <= 1:
            raise SamnbError(
                f"Patches of {settings.thickness} slices, and a share of {settings.boxes} boxes.",
                "give at least one slice, and a share from 0 to 1.",
            )
        self.settings = settings

    def first(self, image: Tensor, masks: Tensor) -> Prompts:
        return first_prompts(image, masks, self.settings.boxes)

    def encode(self, images: Tensor) -> Tensor:
        """As all, but slices of a volume see their neighbours."""
        if images.ndim == 5:
            return encode_in_patches(self.sam, images, self.settings.thickness)
        return super().encode(images)


def build(profile: Declared, seed: int) -> MedSa:
    """The profile's SAM with fresh adapters."""
    settings, sam = profile.med_sa, profile.sam
    base = load_sam(sam.size, sam.side, sam.weights, checkpointing=settings.checkpointing)
    adapted = add_med_adapters(base, settings.adapters, sam.trained, seed)
    return MedSa(adapted, settings, profile.data.exclusive)


SYSTEMS = {
    "med_sa": System(
        "Med-SA", build, {"sam": SamSettings, "med_sa": MedSaSettings}, "med_sa",
        labels="either", prompted=True, needs_target=True,
        views=("slices", "volumes"), by_slice=True,
    ),
}  # fmt: skip
