"""One scan file of any accepted format, opened without reading its voxels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from samnb.base.errors import DataError
from samnb.data.formats.nifti import AGAIN, NiftiFile, Region

NIFTI = (".nii", ".nii.gz")
ITK = (".nrrd", ".mha", ".mhd")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
DICOM = (".dcm", ".ima")  # many have no suffix at all
SUFFIXES = (*NIFTI, *ITK, *PICTURES)

SMALLEST, LARGEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max


class Source(Protocol):
    """What a format has to offer: a header, and raw voxels in blocks."""

    shape: tuple[int, int, int]
    affine: np.ndarray
    dtype: np.dtype
    slope: float
    intercept: float

    def blocks(self, axis: int, wanted: np.ndarray) -> Iterator[tuple[Region, np.ndarray]]: ...


@dataclass(frozen=True)
class Volume:
    """Header of one scan file; `read` fetches planes.

    Axes are those of the file; `affine` (4 x 4, float64) takes voxel indices to RAS+ mm, as in
    nibabel. `dtype` is what the file stores.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: np.ndarray
    dtype: np.dtype
    _source: Source = field(repr=False, compare=False)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxels along the three axes of the file, mm."""
        return tuple(float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))

    def read(self, axis: int, indices: slice | Sequence[int]) -> np.ndarray:
        """Planes `indices` along `axis`, in the axis order of the file and in real units (HU).

        int16 if that loses nothing, else float32. Only these planes are held in memory.
        """
        chosen = np.arange(self.shape[axis])[indices]
        wanted, back = np.unique(chosen, return_inverse=True)
        shape = tuple(wanted.size if i == axis else self.shape[i] for i in range(3))
        planes = np.empty(shape, np.float32 if self.dtype.kind == "f" else np.int16, order="F")
        for region, values in self.blocks(axis, wanted):
            if values.dtype == np.float32 and planes.dtype == np.int16:
                planes = planes.astype(np.float32)
            planes[region] = values
        return planes if np.array_equal(chosen, wanted) else np.take(planes, back, axis=axis)

    def blocks(
        self, axis: int = 2, wanted: np.ndarray | None = None
    ) -> Iterator[tuple[Region, np.ndarray]]:
        """Go through the `wanted` planes (sorted; default all) once, a few megabytes at a time.

        Yields (place in the array that `read` would give, values); int16 or float32 by block.
        """
        wanted = np.arange(self.shape[axis]) if wanted is None else np.asarray(wanted)
        for region, raw in self._source.blocks(axis, wanted) if wanted.size else ():
            values = _real_values(raw, self._source.slope, self._source.intercept)
            if values.dtype == np.float32 and not np.isfinite(values).all():
                count = np.count_nonzero(~np.isfinite(values))
                raise DataError(
                    self.path,
                    f"NaN or infinite values ({count} voxels in one block)",
                    "replace them, with air (-1000 HU) in a CT, or leave the scan out.",
                )
            yield region, values


def open_volume(path: Path | str, colour: int | None = None) -> Volume:
    """Open a scan: NIfTI, NRRD, MetaImage, a folder with one DICOM series, or a 2D picture.

    `colour`: 0, 1 or 2 for the red, green or blue of a picture; None for its luma.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(path, "no such file", "check the path, or get the file.")
    try:
        source = _source(path, colour)
    except PermissionError as error:
        raise DataError(path, "may not be read", "change its permissions.") from error
    if not np.isfinite(source.affine).all() or np.linalg.matrix_rank(source.affine[:3, :3]) < 3:
        raise DataError(
            path, "its affine is singular or not finite", "repair the header or export it again."
        )
    return Volume(path, source.shape, source.affine, source.dtype, source)


