"""Rules for the claims of Med-SA, beside those of claim_rules.py and claim_rules_lunch.py.

On paper an oracle stands in one table with systems that work alone, and is asked whether it is
ahead as printed. Of our runs it is not: the rules that end with `_told` give both numbers and no
verdict.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import combinations

import numpy as np
import pandas as pd

from samnb.reports.claim_numbers import better_by, lower_is_better
from samnb.reports.claim_rules import (
    FAILS,
    HOLDS,
    TIE,
    UNTESTABLE,
    Evidence,
    Finding,
    Rule,
    gain,
    rank,
)
from samnb.reports.claim_rules_lunch import (
    LUNCH_RULES,
    SHOWN,
    Pair,
    ahead,
    column_of,
    lower_by,
    of_pairs,
)
from samnb.reports.lunch_tests import FIRST, SECOND, compared
from samnb.reports.med_sa import track_of
from samnb.reports.paper_med_sa import row_name

ROUNDING = 0.0005 + 1e-9  # half a last digit of what table 2 prints
NEAR = 0.01  # "comparable": within a point, which is our reading of the word


def possible(evidence: Evidence, cohort: str) -> Finding:
    """Every row's Dice and IoU can be means over the same images.

    Of one image IoU = d / (2 - d), a convex function of its Dice d that lies below d. So the mean
    IoU is at least that function of the mean Dice (Jensen), and at most the mean Dice itself,
    whatever the images; and so it is if thresholds are averaged over, too.
    """
    table = evidence.tables.get(cohort, pd.DataFrame(columns=["dice", "iou"]))
    table = table[["dice", "iou"]].dropna()
    if table.empty:
        return Finding(UNTESTABLE, "no cases")
    wrong = table[impossible(table, ROUNDING if evidence.published else 1e-9)]
    said = [f"{len(table) - len(wrong)} of {len(table)} rows"]
    said += [f"{name}: Dice {100 * row.dice:.1f} allows no IoU below "
             f"{100 * least_iou(row.dice):.1f}, printed {100 * row.iou:.1f}"
             for name, row in wrong[:SHOWN].iterrows()]  # fmt: skip
    if len(wrong) > SHOWN:
        said.append("nor do those of " + ", ".join(wrong.index[SHOWN:]))
    return Finding(FAILS if len(wrong) else HOLDS, "; ".join(said))


def impossible(table: pd.DataFrame, slack: float) -> pd.Series:
    """Rows whose iou lies outside what their dice allows, each known up to `slack`."""
    least = least_iou(table["dice"] - slack) - slack
    return (table["iou"] < least) | (table["iou"] > table["dice"] + 2 * slack)


def least_iou(dice: pd.Series | float) -> pd.Series | float:
    """The smallest mean IoU that images of this mean Dice can have."""
    return dice / (2 - dice)


def below(evidence: Evidence, part: str, whole: str, percent: float) -> Finding:
    """One count is less than so many percent of another."""
    if not evidence.published:
        return Finding(UNTESTABLE, "about the paper's own counts")
    value = 100 * evidence.counts[part] / evidence.counts[whole]
    words = f"{value:.1f} % ({evidence.counts[part]:g} of {evidence.counts[whole]:g})"
    return Finding(HOLDS if value < percent else FAILS, words)


def ahead_told(
    evidence: Evidence,
    cohorts: Sequence[str],
    metrics: Sequence[str],
    better: Sequence[str],
    worse: Sequence[str],
) -> Finding:
    """`ahead`, of an oracle and systems that work alone; of ours only what both reach."""
    if evidence.published:
        return ahead(evidence, cohorts, metrics, better, worse)
    return _both(evidence, cohorts, metrics[0], better, worse)


def gained_told(
    evidence: Evidence, cohort: str, metric: str, system: str, against: Sequence[str], printed: str
) -> Finding:
    """`gain`, of an oracle over systems that work alone; of ours only what both reach."""
    if evidence.published:
        return gain(evidence, cohort, metric, system, against, printed)
    return _both(evidence, [cohort], metric, [system], against)


def lower_by_told(
    evidence: Evidence, cohort: str, metric: str, system: str, against: str, printed: str
) -> Finding:
    """`lower_by`, of an oracle and one that works alone; of ours only what both reach."""
    if evidence.published:
        return lower_by(evidence, cohort, metric, system, against, printed)
    return _both(evidence, [cohort], metric, [system], [against])


def best_of(
    evidence: Evidence, cohorts: Sequence[str], metric: str, system: str, among: Sequence[str]
) -> Finding:
    """A system has the first place among others, in each of the cohorts; on paper alone.

    Most of the systems that the paper names are not in this book.
    """
    if not evidence.published:
        return Finding(UNTESTABLE, "most of these systems are not here")
    found = [rank(evidence, cohort, metric, system, among, 1) for cohort in cohorts]
    holds = all(each.verdict == HOLDS for each in found)
    said = [f"{cohort}: {each.numbers}" for cohort, each in zip(cohorts, found, strict=True)]
    return Finding(HOLDS if holds else FAILS, "; ".join(said))


def worst_of(
    evidence: Evidence, cohort: str, metric: str, system: str, among: Sequence[str]
) -> Finding:
    """A system has the last place among others; on paper alone."""
    if not evidence.published:
        return Finding(UNTESTABLE, "most of these systems are not here")
    values = evidence.column(cohort, metric, among)
    last = values.idxmax() if lower_is_better(metric) else values.idxmin()
    said = f"{system} {values[system]:.3f}, the last {last} {values[last]:.3f}"
    return Finding(HOLDS if last == system else FAILS, said)


def comparable(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    systems: Sequence[str],
    better: str,
    worse: str,
) -> Finding:
    """Asked by one user a system is at least about as good as asked by another.

    On paper: not more than NEAR behind. Of ours: not behind by more than other patients or other
    seeds could change.
    """
    pairs = []
    for cohort, system in _each(evidence, cohorts, systems, (better, worse)):
        first, second = row_name(system, better), row_name(system, worse)
        own, other = (evidence.tables[cohort].loc[name, metric] for name in (first, second))
        words = f"{cohort}, {first} {own:.3f} and {second} {other:.3f}"
        if evidence.published:
            behind = better_by(own, other, metric) < -NEAR - 1e-9
        else:
            behind = _verdict(evidence, cohort, metric, first, second) == SECOND
        pairs.append(Pair(FAILS if behind else HOLDS, words))
    return _counted(pairs, "not behind")


def same_order(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    systems: Sequence[str],
    users: Sequence[str],
) -> Finding:
    """What is better for one system, of two users, is better for the others, too.

    Of ours: no two systems disagree; where nobody decides, or only one does, it is a tie.
    """
    pairs = []
    for cohort in cohorts:
        for one, other in combinations(users, 2):
            signs = {
                system: _sign(evidence, cohort, metric, row_name(system, one),
                              row_name(system, other))
                for _, system in _each(evidence, [cohort], systems, (one, other))
            }  # fmt: skip
            decided = {name: sign for name, sign in signs.items() if sign}
            if len(signs) < 2:
                continue
            words = ", ".join(f"{name} {sign:+.0f}" for name, sign in signs.items())
            agree = len(set(decided.values())) <= 1
            verdict = FAILS if not agree else HOLDS if len(decided) > 1 else TIE
            pairs.append(Pair(verdict, f"{cohort}, {one} against {other}: {words}"))
    return _counted(pairs, "alike")


MED_SA_RULES: dict[str, Rule] = LUNCH_RULES | {
    rule.__name__: rule
    for rule in (possible, below, ahead_told, gained_told, lower_by_told, best_of, worst_of,
                 comparable, same_order)
}  # fmt: skip


def _counted(pairs: Sequence[Pair], word: str) -> Finding:
    """`of_pairs`, of what is not about being ahead."""
    found = of_pairs(pairs)
    numbers = found.numbers.replace(" ahead", f" {word}", 1).replace("not ahead:", "not:")
    return Finding(found.verdict, numbers)


def _each(
    evidence: Evidence, cohorts: Sequence[str], systems: Sequence[str], users: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Cohorts and systems that have a number for each of these users."""
    for cohort in cohorts:
        there = set(evidence.tables.get(cohort, pd.DataFrame()).index)
        for system in systems:
            if {row_name(system, user) for user in users} <= there:
                yield cohort, system


