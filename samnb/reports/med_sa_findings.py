"""What the records of Med-SA say, in sentences: made of the numbers, ties called ties."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from samnb.reports.lunch import AUTOMATIC
from samnb.reports.lunch_findings import VERDICTS, claims_counted
from samnb.reports.med_sa import PROMPTED, TASKS, of_task, track_of
from samnb.reports.med_sa_ablation import WHOLE_TITLE
from samnb.reports.med_sa_tests import ablation_tests, task_tests
from samnb.reports.paper_med_sa import row_name

POINT = "random point"
AGAINST_MEDSAM = "Do adapters teach as well as the whole SAM?"


def findings(cases: pd.DataFrame, audit: pd.DataFrame) -> list[str]:
    """The answers to the chapter's question; what has no record is not spoken of.

    cases: of `med_sa.all_cases`; audit: of `claims_med_sa.audit_med_sa`.
    """
    tasks = [task for task in TASKS if len(of_task(cases, task))]
    tests = {task: task_tests(cases, task) for task in tasks}
    said = [
        _levels(cases, tasks),
        _counted(tests, AGAINST_MEDSAM, "Adapters against all of SAM trained (Med-SA, MedSAM)"),
        _boxes(tests),
        _ablation(ablation_tests(cases)) if tasks else "",
        claims_counted(audit),
    ]
    return [sentence for sentence in said if sentence]


def missing_records(studies: Iterable[str], found: Iterable[str], size: str) -> list[str]:
    """One sentence about the studies without any record; found: those that have some."""
    lacking = [f"`{name}`" for name in studies if name not in set(found)]
    if not lacking:
        return []
    return [
        f"No record is here of {', '.join(lacking)}, so their rows and panels are empty; "
        f"`samnb run --all --profile {size} --study` and the name makes them."
    ]


def alone(cases: pd.DataFrame, task: str) -> pd.Series:
    """Mean Dice of the systems that work alone, best first."""
    chosen = of_task(cases, task)
    chosen = chosen[[track_of(name) == AUTOMATIC for name in chosen["system"]]]
    return chosen.groupby("system")["dice"].mean().sort_values(ascending=False)


def _levels(cases: pd.DataFrame, tasks: Sequence[str]) -> str:
    parts = []
    for task in tasks:
        means = of_task(cases, task).groupby("system")["dice"].mean()
        rows = [(name, row_name(name, POINT)) for name in PROMPTED]
        words = [f"{name} {means[row]:.2f}" for name, row in rows if row in means]
        best = alone(cases, task)
        if len(best):
            words.append(f"without a prompt {best.index[0]} {best.iloc[0]:.2f}")
        parts.append(f"*{task}* {', '.join(words)}")
    if not parts:
        return ""
    return f"Mean Dice, told one random point: {'; '.join(parts)}."


def _counted(tests: dict[str, pd.DataFrame], question: str, opening: str) -> str:
    """Such as: "..., of 24 comparisons: ahead 3, a tie 20, behind 1.", by task."""
    verdicts, parts = Counter(), []
    for task, table in tests.items():
        found = table[table.index == question]
        if found.empty:
            continue
        counts = found["better"].map(VERDICTS).value_counts(sort=False)
        verdicts.update(counts.to_dict())
        low, high = found["difference"].min(), found["difference"].max()
        words = ", ".join(f"{name} {count}" for name, count in counts.items())
        parts.append(f"*{task}* {low:+.3f} to {high:+.3f} ({words})")
    if not parts:
        return ""
    counted = ", ".join(f"{name} {count}" for name, count in verdicts.items())
    return f"{opening}, {verdicts.total()} comparisons: **{counted}**. {'; '.join(parts)}."


def _boxes(tests: dict[str, pd.DataFrame]) -> str:
    """What a looser box costs each prompted system, against the tighter one."""
    parts = []
    for system in PROMPTED:
        pair = [row_name(system, "box 0.75"), row_name(system, "box 0.5")]
        rows = [
            row for table in tests.values()
            for row in table.itertuples() if [row.first, row.second] == pair
        ]  # fmt: skip
        if rows:
            costs = [row.difference for row in rows]
            parts.append(f"{system} {min(costs):+.3f} to {max(costs):+.3f}")
    if not parts:
        return ""
    return f"A box of overlap 0.75 in place of one of 0.5, over the tasks: {'; '.join(parts)}."


def _ablation(table: pd.DataFrame) -> str:
    """By task: the whole against each variant."""
    parts = []
    for task, rows in table.groupby(level=0, sort=False):
        words = [f"{row.second} {row.difference:+.3f}, {VERDICTS.get(row.better, row.better)}"
                 for row in rows.itertuples()]  # fmt: skip
        parts.append(f"*{task}*, against {'; '.join(words)}")
    if not parts:
        return ""
    whole = WHOLE_TITLE.partition(":")[2].strip()
    return f"Whole {whole}, told one random point, and what lacks a part: {'. '.join(parts)}."
