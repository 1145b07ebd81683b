"""Rules for the claims of M-SAM, beside those of the other papers' rules.

On paper who was told ten clicks stands in one table with who works alone, and is asked whether it
is ahead as printed. Of our runs it is not: `ahead_apart` and its like give both numbers and no
verdict.
"""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.reports.claim_arithmetic_m_sam import ARITHMETIC, in_count, rate_of
from samnb.reports.claim_numbers import rounds_to
from samnb.reports.claim_rules import (
    FAILS,
    HOLDS,
    OTHERWISE,
    TIE,
    UNTESTABLE,
    Evidence,
    Finding,
    Rule,
    gain,
)
from samnb.reports.claim_rules_lunch import LUNCH_RULES, Pair, ahead, column_of
from samnb.reports.claim_rules_med_sa import least_iou
from samnb.reports.lunch_tests import SECOND, compared

PRINTED = 0.00005 + 1e-9  # half a last digit of Dice and IoU, as the tables print them
NEAR = 0.01  # "nearly identical": within a point, which is our reading of the words
SHOWN = 3
CLICKS = ", clicks "  # between a system and their number, where they are fewer than the paper's ten


def ahead_apart(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    better: Sequence[str],
    worse: Sequence[str],
) -> Finding:
    """`ahead`, of who was told and who works alone; of ours only the best of either side."""
    if evidence.published:
        return ahead(evidence, cohorts, [metric], better, worse)
    return unranked(evidence, cohorts, metric, better, worse)


def gained_apart(
    evidence: Evidence, cohort: str, metric: str, system: str, against: Sequence[str], printed: str
) -> Finding:
    """`gain`, of who was told over who works alone; of ours only what both reach."""
    if evidence.published:
        return gain(evidence, cohort, metric, system, against, printed)
    return unranked(evidence, [cohort], metric, [system], against)


def mean_lead(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    system: str,
    against: Sequence[str],
    printed: str,
) -> Finding:
    """Over the cohorts a system leads the best other by `printed` points in the mean."""
    if not evidence.published:
        return unranked(evidence, cohorts, metric, [system], against)
    leads = {name: 100 * (evidence.tables[name].loc[system, metric]
                          - evidence.column(name, metric, against).max())
             for name in cohorts}  # fmt: skip
    mean = sum(leads.values()) / len(leads)
    said = ", ".join(f"{name} {lead:+.2f}" for name, lead in leads.items())
    words = f"printed {printed}, recomputed {mean:.2f} points over the best other ({said})"
    return Finding(HOLDS if rounds_to(mean, printed) else FAILS, words)


def lower_on_average(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    lower: Sequence[str],
    higher: Sequence[str],
) -> Finding:
    """The mean of a group of systems lies below that of another, in each cohort."""
    if not evidence.published:
        return unranked(evidence, cohorts, metric, lower, higher)
    pairs = []
    for cohort in cohorts:
        own, other = (evidence.column(cohort, metric, names).mean() for names in (lower, higher))
        words = f"{cohort} {own:.4f} and {other:.4f}"
        pairs.append(Pair(HOLDS if own < other else FAILS, words))
    return in_count(pairs, "lower")


def mean_rate(
    evidence: Evidence, transfers: Sequence[str], system: str, printed: str, than: str = ""
) -> Finding:
    """The mean loss over transfers, in percent of before, is `printed`.

    than: what is printed is by how much the loss of that one is larger.
    """
    if not evidence.published:
        if than:
            return ahead(evidence, [f"loss: {name}" for name in transfers], ["dice"], [system],
                         [than])  # fmt: skip
        return Finding(UNTESTABLE, "the loss between our phantoms is another number")
    lost = {name: -sum(rate_of(evidence, each, name) for each in transfers) / len(transfers)
            for name in filter(None, (system, than))}  # fmt: skip
    value = lost[than] - lost[system] if than else lost[system]
    said = ", ".join(f"{name} {loss:.3f} %" for name, loss in lost.items())
    words = f"printed {printed}, recomputed {value:.3f} ({said})"
    return Finding(HOLDS if rounds_to(value, printed) else FAILS, words)


def loses(
    evidence: Evidence, transfers: Sequence[str], systems: Sequence[str], percent: float
) -> Finding:
    """Each system loses more than so many percent on each transfer; of ours: loses, surely."""
    pairs, points = [], []
    for transfer in transfers:
        lost = evidence.column(f"loss: {transfer}", "dice", systems)
        for name, change in lost.items():
            words = f"{transfer}, {name} {100 * change:+.2f} points"
            if evidence.published:
                rate = rate_of(evidence, transfer, name)
                pairs.append(Pair(HOLDS if rate < -percent else FAILS, f"{words}, {rate:.2f} %"))
                points.append(100 * change > -percent)
            else:
                pairs.append(Pair(_fallen(evidence, f"loss: {transfer}", name), words))
    found = in_count(pairs, "lose it")
    if not points or not any(points):
        return found
    in_points = f"in points {sum(points)} of {len(points)} do not"
    return Finding(found.verdict, f"{found.numbers}; {in_points}")


