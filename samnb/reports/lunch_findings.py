"""What the records of Cheap Lunch say, in sentences: made of the numbers, ties called ties."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from samnb.reports.claims import HERE, ON_PAPER
from samnb.reports.lunch import FROZEN, asked, track_of
from samnb.reports.lunch_tests import (
    FIRST,
    SECOND,
    TIE,
    UNKNOWN,
    Compared,
    compared,
    questions,
    users_compared,
)
from samnb.reports.style import COHORT_NAMES

VERDICTS = {FIRST: "ahead", SECOND: "behind", TIE: "a tie", UNKNOWN: "of one seed, so not decided"}


def findings(
    cases: Mapping[str, pd.DataFrame],
    labelled: Mapping[str, Sequence[int]],
    audit: pd.DataFrame,
) -> list[str]:
    """The answers to the chapter's question; what has no record is not spoken of.

    cases, labelled: by cohort, as of `lunch.lunch_table`; audit: of `claims_lunch.audit_lunch`.
    """
    said = [
        *(_levels(name, asked(table, "point"), labelled[name]) for name, table in cases.items()),
        _pairs_in_words(
            cases, labelled, "With synthesis or without?",
            "Images synthesised of the exemplars, against the exemplars alone",
        ),
        _pairs_in_words(
            cases, labelled, "Who points?",
            "What the point of the truth (oracle) is worth, against a map's maximum (automatic)",
        ),
        _pairs_in_words(
            cases, labelled, "Do mirrors help the map to point?",
            "The mean of the points of four mirror images, against one map's maximum",
        ),
        _pairs_in_words(
            cases, labelled, "Is lunch cheap for a U-Net?",
            "The same synthetic images for an Attention U-Net, against the exemplars alone",
        ),
        _users(cases),
        claims_counted(audit),
    ]  # fmt: skip
    return [sentence for sentence in said if sentence]


def missing_records(cases: Mapping[str, pd.DataFrame], profiles: Mapping[str, str]) -> list[str]:
    """One sentence for each cohort without any record; profiles: their names, by cohort."""
    return [
        f"No record of {COHORT_NAMES.get(name, name)} is here, so its rows and panels are empty; "
        f"`samnb run --all --profile {profiles[name]}` makes them."
        for name, table in cases.items()
        if table.empty
    ]


def in_numbers(found: Compared, lower_is_better: bool = False, digits: int = 3) -> str:
    """Such as: +0.012 (95 % interval over patients +0.002 to +0.020, seeds ± 0.004): ahead."""
    mean, low, high = found.difference
    seeds = "" if pd.isna(found.spread) else f", seeds ± {found.spread:.{digits}f}"
    interval = f"95 % interval over patients {low:+.{digits}f} to {high:+.{digits}f}"
    return f"{mean:+.{digits}f} ({interval}{seeds}): {VERDICTS[found.better(lower_is_better)]}"


def _short(found: Compared) -> str:
    """Such as: +0.012 (+0.002 to +0.020)."""
    mean, low, high = found.difference
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def _slices(count: int | str) -> str:
    return f"{count} slice" if int(count) == 1 else f"{count} slices"


def _levels(cohort: str, cases: pd.DataFrame, labelled: Sequence[int]) -> str:
    means = cases.groupby("system")["dice"].mean()
    named = [(FROZEN, "the frozen SAM reaches a Dice of")]
    named += [(f"Cheap Lunch-{count}", f"taught from {_slices(count)} it is") for count in labelled]
    named += [("Cheap Lunch", "from every slice")]
    parts = [f"{words} {means[name]:.2f}" for name, words in named if name in means]
    if not parts:
        return ""
    return f"**{_title(cohort)}**, told a point for each target and slice: {', '.join(parts)}."


def _pairs_in_words(
    cases: Mapping[str, pd.DataFrame],
    labelled: Mapping[str, Sequence[int]],
    question: str,
    opening: str,
) -> str:
    """One sentence about all pairs of a question, cohort by cohort."""
    parts, verdicts = [], []
    for cohort, table in cases.items():
        shown = asked(table, "point")
        there = set(shown["system"])
        words = []
        for first, second in questions(labelled[cohort])[question]:
            if {first, second} <= there:
                sides = [shown[shown["system"] == name] for name in (first, second)]
                count, found = _slices(first.rpartition("-")[2]), compared(*sides)
                verdict = VERDICTS[found.better()] if track_of(first) == track_of(second) else ""
                words.append(f"{count} {_short(found)}{verdict and f', {verdict}'}")
                verdicts += [verdict] if verdict else []
        if words:
            parts.append(f"*{_title(cohort)}*: {'; '.join(words)}")
    if not parts:
        return ""
    said = ". ".join(parts)
    if not verdicts:  # an oracle is not ranked with who works alone
        return f"{opening}: {said}."
    counted = ", ".join(f"{verdict} {count}" for verdict, count in Counter(verdicts).items())
    return f"{opening}, of {len(verdicts)} comparisons: **{counted}**. {said}."


def _users(cases: Mapping[str, pd.DataFrame]) -> str:
    parts = []
    for cohort, table in cases.items():
        found = users_compared(table)
        found = found[[name.startswith("Cheap Lunch-") for name in found.index]]
        if len(found):
            cost, decided = found["difference"], found["better"].value_counts()
            counts = ", ".join(f"{VERDICTS[name]} {count}" for name, count in decided.items())
            parts.append(f"*{_title(cohort)}* {cost.min():+.3f} to {cost.max():+.3f} ({counts})")
    if not parts:
        return ""
    return f"A point in the middle, against any pixel of the target: {'; '.join(parts)}."


def claims_counted(audit: pd.DataFrame) -> str:
    """How many claims have which verdict, on paper and here; audit: of `claims.audit`."""
    counts = [
        ", ".join(f"{verdict} {count}" for verdict, count in audit[column].value_counts().items())
        for column in (ON_PAPER, HERE)
    ]
    return (
        f"Of {len(audit)} claims that we tested (its sentences, and what its tables imply), "
        f"by the paper's own numbers: {counts[0]}. By our runs: {counts[1]}."
    )


def _title(cohort: str) -> str:
    return COHORT_NAMES.get(cohort, cohort).capitalize()
