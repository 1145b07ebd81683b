"""The claims of Cheap Lunch, tested on its own tables and on our runs: see claims_lunch.yaml."""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pandas as pd
import torch
import yaml

from samnb.networks.sam.class_tokens import adapt, give_class_tokens
from samnb.networks.sam.lora import count_parameters
from samnb.networks.sam.model import build_sam
from samnb.networks.sam.settings import LoraSettings
from samnb.networks.sam.weights import published as published_weights
from samnb.reports.claim_rules import Evidence
from samnb.reports.claim_rules_lunch import LUNCH_RULES, RANDOM, column_of
from samnb.reports.claims import audit_of
from samnb.reports.lunch import FROZEN, asked
from samnb.reports.paper_lunch import (
    exemplar_counts,
    match_exemplars,
    organs_of,
    published_lunch,
)
from samnb.reports.systems import parse
from samnb.systems.samed import SMALL

_FILE = Path(__file__).with_name("claims_lunch.yaml")
USERS = {"": "point", RANDOM: "random point"}  # by what stands behind a cohort
TABLES = {"brats": (1, 3), "synapse": (2, 4), "brats" + RANDOM: (5,), "synapse" + RANDOM: (6,)}
ORGANS, SIDE, RANK = 8, 512, 4  # of the network whose checkpoint the paper's number fits
MEBI = 2**20


def audit_lunch(
    cases: Mapping[str, pd.DataFrame], labelled: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """`claims.audit` of this paper; cases and labelled by cohort, as of `lunch.lunch_table`."""
    entries = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    paper = paper_evidence(entries["counts"])
    return audit_of(entries["claims"], paper, our_evidence(cases, labelled), LUNCH_RULES)


def paper_evidence(counts: Mapping[str, float]) -> Evidence:
    """The paper's six tables, the counts of its text, and what follows of them."""
    tables = {}
    for cohort, numbers in TABLES.items():
        rows = pd.concat([published_lunch(number) for number in numbers])
        names = [_name(row.system, row.exemplars, row.said, cohort) for row in rows.itertuples()]
        table = rows.set_index(pd.Index(names)).drop(columns=["system", "exemplars", "said"])
        tables[cohort] = table[~table.index.duplicated()]
    derived = {
        "training_share": round(0.8 * counts["scans"]),
        "brats_slices": counts["training_scans"] * counts["slices_of_a_scan"],
        "exemplars_per_volume": counts["most_exemplars"] / counts["volumes"],
    }
    return Evidence(tables, {**counts, **derived, **checkpoint()}, published=True)


def our_evidence(
    cases: Mapping[str, pd.DataFrame], labelled: Mapping[str, Sequence[int]]
) -> Evidence:
    """Our means over scans, targets and seeds, under the paper's names, and the cases behind."""
    tables, every = {}, []
    for cohort, table in cases.items():
        for ending, user in USERS.items():
            chosen = asked(table, user)
            if ending:  # whom nobody prompts stands in the first
                chosen = chosen[chosen["user"] == user]
            names = _paper_names(chosen["system"].unique(), cohort, labelled[cohort])
            chosen = chosen[chosen["system"].isin(names)]
            chosen = chosen.assign(system=chosen["system"].map(names), cohort=cohort + ending)
            if len(chosen):
                tables[cohort + ending] = _means(chosen, organs_of(cohort))
                every.append(chosen)
    together = pd.concat(every, ignore_index=True) if every else None
    return Evidence(tables, {}, published=False, cases=together)


def _means(cases: pd.DataFrame, organs: Sequence[str]) -> pd.DataFrame:
    grouped = cases.groupby("system", sort=False)
    columns = {metric: grouped[column_of(metric)].mean() for metric in ("dice", "hd")}
    by_organ = cases.pivot_table(index="system", columns="target", values="dice")
    return pd.DataFrame(columns | {organ: by_organ[organ] for organ in organs})


def _paper_names(names: Sequence[str], cohort: str, labelled: Sequence[int]) -> dict[str, str]:
    """Our systems that the paper has, and what the rules call them."""
    rows = pd.concat([published_lunch(number) for number in TABLES[cohort]])
    said = {row.exemplars: row.said for row in rows.itertuples()}
    places = match_exemplars(labelled, exemplar_counts(cohort))
    found = {}
    for name in names:
        family, labels = parse(name)
        exemplars = {None: "all", 0: ""}.get(labels, str(places.get(labels, "")))
        if exemplars or family == FROZEN:
            found[name] = _name(family, exemplars, said.get(exemplars, ""), cohort)
    return found


def _name(family: str, exemplars: str, said: str, cohort: str) -> str:
    """Shares on brats, since ours are other numbers; numbers on synapse."""
    if not exemplars:
        return family
    share = cohort.startswith("brats") and exemplars != "all"
    return f"{family}-{said if share else exemplars}"


@cache
def checkpoint() -> dict[str, float]:
    """What SAMed's small variant trains at ViT-B: parameters, their bytes, and a file of them.

    Nine mask tokens (eight organs and the background), LoRA of rank 4 in encoder and decoder, and
    the parts of the decoder and the prompt encoder that it keeps. The file's names are as short as
    they can be; those of real parameters add some hundredths of a MiB.
    """
    with torch.device("meta"):
        whole = count_parameters(build_sam("vit_b")).total
        sam = build_sam("vit_b", SIDE)
        give_class_tokens(sam.mask_decoder, ORGANS + 1)
        parts = (*(f"mask_decoder.{part}" for part in SMALL), "prompt_encoder")
        sam = adapt(sam, LoraSettings(rank=RANK, alpha=RANK, decoder=True), parts, seed=0)
    kept = [torch.zeros(value.shape) for value in sam.parameters() if value.requires_grad]
    file = io.BytesIO()
    torch.save({str(number): value for number, value in enumerate(kept)}, file)
    trained, written = sum(value.numel() for value in kept), len(file.getvalue())
    return {
        "trained_millions": trained / 1e6,
        "trained_mebibytes": 4 * trained / MEBI,
        "trained_share": 100 * trained / whole,
        "file_mebibytes": written / MEBI,
        "file_share": 100 * written / published_weights()["vit_b"].bytes,
    }
