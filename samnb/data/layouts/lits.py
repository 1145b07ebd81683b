"""LiTS: CT of the liver and its tumours, `volume-N.nii` beside `segmentation-N.nii`."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

NAME = re.compile(r"(volume|segmentation)-(\d+)\.nii(\.gz)?", re.IGNORECASE)
# A tumour of the liver is liver: the organ's mask takes in its tumours.
TARGETS = {"liver": (1, 2), "tumour": (2,), "any": (1, 2)}


def list_lits(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """`volume-N.nii` and `segmentation-N.nii`, in any sub-folders, paired by their number N."""
    found: dict[str, list[tuple[int, Path]]] = {"volume": [], "segmentation": []}
    for path in files_below(folder):
        if match := NAME.fullmatch(path.name):
            found[match[1].lower()].append((int(match[2]), path))
    images, labels = (unique(pairs, kind) for kind, pairs in found.items())
    if not images and not labels:
        raise DataError(folder, "no volume-N.nii in it", "give the folder that LiTS lies in.")
    chosen = pick_all(TARGETS, targets, folder)
    pairs = partners(
        images,
        labels,
        lambda label: label.with_name(re.sub("segmentation", "volume", label.name, flags=re.I)),
        lambda image: image.with_name(re.sub("volume", "segmentation", image.name, flags=re.I)),
    )
    return [
        ScanFiles(f"volume-{number}", f"volume-{number}", (image,), label, chosen, (0, 1, 2))
        for number, image, label in pairs
    ]
