"""`samnb stock-nnunet`: the published nnU-Net itself on the same slices, to check ours by."""

import sys
from typing import Annotated

import typer

from samnb.cli.options import ProfileOption, StudyOption, WorkersOption, worker_count

LabelsOption = Annotated[
    int | None,
    typer.Option("--labels", "-l", min=0, help="Slices whose masks may be used; none: all."),
]
SeedOption = Annotated[int, typer.Option("--seed", "-s", min=0, help="Of weights and batches.")]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", "-e", min=1, help="If not given, as many as ours has.")
]
IterationsOption = Annotated[
    int | None,
    typer.Option("--iterations", "-i", min=1, help="Steps in an epoch; else as many as ours has."),
]


def stock_nnunet(
    labels: LabelsOption = None,
    seed: SeedOption = 1,
    profile: ProfileOption = "pocket",
    study: StudyOption = None,
    epochs: EpochsOption = None,
    iterations: IterationsOption = None,
    workers: WorkersOption = None,
) -> None:
    r"""Check our nnU-Net by the published one: the package nnunetv2 on the very same slices.

    It plans, prepares, trains and predicts by its own code; slices, split and measures are those of
    `samnb run nnunet`. The table sets both side by side: Dice at home and on the other cohorts.
    Nothing is kept from an earlier call with the same labels and seed.

    Needs the package: pip install 'samnb\[nnunet]'. A few iterations show that all of it works, not
    how good it is. Its own schedule is --epochs 1000 --iterations 250: a day on a GPU. There,
    nnUNet_n_proc_DA=12 in the environment has as many processes make the batches.

    Example: [cyan]samnb stock-nnunet --labels 50 --epochs 2 --iterations 5[/cyan]

    Example: [cyan]samnb run nnunet --labels 50 && samnb stock-nnunet --labels 50[/cyan]
    """
    from samnb.runs.run import Run
    from samnb.runs.stock_nnunet import compare, results_folder
    from samnb.studies import load_profile

    run = Run(load_profile(profile, study), "nnunet", labels, seed)
    table = compare(run, epochs, iterations, worker_count(workers), sys.stderr.isatty())
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if not (table["system"] == "nnU-Net, ours").any():
        asked = "" if labels is None else f" --labels {labels}"
        asked += f" --profile {profile}" + (f" --study {study}" if study else "")
        print(f"Ours has no record yet: samnb run nnunet{asked}")
    print(f"Written to {results_folder(run)}")
