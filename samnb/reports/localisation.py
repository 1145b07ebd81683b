"""Does the classifier look at the target? AUC, pointing game and box IoU of each system."""

import numpy as np
import pandas as pd

from samnb.evaluation.examine import area_under_curve
from samnb.reports.systems import in_order, of_cohort


def localisation_table(cases: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """What a system knows of where and whether, mean and deviation over seeds.

    cases: one row per slice. Columns, each with its deviation: auc (of the probability that the
    target is in the slice); over the slices with target: hit (pointing game: share whose map has
    its maximum inside the target), box_iou (box against the tight box of the truth), boxed (share
    with a box at all). A slice without a box was called free of the target: it counts as a miss and
    as an IoU of 0, or a system would gain by staying silent. NaN: the system has no such answer.
    Systems that have none of these are left out.
    """
    cases = of_cohort(cases, cohort)
    known = cases.groupby("system")[["presence", "hit", "box_iou"]].agg(lambda v: v.notna().any())
    rows = [
        {"system": name, "seed": seed, **_of_run(run, known.loc[name])}
        for (name, seed), run in cases.groupby(["system", "seed"], sort=False)
    ]
    runs = pd.DataFrame(rows).set_index("system")
    grouped = runs.groupby(level="system")
    measures = [name for name in runs if name != "seed"]
    columns = {}
    for name in measures:
        columns |= {name: grouped[name].mean(), f"{name}_deviation": grouped[name].std(ddof=1)}
    table = pd.DataFrame(columns).assign(seeds=grouped["seed"].nunique())
    table = table.dropna(how="all", subset=measures)
    return table.loc[in_order(table.index)].rename_axis("System")


def _of_run(run: pd.DataFrame, known: pd.Series) -> dict[str, float]:
    """The measures of one trained system; `known` says which answers this system gives at all."""
    with_target = run[run["label"] == 1]
    boxes = with_target["box_iou"]
    labels, presence = run["label"].to_numpy(), run["presence"].to_numpy(dtype=float)
    return {
        "auc": area_under_curve(labels, presence) if known["presence"] else np.nan,
        "hit": with_target["hit"].fillna(0).mean() if known["hit"] else np.nan,
        "box_iou": boxes.fillna(0).mean() if known["box_iou"] else np.nan,
        "boxed": boxes.notna().mean() if known["box_iou"] else np.nan,
    }
