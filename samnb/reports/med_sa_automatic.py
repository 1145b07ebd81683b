"""Med-SA that nobody prompts: what it costs that a map clicks in place of somebody who knows.

The network is the same: told by the truth, or by the maximum of an activation map, asked once
(self-pointed) or four times (mirrored). Here stand whole scans, slices, and the clicks one by one.
Whoever is told where is an oracle, and never ranked with who works alone.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from samnb.evaluation.statistics import over_seeds, patient_interval
from samnb.prompts.users import NOBODY
from samnb.reports.lunch import MEASURED, NAMED
from samnb.reports.lunch_points import where_maps_point
from samnb.reports.lunch_silence import PRESENT
from samnb.reports.lunch_study import Study
from samnb.reports.lunch_tests import questions_tested
from samnb.reports.med_sa import told, track_of
from samnb.reports.paper_med_sa import row_name
from samnb.studies.cohorts import cohort_split

STUDY = "med-sa-brats-slices"
SELF, MIRRORED, ALONE = "Self-pointed Med-SA", "Mirrored Med-SA", "CAM alone"
TOLD = row_name("Med-SA", "random point")
CLASSIFIERS = (ALONE, SELF, MIRRORED)  # of `lunch_points.where_maps_point`
ROWS = (
    *(TOLD, row_name("Med-SA", "box 0.75"), row_name("SAM", "random point")),
    *(MIRRORED, SELF, ALONE, "nnU-Net", "TransUNet"),
)
INSIDE, BESIDE, SILENT = "in the target", "beside the target", "none: called empty"
OF_SLICES = ["label", "slice", "presence", "hit"]


def with_rows(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases of runs as the profile has them, `system` being a row: a system and who told it."""
    chosen = cases[cases["change"].eq("")]
    users = chosen["user"].where(chosen["user"] != str(NOBODY), "")
    names = [row_name(*both) for both in zip(chosen["system"], users, strict=True)]
    named = chosen.assign(system=names)
    return named[named["system"].isin(ROWS)]


def slice_cases(study: Study | None) -> pd.DataFrame:
    """Test slices that show the target or got a mask, a row per slice, seed and row of ROWS.

    None: of a size without the study.
    """
    tables = [
        record.slices.assign(system=record.name, seed=record.facts["seed"], change="")
        for record in (study.made if study else ())
        if not record.facts["changes"]
    ]
    if not tables:
        return pd.DataFrame(columns=[*NAMED, *OF_SLICES, "dice"])
    return with_rows(pd.concat(tables, ignore_index=True))


def whole_scans(study: Study | None) -> pd.DataFrame:
    """The scans of all its records, as `lunch.all_scans` gives them."""
    return study.cases if study else pd.DataFrame(columns=[*NAMED, *MEASURED])


def where_it_clicks(study: Study | None) -> pd.DataFrame:
    """What the classifiers know of *whether*, and of *where*: `where_maps_point`, over seeds."""
    if study is None or not study.made:  # what nobody was asked about need not be drawn
        return pd.DataFrame()
    table = where_maps_point(study.made, CLASSIFIERS, study.slices, study.cohort)
    return table.groupby(level="system", sort=False).mean().rename_axis("System")


def tested_slices(study: Study | None) -> int:
    """How many slices the test scans have; those that `slice_cases` lacks are rightly empty."""
    if study is None or not study.made:
        return 0
    return len(study.slices.rows_of(cohort_split(study.profile, study.cohort).test))


