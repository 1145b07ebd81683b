"""Low-rank adaptation of SAM with PEFT: a few trained numbers beside a frozen model.

A layer y = W x becomes y = W x + (alpha / r) B A x with A (r, in) random and B (out, r) zero, so
that a fresh adapter changes nothing. SAM's image encoder computes query, key and value in one
layer; `QueryKeyValue` shows PEFT its query and value rows as layers of their own.
"""

import re
from typing import NamedTuple

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from segment_anything.modeling import Sam
from torch import Tensor, nn

from samnb.base.errors import SamnbError
from samnb.networks.sam.settings import LoraSettings

ADAPTER = "default"  # PEFT's own name for the only adapter
ENCODER = {
    "qv": r"image_encoder\.blocks\.\d+\.attn\.qkv\.(query|value)",
    "qkv": r"image_encoder\.blocks\.\d+\.attn\.qkv",
}
DECODER = r"mask_decoder\.transformer\..*(q_proj|v_proj)"
TRAINABLE = ("mask_decoder", "prompt_encoder")  # parts small enough to be trained whole


class QueryKeyValue(nn.Linear):
    """The library's fused layer, same parameters and names, with two doors for LoRA."""

    def __init__(self, fused: nn.Linear):
        nn.Module.__init__(self)  # the parameters are those of `fused`
        self.in_features, self.out_features = fused.in_features, fused.out_features
        self.weight, self.bias = fused.weight, fused.bias
        self.query = Rows(self, third=0)
        self.value = Rows(self, third=2)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., width) -> query, key and value side by side (..., 3 width)."""
        fused = super().forward(x)
        query, key, value = fused.chunk(3, dim=-1)
        query = query + self.query(x).to(fused.dtype)
        value = value + self.value(x).to(fused.dtype)
        return torch.cat([query, key, value], dim=-1)


class Rows(nn.Linear):
    """The query or value rows of a fused layer, as PEFT wants to see a layer.

    It owns nothing: `weight` is a view, so that merging an adapter writes into the fused weight.
    It answers zero, because the fused layer has computed these rows already; what PEFT adds to the
    zero is the adapter's share.
    """

    bias = None

    def __init__(self, fused: nn.Linear, third: int):
        nn.Module.__init__(self)
        self.in_features = self.out_features = fused.in_features
        self.third = third
        object.__setattr__(self, "fused", fused)  # not as a child: it is the parent

    @property
    def weight(self) -> Tensor:
        return self.fused.weight.chunk(3)[self.third]

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(1)


def add_lora(sam: Sam, settings: LoraSettings, trained: tuple[str, ...] = (), seed: int = 0) -> Sam:
    """Put a fresh adapter into `sam`, in place, and freeze everything else.

    trained: parts ("mask_decoder", "prompt_encoder") of which a copy is trained whole and saved
    with the adapter; the original stays beside it. seed: for the random A.
    """
    _check(settings, trained)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=_targets(settings),
        modules_to_save=list(trained) or None,
    )
    return inject(sam, config, seed)


def _check(settings: LoraSettings, trained: tuple[str, ...]) -> None:
    if settings.encoder not in ENCODER:
        raise SamnbError(
            f"LoRA cannot enter the encoder as '{settings.encoder}'.", "use qv or qkv."
        )
    if settings.rank < 1:
        raise SamnbError(f"LoRA of rank {settings.rank}.", "use a rank of at least 1.")
    if unknown := set(trained) - set(TRAINABLE):
        raise SamnbError(
            f"Cannot train {', '.join(sorted(unknown))} whole.", f"use {' or '.join(TRAINABLE)}."
        )
    if settings.decoder and "mask_decoder" in trained:
        raise SamnbError("The mask decoder gets LoRA and is trained whole.", "choose one of both.")


def _targets(settings: LoraSettings) -> str:
    """The layers that LoRA enters, as one regular expression over their names."""
    encoder = ENCODER[settings.encoder]
    return f"{encoder}|{DECODER}" if settings.decoder else encoder


def inject(sam: Sam, config: LoraConfig, seed: int = 0) -> Sam:
    """Put the adapter that a PEFT configuration describes into `sam`, in place."""
    if hasattr(sam, "peft_config"):
        raise SamnbError("This SAM has an adapter already.", "merge it, or build the SAM anew.")
    if ENCODER["qv"] in config.target_modules:
        expose_query_value(sam)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return inject_adapter_in_model(config, sam)


def expose_query_value(sam: Sam) -> Sam:
    """Give LoRA its doors to the query and value rows; nothing is computed differently."""
    for block in sam.image_encoder.blocks:
        block.attn.qkv = QueryKeyValue(block.attn.qkv)
    return sam


def merge(sam: Sam) -> Sam:
    """Write the adapter into SAM's own weights, in place: a plain SAM with the same masks."""
    for name, module in list(sam.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            _replace(sam, name, module.get_base_layer())
        elif isinstance(module, ModulesToSaveWrapper):
            _replace(sam, name, module.modules_to_save[ADAPTER])
    for block in sam.image_encoder.blocks:
        fused = block.attn.qkv
        if isinstance(fused, QueryKeyValue):
            block.attn.qkv = nn.Linear(fused.in_features, fused.out_features, device="meta")
            block.attn.qkv.weight, block.attn.qkv.bias = fused.weight, fused.bias
    del sam.peft_config
    return sam


def _replace(sam: Sam, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(sam.get_submodule(parent), child, module)


class Parameters(NamedTuple):
    total: int
    trainable: int


def count_parameters(sam: nn.Module) -> Parameters:
    """Parameters in use: the frozen originals of parts that are trained as copies do not count."""
    used = [
        value
        for name, value in sam.named_parameters()
        if not re.search(r"\boriginal_module\b", name)
    ]
    return Parameters(
        sum(value.numel() for value in used),
        sum(value.numel() for value in used if value.requires_grad),
    )
