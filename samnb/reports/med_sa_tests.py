"""Is Med-SA better than others, and one user than another, on the same patients?

The rule of `lunch_tests`: what other patients or other seeds could turn round is a tie. Whoever was
told where gets numbers, and no verdict, beside who works alone.
"""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from samnb.reports.lunch import AUTOMATIC
from samnb.reports.lunch_tests import questions_tested
from samnb.reports.med_sa import PROMPTED, TASKS, of_task, track_of
from samnb.reports.med_sa_ablation import VARIANTS, WHOLE_TITLE, ablation_cases
from samnb.reports.paper_med_sa import prompt_users, row_name

OWN = "Med-SA"


def questions(rows: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Pairs of rows by the question that they answer; rows: those that have cases."""
    users = list(prompt_users().values())
    alone = [name for name in rows if track_of(name) == AUTOMATIC]
    found = {
        "Do adapters teach as well as the whole SAM?": _pairs(OWN, "MedSAM", users),
        "What do adapters teach a frozen SAM?": _pairs(OWN, "SAM", users),
        "Told where, against working alone?": [
            (row_name(OWN, user), name) for user in users for name in alone
        ],
    }
    for system in PROMPTED:
        pairs = [(row_name(system, second), row_name(system, first))
                 for first, second in combinations(users, 2)]  # fmt: skip
        found[f"How should {system} be asked?"] = pairs
    return found


def _pairs(first: str, second: str, users: Sequence[str]) -> list[tuple[str, str]]:
    return [(row_name(first, user), row_name(second, user)) for user in users]


def task_tests(cases: pd.DataFrame, task: str, metric: str = "dice") -> pd.DataFrame:
    """All questions about one task, corrected together; see `lunch_tests.paired_tests`.

    cases: of `med_sa.all_cases`; metric: dice, iou or hd95_voxels. The question is the index;
    `lunch_tests.in_words` prints it.
    """
    chosen = of_task(cases, task)
    return questions_tested(questions(chosen["system"].unique()), chosen, metric, track_of)


def ablation_tests(cases: pd.DataFrame, user: str = "random point") -> pd.DataFrame:
    """The whole Med-SA against every variant that lacks something; the task is the index.

    p is corrected within a task. Of a picture SD-Trans is nothing that could be missing.
    """
    tables = []
    for task, settings in TASKS.items():
        found = ablation_cases(cases, task, user)
        others = [name for name, variant in VARIANTS.items()
                  if name != WHOLE_TITLE and (settings.volumes or variant.depth)]  # fmt: skip
        pairs = {task: [(WHOLE_TITLE, name) for name in others]}
        tables.append(questions_tested(pairs, found, track=lambda name: OWN))
    return pd.concat([each for each in tables if len(each)] or tables[:1])
