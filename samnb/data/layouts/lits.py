"""LiTS: CT of the liver and its tumours, `volume-N.nii` beside `segmentation-N.nii`."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

NAME = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?", re.IGNORECASE)
# A tumour of the liver is liver: the organ's mask takes in its tumours.
TARGETS = {"liver": (1, 2), "tumour": (2,), "tumor": (2,), "any": (1, 2)}


def list_lits(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """`volume-N.nii` and `segmentation-N.nii`, in any sub-folders, paired by their number N."""
    found: dict[str, dict[int, Path]] = {"volume": {}, "segmentation": {}}
    for path in sorted(folder.rglob("*.nii*")):
        if match := NAME.fullmatch(path.name):
            kind, number = match[1].lower(), int(match[2])
            if number in found[kind]:
                fault = f"a second {kind} {number} beside {found[kind][number]}"
                raise DataError(path, fault, "keep one of the two.")
            found[kind][number] = path
    images, labels = found["volume"], found["segmentation"]
    if not images and not labels:
        raise DataError(folder, "no volume-N.nii in it", "give the folder that LiTS lies in.")
    chosen = pick_all(TARGETS, targets, folder)

    def files(number: int) -> ScanFiles:
        image, label = images.get(number), labels.get(number)
        if image is None:
            image = label.with_name(re.sub("segmentation", "volume", label.name, flags=re.I))
        elif label is None and labels:
            label = image.with_name(re.sub("volume", "segmentation", image.name, flags=re.I))
        name = f"volume-{number}"
        return ScanFiles(name, name, (image,), (label,) if label else (), chosen, (0, 1, 2))

    return [files(number) for number in images.keys() | labels.keys()]
