"""Cheap Lunch (Feng, Zhu and Yu, 2023): SAM that learns from few exemplars to answer a point.

LoRA enters the queries and values of the image encoder and of all seven attention layers of the
mask decoder; mask tokens, hyper-networks and upscaling are trained whole. For a point the decoder
gives two masks, background and target. While it learns, one class and one pixel of it are drawn in
each image; at test time each class of each slice gets a point, which someone has to give who knows
where it is: the paper's numbers are an oracle's.

What it learns from is not said here: exemplars, or images synthesised of them (see
samnb/data/synthesis.py).
"""

from dataclasses import dataclass

import torch
from monai.losses import DiceCELoss
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import exclusive
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.classifier import PRESENT
from samnb.networks.sam.class_tokens import HEADS, adapt, give_target_token, target_margin
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import FOREGROUND, PADDING, Prompts, decode
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.prompts.asked import asked, shape_of
from samnb.prompts.boxes import random_click
from samnb.systems.cam_alone import CamAlone
from samnb.systems.map_prompted import ACTIVATIONS, CLASSIFIED
from samnb.systems.system import Declared, System


@dataclass(frozen=True)
class CheapLunchSettings:
    """The weights of L = l1 L_CE + l2 L_Dice (section 3.3)."""

    cross_entropy: float = 1.0
    dice: float = 0.8


class CheapLunch(Method):
    """Asked about each target on its own; one that nobody points at stays empty.

    exclusive: a pixel that several answers claim goes to the one with the largest margin.
    """

    def __init__(self, sam: Sam, settings: CheapLunchSettings, exclusive: bool):
        super().__init__()
        self.sam, self.exclusive = sam, exclusive
        # Dice with squared denominators, background included: as SAMed's code, which it builds on.
        self.loss = DiceCELoss(
            softmax=True, to_onehot_y=True, squared_pred=True, batch=True,
            lambda_ce=settings.cross_entropy, lambda_dice=settings.dice,
        )  # fmt: skip

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """One class of each image, drawn from those in it, and one pixel of that class."""
        image, masks = draw_classes(batch.masks.bool())
        points = random_click(masks)[:, None]
        labels = torch.full(points.shape[:2], FOREGROUND, device=points.device)
        embeddings = encode(self.sam, batch.marked[image])
        rows = torch.arange(len(image), device=image.device)
        answer = decode(self.sam, embeddings, Prompts(rows, points=points, labels=labels))
        logits = answer.at_side(masks.shape[-1]).logits
        return {"loss": self.loss(logits, masks[:, None].float())}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1 or 3, S, S), 0-1. The encoder looks at those that are asked about, once."""
        if prompts is None:
            raise SamnbError("Cheap Lunch answers users who point, and nobody does.", "name one.")
        image, target, said = asked(prompts)
        size = images.shape[-2:]
        margins = torch.full((*shape_of(prompts), *size), -torch.inf, device=images.device)
        if len(image):
            shown, row = image.unique(return_inverse=True)
            embeddings = encode(self.sam, images[shown])
            logits = decode(self.sam, embeddings, Prompts(row, **said)).logits.float()
            fine = F.interpolate(target_margin(logits)[:, None], size, mode="bilinear")
            margins[image, target] = fine[:, 0]
        return Answer(exclusive(margins) if self.exclusive else margins > 0)


def draw_classes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Of each image that shows a target one target, drawn uniformly from those in it.

    masks (N, K, S, S) bool -> which images (R,), the drawn target's mask (R, S, S) bool.
    """
    present = masks.flatten(2).any(dim=2)
    (image,) = present.any(dim=1).nonzero(as_tuple=True)
    if len(image) == 0:
        raise SamnbError(
            "No image of this step shows a target to point at.",
            "label slices with the target, or give larger batches.",
        )
    drawn = torch.multinomial(present[image].float(), 1)[:, 0]
    return image, masks[image, drawn]


class SelfPointed(CheapLunch):
    """Cheap Lunch that nobody has to prompt: the point is the maximum of an activation map.

    A classifier that has learned from image labels says whether the target is there, and its map
    where. SAM learns as in Cheap Lunch.
    """

    def __init__(
        self, classifier: CamAlone, sam: Sam, settings: CheapLunchSettings, exclusive: bool
    ):
        super().__init__(sam, settings, exclusive)
        self.classifier = classifier.classifier.requires_grad_(False)
        self.prompting = classifier.prompting

    def train(self, mode: bool = True) -> "SelfPointed":
        """The classifier has learned already."""
        super().train(mode)
        self.classifier.eval()
        return self

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1, S, S), 0-1. It points itself: what a user says is not looked at."""
        features = self.classifier.features(images)
        presence = self.classifier.logits(features).float().softmax(dim=1)[:, PRESENT]
        maps = ACTIVATIONS[self.prompting.activation](features.float(), self.classifier.head)
        points = strongest(maps, images.shape[-1])[:, None, None]
        labels = torch.where(presence > 0.5, FOREGROUND, PADDING)[:, None, None]
        found = super().answer(images, UserPrompts(points, labels))
        return Answer(found.masks, presence[:, None], maps[:, None])


def strongest(maps: Tensor, side: int) -> Tensor:
    """The middle of the strongest cell of maps (N, g, g): (N, 2) x, y in pixels of `side`."""
    cells = maps.shape[-1]
    place = maps.flatten(1).argmax(dim=1)
    return ((torch.stack([place % cells, place // cells], dim=1) + 0.5) * side / cells).floor()


def adapted_sam(profile: Declared, seed: int) -> Sam:
    """The profile's SAM with two mask tokens and a fresh adapter."""
    sam = load_sam(profile.sam.size, profile.sam.side, profile.sam.weights)
    give_target_token(sam.mask_decoder)
    return adapt(sam, profile.sam.lora, tuple(f"mask_decoder.{part}" for part in HEADS), seed)


def build(profile: Declared, seed: int) -> CheapLunch:
    return CheapLunch(adapted_sam(profile, seed), profile.cheap_lunch, profile.data.exclusive)


def build_self_pointed(profile: Declared, seed: int, first: CamAlone) -> SelfPointed:
    """Behind the finished classifier; for one target."""
    if len(profile.data.targets) > 1:
        raise SamnbError(
            "An activation map is of one target, and this study has several.",
            "name one in `targets`.",
        )
    sam = adapted_sam(profile, seed)
    return SelfPointed(first, sam, profile.cheap_lunch, profile.data.exclusive)


LEARNS = {"sam": SamSettings, "cheap_lunch": CheapLunchSettings}
SYSTEMS = {
    "cheap_lunch": System(
        "Cheap Lunch", build, LEARNS, "cheap_lunch",
        labels="either", prompted=True, needs_target=True,
    ),
    "cheap_lunch_self": System(
        "Cheap Lunch, self-pointed", build_self_pointed, {**CLASSIFIED, **LEARNS}, "cheap_lunch",
        first="classifier", labels="either", needs_target=True,
    ),
}  # fmt: skip
