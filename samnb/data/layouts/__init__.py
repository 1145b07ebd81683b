"""Which files make a scan, for each folder layout. Listing only looks at names.

A scan of which one half is missing is listed as well, so that opening it tells what is missing and
the others go on. Folders in which nothing is segmented give scans without label.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.brats import CHANNELS as BRATS_CHANNELS
from samnb.data.layouts.brats import list_brats
from samnb.data.layouts.btcv import list_btcv
from samnb.data.layouts.decathlon import list_decathlon
from samnb.data.layouts.isic import list_isic
from samnb.data.layouts.kits19 import list_kits19
from samnb.data.layouts.lits import list_lits
from samnb.data.layouts.lung100 import list_lung100
from samnb.data.layouts.plain_folder import FolderRules, list_folder
from samnb.data.layouts.refuge import list_refuge
from samnb.data.layouts.totalsegmentator import list_totalsegmentator
from samnb.data.layouts.ultrasound import list_ultrasound
from samnb.data.scan import Scan, ScanFiles, Target, natural_key, open_scan

__all__ = ["LAYOUTS", "FolderRules", "Scan", "ScanFiles", "Target", "list_scans", "open_scan"]

LAYOUTS: dict[str, Callable[..., list[ScanFiles]]] = {
    "lits": list_lits,
    "totalsegmentator": list_totalsegmentator,
    "decathlon": list_decathlon,
    "brats": list_brats,
    "btcv": list_btcv,
    "kits19": list_kits19,
    "lung100": list_lung100,
    "refuge": list_refuge,
    "isic": list_isic,
    "ultrasound": list_ultrasound,
    "folder": list_folder,
}

# Names of the channels of layouts with several, in the order of their files.
CHANNELS: dict[str, tuple[str, ...]] = {"brats": BRATS_CHANNELS}

# Fuller names, as studies of several organs need them, and what the layout's reader calls the same.
# (Not in that reader: what it says is part of the key of every run that reads by it.)
FULLER = {"lits": {"liver tumour": "tumour", "liver tumor": "tumour"}}


def list_scans(
    layout: str,
    folder: Path | str,
    targets: str | Sequence[str],
    rules: FolderRules | None = None,
) -> list[ScanFiles]:
    """Scans of a folder in natural order, for one target structure or several.

    `layout` is a key of `LAYOUTS`; `rules` are for the layout "folder" only, in place of its
    `cohort.yaml`. A folder of another layout, or an unknown target, is a `DataError`.
    """
    folder = Path(folder)
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    if layout not in LAYOUTS:
        raise DataError(folder, f"unknown layout '{layout}'", f"use one of {', '.join(LAYOUTS)}.")
    require_folder(folder)
    if layout == "folder":
        scans = list_folder(folder, targets, rules)
    else:
        scans = _list_by_own_names(layout, folder, targets)
    return sorted(scans, key=lambda scan: natural_key(scan.scan))


def _list_by_own_names(layout: str, folder: Path, targets: tuple[str, ...]) -> list[ScanFiles]:
    """What the layout's reader lists; every target keeps the name by which it was asked for."""
    fuller = FULLER.get(layout, {})
    own = tuple(fuller.get(target.strip().lower(), target) for target in targets)
    scans = LAYOUTS[layout](folder, own)
    if own == targets:
        return scans
    return [replace(scan, targets=tuple(map(_named, scan.targets, targets))) for scan in scans]


def _named(target: Target, name: str) -> Target:
    return replace(target, name=name)


def require_folder(folder: Path) -> None:
    """A file, or nothing at all, is a `DataError`."""
    if folder.exists() and not folder.is_dir():
        raise DataError(folder, "a file, not a folder", "give the folder that the scans lie in.")
    if not folder.exists():
        raise DataError(folder, "no such folder", "check the path, or run `samnb data get`.")
