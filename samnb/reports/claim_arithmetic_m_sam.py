"""Rules that check M-SAM's own arithmetic: of its tables and counts, not of our runs.

Of ours they say that the claim is about the paper's own numbers.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from samnb.reports.claim_numbers import digits_of, rounds_to
from samnb.reports.claim_rules import (
    FAILS,
    HOLDS,
    OTHERWISE,
    UNTESTABLE,
    Evidence,
    Finding,
    Rule,
)
from samnb.reports.claim_rules_lunch import Pair, of_pairs
from samnb.reports.m_sam_names import TRANSFERS

ABOUT = 0.1  # "about": within a tenth of the number, which is our reading of the word
OWN_ARITHMETIC = Finding(UNTESTABLE, "about the paper's own numbers")
SIDES = ("before: ", "after: ", "loss: ", "rate: ")  # cohorts of a transfer of table 2
ABLATION = "ablation: "  # before a set: the rows of table 3


def in_count(pairs: Sequence[Pair], word: str) -> Finding:
    """`of_pairs`, of what is not about being ahead."""
    found = of_pairs(pairs)
    numbers = found.numbers.replace(" ahead", f" {word}", 1).replace("not ahead:", "not:")
    return Finding(found.verdict, numbers)


def second_best(evidence: Evidence, metric: str, second: Mapping[str, str]) -> Finding:
    """By cohort, the system that the paper underlines has the second highest number."""
    if not evidence.published:
        return OWN_ARITHMETIC
    wrong = []
    for cohort, name in second.items():
        place = evidence.tables[cohort][metric].rank(method="dense", ascending=False)[name]
        wrong += [] if place == 2 else [f"{cohort}: {name} has place {place:.0f}"]
    said = [f"{len(second) - len(wrong)} of {len(second)} cohorts", *wrong]
    return Finding(FAILS if wrong else HOLDS, "; ".join(said))


def prints_over(evidence: Evidence, cohort: str, metric: str, system: str, bound: float) -> Finding:
    """The paper prints more than a bound."""
    if not evidence.published:
        return OWN_ARITHMETIC
    value = evidence.tables[cohort].loc[system, metric]
    return Finding(HOLDS if value > bound else FAILS, f"{system} {value:.4f}, bound {bound:g}")


def varies_more(
    evidence: Evidence, cohorts: Sequence[str], metric: str, systems: Sequence[str], than: str
) -> Finding:
    """From the worst to the best cohort every system spans more than `than` does."""
    if not evidence.published:
        return Finding(UNTESTABLE, "how hard our phantoms of a set are was our choice")
    table = pd.DataFrame({name: evidence.tables[name][metric] for name in cohorts})
    spans = table.max(axis=1) - table.min(axis=1)
    pairs = [Pair(HOLDS if spans[name] > spans[than] else FAILS,
                  f"{name} {100 * spans[name]:.2f}, {than} {100 * spans[than]:.2f}")
             for name in systems]  # fmt: skip
    return in_count(pairs, "vary more")


def below_mean(evidence: Evidence, cohort: str, metric: str, system: str) -> Finding:
    """A system's number lies below the mean; said with the median and without the largest."""
    if not evidence.published:
        return OWN_ARITHMETIC
    values = evidence.tables[cohort][metric].dropna()
    rest = values.drop(values.idxmax())
    own = values[system]
    words = (f"{own:g}, the mean {values.mean():.1f}; the median {values.median():g}, "
             f"without {values.idxmax()} the mean {rest.mean():.1f}")  # fmt: skip
    return Finding(HOLDS if own < values.mean() else FAILS, words)


def from_below(evidence: Evidence, cohort: str, metric: str, system: str, printed: int) -> Finding:
    """A system's number takes place `printed`, the smallest being the first."""
    if not evidence.published:
        return OWN_ARITHMETIC
    values = evidence.tables[cohort][metric].dropna()
    place = int(values.rank(method="min")[system])
    smaller = ", ".join(f"{name} {value:g}" for name, value in values.sort_values().items()
                        if value < values[system])  # fmt: skip
    words = f"place {place} ({values[system]:g}) behind {smaller or 'none'}"
    return Finding(HOLDS if place == printed else FAILS, words)


def about(evidence: Evidence, part: str, whole: str, printed: str) -> Finding:
    """One count is about `printed` percent of another."""
    if not evidence.published:
        return OWN_ARITHMETIC
    value = 100 * evidence.counts[part] / evidence.counts[whole]
    words = f"{value:.2f} % ({evidence.counts[part]:g} of {evidence.counts[whole]:g})"
    near = abs(value - float(printed)) <= ABOUT * float(printed)
    return Finding(HOLDS if near else FAILS, words)


