"""NIfTI files read plane by plane: `.nii` memory-mapped, `.nii.gz` decompressed as far as needed.

NIfTI stores the first axis fastest (Fortran order), so the planes along the last axis lie one after
the other in the file. Whoever wants the middle third of a compressed scan along that axis need not
decompress what comes after it, and never has to hold what comes before it.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from samnb.base.errors import DataError

AGAIN = "copy or download the file again."
BLOCK = 4 << 20  # bytes decompressed at a time: small beside a volume, large beside a call
SQUEEZE = 1032  # deflate can shrink data by this factor at the very most

Region = tuple[slice, slice, slice]


class NiftiFile:
    """Header of a NIfTI file and a way to its raw planes; the voxels stay on disk."""

    def __init__(self, path: Path):
        self.path = path
        self.compressed = path.name.lower().endswith(".gz")
        image = _read_header(path, self.compressed)
        proxy = image.dataobj
        self.shape = _three_axes(path, proxy.shape)
        self.affine = np.array(image.affine, dtype=np.float64)
        self.dtype = np.dtype(proxy.dtype)
        if self.dtype.kind not in "iuf":
            raise DataError(path, f"voxels of type {self.dtype}", "export it as a grey-value scan.")
        self.offset = int(proxy.offset)
        # Stored values times slope plus intercept are real units (HU).
        self.slope, self.intercept = float(proxy.slope), float(proxy.inter)
        self._stream = None  # of decompressed bytes, standing at plane number `_position`
        self._position = 0
        self._check_size()

    def _check_size(self) -> None:
        """Refuse a file too short for its header, as far as its size can tell."""
        stored = self.path.stat().st_size
        wanted = self.offset + self._plane_bytes * self.shape[2]
        if stored * (SQUEEZE if self.compressed else 1) < wanted:
            raise DataError(
                self.path, f"cut off: {stored} bytes, the header announces {wanted}", AGAIN
            )

    @property
    def _plane_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def blocks(self, axis: int, wanted: np.ndarray) -> Iterator[tuple[Region, np.ndarray]]:
        """Yield (place in the result, raw voxels) until all `wanted` planes along `axis` are given.

        `wanted` is sorted and without repetition; reading goes forwards.
        """
        step = max(1, BLOCK // self._plane_bytes)
        ranges = _runs(wanted) if axis == 2 else [(0, self.shape[2])]
        done = 0
        for first, last in ranges:
            for start in range(first, last, step):
                stop = min(start + step, last)
                raw = self._planes(start, stop)
                place = slice(done, done + stop - start)
                done = place.stop
                if axis != 2:
                    raw = np.take(raw, wanted, axis=axis)
                yield (slice(None), slice(None), place), raw

    def _planes(self, start: int, stop: int) -> np.ndarray:
        """Raw planes from `start` up to `stop` along the last axis."""
        if not self.compressed:
            # Mapped anew for each block: pages of an open map would stay in memory as ours.
            shape = (*self.shape[:2], stop - start)
            first = self.offset + start * self._plane_bytes
            return np.memmap(self.path, self.dtype, "r", first, shape, order="F")
        try:
            return self._decompress(start, stop)
        except EOFError as error:
            fault = "cut off: the compressed data end too early"
            raise DataError(self.path, fault, AGAIN) from error
        except (gzip.BadGzipFile, isal_zlib.error, zlib.error) as error:
            raise DataError(self.path, f"damaged compressed data ({error})", AGAIN) from error

    def _decompress(self, start: int, stop: int) -> np.ndarray:
        """As `_planes`. The stream stays open, so that the next planes cost no new beginning."""
        if self._stream is None or start < self._position:
            self._rewind()
        # Should anything fail from here on, the next call finds itself behind, and rewinds.
        position, self._position = self._position, self.shape[2]
        _skip(self._stream, (start - position) * self._plane_bytes)
        raw = np.empty((*self.shape[:2], stop - start), self.dtype, order="F")
        _fill(self._stream, memoryview(raw.reshape(-1, order="F")).cast("B"))
        self._position = stop
        if stop == self.shape[2]:
            # Only at the very end does gzip compare its checksum.
            while self._stream.read(BLOCK):
                pass
            self._stream.close()
            self._stream = None
        return raw

    def _rewind(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = igzip.open(self.path, "rb")
        _skip(self._stream, self.offset)
        self._position = 0


def _read_header(path: Path, compressed: bool) -> nib.Nifti1Image:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    if is_gzip != compressed:
        right = path.name + ".gz" if is_gzip else path.name[: -len(".gz")]
        fault = f"{'' if is_gzip else 'not '}gzip-compressed, against its name"
        raise DataError(path, fault, f"rename it to {right} if that is what it is, or {AGAIN}")
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(path, "not a readable NIfTI file", AGAIN) from error
    if not isinstance(image, nib.Nifti1Image):  # Nifti2Image is one as well
        raise DataError(path, "not a NIfTI file", "convert it to NIfTI.")
    return image


def _three_axes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    shape = tuple(int(length) for length in shape)
    if any(length != 1 for length in shape[3:]):
        raise DataError(
            path,
            f"{len(shape)} axes {shape} where a scan has three",
            "split it and keep one volume per file.",
        )
    shape = (*shape, 1, 1)[:3] if len(shape) < 3 else shape[:3]
    if min(shape) < 1:
        raise DataError(path, f"no voxels (shape {shape})", AGAIN)
    return shape


def _runs(wanted: np.ndarray) -> list[tuple[int, int]]:
    """Split sorted indices into runs of neighbours, as (first, one past the last)."""
    runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs if run.size]


def _skip(stream, count: int) -> None:
    scratch = memoryview(bytearray(min(count, BLOCK)))
    while count > 0:
        part = scratch[: min(count, BLOCK)]
        _fill(stream, part)
        count -= len(part)


def _fill(stream, buffer: memoryview) -> None:
    while len(buffer):
        got = stream.readinto(buffer)
        if not got:
            raise EOFError
        buffer = buffer[got:]
