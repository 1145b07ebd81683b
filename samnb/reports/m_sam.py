"""Records → table 1 of M-SAM, ours beside the paper's.

A number of a system is the mean over test patients of what a patient's scans and targets give. A
row is a system and the user who clicked for it ("M-SAM, 10 random clicks": *interactive*), or a
system that nobody told anything ("3D nnU-Net": *automatic*). Places are given among the rows of one
track: of systems that got the same clicks, or of those that work alone.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from samnb.base.errors import SamnbError
from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.reports.lunch import AUTOMATIC, MEASURED, NAMED, ORACLE, in_columns
from samnb.reports.lunch_tests import is_frozen
from samnb.reports.m_sam_names import (
    BENCHMARKS,
    BY_SLICE,
    HONEST,
    MOST,
    PROMPTED,
    SETS,
    clicks,
    count_of,
    is_alone,
)
from samnb.reports.paper_m_sam import CLICKED, UNSAID, note, published_comparison
from samnb.reports.paper_med_sa import row_name
from samnb.reports.systems import missing_seeds

INTERACTIVE = "interactive: "  # before what was said
NOT_SAID = "prompt not said"  # of a row of the paper
COLUMNS = ["track", "dice", "iou", "paper_dsc", "seeds", "missing"]
OVERVIEW = ["track", "dice", "paper_dsc"]
ENDS = ("", "_deviation", "_place")
PAPER = "· paper, "  # before a row of the paper


def all_cases(scans: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What all studies measured, one row per source, set, system, seed, user, scan and target.

    scans: by study, as `lunch.all_scans` gives them. Beside their columns: source (the set that was
    trained on) and set (the one examined); clicks (NaN of other users); row (`row_name`); iou,
    dice / (2 - dice) of a case where the records have none. user is "" where nobody prompted.
    """
    sources = {settings.study: name for name, settings in SETS.items()}
    tables = [table.assign(source=sources[study]) for study, table in scans.items() if len(table)]
    if not tables:
        more = ["source", "set", "clicks", "row", "iou"]
        return pd.DataFrame(columns=[*NAMED, *MEASURED, *more])
    cases = pd.concat(tables, ignore_index=True)
    users = cases["user"].where(~cases["user"].map(is_alone), "")
    counts = users.map(count_of, na_action="ignore").astype(float)
    measured = cases["iou"] if "iou" in cases else pd.Series(np.nan, index=cases.index)
    rows = [row_name(*both) for both in zip(cases["system"], users, strict=True)]
    named = {"user": users, "clicks": counts, "row": rows, "set": _sets(cases["cohort"])}
    return cases.assign(iou=measured.fillna(cases["dice"] / (2 - cases["dice"])), **named)


def _sets(cohorts: pd.Series) -> pd.Series:
    names = {settings.cohort: name for name, settings in SETS.items()}
    if unknown := sorted(set(cohorts) - set(names)):
        raise SamnbError(
            f"Records of M-SAM have the cohorts {', '.join(unknown)}, which are none of its sets.",
            "give each its set in samnb/reports/m_sam_names.py.",
        )
    return cohorts.map(names)


def of_set(
    cases: pd.DataFrame, name: str, change: str = HONEST, source: str | None = None
) -> pd.DataFrame:
    """A patient's means over scans and targets, examined on a set after training on `source`.

    source: None is the set itself. `system` is what `row` was: who is compared is a system and the
    user who told it where. Columns: system, seed, user, clicks, patient, dice, iou.
    """
    trained = cases["source"].eq(source or name)
    chosen = cases[trained & cases["set"].eq(name) & cases["change"].eq(change)]
    keys = ["row", "seed", "user", "clicks", "patient"]
    grouped = chosen.groupby(keys, sort=False, dropna=False)
    return grouped[["dice", "iou"]].mean().reset_index().rename(columns={"row": "system"})


def system_of(row: str) -> str:
    """The system of a row, without the user who told it where."""
    own = row.partition(", ")[0]
    return own if own in (*PROMPTED, *BY_SLICE) else row


def track_of(row: str) -> str:
    """Whether a row's system was told where (ORACLE) or works alone (AUTOMATIC)."""
    return AUTOMATIC if system_of(row) == row else ORACLE


def track_in_words(row: str) -> str:
    """The track as tables print it: what the user said, or that the system works alone."""
    own = system_of(row)
    said = row.removeprefix(f"{own}, ")
    return AUTOMATIC if own == row else said if said == NOT_SAID else INTERACTIVE + said


def comparison_table(
    cases: pd.DataFrame, name: str, seeds: Sequence[int] | None = None
) -> pd.DataFrame:
    """One set: the paper's rows, those of ours that stand for them, and the rest of ours.

    cases: of `all_cases`; seeds: those that every system that learns should have. A system that is
    told has a row for each user; the paper's number stands in that of its ten clicks. Columns:
    track; dice (with deviation over seeds and a 95 % interval over patients); iou; paper_dsc;
    seeds; missing. What has no record, or no number in the paper, is NaN. `attrs`: note, what has
    to stand beside the table; paper, the system of the paper
    that a row of ours stands beside.
    """
    chosen = of_set(cases, name)
    table, said = _beside(list(chosen["system"].unique()), name)
    table = table.join(measured(chosen))
    table["track"] = [track_in_words(row) for row in table.index]
    learned = chosen[[not is_frozen(row) for row in chosen["system"]]]
    lacking = missing_seeds(learned, seeds) if len(learned) else {}
    table["missing"] = [", ".join(map(str, lacking.get(row, ()))) for row in table.index]
    for column in ("dice", "iou", "paper_dsc"):
        table[f"{column}_place"] = places(table[column], table["track"])
    table = in_columns(table.rename_axis("System"), COLUMNS)
    table.attrs = {"note": note(), "paper": said}
    return table


