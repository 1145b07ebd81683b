"""The published nnU-Net, by its own package `nnunetv2`, on the very slices that ours learns from.

Ours is in `models/nnunet.py`; whoever doubts it compares the two here. The stock one plans,
prepares, trains and predicts by its own code; only the slices, the split, the length of the
training and the seed are given to it. What then differs from ours, as its authors have it: slices
are cropped to what is not black and resampled to the median size of a pixel, the plan looks at the
validation slices too, a third of every batch is cut around the target, and small pieces of an
answer stay. Its network is as wide as published, also where the profile makes ours narrower.

All of it lies in DATA/nnunet/PROFILE/LABELS/SEED, as `nnunetv2` wants it: `raw/` (the slices as
they are given), `preprocessed/`, `results/` (plan, weights) and `log.txt` (what it says). The
comparison is written to RESULTS/stock_nnunet/PROFILE/LABELS: a `.json` and a table of slices for
every seed, and `table.csv` of all seeds beside the records of ours.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from tqdm import tqdm

from samnb.base.checkout import commit
from samnb.base.errors import SamnbError
from samnb.base.files import atomic_path, read_json, require_room, write_json
from samnb.base.paths import data_root, results_root
from samnb.data.slices import SliceSet
from samnb.evaluation import costs
from samnb.evaluation.examine import SLICE_TOLERANCE
from samnb.evaluation.metrics import METRICS, measure_slices
from samnb.runs.data import TrainingData, test_cohorts, training_cohort
from samnb.runs.records import all_records
from samnb.runs.run import Run
from samnb.runs.runner import label_counts
from samnb.runs.train import learning
from samnb.studies import Profile
from samnb.studies.cohorts import cohort_slices, cohort_split
from samnb.training.batches import steps_per_epoch

NAME, NUMBER = "Dataset001_samnb", 1  # alone in its folder
ENDING = ".nii"
# Between slices, mm. nnU-Net's own reader of 2D pictures says so too: the planner takes the axis
# with the widest steps for the one to cut along, and that must be none of the picture's.
APART = 999.0
PIXEL = ["spacing_row", "spacing_column"]
BYTES = 12  # on the disk for each pixel: as given, and as nnU-Net prepares it
VALIDATIONS = 5  # steps for each one of validation: nnU-Net's own 250 to 50
DECIMALS = 5  # of the tables
# Batches made in this process, no compiler: the same seed then gives the same weights on a CPU. Set
# only while it trains: the planner takes the first for a number of threads, and fails with none.
REPEATABLE = {"nnUNet_n_proc_DA": "0", "nnUNet_compile": "f"}


def compare(
    run: Run,
    epochs: int | None = None,
    iterations: int | None = None,
    workers: int = 1,
    progress: bool = True,
) -> pd.DataFrame:
    """Teach and test the stock nnU-Net as `run`, one of ours, says; the table of the two.

    run: its profile, labels and seed. epochs of so many iterations: how long the stock one learns;
    None: as ours. workers: processes that prepare the slices.
    """
    _check(run)
    if epochs is None or iterations is None:
        own = own_length(run)
        epochs, iterations = epochs or own[0], iterations or own[1]
    seen, folder = run.data, stock_folder(run)
    shutil.rmtree(folder, ignore_errors=True)
    write_dataset(run, seen, folder)
    costs.forget_peak_memory(Accelerator().device)
    times = [time.perf_counter()]
    with nnunet_folders(folder, progress):
        prepare(workers)
        times.append(time.perf_counter())
        trainer = train(run.seed, epochs, iterations)
        times.append(time.perf_counter())
        table = predict(run.profile, trainer, progress)
        times.append(time.perf_counter())
    seconds = dict(zip(("preparation", "training", "inference"), np.diff(times), strict=True))
    facts = _facts(run, seen, trainer, table) | {"epochs": epochs, "iterations": iterations}
    place = results_folder(run)
    _write_table(place / f"seed-{run.seed}.csv", table)
    write_json(place / f"seed-{run.seed}.json", facts | {"seconds": seconds})
    both = side_by_side(run)
    _write_table(place / "table.csv", both)
    return both


def _facts(run: Run, seen: TrainingData, trainer: Any, table: pd.DataFrame) -> dict[str, Any]:
    """All of a comparison's file but how long it learned and how long that took."""
    return {
        "system": "nnU-Net, stock",
        "profile": run.profile.name,
        "labels": run.labels,
        "seed": run.seed,
        "slices": {"train": len(seen.marked), "validation": len(seen.watched)},
        "plan": trainer.configuration_manager.configuration,
        "parameters": sum(each.numel() for each in trainer.network.parameters()),
        "peak_memory_mb": round(costs.peak_memory(trainer.device), 1),
        "device": costs.device_in_words(trainer.device),
        "versions": costs.versions() | {"nnunetv2": version("nnunetv2")},
        "commit": commit(),
        "summary": table.groupby("cohort", sort=False)[list(METRICS)].mean().to_dict("index"),
    }


