"""How the pocket SAM for volumes does on real organs, by click: `python bench/zero_shot_3d.py`.

Nothing trained, nothing tuned: the organs of the small real set of abdominal MR, at 4 mm, in a cube
of 48 voxels around the middle of the organ's own bounding box (an oracle, as SAM-Med3D's public
code crops its test volumes too). The user clicks in the middle of the organ, then in the middle of
the error. Voxels of the organ outside the cube count as missed. Writes
results/pocket_sam_3d/zero_shot.csv: numbers only.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from samnb.base import paths
from samnb.base.files import atomic_path
from samnb.data.layouts import list_scans
from samnb.data.layouts.plain_folder import FolderRules
from samnb.data.settings import VolumeSettings
from samnb.data.volumes import VolumeSet
from samnb.data.volumes import prepare as prepare_volumes
from samnb.networks.sam3d.model import Sam3D, encode
from samnb.networks.sam3d.weights import load_sam3d
from samnb.prompts.points import window_of
from samnb.prompts.volume_clicks import click_and_correct

ORGANS = {"liver": [1], "right kidney": [2], "left kidney": [3], "spleen": [4]}
SPACING = 4.0  # mm: 48 voxels are 192 mm, the width of SAM-Med3D's cube of 128 at 1.5 mm
SHOWN = (1, 2, 3, 5, 10)  # clicks


def crop(volume: np.ndarray, middle: list[int], side: int) -> np.ndarray:
    """The cube (side, side, side) around a voxel of (D, H, W), zeros beyond the volume."""
    low = [place - side // 2 for place in middle]
    cut = volume[tuple(slice(max(0, start), max(0, start + side)) for start in low)]
    before = [max(0, -start) for start in low]
    after = [side - length - gap for length, gap in zip(cut.shape, before, strict=True)]
    return np.pad(cut, list(zip(before, after, strict=True)))


def measure(sam: Sam3D, volumes: VolumeSet, target: int, remember: bool) -> dict[str, float]:
    """Mean Dice over the scans that hold a target, after each number of clicks."""
    side, scores = sam.image_encoder.side, []
    for row in range(len(volumes)):
        images, masks = volumes.load([row])
        organ = masks[0, target].astype(bool)
        window = window_of(organ)
        if window is None:
            continue
        middle = [(part.start + part.stop) // 2 for part in window]
        truth = torch.from_numpy(crop(organ, middle, side))[None]
        cube = torch.from_numpy(crop(images[0, 0], middle, side))[None, None]
        with torch.no_grad():
            embeddings = encode(sam, cube)
        zero = torch.zeros(1, dtype=torch.long)
        _, found = click_and_correct(sam, embeddings, zero, truth, max(SHOWN), remember)
        outside = int(organ.sum() - truth.sum())
        scores.append([_dice(found[count - 1], truth, outside) for count in SHOWN])
    means = np.mean(scores, axis=0).round(4).tolist()
    names = [f"Dice, {count} clicks" for count in SHOWN]
    return {"scans": len(scores), **dict(zip(names, means, strict=True))}


def _dice(found: torch.Tensor, target: torch.Tensor, outside: int) -> float:
    """Dice of a mask with a target, so many of whose voxels lie beyond the cube."""
    both = int((found & target).sum())
    return 2 * both / (int(found.sum()) + int(target.sum()) + outside)


def table(sam: Sam3D, real: Path, cache: Path) -> pd.DataFrame:
    """A row for every organ and way of clicking."""
    rules = FolderRules(targets=ORGANS)
    scans = list_scans("folder", real / "abdomen_mr", tuple(ORGANS), rules)
    settings = VolumeSettings(spacing=(SPACING,) * 3, window_width=None, window_center=None)
    volumes, faults = prepare_volumes(scans, settings, cache, workers=1)
    for fault in faults:
        print(f"left out {fault}")
    rows = []
    for number, organ in enumerate(ORGANS):
        for clicks, remember in (("all so far", True), ("the newest alone", False)):
            measured = measure(sam, volumes, number, remember)
            rows.append({"images": f"abdominal MR, {organ}", "clicks sent": clicks, **measured})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=paths.real_root())
    parser.add_argument("--weights", default="published", help="of the pocket SAM for volumes")
    arguments = parser.parse_args()
    sam = load_sam3d("pocket_3d", weights=arguments.weights).eval()
    found = table(sam, arguments.real.resolve(), paths.data_root() / "cache" / "volumes")
    print(found.to_string(index=False))
    with atomic_path(paths.results_root() / "pocket_sam_3d" / "zero_shot.csv") as temporary:
        found.to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
