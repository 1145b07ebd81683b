"""Rules that test a claim on tables of numbers: the same rule for the paper's tables and for ours.

A rule takes `Evidence` and its settings from claims.yaml, and gives a verdict with the numbers it
rests on. Of the paper's own numbers it is asked whether they are those printed; of ours, which come
from another world, only whether they point the same way.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

import pandas as pd
from scipy.stats import ttest_ind_from_stats

from samnb.evaluation.statistics import compare_systems, holm
from samnb.reports.claim_numbers import (
    READINGS,
    better_by,
    cut_to,
    digits_of,
    lower_is_better,
    percent,
    rounds_to,
)
from samnb.reports.systems import of_cohort, parse

HOLDS = "holds"
OTHERWISE = "holds in another reading"
FAILS = "does not hold"
UNTESTABLE = "cannot be tested here"
VERDICTS = (HOLDS, OTHERWISE, FAILS, UNTESTABLE)
TIE = "a tie"  # only where an audit asks whether other seeds or patients could turn it round

LEVEL = 0.05  # of significance
TITLES = {"dice": "Dice", "hd": "HD", "auc": "AUC"}


@dataclass(frozen=True)
class Finding:
    """What a rule found: one of VERDICTS, and the numbers in words."""

    verdict: str
    numbers: str


@dataclass(frozen=True)
class Evidence:
    """What a claim is tested on.

    tables: by cohort, one row per system (its name as index) with `dice`, `hd` and their
    `_deviation` over trainings, perhaps `auc`. counts: slices, epochs, seconds. cases: one row per
    slice, or None if only means are known. published: whether these are the paper's own numbers.
    """

    tables: Mapping[str, pd.DataFrame]
    counts: Mapping[str, float]
    published: bool
    cases: pd.DataFrame | None = None

    def column(self, cohort: str, metric: str, patterns: Sequence[str]) -> pd.Series:
        """Means of the systems that match a pattern, as far as they are known."""
        table = self.tables.get(cohort)
        if table is None or metric not in table:
            return pd.Series(dtype=float)
        matching = [any(fnmatchcase(name, each) for each in patterns) for name in table.index]
        return table.loc[matching, metric].dropna()


Rule = Callable[..., Finding]


def evaluate_claim(
    evidence: Evidence, kind: str, rules: Mapping[str, Rule] | None = None, **settings
) -> Finding:
    """Apply the rule of this kind; rules: others than RULES."""
    return (rules or RULES)[kind](evidence, **settings)


def gain(
    evidence: Evidence,
    cohort: str,
    metric: str,
    system: str,
    against: Sequence[str],
    printed: str,
) -> Finding:
    """A system is `printed` percent better than the best of `against`."""
    own, others = (evidence.column(cohort, metric, names) for names in ([system], against))
    if missing := _missing(own, system, others, against):
        return missing
    best = others.idxmin() if lower_is_better(metric) else others.idxmax()
    value = READINGS["% of it"](own[system], others[best], metric)
    digits = digits_of(printed)
    said = f"{value:.{digits}f} % against {best} ({own[system]:.3f}, {others[best]:.3f})"
    if not evidence.published:
        return Finding(HOLDS if value > 0 else FAILS, _also(said, _unmatched(others, against)))
    if rounds_to(value, printed):
        return Finding(HOLDS, f"printed {printed}, recomputed {said}")
    if cut_to(value, printed):
        return Finding(HOLDS, f"printed {printed} (cut, not rounded), recomputed {said}")
    everyone = evidence.column(cohort, metric, ["*"]).drop(system)
    found = [
        (name, f"{printed} is {reading} against {name}")
        for name in dict.fromkeys([best, *everyone.index])
        for reading, read in READINGS.items()
        if rounds_to(read(own[system], everyone[name], metric), printed)
    ]
    numbers = "; ".join([f"printed {printed}, recomputed {said}", *(text for _, text in found[:1])])
    # Another unit is another reading; another opponent is another claim.
    return Finding(OTHERWISE if found and found[0][0] == best else FAILS, numbers)


def share(
    evidence: Evidence,
    part: str,
    whole: str,
    printed: str = "",
    fewer: bool = False,
    measured: bool = False,
    others: Sequence[str] = (),
) -> Finding:
    """One count is `printed` percent of another, or `fewer`: so much less.

    measured: a result; else the count is chosen by whoever sets up the experiment. others: counts
    that the number may have been meant for.
    """
    counts = evidence.counts
    if not {part, whole} <= set(counts):
        return Finding(UNTESTABLE, "the paper does not say" if evidence.published else "not known")
    words = f"{counts[part]:,.0f} {'against' if fewer else 'of'} {counts[whole]:,.0f}"
    value = percent(counts[part], counts[whole], fewer)
    said = f"{value:.{digits_of(printed)}f} % ({words})"
    if not evidence.published:
        if measured:
            return Finding(HOLDS if value > 0 else FAILS, said)
        return Finding(UNTESTABLE, f"a choice of the profile: {said}")
    if rounds_to(value, printed):
        return Finding(HOLDS, f"printed {printed}, recomputed {said}")
    found = [
        f"{printed} is the share of {counts[name]:,.0f}"
        for name in others
        if rounds_to(percent(counts[name], counts[whole], fewer), printed)
    ]
    return Finding(FAILS, "; ".join([f"printed {printed}, recomputed {said}", *found]))


def order(
    evidence: Evidence,
    cohorts: Sequence[str],
    metrics: Sequence[str],
    better: Sequence[str],
    worse: Sequence[str],
    equal_labels: bool = False,
) -> Finding:
    """Every system of `better` beats every one of `worse`, in each cohort and metric."""
    pairs = []
    lacking: dict[str, None] = {}
    for cohort in cohorts:
        for metric in metrics:
            first, second = (evidence.column(cohort, metric, names) for names in (better, worse))
            lacking |= dict.fromkeys([*_unmatched(first, better), *_unmatched(second, worse)])
            pairs += list(_pairs(first, second, metric, equal_labels))
    return _of_pairs(pairs, list(lacking))


def loss(
    evidence: Evidence,
    metric: str,
    source: str,
    target: str,
    better: Sequence[str],
    worse: Sequence[str],
) -> Finding:
    """Every system of `better` loses less from cohort `source` to `target` than all of `worse`."""
    lost = []
    for names in (better, worse):
        before, after = (evidence.column(each, metric, names) for each in (source, target))
        change = (before - after).dropna()
        lost.append(-change if lower_is_better(metric) else change)
    lacking = [*_unmatched(lost[0], better), *_unmatched(lost[1], worse)]
    return _of_pairs(list(_pairs(*lost, "loss of " + TITLES[metric])), lacking)


def rising(
    evidence: Evidence, cohorts: Sequence[str], metric: str, systems: Sequence[str]
) -> Finding:
    """Each of `systems` is better than the one before it."""
    pairs, lacking = [], {}
    for cohort in cohorts:
        known = evidence.column(cohort, metric, systems)
        lacking |= dict.fromkeys(_unmatched(known, systems))
        present = [name for name in systems if name in known]
        for before, after in pairwise(present):
            pairs += _pairs(known[[after]], known[[before]], metric)
    return _of_pairs(pairs, list(lacking))


def rank(
    evidence: Evidence,
    cohort: str,
    metric: str,
    system: str,
    among: Sequence[str],
    printed: int,
) -> Finding:
    """A system takes place `printed` (1: the best) among others; equal ones share a place."""
    values = evidence.column(cohort, metric, among)
    lacking = _unmatched(values, among)
    if system not in values or len(values) < 2:
        return Finding(UNTESTABLE, _no_cases([system] if system not in values else lacking))
    places = values.rank(method="dense", ascending=lower_is_better(metric)).astype(int)
    holder = places.index[places == printed]
    said = f"place {places[system]} of {len(values)} ({values[system]:.3f})"
    if places[system] == printed:
        return Finding(HOLDS, _also(said, lacking))
    there = f"; place {printed}: {holder[0]} ({values[holder[0]]:.3f})" if len(holder) else ""
    return Finding(FAILS, _also(said + there, lacking))


def significant(
    evidence: Evidence, cohort: str, metric: str, system: str, against: Sequence[str]
) -> Finding:
    """A system is better than each of `against`, and not by luck.

    On paper: Welch's test of means and deviations over trainings, which says what another training
    would change. Here: the paired Wilcoxon test over patients. Both corrected by Holm.
    """
    own, others = (evidence.column(cohort, metric, names) for names in ([system], against))
    if missing := _missing(own, system, others, against):
        return missing
    if evidence.published:
        p_values, over = _over_trainings(evidence, cohort, metric, system, others), "trainings"
    elif missing := _too_few_patients(evidence, cohort, len(others)):
        return missing
    else:
        p_values, over = _over_patients(evidence, cohort, metric, system, others), "patients"
    ahead = others > own[system] if lower_is_better(metric) else others < own[system]
    sure = (p_values < LEVEL) & ahead
    worst = p_values.idxmax()
    said = f"{sure.sum()} of {len(sure)} over {over}; largest corrected p {p_values[worst]:.2g}"
    said += f" ({worst})"
    return Finding(HOLDS if sure.all() else FAILS, _also(said, _unmatched(others, against)))


def above(
    evidence: Evidence, cohorts: Sequence[str], metric: str, system: str, bound: float
) -> Finding:
    """A measure lies above a bound in each cohort."""
    found = {name: evidence.column(name, metric, [system]) for name in cohorts}
    known = {name: column[system] for name, column in found.items() if len(column)}
    if not known:
        none = f"the paper prints no {TITLES[metric]}"
        return Finding(UNTESTABLE, none if evidence.published else _no_cases([system]))
    said = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
    holds = all(value > bound for value in known.values())
    return Finding(HOLDS if holds else FAILS, f"{TITLES[metric]}: {said}; by chance {bound}")


RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (gain, share, order, loss, rising, rank, significant, above)
}


def _pairs(
    first: pd.Series, second: pd.Series, metric: str, equal_labels: bool = False
) -> Iterator[tuple[bool, str]]:
    """Whether the first is better, and both in words, for every pair of systems."""
    for one, own in first.items():
        for two, other in second.items():
            if one == two or (equal_labels and parse(one).labels != parse(two).labels):
                continue
            words = f"{one} {own:.3f} and {two} {other:.3f} ({TITLES.get(metric, metric)})"
            yield better_by(own, other, metric) > 0, words


def _of_pairs(pairs: Sequence[tuple[bool, str]], lacking: Sequence[str], shown: int = 3) -> Finding:
    if not pairs:
        return Finding(UNTESTABLE, _no_cases(lacking))
    against = [words for holds, words in pairs if not holds]
    said = [f"{len(pairs) - len(against)} of {len(pairs)} pairs"]
    if against:
        more = [f"and {len(against) - shown} more"] if len(against) > shown else []
        said.append("not: " + ", ".join([*against[:shown], *more]))
    return Finding(FAILS if against else HOLDS, _also("; ".join(said), lacking))


def _unmatched(known: pd.Series, patterns: Sequence[str]) -> list[str]:
    return [each for each in patterns if not any(fnmatchcase(name, each) for name in known.index)]


def _no_cases(patterns: Sequence[str]) -> str:
    return "no cases of " + ", ".join(each.rstrip("-*") for each in patterns)


def _also(said: str, lacking: Sequence[str]) -> str:
    return f"{said}; {_no_cases(lacking)}" if lacking else said


def _missing(
    own: pd.Series, system: str, others: pd.Series, against: Sequence[str]
) -> Finding | None:
    """What to say where a comparison lacks either side."""
    if len(own) and len(others):
        return None
    lacking = [*_unmatched(own, [system]), *([] if len(others) else against)]
    return Finding(UNTESTABLE, _no_cases(lacking))


def _over_trainings(
    evidence: Evidence, cohort: str, metric: str, system: str, others: pd.Series
) -> pd.Series:
    table, count = evidence.tables[cohort], evidence.counts["trainings"]
    own = table.loc[system, [metric, f"{metric}_deviation"]].to_list()
    p_values = [
        ttest_ind_from_stats(
            *own, count, *table.loc[name, [metric, f"{metric}_deviation"]], count, equal_var=False
        ).pvalue
        for name in others.index
    ]
    return pd.Series(holm(pd.Series(p_values).to_numpy()), index=others.index)


def _too_few_patients(evidence: Evidence, cohort: str, tests: int) -> Finding | None:
    """Fewer patients than any significance could be shown with, see `tables.smallest_p`."""
    patients = of_cohort(evidence.cases, cohort)["patient"].nunique()
    if tests * 2.0 ** (1 - patients) < LEVEL:
        return None
    return Finding(UNTESTABLE, f"{patients} patients are too few for {tests} tests")


def _over_patients(
    evidence: Evidence, cohort: str, metric: str, system: str, others: pd.Series
) -> pd.Series:
    cases = of_cohort(evidence.cases, cohort)
    cases = cases[cases["system"].isin([system, *others.index])]
    pairs = compare_systems(cases, metric, against=system)
    return pairs.set_index("second")["p_holm"].loc[others.index]
