"""Synthetic training images: how many a second, what they lose, and what their seams are.

    python bench/synthesis.py                     # made-up shapes
    python bench/synthesis.py --slices FOLDER     # exemplars and backgrounds of a cache of slices

One core. Images a second with one target and with eight, and the same transforms by MONAI for one
background. Then, of each set: the share of target pixels that the paper's `> 0` loses, targets that
vanish (tiny ones, or hidden by others), and the step across the outline of targets, in the
exemplars as they are and in synthetic images.
"""

import argparse
import os
import time
from collections.abc import Callable
from math import radians
from pathlib import Path

import cv2
import numpy as np
import torch
from monai.transforms import (
    AdjustContrast,
    Compose,
    GaussianSmooth,
    RandAffine,
    ScaleIntensity,
    ScaleIntensityFixedMean,
)

from samnb.data.slices import load
from samnb.data.synthesis import (
    CachedBackgrounds,
    Synthesis,
    SynthesisSettings,
    background_rows,
    change,
)
from samnb.data.transforms import transform_background
from samnb.reports.synthesis import lost_share, outline_step

SIDE, EXEMPLARS, IMAGES = 128, 18, 400
SETTINGS = SynthesisSettings()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=Path, help="folder of a cache of slices")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.slices:
        sets = {options.slices.name: cached(options.slices)}
    else:
        sets = {"one target": made_up(1), "eight targets": made_up(8)}
    for name, (exemplars, masks, backgrounds) in sets.items():
        print(f"{name}: {len(exemplars)} exemplars, {len(backgrounds)} backgrounds")
        report(exemplars, masks, backgrounds)
    picture = next(iter(sets.values()))[2][0]
    print(f"one background: {1000 * here(picture):.2f} ms, by MONAI {1000 * monai(picture):.2f} ms")
    print(f"load {os.getloadavg()[0]:.1f}")


def report(exemplars: np.ndarray, masks: np.ndarray, backgrounds) -> None:
    synthesis = Synthesis(exemplars, masks, backgrounds, SETTINGS, seed=1)
    numbers = range(IMAGES)
    seconds = best(lambda: synthesis.make(numbers), repeats=3)
    images, made = synthesis.make(numbers)
    wanted = masks.any(axis=(2, 3))[[synthesis.exemplar_of(number) for number in numbers]]
    gone = (wanted & ~made.any(axis=(2, 3))).sum() / wanted.sum()
    lost = lost_share(exemplars, masks, backgrounds, SETTINGS, 1, numbers)
    print(f"  {IMAGES / seconds:.0f} images a second, {exemplars.shape[-1]} pixels wide")
    print(f"  lost by `> 0`, of each target: {', '.join(f'{100 * each:.2f} %' for each in lost)}")
    print(f"  targets that vanish: {100 * gone:.2f} %")
    steps = outline_step(exemplars, masks), outline_step(images, made)
    print(f"  step across the outline: {steps[0]:.3f} in exemplars, {steps[1]:.3f} in images")


def made_up(targets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Discs of random places and sizes in noise, one for each target."""
    generator = np.random.default_rng(targets)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    owner = np.zeros((EXEMPLARS, SIDE, SIDE), int)
    for exemplar in owner:
        for target in range(1, targets + 1):
            x, y = generator.uniform(0.25 * SIDE, 0.75 * SIDE, 2)
            disc = np.hypot(columns - x, rows - y) < generator.uniform(5, 18)
            exemplar[disc & (exemplar == 0)] = target
    masks = np.stack([owner == number for number in range(1, targets + 1)], axis=1)
    exemplars = generator.random((EXEMPLARS, 1, SIDE, SIDE), np.float32)
    backgrounds = generator.random((50, 1, SIDE, SIDE), np.float32)
    return exemplars, masks.astype(np.uint8), backgrounds


def cached(folder: Path) -> tuple[np.ndarray, np.ndarray, CachedBackgrounds]:
    """The slices with most pixels of target, and all without any."""
    slices = load(folder)
    largest = np.argsort(-slices.index["mask_pixels"].to_numpy(), kind="stable")[:EXEMPLARS]
    rows = background_rows(slices.labels, np.arange(len(slices)))
    return *slices.load(largest), CachedBackgrounds(slices, rows)


def here(picture: np.ndarray) -> float:
    """Seconds for one background."""
    drawn = change(np.full(9, 0.7), SETTINGS, picture.shape[-1])
    return best(lambda: transform_background(picture, drawn))


def monai(picture: np.ndarray) -> float:
    """Seconds for one background by MONAI's transforms."""
    affine = RandAffine(
        prob=1.0, rotate_range=radians(SETTINGS.rotation), scale_range=SETTINGS.scale,
        translate_range=SETTINGS.shift * picture.shape[-1], padding_mode="zeros",
    )  # fmt: skip
    transforms = Compose(
        [affine, GaussianSmooth(0.7), ScaleIntensity(None, None, 0.1), ScaleIntensityFixedMean(0.1),
         AdjustContrast(1.1)]
    )  # fmt: skip
    return best(lambda: transforms(torch.from_numpy(picture)))


def best(function: Callable, repeats: int = 100) -> float:
    """Processor seconds of the fastest of some calls, after a first one."""
    function()
    seconds = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        seconds.append(time.process_time() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
