"""nnU-Net (Isensee et al., 2021) in 2D: a plain U-Net that its plan and its training make strong.

The plan is made in `nnunet_plan.py`, the augmentations in `augmentation.py`. The network is
MONAI's DynUNet, whose convolutions lack the published bias (instance norm removes it anyway).
Loss: cross-entropy + soft Dice over the batch without background, at several depths. The coarsest
output has no weight in the published loss, so it is not built; the others are enlarged to the
slice, where the published code shrinks the truth to them. Targets that may overlap are learned as
its regions are: a sigmoid each, in place of a softmax over classes.

Two doors beyond those of every method, both optional: `prepare` before training (the intensities
of the training slices) and `calibrate` after it (whether keeping the largest piece helped).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.networks.nets import DynUNet
from torch import Tensor

from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import largest_pieces
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.nnunet_plan import (
    LEAST_STD,
    Limits,
    Plan,
    fingerprint_of,
    plan,
    plan_text,
    unseen_fingerprint,
)
from samnb.networks.sides import check_channels, check_side
from samnb.networks.targets import SliceTargets
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
# Intensities that the plan says of several channels: it neither clips nor scales all slices alike.
AS_THEY_ARE = {"low": 0.0, "high": 1.0, "mean": 0.0, "std": 1.0}


class NnUNet(Method):
    """Learns from the marked slices alone, as its plan says."""

    def __init__(self, plan: Plan, channels: int = 1, targets: int = 1, exclusive: bool = False):
        super().__init__()
        self.plan, self.channels = plan, channels
        self.targets = SliceTargets(
            targets, exclusive, background=False, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
        )
        heads = len(plan.deep_supervision) - 1
        self.network = DynUNet(
            spatial_dims=2,
            in_channels=channels,
            out_channels=self.targets.outputs,
            kernel_size=plan.kernels,
            strides=plan.strides,
            upsample_kernel_size=plan.strides[1:],
            filters=plan.features,
            deep_supervision=heads > 0,
            deep_supr_num=max(1, heads),
        )
        self.transforms = augmentations(plan.rotation)
        # Buffers, so that they travel with the weights; one target has no axis of targets.
        self.register_buffer("intensities", torch.empty(4))
        several = [targets] if targets > 1 else []
        self.register_buffer("largest_component", torch.zeros(several, dtype=torch.bool))
        self._take_intensities(plan)

    def _take_intensities(self, plan: Plan) -> None:
        values = torch.tensor([plan.low, plan.high, plan.mean, plan.std])
        self.intensities.copy_(values)

    def prepare(self, images: np.ndarray, masks: np.ndarray, spacings: np.ndarray) -> None:
        """Before training: look at the slices with masks. images (N, C, S, S), 0-1; masks
        (N, K, S, S); spacings (N, 2), mm. Sets the normalisation and completes the plan; the
        network stays.
        """
        limits = Limits(self.plan.features[0], max(self.plan.features))
        seen = fingerprint_of(images.mean(axis=1), masks.any(axis=1), spacings)
        intensities = {} if self.channels == 1 else AS_THEY_ARE
        self.plan = plan(
            replace(seen, **intensities), max(self.plan.patch), limits, self.targets.outputs
        )
        self._take_intensities(self.plan)

    def plan_text(self) -> str:
        return plan_text(self.plan)

    def normalise(self, images: Tensor) -> Tensor:
        """images (N, C, S, S), 0-1 -> the same shape, normalised.

        Grey is clipped, with mean 0 and variance 1 under the training masks. Of several channels
        each has mean 0 and variance 1 in each slice.
        """
        remedy = (
            "give it such slices, or set the channels of the profile's cohort and build it anew."
        )
        check_channels(images, "nnU-Net", [self.channels], remedy)
        check_side(images, "nnU-Net", *self._sides())
        low, high, mean, std = self.intensities
        normal = (images.clamp(low, high) - mean) / std
        return (
            normal
            if self.channels == 1
            else (normal - normal.mean((2, 3), keepdim=True))
            / normal.std((2, 3), correction=0, keepdim=True).clamp(min=LEAST_STD)
        )

    def _sides(self) -> tuple[int, int]:
        step = int(np.prod(self.plan.strides, axis=0).max())
        return step, 2 * step  # instance norm needs more than one pixel

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        masks = self.targets.numbers(batch.masks)
        images, masks = augment(self.transforms, self.normalise(batch.marked), masks)
        return {"loss": self.loss_of(images, masks)}

    def loss_of(self, images: Tensor, masks: Tensor) -> Tensor:
        """The weighted loss of all outputs; normalised images (N, C, S, S), masks (N, S, S)
        as numbers of targets.
        """
        outputs = self.network(images).float()
        if outputs.ndim == 4:  # a shallow network, or one that is not training: one output
            return self.dice_and_entropy(outputs, masks[:, None])
        # DynUNet keeps its last outputs, graph and all; then it could not be copied.
        self.network.heads[:] = [torch.zeros(1)] * len(self.network.heads)
        losses = [self.dice_and_entropy(output, masks[:, None]) for output in outputs.unbind(1)]
        return sum(
            weight * loss for weight, loss in zip(self.plan.deep_supervision, losses, strict=True)
        )

    def dice_and_entropy(self, logits: Tensor, masks: Tensor) -> Tensor:
        """The loss of one output (N, outputs, S, S); masks (N, 1, S, S) as numbers of targets."""
        return self.targets.loss(logits, masks)

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, C, S, S), 0-1: the average over four mirrored passes. It needs no prompts."""
        found = []
        alone = self.largest_component.reshape(-1)
        for masks, keeps_one in zip(self._unpruned(images).unbind(1), alone, strict=True):
            if keeps_one:
                pieces = largest_pieces(masks.cpu().numpy())
                masks = torch.from_numpy(pieces).to(images.device)
            found.append(masks)
        return Answer(torch.stack(found, dim=1))

    def _unpruned(self, images: Tensor) -> Tensor:
        """(N, K, S, S) bool."""
        normal = self.normalise(images)
        total = sum(
            self.targets.probabilities(self.network(normal.flip(axes)).float()).flip(axes)
            for axes in MIRRORS
        )
        return self.targets.masks(total, threshold=len(MIRRORS) / 2)

    @torch.no_grad()
    def calibrate(self, images: Tensor, masks: Tensor) -> None:
        """After training, on validation slices and masks (N, K, S, S): keep only the largest
        piece of a target from now on if that raises its mean Dice. Published per scan, here per
        slice.
        """
        pairs = zip(self._unpruned(images).unbind(1), masks.bool().unbind(1), strict=True)
        for number, pair in enumerate(pairs):
            found, truth = (each.cpu().numpy() for each in pair)
            gain = dice(largest_pieces(found), truth).mean() - dice(found, truth).mean()
            self.largest_component.view(-1)[number] = bool(gain > 0)


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
    data, settings = profile.data, profile.nnunet
    side, limits = data.slices.side, Limits(settings.width, settings.most)
    chosen = plan(unseen_fingerprint(side), side, limits)
    return NnUNet(chosen, data.channels, len(data.targets), data.exclusive)


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
