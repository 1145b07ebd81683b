"""Read a data folder wholly and explain every fault in it."""

import hashlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from samnb.base.errors import DataError
from samnb.base.files import read_json
from samnb.data.layouts import (
    LAYOUTS,
    FolderRules,
    Scan,
    ScanFiles,
    list_scans,
    open_scan,
    require_folder,
)
from samnb.data.layouts.plain_folder import NO_DATA_SET
from samnb.data.volume import Volume

# Checked where no target is named; any would do, as all label values are looked at.
USUAL_TARGETS = {
    "lits": "liver",
    "totalsegmentator": "liver",
    "brats": "whole tumour",
    "btcv": "liver",
    "kits19": "kidney",
    "lung100": "lung tumour",
    "refuge": "disc",
    "isic": "lesion",
    "ultrasound": "nodule",
    "folder": "any",
}

# Rules that take each picture for a patient, where whose it is does not matter yet.
EACH_ITS_OWN = FolderRules(patient=".*")


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
    seen: dict[str, tuple[Path, str]] = {}  # first file with this content, and its patient
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


def _check_scan(files: ScanFiles, seen: dict[str, tuple[Path, str]]) -> list[DataError]:
    try:
        scan = open_scan(files)
    except DataError as error:
        return [error]
    except OSError as error:
        return [_unreadable(files.image, error)]
    # The colours of a picture are one file: red tells of all its faults.
    images = scan.images[:1] if files.colour else scan.images
    faults = [fault for image in images for fault in _check_image(image, scan.patient, seen)]
    if files.colour and not faults:
        faults += _check_colours(scan)
    return faults + _check_labels(scan)


def _check_image(image: Volume, patient: str, seen: dict[str, tuple[Path, str]]) -> list[DataError]:
    try:
        content = _content(image)
    except DataError as error:
        return [error]
    except OSError as error:
        return [_unreadable(image.path, error)]
    if content is None:
        return []
    path, other = seen.setdefault(content, (image.path, patient))
    if other == patient:
        return []
    return [
        DataError(
            image.path,
            f"the same voxels as {path.name} of patient {other}",
            "remove one of the two, or give both the same patient, else a split may divide them.",
        )
    ]


def _check_colours(scan: Scan) -> list[DataError]:
    """A picture whose red, green and blue are alike everywhere was grey."""
    contents = {_content(image) for image in scan.images}
    if len(contents) > 1 or None in contents:
        return []
    return [
        DataError(
            scan.files.image,
            "grey where colour is expected",
            "give the picture in colour, or name a layout of grey pictures.",
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


def _check_labels(scan: Scan) -> list[DataError]:
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
    """Name of the layout a folder has; `DataError` with advice if it has none.

    A `cohort.yaml` makes any folder a plain one, as its owner says there how to read it.
    """
    folder = Path(folder)
    require_folder(folder)
    if not any(folder.iterdir()):
        raise DataError(folder, "no data set: the folder is empty", NO_DATA_SET)
    ruled = (folder / "cohort.yaml").is_file()
    for layout in () if ruled else LAYOUTS:
        if layout != "folder" and _has_layout(layout, folder):
            return layout
    inner = sorted(place.parent for place in folder.glob("*/dataset.json"))
    if inner:
        names = ", ".join(place.name for place in inner)
        raise DataError(folder, "it holds Decathlon tasks, each a set of its own", f"give {names}.")
    try:  # whose pictures they are is asked later, not while detecting
        list_scans("folder", folder, "any", None if ruled else EACH_ITS_OWN)
    except DataError as error:
        if error.file != folder:  # its cohort.yaml, say
            raise
        remedy = error.remedy or NO_DATA_SET
        raise DataError(folder, f"no data set: {error.fault}", remedy) from error
    return "folder"


def _has_layout(layout: str, folder: Path) -> bool:
    if layout == "decathlon":
        return (folder / "dataset.json").is_file() and (folder / "labelsTr").is_dir()
    try:
        return bool(list_scans(layout, folder, USUAL_TARGETS[layout]))
    except DataError as error:
        # Without the usual target, or with a file twice, it is of that layout all the same.
        return error.fault.startswith(("no target", "a second"))
