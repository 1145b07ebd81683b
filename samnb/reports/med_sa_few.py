"""Med-SA's adapters, LoRA of as many parameters, or all of SAM: which one for few labels?

The labelled pictures are the same for all systems and seeds, so the ± over seeds says nothing of
other pictures that might have been labelled.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from samnb.evaluation.statistics import over_seeds
from samnb.reports.lunch import FROZEN, MEASURED, NAMED, ORACLE
from samnb.reports.lunch_study import Study
from samnb.reports.lunch_tests import FIRST, SECOND, TIE, questions_tested
from samnb.reports.style import label, panels, system_look
from samnb.reports.systems import missing_seeds, parse
from samnb.runs.records import Record

STUDY = "med-sa-few"
ADAPTERS, LORA, WHOLE = "Med-SA", "Med-LoRA", "MedSAM"
SYSTEMS = (ADAPTERS, LORA, WHOLE)
WHICH = "Adapters or LoRA?"  # the question of this page
COLUMNS = 2  # of panels
ASIDE = {ADAPTERS: 0.94, LORA: 1.0, WHOLE: 1.06}  # of the points of seeds, so that none is hidden


def cases_of(study: Study | None) -> pd.DataFrame:
    """As `lunch.all_scans` gives them; without a study, or without records, no rows."""
    return pd.DataFrame(columns=[*NAMED, *MEASURED]) if study is None else study.cases


def trained_numbers(records: Iterable[Record]) -> pd.Series:
    """Numbers that learn, by system without its labels; of those that have a record."""
    found = {parse(each.name).family: each.facts["parameters"]["trainable"] for each in records}
    return pd.Series(found, dtype=float)


def label_table(
    cases: pd.DataFrame,
    trained: pd.Series,
    labelled: Sequence[int],
    user: str,
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Dice by system (rows) and labels (columns), with deviations over seeds.

    trained: of `trained_numbers`. Columns: trainable; against: how many more or fewer numbers learn
    than in the adapters; one for each number of labels and one for all; missing, of any of them.
    The frozen SAM has the same Dice at every number, and no deviation.
    """
    chosen = _asked(cases, user)
    counts = [*sorted(labelled), None]
    table = pd.DataFrame(index=pd.Index([FROZEN, *SYSTEMS], name="System"))
    table["trainable"] = trained.reindex(table.index)
    share = table["trainable"] / table["trainable"].get(ADAPTERS, np.nan) - 1
    near = share.notna() & (table.index != ADAPTERS) & (table["trainable"] > 0)
    table["against Med-SA"] = [f"{value:+.1%}" if said else ""
                               for value, said in zip(share, near, strict=True)]  # fmt: skip
    summary = over_seeds(chosen, "dice").set_index("system") if len(chosen) else pd.DataFrame()
    for count in counts:
        title = words_of(count)
        names = [_named(system, count) for system in table.index]
        found = summary.reindex(index=names, columns=["mean", "deviation"]).astype(float)
        table[title], table[f"{title}_deviation"] = found["mean"].array, found["deviation"].array
    table["missing"] = _missing(chosen, seeds)
    return table


def label_tests(cases: pd.DataFrame, labelled: Sequence[int], user: str) -> pd.DataFrame:
    """Pairs named before any run, of one user, corrected together; the question is the index."""
    return questions_tested(questions(labelled), _asked(cases, user), track=lambda name: ORACLE)


def questions(labelled: Sequence[int]) -> dict[str, list[tuple[str, str]]]:
    """The pairs by the question that they answer; both have the same labels but in the last."""
    counts = [*sorted(labelled), None]

    def pairs(first: str, second: str) -> list[tuple[str, str]]:
        return [(_named(first, count), _named(second, count)) for count in counts]

    return {
        WHICH: pairs(ADAPTERS, LORA),
        "A small part of SAM, or all of it?": pairs(ADAPTERS, WHOLE) + pairs(LORA, WHOLE),
        "What do so many labels teach?": [
            pair for system in SYSTEMS for pair in pairs(system, FROZEN)
        ],
        "Are more labels worth it?": [
            (_named(system, more), _named(system, fewer))
            for system in SYSTEMS
            for fewer, more in pairwise(counts)
        ],
    }