def automatic_table(scans: pd.DataFrame, slices: pd.DataFrame, tested: int) -> pd.DataFrame:
    """Who was told where, and who works alone; rows in the order of ROWS, as far as there are any.

    scans: `lunch.all_scans`; slices: `slice_cases`; tested: `tested_slices`. Columns: track; dice
    of whole scans (deviation over seeds, 95 % interval over patients); shown: Dice over the slices
    with the target; every: over all slices, an empty answer to an empty slice counts one; missed:
    percent of the slices with the target that got no mask in it; false_alarms: percent of the
    others that got one; seeds. Places are within a track.
    """
    scans = with_rows(scans)
    if scans.empty:
        return pd.DataFrame()
    summary = over_seeds(scans, "dice").set_index("system")
    interval = patient_interval(scans, "dice").set_index("system")
    columns = {"dice": summary["mean"], "dice_deviation": summary["deviation"]}
    columns |= {"dice_low": interval["low"], "dice_high": interval["high"]}
    counted = {name: _counted(own, tested) for name, own in slices.groupby("system")}
    columns |= pd.DataFrame.from_dict(counted, orient="index").to_dict("series")
    table = pd.DataFrame(columns).assign(seeds=summary["seeds"])
    table = table.loc[[name for name in ROWS if name in table.index]]
    table.insert(0, "track", [told(name) for name in table.index])
    for column, sign in (("dice", -1), ("shown", -1), ("every", -1), ("false_alarms", 1)):
        of_track = (sign * table[column].round(4)).groupby(table["track"])
        places = of_track.rank(method="dense")
        table[f"{column}_place"] = places.where(of_track.transform("count") > 1)
    return table.rename_axis("System")


def _counted(slices: pd.DataFrame, tested: int) -> Mapping[str, float]:
    """Over the slices of one row of ROWS; each seed has all of the tested ones."""
    seeds = slices["seed"].nunique()
    shown, others = slices[slices["label"] == 1], slices[slices["label"] == 0]
    empty = tested * seeds - len(shown)  # slices without the target
    right = empty - len(others)  # of them, those that got no mask
    return {
        "shown": shown["dice"].mean(),
        "every": (slices["dice"].sum() + right) / (tested * seeds),
        "missed": 100 * shown["dice"].eq(0).mean(),
        "false_alarms": 100 * len(others) / empty,
    }


def silence(slices: pd.DataFrame, tested: int) -> float:
    """Dice over every slice of whoever never answers: the share that is rightly empty."""
    shown = slices[slices["label"] == 1].drop_duplicates(["scan", "slice"])
    return 1 - len(shown) / tested if tested else float("nan")


def clicks(slices: pd.DataFrame, system: str) -> pd.DataFrame:
    """Where the clicks of SELF or MIRRORED fell, in the slices that show the target.

    Rows: INSIDE, BESIDE, SILENT. Columns: share, percent of these slices; dice; told_dice: of the
    same network of the same seed in the same slices, told a random point of the target; cost: what
    this kind of click takes from the mean Dice over all of these slices.
    """
    keys = ["seed", "scan", "slice"]
    own, other = (
        slices[slices["system"].eq(name) & slices["label"].eq(1)] for name in (system, TOLD)
    )
    both = own.merge(other[[*keys, "dice"]], on=keys, suffixes=("", "_told"))
    kind = both["hit"].map({1.0: INSIDE, 0.0: BESIDE}).where(both["presence"] > PRESENT, SILENT)
    of_kind = both.groupby(kind)
    lost = (both["dice_told"] - both["dice"]).groupby(kind).sum()
    found = {
        "share": 100 * of_kind.size() / max(1, len(both)),
        "dice": of_kind["dice"].mean(),
        "told_dice": of_kind["dice_told"].mean(),
        "cost": lost / max(1, len(both)),
    }
    return pd.DataFrame(found).reindex([INSIDE, BESIDE, SILENT]).rename_axis("Click")


def questions() -> dict[str, Sequence[tuple[str, str]]]:
    """Pairs of rows by the question that they answer."""
    return {
        "What does a map's click cost?": [(TOLD, SELF), (TOLD, MIRRORED)],
        "Do mirrors help the map to point?": [(MIRRORED, SELF)],
        "Alone, what does Med-SA add to a map?": [(SELF, ALONE), (MIRRORED, ALONE)],
        "Alone, a map's click or a network of masks?": [
            (MIRRORED, "nnU-Net"), (MIRRORED, "TransUNet"),
        ],
    }  # fmt: skip


def automatic_tests(scans: pd.DataFrame) -> pd.DataFrame:
    """All questions about whole scans, corrected together; `lunch_tests.in_words` prints it."""
    return questions_tested(questions(), with_rows(scans), "dice", track_of)