def _source(path: Path, colour: int | None) -> Source:
    suffix = suffix_of(path)
    if colour is not None and suffix not in PICTURES:
        raise DataError(path, "not a picture, so it has no colours", "save it as PNG or JPEG.")
    if suffix in NIFTI and not path.is_dir():
        return NiftiFile(path)
    if path.is_dir() or suffix in ITK:
        # Imported when needed: SimpleITK takes 90 MB of every process that has it.
        from samnb.data.formats.itk import DicomSeries, ItkFile

    if path.is_dir():
        return DicomSeries(path)
    if suffix in ITK:
        return ItkFile(path)
    if suffix in PICTURES:
        return Picture(path, colour)
    raise DataError(path, "a format samnb does not read", f"convert it to {', '.join(SUFFIXES)}.")


def suffix_of(path: Path) -> str:
    """Suffix that tells the format, with `.nii.gz` as one; "" if it is none of `SUFFIXES`."""
    name = path.name.lower()
    return max((suffix for suffix in SUFFIXES if name.endswith(suffix)), key=len, default="")


def holds_dicom(files: Iterable[Path]) -> bool:
    """Whether one of these files is of a DICOM series, by its name or its first bytes."""
    return any(path.suffix.lower() in DICOM or _begins_as_dicom(path) for path in files)


def _begins_as_dicom(path: Path) -> bool:
    """The mark behind the preamble; in old files without one, the group of the first element."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or start[:2] in (b"\x02\0", b"\x08\0")


class Picture:
    """A 2D picture as a scan of one slice: shape (columns, rows, 1).

    Its values are one of the colours, 0 to 2 for red, green and blue, or, for None, the luma.

    A picture has no place in the patient. It gets steps of 1 mm and the axes of an axial slice seen
    as radiologists do: columns go to the patient's left, rows to the back. So it is never turned.
    """

    slope, intercept = 1.0, 0.0

    def __init__(self, path: Path, colour: int | None = None):
        self.path = path
        self.colour = colour
        self.affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        with self._open() as image:
            self.shape = (*image.size, 1)
            self.dtype = np.dtype(np.uint16 if image.mode.startswith("I") else np.uint8)
            if image.mode == "P":
                raise DataError(path, "colours from a palette", "save it as greyscale or RGB.")
            if colour is not None and self.dtype != np.uint8:
                raise DataError(path, "16 bits of grey, but colours are wanted", "save it as RGB.")

    def _open(self) -> Image.Image:
        try:
            return Image.open(self.path)
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(self.path, "not a readable picture", AGAIN) from error

    def blocks(self, axis: int, wanted: np.ndarray) -> Iterator[tuple[Region, np.ndarray]]:
        """Yield the picture, cut to `wanted` along `axis`."""
        with self._open() as image:
            try:
                array = np.asarray(self._converted(image))
            except (OSError, ValueError, SyntaxError) as error:
                raise DataError(self.path, "cut off or damaged", AGAIN) from error
        if image.mode == "1" and self.colour is None:
            array = array // 255  # a bilevel mask holds 0 and 1
        yield (slice(None),) * 3, np.take(array.T[:, :, np.newaxis], wanted, axis=axis)

    def _converted(self, image: Image.Image) -> Image.Image:
        if self.colour is not None:
            return image.convert("RGB").getchannel(self.colour)
        return image if image.mode.startswith("I") else image.convert("L")


def _real_values(raw: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Stored values to real units: int16 where that is exact, else float32."""
    if raw.dtype.kind == "f" or not slope.is_integer() or not intercept.is_integer():
        # Scale in double precision, as the HU of float files may be anything.
        scaled = raw if (slope, intercept) == (1.0, 0.0) else raw * slope + intercept
        with np.errstate(over="ignore"):
            return np.asarray(scaled, dtype=np.float32)
    if (slope, intercept) == (1.0, 0.0) and np.can_cast(raw.dtype, np.int16):
        return raw.astype(np.int16, copy=False)
    ends = [int(end) * slope + intercept for end in (raw.min(), raw.max())]
    if min(ends) >= SMALLEST and max(ends) <= LARGEST:
        wide = np.int32 if raw.dtype.itemsize <= 2 else np.int64
        return (raw.astype(wide) * int(slope) + int(intercept)).astype(np.int16)
    return (raw * slope + intercept).astype(np.float32)
