"""Ultrasound of the thyroid, TN3K and DDTI: `trainval-image/0000.jpg`, `trainval-mask/0000.jpg`.

Masks that are JPEG hold all shades of grey along their edges: from `MIDDLE` up is nodule.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import refuse_target
from samnb.data.scan import ScanFiles, Target
from samnb.data.volume import PICTURES

FOLDER = re.compile(r"(.+)([-_])(image|mask)(s?)", re.IGNORECASE)
TARGETS = ("nodule", "thyroid nodule", "any")
MIDDLE = 128


def list_ultrasound(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """Pictures in folders `*-image`, masks of the same names in `*-mask`, wherever they lie.

    The scan `trainval/0000` is that of `trainval-image`; each picture is a patient of its own, as
    nothing says whose it is.
    """
    found: dict[str, list[tuple[str, Path]]] = {"image": [], "mask": []}
    for path in files_below(folder):
        match = FOLDER.fullmatch(path.parent.name)
        if match and path.suffix.lower() in PICTURES:
            place = path.relative_to(folder).parent.with_name(match[1])
            found[match[3].lower()].append((f"{place.as_posix()}/{path.stem}", path))
    images, labels = (unique(pairs, kind) for kind, pairs in found.items())
    if not images and not labels:
        remedy = "give the folder that both folders lie in."
        raise DataError(folder, "no folders NAME-image and NAME-mask with pictures", remedy)
    for target in targets:
        if target.strip().lower() not in TARGETS:
            refuse_target(folder, target, list(TARGETS))
    chosen = tuple(Target(target, at_least=MIDDLE) for target in targets)
    pairs = partners(
        images, labels, lambda mask: _beside(mask, "image"), lambda image: _beside(image, "mask")
    )
    return [ScanFiles(name, name, (image,), label, chosen) for name, image, label in pairs]


def _beside(path: Path, kind: str) -> Path:
    """The same name in the folder of the other kind."""
    name, dash, _, plural = FOLDER.fullmatch(path.parent.name).groups()
    return path.parent.with_name(f"{name}{dash}{kind}{plural}") / path.name
