"""Records → the tables of Med-SA, ours beside the paper's.

A number of a system is the mean over test patients of what a patient's scans and targets give. A
row is a system and the user who told it where (an *oracle*: "Med-SA, box 0.75"), or a system that
nobody told ("Swin UNETR"). Places are given among the rows of one track: of systems that were told
the same, or of those that work alone. Nobody who was told is ranked with who was not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.prompts.users import NOBODY
from samnb.reports.lunch import AUTOMATIC, MEASURED, NAMED, ORACLE, in_columns
from samnb.reports.lunch_tests import is_frozen
from samnb.reports.paper_med_sa import (
    ORGANS,
    prompt_users,
    published_task,
    published_tasks,
    row_name,
)
from samnb.reports.systems import in_order, missing_seeds

PROMPTED = ("SAM", "MedSAM", "Med-SA")  # in the paper's order
EVERY_SLICE = ", every slice"  # behind a user who prompts each slice of a volume as a picture
FLAT = " (2D)"  # behind a system that the study of volumes has, too, in the study of its slices
METRICS = ("dice", "iou", "hd95", "hd95_voxels")
TOLD = "told: "
OVERVIEW = ["track", "dice", "iou", "paper_dsc", "paper_iou"]
DISTANCES = ["hd95_voxels", "paper_hd95", "hd95_mm"]


class Task(NamedTuple):
    """Where the numbers of a task of the paper come from; target None: the mean of all.

    volumes: of a scan's voxels; a picture's pixels have no millimetres, and no distance here.
    """

    studies: tuple[str, ...]
    target: str | None = None
    volumes: bool = False


TASKS = {
    ORGANS: Task(("med-sa-btcv", "med-sa-btcv-3d", "med-sa-btcv-slices"), volumes=True),
    "optic disc": Task(("med-sa-refuge",), "disc"),
    "optic cup": Task(("med-sa-refuge",), "cup"),
    "brain tumour": Task(("med-sa-brats", "med-sa-brats-3d", "med-sa-brats-slices"), volumes=True),
    "thyroid nodule": Task(("med-sa-thyroid",)),
    "melanoma": Task(("med-sa-isic",)),
}
STUDIES = tuple(dict.fromkeys(name for task in TASKS.values() for name in task.studies))


def all_cases(scans: Mapping[str, pd.DataFrame], tasks: Mapping[str, Task] = TASKS) -> pd.DataFrame:
    """What all studies measured, one row per task, system, seed, change, user, scan and target.

    scans: by study, as `lunch.all_scans` gives them; tasks: what they are about. Beside their
    columns: task; row (`row_name`); iou, dice / (2 - dice) of a case where the records have none.
    Users lose EVERY_SLICE: a volume prompted at every slice stands beside a picture prompted once.
    """
    tables = []
    for name, task in tasks.items():
        above: set[str] = set()  # systems of the studies before
        for study in task.studies:
            table = scans.get(study, pd.DataFrame())
            if task.target is not None and len(table):
                table = table[table["target"] == task.target]
            if len(table):
                own = table["system"]
                tables.append(
                    table.assign(task=name, system=own.where(~own.isin(above), own + FLAT))
                )
                above |= set(own)
    if not tables:
        return pd.DataFrame(columns=["task", "row", *NAMED, *MEASURED, "iou"])
    cases = pd.concat(tables, ignore_index=True)
    users = cases["user"].str.removesuffix(EVERY_SLICE)
    told = users.where(users != str(NOBODY), "")
    computed = cases["dice"] / (2 - cases["dice"])
    measured = cases["iou"] if "iou" in cases else pd.Series(np.nan, index=cases.index)
    rows = [row_name(*both) for both in zip(cases["system"], told, strict=True)]
    return cases.assign(user=told, row=rows, iou=measured.fillna(computed))


def of_task(cases: pd.DataFrame, task: str, change: str = "") -> pd.DataFrame:
    """A patient's means over scans and targets, of the profile as it is or so changed.

    `system` is what `row` was: what is compared is a system and who told it.
    """
    chosen = cases[cases["task"].eq(task) & cases["change"].eq(change)]
    measured = [name for name in METRICS if name in chosen]
    keys = ["row", "seed", "user", "patient"]
    found = chosen.groupby(keys, sort=False)[measured].mean().reset_index()
    return found.rename(columns={"row": "system"})


def track_of(row: str) -> str:
    """Whether a row's system was told where (ORACLE) or works alone (AUTOMATIC)."""
    system = row.partition(", ")[0].removesuffix(FLAT)
    return ORACLE if system in PROMPTED else AUTOMATIC