def answer(tests: Mapping[str, pd.DataFrame]) -> list[str]:
    """What the records say to WHICH, a sentence for each user; tests: of `label_tests`, by user."""
    said = []
    for user, table in tests.items():
        rows = table[table.index == WHICH]
        parts = [
            f"{words_of(parse(row.first).labels)}: {_verdict(row.better)}, {row.difference:+.3f} "
            f"({row.low:+.3f} to {row.high:+.3f})"
            for row in rows.itertuples()
        ]
        if parts:
            said.append(f"Adapters minus LoRA in Dice, told {user}: {'; '.join(parts)}.")
    return said


def label_chart(
    cases: pd.DataFrame,
    labelled: Sequence[int],
    every: int,
    users: Sequence[str],
    height: float = 3.0,
) -> Figure:
    """Dice against labelled pictures, a panel for each user, two in a row.

    Lines: means, points: seeds.
    every: how many pictures are meant by all. The level line is SAM as it is, which learns nothing.
    """
    rows = -(-len(users) // COLUMNS)
    figure, grid = panels(rows, min(COLUMNS, len(users)), height, sharey=True, squeeze=False)
    for axes in grid.flat[len(users) :]:
        axes.set_axis_off()
    counts = [*sorted(labelled), None]
    places = dict(zip(counts, [*sorted(labelled), every], strict=True))
    for axes, user in zip(grid.flat, users, strict=False):
        chosen = _asked(cases, user)
        frozen = chosen.loc[chosen["system"] == FROZEN, "dice"]
        if len(frozen):
            look = system_look(FROZEN) | {"marker": ""}
            axes.axhline(frozen.mean(), linewidth=1.6, label="SAM, nothing learned", **look)
        for system in SYSTEMS:
            _curve(axes, chosen, system, places)
        axes.set_xscale("log")
        texts = [f"all\n({every})" if count is None else str(count) for count in counts]
        axes.set_xticks(list(places.values()), texts)
        axes.set_xticks([], minor=True)
        axes.set_title(f"told: {user}")
        label(axes, "Labelled pictures", "Dice" if axes in grid[:, 0] else "")
    handles, texts = grid[0, -1].get_legend_handles_labels()
    if handles:
        figure.legend(handles, texts, loc="outside lower center", ncols=4)
    return figure


def words_of(count: int | None) -> str:
    return "all labels" if count is None else f"{count} labels"


def _named(system: str, count: int | None) -> str:
    """As records name it: "Med-SA-5", or "Med-SA" with all labels; SAM has none in any case."""
    return system if count is None or system == FROZEN else f"{system}-{count}"


def _asked(cases: pd.DataFrame, user: str) -> pd.DataFrame:
    return cases[cases["change"].eq("") & cases["user"].eq(user)]


def _missing(cases: pd.DataFrame, seeds: Sequence[int] | None) -> list[str]:
    """For SAM and SYSTEMS: labels and seeds that lack, such as "5 labels: 3"; SAM needs one."""
    learned = cases[cases["system"] != FROZEN]
    lacking = missing_seeds(learned, seeds) if len(learned) else {}
    return ["", *("; ".join(f"{words_of(parse(name).labels)}: {', '.join(map(str, found))}"
                            for name, found in lacking.items() if parse(name).family == system)
                  for system in SYSTEMS)]  # fmt: skip


def _verdict(better: str) -> str:
    return {FIRST: "adapters ahead", SECOND: "LoRA ahead", TIE: "a tie"}.get(better, better)


def _curve(axes: Axes, cases: pd.DataFrame, system: str, places: Mapping[int | None, int]) -> None:
    """A line through the means, and a point for each seed."""
    look = system_look(system)
    names = {_named(system, count): place for count, place in places.items()}
    own = cases[cases["system"].isin(names)]
    if own.empty:
        return
    of_seed = own.groupby(["system", "seed"])["dice"].mean().reset_index()
    of_seed = of_seed.assign(place=of_seed["system"].map(names))
    means = of_seed.groupby("place")["dice"].mean()
    axes.plot(means.index, means, linewidth=2, markersize=7, label=system, **look)
    aside = of_seed["place"] * ASIDE[system]
    axes.plot(aside, of_seed["dice"], "o", color=look["color"], markersize=4, alpha=0.7, mew=0)
