"""Swin UNETR (Hatamizadeh et al., 2021): a transformer of shifted windows as encoder of a U-Net.

MONAI's network. Papers that compare give it "138 M" parameters, which no width does: 48, its own
paper's, has 62.19 million with 14 outputs, and 72, the nearest, 139.65. Loss: Dice + cross-entropy.
"""

from dataclasses import dataclass

from monai.networks.nets import SwinUNETR

from samnb.networks.targets import TargetHead
from samnb.systems.patch_network import PatchNetwork, check_patch
from samnb.systems.system import Declared, System

STEP = 32  # voxels that become one at the bottom


@dataclass(frozen=True)
class SwinUNETRSettings:
    width: int = 72  # channels of the first stage, a multiple of 12
    checkpoint: bool = False  # compute the encoder twice and keep less of it: memory for time


def build(profile: Declared, seed: int) -> PatchNetwork:
    """With random weights of torch's generator, which the caller seeds."""
    data, settings = profile.data, profile.swin_unetr
    check_patch(data.patches.size, "Swin UNETR", (STEP,) * 3)
    head = TargetHead(len(data.targets), data.exclusive)
    network = SwinUNETR(
        in_channels=data.channels,
        out_channels=head.outputs,
        feature_size=settings.width,
        use_checkpoint=settings.checkpoint,
    )
    return PatchNetwork(network, head, data.patches.size)


SYSTEMS = {
    "swin_unetr": System(
        "Swin UNETR", build, {"swin_unetr": SwinUNETRSettings}, "swin_unetr",
        labels="either", views=("volumes",),
    )
}  # fmt: skip
