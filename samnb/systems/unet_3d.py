"""A 3D U-Net laid out and taught as nnU-Net's (Isensee et al., 2021), which it is not.

From nnU-Net are the layout by patch and spacing, the widths, the loss at several depths, mirroring
in training and in testing, and the share of patches around targets. It lacks the normalisation by
the training set's intensities (instance norm takes scale and shift from each patch), every
augmentation but mirroring, and the choice of the largest piece; Dice is that of a step's patches at
once. The network is MONAI's DynUNet, whose convolutions have no bias. Patches of 128³ voxels of
equal sides give 31.19 million parameters; with four halvings in place of five it is 16.54, the
"16 M" of papers.
"""

from dataclasses import dataclass
from itertools import combinations

import torch
from monai.networks.nets import DynUNet
from torch import Tensor

from samnb.evaluation.volumes import by_windows
from samnb.method import Answer, Batch, UserPrompts
from samnb.networks.targets import TargetHead
from samnb.networks.volume_plan import Layout, layout, supervision
from samnb.systems.patch_network import PatchNetwork, check_patch
from samnb.systems.system import Declared, System

AXES = (2, 3, 4)
MIRRORS = [axes for count in range(4) for axes in combinations(AXES, count)]


@dataclass(frozen=True)
class UNet3DSettings:
    width: int = 32  # channels of the first stage, doubled by each further one
    most: int = 320  # channels that no stage exceeds
    halvings: int | None = None  # null: as many as nnU-Net's rules give the patch
    mirror: bool = True  # patches in training at random, and volumes in testing along all axes


class UNet3D(PatchNetwork):
    """Its loss is weighed over depths: of each decoder output but the coarsest, enlarged."""

    def __init__(self, plan: Layout, channels: int, head: TargetHead, patch, settings):
        stages = len(plan.strides)
        self.weights = supervision(stages - 1)
        network = DynUNet(
            spatial_dims=3,
            in_channels=channels,
            out_channels=head.outputs,
            kernel_size=plan.kernels,
            strides=plan.strides,
            upsample_kernel_size=plan.strides[1:],
            filters=[min(settings.width * 2**stage, settings.most) for stage in range(stages)],
            deep_supervision=len(self.weights) > 1,
            deep_supr_num=max(1, len(self.weights) - 1),
        )
        super().__init__(network, head, patch)
        self.mirror = settings.mirror

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        images, masks = batch.marked, batch.masks
        if self.mirror:
            images, masks = mirrored(images, masks)
        outputs = self.logits(images)
        if outputs.ndim == 5:  # one output
            return {"loss": self.head.loss(outputs, masks)}
        # DynUNet keeps its last outputs, graph and all; then it could not be copied.
        self.network.heads[:] = [torch.zeros(1)] * len(self.network.heads)
        losses = [self.head.loss(output, masks) for output in outputs.unbind(1)]
        weighted = zip(self.weights, losses, strict=True)
        return {"loss": sum(weight * loss for weight, loss in weighted)}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, C, D, H, W), 0-1: the mean of the logits of eight mirrored passes, or one."""
        passes = MIRRORS if self.mirror else MIRRORS[:1]
        total = sum(
            by_windows(self.logits, images.flip(axes), self.patch).flip(axes) for axes in passes
        )
        return Answer(self.head.masks(total))


def mirrored(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Each patch turned along each axis or not, images (N, C, ...) and masks (N, K, ...) alike."""
    turned = torch.rand(len(images), len(AXES)) < 0.5
    axes = [[axis - 1 for axis, turn in zip(AXES, row, strict=True) if turn] for row in turned]
    pairs = zip(images, masks, axes, strict=True)
    both = [(image.flip(along), mask.flip(along)) for image, mask, along in pairs]
    return torch.stack([image for image, _ in both]), torch.stack([mask for _, mask in both])


def build(profile: Declared, seed: int) -> UNet3D:
    """With random weights of torch's generator, which the caller seeds."""
    data, settings = profile.data, profile.unet_3d
    plan = layout(data.patches.size, data.spacing or (1, 1, 1), settings.halvings)
    check_patch(data.patches.size, "The 3D U-Net", plan.steps)
    head = TargetHead(len(data.targets), data.exclusive)
    return UNet3D(plan, data.channels, head, data.patches.size, settings)


SYSTEMS = {
    "unet_3d": System(
        "3D U-Net, nnU-Net's layout", build, {"unet_3d": UNet3DSettings}, "unet_3d",
        labels="either", views=("volumes",),
    )
}  # fmt: skip
