"""Where a system fails, and for which reason: it was silent, looked elsewhere, or drew badly."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from samnb.reports.gallery import Pictured
from samnb.reports.prompted import show_prompted
from samnb.reports.style import panels
from samnb.reports.systems import in_order, of_cohort

POOR = 0.5  # a slice with a lower Dice is a failure
MISSED = 0.5  # a box with a lower IoU points elsewhere
PRESENT = 0.5  # probability from which the target counts as there

FINE, FALSE_ALARM, SILENT, BOX, MASK = "fine", "false alarm", "called free", "box", "mask"
REASONS = (SILENT, BOX, MASK, FALSE_ALARM)


def reasons(cases: pd.DataFrame) -> pd.Series:
    """Why each slice failed, one of REASONS, or FINE.

    cases: one row per slice. In this order: Dice at least POOR is fine; a mask where no target is
    was a false alarm; nothing found where the classifier calls the slice free: called free; a box
    far from the truth's: box; else the mask. A system without boxes is never blamed for one.
    """
    silent = (cases["presence"] < PRESENT) & cases["iou"].eq(0)
    conditions = [
        cases["dice"] >= POOR,
        cases["label"] == 0,
        silent,
        cases["box_iou"] < MISSED,
    ]
    found = np.select(conditions, [FINE, FALSE_ALARM, SILENT, BOX], MASK)
    return pd.Series(found, index=cases.index, name="reason")


def failure_table(cases: pd.DataFrame, cohort: str) -> pd.DataFrame:
    """Share of the slices of a cohort that fail for each reason, over all seeds, by system."""
    chosen = of_cohort(cases, cohort)
    shares = pd.crosstab(chosen["system"], reasons(chosen), normalize="index")
    table = shares.reindex(columns=REASONS, fill_value=0.0)
    table["any"] = table.sum(axis=1)
    return table.loc[in_order(table.index)].rename_axis(index="System", columns=None)


def best_system(cases: pd.DataFrame, cohort: str, prompted: bool = False) -> str:
    """The highest mean Dice in a cohort; of equal ones the first in the paper's order.

    prompted: among the systems whose classifier gives SAM a box, if there are any.
    """
    own = of_cohort(cases, cohort)
    boxed = own["system"].isin(own.loc[own["box_iou"].notna(), "system"])
    means = own[boxed if prompted and boxed.any() else slice(None)].groupby("system")["dice"].mean()
    return str(means.loc[in_order(means.index)].idxmax())


def pictured_cases(
    shown: Mapping[str, Pictured], cases: pd.DataFrame, system: str, seed: int
) -> pd.DataFrame:
    """The cases of the slices in `shown` (by cohort), worst first, with `reason` and `place`."""
    tables = []
    for cohort, pictures in shown.items():
        own = of_cohort(cases, cohort)
        own = own[own["system"].eq(system) & own["seed"].eq(seed)].assign(reason=reasons)
        keys = {"scan": pictures.scans, "slice": pictures.numbers}
        places = pd.DataFrame(keys).assign(place=range(len(pictures.rows)))
        tables.append(own.merge(places, on=["scan", "slice"]))
    return pd.concat(tables).sort_values("dice", kind="stable").reset_index(drop=True)


def failure_gallery(
    shown: Mapping[str, Pictured], found: pd.DataFrame, system: str, count: int = 6
) -> Figure:
    """The `count` worst slices of `found` (of `pictured_cases`), with reason and numbers above.

    Truth green, answer red, the box yellow where there is one.
    """
    worst = found.head(count)
    columns = min(3, max(1, len(worst)))
    rows = max(1, -(-len(worst) // columns))
    figure, grid = panels(rows, columns, squeeze=False)
    for axes, case in zip(grid.flat, worst.itertuples(), strict=False):
        pictures = shown[case.cohort]
        answer = pictures.answers[system]
        image, truth = pictures.images[case.place], pictures.truths[case.place]
        box = answer["boxes"][case.place] if "boxes" in answer else np.full(4, np.nan)
        mask = answer["masks"][case.place]
        box = None if np.isnan(box).any() else box
        show_prompted(axes, image, mask, box, truth=truth, title=title_of(case))
    for axes in grid.flat[len(worst) :]:
        axes.axis("off")
    return figure


def title_of(case) -> str:
    """The reason and the numbers behind it, from a row of `pictured_cases`."""
    parts = [f"Dice {case.dice:.2f}"]
    if not np.isnan(case.presence):
        parts.append(f"p {case.presence:.2f}")
    if not np.isnan(case.box_iou):
        parts.append(f"box {case.box_iou:.2f}")
    return f"{case.reason}\n{', '.join(parts)}"
