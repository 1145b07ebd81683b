"""DICOM series, NRRD and MetaImage by SimpleITK; ITK's LPS world becomes RAS as in NIfTI."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from samnb.base.errors import DataError
from samnb.data.formats.nifti import AGAIN, Region

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters becomes a DataError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNEVEN = 0.02  # of the slice distance: more than rounding in DICOM headers


class ItkFile:
    """One `.nrrd`, `.mha` or `.mhd` file; compressed ones are read whole."""

    slope, intercept = 1.0, 0.0  # ITK gives real units already

    def __init__(self, path: Path):
        self.path = path
        self._reader = _information(path)
        size = self._reader.GetSize()
        if any(length != 1 for length in size[3:]):
            raise DataError(
                path,
                f"{len(size)} axes {tuple(size)} where a scan has three",
                "split it and keep one volume per file.",
            )
        self.shape = (*size, 1, 1)[:3] if len(size) < 3 else tuple(size[:3])
        self.affine = _affine(self._reader)
        self.dtype = _pixel_type(self._reader, path)

    def blocks(self, axis: int, wanted: np.ndarray) -> Iterator[tuple[Region, np.ndarray]]:
        """Yield the one block of all `wanted` planes (sorted, no repetition) along `axis`."""
        start, size = [0, 0, 0], list(self.shape)
        start[axis], size[axis] = int(wanted[0]), int(wanted[-1] - wanted[0]) + 1
        dimension = self._reader.GetDimension()
        # A size of 0 drops the (single) fourth axis.
        self._reader.SetExtractIndex((start + [0] * dimension)[:dimension])
        self._reader.SetExtractSize((size + [0] * dimension)[:dimension])
        raw = _voxels(_execute(self._reader, self.path))
        yield (slice(None),) * 3, np.take(raw, wanted - wanted[0], axis=axis)


class DicomSeries:
    """A folder with the files of one DICOM series, a slice each, sorted by their position."""

    slope, intercept = 1.0, 0.0

    def __init__(self, path: Path):
        self.path = path
        series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path))
        if len(series) != 1:
            what = f"{len(series)} DICOM series" if series else "no DICOM series"
            raise DataError(path, f"{what} in this folder", "keep one series per folder.")
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series[0])
        self._files = [Path(name) for name in names]
        headers = [_information(file) for file in self._files]
        rows_and_columns = {header.GetSize()[:2] for header in headers}
        if len(rows_and_columns) != 1 or any(
            header.GetSize()[2:] not in ((), (1,)) for header in headers
        ):
            raise DataError(path, "its slices differ in size", "keep the slices of one scan only.")
        self.shape = (*rows_and_columns.pop(), len(self._files))
        self.dtype = _pixel_type(headers[0], path)
        self.affine = _affine(headers[0])
        self._set_slice_step(np.array([header.GetOrigin()[:3] for header in headers]))

    def _set_slice_step(self, origins: np.ndarray) -> None:
        """Take the step between slices from their positions; a gap means a missing slice."""
        if len(origins) < 2:
            return
        steps = np.diff(origins, axis=0)
        step = (origins[-1] - origins[0]) / (len(origins) - 1)
        distance = np.linalg.norm(step)
        if distance == 0 or np.abs(steps - step).max() > UNEVEN * distance:
            raise DataError(
                self.path,
                "its slices are not evenly spaced",
                "export the series again; a slice is missing or stands there twice.",
            )
        self.affine[:3, 2] = LPS_TO_RAS[:3, :3] @ step

    def blocks(self, axis: int, wanted: np.ndarray) -> Iterator[tuple[Region, np.ndarray]]:
        """Yield slice after slice; along the last axis only the wanted files are opened."""
        files = [self._files[i] for i in wanted] if axis == 2 else self._files
        for number, file in enumerate(files):
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(file))
            raw = _voxels(_execute(reader, file))
            if axis != 2:
                raw = np.take(raw, wanted, axis=axis)
            yield (slice(None), slice(None), slice(number, number + 1)), raw


def _information(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError(path, "not readable as an image", AGAIN) from error
    if reader.GetNumberOfComponents() != 1:
        raise DataError(path, "several values per voxel", "export it as a grey-value scan.")
    return reader


def _execute(reader: sitk.ImageFileReader, path: Path) -> sitk.Image:
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise DataError(path, "cut off or damaged: its voxels cannot be read", AGAIN) from error


def _voxels(image: sitk.Image) -> np.ndarray:
    """Voxels as (x, y, z); SimpleITK gives them the other way round."""
    array = sitk.GetArrayFromImage(image)
    return (array[np.newaxis] if array.ndim == 2 else array).transpose()


def _pixel_type(reader: sitk.ImageFileReader, path: Path) -> np.dtype:
    blank = sitk.Image([1] * 2, reader.GetPixelID())
    dtype = sitk.GetArrayViewFromImage(blank).dtype
    if dtype.kind not in "iuf":
        raise DataError(path, f"voxels of type {dtype}", "export it as a grey-value scan.")
    return dtype


def _affine(reader: sitk.ImageFileReader) -> np.ndarray:
    """4 x 4, voxel indices to RAS+ mm; axes an image lacks have a step of 1 mm."""
    dimension = reader.GetDimension()
    kept = min(dimension, 3)
    direction = np.array(reader.GetDirection()).reshape(dimension, dimension)[:kept, :kept]
    affine = np.eye(4)
    affine[:kept, :kept] = direction * np.array(reader.GetSpacing())[:kept]
    affine[:kept, 3] = reader.GetOrigin()[:kept]
    return LPS_TO_RAS @ affine
