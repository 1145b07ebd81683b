"""SAM's decoder with a mask token for each class, so that the masks of all come out together.

SAM's own decoder has four mask tokens: the single mask, and three for a prompt that can mean
several things. SAMed (Zhang and Liu, 2023) gives it one for each class, background included, and
Cheap Lunch (Feng et al., 2023) two: background and target. A softmax over the tokens' logits
decides a pixel.
"""

import copy

import torch
from segment_anything.modeling import Sam
from segment_anything.modeling.mask_decoder import MLP, MaskDecoder
from torch import Tensor, nn

from samnb.networks.sam.lora import add_lora
from samnb.networks.sam.settings import LoraSettings

BACKGROUND = 0  # the number of its token
# Of the decoder, what is trained whole where its attention has LoRA.
HEADS = ("mask_tokens", "output_hypernetworks_mlps", "output_upscaling")


def give_class_tokens(decoder: MaskDecoder, classes: int) -> None:
    """Exchange the mask tokens, in place, by `classes` fresh ones, as SAMed does.

    Tokens, their hyper-networks and the head that scores masks are drawn from torch's generator.
    """
    width, narrow = decoder.transformer_dim, decoder.transformer_dim // 8
    decoder.num_multimask_outputs, decoder.num_mask_tokens = classes - 1, classes
    decoder.mask_tokens = nn.Embedding(classes, width)
    decoder.output_hypernetworks_mlps = nn.ModuleList(
        MLP(width, width, narrow, 3) for _ in range(classes)
    )
    decoder.iou_prediction_head = MLP(width, 256, classes, 3)


class TwoTokens(nn.Module):
    """SAM's four mask tokens, of which two are trained: the background's and the target's.

    The target's is that of the single mask, the background's that of the first alternative. Tokens
    attend to one another, so the other two stay, frozen: without their company even the single mask
    would be a different one.
    """

    def __init__(self, tokens: Tensor):
        """tokens: (4, width), SAM's own."""
        super().__init__()
        self.trained = nn.Parameter(tokens[[1, 0]].clone())
        self.register_buffer("company", tokens[2:].clone())

    @property
    def weight(self) -> Tensor:
        """(4, width), the background's first, then the target's."""
        return torch.cat([self.trained, self.company])


def give_target_token(decoder: MaskDecoder) -> None:
    """Let the decoder, in place, give two masks: the background's, and SAM's own single mask.

    The background's hyper-network is a copy whose last layer is zero. So its logit is 0 everywhere,
    and before any training a pixel belongs to the target exactly where SAM's single mask has it.
    """
    own = decoder.output_hypernetworks_mlps[0]
    silent = copy.deepcopy(own)
    nn.init.zeros_(silent.layers[-1].weight)
    nn.init.zeros_(silent.layers[-1].bias)
    decoder.mask_tokens = TwoTokens(decoder.mask_tokens.weight.detach())
    decoder.output_hypernetworks_mlps = nn.ModuleList([silent, own])
    score = decoder.iou_prediction_head.layers[-1]
    score.weight, score.bias = (
        nn.Parameter(value.detach()[[1, 0]]) for value in (score.weight, score.bias)
    )
    score.out_features = 2
    decoder.num_multimask_outputs, decoder.num_mask_tokens = 1, 2


def adapt(sam: Sam, lora: LoraSettings, trained: tuple[str, ...], seed: int) -> Sam:
    """Put LoRA into `sam`, in place, freeze the rest, and train these of its parts whole.

    trained: names of modules of `sam`, such as "mask_decoder.mask_tokens".
    """
    add_lora(sam, lora, seed=seed)
    for name in trained:
        sam.get_submodule(name).requires_grad_(True)
    return sam


def target_margin(logits: Tensor) -> Tensor:
    """By how much the target's logit is above the background's: (R, 2, h, w) -> (R, h, w)."""
    return logits[:, 1 - BACKGROUND] - logits[:, BACKGROUND]
