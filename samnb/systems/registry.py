"""Every system under its name. To add one: a file beside this one, and its name here."""

from samnb.base.errors import SamnbError
from samnb.systems import (
    attention_unet,
    box_taught,
    cam_alone,
    cheap_lunch,
    diffusion,
    m_sam,
    med_lora,
    med_sa,
    med_sa_self,
    med_sa_slices,
    med_sam,
    mirrored,
    multimix,
    nnunet,
    prompted_sam,
    sam_3d,
    sam_by_slice,
    sam_med3d,
    sam_mix,
    sam_mix_improved,
    sam_pp,
    samed,
    swin_unetr,
    trained_sam,
    transunet,
    unet,
    unet_3d,
    unetr,
)
from samnb.systems.system import System

# In the order in which they are planned and printed.
FILES = (
    *(cam_alone, sam_pp, sam_mix, sam_mix_improved),
    *(unet, nnunet, transunet, multimix),
    *(prompted_sam, box_taught, trained_sam),
    *(cheap_lunch, samed, attention_unet),
    *(mirrored, med_sa, med_lora, med_sam, med_sa_slices, med_sa_self),
    *(sam_by_slice, unet_3d, unetr, swin_unetr, diffusion),
    *(sam_3d, sam_med3d, m_sam),
)

SYSTEMS: dict[str, System] = {
    name: system for file in FILES for name, system in file.SYSTEMS.items()
}


def sections() -> dict[str, type]:
    """Every section of a profile that a system reads, and what it is."""
    return {name: kind for system in SYSTEMS.values() for name, kind in system.settings.items()}


def find_system(name: str) -> System:
    """The system of this name; dashes and underscores are alike."""
    system = SYSTEMS.get(name.replace("-", "_").lower())
    if system is None:
        raise SamnbError(f"No system '{name}'.", f"use one of {', '.join(SYSTEMS)}.")
    return system
