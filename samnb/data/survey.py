"""What is in a cohort before anything is prepared: orientation, spacing, where the target lies.

Chapter 1 draws its tables from it.
"""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
import pandas as pd

from samnb.data.geometry import geometry_of, to_canonical
from samnb.data.layouts import Scan, ScanFiles, open_scan
from samnb.data.slicing import middle_slices


def survey(files: Sequence[ScanFiles], middle: float) -> pd.DataFrame:
    """One row per scan, in the order of `files`.

    Columns: patient; orientation (where the three axes of the file point to, as in "RAS": right,
    anterior, superior); slices; thickness (mm between slices); pixel (mm within one); height (mm);
    target_slices; middle_slices and middle_target_slices (the same within the middle fraction);
    target_hu (median of the target in the slice that shows most of it).
    """
    return pd.DataFrame([_survey_scan(item, middle) for item in files])


def _survey_scan(files: ScanFiles, middle: float) -> dict[str, object]:
    scan = open_scan(files)
    present = target_area(scan)
    kept = middle_slices(len(present), middle)
    geometry = geometry_of(scan.shape, scan.affine, side=1)
    thickness, pixel, _ = geometry.spacing
    return {
        "patient": files.patient,
        "orientation": "".join(nib.aff2axcodes(scan.affine)),
        "slices": len(present),
        "thickness": thickness,
        "pixel": pixel,
        "height": thickness * len(present),
        "target_slices": int((present > 0).sum()),
        "middle_slices": len(kept),
        "middle_target_slices": int((present[kept.start : kept.stop] > 0).sum()),
        "target_hu": _median_hu(scan, int(present.argmax())),
    }


def target_area(scan: Scan) -> np.ndarray:
    """Voxels of the target in each canonical slice, from the feet up: int (slices,)."""
    geometry = geometry_of(scan.shape, scan.affine, side=1)
    axis = geometry.axes[0]
    mask = scan.mask(axis, slice(None))
    return np.count_nonzero(to_canonical(mask, geometry), axis=(1, 2))


def canonical_planes(scan: Scan, slices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Canonical slices of a scan at its own resolution: HU and bool mask, both (n, rows, columns).

    `slices` count from the feet up.
    """
    geometry = geometry_of(scan.shape, scan.affine, side=1)
    axis = geometry.axes[0]
    planes = [geometry.native_plane(z) for z in slices]
    # Turned one by one: turning them together would also reverse their order in a flipped scan.
    values = [to_canonical(scan.image.read(axis, [plane]), geometry)[0] for plane in planes]
    masks = [to_canonical(scan.mask(axis, [plane]), geometry)[0] for plane in planes]
    return np.stack(values), np.stack(masks)


def fullest_slice(scan: Scan) -> int:
    """Canonical number of the slice that shows most of the target."""
    return int(target_area(scan).argmax())


def target_hu(files: ScanFiles) -> float:
    """Median HU of the target in the slice that shows most of it; NaN if the scan has none."""
    scan = open_scan(files)
    return _median_hu(scan, fullest_slice(scan))


def _median_hu(scan: Scan, z: int) -> float:
    values, masks = canonical_planes(scan, [z])
    return float(np.median(values[masks])) if masks.any() else float("nan")


def presence_by_height(files: Sequence[ScanFiles], steps: int = 50) -> np.ndarray:
    """Share of the scans that show the target at each relative height: float (steps,), 0 to 1.

    Height runs from the lowest to the highest slice of each scan.
    """
    places = (np.arange(steps) + 0.5) / steps
    shown = []
    for item in files:
        present = target_area(open_scan(item)) > 0
        shown.append(present[(places * len(present)).astype(int)])
    return np.mean(shown, axis=0)


def summary(table: pd.DataFrame) -> dict[str, str]:
    """A few readable lines about the rows of a `survey`."""

    def reach(column: str, digits: int = 1) -> str:
        ends = [f"{value:.{digits}f}" for value in (table[column].min(), table[column].max())]
        return "–".join(dict.fromkeys(ends))  # one number if both are equal

    hu = table["target_hu"]
    return {
        "patients": str(len(table)),
        "slices per scan": reach("slices", 0),
        "mm between slices": reach("thickness"),
        "mm per pixel": reach("pixel", 2),
        "slices with target": f"{table['target_slices'].sum() / table['slices'].sum():.0%}",
        "HU of the target": f"{hu.mean():.0f} ± {hu.std():.0f}",
    }


def target_free(table: pd.DataFrame) -> tuple[float, float]:
    """Share of slices without the target: among all, and among the middle ones."""
    kept = table["middle_target_slices"].sum() / table["middle_slices"].sum()
    return 1 - table["target_slices"].sum() / table["slices"].sum(), 1 - kept


def fullest_plane(files: ScanFiles) -> tuple[np.ndarray, np.ndarray]:
    """HU and mask (rows, columns) of the slice that shows most of the target, canonical."""
    scan = open_scan(files)
    values, masks = canonical_planes(scan, [fullest_slice(scan)])
    return values[0], masks[0]


def stored_plane(scan: Scan, z: int) -> np.ndarray:
    """Canonical slice `z` as it lies in the file: HU, axes neither turned nor flipped."""
    geometry = geometry_of(scan.shape, scan.affine, side=1)
    axis = geometry.axes[0]
    return scan.image.read(axis, [geometry.native_plane(z)]).squeeze(axis)
