"""NIfTI files that depend on their content alone: no dates, no names inside."""

from pathlib import Path

import nibabel
import numpy as np
from isal import igzip

from samnb.base.files import atomic_path


def to_world(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], first: tuple[float, ...]
) -> np.ndarray:
    """Affine (4 × 4, RAS mm) of the transposed canonical array (x, y, z).

    `spacing` and `first`, the position of the first voxel, are in (z, y, x) order; x points to the
    left and y to the back, so both change sign in NIfTI's frame.
    """
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = -first[2], -first[1], first[0]
    return affine


def flip(array: np.ndarray, affine: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Store one axis the other way round: every voxel keeps its place in the world."""
    affine = affine.copy()
    affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
    affine[:3, axis] *= -1
    return np.flip(array, axis), affine


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write `.nii` plain, `.nii.gz` compressed with an empty gzip header; whole or not at all."""
    image = nibabel.Nifti1Image(np.asfortranarray(array), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    content = image.to_bytes()
    if path.suffix == ".gz":
        content = igzip.compress(content, compresslevel=1, mtime=0)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
