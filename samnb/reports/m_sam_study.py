"""The studies of M-SAM as its chapters read them: the scans of their records, by study."""

from collections.abc import Mapping

import pandas as pd

from samnb.reports.lunch import all_scans
from samnb.reports.m_sam import all_cases
from samnb.reports.m_sam_names import SETS, STUDIES
from samnb.runs.records import Record, all_records
from samnb.studies import Profile, load_profile, studies_of


def read_studies(size: str = "pocket") -> dict[str, Profile]:
    """The profiles of this paper's studies, by name, as far as the size has them."""
    known = studies_of(size)
    return {name: load_profile(size, name) for name in STUDIES if name.replace("-", "_") in known}


def study_records(studies: Mapping[str, Profile]) -> dict[str, list[Record]]:
    """The records of each study; one without any has an empty list."""
    return {name: all_records(profile) for name, profile in studies.items()}


def study_cases(studies: Mapping[str, Profile]) -> pd.DataFrame:
    """What their records measured, as `m_sam.all_cases` gives it."""
    made = study_records(studies)
    return all_cases({name: all_scans(made[name], studies[name]) for name in studies})


def missing_records(studies: Mapping[str, Profile], cases: pd.DataFrame, size: str) -> list[str]:
    """In sentences, which studies the size has not, and which have no record yet."""
    found = set(cases["source"])
    of_set = {settings.study: name for name, settings in SETS.items()}
    absent = [f"{of_set[name]} (`{name}`)" for name in STUDIES if name not in studies]
    empty = [f"{of_set[name]} (`{name}`)" for name in studies if of_set[name] not in found]
    said = []
    if absent:
        said.append(f"The size `{size}` has no study of {', '.join(absent)}.")
    if empty:
        said.append(
            f"No record is here of {', '.join(empty)}, so their rows and panels are empty; "
            f"`samnb run --all --profile {size} --study` and the name makes them."
        )
    return said
