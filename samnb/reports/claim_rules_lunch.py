"""Rules for the claims of Cheap Lunch, beside those of claim_rules.py: they know ties.

Of the paper's numbers, which come from one training each, it is asked what they say as printed. Of
ours: the same patients, and several seeds; a difference that other patients or other seeds could
turn round is a tie. A claim about several pairs holds if every pair is ahead; it fails if one is
behind; else it is a tie.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import pandas as pd

from samnb.reports.claim_numbers import better_by, lower_is_better, rounds_to
from samnb.reports.claim_rules import (
    FAILS,
    HOLDS,
    OTHERWISE,
    RULES,
    TIE,
    UNTESTABLE,
    Evidence,
    Finding,
    Rule,
    gain,
)
from samnb.reports.lunch_tests import FIRST, UNKNOWN, compared
from samnb.reports.lunch_tests import TIE as EVEN

RANDOM = ", random"  # behind a cohort: asked by random points
SHOWN = 3  # pairs that a finding names
ROUNDING = 0.0001 + 1e-9  # of a mean of printed numbers: half a last digit of each side, as Dice


class Pair(NamedTuple):
    """One comparison: HOLDS, TIE, FAILS or UNTESTABLE, and its numbers in words."""

    verdict: str
    words: str


def number(
    evidence: Evidence, value: str, printed: str, others: Mapping[str, str] | None = None
) -> Finding:
    """A count is the printed one; others: counts that it may have been meant for, in words."""
    if not evidence.published:
        return Finding(UNTESTABLE, "about the paper's own counts")
    digits = len(printed.partition(".")[2])
    said = f"printed {printed}, recomputed {evidence.counts[value]:,.{digits}f}"
    if rounds_to(evidence.counts[value], printed):
        return Finding(HOLDS, said)
    for name, words in (others or {}).items():
        if rounds_to(evidence.counts[name], printed):
            return Finding(OTHERWISE, f"{said}; {printed} is the {words}")
    near = [
        f"{evidence.counts[name]:,.{digits}f}: {words}" for name, words in (others or {}).items()
    ]
    return Finding(FAILS, "; ".join([said, *near]))


def mean_of_organs(evidence: Evidence, cohort: str) -> Finding:
    """Every row's Dice is the mean of its organs'."""
    if not evidence.published:
        return Finding(UNTESTABLE, "ours is computed as that mean")
    table = evidence.tables[cohort]
    organs = [name for name in table if name not in ("dice", "hd")]
    off = (table[organs].mean(axis=1) - table["dice"]).round(6)
    wrong = off[off.abs() > ROUNDING]
    said = f"{len(table) - len(wrong)} of {len(table)} rows"
    names = []
    for name, value in wrong.items():
        printed = table.loc[name, "dice"]
        names.append(f"{name}: printed {100 * printed:.2f}, mean {100 * (printed + value):.2f}")
    return Finding(FAILS if len(wrong) else HOLDS, "; ".join([said, *names]))


def ahead(
    evidence: Evidence,
    cohorts: Sequence[str],
    metrics: Sequence[str],
    better: Sequence[str],
    worse: Sequence[str],
    one_to_one: bool = False,
) -> Finding:
    """Every system of `better` is ahead of every one of `worse`; one_to_one: of its partner."""
    pairs = [
        pair
        for cohort in cohorts
        for metric in metrics
        for first, second in _partners(evidence, cohort, better, worse, one_to_one)
        if (pair := _pair(evidence, cohort, metric, first, second))
    ]
    return of_pairs(pairs)


def both_sets(
    evidence: Evidence, metrics: Sequence[str], better: Sequence[str], worse: Sequence[str]
) -> Finding:
    """`ahead`, one to one, in each cohort that has the systems."""
    return ahead(evidence, ["brats", "synapse"], metrics, better, worse, one_to_one=True)


def gained(
    evidence: Evidence,
    cohort: str,
    metric: str,
    system: str,
    against: Sequence[str],
    printed: str,
) -> Finding:
    """A system is `printed` percent better; of ours, whether it is ahead."""
    if evidence.published:
        return gain(evidence, cohort, metric, system, against, printed)
    return ahead(evidence, [cohort], [metric], [system], against)


def lower_by(
    evidence: Evidence, cohort: str, metric: str, system: str, against: str, printed: str
) -> Finding:
    """A system's number is lower by `printed`; of ours, whether it is ahead."""
    if not evidence.published:
        return ahead(evidence, [cohort], [metric], [system], [against])
    own, other = (evidence.tables[cohort].loc[name, metric] for name in (system, against))
    said = f"printed {printed}, recomputed {other - own:.2f}"
    return Finding(HOLDS if rounds_to(other - own, printed) else FAILS, said)


def wider_gap(
    evidence: Evidence,
    metric: str,
    wider: Mapping[str, Sequence[str] | str],
    narrower: Mapping[str, Sequence[str] | str],
) -> Finding:
    """Between partners of the same place, the gap in one cohort exceeds that in the other."""
    pairs = []
    gaps = [list(_gaps(evidence, metric, **side)) for side in (wider, narrower)]
    for large, small in zip(*gaps, strict=False):
        if large is None or small is None:
            continue
        words = f"{large.words} against {small.words}"
        if not evidence.published and (large.low <= small.high and small.low <= large.high):
            pairs.append(Pair(TIE, words))
        else:
            pairs.append(Pair(HOLDS if large.mean > small.mean else FAILS, words))
    return of_pairs(pairs)


