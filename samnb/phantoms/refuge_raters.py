"""The cohort like REFUGE2 with what each of seven raters drew, as a repack of the set has it.

Photographs and masks are those of the cohort `refuge`. Every rater has habits, kept over all
pictures, and a hand that is never quite steady; they differ over the cup far more than the disc.
"""

from pathlib import Path

import numpy as np

from samnb.phantoms.eye import LARGEST_CUP, Eye, cup_edge, disc_edge
from samnb.phantoms.fundus import as_seen, view
from samnb.phantoms.picture import (
    Raster,
    one_thread,
    polar,
    ripple,
    stream,
    write_picture,
)
from samnb.phantoms.refuge import STREAM, camera_of, make_patient, patient_of

RATERS = 7
# Deviation of the radius, as a share: between raters, and of one rater from picture to picture.
DISC = (0.015, 0.015)
CUP = (0.12, 0.08)


def rater_masks(seed: int, eye: Eye, raster: Raster, rater: int) -> tuple[np.ndarray, np.ndarray]:
    """Disc and cup, bool (rows, columns) each, as rater 1 to 7 draws them; the cup in the disc."""
    habits = stream((seed, STREAM, rater), "habits").normal(size=2)
    hand = stream((*eye.key, rater), "hand")
    away, angles = polar(*raster.axes(), eye.disc)
    factors = []
    for (between, within), habit in zip((DISC, CUP), habits, strict=True):
        wobble = ripple(angles, hand, (1, 2, 3, 4), 0.7 * within)
        factors.append(1 + between * habit + 0.7 * within * hand.normal() + wobble)
    disc = disc_edge(eye, angles) * factors[0]
    cup = np.minimum(cup_edge(eye, angles) * factors[1], LARGEST_CUP * disc)
    return away < disc, away < cup


def write_patient(folder: Path, seed: int, number: int, side: int) -> list[Path]:
    """Write `Training-400/n0002/n0002.jpg`, `n0002_seg_disc_1.png` .. 7, the same of the cup.

    What all agree on stands in `Disc_Cup_Masks/n0002.bmp`, where the reader of REFUGE finds it.
    """
    phantom = make_patient(seed, number, side)
    eye, part, name = patient_of(seed, number)
    home = folder / ("Training-400" if part == "training" else "Test-400") / name
    paths = [
        write_picture(home / f"{name}.jpg", phantom.image),
        write_picture(folder / f"Disc_Cup_Masks/{name}.bmp", phantom.labels),
    ]
    raster = view(eye, camera_of(number), side)
    for rater in range(1, RATERS + 1):
        with one_thread():
            masks = rater_masks(seed, eye, raster, rater)
        for target, mask in zip(("disc", "cup"), masks, strict=True):
            pixels = as_seen(eye, 255 * mask.astype(np.uint8))
            paths.append(write_picture(home / f"{name}_seg_{target}_{rater}.png", pixels))
    return paths
