"""From a profile and a cohort's name to its scans, slices, split and labelled slices.

This is the door by which experiments and chapters come to data. What is missing and can be made
here (phantoms, slices) is made; what is there is reused.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from samnb.base import paths
from samnb.base.errors import DataError, SamnbError
from samnb.data import splits
from samnb.data.exemplars import random_exemplars, richest_exemplars
from samnb.data.layouts import FolderRules, ScanFiles, open_scan
from samnb.data.settings import CohortSettings
from samnb.data.slices import SliceSet, prepare
from samnb.data.splits import LabelledSubset, Split
from samnb.data.synthesis import background_rows
from samnb.data.synthesised import SynthesisedSlices
from samnb.data.volumes import VolumeSet
from samnb.data.volumes import prepare as prepare_volumes
from samnb.phantoms import write_cohort
from samnb.studies import load_profile, names
from samnb.studies.channels import list_channels
from samnb.studies.profile import Profile

# Layouts of whole-body collections: a scan may end above or below the target.
MAY_LACK_TARGET = {"totalsegmentator"}


# Where the folder of a cohort lies, by its setting `root`.
ROOTS = {"data": paths.data_root, "real": paths.real_root}
HOW_TO_FILL = {
    "data": "run `samnb data get` to see how to fill it.",
    "real": "set SAMNB_REAL to the folder of the real sets; data/README.md says what they are.",
}


def cohort_place(profile: Profile, name: str) -> Path:
    """Where the cohort's scans lie or would lie; nothing is looked at."""
    cohort = _settings(profile, name)
    if cohort.phantom is not None:
        return paths.data_root() / "phantoms" / profile.name / name
    if cohort.root not in ROOTS:
        raise SamnbError(
            f"Profile '{profile.name}', cohort '{name}': there is no root '{cohort.root}'.",
            f"use {' or '.join(ROOTS)}, or an absolute path as its folder.",
        )
    return ROOTS[cohort.root]() / Path(cohort.folder or name).expanduser()


def cohort_folder(profile: Profile, name: str, workers: int = 2, progress: bool = False) -> Path:
    """Folder of the cohort's scans; phantoms that are not on disk yet are written."""
    cohort = _settings(profile, name)
    folder = cohort_place(profile, name)
    if cohort.phantom is not None:
        phantom = cohort.phantom
        write_cohort(
            phantom.kind, folder, phantom.patients, phantom.side, profile.seed, workers, progress
        )
    elif not folder.is_dir():
        raise DataError(folder, "the folder is not there", HOW_TO_FILL[cohort.root])
    return folder


def cohort_scans(
    profile: Profile, name: str, workers: int = 2, progress: bool = False
) -> list[ScanFiles]:
    """Scans of the cohort, naturally sorted; only names are read."""
    cohort = _settings(profile, name)
    folder = cohort_folder(profile, name, workers, progress)
    where = f"Profile '{profile.name}', cohort '{name}'"
    try:
        wanted = re.compile(cohort.members or "")
        found = list_channels(cohort, folder, _rules(cohort))
    except re.error as error:
        raise SamnbError(f"{where}: {error} in {error.pattern}.", "mend the profile.") from error
    members = [scan for scan in found if wanted.search(scan.patient)]
    if not members:
        raise SamnbError(
            f"{where}: none of its {len(found)} scans is of a patient like {cohort.members}.",
            "correct `members` in the profile.",
        )
    return members


def _rules(cohort: CohortSettings) -> FolderRules | None:
    if cohort.rules is None:
        return None
    rules = cohort.rules
    targets = {name: list(values) for name, values in rules.targets.items()}
    return FolderRules(rules.image, rules.label, rules.patient, targets)


def prepare_cohort(
    profile: Profile, name: str, workers: int = 2, progress: bool = False
) -> tuple[SliceSet, list[DataError]]:
    """Slices of the patients the profile's split uses, and the faults of scans left out."""
    scans = _used_scans(profile, name, workers, progress)
    root = paths.data_root() / "cache" / "slices"
    return prepare(scans, profile.data.slices, root, workers, progress)


