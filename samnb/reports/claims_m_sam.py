"""The claims of M-SAM, tested on its own tables and on our runs: see claims_m_sam.yaml."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import yaml

from samnb.reports.claim_arithmetic_m_sam import ABLATION, SIDES
from samnb.reports.claim_rules import Evidence
from samnb.reports.claim_rules_m_sam import CLICKS, M_SAM_RULES
from samnb.reports.claims import audit_of
from samnb.reports.m_sam import of_set, system_of
from samnb.reports.m_sam_ablation import ablation_cases
from samnb.reports.m_sam_names import (
    ABLATED,
    BENCHMARKS,
    FROZEN,
    MOST,
    SETS,
    TRANSFERS,
    TRUE_CROP,
    clicks,
    count_of,
)
from samnb.reports.m_sam_transfer import losses, sides
from samnb.reports.paper_m_sam import (
    published_ablation,
    published_comparison,
    published_transfer,
)

_FILE = Path(__file__).with_name("claims_m_sam.yaml")
COMPARISON = "comparison"  # the columns of parameters of table 1
CROPPED = "cropped: "  # before a system that saw the crop of the truth
METRICS = ["dice", "iou"]
NO_FROZEN = {"frozen": FROZEN}  # a variant of table 3 under the name of the system that it is


def audit_m_sam(cases: pd.DataFrame) -> pd.DataFrame:
    """`claims.audit` of this paper; cases: of `m_sam.all_cases`."""
    entries = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    paper = paper_evidence(entries["counts"], entries["parameters"])
    return audit_of(entries["claims"], paper, our_evidence(cases), M_SAM_RULES)


def paper_evidence(counts: Mapping[str, float], parameters: Mapping[str, float]) -> Evidence:
    """Tables 1 to 3, the counts of the text, and what follows of the parameters of its code."""
    comparison = published_comparison()
    tables = {COMPARISON: comparison[["parameters", "trainable"]]}
    tables |= {name: comparison[[name]].set_axis(["dice"], axis=1) for name in BENCHMARKS}
    for transfer in TRANSFERS:
        table = published_transfer(transfer)
        columns = ("before", "after", "difference", "rate")
        tables |= {side + transfer: table[[column]].set_axis(["dice"], axis=1)
                   for side, column in zip(SIDES, columns, strict=True)}  # fmt: skip
    ablation = published_ablation().rename(index=NO_FROZEN)
    for name in ABLATED:
        columns = [f"{name} {metric}" for metric in METRICS]
        tables[ABLATION + name] = ablation[columns].set_axis(METRICS, axis=1)
    derived = {
        "sets": len(SETS),
        "benchmarks": len(BENCHMARKS),
        "benchmarks_seen": sum(SETS[name].seen for name in BENCHMARKS),
        "targets": len(TRANSFERS),
        "targets_seen": sum(SETS[target].seen for _, target in TRANSFERS.values()),
    }
    return Evidence(tables, {**counts, **derived, **counted(parameters)}, published=True)


def counted(parameters: Mapping[str, float]) -> dict[str, float]:
    """Millions and percents of M-SAM's parameters, with LoRA of the code's rank and of rank 16.

    parameters: those of the public networks by part; width and blocks of the encoder. LoRA adds
    four matrices of rank x width to every block (two for queries, two for values).
    """
    found = {"sam_med3d": sum(parameters[part] for part in ("encoder", "prompts", "decoder")) / 1e6}
    trained = parameters["prompts"] + parameters["decoder"]
    for name, rank in (("released", parameters["rank"]), ("sixteen", 16)):
        lora = 4 * rank * parameters["width"] * parameters["blocks"]
        whole = parameters["encoder"] + trained + parameters["mea"] + lora
        own = trained + parameters["mea"] + lora
        found |= {
            f"{name}_millions": whole / 1e6,
            f"{name}_trained": own / 1e6,
            f"{name}_share": 100 * own / whole,
            f"{name}_share_without": 100 * (trained + lora) / (whole - parameters["mea"]),
        }
    return found


def our_evidence(cases: pd.DataFrame) -> Evidence:
    """Our means over patients and seeds, by the paper's names, and a patient's means behind them.

    Cohorts: the sets, the transfers (see SIDES), and the sets of table 3 (ABLATION).
    """
    tables, every = {}, []
    for cohort, found in _of_ours(cases):
        if found.empty:
            continue
        tables[cohort] = found.groupby("system", sort=False)[METRICS].mean()
        every.append(found.assign(cohort=cohort))
    together = pd.concat(every, ignore_index=True) if every else None
    return Evidence(tables, {}, published=False, cases=together)


def _of_ours(cases: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Cohorts of the rules, and a patient's means of each."""
    for name in SETS:
        honest, cropped = of_set(cases, name), of_set(cases, name, TRUE_CROP)
        cropped = _named(cropped)
        cropped = cropped.assign(system=CROPPED + cropped["system"].astype(str))
        yield name, pd.concat([_named(honest), cropped], ignore_index=True)
        variants = ablation_cases(cases, name)
        yield ABLATION + name, variants.assign(system=variants["system"].replace(NO_FROZEN))
    for transfer in TRANSFERS:
        found = sides(cases, transfer)
        before, after, loss = SIDES[:3]
        yield before + transfer, _named(found.before)
        yield after + transfer, _named(found.after)
        yield loss + transfer, _named(losses(cases, transfer).assign(iou=float("nan")))


def _named(cases: pd.DataFrame) -> pd.DataFrame:
    """Rows under the paper's names: "M-SAM" of its ten clicks, "M-SAM, clicks 3" of fewer."""
    names = {row: _paper_name(row) for row in cases["system"].unique()}
    return cases.assign(system=cases["system"].map(names))


def _paper_name(row: str) -> str:
    own = system_of(row)
    count = count_of(row.removeprefix(f"{own}, ")) if own != row else None
    if count is None:
        return row
    return own if row.endswith(clicks(MOST)) else f"{own}{CLICKS}{count}"
