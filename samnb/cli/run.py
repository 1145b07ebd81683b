"""`samnb run` and `samnb runs`: train and test systems, and see what has been made."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from samnb.base.errors import SamnbError
from samnb.base.files import sha256
from samnb.cli.options import ProfileOption, StudyOption

if TYPE_CHECKING:  # to import it means to import PyTorch, seconds
    from samnb.studies import Profile

SystemArgument = Annotated[
    str | None,
    typer.Argument(
        help="sam-mix, sam-pp, classifier, ...; `samnb runs` lists them.", show_default=False
    ),
]
LabelsOption = Annotated[
    int | None,
    typer.Option(
        "--labels", "-l", min=0, help="Slices whose masks may be used; none: all, or image labels."
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", "-s", min=0, help="Only this seed; else all the profile's.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; repeat for several."),
]
AllOption = Annotated[
    bool,
    typer.Option("--all", help="Every run behind the book's tables; with a system, its own."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Make it anew, even if it is fresh.")]
EventsOption = Annotated[bool, typer.Option("--events", help="Keep files for TensorBoard.")]
WorkersOption = Annotated[
    int, typer.Option("--workers", "-w", min=1, help="Runs at once, each with one thread.")
]


def run(
    system: SystemArgument = None,
    labels: LabelsOption = None,
    seed: SeedOption = None,
    profile: ProfileOption = "pocket",
    study: StudyOption = None,
    changes: SetOption = None,
    every: AllOption = False,
    force: ForceOption = False,
    events: EventsOption = False,
    workers: WorkersOption = 1,
) -> None:
    """Train a system, test it, and keep a record of it.

    A run that is there and fresh is only loaded; one whose settings, data or code have changed is
    made anew. Stopped by Ctrl-C or a power cut, the same command goes on where it was, to the very
    same result.

    Example: [cyan]samnb run sam-mix --labels 50 --seed 3[/cyan]

    Example: [cyan]samnb run sam-mix -l 50 -s 1 --set prompting.threshold=0.3[/cyan]

    Example: [cyan]samnb run cheap-lunch -l 9 --study cheap-lunch-synapse[/cyan]

    Several runs at a time: one that fails leaves the others going.

    Example: [cyan]samnb run sam-mix --all[/cyan]

    Example: [cyan]samnb run --all --workers 4[/cyan]
    """
    if (system is None and not every) or (
        every and (labels is not None or changes or force or events)
    ):
        raise SamnbError(
            "Say which system to run; --all goes with a system, a seed or nothing.",
            "for example: samnb run sam-mix --labels 50",
        )
    from samnb.runs.runner import make_each
    from samnb.runs.runner import make_record as make
    from samnb.studies import load_profile

    chosen = load_profile(profile, study)
    if every:
        asked = _planned(chosen, system, seed)
    else:
        _require_taught(chosen, profile, system)
        asked = _asked(chosen, system, labels, seed, changes)
    watched = sys.stderr.isatty()
    if force or events:
        results = ((each, make(each, watched, force, events)) for each in asked)
    else:
        results = make_each(asked, workers, watched)
    failed = []
    for each, result in results:
        if not isinstance(result, Exception):
            _print_result(result, _tested(chosen))
        elif len(asked) == 1:
            raise result
        else:
            failed.append(each)
            print(f"failed: {each}: {result}", file=sys.stderr, flush=True)
    if failed:
        raise SamnbError(
            f"{len(failed)} of {len(asked)} runs failed; the others are made.",
            "mend what is said above, then the same command: it makes only what is not there.",
        )


def _asked(
    chosen: "Profile",
    system: str,
    labels: int | None,
    seed: int | None,
    changes: list[str] | None,
) -> list:
    """Runs of one system with one number of labels: of the seed, or of all the profile's."""
    from samnb.runs.run import Run
    from samnb.runs.runner import label_counts

    if labels is None and label_counts(chosen, system) == [0]:
        labels = 0  # image labels are all it asks for
    seeds = chosen.seeds if seed is None else (seed,)
    return [Run(chosen, system, labels, each, tuple(changes or ())) for each in seeds]


def _require_taught(chosen: "Profile", profile: str, system: str) -> None:
    """The profile has to say how the system learns; else the studies that do are named."""
    from samnb.studies import studies_of
    from samnb.systems.registry import find_system

    known = find_system(system)
    if known.learning in chosen.learning:
        return
    able = [name for name, each in studies_of(profile).items() if known.learning in each.learning]
    raise SamnbError(
        f"The profile {chosen.name} does not say how {known.title} learns.",
        f"name a study that does: --study {' or '.join(able).replace('_', '-')}."
        if able
        else f"add {known.learning} to `learning` in it, or choose another profile.",
    )


