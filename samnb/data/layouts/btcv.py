"""BTCV, known as Synapse: abdominal CT with 13 organs, `img0001.nii.gz` and `label0001.nii.gz`."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, partners, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles

NAME = re.compile(r"(img|label)(\d{4})\.nii(\.gz)?")
ORGANS = (
    *("spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach"),
    *("aorta", "inferior vena cava", "portal and splenic vein", "pancreas"),
    *("right adrenal gland", "left adrenal gland"),
)
TARGETS = {organ: (value,) for value, organ in enumerate(ORGANS, start=1)} | {
    "vena cava": (9,),
    "kidneys": (2, 3),
    "any": tuple(range(1, len(ORGANS) + 1)),
}
# The eight that papers report since TransUNet.
EIGHT_ORGANS = (
    *("spleen", "right kidney", "left kidney", "gallbladder"),
    *("liver", "stomach", "aorta", "pancreas"),
)
# Who is tested on, of the 30 scans with labels, 1 to 10 and 21 to 40; the others are trained on.
PUBLISHED_TEST = {
    "transunet": tuple(f"img{n:04}" for n in (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)),
    "monai": tuple(f"img{n:04}" for n in range(35, 41)),  # its validation set; Med-SA's too
}
FIRST_TEST = 61  # img0061 to img0080, which nobody has labels of


def list_btcv(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """`img00NN` and `label00NN` in any sub-folders, paired by number.

    The test images are left out where others are labelled.
    """
    found: dict[str, list[tuple[int, Path]]] = {"img": [], "label": []}
    for path in files_below(folder):
        if match := NAME.fullmatch(path.name):
            found[match[1]].append((int(match[2]), path))
    images, labels = (unique(pairs, kind) for kind, pairs in found.items())
    if not images and not labels:
        remedy = "give the folder that img/ and label/ of BTCV lie in."
        raise DataError(folder, "no img00NN.nii.gz in it", remedy)
    chosen = pick_all(TARGETS, targets, folder)
    if labels:
        images = {n: path for n, path in images.items() if n in labels or n < FIRST_TEST}
    allowed = tuple(range(len(ORGANS) + 1))
    pairs = partners(
        images,
        labels,
        lambda label: label.with_name(label.name.replace("label", "img")),
        lambda image: image.with_name(image.name.replace("img", "label")),
    )
    return [
        ScanFiles(f"img{number:04}", f"img{number:04}", (image,), label, chosen, allowed)
        for number, image, label in pairs
    ]
