"""A scan and its segmentation: which files they are, and the two opened and compared."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from samnb.base.errors import DataError
from samnb.data.volume import Volume, open_volume

# Entries of two affines may differ by this share of the voxel spacing: rounding, not another grid.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class ScanFiles:
    """Names of one scan's files, and how its label values are to be read.

    `scan` is unique within its folder; several scans (slices of a 2D set, say) may share a
    `patient`. `label` is None where nothing is segmented; a path that does not exist is a fault
    found when the scan is opened.
    """

    scan: str
    patient: str
    image: Path
    label: Path | None
    label_values: tuple[int, ...] | None = None  # the target's; None: every value above 0
    allowed_values: tuple[int, ...] | None = None  # all that may occur; None: whatever there is
    binary: bool = False  # besides 0 only one value may occur, whichever it is


class Scan:
    """An opened scan: image and, if there is one, label on the same grid. Voxels stay on disk."""

    def __init__(self, files: ScanFiles, image: Volume, label: Volume | None):
        self.files = files
        self.image = image
        self.label = label

    @property
    def scan(self) -> str:
        return self.files.scan

    @property
    def patient(self) -> str:
        return self.files.patient

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the axes of the file."""
        return self.image.shape

    @property
    def affine(self) -> np.ndarray:
        """4 x 4, voxel indices to RAS+ mm."""
        return self.image.affine

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along the axes of the file."""
        return self.image.spacing

    def mask(self, axis: int, indices: slice | Sequence[int]) -> np.ndarray:
        """Where the target is, bool, in the planes `indices` along `axis` of the file."""
        if self.label is None:
            raise DataError(self.files.image, "no segmentation", "use it as an unlabelled scan.")
        return self.target_of(self.label.read(axis, indices))

    def target_of(self, values: np.ndarray) -> np.ndarray:
        """Label values -> bool, where the target is. Values that should not occur are an error."""
        self._check_values(values)
        if self.files.label_values is None:
            return values > 0
        return _among(values, self.files.label_values)

    def _check_values(self, values: np.ndarray) -> None:
        if not values.size:
            return
        if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
            remedy = "resample label maps by nearest neighbour, never by interpolation."
            raise DataError(self.files.label, "label values that are not whole numbers", remedy)
        if self.files.binary:
            allowed = (0, int(values.max()))
            remedy = "say which value you want as target (1, or 1,2), or 'any' for all above 0."
        elif self.files.allowed_values is not None:
            allowed = self.files.allowed_values
            remedy = "correct these voxels, or check that the file belongs to this data set."
        else:
            allowed = (0, *range(1, int(values.max()) + 1))
            remedy = "set them to 0 if they mean background."
        lowest, highest = min(allowed), max(allowed)
        if values.min() >= lowest and values.max() <= highest:
            if len(set(allowed)) == highest - lowest + 1:
                return
            if _among(values, allowed).all():
                return
        odd = [f"{value:g}" for value in np.unique(values) if value not in allowed][:5]
        known = ", ".join(str(value) for value in allowed[:5])
        known += ", …" if len(allowed) > 5 else ""
        raise DataError(
            self.files.label, f"unexpected label values {', '.join(odd)} beside {known}", remedy
        )


def open_scan(files: ScanFiles) -> Scan:
    """Open image and label and make sure that they lie on one grid; else `DataError`."""
    _require(files.image, files.label, "image")
    _require(files.label, files.image, "segmentation")
    image = open_volume(files.image)
    if files.label is None:
        return Scan(files, image, None)
    label = open_volume(files.label)
    if image.shape != label.shape:
        raise DataError(
            files.label,
            f"shape {label.shape}, but its image {files.image.name} has {image.shape}",
            "resample it onto the image by nearest neighbour, or find the right partner.",
        )
    # Column by column: the three steps between voxels, then the origin.
    allowed = TOLERANCE * np.array([*image.spacing, min(image.spacing)])
    difference = np.abs(image.affine - label.affine)[:3]
    if (difference > allowed).any():
        raise DataError(
            files.label,
            f"another affine than its image {files.image.name} "
            f"(entries differ by up to {difference.max():.3g} mm)",
            "copy the image's affine if both are one grid, else resample it onto the image.",
        )
    return Scan(files, image, label)


def _require(path: Path | None, partner: Path | None, what: str) -> None:
    if path is not None and not path.exists():
        of = f"missing: the {what} of {partner.name}" if partner else f"missing {what}"
        raise DataError(path, of, "get it, or remove its partner.")


def _among(values: np.ndarray, chosen: tuple[int, ...]) -> np.ndarray:
    """As `np.isin`, several times faster and leaner for a handful of values."""
    found = values == chosen[0]
    for value in chosen[1:]:
        found |= values == value
    return found


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key that puts scan-2 before scan-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