def cohort_slices(
    profile: Profile, name: str, workers: int = 2, progress: bool = False
) -> SliceSet:
    """As `prepare_cohort`, but a bad scan is an error: results would be of another cohort."""
    slices, faults = prepare_cohort(profile, name, workers, progress)
    _require_all(name, faults)
    return slices


def prepare_cohort_volumes(
    profile: Profile, name: str, workers: int = 2, progress: bool = False
) -> tuple[VolumeSet, list[DataError]]:
    """The scans of `prepare_cohort` as whole volumes, by the profile's `data.volumes`."""
    if profile.data.volumes is None:
        raise SamnbError(
            f"Profile '{profile.name}' sees slices alone.",
            "say how volumes are made: data.volumes.",
        )
    scans = _used_scans(profile, name, workers, progress)
    root = paths.data_root() / "cache" / "volumes"
    return prepare_volumes(scans, profile.data.volumes, root, workers, progress)


def cohort_volumes(
    profile: Profile, name: str, workers: int = 2, progress: bool = False
) -> VolumeSet:
    """As `prepare_cohort_volumes`, but a bad scan is an error."""
    volumes, faults = prepare_cohort_volumes(profile, name, workers, progress)
    _require_all(name, faults)
    return volumes


def _used_scans(profile: Profile, name: str, workers: int, progress: bool) -> list[ScanFiles]:
    """Scans of the patients the profile's split uses; without a split, all."""
    scans = cohort_scans(profile, name, workers, progress)
    if name not in profile.data.splits:
        return scans
    used = set(_split(profile, name, scans).used)
    return [scan for scan in scans if scan.patient in used]


def _require_all(name: str, faults: list[DataError]) -> None:
    if faults:
        raise SamnbError(
            f"{len(faults)} scans of {name} cannot be used. First: {faults[0]}",
            "mend or replace them; `samnb data check` lists every fault.",
        )


def cohort_split(profile: Profile, name: str) -> Split:
    """Who is trained on, validated on and tested on."""
    return _split(profile, name, cohort_scans(profile, name))


def labelled_rows(profile: Profile, name: str, count: int) -> np.ndarray:
    """Rows of `cohort_slices` whose masks may be used when `count` labelled slices are allowed."""
    return labelled_subsets(profile, name)[count].rows


def labelled_subsets(profile: Profile, name: str) -> dict[int, LabelledSubset]:
    """The profile's nested labelled subsets by size; from the committed list if there is one."""
    index = cohort_slices(profile, name).index
    train = cohort_split(profile, name).train
    counts = profile.data.labelled
    path = labelled_list(profile, name)
    if not _is_listed(profile, name, path):
        return _chosen(profile, name, train)
    return splits.read_labelled(path, index[index["patient"].isin(train)], counts)


def split_list(profile: Profile, name: str) -> Path:
    """Where the committed split of a cohort lies, if it has one."""
    return paths.CHECKOUT / "data" / "splits" / f"{profile.name}-{name}.csv"


def labelled_list(profile: Profile, name: str) -> Path:
    """Where the committed labelled slices of a cohort lie, if it has any."""
    return split_list(profile, name).with_name(
        f"{profile.name}-{name}-labelled-seed{profile.seed}.csv"
    )


def _is_listed(profile: Profile, name: str, path: Path) -> bool:
    """Whether a committed list speaks of this split: not where a run asks for another one."""
    if not path.is_file():
        return False
    named = load_profile(profile.name) if profile.name in names() else profile
    return named.data.splits.get(name) == profile.data.splits.get(name)


def write_lists(profile: Profile, name: str) -> list[Path]:
    """Write the lists to commit, by the rules: the split, and the labelled slices if any train."""
    scans = cohort_scans(profile, name)
    split = _rule(profile, name, scans)
    written = [split_list(profile, name)]
    splits.write_split(written[0], split)
    if split.train:
        index = cohort_slices(profile, name).index
        subsets = _chosen(profile, name, split.train)
        written.append(labelled_list(profile, name))
        splits.write_labelled(written[1], index, subsets[max(profile.data.labelled)])
    return written


