"""Records → tables of numbers: segmentation (tables 1 and 2), significance, cost; and their files.

Each returns numbers, one row per system in the paper's order; `printing` says how they look. Only
runs with the profile's own settings count; systems without cases are left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from samnb.base.files import write_text
from samnb.evaluation.statistics import compare_systems, over_seeds, patient_interval
from samnb.reports.paper import beside
from samnb.reports.printing import latex
from samnb.reports.systems import in_order, missing_seeds, of_cohort, shown_name

LENGTHS = ("hd", "hd95")  # in pixels for slices, in mm for scans
METRICS = ("dice", *LENGTHS, "surface_dice")


def segmentation_table(
    cases: pd.DataFrame,
    cohort: str,
    published: pd.DataFrame | None = None,
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Tables 1 and 2: how well each system segments one cohort.

    cases: one row per slice (lengths in pixels of the model's grid) or per scan (then in mm, and
    their columns end with _mm). published: what `paper.published` gives, to stand beside. seeds:
    those that every system should have.
    Columns: dice, dice_deviation (over seeds), dice_low, dice_high (95 %, over patients), the other
    metrics with their deviations, seeds, missing (which ones, as text), and paper_dice, paper_hd
    with deviation and place among all of the paper's rows.
    """
    cases = of_cohort(cases, cohort)
    names = in_order(cases["system"])
    unit = "" if "slice" in cases else "_mm"
    columns: dict[str, Any] = {}
    for metric in METRICS:
        summary = over_seeds(cases, metric).set_index("system").loc[names]
        name = metric + unit if metric in LENGTHS else metric
        columns |= {name: summary["mean"], f"{name}_deviation": summary["deviation"]}
        if metric == "dice":
            interval = patient_interval(cases, metric).set_index("system").loc[names]
            columns |= {"dice_low": interval["low"], "dice_high": interval["high"]}
    columns["seeds"] = summary["seeds"]
    table = pd.DataFrame(columns).assign(missing=_missing(cases, names, seeds))
    if published is not None:
        table = _beside(table.join(_paper(names, published)), unit)
    return table.rename_axis("System")


def _beside(table: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The paper's columns right after ours, where a page that is too narrow still shows them."""
    first = [name for name in table if name.startswith(("dice", "paper_dice"))]
    second = [f"hd{unit}", f"hd{unit}_deviation"]
    second += [name for name in table if name.startswith("paper_hd")]
    rest = [name for name in table if name not in (*first, *second)]
    return table[[*first, *second, *rest]]


def significance_matrix(
    cases: pd.DataFrame,
    cohort: str,
    metric: str = "dice",
    systems: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Holm-corrected p of the paired Wilcoxon test between the patients' means, system by system.

    `systems` are those to compare, chosen before looking: every pair more costs correction (see
    `smallest_p`). Symmetric, NaN on the diagonal.
    """
    return _square(_pairs(cases, cohort, metric, systems), "p_holm", sign=1)


def difference_matrix(
    cases: pd.DataFrame,
    cohort: str,
    metric: str = "dice",
    systems: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Median over patients of row minus column, for the same pairs as `significance_matrix`."""
    return _square(_pairs(cases, cohort, metric, systems), "difference", sign=-1)


def smallest_p(patients: int, systems: int) -> float:
    """The smallest Holm-corrected p that comparing all pairs of so many systems can reach.

    The two-sided signed-rank test of n patients cannot fall below 2 / 2^n, and Holm multiplies the
    smallest of m tests by m. Where this is above 0.05 no pair can ever be called different, and
    a table of blanks says nothing about the systems.
    """
    return min(1.0, 2.0 ** (1 - patients) * systems * (systems - 1) / 2)


def cost_table(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What each system costs, mean and deviation over seeds, from the contents of record.json.

    Columns: parameters, trainable, multiply_adds (per slice), training_seconds, milliseconds (per
    slice), memory (peak, MB), the last three with their deviations, device, seeds. Seconds and
    memory compare only between runs on one device; several are named side by side.
    """
    runs = pd.DataFrame([_cost(record) for record in records if shown_name(record)])
    grouped = runs.groupby("system", sort=False)
    columns: dict[str, Any] = {
        name: grouped[name].mean() for name in ("parameters", "trainable", "multiply_adds")
    }
    for name in ("training_seconds", "milliseconds", "memory"):
        columns |= {name: grouped[name].mean(), f"{name}_deviation": grouped[name].std(ddof=1)}
    columns["device"] = grouped["device"].agg(lambda found: ", ".join(sorted(set(found))))
    columns["seeds"] = grouped["seed"].nunique()
    return pd.DataFrame(columns).loc[in_order(runs["system"])].rename_axis("System")


def write_table(table: pd.DataFrame, name: str, folder: Path | str) -> list[Path]:
    """Write `name`.csv with every digit and `name`.tex as printed; give back their paths."""
    paths = [Path(folder) / f"{name}.csv", Path(folder) / f"{name}.tex"]
    write_text(paths[0], table.to_csv(lineterminator="\n", float_format="%.6g"))
    write_text(paths[1], latex(table))
    return paths


def _missing(
    cases: pd.DataFrame, names: Sequence[str], seeds: Sequence[int] | None
) -> dict[str, str]:
    lacking = missing_seeds(cases, seeds)
    texts = {name: ", ".join(map(str, lacking.get(name, ()))) for name in names}
    return pd.Series(texts, dtype=object)


def _paper(names: Sequence[str], published: pd.DataFrame) -> pd.DataFrame:
    columns = [
        f"{metric}{end}" for metric in ("dice", "hd") for end in ("", "_deviation", "_place")
    ]
    return beside(list(names), published)[columns].astype(float).add_prefix("paper_")


def _pairs(
    cases: pd.DataFrame, cohort: str, metric: str, systems: Sequence[str] | None
) -> pd.DataFrame:
    cases = of_cohort(cases, cohort)
    if systems is not None:
        cases = cases[cases["system"].isin(systems)]
    # The pairs come in the order of appearance.
    cases = cases.assign(system=pd.Categorical(cases["system"], in_order(cases["system"])))
    cases = cases.sort_values("system", kind="stable").astype({"system": object})
    return compare_systems(cases, metric)


def _square(pairs: pd.DataFrame, value: str, sign: int) -> pd.DataFrame:
    """A matrix of the pairs' values; below the diagonal they are multiplied by `sign`."""
    names = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    matrix = pd.DataFrame(np.nan, index=names, columns=names)
    for first, second, number in pairs[["first", "second", value]].itertuples(index=False):
        matrix.loc[first, second], matrix.loc[second, first] = number, sign * number
    return matrix.rename_axis("System")


def _cost(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "system": shown_name(record),
        "seed": record["seed"],
        "parameters": record["parameters"]["total"],
        "trainable": record["parameters"]["trainable"],
        "multiply_adds": _number(record.get("multiply_adds")),
        "training_seconds": _number(record["seconds"]["training"]),
        "milliseconds": _number(record.get("milliseconds_per_slice")),
        "memory": _number(record.get("peak_memory_mb")),
        "device": str(record.get("device", "")),
    }


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
