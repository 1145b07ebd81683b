"""UNETR (Hatamizadeh et al., 2022): a vision transformer whose layers are the skips of a U-Net.

MONAI's network. For patches of 128³ voxels, two channels and one target, widths from 32 and plain
projections of the skips, it has 103.85 million parameters, the "104 M" of papers; with MONAI's own
defaults it has fewer or more. Loss: Dice + cross-entropy.
"""

from dataclasses import dataclass

from monai.networks.nets import UNETR

from samnb.networks.targets import TargetHead
from samnb.systems.patch_network import PatchNetwork, check_patch
from samnb.systems.system import Declared, System

TOKEN = 16  # voxels along a side


@dataclass(frozen=True)
class UNETRSettings:
    width: int = 32  # channels of the finest stage of the decoder, doubled by each coarser one
    embed: int = 768  # channels of a token
    mlp: int = 3072
    heads: int = 12


def build(profile: Declared, seed: int) -> PatchNetwork:
    """With random weights of torch's generator, which the caller seeds."""
    data, settings = profile.data, profile.unetr
    check_patch(data.patches.size, "UNETR", (TOKEN,) * 3)
    head = TargetHead(len(data.targets), data.exclusive)
    network = UNETR(
        in_channels=data.channels,
        out_channels=head.outputs,
        img_size=data.patches.size,
        feature_size=settings.width,
        hidden_size=settings.embed,
        mlp_dim=settings.mlp,
        num_heads=settings.heads,
        conv_block=False,
        res_block=True,
    )
    return PatchNetwork(network, head, data.patches.size)


SYSTEMS = {
    "unetr": System(
        "UNETR", build, {"unetr": UNETRSettings}, "unetr", labels="either", views=("volumes",)
    )
}