def own_length(run: Run) -> tuple[int, int]:
    """Epochs of our nnU-Net, and its steps in each."""
    seen, settings = run.data, learning(run)
    return settings.epochs, steps_per_epoch(seen.classified, seen.marked, settings)


def stock_folder(run: Run) -> Path:
    """Where the slices for nnU-Net, and what it makes of them, lie."""
    return data_root() / "nnunet" / run.profile.name / Path(*run.folder.parts[-2:])


def results_folder(run: Run) -> Path:
    """Where the comparison of all seeds lies."""
    return results_root() / "stock_nnunet" / run.profile.name / run.folder.parent.name


def _check(run: Run) -> None:
    if find_spec("nnunetv2") is None:
        raise SamnbError("nnunetv2 is not installed.", "pip install 'samnb[nnunet]'")
    known = label_counts(run.profile, run.system)
    if run.labels not in known:
        raise SamnbError(
            f"The profile {run.profile.name} has no {run.labels} labelled slices.",
            f"use {', '.join(str(count) for count in known if count)}, or give no number for all.",
        )
    if not len(run.data.watched):
        raise SamnbError(
            f"The profile {run.profile.name} has no validation patients, and nnU-Net needs some.",
            "give its training cohort some in `splits`.",
        )


def write_dataset(run: Run, seen: TrainingData, folder: Path) -> None:
    """Write the training and validation slices of `run` into `folder` as nnU-Net wants them.

    Each slice is a NIfTI of its own, one voxel thick. So the levels of the cache stay what they are
    (16 bits; nnU-Net takes the scale out itself) and the size of a pixel, which a PNG cannot hold,
    is known to the planner. Test slices are not among them.
    """
    raw, prepared = folder / "raw" / NAME, folder / "preprocessed" / NAME
    rows = np.concatenate([seen.marked, seen.watched])
    require_room(folder, BYTES * len(rows) * seen.slices.side**2)
    for place in (raw / "imagesTr", raw / "labelsTr", prepared):
        place.mkdir(parents=True, exist_ok=True)
    for row in rows:
        spacing = seen.slices.index.loc[row, PIXEL].to_list()
        image, mask = f"{_case(row)}_0000{ENDING}", f"{_case(row)}{ENDING}"
        _write_slice(raw / "imagesTr" / image, seen.slices.images[row, 0], spacing)
        _write_slice(raw / "labelsTr" / mask, seen.slices.masks[row, 0], spacing)
    windowed = run.profile.data.slices.window_width is not None
    description = {
        "name": NAME,
        "channel_names": {"0": "CT" if windowed else "MR"},  # by which it knows how to normalise
        "labels": {"background": 0, _target(run.profile): 1},
        "numTraining": len(rows),
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "NibabelIO",
    }
    write_json(raw / "dataset.json", description)
    parts = {"train": seen.marked, "val": seen.watched}
    split = {name: [_case(row) for row in part] for name, part in parts.items()}
    write_json(prepared / "splits_final.json", [split])
    _write_table(raw / "cases.csv", _cases(seen.slices, parts))


def _case(row: int) -> str:
    """A slice as nnU-Net names it, by its row among the slices of the cohort."""
    return f"slice-{row:06d}"


def _target(profile: Profile) -> str:
    return profile.data.cohorts[training_cohort(profile)].targets[0]


