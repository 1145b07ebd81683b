"""LoRA with as many trained numbers as the adapters of Med-SA, to stand in their place.

It enters the attention wherever Med-SA has adapters: queries and values in every block of the image
encoder, and in the mask decoder. One rank is the same in all layers, so the numbers are equal up to
half of what a rank holds.
"""

from dataclasses import replace

import torch
from segment_anything.modeling import Sam

from samnb.networks.sam.lora import add_lora, count_parameters
from samnb.networks.sam.med_adapters import MedAdapterSettings, add_med_adapters
from samnb.networks.sam.model import build_sam
from samnb.networks.sam.settings import LoraSettings

ENTERS = LoraSettings(rank=1, alpha=1.0, encoder="qv", decoder=True)  # alpha / rank stays 1


def equal_rank(size: str, adapters: MedAdapterSettings) -> int:
    """The rank at which LoRA in a SAM of this size is nearest to these adapters, at least 1."""
    with torch.device("meta"):  # counted without memory for the weights
        wanted = count_parameters(add_med_adapters(build_sam(size), adapters)).trainable
        of_rank = count_parameters(add_lora(build_sam(size), ENTERS)).trainable
    return max(1, round(wanted / of_rank))


def add_equal_lora(
    sam: Sam, size: str, adapters: MedAdapterSettings, trained: tuple[str, ...] = (), seed: int = 0
) -> Sam:
    """Put fresh LoRA into `sam`, of this size, in place, and freeze everything else.

    trained: parts that learn whole beside it, as of `add_lora`; seed: for the random A.
    """
    rank = equal_rank(size, adapters)
    return add_lora(sam, replace(ENTERS, rank=rank, alpha=float(rank)), trained, seed)
