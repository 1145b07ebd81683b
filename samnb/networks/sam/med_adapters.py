"""The adapters of Med-SA (Wu et al., 2023) in a frozen SAM, as Figure 1 of the paper places them.

Encoder, in each block: one after the attention, before its residual; one parallel to the MLP,
scaled (see space_depth.py). Decoder, in each of its two blocks: one that knows the prompt, after
the attention of tokens to tokens (see hyper_prompt.py); one parallel to the MLP, scaled; one behind
the attention of the image to the tokens, with a residual and a norm of its own.

SAM's own parameters keep their names and their values. A fresh Med-SA gives the masks of SAM, bit
for bit.
"""

import copy
from dataclasses import dataclass

import torch
from segment_anything.modeling import Sam
from segment_anything.modeling.transformer import TwoWayAttentionBlock
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.networks.sam.bottleneck import Adapter
from samnb.networks.sam.hyper_prompt import PROMPTINGS
from samnb.networks.sam.lora import TRAINABLE
from samnb.networks.sam.space_depth import DEPTHS, AdaptedBlock, VolumeEncoder

# What adapters are called inside their blocks; nothing of SAM's own is called so.
ADAPTERS = (
    *("attention_adapter", "mlp_adapter", "depth_adapter"),
    *("prompt_adapter", "image_adapter", "image_norm"),
)


@dataclass(frozen=True)
class MedAdapterSettings:
    bottleneck: int = 16  # widths are divided by it; 16 gives the paper's 13 M at ViT-H
    scale: float = 0.5  # s, of the adapters parallel to an MLP
    depth: str = "joined"  # attention over depth: none, joined, own
    prompt: str = "hyper"  # how the prompt enters the decoder's first adapter: none, addition, ...
    places: int = 8  # tokens of a prompt at most; a box is two, points have one more


class FadingNorm(nn.Module):
    """x + share (norm(x) - x): SAM as it is at share 0, where it begins; the paper's norm at 1.

    A whole norm behind SAM's own would change its masks before anything is learned. This one learns
    how much of it there should be.
    """

    def __init__(self, norm: nn.LayerNorm):
        """norm: SAM's own, of which this one begins as a copy."""
        super().__init__()
        self.norm = copy.deepcopy(norm)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.share * (self.norm(x) - x)


class AdaptedTwoWayBlock(TwoWayAttentionBlock):
    """The library's decoder block, same parameters and names, with adapters."""

    def __init__(self, block: TwoWayAttentionBlock, settings: MedAdapterSettings, own: int):
        """own: how many of the tokens are the decoder's; those of the prompt stand behind them."""
        nn.Module.__init__(self)  # the layers are those of `block`
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.skip_first_layer_pe = block.skip_first_layer_pe
        self.own, self.scale = own, settings.scale
        width, bottleneck = block.norm1.normalized_shape[0], settings.bottleneck
        self.prompt_adapter = PROMPTINGS[settings.prompt](width, bottleneck, settings.places)
        self.mlp_adapter = Adapter(width, bottleneck)
        self.image_adapter = Adapter(width, bottleneck)
        self.image_norm = FadingNorm(block.norm4)

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """queries, query_pe: (R, tokens, width), the latter as they entered the decoder;
        keys, key_pe: (R, g g, width) of the image -> new queries and keys.
        """
        first = self.skip_first_layer_pe
        places = queries if first else queries + query_pe
        attended = self.self_attn(q=places, k=places, v=queries)
        attended = attended + self.prompt_adapter(attended, query_pe[:, self.own :])
        queries = self.norm1(attended if first else queries + attended)

        attended = self.cross_attn_token_to_image(q=queries + query_pe, k=keys + key_pe, v=keys)
        queries = self.norm2(queries + attended)

        adapted = self.mlp(queries) + self.scale * self.mlp_adapter(queries)
        queries = self.norm3(queries + adapted)

        attended = self.cross_attn_image_to_token(q=keys + key_pe, k=queries + query_pe, v=queries)
        keys = self.norm4(keys + attended)
        return queries, self.image_norm(keys + self.image_adapter(keys))


def add_med_adapters(
    sam: Sam, settings: MedAdapterSettings, trained: tuple[str, ...] = (), seed: int = 0
) -> Sam:
    """Put fresh adapters into `sam`, in place, and freeze everything else.

    trained: parts ("mask_decoder", "prompt_encoder") that learn whole, beside the adapters: none
    in the paper, the mask decoder in the released code. seed: of the down-projections.
    """
    _check(sam, settings, trained)
    sam.requires_grad_(False)
    encoder, decoder = sam.image_encoder, sam.mask_decoder
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = [
            AdaptedBlock(block, settings.bottleneck, settings.scale, settings.depth)
            for block in encoder.blocks
        ]
        sam.image_encoder = VolumeEncoder(encoder, adapted)
        own = decoder.iou_token.num_embeddings + decoder.num_mask_tokens
        layers = [AdaptedTwoWayBlock(layer, settings, own) for layer in decoder.transformer.layers]
        decoder.transformer.layers = nn.ModuleList(layers)
    for name, value in sam.named_parameters():
        value.requires_grad_(is_adapter(name) or name.startswith(tuple(f"{x}." for x in trained)))
    sam.med_adapters = settings
    return sam


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is an adapter's, and not SAM's own."""
    return not set(ADAPTERS).isdisjoint(name.split("."))


def _check(sam: Sam, settings: MedAdapterSettings, trained: tuple[str, ...]) -> None:
    if hasattr(sam, "med_adapters") or hasattr(sam, "peft_config"):
        raise SamnbError("This SAM has adapters already.", "build the SAM anew.")
    if settings.depth not in DEPTHS:
        raise SamnbError(
            f"No attention over depth '{settings.depth}'.", f"use one of {', '.join(DEPTHS)}."
        )
    if settings.prompt not in PROMPTINGS:
        raise SamnbError(
            f"No prompted adapter '{settings.prompt}'.", f"use one of {', '.join(PROMPTINGS)}."
        )
    if settings.places < 1:
        raise SamnbError(f"A prompt of {settings.places} tokens at most.", "give 1 or more.")
    if unknown := set(trained) - set(TRAINABLE):
        raise SamnbError(
            f"Cannot train {', '.join(sorted(unknown))} whole.", f"use {' or '.join(TRAINABLE)}."
        )