def _chosen(profile: Profile, name: str, train: Sequence[str]) -> dict[int, LabelledSubset]:
    """The labelled subsets by the profile's rule."""
    slices, data = cohort_slices(profile, name), profile.data
    if data.choice == "richest":
        return richest_exemplars(slices.labels, slices.index, train, data.labelled, profile.seed)
    if data.choice != "random":
        raise SamnbError(f"No choice of exemplars '{data.choice}'.", "use random or richest.")
    return random_exemplars(slices.index, train, data.labelled, profile.seed, data.smallest)


def training_slices(
    profile: Profile, name: str, marked: np.ndarray, labels: int | None, seed: int
) -> tuple[SliceSet | SynthesisedSlices, np.ndarray]:
    """The cohort's slices, and rows of those that teach: the marked ones, or images made of them.

    With a number of labels and `synthesis.images` so many synthetic images follow the real slices,
    made of the marked ones and of training slices without any target.
    """
    slices, settings = cohort_slices(profile, name), profile.synthesis
    if not (labels and settings.images):
        return slices, marked
    train = slices.rows_of(cohort_split(profile, name).train)
    empty = background_rows(slices.labels, train)
    synthesised = SynthesisedSlices(slices, marked, empty, settings, seed)
    return synthesised, synthesised.made


def _settings(profile: Profile, name: str) -> CohortSettings:
    if name not in profile.data.cohorts:
        raise SamnbError(
            f"Profile '{profile.name}' has no cohort '{name}'.",
            f"its cohorts are {', '.join(profile.data.cohorts)}.",
        )
    return profile.data.cohorts[name]


def _split(profile: Profile, name: str, scans: Sequence[ScanFiles]) -> Split:
    """The split by the rule; a committed list must say the same, or something has changed."""
    rule = _rule(profile, name, scans)
    path = split_list(profile, name)
    if _is_listed(profile, name, path) and (listed := splits.read_split(path)) != rule:
        absent = sorted(set(listed.used) - {scan.patient for scan in scans}, key=splits.natural_key)
        raise DataError(
            path,
            f"the scans of {', '.join(absent[:5])} are not there"
            if absent
            else "differs from the split that the profile's seed and sizes give",
            "add the missing scans, or give a changed profile a name of its own.",
        )
    return rule


def _rule(profile: Profile, name: str, scans: Sequence[ScanFiles]) -> Split:
    if name not in profile.data.splits:
        raise SamnbError(
            f"Profile '{profile.name}' does not say how to split '{name}'.",
            "add the cohort to `splits` in the profile.",
        )
    sizes = profile.data.splits[name]
    patients = [scan.patient for scan in scans]
    if sizes.tested:
        return splits.split_by_list(patients, sizes, profile.seed)
    if _settings(profile, name).layout in MAY_LACK_TARGET:
        wanted = sizes.train + sizes.validation + sizes.test
        patients = _with_target(scans, wanted, profile.seed)
    return splits.split_patients(patients, sizes, profile.seed)


def _with_target(scans: Sequence[ScanFiles], wanted: int, seed: int) -> list[str]:
    """The first `wanted` patients in hash order whose scan shows the target; then remembered."""
    if len(scans) <= wanted:
        return [scan.patient for scan in scans]
    names = [[scan.patient, scan.label.stat().st_size if scan.label else -1] for scan in scans]
    key = hashlib.sha256(json.dumps([names, wanted, seed]).encode()).hexdigest()[:16]
    known = paths.data_root() / "cache" / "with-target" / f"{key}.csv"
    if known.is_file():
        return list(splits.read_split(known).unused)
    by_patient = {scan.patient: scan for scan in scans}
    found: list[str] = []
    for patient in splits.hash_order(by_patient, seed):
        if len(found) == wanted:
            break
        scan = open_scan(by_patient[patient])
        if any(scan.mask(2, slice(None), number).any() for number in range(len(scan.targets))):
            found.append(patient)
    splits.write_split(known, Split(unused=tuple(found)))
    return found
