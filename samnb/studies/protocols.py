"""Which of the ways to measure answers a study uses."""

from collections.abc import Callable

import pandas as pd

from samnb.base.errors import SamnbError
from samnb.evaluation.examine import measure_answers
from samnb.evaluation.protocols import measure_volumes
from samnb.studies.profile import Profile

Tables = tuple[pd.DataFrame, pd.DataFrame]  # of slices, of scans

PROTOCOLS: dict[str, Callable[..., Tables]] = {
    "slices": measure_answers,
    "volumes": measure_volumes,
}


def measure_of(profile: Profile) -> Callable[..., Tables]:
    """The profile's way: (answers, slices, cohort, user) -> tables of slices and of scans."""
    if profile.protocol not in PROTOCOLS:
        raise SamnbError(
            f"No protocol '{profile.protocol}'.", f"use one of {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[profile.protocol]
