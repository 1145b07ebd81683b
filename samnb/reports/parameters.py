"""How many numbers each way of adapting SAM trains, counted, beside what the papers say."""

import pandas as pd
import torch

from samnb.networks.sam.lora import add_lora, count_parameters
from samnb.networks.sam.model import build_sam
from samnb.networks.sam.settings import LoraSettings

PLACEMENTS = {
    "encoder": (LoraSettings(), ()),
    "encoder and decoder": (LoraSettings(decoder=True), ()),
    "encoder; decoder trained": (LoraSettings(), ("mask_decoder",)),
    "encoder; decoder and prompts trained": (LoraSettings(), ("mask_decoder", "prompt_encoder")),
}

# (size, placement, rank): the paper's own words for its number.
CLAIMS = {
    ("vit_b", "encoder", 8): "SAM-Mix: no number",
    ("vit_b", "encoder and decoder", 4): "Cheap Lunch: 6.32 M, 1.77 %",
    ("vit_b", "encoder; decoder and prompts trained", 4): "SAMed: 18 MB",
}


def parameter_table(
    sizes: tuple[str, ...] = ("pocket", "vit_b", "vit_l", "vit_h"), ranks: tuple[int, ...] = (4, 8)
) -> pd.DataFrame:
    """One row for every size, placement and rank; `MB` is the trained part in single precision.

    The models are built without memory for their weights, so that counting takes seconds.
    """
    rows = []
    for size in sizes:
        for placement, (settings, trained) in PLACEMENTS.items():
            for rank in ranks:
                chosen = LoraSettings(rank, float(rank), settings.encoder, settings.decoder)
                with torch.device("meta"):
                    total, trainable = count_parameters(add_lora(build_sam(size), chosen, trained))
                rows.append(
                    {
                        "SAM": size,
                        "LoRA in": placement,
                        "rank": rank,
                        "trainable": trainable,
                        "total": total,
                        "percent": 100 * trainable / total,
                        "MB": trainable * 4 / 2**20,
                        "papers": CLAIMS.get((size, placement, rank), ""),
                    }
                )
    return pd.DataFrame(rows)
