"""A scan and its segmentation: which files they are, and all of them opened and compared.

A scan has C channels (the four sequences of a brain MR, say), each a file of its own on one grid,
and K targets: structures to segment, each made of some label values. Targets may overlap.
"""

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
class Target:
    """A structure to segment: its name, and the label values that make it (None: all above 0).

    `at_least` stands in place of values where masks came through JPEG, which leaves all shades of
    grey along their edges: the target is every pixel from this value up.
    """

    name: str
    label_values: tuple[int, ...] | None = None
    at_least: int | None = None


@dataclass(frozen=True)
class ScanFiles:
    """Names of one scan's files, and how its label values are to be read.

    `scan` is unique within its folder; several scans (slices of a 2D set, say) may share a
    `patient`. `images` are its channels; of a `colour` picture, one file holds three: red, green
    and blue. `labels`: one file with all targets, or one for each; none where nothing is segmented.
    A path that does not exist is a fault found when the scan is opened.
    """

    scan: str
    patient: str
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    targets: tuple[Target, ...]
    allowed_values: tuple[int, ...] | None = None  # all that may occur; None: whatever there is
    binary: bool = False  # besides 0 only one value may occur, whichever it is
    colour: bool = False

    @property
    def image(self) -> Path:
        """The first channel, by which the scan goes."""
        return self.images[0]

    @property
    def label(self) -> Path | None:
        return self.labels[0] if self.labels else None


class Scan:
    """An opened scan: channels and, if there are any, labels on one grid. Voxels stay on disk."""

    def __init__(self, files: ScanFiles, images: tuple[Volume, ...], labels: tuple[Volume, ...]):
        self.files = files
        self.images = images
        self.labels = labels

    @property
    def image(self) -> Volume:
        """The first channel, by whose grid the scan goes."""
        return self.images[0]

    @property
    def label(self) -> Volume | None:
        return self.labels[0] if self.labels else None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the K targets."""
        return tuple(target.name for target in self.files.targets)

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

    def mask(self, axis: int, indices: slice | Sequence[int], target: int = 0) -> np.ndarray:
        """Where a target is, bool, in the planes `indices` along `axis` of the file."""
        label = self.label_of(target)
        return self.target_of(label.read(axis, indices), target)

    def label_of(self, target: int) -> Volume:
        """The file that holds a target, by its number."""
        if not self.labels:
            raise DataError(self.files.image, "no segmentation", "use it as an unlabelled scan.")
        return self.labels[target if len(self.labels) > 1 else 0]

    def target_of(self, values: np.ndarray, target: int = 0) -> np.ndarray:
        """Label values -> bool, where a target is. Values that should not occur are an error."""
        wanted = self.files.targets[target]
        if wanted.at_least is not None:
            return values >= wanted.at_least
        self._check_values(values, self.label_of(target).path)
        return values > 0 if wanted.label_values is None else _among(values, wanted.label_values)

    def _check_values(self, values: np.ndarray, path: Path) -> None:
        """Refuse values that should not occur; `path` is the file they are from."""
        if not values.size:
            return
        if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
            remedy = "resample label maps by nearest neighbour, never by interpolation."
            raise DataError(path, "label values that are not whole numbers", remedy)
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
        raise DataError(path, f"unexpected label values {', '.join(odd)} beside {known}", remedy)


def open_scan(files: ScanFiles) -> Scan:
    """Open all channels and labels and make sure that they lie on one grid; else `DataError`."""
    for path in files.images:
        _require(path, files.label or files.image, "image")
    for path in files.labels:
        _require(path, files.image, "segmentation")
    colours = range(3) if files.colour else (None,)
    image, *others = [open_volume(path, colour) for path in files.images for colour in colours]
    labels = [open_volume(path) for path in files.labels]
    for volume in others:
        _require_one_grid(volume, image, "resample it onto the first channel.")
    for volume in labels:
        remedy = "resample it onto the image by nearest neighbour, or find the right partner."
        _require_one_grid(volume, image, remedy)
    return Scan(files, (image, *others), tuple(labels))


def _require_one_grid(volume: Volume, image: Volume, remedy: str) -> None:
    """Shape and affine as those of the first channel."""
    if image.shape != volume.shape:
        raise DataError(
            volume.path,
            f"shape {volume.shape}, but its image {image.path.name} has {image.shape}",
            remedy,
        )
    # Column by column: the three steps between voxels, then the origin.
    allowed = TOLERANCE * np.array([*image.spacing, min(image.spacing)])
    difference = np.abs(image.affine - volume.affine)[:3]
    if (difference > allowed).any():
        raise DataError(
            volume.path,
            f"another affine than its image {image.path.name} "
            f"(entries differ by up to {difference.max():.3g} mm)",
            "copy the image's affine if both are one grid, else resample it onto the image.",
        )


def _require(path: Path, partner: Path, what: str) -> None:
    if not path.exists():
        of = f"missing {what}" if partner == path else f"missing: the {what} of {partner.name}"
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
