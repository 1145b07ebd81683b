"""The claims of Med-SA, tested on its own table and on our runs: see claims_med_sa.yaml."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from samnb.reports.claim_rules import Evidence
from samnb.reports.claim_rules_lunch import column_of
from samnb.reports.claim_rules_med_sa import MED_SA_RULES, ROUNDING, impossible, least_iou
from samnb.reports.claims import audit_of
from samnb.reports.med_sa import TASKS, of_task
from samnb.reports.med_sa_ablation import ablation_cases
from samnb.reports.med_sa_parameters import counted_sam
from samnb.reports.paper_med_sa import ORGANS, published_task, published_tasks

_FILE = Path(__file__).with_name("claims_med_sa.yaml")
ABLATION = "ablation: "
METRICS = ("dice", "iou", "hd")


def audit_med_sa(cases: pd.DataFrame, ablation_user: str = "random point") -> pd.DataFrame:
    """`claims.audit` of this paper.

    cases: of `med_sa.all_cases`; ablation_user: who prompts the rows of table 3.
    """
    entries = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    paper = paper_evidence(entries["counts"])
    return audit_of(entries["claims"], paper, our_evidence(cases, ablation_user), MED_SA_RULES)


def paper_evidence(counts: Mapping[str, float]) -> Evidence:
    """Table 2, the counts of the text, and what we count; no table for what no text shows."""
    tables = {}
    for task in published_tasks():
        if task != ORGANS:  # one number is no table
            table = published_task(task).rename(columns={"hd95": "hd"})[list(METRICS)]
            tables[task] = table[table["dice"].notna()].dropna(axis=1, how="all")
    sizes = counted_sam()
    counted = {
        "trained_millions": sizes["Med-SA"].trained,
        "released_millions": sizes["Med-SA, released"].trained,
        "encoder_millions": sizes["encoder"].trained,
        "sam_millions": sizes["SAM"].total,
        "sam_encoder_millions": sizes["encoder"].total,
    }
    derived = {name: value / 1e6 for name, value in counted.items()}
    derived["tasks"] = counts["organs_of_btcv"] + counts["tasks_of_table_2"]
    return Evidence(tables, {**counts, **derived}, published=True)


def impossible_rows() -> pd.DataFrame:
    """Rows of table 2 whose Dice and IoU cannot be means over the same images: see `possible`.

    Columns: task, system, dice, iou, least_iou (the smallest that so much Dice allows).
    """
    found = []
    for task in published_tasks():
        table = published_task(task)
        wrong = table[impossible(table, ROUNDING)]
        for name, row in wrong.iterrows():
            found.append((task, name, row["dice"], row["iou"], least_iou(row["dice"])))
    return pd.DataFrame(found, columns=["task", "system", "dice", "iou", "least_iou"])


def our_evidence(cases: pd.DataFrame, ablation_user: str) -> Evidence:
    """Our means over patients and seeds by task, and a patient's means behind them."""
    tables, every = {}, []
    for task in TASKS:
        variants = ablation_cases(cases, task, ablation_user)
        variants = variants.assign(system=ABLATION + variants["system"].astype(str))
        parts = [table for table in (of_task(cases, task), variants) if len(table)]
        if not parts:
            continue
        chosen = pd.concat(parts, ignore_index=True).assign(cohort=task)
        grouped = chosen.groupby("system", sort=False)
        tables[task] = pd.DataFrame(
            {name: grouped[column_of(name)].mean() for name in METRICS if column_of(name) in chosen}
        ).dropna(axis=1, how="all")
        every.append(chosen)
    together = pd.concat(every, ignore_index=True) if every else None
    return Evidence(tables, {}, published=False, cases=together)
