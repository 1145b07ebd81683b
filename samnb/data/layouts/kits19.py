"""KiTS19: CT of kidneys and their tumours, `case_00000/imaging.nii.gz` and `segmentation.nii.gz`.

Its arrays are (slices, height, width), and its affines say so: nothing has to be turned by hand.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

CASE = re.compile(r"case_(\d{5})")
FILE = re.compile(r"(imaging|segmentation)\.nii(\.gz)?")
# A tumour of the kidney is kidney: the organ's mask takes in its tumours.
TARGETS = {"kidney": (1, 2), "tumour": (2,), "kidney tumour": (2,), "any": (1, 2)}
FIRST_TEST = 210  # case_00210 to case_00299, which nobody has segmentations of


def list_kits19(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """Folders `case_NNNNN`, wherever they lie.

    The test cases, which its script downloads as well, are left out where others are labelled.
    """
    found: dict[str, list[tuple[str, Path]]] = {"imaging": [], "segmentation": []}
    for path in files_below(folder):
        match = FILE.fullmatch(path.name)
        if match and CASE.fullmatch(path.parent.name):
            found[match[1]].append((path.parent.name, path))
    images, labels = (unique(pairs, f"{kind} of") for kind, pairs in found.items())
    if not images and not labels:
        remedy = "give the folder that the case_NNNNN folders lie in."
        raise DataError(folder, "no case_NNNNN/imaging.nii.gz in it", remedy)
    chosen = pick_all(TARGETS, targets, folder)
    if labels:
        images = {
            case: path
            for case, path in images.items()
            if case in labels or int(CASE.fullmatch(case)[1]) < FIRST_TEST
        }
    pairs = partners(
        images,
        labels,
        lambda label: label.with_name(label.name.replace("segmentation", "imaging")),
        lambda image: image.with_name(image.name.replace("imaging", "segmentation")),
    )
    return [
        ScanFiles(case, case, (image,), label, chosen, (0, 1, 2)) for case, image, label in pairs
    ]
