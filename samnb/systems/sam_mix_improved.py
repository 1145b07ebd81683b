"""SAM-Mix, improved where real images showed it to be weak; every step has a switch of its own.

The classifier knows of many slices that they hold no target, and a slice without target has a mask
that is known: the empty one. So image labels can teach places too. And a slice holds the target if
some place in it does, which an average over all places (Eq. 2) hides when the target is small.
"""

from dataclasses import dataclass
from math import log, radians

import torch
from monai.transforms import (
    Compose,
    EnsureTyped,
    RandAdjustContrastd,
    RandFlipd,
    RandRotated,
    RandScaleIntensityd,
    RandZoomd,
)
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.evaluation.metrics import dice
from samnb.method import Answer, Batch, with_one_target
from samnb.networks.classifier import Classifier
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Masks, Prompts, decode
from samnb.prompts.boxes import MapBoxes, box_of, jitter_boxes
from samnb.systems.map_prompted import PROMPTED, MapPrompted, adapted_sam
from samnb.systems.system import Declared, System
from samnb.training.augmentation import augment
from samnb.training.losses import focal_loss, map_loss, segmentation_loss


@dataclass(frozen=True)
class ImprovedSettings:
    """What the improved SAM-Mix adds to the guided form, each step on a switch of its own."""

    soft: bool = True  # the map also enters SAM as its mask prompt
    pooling: str = "peak"  # "average": Eq. 2; "peak": log of the mean odds of all places
    negatives: float = 1.0  # weight of the loss that keeps maps of slices without target low
    augmented: bool = True  # turn, zoom, contrast
    mirrored: bool = False  # left and right too; only where they are alike
    warmup: int = 0  # first steps, in which SAM learns in boxes of the truth
    calibrated: bool = True  # when to be silent is settled on the validation patients


IMAGE, BOTH = ["image"], ["image", "mask"]
ALWAYS = 1e4  # no presence logit is below minus this


