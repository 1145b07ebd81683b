"""Where adapters help: Med-SA against MedSAM wherever both were told the same, and all that the
studies beyond the paper say, in sentences made of their numbers.

A tie is called a tie; what has no record is not spoken of.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from samnb.reports import med_sa_thickness as thickness
from samnb.reports.lunch import AUTOMATIC, ORACLE
from samnb.reports.lunch_tests import FIRST, SECOND, TIE, UNKNOWN, Compared, questions_tested
from samnb.reports.med_sa import TASKS, of_task, track_of
from samnb.reports.med_sa_few import words_of
from samnb.reports.med_sa_real import TOO_FEW, UNRANKED
from samnb.reports.paper_med_sa import row_name
from samnb.reports.systems import parse

ADAPTERS, WHOLE = "Med-SA", "MedSAM"
IN_VOLUMES = ("3D U-Net, nnU-Net's layout", "UNETR", "Swin UNETR")  # of networks that work alone
IN_SLICES = ("nnU-Net", "TransUNet")
VOLUMES_OR_SLICES = "Alone, in volumes or in slices?"
ONE_SEED = "undecided (one seed)"
VERDICTS = {FIRST: "ahead", TIE: "a tie", SECOND: "behind", UNKNOWN: ONE_SEED,
            TOO_FEW: "undecided (too few patients)"}  # fmt: skip
MORE = {FIRST: "more", SECOND: "less", TIE: "a tie", UNKNOWN: ONE_SEED}
COLUMNS = ["difference", "low", "high", "spread", "better"]


def leads(tests: Mapping[str, pd.DataFrame], user: str) -> pd.DataFrame:
    """Adapters minus all of SAM in Dice, both told the same by this user; a row per place.

    tests: of `med_sa_tests.task_tests` or `med_sa_real.set_tests`, by the name of the place. Those
    in which one of the two has no record are left out. Columns: difference, low, high, spread,
    better.
    """
    pair = (row_name(ADAPTERS, user), row_name(WHOLE, user))
    rows = {}
    for place, table in tests.items():
        found = table[[both == pair for both in zip(table["first"], table["second"], strict=True)]]
        if len(found):
            rows[place] = found.iloc[0][COLUMNS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)


def leads_of_labels(tests: pd.DataFrame) -> pd.DataFrame:
    """The same of `med_sa_few.label_tests`, which are of one user: a row per number of labels."""
    rows = {}
    for row in tests.itertuples():
        first, second = parse(row.first), parse(row.second)
        if (first.family, second.family) == (ADAPTERS, WHOLE):
            rows[words_of(first.labels)] = [getattr(row, name) for name in COLUMNS]
    return pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)


def labels_and_users(tests: Mapping[str, pd.DataFrame], question: str) -> pd.DataFrame:
    """Who leads with how many labels (rows), told by which user (columns), in words.

    tests: of `med_sa_few.label_tests` by user; question: one of theirs with one pair per number.
    """
    columns = {
        user: {
            words_of(parse(row.first).labels): f"{row.difference:+.3f}, {_verdict(row.better)}"
            for row in table[table.index == question].itertuples()
        }
        for user, table in tests.items()
    }
    return pd.DataFrame(columns).rename_axis("Labelled")


def counted(tests: Mapping[str, pd.DataFrame], question: str | None, opening: str) -> str:
    """Such as: "..., 24 comparisons: **ahead 3, a tie 21**. *skin* -0.004 to +0.031 (...)."

    tests: by the name of a place, of `lunch_tests.questions_tested`; question: whose pairs count,
    None for all. "" without any pair. What is not ranked is not counted.
    """
    verdicts: Counter[str] = Counter()
    parts = []
    for place, table in tests.items():
        found = table if question is None else table[table.index == question]
        found = found[~found["better"].str.startswith(UNRANKED)]
        if found.empty:
            continue
        counts = Counter(_verdict(better) for better in found["better"])
        verdicts += counts
        low, high = found["difference"].min(), found["difference"].max()
        ends = f"{low:+.3f} to {high:+.3f}" if len(found) > 1 else f"{low:+.3f}"
        parts.append(f"*{place}* {ends} ({_listed(counts)})")
    if not parts:
        return ""
    number = verdicts.total()
    pairs = f"{number} comparisons" if number > 1 else "one comparison"
    return f"{opening}, {pairs}: **{_listed(verdicts)}**. {'; '.join(parts)}."


def by_labels(tests: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """`med_sa_few.label_tests` of all users, taken apart by the labels of the first of a pair."""
    tables = [table for table in tests.values() if len(table)]
    if not tables:
        return {}
    table = pd.concat(tables)
    labels = [words_of(parse(name).labels) for name in table["first"]]
    return {name: table[[each == name for each in labels]] for name in dict.fromkeys(labels)}


def alone_in_volumes(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By task of volumes: a patient's means of networks that learn masks and need no prompt.

    cases: of `med_sa.all_cases`; the table is as of `med_sa.of_task`.
    """
    found = {}
    for task in (name for name, settings in TASKS.items() if settings.volumes):
        chosen = of_task(cases, task)
        chosen = chosen[chosen["system"].isin([*IN_VOLUMES, *IN_SLICES])]
        if len(chosen):
            found[task] = chosen
    return found


