"""Studies whose networks see volumes: what they see of a cohort, and whose masks may be used."""

from collections.abc import Sequence

import numpy as np

from samnb.base.errors import SamnbError
from samnb.data.slices import SliceSet
from samnb.data.splits import hash_order
from samnb.data.volumes import VolumeSet
from samnb.studies.cohorts import cohort_slices, cohort_split, cohort_volumes
from samnb.studies.profile import Profile

VIEWS = ("slices", "volumes")


def sees_volumes(profile: Profile) -> bool:
    """Whether the profile's networks see volumes; if so it has to say how they are made."""
    data = profile.data
    if data.view not in VIEWS:
        raise SamnbError(f"No view '{data.view}'.", f"use {' or '.join(VIEWS)} as data.view.")
    if data.view == "volumes" and (data.volumes is None or data.patches is None):
        raise SamnbError(
            f"Profile '{profile.name}' sees volumes and does not say which.",
            "say how they are made, data.volumes, and how large a part is seen, data.patches.",
        )
    return data.view == "volumes"


def cohort_view(profile: Profile, name: str) -> SliceSet | VolumeSet:
    """What the profile's networks see of a cohort: a row for each slice, or for each volume."""
    return (cohort_volumes if sees_volumes(profile) else cohort_slices)(profile, name)


def labelled_volumes(profile: Profile, name: str, count: int) -> np.ndarray:
    """Rows of the volumes whose masks may be used when `count` are allowed.

    They are drawn by the profile's seed from the training patients' volumes that show a target;
    fewer are always among more.
    """
    volumes = cohort_volumes(profile, name)
    shown = _with_target(volumes, cohort_split(profile, name).train)
    if len(shown) < count:
        raise SamnbError(
            f"{count} labelled volumes are asked for, but only {len(shown)} of the training "
            "patients' show a target.",
            "ask for fewer in data.labelled of the profile, or add training patients.",
        )
    rows = dict(zip(volumes.index.loc[shown, "scan"], shown, strict=True))
    return np.array([rows[scan] for scan in hash_order(rows, profile.seed)[:count]], dtype=np.intp)


def _with_target(volumes: VolumeSet, patients: Sequence[str]) -> np.ndarray:
    rows = volumes.rows_of(patients)
    return rows[(volumes.labels[rows] == 1).any(axis=1)]