def sum_of(evidence: Evidence, parts: Sequence[str], printed: str) -> Finding:
    """Counts add up to the printed one."""
    if not evidence.published:
        return OWN_ARITHMETIC
    values = [evidence.counts[part] for part in parts]
    digits = digits_of(printed)
    words = " and ".join(f"{value:,.{digits}f}" for value in values)
    said = f"{words} make {sum(values):,.{digits}f}, printed {printed}"
    return Finding(HOLDS if rounds_to(sum(values), printed) else FAILS, said)


def none_of(evidence: Evidence, part: str, whole: str) -> Finding:
    """None of so many is what it should not be."""
    if not evidence.published:
        return Finding(UNTESTABLE, "our weights have seen shapes only, no set of the study")
    found, every = evidence.counts[part], evidence.counts[whole]
    return Finding(FAILS if found else HOLDS, f"{found:g} of {every:g}")


def differences(evidence: Evidence) -> Finding:
    """Every difference of table 2 is after minus before."""
    return _recomputed(evidence, "loss: ", lambda before, after: after - before, 4)


def rates(evidence: Evidence) -> Finding:
    """Every rate of table 2 is the difference in percent of before."""
    return _recomputed(evidence, "rate: ", lambda before, after: 100 * (after - before) / before, 2)


def before_is_the_sources(
    evidence: Evidence, transfers: Sequence[str], systems: Sequence[str]
) -> Finding:
    """What table 2 calls before is the score on the source; OTHERWISE: that on the target.

    Known is it where table 1 or 3 has the score of the same system on one of the two.
    """
    if not evidence.published:
        return OWN_ARITHMETIC
    same: dict[str, list[bool]] = {"source": [], "target": []}
    words = []
    for transfer in transfers:
        for system in systems:
            before = evidence.tables[f"before: {transfer}"].loc[system, "dice"]
            for side, name in zip(same, TRANSFERS[transfer], strict=True):
                known = _scores(evidence, name, system)
                if known:
                    same[side].append(before in known)
                    scores = " or ".join(f"{100 * score:.2f}" for score in known)
                    before_is = f"before {100 * before:.2f}, on its {side} {scores}"
                    words.append(f"{transfer}, {system}: {before_is}")
    verdict = HOLDS if all(same["source"]) else OTHERWISE if all(same["target"]) else FAILS
    return Finding(verdict, "; ".join(words))


def same_number(evidence: Evidence, metric: str, pairs: Sequence[str]) -> Finding:
    """Two places of the paper print one number alike; pairs: cohort, system, cohort,
    system, and so on."""
    if not evidence.published:
        return OWN_ARITHMETIC
    wrong, numbers = 0, []
    quartets = [pairs[start : start + 4] for start in range(0, len(pairs), 4)]
    for first, own, second, other in quartets:
        values = [evidence.tables[cohort].loc[name, metric]
                  for cohort, name in ((first, own), (second, other))]  # fmt: skip
        wrong += abs(values[0] - values[1]) > 1e-9
        numbers.append(f"{own} ({first}) {100 * values[0]:.2f} and {other} ({second}) "
                       f"{100 * values[1]:.2f}")  # fmt: skip
    return Finding(FAILS if wrong else HOLDS, "; ".join(numbers))


def not_printed(evidence: Evidence, words: str) -> Finding:
    """The paper gives no number that this could be tested on, and we have measured none."""
    return Finding(UNTESTABLE, words if evidence.published else "not measured here")


ARITHMETIC: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (second_best, prints_over, varies_more, below_mean, from_below, about, sum_of,
                 none_of, differences, rates, before_is_the_sources, same_number, not_printed)
}  # fmt: skip


def rate_of(evidence: Evidence, transfer: str, system: str) -> float:
    """What a system loses on a transfer (negative), in percent of before, from the two numbers."""
    before, after = (evidence.tables[side + transfer].loc[system, "dice"] for side in SIDES[:2])
    return 100 * (after - before) / before


def _recomputed(
    evidence: Evidence, side: str, compute: Callable[[float, float], float], digits: int
) -> Finding:
    """Whether every printed number of one column of table 2 follows from before and after."""
    if not evidence.published:
        return OWN_ARITHMETIC
    every, wrong = 0, []
    for transfer in TRANSFERS:
        printed = evidence.tables[side + transfer]["dice"]
        for system, value in printed.items():
            before, after = (evidence.tables[each + transfer].loc[system, "dice"]
                             for each in SIDES[:2])  # fmt: skip
            found = compute(before, after)
            every += 1
            if round(round(found, 9), digits) != round(value, digits):
                wrong.append(f"{transfer}, {system}: {value:g}, recomputed {found:.{digits}f}")
    said = [f"{every - len(wrong)} of {every} rows", *wrong]
    return Finding(FAILS if wrong else HOLDS, "; ".join(said))


def _scores(evidence: Evidence, name: str, system: str) -> list[float]:
    """What tables 1 and 3 print of a system on a set that it was trained on."""
    tables = [evidence.tables.get(cohort) for cohort in (name, ABLATION + name)]
    return [table.loc[system, "dice"] for table in tables
            if table is not None and system in table.index]  # fmt: skip