class SamMixImproved(MapPrompted):
    """The guided form of SAM-Mix and, as `ImprovedSettings` says, what goes beyond it."""

    def __init__(self, classifier: Classifier, sam: Sam, profile: Declared):
        super().__init__(classifier, sam, profile, soft=profile.improved.soft)
        self.improved = profile.improved
        self.transforms = transforms(self.improved) if self.improved.augmented else None
        # Buffers, so that they travel with the weights and outlive a kill: the steps so far, and
        # the presence logit above which SAM is asked.
        self.register_buffer("steps", torch.tensor(0.0))
        self.register_buffer("silence", torch.tensor(0.0))
        if self.improved.pooling not in ("average", "peak"):
            raise SamnbError(
                f"No pooling '{self.improved.pooling}'.", "improved.pooling: use average or peak."
            )

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (N, 1, S, S) -> class logits (N, 2), maps (N, S / 8, S / 8) of local logits."""
        _, maps = super().look(images)
        head = self.classifier.head
        maps = maps + (head.bias[1] - head.bias[0])
        present = self._pool(maps) - self.silence
        return torch.stack([torch.zeros_like(present), present], dim=1), maps

    def _pool(self, maps: Tensor) -> Tensor:
        """Local logits (N, h, w) -> the slice's (N,): their average, or their mean odds' log."""
        flat = maps.flatten(1)
        if self.improved.pooling == "average":
            return flat.mean(dim=1)
        return flat.logsumexp(dim=1) - log(flat.shape[1])

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of the guided form, and: maps of slices without target have to stay low."""
        batch = with_one_target(batch)
        images, marked, masks = self._changed(batch)
        known = len(images)
        logits, maps = self.look(torch.cat([images, marked]))
        focal = focal_loss(logits[:known], batch.labels, self.focal.alpha, self.focal.gamma)
        answer, found = self._ask_while_learning(marked, maps[known:], masks)
        chosen, _ = self.choose(answer)
        losses = {
            "classification": focal,
            "segmentation": self.mix.segmentation * segmentation_loss(chosen, masks[found.image]),
            "guidance": self.mix.guidance * map_loss(maps[known:], masks, self.prompting.threshold),
        }
        empty = maps[:known][batch.labels == 0]
        if self.improved.negatives and len(empty):
            losses["negatives"] = self.improved.negatives * F.softplus(empty).mean()
        self.steps += 1
        return {"loss": sum(losses.values()), **losses}

    def _changed(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Both kinds of slices and the masks, augmented if that is asked for."""
        if self.transforms is None:
            return batch.images, batch.marked, batch.masks
        nothing = batch.masks.new_zeros(len(batch.images), *batch.masks.shape[1:])
        images, _ = augment(self.transforms, batch.images, nothing)
        return images, *augment(self.transforms, batch.marked, batch.masks)

    def _ask_while_learning(
        self, images: Tensor, maps: Tensor, masks: Tensor
    ) -> tuple[Masks, MapBoxes]:
        """SAM's answers in the boxes of the maps; in the first steps, in those of the truth."""
        if self.steps >= self.improved.warmup:
            return self.ask(images, maps, self.prompting.jitter)
        side, number = images.shape[-1], torch.arange(len(images), device=images.device)
        boxes = jitter_boxes(box_of(masks.bool()), side, self.prompting.jitter)
        prompts = Prompts(number, boxes, masks=self._mask_prompts(maps, number))
        answer = decode(self.sam, encode(self.sam, images), prompts)
        return answer.at_side(side), MapBoxes(number, boxes, number)

    def calibrate(self, images: Tensor, masks: Tensor) -> None:
        """After training, on validation slices and masks (N, 1, S, S): when to be silent."""
        self._find_silence(images, masks[:, 0])

    @torch.no_grad()
    def _find_silence(self, images: Tensor, masks: Tensor) -> None:
        """Be silent below the presence logit that gives the best mean Dice of slices (N, 1, S, S)
        with masks (N, S, S). Nothing, if that is not asked for.
        """
        if not self.improved.calibrated:
            return
        self.silence.fill_(-ALWAYS)
        speaking = [self.segment(some) for some in images.split(32)]
        truth = masks.bool().cpu().numpy()
        spoken = torch.from_numpy(dice(_masks(speaking).numpy(), truth))
        self.silence.fill_(0.0)
        logits = torch.cat([self._pool(self.look(some)[1]) for some in images.split(32)]).cpu()
        self.silence.fill_(best_silence(logits, spoken, torch.from_numpy(~truth.any((1, 2)))))


def _masks(answers: list[Answer]) -> Tensor:
    return torch.cat([answer.masks for answer in answers]).cpu()


def best_silence(logits: Tensor, spoken: Tensor, empty: Tensor) -> float:
    """The threshold of the presence logit with the largest sum of Dice.

    logits (N,); spoken (N,): Dice of the answer to each slice; empty (N,) bool: a slice without
    target, where silence is worth 1 and elsewhere nothing. Halfway between two logits.
    """
    order = logits.argsort()
    silent, spoken, logits = empty[order].double(), spoken[order].double(), logits[order]
    nothing = silent.new_zeros(1)
    below = torch.cat([nothing, silent.cumsum(0)])  # of the first k slices, were they silent
    above = torch.cat([spoken.flip(0).cumsum(0).flip(0), nothing])  # of the others, if spoken
    middles = (logits[1:] + logits[:-1]) / 2
    places = torch.cat([logits[:1] - 1, middles, logits[-1:] + 1])
    return float(places[(below + above).argmax()])


def transforms(settings: ImprovedSettings) -> Compose:
    """Small turns, sizes and contrasts, and mirror images where left and right are alike."""
    modes = ["bilinear", "nearest"]
    return Compose(
        [
            RandRotated(BOTH, range_x=radians(15), prob=0.5, mode=modes, padding_mode="zeros"),
            RandZoomd(BOTH, prob=0.5, min_zoom=0.85, max_zoom=1.2, mode=modes),
            RandScaleIntensityd(IMAGE, factors=0.2, prob=0.5),
            RandAdjustContrastd(IMAGE, prob=0.5, gamma=(0.7, 1.4)),
            RandFlipd(BOTH, prob=0.5 if settings.mirrored else 0.0, spatial_axis=1),
            EnsureTyped(BOTH, track_meta=False),  # plain tensors again
        ]
    )


def build(profile: Declared, seed: int) -> SamMixImproved:
    """A fresh classifier beside SAM with a fresh adapter."""
    classifier = Classifier(profile.classifier.width, profile.classifier.channels)
    return SamMixImproved(classifier, adapted_sam(profile, seed), profile)


SYSTEMS = {
    "sam_mix_improved": System(
        "SAM-Mix improved", build, {**PROMPTED, "improved": ImprovedSettings}, learning="improved"
    )
}
