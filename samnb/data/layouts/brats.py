"""BraTS 2018 and 2021: four MR sequences of a brain tumour, `CASE/CASE_flair.nii.gz` and so on."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.names import files_below, unique
from samnb.data.layouts.targets import pick_all
from samnb.data.scan import ScanFiles
from samnb.data.volume import suffix_of

CHANNELS = ("flair", "t1", "t1ce", "t2")
NAME = re.compile(r"(BraTS\d+_\w+?)_(flair|t1|t1ce|t2|seg)\.nii(\.gz)?", re.IGNORECASE)
TARGETS = {
    "whole tumour": (1, 2, 4),
    "tumour core": (1, 4),
    "enhancing tumour": (4,),
    "necrosis": (1,),
    "oedema": (2,),
    "any": (1, 2, 4),
}


def list_brats(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """Cases in any sub-folders (HGG and LGG, say), with the channels FLAIR, T1, T1ce and T2.

    Validation cases have no `CASE_seg.nii.gz`: where no case has one, nothing is segmented.
    """
    named = [(match, path) for path in files_below(folder) if (match := NAME.fullmatch(path.name))]
    if not named:
        remedy = "give the folder that the cases of BraTS lie in."
        raise DataError(folder, "no BraTS files such as CASE_flair.nii.gz in it", remedy)
    found = unique(((f"{match[1]}_{match[2].lower()}", path) for match, path in named), "file")
    chosen = pick_all(TARGETS, targets, folder)
    segmented = any(match[2].lower() == "seg" for match, _ in named)
    beside = {match[1]: path for match, path in named}

    def path_of(case: str, kind: str) -> Path:
        """The file, or where it should be."""
        other = beside[case]
        missing = other.with_name(f"{case}_{kind}{suffix_of(other)}")
        return found.get(f"{case}_{kind}", missing)

    def files(case: str) -> ScanFiles:
        images = tuple(path_of(case, kind) for kind in CHANNELS)
        labels = (path_of(case, "seg"),) if segmented else ()
        return ScanFiles(case, case, images, labels, chosen, (0, 1, 2, 4))

    return [files(case) for case in beside]
