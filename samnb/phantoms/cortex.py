"""The folded cortex: how deep a point lies under the pia, sulci and fissures counted.

The sulci follow the zero surfaces of a random field of narrow wavelength, which wind like those
of a brain; the field is read on one shell of the hemisphere, so that they go in at right angles.
"""

import numpy as np

from samnb.phantoms.brain import (
    Brain,
    BrainPatient,
    cerebrum,
    inner_arch,
    make_brain,
    mirrored,
    read_at,
    whole_field,
)
from samnb.phantoms.fields import Field, smooth_minimum, waves

STEP = 2.0  # mm, of the fields of the folds
GYRUS = (17.0, 22.0)  # mm, wavelengths: two sulci and two gyri of either sign
INSULA = 37.0  # mm from the midline


def draw_brain(patient: BrainPatient) -> Brain:
    """The whole brain of a patient."""
    return make_brain(patient, *make_folds(patient))


def make_folds(patient: BrainPatient) -> tuple[Field, Field]:
    """Signed distance (mm) to the sheets of the sulci, and how deep they reach (mm)."""
    generator = patient.stream("folds")
    plain = whole_field(lambda axes: waves(axes, generator, GYRUS, 1.0, 64), STEP)
    grid, axes = plain.grid, plain.grid.axes()
    # Everything is read on the shell at 0.8 of the way to the surface: straight in, nearly.
    level = np.sqrt((axes[0] / 72) ** 2 + ((axes[1] - 16) / 86) ** 2 + (axes[2] / 69) ** 2)
    shrink = np.float32(0.8) / np.maximum(level, 0.3)
    pull = shrink**0.6
    points = np.stack(
        [
            (axes[0] * pull + waves(axes, generator, (28, 60), 3.0, 12)).ravel(),
            ((axes[1] - 16) * pull + 16 + waves(axes, generator, (28, 60), 3.0, 12)).ravel(),
            (axes[2] * pull + waves(axes, generator, (28, 60), 3.0, 12)).ravel(),
        ]
    )
    folded = read_at(plain, points).reshape(grid.shape)
    slope = np.sqrt(sum(part * part for part in np.gradient(folded, STEP)))
    fold = folded / np.maximum(slope, 0.06)
    bottom = 15 + waves(axes, generator, (22, 50), 5.0, 16)
    # Over the deep nuclei, from below and from the insula, the sulci stay shallow.
    inner = ((axes[0] - 2) / 30) ** 2 + ((axes[1] - 8) / 44) ** 2 + (axes[2] / 36) ** 2
    bottom = np.clip(bottom, 4, 26) * np.clip(1.6 * np.sqrt(inner) - 0.9, 0, 1)
    return Field(grid, np.float32(fold)), Field(grid, np.float32(bottom))


def pial_depth(brain: Brain, points: np.ndarray) -> np.ndarray:
    """Depth (mm) under the surface of the hemispheres at standard points; negative in the CSF."""
    side = mirrored(points)
    atrophy = np.float32(brain.patient.atrophy)
    gap = np.float32(0.5) + 1.3 * atrophy
    outer = np.minimum(-cerebrum(side) - gap, medial_depth(side, 0.5 * gap))
    # A sulcus is a narrow cleft with a rounded mouth.
    width = (0.25 + 0.75 * atrophy) * (0.6 + 2.0 * np.exp(-np.maximum(outer, 0) / 3.0))
    across = np.abs(read_at(brain.fold, points)) - width
    below = outer - read_at(brain.bottom, points)
    sulcus = np.where(below > 0, np.hypot(np.maximum(across, 0), below), across)
    depth = smooth_minimum(outer, sulcus, 2.0)
    return np.minimum(depth, sylvian_depth(side, atrophy))


def medial_depth(side: np.ndarray, gap: float) -> np.ndarray:
    """Distance (mm) to the fissure between the hemispheres, which ends on the corpus callosum."""
    arch = inner_arch(side)
    across = side[2] - np.float32(gap)
    return np.where(arch > 0, across, np.hypot(np.maximum(across, 0), arch))


def sylvian_depth(side: np.ndarray, atrophy: float) -> np.ndarray:
    """Distance (mm) to the Sylvian fissure: in over the temporal lobe, then along the insula."""
    z, y, x = side
    width = np.float32(0.4 + 0.6 * atrophy)
    plane = -9 + 0.52 * (y + 12) + 0.25 * (x - INSULA) + 2.5 * np.sin(0.13 * x + 0.09 * y)
    rise = z - plane
    ends = np.maximum(np.maximum(y - 42, -24 - y), 0)
    cleft = np.sqrt(rise**2 + np.maximum(INSULA - x, 0) ** 2 + ends**2) - width
    bulge = INSULA + 1.5 - 0.004 * (y - 2) ** 2 - 0.006 * (z - 2) ** 2
    bulge += 1.2 * np.sin(0.31 * y + 0.2 * z)
    tall = np.maximum(np.abs(z - 1 - 0.3 * y) - 9, 0)
    long = np.maximum(np.abs(y - 1) - 19, 0)
    insula = np.sqrt((x - bulge) ** 2 + tall**2 + long**2) - 0.8 * width
    return np.minimum(cleft, insula)
