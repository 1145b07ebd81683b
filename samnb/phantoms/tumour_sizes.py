"""How large the tumours of a cohort are, as someone counts them who has the real scanner's voxels.

M-SAM's code leaves out what has 1,000 voxels or fewer, so that share of a cohort matters. Phantoms
have coarser voxels than their real models: volumes are counted there, and told in real voxels.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import label

from samnb.base.errors import SamnbError
from samnb.phantoms import kits19, lits_tumour, lung100, msd_hepatic, msd_lung, msd_pancreas
from samnb.phantoms.ct_protocols import REAL_SIDE

SMALL = 1000  # voxels
# Where each cohort is drawn, and the label of its tumours.
COHORTS = {
    "kits19": (kits19, 2),
    "msd_lung": (msd_lung, 1),
    "lung100": (lung100, 1),
    "msd_pancreas": (msd_pancreas, 2),
    "msd_hepatic": (msd_hepatic, 2),
    "lits_tumour": (lits_tumour, 2),
}


def tumour_sizes(kind: str, patients: int, seed: int = 2025, side: int = 128) -> pd.DataFrame:
    """One row for each tumour of the first patients of a cohort.

    Its columns: patient (number); millilitres; voxels (as many as the scan would have at side 512);
    small (not more than 1,000 of them). Tumours that touch count as one.
    """
    if kind not in COHORTS:
        raise SamnbError(f"No tumour cohort '{kind}'.", f"use one of {', '.join(COHORTS)}.")
    cohort, value = COHORTS[kind]
    rows = []
    for number in range(patients):
        phantom = cohort.make_patient(seed, number, side)
        real = cohort.draw_protocol(phantom.patient, REAL_SIDE)
        for size in lump_sizes(phantom.labels == value, phantom.spacing):
            voxels = round(1000 * size / (real.thickness * real.pixel**2))
            rows.append((number, size, voxels, voxels <= SMALL))
    return pd.DataFrame(rows, columns=["patient", "millilitres", "voxels", "small"])


def lump_sizes(mask: np.ndarray, spacing: tuple[float, float, float]) -> list[float]:
    """Millilitres of each connected piece of a mask (z, y, x), the largest first."""
    pieces, _ = label(mask, np.ones((3, 3, 3)))
    voxels = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
    return [float(count * np.prod(spacing) / 1000) for count in voxels]
