"""TotalSegmentator: `sNNNN/ct.nii.gz`, and a mask file for every organ."""

import re
from collections.abc import Sequence
from pathlib import Path

from samnb.base.errors import DataError
from samnb.data.layouts.targets import refuse_target
from samnb.data.scan import ScanFiles, Target


def list_totalsegmentator(folder: Path, targets: Sequence[str]) -> list[ScanFiles]:
    """`sNNNN/ct.nii.gz` with `segmentations/<organ>.nii.gz`; versions differ only in organs."""
    subjects = [
        path
        for pattern in ("s[0-9]*", "*/s[0-9]*")
        for path in folder.glob(pattern)
        if path.is_dir() and ((path / "ct.nii.gz").exists() or (path / "segmentations").is_dir())
    ]
    if not subjects:
        raise DataError(folder, "no sNNNN/ct.nii.gz in it", "give the folder of the sNNNN folders.")
    segmented = [path for path in subjects if (path / "segmentations").is_dir()]
    for target in targets:
        _require_target(segmented, target)
    chosen = tuple(Target(target, (1,)) for target in targets)
    return [
        ScanFiles(
            path.name,
            path.name,
            (path / "ct.nii.gz",),
            tuple(_mask(path, target) for target in targets) if segmented else (),
            chosen,
            (0, 1),
        )
        for path in subjects
    ]


def _mask(subject: Path, target: str) -> Path:
    organ = re.sub(r"[\s-]+", "_", target.strip().lower())
    return subject / "segmentations" / f"{organ}.nii.gz"


def _require_target(segmented: list[Path], target: str) -> None:
    """At least one of the subjects has it."""
    if segmented and not any(_mask(path, target).exists() for path in segmented):
        place = segmented[0] / "segmentations"
        known = sorted(path.name.removesuffix(".nii.gz") for path in place.glob("*.nii.gz"))
        refuse_target(place, target, known)
