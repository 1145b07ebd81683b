"""Volumes by hand, in the form of a cache: for tests of what reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from samnb.data.geometry import geometry_of
from samnb.data.grid import volume_geometry
from samnb.data.slicing import LEVELS
from samnb.data.volumes import VolumeSet


def made_volumes(
    folder: Path,
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    spacing: tuple[float, float, float] = (3.0, 1.0, 2.0),
) -> VolumeSet:
    """Of images (C, D, H, W), 0-1, and masks (K, D, H, W): scans and patients s0, s1, ..."""
    targets = [f"target {number}" for number in range(len(masks[0]))]
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    scans = {}
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        np.save(folder / f"{number}.images.npy", np.rint(image * LEVELS).astype(np.uint16))
        np.save(folder / f"{number}.masks.npy", mask.astype(np.uint8))
        grid = volume_geometry(geometry_of(image.shape[:0:-1], affine, 1), None, None)
        scans[f"s{number}"] = {"targets": targets, **grid.to_record()}
    labels = np.array([mask.any(axis=(1, 2, 3)) for mask in masks], np.int8)
    index = pd.DataFrame({"patient": list(scans), "scan": list(scans), "label": labels.max(axis=1)})
    return VolumeSet(folder, labels, index, scans)
