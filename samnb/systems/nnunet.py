"""nnU-Net (Isensee et al., 2021) in 2D: a plain U-Net that its plan and its training make strong.

The plan is made in `nnunet_plan.py`, the augmentations in `nnunet_augment.py`. The network is
MONAI's DynUNet, whose convolutions lack the published bias (instance norm removes it anyway).
Loss: cross-entropy + soft Dice over the batch without background, at several depths. The coarsest
output has no weight in the published loss, so it is not built; the others are enlarged to the
slice, where the published code shrinks the truth to them.

Two doors beyond those of every method, both optional: `prepare` before training (the intensities
of the training slices) and `calibrate` after it (whether keeping the largest piece helped).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from torch import Tensor

from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import largest_pieces
from samnb.method import Answer, Batch, Method, UserPrompts, about_one_target, with_one_target
from samnb.networks.nnunet_plan import (
    Limits,
    Plan,
    fingerprint_of,
    plan,
    plan_text,
    unseen_fingerprint,
)
from samnb.networks.sides import check_side
from samnb.systems.system import Declared, System
from samnb.training.augmentation import augment, augmentations
from samnb.training.settings import LearningSettings


@dataclass(frozen=True)
class NnUNetSettings:
    """Sizes and schedule; the defaults are the published ones."""

    width: int = 32  # channels of the first stage, as deep as it plans
    most: int = 512  # channels that no stage exceeds
    schedule: str = "paper"  # "paper": learning.nnunet; "own": 1000 epochs of 250 steps


MIRRORS = ((), (2,), (3,), (2, 3))  # axes flipped in each pass at inference
OWN_EPOCHS, OWN_STEPS = 1000, 250


class NnUNet(Method):
    """Learns from the marked slices alone, as its plan says."""

    def __init__(self, plan: Plan):
        super().__init__()
        self.plan = plan
        heads = len(plan.deep_supervision) - 1
        self.network = DynUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=2,
            kernel_size=plan.kernels,
            strides=plan.strides,
            upsample_kernel_size=plan.strides[1:],
            filters=plan.features,
            deep_supervision=heads > 0,
            deep_supr_num=max(1, heads),
        )
        self.transforms = augmentations(plan.rotation)
        self.dice_and_entropy = DiceCELoss(
            include_background=False,
            to_onehot_y=True,
            softmax=True,
            batch=True,
            smooth_nr=1e-5,
            smooth_dr=1e-5,
        )
        # Buffers, so that they travel with the weights.
        self.register_buffer("intensities", torch.empty(4))
        self.register_buffer("largest_component", torch.tensor(False))
        self._take_intensities(plan)

    def _take_intensities(self, plan: Plan) -> None:
        values = torch.tensor([plan.low, plan.high, plan.mean, plan.std])
        self.intensities.copy_(values)

    def prepare(self, images: np.ndarray, masks: np.ndarray, spacings: np.ndarray) -> None:
        """Before training: look at the slices with masks. images and masks (N, 1, S, S), 0-1;
        spacings (N, 2), mm. Sets the normalisation and completes the plan; the network stays.
        """
        limits = Limits(self.plan.features[0], max(self.plan.features))
        self.plan = plan(
            fingerprint_of(images[:, 0], masks[:, 0], spacings), max(self.plan.patch), limits
        )
        self._take_intensities(self.plan)

    def plan_text(self) -> str:
        return plan_text(self.plan)

    def normalise(self, images: Tensor) -> Tensor:
        """images (N, 1, S, S), 0-1 -> clipped, mean 0 and variance 1 under the training masks."""
        check_side(images, "nnU-Net", *self._sides())
        low, high, mean, std = self.intensities
        return (images.clamp(low, high) - mean) / std

    def _sides(self) -> tuple[int, int]:
        step = int(np.prod(self.plan.strides, axis=0).max())
        return step, 2 * step  # instance norm needs more than one pixel

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        batch = with_one_target(batch)
        images, masks = augment(self.transforms, self.normalise(batch.marked), batch.masks)
        return {"loss": self.loss_of(images, masks)}

    def loss_of(self, images: Tensor, masks: Tensor) -> Tensor:
        """The weighted loss of all outputs; normalised images (N, 1, S, S), masks (N, S, S)."""
        outputs = self.network(images).float()
        if outputs.ndim == 4:  # a shallow network, or one that is not training: one output
            return self.dice_and_entropy(outputs, masks[:, None])
        # DynUNet keeps its last outputs, graph and all; then it could not be copied.
        self.network.heads[:] = [torch.zeros(1)] * len(self.network.heads)
        losses = [self.dice_and_entropy(output, masks[:, None]) for output in outputs.unbind(1)]
        return sum(
            weight * loss for weight, loss in zip(self.plan.deep_supervision, losses, strict=True)
        )

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1: the average over four mirrored passes. It needs no prompts."""
        masks = self._unpruned(images)
        if self.largest_component:
            pieces = largest_pieces(masks.cpu().numpy())
            masks = torch.from_numpy(pieces).to(images.device)
        return about_one_target(Answer(masks=masks))

    def _unpruned(self, images: Tensor) -> Tensor:
        normal = self.normalise(images)
        total = sum(
            self.network(normal.flip(axes)).float().softmax(dim=1).flip(axes) for axes in MIRRORS
        )
        return total[:, 1] > total[:, 0]

    @torch.no_grad()
    def calibrate(self, images: Tensor, masks: Tensor) -> None:
        """After training, on validation slices and masks (N, 1, S, S): keep only the
        largest piece from now on if that raises the mean Dice. Published per scan, here per slice.
        """
        found = self._unpruned(images).cpu().numpy()
        truth = masks[:, 0].cpu().numpy().astype(bool)
        gain = dice(largest_pieces(found), truth).mean() - dice(found, truth).mean()
        self.largest_component.fill_(bool(gain > 0))


def learning_of(profile: Declared) -> LearningSettings:
    """How long nnU-Net learns: as long as the paper's other systems, or by its own schedule."""
    learning = profile.learning["nnunet"]
    if profile.nnunet.schedule == "paper":
        return learning
    batch = build(profile, 0).plan.batch
    return replace(
        learning, epochs=OWN_EPOCHS, steps_per_epoch=OWN_STEPS, batch=batch, marked=batch
    )


def build(profile: Declared, seed: int) -> NnUNet:
    """The nnU-Net of a profile, with random weights of torch's generator, which the caller seeds.

    Its intensities are those of no slice yet: call `prepare` with the training slices.
    """
    side, settings = profile.data.slices.side, profile.nnunet
    limits = Limits(settings.width, settings.most)
    return NnUNet(plan(unseen_fingerprint(side), side, limits))


SYSTEMS = {
    "nnunet": System(
        "nnU-Net",
        build,
        {"nnunet": NnUNetSettings},
        learning="nnunet",
        labels="either",
        schedule=learning_of,
    )
}
