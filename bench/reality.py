"""Numbers on the real sets that need their pixels: `python bench/reality.py`, after the runs.

Records hold what systems reach on the model's grid. This adds two tables that take more: trained
systems whose SAM is given the box of the truth (brain), and volumes on the scans' own grid (MR).
Writes results/tables/real/*.csv: numbers only, no pixel.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from samnb.base import paths
from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path
from samnb.data.geometry import restore_mask
from samnb.data.layouts import open_scan
from samnb.data.slices import SliceSet
from samnb.evaluation.answers import segment
from samnb.evaluation.metrics import dice, measure
from samnb.prompts.box_prompted import segment_in_boxes
from samnb.prompts.boxes import box_of
from samnb.runs.derived import CEILINGS, ORGANS, note
from samnb.runs.run import Run
from samnb.runs.runner import load_method, plan
from samnb.studies import Profile, load_profile
from samnb.studies import cohorts as cohort
from samnb.systems.registry import find_system

SMALLEST = 20  # pixels of a mask, for a box to mean anything
TOLERANCE = 2.0  # mm, of the surface Dice


def with_target(slices: SliceSet, patients: list[str]) -> np.ndarray:
    """Rows of these patients whose mask is large enough for a box."""
    rows = slices.rows_of(patients)
    return rows[slices.index["mask_pixels"].to_numpy()[rows] >= SMALLEST]


def brain_ceilings(profile: Profile) -> Iterator[dict]:
    """Brain: the same trained SAM in its own box and in the box of the truth, by slice."""
    runs = [run for run in plan(profile) if run.system in CEILINGS and not run.changes]
    for run in tqdm(runs, desc="brain"):
        method = load_method(run, progress=False)
        for name, sizes in profile.data.splits.items():
            if sizes.test:
                yield from ceiling(run, method, name)


def ceiling(run: Run, method: nn.Module, name: str) -> Iterator[dict]:
    """Rows of one method on the tumour slices of one cohort's test patients."""
    slices = cohort.cohort_slices(run.profile, name)
    rows = with_target(slices, cohort.cohort_split(run.profile, name).test)
    images, masks = (torch.from_numpy(values) for values in slices.load(rows, target=0))
    own = dice(segment(method, slices, rows).masks[:, 0].numpy(), masks.numpy())
    tight = segment_in_boxes(method.sam, images, box_of(masks.bool()))
    given = dice(tight.numpy(), masks.numpy())
    title = find_system(run.system).title
    for row, mine, best in zip(rows, own, given, strict=True):
        patient = slices.index["patient"].loc[row]
        yield {"system": f"{title}-{run.labels}", "seed": run.seed, "cohort": name,
               "patient": patient, "own_box": mine, "true_box": best}  # fmt: skip


def organ_volumes(profile: Profile) -> Iterator[dict]:
    """MR: masks put back on the grid of the scan they come from, measured there in mm."""
    slices, split = cohort.cohort_slices(profile, "mr"), cohort.cohort_split(profile, "mr")
    tested = [scan for scan in cohort.cohort_scans(profile, "mr") if scan.patient in split.test]
    for run in tqdm(plan(profile), desc=profile.data.cohorts["mr"].targets[0]):
        method = load_method(run, progress=False)
        for scan in tested:
            table = slices.index[slices.index["scan"] == scan.scan].sort_values("slice")
            masks = segment(method, slices, table.index.to_numpy()).masks[:, 0].numpy()
            geometry = slices.geometry(scan.scan)
            back = restore_mask(masks.astype(np.uint8), table["slice"], geometry) > 0
            opened = open_scan(scan)
            truth = opened.mask(2, slice(None))
            measured = measure(back, truth, TOLERANCE, opened.spacing)
            labels = "all" if run.labels is None else run.labels
            yield {"organ": profile.data.cohorts["mr"].targets[0], "seed": run.seed,
                   "system": find_system(run.system).title, "labels": labels, "scan": scan.scan,
                   **{name: measured[name] for name in ("dice", "hd95")}}  # fmt: skip


def organs() -> Iterator[dict]:
    """MR: the volumes of every organ."""
    for organ in ORGANS:
        yield from organ_volumes(load_profile(f"real_mr_{organ}"))


TABLES = {
    "brain_ceilings": lambda: brain_ceilings(load_profile("real_brain")),
    "mr_volumes": organs,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"only these: {', '.join(TABLES)}")
    wanted = parser.parse_args().tables or TABLES
    if unknown := sorted({*wanted} - {*TABLES}):
        raise SamnbError(f"No table {', '.join(unknown)}.", f"use {', '.join(TABLES)}.")
    if not paths.real_root().is_dir():
        raise SamnbError(
            f"{paths.real_root()} is not there.", "name the real sets' folder by SAMNB_REAL."
        )
    folder = paths.results_root() / "tables" / "real"
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        with atomic_path(folder / f"{name}.csv") as temporary:
            pd.DataFrame(TABLES[name]()).to_csv(temporary, index=False, float_format="%.5f")
        note(f"tables/real/{name}.csv")
        print(folder / f"{name}.csv")


if __name__ == "__main__":
    try:
        main()
    except SamnbError as error:
        raise SystemExit(f"error: {error.what}\nRemedy: {error.remedy}") from None
