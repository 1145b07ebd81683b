"""A run on slices or on volumes, as its profile's view says: learning, testing, measuring."""

from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from samnb.base.errors import SamnbError
from samnb.method import Method
from samnb.runs import examine, train, volumes
from samnb.runs.data import test_cohorts, training_cohort
from samnb.runs.records import Contents
from samnb.runs.run import Run
from samnb.studies.volumes import sees_volumes
from samnb.systems.registry import find_system
from samnb.systems.system import channels_of
from samnb.training.loop import Trained


def train_run(
    run: Run, method: nn.Module, folder: Path, progress: bool = True, events: bool = False
) -> Trained:
    """Train `method` as the run says, from the checkpoint in `folder` if there is one."""
    learn = volumes.train_on_volumes if sees_volumes(run.settings) else train.train
    return learn(run, method, folder, progress, events)


def examine_run(
    run: Run, method: Method, training: dict[str, Any], progress: bool = True
) -> Contents:
    """Test the finished method on every test cohort; training: what its training was like."""
    test = volumes.examine_on_volumes if sees_volumes(run.settings) else examine.examine_run
    return test(run, method, training, progress)


def measure_run(
    run: Run, answers: dict[tuple[str, str], Any]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The table of cases, and the means by cohort."""
    measure = volumes.measure_on_volumes if sees_volumes(run.settings) else examine.measure_run
    return measure(run, answers)


def check_view(run: Run) -> None:
    """Refuse a system that cannot see what the profile shows, and cohorts that it sees unlike."""
    system = find_system(run.system)
    view = "volumes" if sees_volumes(run.settings) else "slices"
    if view not in system.views:
        raise SamnbError(
            f"{system.title} sees {' or '.join(system.views)}, and the profile {run.profile.name} "
            f"shows {view}.",
            "choose another system, or set data.view.",
        )
    _check_channels(run)


def _check_channels(run: Run) -> None:
    """A network that learns from colour is not asked about grey, nor the other way round.

    SAM would not notice: it takes grey for a picture whose three colours are alike.
    """
    cohorts = run.settings.data.cohorts
    learned = training_cohort(run.settings)
    wanted = channels_of(cohorts[learned])
    for name in test_cohorts(run.settings):
        if (found := channels_of(cohorts[name])) != wanted:
            raise SamnbError(
                f"{learned}, which is learned from, has {_channels(wanted)}, and {name}, which is "
                f"tested on, {_channels(found)}.",
                "test on cohorts of the same kind, or name the same channels for both.",
            )


def _channels(count: int) -> str:
    return "one channel" if count == 1 else f"{count} channels"
