"""How the shipped pocket SAM does on images it was never made for: `python bench/zero_shot.py`.

With the exact box of the truth (an oracle prompt), nothing trained, nothing tuned: phantom livers
of both cohorts' test patients and, where the folder is there, the small real sets. Writes
results/pocket_sam/zero_shot.csv: numbers only. bench/gpu.py makes the same table of other weights.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from samnb.base import paths
from samnb.base.files import atomic_path
from samnb.data.layouts import list_scans
from samnb.data.layouts.plain_folder import FolderRules
from samnb.data.settings import SliceSettings
from samnb.data.slices import SliceSet, prepare
from samnb.evaluation.metrics import dice
from samnb.networks.sam.weights import load_sam
from samnb.prompts.box_prompted import segment_in_boxes
from samnb.prompts.boxes import box_of, boxes_with_iou
from samnb.runs.derived import note
from samnb.studies import cohorts as cohort
from samnb.studies import load_profile

WHOLE = SliceSettings(side=128, window_width=None, window_center=None, middle=1.0)
BY_VOLUME = FolderRules(patient=r"i(\d+)_")
# name in the table: folder below the real sets, target, rules of the folder
REAL = {
    "brain FLAIR, tumour": ("brain_flair", "any", None),
    "liver CT": ("liver_ct", "any", BY_VOLUME),
    "abdominal MR, liver": ("abdomen_mr", "1", None),
    "abdominal MR, right kidney": ("abdomen_mr", "2", None),
    "abdominal MR, left kidney": ("abdomen_mr", "3", None),
    "abdominal MR, spleen": ("abdomen_mr", "4", None),
}
SMALLEST = 20  # pixels of a mask at the model's side, for a box to mean anything


def sets(real: Path, cache: Path):
    """Name and labelled slices of everything that is there."""
    profile = load_profile("pocket")
    for name in profile.data.cohorts:
        slices = cohort.cohort_slices(profile, name)
        yield f"phantom {name}, liver", slices, cohort.cohort_split(profile, name).test
    for name, (folder, target, rules) in REAL.items():
        if not (real / folder).is_dir():
            print(f"{name}: skipped, {real / folder} is not there")
            continue
        scans = list_scans("folder", real / folder, target, rules)
        slices, faults = prepare(scans, WHOLE, cache)
        for fault in faults:
            print(f"{name}: left out {fault}")
        yield name, slices, slices.patients


def measure(slices: SliceSet, patients: list[str], weights: str | Path = "published") -> dict:
    """Mean Dice over slices with target, from boxes of three qualities."""
    rows = slices.rows_of(patients)
    rows = rows[slices.index["mask_pixels"].to_numpy()[rows] > 0]
    images, masks = (torch.from_numpy(values) for values in slices.load(rows, target=0))
    keep = masks.flatten(1).sum(dim=1) >= SMALLEST
    images, masks = images[keep], masks[keep].bool()
    sam = load_sam("pocket", images.shape[-1], weights).eval()
    exact = box_of(masks)
    scores = {}
    for wanted in (1.0, 0.75, 0.5):
        shaken = boxes_with_iou(exact, wanted, images.shape[-1], torch.Generator().manual_seed(0))
        found = segment_in_boxes(sam, images, exact if wanted == 1 else shaken)
        scores[f"Dice, box IoU {wanted:g}"] = dice(found.numpy(), masks.numpy()).mean().round(4)
    return {"patients": len(patients), "slices": len(images), **scores}


def table(real: Path, weights: str | Path = "published") -> pd.DataFrame:
    """A row for every set, with these weights of the pocket SAM."""
    cache = paths.data_root() / "cache" / "slices"
    return pd.DataFrame(
        [
            {"images": name, **measure(slices, list(patients), weights)}
            for name, slices, patients in sets(real, cache)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=paths.CHECKOUT / "../shared/real")
    arguments = parser.parse_args()
    found = table(arguments.real.resolve())
    print(found.to_string(index=False))
    with atomic_path(paths.results_root() / "pocket_sam" / "zero_shot.csv") as temporary:
        found.to_csv(temporary, index=False)
    note("pocket_sam/zero_shot.csv")


if __name__ == "__main__":
    main()
