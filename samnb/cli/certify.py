"""`samnb certify`: may the code change without making every result again?"""

from typing import Annotated

import typer

from samnb.base.errors import SamnbError

BaseArgument = Annotated[
    str, typer.Argument(help="A commit whose records are fresh: of a branch, HEAD~3, a hash.")
]
ProfilesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        "-p",
        help="Only this profile, such as pocket or pocket_lunch_brats; repeat for several. "
        "Else all with records.",
    ),
]


RenamedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--renamed", help="A name that is another now, as old=new; repeat. It must be no more than "
        "that: no tree may know both.",
    ),
]  # fmt: skip


def certify(
    base: BaseArgument, profile: ProfilesOption = None, renamed: RenamedOption = None
) -> None:
    """Compare the code with that of an older commit, and certify what computes the same.

    Every kind of run is rehearsed with both, cut to a few steps, and compared bit for bit: plan,
    slices, weights, batches, losses, answers, measures. Then one whole run, drawn by the hash of
    the code. What agrees keeps its records (they are *certified*); what differs, or has changed in
    lines that no rehearsal passes, is stale. Adds a line to results/certificates.jsonl.

    Killed and started again, it goes on where it was.

    Example: [cyan]samnb certify main~1 --profile pocket[/cyan]
    """
    from samnb.runs.certification.certify import certify as compare
    from samnb.runs.records import all_records
    from samnb.studies import load_profile, names

    chosen = [load_profile(name) for name in profile or names()]
    if not profile:
        chosen = [each for each in chosen if all_records(each)]
    if not chosen:
        raise SamnbError("No profile has records.", "name one: samnb certify BASE --profile smoke")
    line = compare(base, chosen, renamed=dict(_names(each) for each in renamed or ()))
    for name, reason in line["refused"].items():
        print(f"refused  {name}: {reason}")
    for run, said in line["drawn"].items():
        print(f"drawn    {run}: {said}")
    print(f"{len(line['runs'])} kinds of run and the slices of {len(line['slices'])} profiles "
          f"certified, {len(line['refused'])} refused, in {line['seconds']} s.")  # fmt: skip


def _names(text: str) -> tuple[str, str]:
    old, sign, new = text.partition("=")
    if not (old and sign and new):
        raise SamnbError(f"'{text}' renames nothing.", "write it as old=new.")
    return old, new