def overview(table: pd.DataFrame, number: int = MOST) -> pd.DataFrame:
    """Of `comparison_table` what fits on a page: so many clicks or none, no small columns."""
    return in_columns(table[[_is_shown(row, number) for row in table.index]], OVERVIEW)


def all_sets(cases: pd.DataFrame, number: int = MOST) -> pd.DataFrame:
    """Table 1: Dice by system (rows) and set (columns); a row of ours, and below it the paper's.

    number: of clicks that systems got; other users of clicks are left out. Columns have their
    deviation over seeds, and their place in the track.
    """
    tables = {name: comparison_table(cases, name) for name in BENCHMARKS}
    rows = _in_order(row for table in tables.values() for row in table.index)
    rows = [row for row in rows if _is_shown(row, number)]
    stands_for = {row: system for table in tables.values()
                  for row, system in table.attrs["paper"].items()}  # fmt: skip
    published = published_comparison()
    blocks: dict[str, dict] = {}
    for place, row in enumerate(rows):
        lines = {name: table.loc[row] for name, table in tables.items() if row in table.index}
        own = {f"{name}{end}": line[f"dice{end}"] for name, line in lines.items() for end in ENDS}
        if pd.Series(own).notna().any():
            blocks[row] = {"track": track_in_words(row)} | own
        system = stands_for.get(row)
        if system and system not in [stands_for.get(other) for other in rows[place + 1 :]]:
            paper = published.loc[system, BENCHMARKS].to_dict()
            blocks[PAPER + system] = {"track": track_in_words(row)} | paper
    columns = [f"{name}{end}" for name in BENCHMARKS for end in ENDS]
    table = pd.DataFrame.from_dict(blocks, orient="index", columns=["track", *columns])
    table.attrs["note"] = note()
    return table.astype(dict.fromkeys(columns, float)).rename_axis("System")


def measured(cases: pd.DataFrame) -> pd.DataFrame:
    """By system: Dice and IoU with deviations over seeds, the interval of Dice, and the seeds."""
    names = ["dice", "dice_deviation", "dice_low", "dice_high", "iou", "iou_deviation", "seeds"]
    if cases.empty:
        return pd.DataFrame(columns=names, dtype=float)
    columns: dict[str, pd.Series] = {}
    for metric in ("dice", "iou"):
        summary = over_seeds(cases, metric).set_index("system")
        columns |= {metric: summary["mean"], f"{metric}_deviation": summary["deviation"]}
    interval = patient_interval(cases, "dice").set_index("system")
    columns |= {"dice_low": interval["low"], "dice_high": interval["high"]}
    return pd.DataFrame(columns | {"seeds": summary["seeds"]})[names]


def places(values: pd.Series, tracks: pd.Series) -> pd.Series:
    """Places within a track, 1 the highest; whoever is alone in a track is not the best of it."""
    of_track = values.astype(float).round(4).groupby(tracks)
    return of_track.rank(method="dense", ascending=False).where(of_track.transform("count") > 1)


def _beside(there: Sequence[str], name: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """paper_dsc of every row of a set, in order, and the row of the paper."""
    numbers, said = dict.fromkeys(there, np.nan), {}
    paper = published_comparison()
    for system, row in paper.iterrows() if name in paper else ():
        own = [own for own in _own_names(row) if own in there]
        for each in own or [_paper_name(system, row["track"])]:
            numbers[each], said[each] = row[name], system
    table = pd.DataFrame({"paper_dsc": pd.Series(numbers, dtype=float)})
    return table.loc[_in_order(table.index)], said


def _own_names(row: pd.Series) -> list[str]:
    """Our rows that a row of table 1 stands beside; none where its prompt is not known."""
    if row["track"] == UNSAID:
        return []
    user = clicks() if row["track"] == CLICKED else ""
    return [row_name(system, user) for system in row["ours"]]


def _paper_name(system: str, track: str) -> str:
    """Of a row of table 1 that has nothing of ours beside it."""
    return row_name(system, {CLICKED: clicks(), UNSAID: NOT_SAID}.get(track, ""))


def _is_shown(row: str, number: int) -> bool:
    """Whether a row works alone, is told so many clicks, or anything but clicks."""
    return count_of(row.removeprefix(f"{system_of(row)}, ")) in (None, number)


def _in_order(rows: Iterable[str]) -> list[str]:
    """Who works alone first, as table 1 has them, then the prompted ones, click by click."""
    paper = published_comparison()
    alone = [name for system, row in paper.iterrows() for name in (system, *row["ours"])]
    prompted = [*BY_SLICE, *PROMPTED]

    def rank(row: str) -> tuple[int, int, int, str]:
        own = system_of(row)
        if own == row:
            return 0, alone.index(row) if row in alone else len(alone), 0, row
        return 1, prompted.index(own), count_of(row.removeprefix(f"{own}, ")) or 0, row

    return sorted(dict.fromkeys(rows), key=rank)