def of_single_cases(evidence: Evidence, cohorts: Sequence[str], systems: Sequence[str]) -> Finding:
    """IoU is a mean over cases: it lies above what the mean Dice gives, since cases differ.

    Of one case IoU is d / (2 - d), a convex function, so the mean of cases that differ is larger
    than that of their mean. A number that equals it was computed of the mean, or of all voxels as
    one, or all cases are alike.
    """
    above, every, equal = 0, 0, []
    slack = PRINTED if evidence.published else 1e-6
    for cohort in cohorts:
        found = evidence.tables.get(cohort, pd.DataFrame())
        for name in [each for each in systems if each in found.index and "iou" in found]:
            dice, iou = found.loc[name, ["dice", "iou"]]
            if pd.isna(iou):
                continue
            every += 1
            if iou > least_iou(dice + slack) + slack:
                above += 1
            else:
                equal.append(f"{cohort}, {name}: Dice {100 * dice:.2f} gives "
                             f"{100 * least_iou(dice):.2f}, IoU is {100 * iou:.2f}")  # fmt: skip
    if not every:
        return Finding(UNTESTABLE, "no cases")
    said = [f"{above} of {every} above", *equal[:SHOWN]]
    return Finding(FAILS if equal else HOLDS, "; ".join(said))


def gained_points(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    system: str,
    against: str,
    printed: str,
    at_least: bool = False,
) -> Finding:
    """A system gains `printed` points over another in each cohort, or at least so many."""
    if not evidence.published:
        return ahead(evidence, cohorts, [metric], [system], [against])
    gains = {name: 100 * (evidence.tables[name].loc[system, metric]
                          - evidence.tables[name].loc[against, metric])
             for name in cohorts}  # fmt: skip
    shares = [100 * gains[name] / (100 * evidence.tables[name].loc[against, metric])
              for name in cohorts]  # fmt: skip
    said = ", ".join(f"{name} {value:+.2f}" for name, value in gains.items())
    words = f"printed {printed}, recomputed {said} points"
    if at_least:
        holds = all(round(value, 6) >= float(printed) for value in gains.values())
        return Finding(HOLDS if holds else FAILS, words)
    if all(rounds_to(value, printed) for value in gains.values()):
        return Finding(HOLDS, words)
    other = all(rounds_to(value, printed) for value in shares)
    in_percent = ", ".join(f"{value:.2f} %" for value in shares)
    return Finding(OTHERWISE if other else FAILS, f"{words} ({in_percent} of it)")


def not_behind(
    evidence: Evidence, cohorts: Sequence[str], metric: str, system: str, other: str
) -> Finding:
    """A system is at least about as good as another: within a point; of ours, not surely behind."""
    pairs = []
    for cohort in cohorts:
        table = evidence.tables.get(cohort, pd.DataFrame())
        if not {system, other} <= set(table.index):
            continue
        values = table.loc[[system, other], metric]
        words = f"{cohort}, {system} {values.iloc[0]:.4f} and {other} {values.iloc[1]:.4f}"
        if evidence.published:
            behind = values.iloc[0] < values.iloc[1] - NEAR - 1e-9
        else:
            sides = [_cases(evidence, cohort, name) for name in (system, other)]
            behind = compared(*sides, column_of(metric)).better() == SECOND
        pairs.append(Pair(FAILS if behind else HOLDS, words))
    return in_count(pairs, "not behind")


def improves(evidence: Evidence, cohorts: Sequence[str], metric: str, system: str) -> Finding:
    """With every further click the system is better than before; of ours alone."""
    if evidence.published:
        return Finding(UNTESTABLE, "the paper prints the answer to the last click only")
    pairs = []
    for cohort in cohorts:
        for less, more in pairwise(_by_clicks(evidence, cohort, system)):
            found = ahead(evidence, [cohort], [metric], [more], [less])
            words = found.numbers.rpartition("; ")[2].rpartition(": ")[2]
            pairs.append(Pair(found.verdict, f"{cohort}, {words}"))
    return in_count(pairs, "improve")


M_SAM_RULES: dict[str, Rule] = LUNCH_RULES | ARITHMETIC | {
    rule.__name__: rule
    for rule in (ahead_apart, gained_apart, mean_lead, lower_on_average, mean_rate, loses,
                 of_single_cases, gained_points, not_behind, improves)
}  # fmt: skip


def unranked(
    evidence: Evidence,
    cohorts: Sequence[str],
    metric: str,
    first: Sequence[str],
    second: Sequence[str],
) -> Finding:
    """The best of either side, and that they are not ranked: not all were told the same."""
    said = []
    for cohort in cohorts:
        sides = [evidence.column(cohort, metric, names) for names in (first, second)]
        if all(map(len, sides)):
            best = [f"{side.idxmax()} {side.max():.3f}" for side in sides]
            said.append(f"{cohort}: {' and '.join(best)}")
    if not said:
        return Finding(UNTESTABLE, "no cases")
    return Finding(UNTESTABLE, "; ".join(["not ranked, only some were told where", *said]))


def _cases(evidence: Evidence, cohort: str, system: str) -> pd.DataFrame:
    cases = evidence.cases
    return cases[cases["cohort"].eq(cohort) & cases["system"].eq(system)]


def _fallen(evidence: Evidence, cohort: str, system: str) -> str:
    """Whether a change of ours is below nothing, whatever patients and seeds; else a tie."""
    cases = _cases(evidence, cohort, system)
    (interval,) = patient_interval(cases, "dice").to_dict("records")
    (seeds,) = over_seeds(cases, "dice").to_dict("records")
    if pd.isna(seeds["deviation"]):
        return UNTESTABLE
    if abs(seeds["mean"]) <= seeds["deviation"] or interval["low"] <= 0 <= interval["high"]:
        return TIE
    return HOLDS if interval["high"] < 0 else FAILS


def _by_clicks(evidence: Evidence, cohort: str, system: str) -> list[str]:
    """The rows of a system on a set, from the fewest clicks to the most, which has no number."""
    names = evidence.tables.get(cohort, pd.DataFrame()).index
    start = system + CLICKS
    fewer = [name for name in names if name.startswith(start)]
    fewer.sort(key=lambda name: int(name.removeprefix(start)))
    return [*fewer, *([system] if system in names else [])]
