"""How many numbers the systems of M-SAM's table 1 hold and train: in the paper, counted, and here.

Counted are the networks at the paper's size: the baselines as MONAI builds them, and of SAM-Med3D
and M-SAM the parts of their public code (see claims_m_sam.yaml), with LoRA of rank 16, which fits
the paper's shares, and of rank 4, which the public code has.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml

from samnb.reports.claims_m_sam import counted
from samnb.reports.m_sam_names import OWN, PLAIN
from samnb.reports.med_sa_parameters import counted_baselines
from samnb.reports.paper_m_sam import published_comparison
from samnb.reports.tables import cost_table
from samnb.runs.records import Record

_FILE = Path(__file__).with_name("claims_m_sam.yaml")
PUBLIC = f"{OWN}, public code"


def counted_systems() -> pd.DataFrame:
    """Millions in all and trained of what we count, by row; network: of which the count is."""
    found = counted(yaml.safe_load(_FILE.read_text(encoding="utf-8"))["parameters"])
    rows = {
        name: (count.total / 1e6, count.trained / 1e6, count.network)
        for name, count in counted_baselines().items()
    }
    rows[PLAIN] = (found["sam_med3d"], found["sam_med3d"], "128³, patch 16³, width 768")
    for name, rank, said in (
        (OWN, "sixteen", "LoRA of rank 16"),
        (PUBLIC, "released", "of rank 4"),
    ):
        rows[name] = (found[f"{rank}_millions"], found[f"{rank}_trained"], said)
    columns = ["counted", "counted_trained", "network"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def parameter_table(records: Iterable[Record] = ()) -> pd.DataFrame:
    """By system, in the paper's order: what it prints, what we count at its size, and what is here.

    records: of the studies' systems. Columns, in millions: paper, paper_trained, counted,
    counted_trained, here, here_trained; network. NaN where nothing is known.
    """
    published, counts = published_comparison(), counted_systems()
    names = [*published.index, *(name for name in counts.index if name not in published.index)]
    columns = {"parameters": "paper", "trainable": "paper_trained"}
    table = published[list(columns)].rename(columns=columns).reindex(names).join(counts)
    facts = [record.facts for record in records if not record.facts["changes"]]
    here = cost_table(facts) if facts else pd.DataFrame(columns=["parameters", "trainable"])
    ours = {name: [each for each in row["ours"] if each in here.index]
            for name, row in published.iterrows()}  # fmt: skip
    for column, part in (("here", "parameters"), ("here_trained", "trainable")):
        found = {name: here.loc[own[0], part] / 1e6 for name, own in ours.items() if own}
        table[column] = pd.Series(found, dtype=float).reindex(names)
    order = ["paper", "paper_trained", "counted", "counted_trained", "here", "here_trained"]
    table["network"] = table["network"].fillna("")
    return table[[*order, "network"]].rename_axis("System")
