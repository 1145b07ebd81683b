"""Lung100: CT of lung tumours, `lung_001/ct.nii.gz` beside `lung_001/tumour.nii.gz`.

The set of this name is private, and nobody says how its files lie: the layout is ours.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

CASE = re.compile(r"lung_\d+")
FILE = re.compile(r"(ct|tumour)\.nii(\.gz)?")
TARGETS = {"tumour": (1,), "lung tumour": (1,), "any": (1,)}


def list_lung100(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """Folders `lung_NNN`, wherever they lie; each is a patient."""
    found: dict[str, list[tuple[str, Path]]] = {"ct": [], "tumour": []}
    for path in files_below(folder):
        match = FILE.fullmatch(path.name)
        if match and CASE.fullmatch(path.parent.name):
            found[match[1]].append((path.parent.name, path))
    images, labels = (unique(pairs, f"{kind} of") for kind, pairs in found.items())
    if not images and not labels:
        remedy = "give the folder that the lung_NNN folders lie in."
        raise DataError(folder, "no lung_NNN/ct.nii.gz in it", remedy)
    chosen = pick_all(TARGETS, targets, folder)
    pairs = partners(
        images,
        labels,
        lambda label: label.with_name(label.name.replace("tumour", "ct")),
        lambda image: image.with_name(image.name.replace("ct", "tumour")),
    )
    return [ScanFiles(case, case, (image,), label, chosen, (0, 1)) for case, image, label in pairs]
