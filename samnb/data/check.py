"""Read a data folder wholly and explain every fault in it."""

import hashlib
import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

from samnb.base.errors import DataError
from samnb.base.files import read_json
from samnb.data.layouts import FolderRules, Scan, ScanFiles, list_scans, open_scan
from samnb.data.volume import Volume

# Checked where no target is named; any would do, as all label values are looked at.
USUAL_TARGETS = {"lits": "liver", "totalsegmentator": "liver", "folder": "any"}

# Rules that take each picture for a patient, where whose it is does not matter yet.
EACH_ITS_OWN = FolderRules(patient=".*")

# Sets that are plain folders but need a cohort.yaml to tell their files apart.
KNOWN_BY = {
    r"case_\d{5}/imaging\.nii\.gz": "kits19",
    r"BraTS2021_\d+/.*\.nii\.gz": "brats21",
    r".*/?Brats18_\w+/.*\.nii(\.gz)?": "brats18",
}


def check_folder(
    layout: str,
    folder: Path | str,
    target: str | None = None,
    rules: FolderRules | None = None,
    progress: bool = False,
) -> list[DataError]:
    """Every fault of every scan in `folder`, in natural order; an empty list is a clean bill.

    All voxels are read, so the checksums inside compressed files are verified as well. Memory stays
    at a few megabytes whatever the size of the scans.
    """
    folder = Path(folder)
    target = target or usual_target(layout, folder)
    faults: list[DataError] = []
    try:
        scans = list_scans(layout, folder, target, rules)
    except DataError as error:
        faults.append(error)
        try:  # should only the patients be unknown, the files can be looked at all the same
            scans = list_scans(layout, folder, target, EACH_ITS_OWN)
        except DataError:
            return faults
    seen: dict[str, ScanFiles] = {}  # first scan with this content
    for files in tqdm(scans, desc="checking", unit="scan", disable=not progress):
        faults += _check_scan(files, seen)
    return faults


def usual_target(layout: str, folder: Path) -> str:
    """What a layout is mostly used for; in a Decathlon task its first label."""
    if layout != "decathlon":
        return USUAL_TARGETS.get(layout, "any")
    try:
        labels = read_json(folder / "dataset.json")["labels"]
        return next(name for value, name in labels.items() if int(value) > 0)
    except (OSError, ValueError, KeyError, StopIteration, AttributeError):
        return "any"  # the reader will say what is wrong with the table


def _check_scan(files: ScanFiles, seen: dict[str, ScanFiles]) -> list[DataError]:
    try:
        scan = open_scan(files)
    except DataError as error:
        return [error]
    except OSError as error:
        return [_unreadable(files.image, error)]
    return [fault for check in (_check_image, _check_labels) for fault in check(scan, seen)]


def _check_image(scan: Scan, seen: dict[str, ScanFiles]) -> list[DataError]:
    try:
        content = _content(scan.image)
    except DataError as error:
        return [error]
    except OSError as error:
        return [_unreadable(scan.image.path, error)]
    if content is None:
        return []
    first = seen.setdefault(content, scan.files)
    if first.patient == scan.patient:
        return []
    return [
        DataError(
            scan.image.path,
            f"the same voxels as {first.image.name} of patient {first.patient}",
            "remove one of the two, or give both the same patient, else a split may divide them.",
        )
    ]


def _content(volume: Volume) -> str | None:
    """Hash of all voxels in real units; None if they are all equal, as in an empty slice."""
    digest = hashlib.blake2b(repr(volume.shape).encode(), digest_size=16)
    lowest, highest = np.inf, -np.inf
    for _, values in volume.blocks():
        digest.update(values.astype(np.float32, copy=False).tobytes(order="F"))
        lowest, highest = min(lowest, values.min()), max(highest, values.max())
    return digest.hexdigest() if highest > lowest else None


def _check_labels(scan: Scan, seen: dict[str, ScanFiles]) -> list[DataError]:
    faults = []
    for number, label in enumerate(scan.labels):
        try:
            for _, values in label.blocks():
                scan.target_of(values, number)
        except DataError as error:
            faults.append(error)
        except OSError as error:
            faults.append(_unreadable(label.path, error))
    return faults


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(path, f"cannot be read ({error.strerror or error})", "check disk and rights.")


def detect_layout(folder: Path | str) -> str:
    """Name of the layout a folder has; `DataError` with advice if it has none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(folder, "no such folder", "check the path.")
    for layout in ("decathlon", "totalsegmentator", "lits"):
        if _has_layout(layout, folder):
            return layout
    _advise(folder)
    try:
        list_scans("folder", folder, "any", EACH_ITS_OWN if _bare(folder) else None)
    except DataError as error:
        raise DataError(
            folder,
            "none of the layouts lits, totalsegmentator, decathlon, folder "
            f"(as a plain folder: {error.fault})",
            error.remedy or "see data/README.md for the layouts.",
        ) from error
    return "folder"


def _bare(folder: Path) -> bool:
    """No rules of its own: whose pictures they are is then asked later, not while detecting."""
    return not (folder / "cohort.yaml").is_file()


def _has_layout(layout: str, folder: Path) -> bool:
    if layout == "decathlon":
        return (folder / "dataset.json").is_file() and (folder / "labelsTr").is_dir()
    try:
        return bool(list_scans(layout, folder, USUAL_TARGETS[layout]))
    except DataError as error:
        # A segmentation without the usual target is of that layout all the same.
        return error.fault.startswith("no target")


def _advise(folder: Path) -> None:
    """Point out the commonest mistakes: the folder above, or a set that needs a word more."""
    inner = sorted(place.parent for place in folder.glob("*/dataset.json"))
    if inner:
        names = ", ".join(place.name for place in inner)
        raise DataError(folder, "it holds Decathlon tasks, each a set of its own", f"give {names}.")
    if (folder / "cohort.yaml").is_file():
        return
    for path in [*folder.glob("*/*.nii*"), *folder.glob("*/*/*.nii*")]:
        for pattern, name in KNOWN_BY.items():
            if re.fullmatch(pattern, path.relative_to(folder).as_posix()):
                remedy = f"put the cohort.yaml there that `samnb data get {name}` shows."
                raise DataError(folder, f"{name} files, but no cohort.yaml", remedy)
