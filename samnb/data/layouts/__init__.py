"""Which files make a scan, for each folder layout. Listing only looks at names.

A scan of which one half is missing is listed as well, so that opening it tells what is missing and
the others go on. Folders in which nothing is segmented give scans without label.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from samnb.base.errors import DataError
from samnb.base.files import read_json
from samnb.data.layouts.plain_folder import FolderRules, list_folder
from samnb.data.scan import Scan, ScanFiles, natural_key, open_scan

__all__ = ["LAYOUTS", "FolderRules", "Scan", "ScanFiles", "list_scans", "open_scan"]

LITS_NAME = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?", re.IGNORECASE)
# A tumour of the liver is liver: the organ's mask takes in its tumours.
LITS_TARGETS = {"liver": (1, 2), "tumour": (2,), "tumor": (2,), "any": (1, 2)}

LESION = re.compile(r"tumou?r|cancer|lesion", re.IGNORECASE)
# Decathlon organs whose lesions lie inside them. (A tumour beside a hepatic vessel is no vessel.)
WHOLE_ORGANS = ("liver", "pancreas")


def list_scans(
    layout: str, folder: Path | str, target: str, rules: FolderRules | None = None
) -> list[ScanFiles]:
    """Scans of a folder in natural order, for one target structure.

    `layout` is a key of `LAYOUTS`; `rules` are for the layout "folder" only, in place of its
    `cohort.yaml`. A folder of another layout, or an unknown target, is a `DataError`.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise DataError(folder, f"unknown layout '{layout}'", f"use one of {', '.join(LAYOUTS)}.")
    if not folder.is_dir():
        raise DataError(folder, "no such folder", "check the path, or run `samnb data get`.")
    if layout == "folder":
        scans = list_folder(folder, target, rules)
    else:
        scans = LAYOUTS[layout](folder, target)
    return sorted(scans, key=lambda scan: natural_key(scan.scan))


def _list_lits(folder: Path, target: str) -> list[ScanFiles]:
    """`volume-N.nii` and `segmentation-N.nii`, in any sub-folders, paired by their number N."""
    found: dict[str, dict[int, Path]] = {"volume": {}, "segmentation": {}}
    for path in sorted(folder.rglob("*.nii*")):
        if match := LITS_NAME.fullmatch(path.name):
            kind, number = match[1].lower(), int(match[2])
            if number in found[kind]:
                fault = f"a second {kind} {number} beside {found[kind][number]}"
                raise DataError(path, fault, "keep one of the two.")
            found[kind][number] = path
    images, labels = found["volume"], found["segmentation"]
    if not images and not labels:
        raise DataError(folder, "no volume-N.nii in it", "give the folder that LiTS lies in.")
    values = _pick(LITS_TARGETS, target, folder)

    def files(number: int) -> ScanFiles:
        image, label = images.get(number), labels.get(number)
        if image is None:
            image = label.with_name(re.sub("segmentation", "volume", label.name, flags=re.I))
        elif label is None and labels:
            label = image.with_name(re.sub("volume", "segmentation", image.name, flags=re.I))
        name = f"volume-{number}"
        return ScanFiles(name, name, image, label, values, (0, 1, 2))

    return [files(number) for number in images.keys() | labels.keys()]


def _list_totalsegmentator(folder: Path, target: str) -> list[ScanFiles]:
    """`sNNNN/ct.nii.gz` with `segmentations/<organ>.nii.gz`; versions differ only in organs."""
    subjects = [
        path
        for pattern in ("s[0-9]*", "*/s[0-9]*")
        for path in folder.glob(pattern)
        if path.is_dir() and ((path / "ct.nii.gz").exists() or (path / "segmentations").is_dir())
    ]
    if not subjects:
        raise DataError(folder, "no sNNNN/ct.nii.gz in it", "give the folder of the sNNNN folders.")
    organ = re.sub(r"[\s-]+", "_", target.strip().lower())
    labels = {path: path / "segmentations" / f"{organ}.nii.gz" for path in subjects}
    segmented = [path for path in subjects if (path / "segmentations").is_dir()]
    if segmented and not any(labels[path].exists() for path in segmented):
        names = sorted(
            path.name.removesuffix(".nii.gz")
            for path in (segmented[0] / "segmentations").glob("*.nii.gz")
        )
        _refuse_target(segmented[0] / "segmentations", target, names)
    return [
        ScanFiles(
            path.name,
            path.name,
            path / "ct.nii.gz",
            labels[path] if segmented else None,
            (1,),
            (0, 1),
        )
        for path in subjects
    ]


def _list_decathlon(folder: Path, target: str) -> list[ScanFiles]:
    """A `TaskNN_Name` folder: `dataset.json` names the labels and the training pairs."""
    table = folder / "dataset.json"
    if not table.is_file():
        raise DataError(table, "missing", "give the TaskNN_Name folder that holds dataset.json.")
    try:
        content = read_json(table)
        numbers = {str(name).lower(): int(value) for value, name in content["labels"].items()}
        pairs = [(folder / pair["image"], folder / pair["label"]) for pair in content["training"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            table, f"not a Decathlon table ({error!r})", "get the set again."
        ) from error
    values = _decathlon_values(numbers, target, table)
    allowed = tuple(sorted(numbers.values()))

    def files(image: Path, label: Path) -> ScanFiles:
        name = image.name.removesuffix(".gz").removesuffix(".nii")
        return ScanFiles(name, name, image, label, values, allowed)

    return [files(image, label) for image, label in pairs]


def _decathlon_values(numbers: dict[str, int], target: str, table: Path) -> tuple[int, ...]:
    """Values of a target given by name, by number, or as "tumour", whatever the set calls it.

    The liver and the pancreas take in their tumours, so that organ masks mean the same in every
    data set.
    """
    wanted = target.strip().lower()
    lesions = {name: number for name, number in numbers.items() if LESION.search(name)}
    targets = {name: (number,) for name, number in numbers.items() if number}
    targets |= {str(number): (number,) for number in numbers.values() if number}
    targets["any"] = tuple(sorted(number for number in numbers.values() if number))
    for organ in WHOLE_ORGANS:
        if organ in numbers:
            targets[organ] = tuple(sorted({numbers[organ], *lesions.values()}))
    if lesions and LESION.fullmatch(wanted):
        targets.setdefault(wanted, tuple(sorted(lesions.values())))
    return _pick(targets, wanted, table)


def _pick(targets: dict[str, tuple[int, ...]], target: str, where: Path) -> tuple[int, ...]:
    wanted = target.strip().lower()
    if wanted not in targets:
        _refuse_target(where, target, list(targets))
    return targets[wanted]


def _refuse_target(where: Path, target: str, known: list[str]) -> None:
    near = get_close_matches(target.lower(), known, n=8, cutoff=0.4) or known[:8]
    more = ", …" if len(near) < len(known) else ""
    raise DataError(where, f"no target '{target}'", f"choose among {', '.join(near)}{more}.")


LAYOUTS: dict[str, Callable[..., list[ScanFiles]]] = {
    "lits": _list_lits,
    "totalsegmentator": _list_totalsegmentator,
    "decathlon": _list_decathlon,
    "folder": list_folder,
}
