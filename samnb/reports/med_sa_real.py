"""Med-SA on real images: tables of its own, and which orders of the paper hold there.

A set is what one study measured of one cohort. Pictures count where they show the target, as nobody
prompts what is not there; volumes count whole, in millimetres. Of the sets the paper has nothing,
so no column of its stands beside ours.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from samnb.reports.lunch import AUTOMATIC, all_scans
from samnb.reports.lunch_real import every_slice
from samnb.reports.lunch_tests import questions_tested
from samnb.reports.med_sa import (
    FLAT,
    PROMPTED,
    Task,
    all_cases,
    of_task,
    own_table,
    track_of,
)
from samnb.reports.med_sa_ablation import Variant, variant_of
from samnb.reports.med_sa_tests import OWN
from samnb.reports.paper_med_sa import prompt_users, row_name
from samnb.runs.records import Record, all_records
from samnb.studies import Profile, load_profile

FEWEST = 4  # patients of a verdict: of fewer all lean one way by luck, one time in four or more
TOO_FEW, UNRANKED = "too few patients to say", "not ranked"
BY_SLICE = Variant(depth=False, prompt="hyper")
ALONE = "Told where, against working alone?"


class RealSet(NamedTuple):
    """Which study of the size "real" measured it, of which cohort, and whether in volumes."""

    study: str
    cohort: str
    volumes: bool = False


SETS = {
    "belly, MR volumes": RealSet("med-sa-organs", "mr", volumes=True),
    "brains, MR volumes": RealSet("med-sa-brain-3d", "brain", volumes=True),
    "brains, FLAIR slices": RealSet("med-sa-flair", "du"),
    "brains, another institution": RealSet("med-sa-flair", "cs"),
    "skin": RealSet("med-sa-skin", "skin"),
    "polyps": RealSet("med-sa-polyp", "polyp"),
}


def read_real_cases(size: str = "real") -> pd.DataFrame:
    """What the records of the real studies measured; as `real_cases` of all that are there."""
    made = {}
    for name in dict.fromkeys(settings.study for settings in SETS.values()):
        profile = load_profile(size, name)
        made[name] = (all_records(profile), profile)
    return real_cases(made)


def real_cases(made: dict[str, tuple[Iterable[Record], Profile]]) -> pd.DataFrame:
    """As `med_sa.all_cases`, the task being a name of SETS; made: by study.

    Med-SA without attention over depth is a system of its own there, "Med-SA (2D)".
    """
    scans = {}
    for title, settings in SETS.items():
        if settings.study in made:
            scans[title] = _measured(*made[settings.study], settings)
    tasks = {title: Task((title,), volumes=settings.volumes) for title, settings in SETS.items()}
    return all_cases(scans, tasks)


def _measured(records: Iterable[Record], profile: Profile, settings: RealSet) -> pd.DataFrame:
    if settings.volumes:
        cases = all_scans(records, profile)
    else:
        cases = every_slice(records, profile)
        cases = cases[cases["label"] == 1].drop(columns=["hd95"], errors="ignore")
    cases = cases[cases["cohort"] == settings.cohort]
    flat = cases["system"].eq(OWN) & cases["change"].map(_is_by_slice).astype(bool)
    return cases.assign(
        system=cases["system"].mask(flat, OWN + FLAT), change=cases["change"].mask(flat, "")
    )


def _is_by_slice(change: str) -> bool:
    return variant_of(change) == BY_SLICE


def set_table(cases: pd.DataFrame, title: str, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """One set: a row per system and user; see `med_sa.own_table`. Empty without cases."""
    if not cases["task"].eq(title).any():
        return pd.DataFrame()
    return own_table(cases, title, SETS[title].volumes, seeds)


def sets_overview(cases: pd.DataFrame, users: Sequence[str]) -> pd.DataFrame:
    """Dice by system (rows) and set (columns), of who was told by these users, or by nobody.

    Places are within a track of a set; a set without cases has no column.
    """
    columns = {}
    for title in SETS:
        table = set_table(cases, title)
        if len(table):
            columns |= {title: table["dice"], f"{title}_place": table["dice_place"]}
    if not columns:
        return pd.DataFrame()
    rows = list(dict.fromkeys(name for column in columns.values() for name in column.index))
    told = {row_name(system, user) for user in users for system in (*PROMPTED, OWN + FLAT)}
    wanted = [name for name in rows if track_of(name) == AUTOMATIC or name in told]
    return pd.DataFrame(columns).reindex(wanted).rename_axis("System")


def real_questions(rows: Sequence[str] = ()) -> dict[str, list[tuple[str, str]]]:
    """The orders of the paper as pairs, the one that should lead first; rows: what has cases.

    The last question is none of order: whoever was told gets numbers, and no verdict, beside who
    works alone.
    """
    users = list(prompt_users().values())
    boxes = [user for user in users if user.startswith("box")]
    points = [user for user in users if user not in boxes]

    def by_user(first: str, second: str) -> list[tuple[str, str]]:
        return [(row_name(first, user), row_name(second, user)) for user in users]

    return {
        "Med-SA above MedSAM?": by_user(OWN, "MedSAM"),
        "MedSAM above SAM?": by_user("MedSAM", "SAM"),
        "Med-SA above SAM?": by_user(OWN, "SAM"),
        "A box above points, of Med-SA?": [
            (row_name(OWN, box), row_name(OWN, point)) for box in boxes for point in points
        ],
        "Depth above none?": by_user(OWN, OWN + FLAT),
        ALONE: [
            (row_name(OWN, user), name)
            for user in users for name in rows if track_of(name) == AUTOMATIC
        ],
    }  # fmt: skip


def set_tests(cases: pd.DataFrame, title: str, metric: str = "dice") -> pd.DataFrame:
    """All questions about one set, corrected together; see `lunch_tests.paired_tests`.

    With fewer than FEWEST patients nobody leads, and nothing is a tie: it is TOO_FEW.
    """
    chosen = of_task(cases, title)
    asked = real_questions(chosen["system"].unique())
    table = questions_tested(asked, chosen, metric, track_of)
    if chosen["patient"].nunique() < FEWEST:
        ranked = ~table["better"].str.startswith(UNRANKED)
        table["better"] = table["better"].mask(ranked, TOO_FEW)
    return table