def _cases(slices: SliceSet, parts: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Which slice of whom a case is."""
    tables = []
    for part, rows in parts.items():
        table = slices.index.loc[rows, ["patient", "scan", "slice"]]
        table.insert(0, "case", [_case(row) for row in rows])
        table.insert(1, "part", part)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _write_slice(path: Path, values: np.ndarray, spacing: Sequence[float]) -> None:
    """A picture (rows, columns) as a volume; NIfTI counts columns first."""
    affine = np.diag([spacing[1], spacing[0], APART, 1.0])
    nib.save(nib.Nifti1Image(np.ascontiguousarray(values.T[:, :, None]), affine), path)


@contextmanager
def nnunet_folders(folder: Path, progress: bool = False) -> Iterator[None]:
    """With the folders of nnU-Net below `folder`; what it prints goes into a file there."""
    places = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    threads, log = str(torch.get_num_threads()), folder / "log.txt"
    if progress:
        print(f"What nnU-Net prints goes into {log}", file=sys.stderr)
    with (
        _environment(**places, nnUNet_def_n_proc=threads),
        log.open("a", buffering=1, encoding="utf-8") as file,
        redirect_stdout(file),
    ):
        yield


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """The environment with these values, and then as it was."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def prepare(workers: int) -> None:
    """Let nnU-Net look at the slices in its folders, plan its 2D network, and prepare them."""
    # Only now: it reads where its folders are when it is imported.
    from nnunetv2.experiment_planning import plan_and_preprocess_api as nnunet

    nnunet.extract_fingerprints([NUMBER], num_processes=workers, show_progress_bar=False)
    nnunet.plan_experiments([NUMBER])
    nnunet.preprocess(
        [NUMBER], configurations=["2d"], num_processes=[workers], show_progress_bar=False
    )


def train(seed: int, epochs: int, iterations: int) -> Any:
    """nnU-Net's own trainer when it has finished; its weights lie in `results/`."""
    from nnunetv2.run.run_training import get_trainer_from_args

    set_seed(seed)
    trainer = get_trainer_from_args(NAME, "2d", fold=0, device=Accelerator().device)
    trainer.num_epochs = epochs
    trainer.num_iterations_per_epoch = iterations
    trainer.num_val_iterations_per_epoch = -(-iterations // VALIDATIONS)
    with _environment(**{name: os.environ.get(name, value) for name, value in REPEATABLE.items()}):
        trainer.run_training()
    return trainer


def predict(profile: Profile, trainer: Any, progress: bool) -> pd.DataFrame:
    """A row of measures for every test slice of every test cohort."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=trainer.device, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(trainer.output_folder_base, use_folds=(0,))
    tables = []
    for cohort in test_cohorts(profile):
        slices = cohort_slices(profile, cohort)
        rows = slices.rows_of(cohort_split(profile, cohort).test)
        watched = tqdm(rows, desc=f"testing on {cohort}", disable=not progress, leave=False)
        masks = np.stack([_segmented(predictor, slices, row) for row in watched])
        tables.append(measured(slices, rows, masks, cohort))
    return pd.concat(tables, ignore_index=True)


def _segmented(predictor, slices: SliceSet, row: int) -> np.ndarray:
    """nnU-Net's mask (S, S) of one slice, on the slice's own grid."""
    picture = slices.images[row].astype(np.float32)[:, None]
    spacing = [APART, *slices.index.loc[row, PIXEL].to_list()]
    return predictor.predict_single_npy_array(picture, {"spacing": spacing})[0] == 1


def measured(slices: SliceSet, rows: np.ndarray, masks: np.ndarray, cohort: str) -> pd.DataFrame:
    """Measures of masks (N, S, S) of these rows, in pixels, as those of our systems."""
    table = slices.index.loc[rows, ["patient", "scan", "slice", "label"]].reset_index(drop=True)
    table.insert(0, "cohort", cohort)
    return table.assign(**measure_slices(masks, slices.masks[rows, 0], SLICE_TOLERANCE))


def side_by_side(run: Run) -> pd.DataFrame:
    """What is there of the stock nnU-Net and of ours with these labels, a row for every seed.

    Dice is the mean over the test slices of a cohort.
    """
    stock = [read_json(path) for path in sorted(results_folder(run).glob("seed-*.json"))]
    rows = [_row(facts, facts, facts["parameters"], facts["iterations"]) for facts in stock]
    for record in all_records(run.profile):
        facts = record.facts
        asked = (facts["system"], facts["labels"], facts["changes"])
        if asked == (run.system, run.labels, []):
            training = facts["settings"]["learning"]
            total = facts["parameters"]["total"]
            ours = facts | {"system": "nnU-Net, ours"}
            rows.append(_row(ours, training, total, training["steps_per_epoch"]))
    return pd.DataFrame(rows)


def _row(facts: Mapping[str, Any], training: Mapping[str, Any], total: int, steps: int | None):
    dice = {f"dice {cohort}": each["dice"] for cohort, each in facts["summary"].items()}
    return {
        "system": facts["system"],
        "labels": "all" if facts["labels"] is None else facts["labels"],
        "seed": facts["seed"],
        "epochs": training["epochs"],
        "iterations": steps,
        "parameters": total,
        "seconds": facts["seconds"]["training"],
        **dice,
    }


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.round(DECIMALS).to_csv(temporary, index=False)
