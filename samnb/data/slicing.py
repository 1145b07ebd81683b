"""One scan → its slices on the model grid, as SAM-Mix prepares them.

Intensities are cut to a window and scaled to 0–1, and every slice is resized: the image bilinearly,
its mask by the nearest neighbour. Only the wanted planes are read, a few at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np

from samnb.base.errors import DataError, SamnbError
from samnb.data.geometry import Geometry, fit_image, fit_mask, geometry_of, to_canonical
from samnb.data.layouts import Scan, ScanFiles, open_scan
from samnb.data.settings import SliceSettings, VolumeSettings
from samnb.data.volume import Volume

# Images are stored as 16-bit integers: 0–65535 stands for 0–1. Half precision floats would take the
# same room, but are 30 times coarser near 1 (0.2 HU of a 400 HU window against 0.006).
LEVELS = 65535

# Label of a slice whose scan has no segmentation.
UNKNOWN = -1

# Axis along which the planes of a file lie one after the other.
LAST = 2


@dataclass(frozen=True)
class ScanSlices:
    """What one scan gives to a cache of slices."""

    images: np.ndarray  # (n, C, side, side) uint16, see LEVELS
    masks: np.ndarray  # (n, K, side, side) uint8, 0 or 1
    columns: dict[str, list[int]]  # of the index table, n values each
    record: dict[str, Any]  # of the scan: files, geometry, window


def middle_slices(count: int, fraction: float) -> range:
    """Canonical indices of the central `fraction` of `count` slices; 1 keeps all.

    SAM-Mix's rule: with m = (count - 1) / 2, from ceil((1 - fraction) m) up to, and without,
    floor((1 + fraction) m). A 2D image is its own middle.
    """
    if count == 1 or fraction >= 1:
        return range(count)
    middle = (count - 1) / 2
    return range(ceil((1 - fraction) * middle), floor((1 + fraction) * middle))


def check_settings(settings: SliceSettings) -> None:
    """Refuse settings no slice can be made with."""
    check_window(settings)
    if not 0 < settings.middle <= 1 or settings.side < 1:
        raise SamnbError(
            f"Slices of side {settings.side} from the middle {settings.middle} cannot be made.",
            "set middle above 0 and up to 1, and side to at least 1.",
        )


def check_window(settings: SliceSettings | VolumeSettings) -> None:
    """Refuse a window that is none."""
    width, center = settings.window_width, settings.window_center
    if (width is None) != (center is None) or (width is not None and not width > 0):
        raise SamnbError(
            f"A window of width {width} at {center} is none.",
            "set both to numbers, the width above 0, or both to null to scale scan by scan.",
        )


def slice_scan(files: ScanFiles, settings: SliceSettings, labelled: bool) -> ScanSlices:
    """Read the wanted slices of one scan; any fault of the scan is a `DataError`.

    `labelled=False` takes scans without segmentation: masks are 0, labels `UNKNOWN`.
    """
    scan = open_labelled(files) if labelled else open_scan(files)
    known = bool(scan.labels)
    geometry = geometry_of(scan.shape, scan.affine, settings.side)
    kept = _kept_slices(files, geometry, settings)
    windows = windows_of(scan, settings, geometry, kept)
    channels = zip(scan.images, windows, strict=True)
    images = [_sliced_image(image, geometry, kept, window) for image, window in channels]
    masks, native_pixels = _sliced_masks(scan, geometry, kept)
    grid_pixels = np.count_nonzero(masks.any(axis=1), axis=(1, 2))
    columns = {
        "slice": list(kept),
        "plane": [geometry.native_plane(z) for z in kept],
        "label": (grid_pixels > 0).astype(int).tolist() if known else [UNKNOWN] * len(kept),
        "mask_pixels": grid_pixels.tolist(),
        "native_mask_pixels": native_pixels,
    }
    record = {
        "patient": files.patient,
        "scan": files.scan,
        "image": source_name(files.image),
        "label": source_name(files.label) if known else None,
        "targets": list(scan.targets),
        "window": [value for window in windows for value in window],
        **geometry.to_record(),
    }
    return ScanSlices(np.stack(images, axis=1), masks, columns, record)


def open_labelled(files: ScanFiles) -> Scan:
    """As `open_scan`; a scan without segmentation is a fault."""
    scan = open_scan(files)
    if not scan.labels:
        raise DataError(
            files.image,
            "has no segmentation beside it",
            "add the segmentation, or prepare the folder as unlabelled.",
        )
    return scan


def _kept_slices(files: ScanFiles, geometry: Geometry, settings: SliceSettings) -> range:
    count = geometry.canonical_shape[0]
    kept = middle_slices(count, settings.middle)
    if not kept:
        raise DataError(
            files.image,
            f"none of its {count} slices lies in the middle {settings.middle:.0%}",
            "keep more of the scan (set middle to 1), or leave the scan out.",
        )
    return kept


def _window(settings: SliceSettings | VolumeSettings) -> tuple[float, float] | None:
    """Values that become 0 and 1, or None if each scan is scaled by its own."""
    if settings.window_width is None:
        return None
    half = settings.window_width / 2
    return settings.window_center - half, settings.window_center + half


def windows_of(
    scan: Scan, settings: SliceSettings | VolumeSettings, geometry: Geometry, kept: range
) -> list[tuple[float, float]]:
    """The values that become 0 and 1 in each channel."""
    if given := _window(settings):
        return [given] * len(scan.images)
    ends = [_extremes(image, geometry, kept) for image in scan.images]
    if not scan.files.colour:
        return ends
    # Each stretched by its own ends, the colours would be others.
    lows, highs = zip(*ends, strict=True)
    return [(min(lows), max(highs))] * len(ends)


def _extremes(image: Volume, geometry: Geometry, kept: range) -> tuple[float, float]:
    """Lowest and highest value of the slices that are kept."""
    ends = [(planes.min(), planes.max()) for _, planes in canonical_blocks(image, geometry, kept)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _sliced_image(
    image: Volume, geometry: Geometry, kept: range, window: tuple[float, float]
) -> np.ndarray:
    """Windowed slices on the model grid: (n, side, side) uint16, see `LEVELS`."""
    images = np.zeros((len(kept), geometry.side, geometry.side), np.uint16)
    for positions, planes in canonical_blocks(image, geometry, kept):
        for position, plane in zip(positions, planes, strict=True):
            # Cut first, then resize: metal and bone would otherwise bleed into their neighbours.
            images[position] = np.rint(fit_image(levels_of(plane, window), geometry))
    return images


def levels_of(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Values cut to the window, float32 from 0 to `LEVELS`."""
    low, high = window
    scale = LEVELS / (high - low) if high > low else 0.0  # a scan of one value becomes 0
    return (np.clip(values, low, high, dtype=np.float32) - np.float32(low)) * scale


