"""Table 3 of Med-SA: what attention over depth and adapters that know the prompt are worth.

The whole system is the profile's own: attention over depth (SD-Trans), and weights made from the
prompt (HyP-Adpt). The others are runs with changed settings.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from samnb.evaluation.statistics import over_seeds
from samnb.reports.med_sa import TASKS, of_task
from samnb.reports.paper_med_sa import row_name

SYSTEM = "Med-SA"
PROMPT = "med_sa.adapters.prompt"
# Either takes the slices of a volume apart: patches of one slice, or no attention over depth.
FLAT = {"med_sa.thickness": "1", "med_sa.adapters.depth": "none"}


class Variant(NamedTuple):
    """Whether slices see one another, and how the prompt enters the adapters."""

    depth: bool
    prompt: str


WHOLE, WHOLE_TITLE = Variant(True, "hyper"), "SD-Trans, HyP-Adpt: Med-SA"
VARIANTS = {
    "adapters alone": Variant(False, "none"),
    "SD-Trans": Variant(True, "none"),
    "SD-Trans, prompt added": Variant(True, "addition"),
    "SD-Trans, prompt concatenated": Variant(True, "concatenation"),
    WHOLE_TITLE: WHOLE,
    "HyP-Adpt, slice by slice": Variant(False, "hyper"),
}


def variant_of(change: str) -> Variant | None:
    """The variant that a change (`run.slug`) makes of Med-SA; None: something else is changed."""
    settings = dict(part.partition("=")[::2] for part in change.split(",") if part)
    if any(name != PROMPT and FLAT.get(name) != value for name, value in settings.items()):
        return None
    return Variant(FLAT.keys().isdisjoint(settings), settings.get(PROMPT, WHOLE.prompt))


def ablation_cases(cases: pd.DataFrame, task: str, user: str) -> pd.DataFrame:
    """A patient's means of every variant, its title as `system`; of one user.

    A picture has no depth: there a variant stands for its twin with SD-Trans or without, too. Of
    several runs of one variant the first counts.
    """
    own = cases[cases["task"].eq(task) & cases["row"].eq(row_name(SYSTEM, user))]
    changes = {change: variant_of(change) for change in own["change"].unique()}
    tables = []
    for title, wanted in VARIANTS.items():
        found = [
            change
            for change, variant in changes.items()
            if variant is not None and _stands_for(variant, wanted, TASKS[task].volumes)
        ]
        for change in found[:1]:
            tables.append(of_task(own, task, change).assign(system=title))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["system"])


def ablation_table(cases: pd.DataFrame, user: str = "random point") -> pd.DataFrame:
    """Table 3: a row per variant, a column of Dice per task, with its deviation over seeds.

    cases: of `med_sa.all_cases`. The paper's numbers are in no reachable text, and it does not say
    which prompt its table has. Columns before the tasks: depth and prompt, in words.
    """
    columns: dict[str, Mapping[str, float]] = {}
    for task in TASKS:
        of_variants = ablation_cases(cases, task, user)
        if of_variants.empty:
            columns |= {task: {}, f"{task}_deviation": {}}
            continue
        summary = over_seeds(of_variants, "dice").set_index("system")
        columns |= {task: summary["mean"], f"{task}_deviation": summary["deviation"]}
    table = pd.DataFrame({name: pd.Series(found, dtype=float) for name, found in columns.items()})
    table = table.reindex(list(VARIANTS)).rename_axis("Variant")
    table.insert(0, "prompt", [variant.prompt for variant in VARIANTS.values()])
    depths = ["joined" if variant.depth else "none" for variant in VARIANTS.values()]
    table.insert(0, "depth", depths)
    return table


def _stands_for(variant: Variant, wanted: Variant, volumes: bool) -> bool:
    return variant == wanted or (not volumes and variant.prompt == wanted.prompt)
