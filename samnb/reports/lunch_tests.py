"""Is one system better than another, on the same patients, by more than another seed changes?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from samnb.evaluation.statistics import compare_systems, holm, over_seeds
from samnb.reports.differences import Difference, difference
from samnb.reports.lunch import FROZEN, ORACLE, track_of
from samnb.reports.printing import NOTHING
from samnb.reports.systems import parse

FIRST, SECOND, TIE = "the first", "the second", "a tie"
UNKNOWN = "one seed: cannot be said"


class Compared(NamedTuple):
    """First against second: a patient's mean over seeds and targets, the first minus the second.

    difference: mean over patients with its interval; spread: of the difference between two
    trainings, the root of the sum of the two variances over seeds (NaN if one has a single seed);
    p: of the paired Wilcoxon test.
    """

    difference: Difference
    spread: float
    p: float

    def better(self, lower_is_better: bool = False) -> str:
        """FIRST or SECOND; a TIE if other patients, or other seeds, could turn it round.

        UNKNOWN where only the seeds could, and there is but one.
        """
        if self.difference.is_tie or abs(self.difference.mean) <= self.spread:
            return TIE
        if np.isnan(self.spread):
            return UNKNOWN
        return FIRST if (self.difference.mean < 0) == lower_is_better else SECOND


def compared(first: pd.DataFrame, second: pd.DataFrame, metric: str = "dice") -> Compared:
    """Two tables of cases (system, patient, seed and the metric) of the same patients."""
    both = pd.concat([first.assign(system="first"), second.assign(system="second")])
    deviations = over_seeds(both, metric)["deviation"].to_numpy(copy=True)
    frozen = [is_frozen(table["system"].iloc[0]) for table in (first, second)]
    deviations[frozen] = 0.0
    (test,) = compare_systems(both, metric).to_dict("records")
    spread = float(np.sqrt((deviations**2).sum()))
    return Compared(difference(first, second, metric), spread, test["p"])


def is_frozen(name: str) -> bool:
    """Whether a system learns nothing, so that there is no chance in it; also with its user."""
    return name == FROZEN or name.startswith((f"{FROZEN}, ", f"{FROZEN} ("))


def paired_tests(
    cases: pd.DataFrame,
    pairs: Iterable[Sequence[str]],
    metric: str = "dice",
    track: Callable[[str], str] = track_of,
) -> pd.DataFrame:
    """Pairs of systems that were named before looking; those without cases are left out.

    cases: prompted by one user or by nobody, of runs as the profile has them; track: says of a
    system's name whether it is an oracle (ORACLE) or works alone. Columns: first,
    second, tracks, difference, low, high, spread (over seeds), p (Holm-corrected over these pairs),
    better. An oracle against a system that works alone is said to be one, and gets no verdict.
    """
    there = set(cases["system"])
    rows = []
    for first, second in pairs:
        if not {first, second} <= there:
            continue
        found = compared(*(cases[cases["system"] == name] for name in (first, second)), metric)
        tracks = [track(name) for name in (first, second)]
        better = found.better(metric.startswith("hd"))
        if len(set(tracks)) > 1:
            better = f"not ranked: {'first' if tracks[0] == ORACLE else 'second'} was told where"
        rows.append((first, second, *found.difference, found.spread, found.p, better))
    names = ["first", "second", "difference", "low", "high", "spread", "p", "better"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(p=holm(table["p"].to_numpy(dtype=float)))


def questions(labelled: Sequence[int], automatic: str = "SAMed_s") -> dict[str, list[tuple]]:
    """The pairs of this study by the question that they answer."""
    lunch = [f"Cheap Lunch-{count}" for count in sorted(labelled)]
    plain = [f"Cheap Lunch without synthesis-{count}" for count in sorted(labelled)]
    alone = [f"{automatic}-{count}" for count in sorted(labelled)]
    own = [f"Cheap Lunch, self-pointed-{count}" for count in sorted(labelled)]
    mirrored = [f"Cheap Lunch, mirrored-{count}" for count in sorted(labelled)]
    unet = [f"Attention U-Net-{count}" for count in sorted(labelled)]
    bare = [f"Attention U-Net without synthesis-{count}" for count in sorted(labelled)]
    return {
        "What do few exemplars teach?": [(name, "SAM") for name in lunch],
        "With synthesis or without?": list(zip(lunch, plain, strict=True)),
        "Is every slice worth it?": [("Cheap Lunch", name) for name in lunch],
        "Do more exemplars help?": list(zip(lunch[1:], lunch[:-1], strict=True)),
        "Who is told where?": list(zip(lunch, alone, strict=True)),
        "Who points?": list(zip(lunch, own, strict=True)),
        "Do mirrors help the map to point?": list(zip(mirrored, own, strict=True)),
        "Alone, with a map's point or without one?": list(zip(mirrored, alone, strict=True)),
        "Is lunch cheap for a U-Net?": list(zip(unet, bare, strict=True)),
        "Alone, SAM or a U-Net?": list(zip(alone, unet, strict=True)),
    }


def all_tests(cases: pd.DataFrame, labelled: Sequence[int], metric: str = "dice") -> pd.DataFrame:
    """`paired_tests` of every question, all corrected together; the question is the index."""
    return questions_tested(questions(labelled), cases, metric)


def questions_tested(
    asked_of: Mapping[str, Iterable[Sequence[str]]],
    cases: pd.DataFrame,
    metric: str = "dice",
    track: Callable[[str], str] = track_of,
) -> pd.DataFrame:
    """The same of any questions, each with its pairs; track: as of `paired_tests`."""
    asked = [(question, pair) for question, pairs in asked_of.items() for pair in pairs]
    there = set(cases["system"])
    asked = [(question, pair) for question, pair in asked if set(pair) <= there]
    table = paired_tests(cases, [pair for _, pair in asked], metric, track)
    return table.set_index(pd.Index([question for question, _ in asked], name="question"))


def in_words(table: pd.DataFrame, digits: int = 3) -> pd.DataFrame:
    """`all_tests` for a page: the pair, its difference and interval, seeds, p, who leads."""
    rows = [
        {
            "pair": f"{row.first}, {row.second}",
            "difference": f"{row.difference:+.{digits}f} ({row.low:+.{digits}f} to "
            f"{row.high:+.{digits}f})",
            "seeds ±": NOTHING if np.isnan(row.spread) else f"{row.spread:.{digits}f}",
            "p": f"{row.p:.3f}",
            "better": row.better,
        }
        for row in table.itertuples()
    ]
    columns = ["pair", "difference", "seeds ±", "p", "better"]
    return pd.DataFrame(rows, columns=columns, index=table.index)


def orders(
    tests: Mapping[str, pd.DataFrame], asked: Iterable[str] = tuple(questions([]))
) -> pd.DataFrame:
    """Who leads, by question (rows) and cases (columns), such as "2 the first, 1 a tie".

    tests: by a name of the cases, as of `all_tests`; pairs that are not ranked are left out.
    asked: the questions, in the order of the rows.
    """
    columns = {}
    for name, table in tests.items():
        ranked = table[table["better"].isin([FIRST, SECOND, TIE])]
        counts = ranked.groupby(level=0, sort=False)["better"].value_counts(sort=False)
        columns[name] = {
            question: ", ".join(f"{count} {who}" for (_, who), count in found.items())
            for question, found in counts.groupby(level=0, sort=False)
        }
    wanted = [name for name in asked if any(name in each for each in columns.values())]
    return pd.DataFrame(columns).reindex(wanted).fillna(NOTHING).rename_axis("question")


def users_compared(cases: pd.DataFrame, metric: str = "dice") -> pd.DataFrame:
    """The same system asked in the middle of the target and anywhere in it; by system."""
    rows = {}
    for name, group in cases[cases["change"] == ""].groupby("system", sort=False):
        middle, anywhere = (group[group["user"] == user] for user in ("point", "random point"))
        if len(middle) and len(anywhere):
            found = compared(middle, anywhere, metric)
            means = [table[metric].mean() for table in (middle, anywhere)]
            better = found.better(metric.startswith("hd"))
            rows[name] = (*means, *found.difference, found.spread, better)
    names = ["middle", "anywhere", "difference", "low", "high", "spread", "better"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=names)
    return table.loc[sorted(table.index, key=lambda name: (parse(name).labels is None,
                                                           parse(name).labels or 0))]  # fmt: skip
