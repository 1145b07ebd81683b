"""SAM-Med3D (Wang et al., 2023), taught further on a study's own volumes: all of it learns.

The comparison of M-SAM's table 1. Lessons, loss and users are M-SAM's own.
"""

from samnb.networks.sam3d.settings import Sam3DSettings
from samnb.networks.sam3d.weights import load_sam3d
from samnb.systems.click_taught import ClickLessonSettings, ClickTaught, cube_of
from samnb.systems.system import Declared, System


def build(profile: Declared, seed: int) -> ClickTaught:
    """The SAM of a profile, every part of it to be trained."""
    settings, lessons = profile.sam_3d, profile.click_lessons
    sam = load_sam3d(
        settings.size, cube_of(profile), settings.weights, checkpointing=lessons.checkpointing
    )
    return ClickTaught(sam, lessons, profile.data.exclusive)


SYSTEMS = {
    "sam_med3d": System(
        "SAM-Med3D", build, {"sam_3d": Sam3DSettings, "click_lessons": ClickLessonSettings},
        learning="sam_med3d", labels="either", prompted=True, needs_target=True,
        views=("volumes",),
    ),
}  # fmt: skip
