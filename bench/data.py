"""Slicing scans: `samnb data prepare` against the plain way, on the same volumes.

The plain way is what a first script does: nibabel's `get_fdata` for the whole volume, the window on
all of it, Pillow to resize slice by slice, one HDF5 group per slice. Each way runs in a process of
its own with one worker, alternately; the medians count. Time is the whole process's, from start
to end, start of Python and imports included; memory is its peak resident set.

    python bench/data.py                     two CT-sized volumes (150 and 400 slices of 512 x 512)
    python bench/data.py --repeats 1 --slices 40
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE, LOW, WIDTH, KEPT = 256, -160, 400, 0.3
WAYS = ("plain", "samnb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, nargs="+", default=[150, 400])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--matrix", type=int, default=512)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # the process measured
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        {"plain": plain, "samnb": ours}[given.way](given.folder)
        print(json.dumps({"peak": peak_bytes()}))
        return
    if importlib.util.find_spec("h5py") is None:
        sys.exit("The plain way writes HDF5: install h5py first (pip install h5py).")
    with tempfile.TemporaryDirectory() as place:
        for suffix in (".nii", ".nii.gz"):
            folder = Path(place) / suffix.strip(".")
            folder.mkdir()
            for number, slices in enumerate(given.slices):
                write_scan(folder, number, suffix, slices, given.matrix)
            report(suffix, folder, given.repeats)


def report(suffix: str, folder: Path, repeats: int) -> None:
    """Measure both ways alternately and print their medians and ratios."""
    runs = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            runs[way].append(measure(way, folder))
    print(f"{suffix}: {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.0f} MB")
    medians = {
        way: [statistics.median(values) for values in zip(*runs[way], strict=True)] for way in WAYS
    }
    for way, (wall, processor, peak) in medians.items():
        print(f"  {way:6} {wall:6.2f} s  {processor:6.2f} s of processor  {peak / 1e6:7.0f} MB")
    wall, processor, peak = (
        before / after for before, after in zip(*medians.values(), strict=True)
    )
    print(f"  ratio  {wall:6.1f} x  {processor:6.1f} x              {peak:8.1f} x")


def measure(way: str, folder: Path) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of processor, peak memory in bytes of one process."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the {way} way failed")
    return wall, usage.ru_utime + usage.ru_stime, json.loads(output.splitlines()[-1])["peak"]


def peak_bytes() -> int:
    """Peak resident set of this process.

    Linux: VmHWM, since the other figure begins with what the parent held when it started us.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def plain(folder: Path) -> None:
    import h5py
    import nibabel as nib
    from PIL import Image

    def resized(plane: np.ndarray, how: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((SIDE, SIDE), how))

    with (
        tempfile.TemporaryDirectory() as place,
        h5py.File(Path(place) / "slices.h5", "w") as file,
    ):
        for path in sorted(folder.glob("volume-*")):
            image = nib.load(path).get_fdata()
            label = nib.load(path.with_name(path.name.replace("volume", "segmentation")))
            label = label.get_fdata()
            image = (np.clip(image, LOW, LOW + WIDTH) - LOW) / WIDTH
            middle = (image.shape[2] - 1) / 2
            first, last = np.ceil((1 - KEPT) * middle), np.floor((1 + KEPT) * middle)
            for z in range(int(first), int(last)):
                mask = resized(label[:, :, z], Image.Resampling.NEAREST)
                group = file.create_group(f"{path.name}-{z}")
                group["image"] = resized(image[:, :, z], Image.Resampling.BILINEAR)
                group["mask"] = mask.astype(np.uint8)
                group["label"] = int(mask.any())


def ours(folder: Path) -> None:
    from samnb.data.layouts import list_scans
    from samnb.data.settings import SliceSettings
    from samnb.data.slices import prepare

    settings = SliceSettings(SIDE, WIDTH, LOW + WIDTH / 2, KEPT)
    with tempfile.TemporaryDirectory() as place:
        scans = list_scans("lits", folder, "liver")
        prepare(scans, settings, Path(place), workers=1, progress=False)


def write_scan(folder: Path, number: int, suffix: str, slices: int, matrix: int) -> None:
    """A body of noisy soft tissue with a liver in it: it compresses about as a real CT does."""
    import nibabel as nib

    rng = np.random.default_rng(number)
    across, down = np.meshgrid(*(np.linspace(-1, 1, matrix),) * 2, indexing="ij")
    body = across**2 + (1.3 * down) ** 2 < 0.8
    liver = ((across - 0.35) / 0.4) ** 2 + ((down - 0.1) / 0.35) ** 2 < 1
    image = np.empty((matrix, matrix, slices), np.int16, order="F")
    label = np.zeros(image.shape, np.uint8, order="F")
    for z in range(slices):
        noise = rng.normal(0, 14, body.shape)
        image[:, :, z] = np.where(body, 50 + 60 * liver + noise, -1000 + 0.3 * noise)
        label[:, :, z] = liver * (abs(z / slices - 0.5) < 0.3)
    affine = np.diag([-0.8, -0.8, 1.5, 1.0])
    nib.Nifti1Image(image, affine).to_filename(folder / f"volume-{number}{suffix}")
    nib.Nifti1Image(label, affine).to_filename(folder / f"segmentation-{number}{suffix}")


if __name__ == "__main__":
    main()