def _sign(evidence: Evidence, cohort: str, metric: str, first: str, second: str) -> int:
    """1 if the first is better, -1 if the second is, 0 if it cannot be said."""
    if evidence.published:
        own, other = (evidence.tables[cohort].loc[name, metric] for name in (first, second))
        return int(np.sign(better_by(own, other, metric)))
    return {FIRST: 1, SECOND: -1}.get(_verdict(evidence, cohort, metric, first, second), 0)


def _verdict(evidence: Evidence, cohort: str, metric: str, first: str, second: str) -> str:
    cases = evidence.cases[evidence.cases["cohort"] == cohort]
    tables = [cases[cases["system"] == name] for name in (first, second)]
    return compared(*tables, column_of(metric)).better(lower_is_better(metric))


def _both(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    better: Sequence[str],
    worse: Sequence[str],
) -> Finding:
    """The best of either side, and that they are not ranked: one was told where."""
    said = []
    for cohort in cohorts:
        sides = [_best(evidence, cohort, metric, names, keep) for names, keep in
                 ((better, lambda row: True), (worse, _alone))]  # fmt: skip
        if all(sides):
            said.append(f"{cohort}: {' and '.join(sides)}")
    if not said:
        return Finding(UNTESTABLE, "no cases")
    return Finding(UNTESTABLE, "; ".join(["not ranked, the first was told where", *said]))


def _alone(row: str) -> bool:
    return track_of(row) != "oracle"


def _best(
    evidence: Evidence,
    cohort: str,
    metric: str,
    patterns: Sequence[str],
    keep: Callable[[str], bool],
) -> str:
    """The best of these rows in words; "" if there is none."""
    table: Mapping = evidence.tables.get(cohort, {})
    if metric not in table:
        return ""
    values = table[metric].dropna()
    values = values[[keep(name) and any(fnmatchcase(name, each) for each in patterns)
                     for name in values.index]]  # fmt: skip
    if values.empty:
        return ""
    best = values.idxmin() if lower_is_better(metric) else values.idxmax()
    return f"{best} {values[best]:.3f}"
