"""Tables as records give them, of made-up systems: for the tests of tables and figures."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

COHORTS = {"lits": 6, "totalsegmentator": 5}  # patients
SYSTEMS = {"U-Net": 0.9, "SAM-PP-0": 0.4, "SAM-PP-50": 0.6, "SAM-Mix-5": 0.7, "SAM-Mix-50": 0.8}
SLICES = 4  # of each patient; the first is without target


def made_cases(systems: Mapping[str, float] = SYSTEMS, seeds: int = 3) -> pd.DataFrame:
    """One row per system, seed and test slice; Dice lies about the system's level."""
    generator = np.random.default_rng(7)
    rows = []
    for name, level in systems.items():
        for cohort, patients in COHORTS.items():
            for seed in range(1, seeds + 1):
                rows += _run(generator, name, level, cohort, patients, seed)
    return pd.DataFrame(rows)


def _run(generator, name, level, cohort, patients, seed):
    prompted = "SAM" in name
    for patient in range(patients):
        for number in range(SLICES):
            target = number > 0
            dice = min(0.99, level + 0.02 * patient + generator.normal(0, 0.02)) if target else 1.0
            yield {
                "system": name,
                "seed": seed,
                "change": "",
                "cohort": cohort,
                "patient": f"{cohort}-{patient}",
                "scan": f"{cohort}-{patient}",
                "slice": number,
                "label": int(target),
                "presence": 0.2 + 0.6 * target if prompted else np.nan,
                "dice": dice,
                "iou": dice / (2 - dice),
                "hd": 40 * (1 - dice),
                "hd95": 30 * (1 - dice),
                "surface_dice": dice,
                "box_iou": level if prompted and target else np.nan,
                "hit": 1.0 if prompted and target else np.nan,
            }
