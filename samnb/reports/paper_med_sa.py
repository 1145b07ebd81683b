"""The published numbers of Med-SA: table 2 whole, and what sentences say of tables 1 and 3."""

from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from samnb.base.errors import SamnbError

_FILE = Path(__file__).with_name("paper_med_sa.yaml")
ORGANS = "organs"  # the task of table 1, of which only sentences are known
MEASURES = ("dice", "iou", "hd95")


def row_name(system: str, user: str = "") -> str:
    """Of a row of tables: "Swin UNETR", or with the user who told it where "SAM, box 0.5"."""
    return f"{system}, {user}" if user else system


def published_tasks() -> list[str]:
    """The tasks of table 1 and of table 2, in the paper's order."""
    return [ORGANS, *_read()["tasks"]]


def published_task(task: str) -> pd.DataFrame:
    """What the paper prints of one task, one row per system and user, in its order.

    Index: `row_name`. Columns: system, user ("" where nobody prompts), said (the paper's words),
    ours (systems of this book beside it), parameters and trainable (millions), dice and iou (0-1,
    as everywhere in this book; the paper has percent), hd95 (without a unit). NaN where the paper
    has a dash or nothing; `attrs["note"]` says why a whole column is empty.
    """
    if task not in published_tasks():
        raise SamnbError(
            f"Med-SA has no task '{task}'.", f"its tasks are {', '.join(published_tasks())}."
        )
    found = pd.DataFrame([_numbers(row, task) for row in _read()["rows"]])
    found = found.set_index(pd.Index(map(row_name, found["system"], found["user"])))
    found.attrs["note"] = ""
    if task == ORGANS:
        for name, value in _read()["sentences"][ORGANS]["dice"].items():
            found.loc[name, "dice"] = round(value / 100, 6)
        found.attrs["note"] = note(ORGANS)
    return found


def note(table: str) -> str:
    """Why the paper's numbers are missing, of ORGANS (table 1) or "ablation" (table 3)."""
    return _read()["sentences"][table]["note"]


def prompt_users() -> dict[str, str]:
    """The paper's four prompts, and the users of this book that give them (of one picture)."""
    return dict(_read()["users"])


def printed_rows() -> dict[str, list[str]]:
    """The numbers of table 2 as they are printed, by the paper's name of the row."""
    return {row["said"]: row["printed"].split() for row in _read()["rows"]}


def _numbers(row: dict[str, Any], task: str) -> dict[str, Any]:
    """One row of `published_task`."""
    tasks = _read()["tasks"]
    places = [f"{name} {measure}" for name, measures in tasks.items() for measure in measures]
    texts = zip(["parameters", "trainable", *places], row["printed"].split(), strict=True)
    values = {name: float("nan") if text == "-" else float(text) for name, text in texts}
    named = {"system": row["system"], "user": row.get("user", ""), "said": row["said"]}
    named |= {"ours": tuple(row.get("ours", ()))}
    named |= {name: values[name] for name in ("parameters", "trainable")}
    for measure in MEASURES:
        value = values.get(f"{task} {measure}", float("nan"))
        named[measure] = value if measure == "hd95" else round(value / 100, 6)
    return named


@cache
def _read() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))
