"""SAMed (Zhang and Liu, 2023): SAM without prompts, a mask token for each class.

LoRA enters the queries and values of the image encoder. The mask decoder is trained whole, or, in
the small variant, has LoRA in its attention too, and all but that is trained. So is the prompt
encoder, of which only the embedding of "no mask" is used. Tokens, hyper-networks and the head that
scores masks begin at random. The head is counted as trained, as its authors count it, although no
loss ever reaches it.

The recipe is that of the released code: 0.2 cross-entropy + 0.8 Dice (squared denominators,
background included) at the side that the decoder gives, a quarter of the image's.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from monai.losses import DiceCELoss
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.classes import class_map, masks_of_classes
from samnb.networks.sam.class_tokens import HEADS, adapt, give_class_tokens
from samnb.networks.sam.model import encode
from samnb.networks.sam.prompting import Prompts, decode
from samnb.networks.sam.settings import SamSettings
from samnb.networks.sam.weights import load_sam
from samnb.systems.system import Declared, System

SMALL = (*HEADS, "iou_token", "iou_prediction_head")  # of the decoder, beside LoRA


@dataclass(frozen=True)
class SamedSettings:
    cross_entropy: float = 0.2
    dice: float = 0.8


class Samed(Method):
    """Learns from the marked slices alone, and needs no prompts."""

    def __init__(self, sam: Sam, settings: SamedSettings):
        super().__init__()
        self.sam = sam
        self.loss = DiceCELoss(
            softmax=True, to_onehot_y=True, squared_pred=True, batch=True,
            lambda_ce=settings.cross_entropy, lambda_dice=settings.dice,
        )  # fmt: skip

    def logits(self, images: Tensor) -> Tensor:
        """images (N, 1 or 3, S, S), 0-1 -> (N, K + 1, 4g, 4g), the background first."""
        everyone = torch.arange(len(images), device=images.device)
        return decode(self.sam, encode(self.sam, images), Prompts(everyone)).logits.float()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.logits(batch.marked)
        classes = class_map(batch.masks)[:, None].float()
        return {"loss": self.loss(logits, F.interpolate(classes, logits.shape[-2:]))}

    @torch.no_grad()
    def answer(self, images: Tensor, prompts: UserPrompts | None = None) -> Answer:
        """images (N, 1 or 3, S, S), 0-1."""
        logits = F.interpolate(self.logits(images), images.shape[-2:], mode="bilinear")
        return Answer(masks_of_classes(logits))


def build(profile: Declared, seed: int, small: bool) -> Samed:
    """SAM at the profile's size; small: LoRA in the decoder too, in place of training it whole."""
    sam = load_sam(profile.sam.size, profile.sam.side, profile.sam.weights)
    give_class_tokens(sam.mask_decoder, 1 + len(profile.data.targets))
    trained = tuple(f"mask_decoder.{part}" for part in SMALL) if small else ("mask_decoder",)
    lora = replace(profile.sam.lora, decoder=small)
    return Samed(adapt(sam, lora, (*trained, "prompt_encoder"), seed), profile.samed)


LEARNS = {"sam": SamSettings, "samed": SamedSettings}
SYSTEMS = {
    "samed": System("SAMed", partial(build, small=False), LEARNS, "samed", labels="either"),
    "samed_s": System("SAMed_s", partial(build, small=True), LEARNS, "samed", labels="either"),
}
