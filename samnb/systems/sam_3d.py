"""SAM in three dimensions as it is, answering a user who clicks in a volume."""

from samnb.networks.sam3d.model import SAM3D_SIZES, Sam3D
from samnb.networks.sam3d.prompting import VolumeMasks
from samnb.networks.sam3d.settings import Sam3DSettings
from samnb.networks.sam3d.weights import load_sam3d
from samnb.systems.click_taught import ClickLessonSettings, ClickTaught, cube_of
from samnb.systems.system import Declared, System


class Sam3DAsItIs(ClickTaught):
    """It learns nothing, and answers as its pre-training was asked.

    as_published: by SAM-Med3D's code, where the first mask prompt is empty and the single mask
    always counts. The pocket SAM was told that there is none, and of its first answer the best
    scored of three masks counts.
    """

    def __init__(self, sam: Sam3D, exclusive: bool, as_published: bool):
        super().__init__(sam, ClickLessonSettings(), exclusive)
        self.as_published = as_published
        self.null = 0.0 if as_published else float("nan")

    def counting(self, answer: VolumeMasks, first: bool):
        if first and not self.as_published:
            return answer.best_of_three()[0]
        return super().counting(answer, first)


def build(profile: Declared, seed: int) -> Sam3DAsItIs:
    """The SAM of a profile, frozen: nothing is random and nothing learns."""
    settings = profile.sam_3d
    sam = load_sam3d(settings.size, cube_of(profile), settings.weights).requires_grad_(False)
    return Sam3DAsItIs(sam, profile.data.exclusive, SAM3D_SIZES[settings.size].as_published)


SYSTEMS = {
    "sam_3d": System(
        "SAM (3D)", build, {"sam_3d": Sam3DSettings}, "sam_3d",
        labels="nothing", prompted=True, views=("volumes",),
    ),
}  # fmt: skip
