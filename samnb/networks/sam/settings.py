"""What a study says about its SAM: size, weights, and where the adapter enters."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adaptation: rank r, scale alpha / r, and the layers it enters."""

    rank: int = 8
    alpha: float = 8.0
    encoder: str = "qv"  # "qv": query and value rows of the fused qkv; "qkv": all of it
    decoder: bool = False  # also the attention of the mask decoder


@dataclass(frozen=True)
class SamSettings:
    size: str = "pocket"  # pocket, vit_b, vit_l, vit_h
    side: int = 128  # input side, pixels
    weights: str | None = "published"  # or the path of a file; null: random, to rehearse
    lora: LoraSettings = field(default_factory=LoraSettings)
    trained: tuple[str, ...] = ()  # parts trained whole beside the adapter, e.g. mask_decoder