def _planned(chosen: "Profile", system: str | None, seed: int | None) -> list:
    """Runs behind the book's tables: all, or those of the system or the seed."""
    from samnb.runs.runner import plan

    name = system and system.replace("-", "_").lower()
    found = [
        each for each in plan(chosen) if name in (None, each.system) and seed in (None, each.seed)
    ]
    if not found:
        raise SamnbError(
            f"No run of {system or f'seed {seed}'} is behind the book's tables.",
            "`samnb runs` lists them; without --all, any system can be run.",
        )
    return found


def _tested(profile: "Profile") -> list[str]:
    """Cohorts with test patients."""
    return [name for name, sizes in profile.data.splits.items() if sizes.test]


def _print_result(record, cohorts: list[str]) -> None:
    from samnb.runs.records import RECORD

    facts = record.facts
    dice = ", ".join(f"{cohort} {facts['summary'][cohort]['dice']:.3f}" for cohort in cohorts)
    changes = "".join(f" {change}" for change in facts["changes"])
    exactly = sha256(record.folder / RECORD)[:8]  # another record, another text
    where = f"{record.folder} (record {exactly})"
    print(
        f"{record.name}{changes}, seed {facts['seed']}: Dice {dice}{_by_whom(record)}; {where}",
        flush=True,
    )


def _by_whom(record) -> str:
    """Whose prompts the Dice rests on, where it is an oracle's."""
    return f" (oracle: {record.facts['users'][0]})" if record.is_prompted else ""


runs_app = typer.Typer(
    help="Runs of a profile: which are there, and the answers that they keep.",
    invoke_without_command=True,
)


@runs_app.callback()
def runs(
    context: typer.Context, profile: ProfileOption = "pocket", study: StudyOption = None
) -> None:
    """List the runs of a profile: what is there, what is stale, what is still missing.

    Fresh: made by this code. Certified: by an older one that computes the same (`samnb certify`).

    Dice is the mean over the test slices of each cohort; seconds are those of the training.

    Example: [cyan]samnb runs --profile smoke[/cyan]

    Example: [cyan]samnb runs --study cheap-lunch-brats[/cyan]
    """
    if context.invoked_subcommand:
        return
    from samnb.runs.records import all_records, read_record, run_of
    from samnb.runs.runner import plan, state
    from samnb.studies import load_profile

    chosen = load_profile(profile, study)
    planned = plan(chosen)
    others = [run_of(record, chosen) for record in all_records(chosen)]
    cohorts = _tested(chosen)
    heads = "".join(f" {cohort[:16]:>16}" for cohort in cohorts)
    print(f"{'system':<16} {'labels':>6} {'seed':>4}  {'state':<9}{heads} {'seconds':>8}")
    for each in planned + [run for run in others if run not in planned]:
        record = read_record(each)
        labels = "all" if each.labels is None else each.labels
        line = f"{each.system:<16} {labels:>6} {each.seed:>4}  {state(each):<9}"
        if record:
            for cohort in cohorts:
                line += (
                    f" {record.facts['summary'].get(cohort, {}).get('dice', float('nan')):16.3f}"
                )
            line += f" {record.facts['seconds']['training']:8.0f}{_by_whom(record)}"
        print(line + (f"  {' '.join(each.changes)}" if each.changes else ""))


@runs_app.command()
def others() -> None:
    """List results that are no records: tables that need pixels or hours, and their state.

    Looks at all data they come from; phantoms and slices that are not there yet are made first.

    Example: [cyan]samnb runs others[/cyan]
    """
    from samnb.runs.derived import DERIVED, standing

    for file, made in DERIVED.items():
        state, why = standing(file)
        print(f"{file:<32} {state:<9} {why or ''}" + (f"; {made.command}" if why else ""))


@runs_app.command()
def answers(profile: ProfileOption = "pocket", study: StudyOption = None) -> None:
    """Give records the answers they lack, where the trained weights are still at hand.

    A record keeps the masks of all test slices, so that a new metric or rule is measured without
    training. Records from before answers were kept get them here, or when they are next made.

    Example: [cyan]samnb runs answers --profile pocket[/cyan]
    """
    from samnb.runs.records import all_records, run_of
    from samnb.runs.remeasure import keep_answers
    from samnb.runs.runner import load_method, state, weights_at_hand
    from samnb.studies import load_profile

    chosen = load_profile(profile, study)
    counts = dict.fromkeys(("have them", "got them", "no weights at hand", "stale"), 0)
    for record in all_records(chosen):
        asked = run_of(record, chosen)
        if record.answers:
            counts["have them"] += 1
        elif state(asked) == "stale":
            counts["stale"] += 1
        elif not weights_at_hand(asked):
            counts["no weights at hand"] += 1
        else:
            watched = sys.stderr.isatty()
            keep_answers(asked, record, load_method(asked, watched), watched)
            counts["got them"] += 1
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