def volume_tests(alone: pd.DataFrame) -> pd.DataFrame:
    """Networks that see a volume at once, each against those that see its slices.

    alone: of one task, as of `alone_in_volumes`. The question is VOLUMES_OR_SLICES.
    """
    pairs = [(deep, flat) for deep in IN_VOLUMES for flat in IN_SLICES]
    return questions_tested({VOLUMES_OR_SLICES: pairs}, alone, track=track_of)


def thickness_said(cases: pd.DataFrame) -> list[str]:
    """A sentence for each user; cases: of `med_sa_thickness.thickness_cases`."""
    said = []
    for user in cases["user"].unique():
        table = thickness.thickness_table(cases, user).dropna(subset="difference")
        parts = [
            f"{mm:g} mm {row.difference:+.3f} ({row.difference_low:+.3f} to "
            f"{row.difference_high:+.3f}), {_verdict(row.better)}"
            for mm, row in zip(table.index, table.itertuples(), strict=True)
        ]
        if not parts:
            continue
        sentence = f"What depth adds to Dice, told {user}, slices apart: {'; '.join(parts)}."
        more = thickness.thick_against_thin(cases, user)
        said.append(sentence + (_more(more) if more else ""))
    return said


def price_said(tests: pd.DataFrame) -> str:
    """What it costs that a map clicks; tests: of `med_sa_automatic.automatic_tests`."""
    prices = [
        f"{row.second} {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
        for row in tests.itertuples()
        if track_of(row.first) == ORACLE and track_of(row.second) == AUTOMATIC
    ]
    if not prices:
        return ""
    return f"The price of a map's click, told minus alone, in whole scans: {'; '.join(prices)}."


def alone_said(tests: pd.DataFrame) -> list[str]:
    """A sentence for each question about who works alone; tests: as of `price_said`."""
    return [
        counted({"brain tumour": tests}, question, question.removesuffix("?"))
        for question in dict.fromkeys(tests.index)
    ]


def real_said(tests: Mapping[str, pd.DataFrame], asked: Sequence[str]) -> list[str]:
    """A sentence for each question, empty without pairs; tests: of `set_tests`, by set."""
    return [counted(tests, question, question.removesuffix("?")) for question in asked]


def without_records(found: Mapping[str, bool], size: str) -> list[str]:
    """One sentence about studies that have none; found: by name, whether there is any record."""
    lacking = [f"`{name}`" for name, is_there in found.items() if not is_there]
    if not lacking:
        return []
    return [
        f"No record is here of {', '.join(lacking)} (size `{size}`), so what stands on it is left "
        f"out; where the size has the study, `samnb run --all --profile {size} --study` and its "
        f"name make it."
    ]


def in_lines(said: Iterable[str]) -> str:
    """A list in Markdown of the sentences that say something; of none it says that."""
    lines = [f"- {sentence}" for sentence in said if sentence]
    return "\n".join(lines) or "*Nothing can be said here without records.*"


def _verdict(better: str) -> str:
    return VERDICTS[better]


def _listed(counts: Mapping[str, int]) -> str:
    """Such as "ahead 3, a tie 21", in the order of VERDICTS."""
    return ", ".join(f"{name} {counts[name]}" for name in VERDICTS.values() if name in counts)


def _more(found: Compared) -> str:
    mean, low, high = found.difference
    return (
        f" Where slices are farthest apart it adds {mean:+.3f} ({low:+.3f} to {high:+.3f}) against "
        f"where they are nearest: {MORE[found.better()]}."
    )
