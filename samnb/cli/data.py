"""`samnb data …`: phantoms, downloads, checks, slices and volumes ready for training."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from samnb.base.errors import SamnbError
from samnb.cli.options import CohortOption, ProfileOption, StudyOption, WorkersOption, worker_count

if TYPE_CHECKING:  # to import it means to import PyTorch, seconds
    from samnb.studies import Profile

app = typer.Typer(
    help="Phantoms, downloads, checks, slices and volumes ready for training.",
    no_args_is_help=True,
)

LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout", "-l", help="lits, totalsegmentator, decathlon or folder; else found out."
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", "-t", help="What is to be segmented: an organ's name, or 'any'."),
]
PatientOption = Annotated[
    str | None,
    typer.Option(
        "--patient",
        "-p",
        help="Regular expression that finds the patient in a file's name (layout folder).",
    ),
]


@app.command()
def phantom(
    profile: ProfileOption = "pocket",
    study: StudyOption = None,
    cohort: CohortOption = None,
    workers: WorkersOption = None,
) -> None:
    """Write the phantom cohorts of a profile: made-up patients, in the real data sets' layout.

    They come from the profile's seed alone: the same seed writes the same bytes. Patients that are
    there already are kept, so a run that was stopped goes on where it was.

    Example: [cyan]samnb data phantom --profile smoke[/cyan]
    """
    from samnb.phantoms import write_cohort
    from samnb.studies import load_profile
    from samnb.studies.cohorts import cohort_place

    chosen = load_profile(profile, study)
    for name in cohort_names(chosen, cohort):
        settings = chosen.data.cohorts[name].phantom
        if settings is None:
            raise SamnbError(
                f"{name} has no phantoms in the profile {chosen.name}: it is real data.",
                "`samnb doctor` says where it should lie; or choose --profile pocket.",
            )
        folder = cohort_place(chosen, name)
        write_cohort(
            settings.kind,
            folder,
            settings.patients,
            settings.side,
            chosen.seed,
            worker_count(workers),
            _terminal(),
        )
        print(f"{name}: {settings.patients} phantoms in {folder}")


@app.command()
def get(
    name: Annotated[str | None, typer.Argument(help="The data set; none lists them all.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", "-f", help="Where to; else where profiles look.")
    ] = None,
) -> None:
    """Download a real data set, or say step by step how to get access to it.

    What may be downloaded is fetched with its checksum, and continued where it stopped. For what
    wants a registration, the steps and the folder to put it in are printed.

    Example: [cyan]samnb data get[/cyan] to see the list, [cyan]samnb data get lits[/cyan] for one
    """
    from samnb.data import download

    if name is None:
        for known, source in download.sources().items():
            way = "downloads" if source.url else "by registration"
            print(f"{known:<24} {source.gigabytes:>7.1f} GB  {way:<15}  {source.title}")
        return
    download.get(name, folder, progress=_terminal())


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="The folder the scans lie in.")],
    layout: LayoutOption = None,
    target: TargetOption = None,
    patient: PatientOption = None,
) -> None:
    """Read a folder of scans wholly and explain every fault in it, with its remedy.

    Finds truncated files, images and masks that do not fit each other, missing partners, values
    that should not occur, the same scan twice. Changes nothing; exit code 1 if there are faults.

    Example: [cyan]samnb data check ~/scans --target liver[/cyan]
    """
    from samnb.data.check import check_folder, detect_layout

    found = layout or detect_layout(folder)
    faults = check_folder(found, folder, target, _rules(folder, patient), _terminal())
    _report_faults(faults)
    if faults:
        raise typer.Exit(1)
    print(f"{folder}: no fault found (layout {found}).")


@app.command()
def prepare(
    profile: ProfileOption = "pocket",
    study: StudyOption = None,
    cohort: CohortOption = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", "-f", help="A folder of your own instead of the cohorts."),
    ] = None,
    layout: LayoutOption = None,
    target: TargetOption = None,
    patient: PatientOption = None,
    workers: WorkersOption = None,
) -> None:
    """Cut scans into slices, ready for training: windowed, upright, on a square grid, cached.

    Of a study whose view is volumes it makes those, as `samnb data volumes` does.

    Done once for each set of scans and settings; a run that was stopped goes on where it was. Bad
    scans are listed and left out, the others are finished; exit code 1 says that some were bad.

    Example: [cyan]samnb data prepare --profile smoke[/cyan]

    Example: [cyan]samnb data prepare --folder ~/scans --target liver --patient '(P[0-9]+)_'[/cyan]
    """
    from samnb.studies import load_profile

    chosen = load_profile(profile, study)
    if folder is not None:
        rules = _rules(folder, patient)
        faults = _prepare_folder(chosen, folder, layout, target, rules, worker_count(workers))
    else:
        faults = _prepare_cohorts(chosen, cohort, worker_count(workers))
    _report_faults(faults)
    if faults:
        raise typer.Exit(1)


@app.command()
def volumes(
    profile: ProfileOption = "pocket",
    study: StudyOption = None,
    cohort: CohortOption = None,
    workers: WorkersOption = None,
) -> None:
    """Make whole volumes of scans, for systems that see them in 3D: windowed, on one grid, cached.

    The grid is that of `data.volumes` in the profile: `spacing` in mm and `size` in voxels, both
    for slices, rows and columns; a volume that has no size keeps that of its scan. Masks go by the
    nearest voxel, images by linear interpolation.

    Done once for each set of scans and settings; a run that was stopped goes on where it was. Bad
    scans are listed and left out, the others are finished; exit code 1 says that some were bad.

    Example: [cyan]samnb data volumes --profile mine.yaml --cohort lits[/cyan]
    """
    from samnb.studies import load_profile
    from samnb.studies.cohorts import prepare_cohort_volumes

    chosen = load_profile(profile, study)
    faults = []
    for name in cohort_names(chosen, cohort):
        made, found = prepare_cohort_volumes(chosen, name, worker_count(workers), _terminal())
        _report_volumes(name, made)
        faults += found
    _report_faults(faults)
    if faults:
        raise typer.Exit(1)


def _prepare_cohorts(profile: "Profile", cohort: list[str] | None, workers: int) -> list:
    """Slices or volumes, as the profile's view says."""
    from samnb.studies.cohorts import prepare_cohort, prepare_cohort_volumes
    from samnb.studies.volumes import sees_volumes

    whole = sees_volumes(profile)
    prepare_seen = prepare_cohort_volumes if whole else prepare_cohort
    faults = []
    for name in cohort_names(profile, cohort):
        made, found = prepare_seen(profile, name, workers, progress=_terminal())
        (_report_volumes if whole else _report_slices)(name, made)
        faults += found
    return faults


