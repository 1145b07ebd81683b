"""Med-SA with LoRA in the place of its adapters: what is it about the adapters that teaches?

Lessons, loss, frozen SAM and answers are Med-SA's own. LoRA has the rank that gives it as many
trained numbers as the adapters have. It knows neither depth nor prompt, so it is for pictures.
"""

from samnb.networks.sam.equal_lora import add_equal_lora
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.systems.med_sa import MedSa, MedSaSettings
from samnb.systems.system import Declared, System


def build(profile: Declared, seed: int) -> MedSa:
    """The profile's SAM with fresh LoRA."""
    settings, sam = profile.med_sa, profile.sam
    base = load_sam(sam.size, sam.side, sam.weights, checkpointing=settings.checkpointing)
    adapted = add_equal_lora(base, sam.size, settings.adapters, sam.trained, seed)
    return MedSa(adapted, settings, profile.data.exclusive)


SYSTEMS = {
    "med_lora": System(
        "Med-LoRA", build, {"sam": SamSettings, "med_sa": MedSaSettings}, "med_lora",
        labels="either", prompted=True, needs_target=True,
    ),
}  # fmt: skip
