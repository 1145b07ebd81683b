"""Scans of a cohort with the channels that it names: files of their own, or a picture's colours.

Layouts of several channels say which they have. A plain folder has one image a scan; there the
cohort says which channels make it up:

- `channels: [red, green, blue]` reads pictures in colour; without it they are read as grey.
- `{channel}` in the rule for images stands for each of the named channels in turn, as in
  `image: "*/*_{channel}"` with `channels: [flair, t1ce, flair]`. A name may come twice.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from samnb.base.errors import DataError, SamnbError
from samnb.data.layouts import CHANNELS, FolderRules, ScanFiles, list_scans
from samnb.data.settings import CohortSettings

COLOURS = ("red", "green", "blue")
PLACE = "{channel}"  # in a rule for images


def list_channels(
    cohort: CohortSettings, folder: Path, rules: FolderRules | None
) -> list[ScanFiles]:
    """Scans of the cohort's folder with the channels that it names; none named: as they are."""
    if rules is not None and PLACE in (rules.image or ""):
        return _files_by_channel(cohort, folder, rules)
    found = list_scans(cohort.layout, folder, cohort.targets, rules)
    if not cohort.channels:
        return found
    if cohort.layout == "folder" and tuple(cohort.channels) == COLOURS:
        return [replace(scan, colour=True) for scan in found]
    numbers = _numbers(cohort)
    return [replace(scan, images=tuple(scan.images[k] for k in numbers)) for scan in found]


def _files_by_channel(cohort: CohortSettings, folder: Path, rules: FolderRules) -> list[ScanFiles]:
    """Each scan with its file of every channel; the folder is listed once for each of them."""
    if not cohort.channels:
        raise SamnbError(
            f"The rule {rules.image} has a place for channels, and none are named.",
            "name them in `channels` of the cohort.",
        )
    listed = {}
    for name in dict.fromkeys(cohort.channels):
        own = replace(rules, image=rules.image.replace(PLACE, name))
        listed[name] = list_scans(cohort.layout, folder, cohort.targets, own)
    by_scan = {name: {scan.scan: scan.image for scan in scans} for name, scans in listed.items()}
    for name, images in by_scan.items():
        for other in by_scan.values():
            if lacking := sorted(other.keys() - images.keys()):
                raise DataError(folder, f"no {name} of {lacking[0]}", "get it, or remove the scan.")
    first = listed[cohort.channels[0]]
    return [
        replace(scan, images=tuple(by_scan[name][scan.scan] for name in cohort.channels))
        for scan in first
    ]


def _numbers(cohort: CohortSettings) -> Sequence[int]:
    """Places of the named channels among those of the layout."""
    known = CHANNELS.get(cohort.layout, ())
    if unknown := [name for name in cohort.channels if name not in known]:
        remedy = f"use {', '.join(known)}." if known else "name no channels."
        if cohort.layout == "folder":
            remedy = f"name {', '.join(COLOURS)} of pictures, or put {PLACE} into its image rule."
        raise SamnbError(f"The layout {cohort.layout} has no channel '{unknown[0]}'.", remedy)
    return [known.index(name) for name in cohort.channels]