def _prepare_folder(
    profile: "Profile", folder: Path, layout: str | None, target: str | None, rules, workers: int
) -> list:
    from samnb.base.paths import data_root
    from samnb.data.check import detect_layout, usual_target
    from samnb.data.layouts import list_scans
    from samnb.data.slices import prepare as prepare_scans

    layout = layout or detect_layout(folder)
    scans = list_scans(layout, folder, target or usual_target(layout, folder), rules)
    root = data_root() / "cache" / "slices"
    slices, faults = prepare_scans(scans, profile.data.slices, root, workers, _terminal())
    _report_slices(str(folder), slices)
    return faults


def _rules(folder: Path, patient: str | None):
    """Those of the folder's `cohort.yaml`, but for patients as asked; None if nothing is asked."""
    from samnb.data.layouts.plain_folder import read_rules

    if patient is None:
        return None
    try:
        re.compile(patient)
    except re.error as error:
        raise SamnbError(f"--patient: {error} in {patient}.", "correct the expression.") from error
    return replace(read_rules(folder), patient=patient)


def _report_slices(name: str, slices) -> None:
    shown = int((slices.index["label"] == 1).sum())
    print(
        f"{name}: {len(slices)} slices of {len(slices.patients)} patients, "
        f"{shown} with the target, in {slices.folder}"
    )


def _report_volumes(name: str, made) -> None:
    shown = int((made.index["label"] == 1).sum())
    sizes = sorted({made.geometry(row).size for row in range(len(made))})
    size = " × ".join(map(str, sizes[0])) if len(sizes) == 1 else f"{len(sizes)} sizes in"
    print(
        f"{name}: {len(made)} volumes of {len(made.patients)} patients, {shown} with the target, "
        f"{size} voxels, in {made.folder}"
    )


def _report_faults(faults: list) -> None:
    for number, fault in enumerate(faults, start=1):
        print(f"{number}. {fault.file}: {fault.fault}\n   Remedy: {fault.remedy}", file=sys.stderr)
    if faults:
        print(f"{len(faults)} fault(s).", file=sys.stderr)


def _terminal() -> bool:
    """Whether someone watches: a progress bar in a log file is noise."""
    return sys.stderr.isatty()


def cohort_names(profile: "Profile", asked: list[str] | None) -> list[str]:
    """The cohorts asked for, or all of the profile."""
    known = profile.data.cohorts
    if unknown := [name for name in asked or [] if name not in known]:
        raise SamnbError(
            f"No cohort '{unknown[0]}' in the profile {profile.name}.",
            f"use {' or '.join(known)}.",
        )
    return asked or list(known)