def told(row: str) -> str:
    """The track as tables print it: what the row's system was told, or that it works alone."""
    return TOLD + row.partition(", ")[2] if track_of(row) == ORACLE else AUTOMATIC


def task_table(cases: pd.DataFrame, task: str, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """One task: the paper's rows in its order, ours of the same system beside them, then the rest.

    cases: of `all_cases`; seeds: those that every system that learns should have. Columns: track;
    dice (with deviation over seeds and a 95 % interval over patients); iou; paper_dsc, paper_iou;
    of volumes hd95_voxels, paper_hd95, hd95_mm; seeds; missing. What has no record, or no
    number in the paper, is NaN. `attrs["note"]`: why the paper's column is empty, or "".
    """
    chosen, published = of_task(cases, task), published_task(task)
    table = _beside(published, chosen["system"].unique(), task)
    table = table.join(_measured(chosen))
    table["track"] = [told(name) for name in table.index]
    table["missing"] = _missing(chosen, table.index, seeds)
    for column in ("dice", "iou", "hd95_voxels", "paper_dsc", "paper_iou", "paper_hd95"):
        table[f"{column}_place"] = _places(table, column)
    wanted = [*OVERVIEW, *(DISTANCES if TASKS[task].volumes else ()), "seeds", "missing"]
    table = in_columns(table.rename_axis("System"), wanted)
    table.attrs["note"] = published.attrs["note"]
    return table


def own_table(
    cases: pd.DataFrame, task: str, volumes: bool = False, seeds: Sequence[int] | None = None
) -> pd.DataFrame:
    """One task without the paper beside it: as `task_table`, for images that it has not.

    Columns: track; dice (with deviation and interval); iou; of volumes hd95_mm; patients; seeds;
    missing.
    """
    chosen = of_task(cases, task)
    table = _measured(chosen).reindex(_in_order(chosen["system"].unique()))
    table["patients"] = chosen.groupby("system")["patient"].nunique()
    table["track"] = [told(name) for name in table.index]
    table["missing"] = _missing(chosen, table.index, seeds)
    measured = ["dice", "iou", *(["hd95_mm"] if volumes else [])]
    for column in measured:
        table[f"{column}_place"] = _places(table, column)
    wanted = ["track", *measured, "patients", "seeds", "missing"]
    return in_columns(table.rename_axis("System"), wanted)


def overview(table: pd.DataFrame) -> pd.DataFrame:
    """Of `task_table` what fits on a page: systems of this book, without the small columns."""
    ours = {name for name in table.index if track_of(name) == ORACLE}
    ours |= {name for row in published_task(ORGANS).itertuples() for name in row.ours}
    return in_columns(table[table.index.isin(ours)], OVERVIEW)


def all_tasks(cases: pd.DataFrame) -> pd.DataFrame:
    """Dice by system and user (rows) and task (columns): a row of ours, and below it the paper's.

    Every system of this book that the paper has is there, with records or without; a user whom the
    paper has not has no row of the paper's. Columns have their deviation over seeds, and their
    place in the track.
    """
    tables = {task: task_table(cases, task) for task in published_tasks()}
    names = list(dict.fromkeys(name for table in tables.values() for name in overview(table).index))
    blocks = []
    for name in _in_order(names):
        own, paper = {"track": told(name)}, {"track": "paper"}
        for task, table in tables.items():
            if name not in table.index:
                continue
            row = table.loc[name]
            own |= {f"{task}{end}": row.get(f"dice{end}") for end in ("", "_deviation", "_place")}
            paper[task] = row["paper_dsc"]
        blocks.append(pd.Series(own, name=name))
        if pd.Series(paper).reindex(list(tables)).notna().any():
            blocks.append(pd.Series(paper, name=f"· paper, {name}"))
    columns = [f"{task}{end}" for task in tables for end in ("", "_deviation", "_place")]
    table = pd.DataFrame(blocks).reindex(columns=["track", *columns])
    return table.astype(dict.fromkeys(columns, float)).rename_axis("System")


def tasks_overview(table: pd.DataFrame) -> pd.DataFrame:
    """Of `all_tasks` what fits on a page: our rows that have a number, without ± and track.

    All points are random ones, so their rows do not say it.
    """
    tasks = list(TASKS)
    ours = table[table["track"] != "paper"].dropna(how="all", subset=tasks)
    ours = ours.rename(index=lambda name: name.replace("random ", ""))
    return ours[[f"{task}{end}" for task in tasks for end in ("", "_place")]]


def organ_table(cases: pd.DataFrame) -> pd.DataFrame:
    """Table 1 of ours: Dice by organ, mean over patients and seeds; a row per system and user.

    The last column is the mean, and paper_dsc what the paper's sentences say of it.
    """
    chosen = cases[cases["task"].eq(ORGANS) & cases["change"].eq("")]
    published = published_task(ORGANS)
    names = list(_beside(published, chosen["row"].unique(), ORGANS).index)
    organs = list(chosen["target"].unique())
    of_patient = chosen.groupby(["row", "seed", "target", "patient"])["dice"].mean()
    of_seed = of_patient.groupby(["row", "seed", "target"]).mean().reset_index()
    table = of_seed.pivot_table(index="row", columns="target", values="dice")
    table = table.reindex(names, columns=organs)
    table = table.assign(mean=table.mean(axis=1), paper_dsc=published["dice"])
    table.insert(0, "track", [told(name) for name in table.index])
    table.columns.name = None
    table.attrs["note"] = published.attrs["note"]
    return table.rename_axis("System")


def _beside(published: pd.DataFrame, ours: Sequence[str], task: str) -> pd.DataFrame:
    """The rows of a task: the paper's, replaced by those of ours that stand for them, and the rest.

    Columns: paper_dsc, paper_iou, paper_hd95. Table 1 has fewer rows than table 2: of this book
    all its systems, and no others.
    """
    rows: dict[str, tuple[float, ...]] = {}
    for name, row in published.iterrows():
        known = [row_name(system, row["user"]) for system in row["ours"]]
        numbers = tuple(row[["dice", "iou", "hd95"]])
        names = [each for each in known if each in set(ours)]
        if not names and (known or task != ORGANS):
            names = [name]
        rows |= dict.fromkeys(names, numbers)
    rest = [name for name in _in_order(ours) if name not in rows]
    nothing = (np.nan,) * 3
    found = rows | dict.fromkeys(rest, nothing)
    columns = ["paper_dsc", "paper_iou", "paper_hd95"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns, dtype=float)


def _in_order(rows: Sequence[str]) -> list[str]:
    """Who works alone first, then the prompted systems as the paper has them, user by user."""
    users = list(prompt_users().values())
    systems = in_order(row.partition(", ")[0] if track_of(row) == ORACLE else row for row in rows)

    def rank(row: str) -> tuple[int, int, int, str]:
        system, _, user = row.partition(", ")
        if track_of(row) == AUTOMATIC:
            return 0, systems.index(row), 0, ""
        place = users.index(user) if user in users else len(users)
        return 1 + PROMPTED.index(system.removesuffix(FLAT)), system.endswith(FLAT), place, user

    return sorted(dict.fromkeys(rows), key=rank)


def _measured(cases: pd.DataFrame) -> pd.DataFrame:
    """By row: the measures with their deviations, the interval of Dice, and the seeds."""
    columns: dict[str, pd.Series] = {}
    for name, metric in (
        ("dice", "dice"),
        ("iou", "iou"),
        ("hd95_voxels", "hd95_voxels"),
        ("hd95_mm", "hd95"),
    ):
        known = cases[cases[metric].notna()] if metric in cases else cases.iloc[:0]
        summary = _summary(over_seeds, known, metric)
        columns |= {name: summary["mean"], f"{name}_deviation": summary["deviation"]}
        if name == "dice":
            columns["seeds"] = summary["seeds"]
            interval = _summary(patient_interval, known, metric)
            columns |= {"dice_low": interval["low"], "dice_high": interval["high"]}
    return pd.DataFrame(columns)


def _summary(
    summarise: Callable[..., pd.DataFrame], cases: pd.DataFrame, metric: str
) -> pd.DataFrame:
    """By row; without cases no rows, and the columns that are asked for."""
    if cases.empty:
        return pd.DataFrame(columns=["mean", "deviation", "seeds", "low", "high"], dtype=float)
    return summarise(cases, metric).set_index("system")


def _missing(cases: pd.DataFrame, names: Sequence[str], seeds: Sequence[int] | None) -> list[str]:
    """Seeds that a row lacks, as text; SAM learns nothing, so one run of it is all."""
    learned = cases[[not is_frozen(name) for name in cases["system"]]]
    lacking = missing_seeds(learned, seeds) if len(learned) else {}
    return [", ".join(map(str, lacking.get(name, ()))) for name in names]


def _places(table: pd.DataFrame, column: str) -> pd.Series:
    """Places within a track; whoever is alone in a track is not the best of it."""
    of_track = table[column].astype(float).round(4).groupby(table["track"])
    places = of_track.rank(method="dense", ascending="hd95" in column)
    return places.where(of_track.transform("count") > 1)