def better_user(
    evidence: Evidence, cohorts: Sequence[str], metric: str, systems: Sequence[str]
) -> Finding:
    """Asked in the middle of a target a system is better than asked anywhere in it."""
    pairs = []
    for cohort in cohorts:
        for name in _names(evidence, cohort, systems):
            if name not in _names(evidence, cohort + RANDOM, systems):
                continue
            pairs.append(_judged(evidence, metric, (cohort, name), (cohort + RANDOM, name)))
    return of_pairs(pairs)


LUNCH_RULES: dict[str, Rule] = RULES | {
    rule.__name__: rule
    for rule in (number, mean_of_organs, ahead, both_sets, gained, lower_by, wider_gap, better_user)
}


def of_pairs(pairs: Sequence[Pair]) -> Finding:
    """One verdict of several pairs; those that do not hold are named."""
    known = [pair for pair in pairs if pair.verdict != UNTESTABLE]
    if not known:
        return Finding(UNTESTABLE, pairs[0].words if pairs else "no cases")
    counts = {verdict: [pair for pair in known if pair.verdict == verdict]
              for verdict in (HOLDS, TIE, FAILS)}  # fmt: skip
    said = [f"{len(counts[HOLDS])} of {len(known)} ahead"]
    for verdict, word in ((FAILS, "not ahead"), (TIE, "tied")):
        if found := counts[verdict]:
            more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
            said.append(f"{word}: " + ", ".join([*(p.words for p in found[:SHOWN]), *more]))
    if len(known) == 1 and counts[HOLDS]:
        said.append(known[0].words)
    verdict = FAILS if counts[FAILS] else TIE if counts[TIE] else HOLDS
    return Finding(verdict, "; ".join(said))


def _partners(
    evidence: Evidence,
    cohort: str,
    better: Sequence[str],
    worse: Sequence[str],
    one_to_one: bool,
) -> Iterator[tuple[str, str]]:
    if one_to_one:
        yield from zip(better, worse, strict=True)
        return
    for first in _names(evidence, cohort, better):
        for second in _names(evidence, cohort, worse):
            if first != second:
                yield first, second


def _names(evidence: Evidence, cohort: str, patterns: Sequence[str]) -> list[str]:
    table = evidence.tables.get(cohort, pd.DataFrame())
    return [name for name in table.index if any(fnmatchcase(name, each) for each in patterns)]


def _pair(evidence: Evidence, cohort: str, metric: str, first: str, second: str) -> Pair | None:
    """None where either has no number."""
    table = evidence.tables.get(cohort)
    if table is None or metric not in table or not {first, second} <= set(table.index):
        return None
    return _judged(evidence, metric, (cohort, first), (cohort, second))


def _judged(
    evidence: Evidence, metric: str, first: tuple[str, str], second: tuple[str, str]
) -> Pair:
    """first and second: cohort and system."""
    own, other = (evidence.tables[cohort].loc[name, metric] for cohort, name in (first, second))
    names = [name + (RANDOM if RANDOM in cohort else "") for cohort, name in (first, second)]
    names_of = {"hd": ("HD95", 2), "iou": ("IoU", 3)}
    title, digits = names_of.get(metric, (metric.capitalize(), 3))
    if evidence.published and metric != "hd":
        digits = 4  # as many as are printed
    words = f"{names[0]} {own:.{digits}f} and {names[1]} {other:.{digits}f} ({title})"
    if evidence.published:
        return Pair(HOLDS if better_by(own, other, metric) > 0 else FAILS, words)
    tables = [_cases(evidence, metric, *side) for side in (first, second)]
    found = compared(*tables, column_of(metric)).better(lower_is_better(metric))
    if found == UNKNOWN:
        return Pair(UNTESTABLE, f"one seed: {words}")
    return Pair({FIRST: HOLDS, EVEN: TIE}.get(found, FAILS), words)


def column_of(metric: str) -> str:
    """The column of cases that a metric of the tables is the mean of."""
    return {"hd": "hd95_voxels", "iou": "iou"}.get(metric, "dice")


def _cases(evidence: Evidence, metric: str, cohort: str, system: str) -> pd.DataFrame:
    cases = evidence.cases
    chosen = cases[cases["cohort"].eq(cohort) & cases["system"].eq(system)]
    return chosen if metric in ("dice", "iou", "hd") else chosen[chosen["target"] == metric]


class Gap(NamedTuple):
    mean: float
    low: float
    high: float
    words: str


def _gaps(
    evidence: Evidence, metric: str, cohort: str, better: Sequence[str], worse: Sequence[str]
) -> Iterator[Gap | None]:
    """Partner by partner how far the first is ahead; None where either has no number."""
    table = evidence.tables.get(cohort, pd.DataFrame())
    for first, second in zip(better, worse, strict=True):
        if not {first, second} <= set(table.index):
            yield None
            continue
        mean = better_by(table.loc[first, metric], table.loc[second, metric], metric)
        low = high = mean
        if not evidence.published:
            sides = [_cases(evidence, metric, cohort, name) for name in (first, second)]
            mean, low, high = compared(*sides, column_of(metric)).difference
        yield Gap(mean, low, high, f"{mean:+.3f} ({first})")