def _sliced_masks(scan: Scan, geometry: Geometry, kept: range) -> tuple[np.ndarray, list[int]]:
    """Masks of all targets on the model grid, (n, K, side, side) uint8, and how many pixels of the
    scan's own grid lie in any of them, slice by slice.
    """
    masks = np.zeros((len(kept), len(scan.targets), geometry.side, geometry.side), np.uint8)
    native_pixels = [0] * len(kept)
    for position, planes in label_planes(scan, geometry, kept):
        targets = [scan.target_of(plane, number) for number, plane in enumerate(planes)]
        native_pixels[position] = int(np.count_nonzero(np.any(targets, axis=0)))
        masks[position] = [fit_mask(target, geometry) for target in targets]
    return masks, native_pixels


def label_planes(
    scan: Scan, geometry: Geometry, kept: range
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """For each kept slice its place, and for each target the plane of the file that holds it."""
    highest: list[set[int]] = [set() for _ in scan.labels]
    files = [_planes(label, geometry, kept) for label in scan.labels]
    for found in zip(*files, strict=True):
        planes = [plane for _, plane in found]
        for seen, plane in zip(highest, planes, strict=True):
            seen.add(plane.max())
        yield found[0][0], planes if len(planes) > 1 else planes * len(scan.targets)
    for number, seen in enumerate(highest):
        scan.target_of(np.array(sorted(seen)), number)  # values that only together are too many


def _planes(image: Volume, geometry: Geometry, kept: range) -> Iterator[tuple[int, np.ndarray]]:
    """Each kept slice's place and its canonical plane, in the order of the file."""
    for positions, planes in canonical_blocks(image, geometry, kept):
        pairs = list(zip(positions, planes, strict=True))
        yield from reversed(pairs) if geometry.flips[0] else pairs


def canonical_blocks(
    image: Volume, geometry: Geometry, kept: range
) -> Iterator[tuple[range, np.ndarray]]:
    """Go through the kept slices in the order of the file, a few megabytes at a time.

    Yields (places in `kept`, canonical planes), both in canonical order.
    """
    axis = geometry.axes[0]
    wanted = np.sort([geometry.native_plane(z) for z in kept])
    if axis == LAST:
        blocks = ((region[axis], planes) for region, planes in image.blocks(axis, wanted))
    else:  # planes across the order of the file come only all together
        blocks = [(slice(0, len(kept)), image.read(axis, wanted))]
    for place, planes in blocks:
        start, stop, _ = place.indices(len(kept))
        if geometry.flips[0]:
            start, stop = len(kept) - stop, len(kept) - start
        yield range(start, stop), to_canonical(planes, geometry)


def source_name(path: Path) -> str:
    """A file's name and its folder's: enough to find it again, the same wherever the data lie."""
    return "/".join(path.parts[-2:])
