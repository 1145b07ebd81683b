"""Options that several commands of `samnb` share."""

import os
from typing import Annotated

import typer

ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile", "-p", help="smoke, pocket or paper; or the path of a .yaml of your own."
    ),
]
StudyOption = Annotated[
    str | None,
    typer.Option(
        "--study",
        help="Which study of that size, such as cheap-lunch-brats; else SAM-Mix.",
        show_default=False,
    ),
]
CohortOption = Annotated[
    list[str] | None,
    typer.Option("--cohort", "-c", help="Only this cohort of the profile; repeat for several."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", "-w", min=1, help="Processes at once; all cores if not given."),
]


def worker_count(asked: int | None) -> int:
    """The number asked for, else the cores this process may use."""
    if asked:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
