"""How many numbers the systems of Med-SA hold and train: in the paper, counted, and here.

Counted are the networks at the paper's size, built without memory for their weights: SAM with
ViT-H, and the baselines as their papers lay them out. What the paper leaves open (the reduction of
the adapters, the layout of the baselines) is said beside the number.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import pandas as pd
import torch
from monai.networks.nets import UNETR, DynUNet, SwinUNETR
from torch import nn

from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.med_adapters import MedAdapterSettings, add_med_adapters
from samnb.networks.sam.model import build_sam
from samnb.reports.paper_med_sa import ORGANS, published_task
from samnb.reports.tables import cost_table
from samnb.runs.records import Record

PAPERS_SIZE = "vit_h"
REDUCTION, RELEASED = 16, 4  # of the adapters: the one that fits the paper's 13 M; the code's
PATCH, HALVINGS = (128, 128, 128), 4  # voxels that UNETR sees; of nnU-Net's layout
NNUNET = "nnU-Net"


class Counted(NamedTuple):
    """Numbers in all and trained, and of which network."""

    total: int
    trained: int
    network: str


@cache
def counted_sam() -> dict[str, Counted]:
    """SAM with ViT-H, fine-tuned SAM, and Med-SA with adapters of the paper's size and the code's.

    "encoder": the adapters of the image encoder alone, those in every block.
    """
    with torch.device("meta"):
        sam = build_sam(PAPERS_SIZE)
        whole, encoder, prompts = (
            _numel(part) for part in (sam, sam.image_encoder, sam.prompt_encoder)
        )
        fine = _adapted(REDUCTION)
        inside = sum(value.numel() for value in fine.image_encoder.parameters()
                     if value.requires_grad)  # fmt: skip
        sizes = {count: count_parameters(_adapted(count)) for count in (REDUCTION, RELEASED)}
    return {
        "SAM": Counted(whole, 0, f"ViT-H; its image encoder alone {encoder / 1e6:.2f} M"),
        "MedSAM": Counted(whole, whole - prompts, "ViT-H, all but the prompt encoder"),
        "Med-SA": Counted(*sizes[REDUCTION], f"ViT-H, adapters of 1/{REDUCTION}"),
        "Med-SA, released": Counted(*sizes[RELEASED], f"ViT-H, adapters of 1/{RELEASED}"),
        "encoder": Counted(encoder, inside, f"image encoder, adapters of 1/{REDUCTION}"),
    }


@cache
def counted_baselines() -> dict[str, Counted]:
    """The baselines for volumes, of one target and one channel (UNETR: the layout of 104 M)."""
    stages = HALVINGS + 1
    with torch.device("meta"):
        networks = {
            NNUNET: (
                f"3D, {HALVINGS} halvings, as MONAI's DynUNet",
                DynUNet(3, 1, 2, [3] * stages, [1] + [2] * HALVINGS, [2] * HALVINGS),
            ),
            "UNETR": (
                "patches of 128³, two channels, width 32",
                UNETR(2, 1, PATCH, feature_size=32, conv_block=False, res_block=True),
            ),
        }
    swin = SwinUNETR(1, 14, feature_size=72)  # MONAI's cannot be built without memory
    networks["Swin UNETR"] = ("width 72, the nearest to 138 M", swin)
    return {name: Counted(_numel(network), _numel(network), words)
            for name, (words, network) in networks.items()}  # fmt: skip


def parameter_table(records: Iterable[Record] = ()) -> pd.DataFrame:
    """By system, in the paper's order: what it prints, what we count at its size, and what is here.

    records: of the study's systems. Columns, in millions: paper, paper_trained, counted,
    counted_trained, here, here_trained; network: of which the count is. NaN where nothing is known.
    """
    published = published_task(ORGANS)
    published = published[~published["system"].duplicated()].set_index("system")
    table = published[["parameters", "trainable"]].set_axis(["paper", "paper_trained"], axis=1)
    counts = counted_sam() | counted_baselines()
    known = {name: counts[name] for name in table.index if name in counts}
    for column, part in (("counted", 0), ("counted_trained", 1)):
        found = {name: count[part] / 1e6 for name, count in known.items()}
        table[column] = pd.Series(found, dtype=float).reindex(table.index)
    facts = [record.facts for record in records if not record.facts["changes"]]
    here = cost_table(facts) if facts else pd.DataFrame(columns=["parameters", "trainable"])
    ours = {name: _first(row["ours"], here) for name, row in published.iterrows()}
    for column, part in (("here", "parameters"), ("here_trained", "trainable")):
        found = {name: here.loc[own, part] / 1e6 for name, own in ours.items() if own}
        table[column] = pd.Series(found, dtype=float).reindex(table.index)
    table["network"] = [known[name].network if name in known else "" for name in table.index]
    return table.rename_axis("System")


def _first(names: Iterable[str], here: pd.DataFrame) -> str:
    """The first of these systems that is here, or ""."""
    return next((name for name in names if name in here.index), "")


def _adapted(reduction: int) -> nn.Module:
    return add_med_adapters(build_sam(PAPERS_SIZE), MedAdapterSettings(bottleneck=reduction))


def _numel(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())
