"""REFUGE and REFUGE2: colour photographs of the fundus, with masks of the optic disc and cup.

In a mask 0 is the cup, 128 the rim of the disc, and 255 the background: here 0 means something.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

# Of training (glaucoma, none), validation and test, as all the archives name them.
NAME = re.compile(r"[gnvt]\d{4}", re.IGNORECASE)
PHOTOGRAPHS = (".jpg", ".jpeg")
MASK_FOLDER = re.compile(r"gts|disc_cup_masks?", re.IGNORECASE)
# Photographs drawn over, under the same names; and those of another challenge, on the macula.
OTHERS = re.compile(r"disc_cup_fovea_illustration|(non-)?amd", re.IGNORECASE)
# The cup lies within the disc.
TARGETS = {"disc": (0, 128), "optic disc": (0, 128), "cup": (0,), "optic cup": (0,)}


def list_refuge(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """JPEG photographs and BMP (or, in a folder for masks, PNG) masks, paired by name.

    They may lie in any sub-folders, as in `Training400` beside `Annotation-Training400`, or in
    `Images` beside `gts`. Each photograph is a patient of its own.
    """
    photographs, masks = [], []
    ours = False  # else any photographs would do
    for path in files_below(folder):
        suffix = path.suffix.lower()
        places = path.relative_to(folder).parts[:-1]
        below_masks = any(MASK_FOLDER.fullmatch(place) for place in places)
        if any(OTHERS.fullmatch(place) for place in places):
            continue
        if suffix == ".bmp" or (suffix == ".png" and below_masks):
            masks.append((path.stem, path))
        elif suffix in PHOTOGRAPHS:
            photographs.append((path.stem, path))
        else:
            continue
        ours = ours or below_masks or bool(NAME.fullmatch(path.stem))
    if not ours:
        fault = "no pictures of REFUGE in it, such as g0001.jpg or gts/NAME.bmp"
        raise DataError(folder, fault, "give the folder that photographs and masks lie in.")
    images, labels = unique(photographs, "photograph"), unique(masks, "mask")
    chosen = pick_all(TARGETS, targets, folder)
    pairs = partners(
        images,
        labels,
        lambda mask: mask.with_suffix(".jpg"),
        lambda image: image.with_suffix(".bmp"),
    )
    return [
        ScanFiles(name, name, (image,), label, chosen, (0, 128, 255), colour=True)
        for name, image, label in pairs
    ]
