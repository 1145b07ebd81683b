"""ISIC 2016, task 1: colour pictures of skin, `ISIC_N.jpg` and `ISIC_N_Segmentation.png`."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

NAME = re.compile(r"(ISIC_\d+)(\.jpe?g|_segmentation\.png)", re.IGNORECASE)
TARGETS = {"lesion": (255,), "skin lesion": (255,), "any": (255,)}


def list_isic(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """Pictures and masks in any sub-folders, paired by number; each is a patient of its own."""
    pictures, masks = [], []
    for path in files_below(folder):
        if match := NAME.fullmatch(path.name):
            found = masks if path.suffix.lower() == ".png" else pictures
            found.append((match[1], path))
    images, labels = unique(pictures, "picture"), unique(masks, "mask")
    if not images and not labels:
        remedy = "give the folder that pictures and masks of ISIC lie in."
        raise DataError(folder, "no ISIC_NNNNNNN.jpg in it", remedy)
    chosen = pick_all(TARGETS, targets, folder)
    pairs = partners(
        images,
        labels,
        lambda mask: mask.with_name(re.sub("_segmentation.png", ".jpg", mask.name, flags=re.I)),
        lambda image: image.with_name(f"{image.stem}_Segmentation.png"),
    )
    return [
        ScanFiles(name, name, (image,), label, chosen, (0, 255), colour=True)
        for name, image, label in pairs
    ]
