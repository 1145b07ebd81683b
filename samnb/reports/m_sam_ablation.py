"""Table 3 of M-SAM: what its adapter is worth, and whether all of the encoder has to learn.

The whole system is the profile's own: LoRA in the encoder, the mask-enhanced adapter (MEA), prompt
encoder and decoder trained. The others are runs with changed settings; the frozen baseline is a
system of its own. All are told the same clicks.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.reports.lunch import ORACLE
from samnb.reports.lunch_tests import questions_tested
from samnb.reports.m_sam import PAPER, of_set
from samnb.reports.m_sam_names import (
    ABLATED,
    FROZEN,
    HONEST,
    MOST,
    OWN,
    SETS,
    WHOLE_ENCODER,
    WITHOUT_MEA,
    clicks,
)
from samnb.reports.paper_m_sam import note, published_ablation
from samnb.reports.paper_med_sa import row_name


class Variant(NamedTuple):
    """A system, and the change that was made of its settings."""

    system: str
    change: str = HONEST


VARIANTS = {  # by the names of paper_m_sam.yaml
    "frozen": Variant(FROZEN),
    "without MEA": Variant(OWN, WITHOUT_MEA),
    "whole encoder trained": Variant(OWN, WHOLE_ENCODER),
    "M-SAM": Variant(OWN),
}


def ablation_cases(cases: pd.DataFrame, name: str, number: int = MOST) -> pd.DataFrame:
    """A patient's means of every variant on one set, its title as `system`; told so many clicks."""
    tables = []
    for title, variant in VARIANTS.items():
        chosen = of_set(cases, name, variant.change)
        own = chosen[chosen["system"] == row_name(variant.system, clicks(number))]
        tables.append(own.assign(system=title))
    return pd.concat(tables, ignore_index=True)


def ablation_table(cases: pd.DataFrame, name: str, number: int = MOST) -> pd.DataFrame:
    """One set: by variant, tuned (percent of the parameters, by the paper), dice, iou, the paper's.

    dice has its deviation over seeds and its 95 % interval over patients; IoU its deviation.
    """
    chosen = ablation_cases(cases, name, number)
    published = published_ablation()
    table = pd.DataFrame({"tuned": published["trained"]}, index=list(VARIANTS))
    for metric in ("dice", "iou"):
        summary = over_seeds(chosen, metric).set_index("system") if len(chosen) else _NOTHING
        table[metric] = summary["mean"].reindex(table.index)
        table[f"{metric}_deviation"] = summary["deviation"].reindex(table.index)
        if metric == "dice":
            interval = patient_interval(chosen, metric).set_index("system") if len(chosen) else (
                _NOTHING)  # fmt: skip
            table["dice_low"] = interval["low"].reindex(table.index)
            table["dice_high"] = interval["high"].reindex(table.index)
    for metric, column in (("dice", "paper_dsc"), ("iou", "paper_iou")):
        table[column] = published.get(f"{name} {metric}", np.nan)
    table.attrs["note"] = note()
    return table.rename_axis("Variant")


_NOTHING = pd.DataFrame(columns=["mean", "deviation", "low", "high"], dtype=float)


def all_ablations(cases: pd.DataFrame, number: int = MOST) -> pd.DataFrame:
    """Table 3: by variant the Dice of every set that has it, ours and below it the paper's.

    Sets of table 3 first; of another the paper has nothing. Columns with deviations over seeds.
    """
    sets = [*ABLATED, *(name for name in SETS
                        if name not in ABLATED and _ablated(cases, name, number))]  # fmt: skip
    tables = {name: ablation_table(cases, name, number) for name in sets}
    blocks: dict[str, Mapping[str, float]] = {}
    for title in VARIANTS:
        blocks[title] = {
            f"{name}{end}": table.loc[title, f"dice{end}"]
            for name, table in tables.items()
            for end in ("", "_deviation")
        }
        blocks[f"{PAPER}{title}"] = {
            name: table.loc[title, "paper_dsc"] for name, table in tables.items()
        }
    table = pd.DataFrame.from_dict(blocks, orient="index").rename_axis("Variant")
    table.insert(0, "tuned", published_ablation()["trained"].reindex(table.index))
    table.attrs["note"] = note()
    return table


def ablation_tests(cases: pd.DataFrame, number: int = MOST, metric: str = "dice") -> pd.DataFrame:
    """M-SAM against every variant; the set is the index. p is corrected within a set."""
    whole = "M-SAM"
    others = [name for name in VARIANTS if name != whole]
    tables = []
    for name in SETS:
        found = ablation_cases(cases, name, number)
        # A frozen network draws nothing, so one run of it is all: `is_frozen` knows it by its name.
        found = found.assign(system=found["system"].replace("frozen", FROZEN))
        pairs = {name: [(whole, FROZEN if other == "frozen" else other) for other in others]}
        tables.append(questions_tested(pairs, found, metric, track=lambda _: ORACLE))
    return pd.concat([each for each in tables if len(each)] or tables[:1])


def _ablated(cases: pd.DataFrame, name: str, number: int) -> bool:
    """Whether a set has more than M-SAM itself and what is frozen."""
    return not {"without MEA", "whole encoder trained"}.isdisjoint(
        ablation_cases(cases, name, number)["system"]
    )
