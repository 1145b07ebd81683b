"""How the brain phantoms of two cohorts differ, and how hard their tumours are for a threshold.

Draws the same number of patients of each kind and prints a table, a row for each measure: what a
user of real BraTS sets would measure first, from images and labels alone.

    python bench/brains.py                        24 patients of each, voxels of 4 mm
    python bench/brains.py --patients 6 --kinds brats21
"""

import argparse

import numpy as np
import pandas as pd
from scipy.ndimage import label
from tqdm import tqdm

from samnb.evaluation.metrics import dice
from samnb.evaluation.simple import best_range, held_out_draws, largest_pieces, threshold
from samnb.phantoms import BrainPhantom, draw_patient
from samnb.phantoms.mr import SEQUENCES

FLAIR, T1, T1CE, T2 = (SEQUENCES.index(name) for name in ("flair", "t1", "t1ce", "t2"))
SMALLEST = 0.3  # mL of a core that counts as a mass
PIXELS = 5  # a slice with more of them under the mask has tumour


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", default=["brats18", "brats21"])
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--side", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2025)
    given = parser.parse_args()
    columns = {}
    for kind in given.kinds:
        numbers = tqdm(range(given.patients), desc=kind)
        phantoms = [draw_patient(kind, number, given.seed, given.side) for number in numbers]
        columns[kind] = described(phantoms)
    print(pd.DataFrame(columns).round(2).to_string())


def described(phantoms: list[BrainPhantom]) -> pd.Series:
    """Each measure over the patients of one cohort."""
    rows = pd.DataFrame([measured(phantom) for phantom in phantoms])
    low, middle, high = rows["volume"].quantile([0.1, 0.5, 0.9])
    return pd.Series({
        "share of high grade": rows["high grade"].mean(),
        "age, mean": rows["age"].mean(),
        "whole tumour, mL, 10 %": low,
        "whole tumour, mL, median": middle,
        "whole tumour, mL, 90 %": high,
        "share with several masses": (rows["masses"] > 1).mean(),
        "FLAIR, tumour over the rest, mean": rows["flair"].mean(),
        "FLAIR, tumour over the rest, deviation": rows["flair"].std(),
        "T1ce, enhancing over the rest, mean": rows["t1ce"].mean(),
        "T1, middle half of the brain, mean": rows["t1"].mean(),
        "T1, middle half of the brain, deviation": rows["t1"].std(),
        "FLAIR median, 90 % over 10 %": np.divide(*rows["scale"].quantile([0.9, 0.1])),
        "Dice of a threshold on FLAIR": threshold_dice(phantoms),
    })  # fmt: skip


def measured(phantom: BrainPhantom) -> dict[str, float]:
    """Of one patient. Ratios are of mean intensities, the width is over the median."""
    brain, tumour = phantom.images[FLAIR] > 0, phantom.labels > 0
    millilitres = np.prod(phantom.spacing) / 1000
    pieces, count = label(np.isin(phantom.labels, (1, 4)), np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:] * millilitres
    healthy = brain & ~tumour
    flair, t1, t1ce = (phantom.images[index].astype(float) for index in (FLAIR, T1, T1CE))
    enhancing = phantom.labels == 4
    quarter, half, three = np.quantile(t1[healthy], [0.25, 0.5, 0.75])
    return {
        "high grade": phantom.patient.high_grade,
        "age": phantom.patient.age,
        "volume": tumour.sum() * millilitres,
        "masses": int((sizes > SMALLEST).sum()),
        "flair": flair[tumour].mean() / flair[healthy].mean(),
        "t1ce": t1ce[enhancing].mean() / t1ce[healthy].mean() if enhancing.any() else np.nan,
        "t1": (three - quarter) / half,
        "scale": np.median(flair[healthy]),
    }


def threshold_dice(phantoms: list[BrainPhantom]) -> float:
    """Mean Dice of the best range of FLAIR and its largest piece, on patients held out."""
    images, masks, patients = [], [], []
    for number, phantom in enumerate(phantoms):
        flair = phantom.images[FLAIR] / phantom.images[FLAIR].max()
        for plane, labels in zip(flair, phantom.labels, strict=True):
            if (labels > 0).sum() > PIXELS:
                images.append(plane)
                masks.append(labels > 0)
                patients.append(number)
    images, masks = np.stack(images), np.stack(masks)
    scores = []
    for train, test in held_out_draws(np.array(patients), 0.3, 6, 1):
        chosen = best_range(images[train], masks[train])
        found = largest_pieces(threshold(images[test], *chosen))
        scores.append(dice(found, masks[test]).mean())
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
