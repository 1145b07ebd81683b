"""Every system under its name. To add a method: one file beside this one, one line here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from samnb.base.errors import SamnbError
from samnb.studies import LearningSettings, Profile
from samnb.systems import (
    cam_alone,
    multimix,
    nnunet,
    sam_mix,
    sam_mix_improved,
    sam_pp,
    transunet,
    unet,
)


@dataclass(frozen=True)
class System:
    """How a system is made and what it learns from.

    title: as tables print it. build: (profile, seed), or (profile, seed, finished first system),
    to a `Method` ready to be trained. learning: which of the profile's settings for learning.
    reads: parts of the profile that `build` needs; it is shown no others. first: the system that is
    trained before. labels: what it may see of the training patients:
    "image" labels only; "few": those, and the masks of the labelled slices; "either": the masks of
    the labelled slices alone, or, asked for without a number, all masks.
    """

    title: str
    build: Callable[..., nn.Module]
    reads: tuple[str, ...] = ()
    learning: str = "sam"
    first: str | None = None
    labels: str = "few"
    schedule: Callable[[Profile], LearningSettings] | None = None


CLASSIFIED = ("classifier", "prompting")
PROMPTED = (*CLASSIFIED, "sam", "mix")

SYSTEMS: dict[str, System] = {
    "classifier": System("CAM alone", cam_alone.build, CLASSIFIED, labels="image"),
    "sam_pp": System("SAM-PP", sam_pp.build, PROMPTED, first="classifier"),
    "sam_mix": System("SAM-Mix", sam_mix.build, PROMPTED),
    "sam_mix_guided": System("SAM-Mix guided", partial(sam_mix.build, guided=True), PROMPTED),
    "sam_mix_soft": System("SAM-Mix soft", partial(sam_mix.build, soft=True), PROMPTED),
    "sam_mix_improved": System(
        "SAM-Mix improved", sam_mix_improved.build, (*PROMPTED, "improved"), learning="improved"
    ),
    "unet": System("U-Net", unet.build, ("baselines",), learning="unet", labels="either"),
    "nnunet": System(
        "nnU-Net",
        nnunet.build,
        ("baselines",),
        learning="nnunet",
        labels="either",
        schedule=nnunet.learning_of,
    ),
    "transunet": System(
        "TransUNet", transunet.build, ("baselines",), learning="supervised", labels="full"
    ),
    "multimix": System("MultiMix", multimix.build, ("baselines",), learning="multimix"),
}


def find_system(name: str) -> System:
    """The system of this name; dashes and underscores are alike."""
    system = SYSTEMS.get(name.replace("-", "_").lower())
    if system is None:
        raise SamnbError(f"No system '{name}'.", f"use one of {', '.join(SYSTEMS)}.")
    return system
