"""Metrics of slices and volumes: samnb against MONAI, same masks, same process, one thread.

Seconds are of the processor, so that other work on the machine does not count; each way measures
all pairs in turn, the ways alternate, and the median of the rounds counts.

    python bench/metrics.py                  40 pairs of 256 x 256, three qualities of prediction
    python bench/metrics.py --side 512 --pairs 10 --scan
    python bench/metrics.py --volumes        livers of 128³ and 200 x 512 x 512 voxels, in mm
"""

import argparse
import time
import warnings
from collections.abc import Callable

import cv2
import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import gaussian_filter, zoom
from threadpoolctl import threadpool_limits

from samnb.evaluation.metrics import dice, hausdorff, measure, surface_dice

Pair = tuple[np.ndarray, np.ndarray]
Pairs = list[Pair]
TOLERANCE = 2.0
QUALITIES = {"close": (1.0, 0.0), "moved": (6.0, 0.0), "islands": (3.0, 0.004)}
# Voxels and mm; how far a prediction is moved along each axis, and how rough its outline is.
VOLUMES = {(128, 128, 128): (1.5, 1.5, 1.5), (200, 512, 512): (1.0, 0.75, 0.75)}
DIFFERENCES = {"close": ((0, 0, 0), 0.03), "moved": ((1, 2, -1), 0.08), "rough": ((0, 0, 0), 0.12)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scan", action="store_true", help="also one scan of 96 slices, in mm")
    parser.add_argument("--volumes", action="store_true", help="only volumes, in mm")
    given = parser.parse_args()
    threadpool_limits(1)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", module="monai")
    if given.volumes:
        for shape, spacing in VOLUMES.items():
            for name, difference in DIFFERENCES.items():
                pair = draw_liver(np.random.default_rng(0), shape, *difference)
                report(f"{shape} voxels, {name}", [pair], spacing, given.rounds)
        return
    for quality, (shift, islands) in QUALITIES.items():
        generator = np.random.default_rng(0)
        pairs = [draw_pair(generator, given.side, shift, islands) for _ in range(given.pairs)]
        report(f"{given.pairs} slices of {given.side}, {quality}", pairs, None, given.rounds)
    if given.scan:
        pairs = [draw_scan(np.random.default_rng(0), given.side, 96)]
        report(f"one scan of 96 slices of {given.side}", pairs, (2.5, 0.8, 0.8), 1)


def report(title: str, pairs: Pairs, spacing: tuple[float, ...] | None, rounds: int) -> None:
    """Print milliseconds per pair of both ways, and their ratio, for each metric."""
    print(f"{title}: ms per pair")
    for name, (ours, monai) in ways(spacing).items():
        check(name, ours, monai, pairs[0])
        times = [[seconds(way, pairs) for way in (ours, monai)] for _ in range(rounds)]
        mine, theirs = 1000 * np.median(times, axis=0) / len(pairs)
        print(f"  {name:12} samnb {mine:9.3f}   MONAI {theirs:9.3f}   {theirs / mine:7.1f} x")


def ways(spacing: tuple[float, ...] | None) -> dict[str, tuple[Callable, Callable]]:
    """The metric's name → (samnb's way, MONAI's way), both of (prediction, truth) bool arrays."""

    def monai(function: Callable, **options) -> Callable:
        def one_pair(prediction: np.ndarray, truth: np.ndarray) -> float:
            both = (torch.from_numpy(mask)[None, None] for mask in (prediction, truth))
            return float(function(*both, include_background=True, **options))

        return one_pair

    hd = monai(compute_hausdorff_distance, spacing=spacing)
    hd95 = monai(compute_hausdorff_distance, spacing=spacing, percentile=95)
    nsd = monai(compute_surface_dice, spacing=spacing, class_thresholds=[TOLERANCE])
    overlap = monai(compute_dice)
    return {
        "dice": (lambda p, t: float(dice(p[None], t[None])[0]), overlap),
        "hd": (lambda p, t: hausdorff(p, t, spacing), hd),
        "hd95": (lambda p, t: hausdorff(p, t, spacing, 95), hd95),
        "surface dice": (lambda p, t: surface_dice(p, t, TOLERANCE, spacing), nsd),
        "all at once": (
            lambda p, t: measure(p, t, TOLERANCE, spacing),
            lambda p, t: [way(p, t) for way in (overlap, hd, hd95, nsd)],
        ),
    }


def check(name: str, ours: Callable, monai: Callable, pair: Pair) -> None:
    """A fast wrong answer is worth nothing."""
    if name != "all at once":
        np.testing.assert_allclose(ours(*pair), monai(*pair), atol=1e-4, rtol=1e-5)


def seconds(way: Callable, pairs: Pairs) -> float:
    """Seconds of processor for all pairs."""
    start = time.process_time()
    for pair in pairs:
        way(*pair)
    return time.process_time() - start


def draw_pair(generator: np.random.Generator, side: int, shift: float, islands: float) -> Pair:
    """An organ of wavy outline, and a prediction of it: moved by about `shift` pixels, its outline
    rough, with a share of the image covered by false islands."""
    truth = organ(side, smooth(generator, side, side / 14))
    rough = organ(side, smooth(generator, side, side / 40)) | cv2.erode(
        truth.astype(np.uint8), np.ones((5, 5), np.uint8)
    ).astype(bool)
    across, down = np.round(generator.normal(0, shift, 2)).astype(int)
    prediction = np.roll(truth & rough, (down, across), axis=(0, 1))
    if islands:
        field = smooth(generator, side, 2.5)
        prediction |= field > np.quantile(field, 1 - islands)
    return prediction, truth


def draw_scan(generator: np.random.Generator, side: int, slices: int) -> Pair:
    """The organ through slices, thick in the middle; the prediction moved by two slices."""
    field = smooth(generator, side, side / 14)
    truth = np.stack([organ(side, field - 2 * (2 * z / slices - 1) ** 4) for z in range(slices)])
    return np.roll(truth, (2, 3, -2), axis=(0, 1, 2)), truth


def draw_liver(
    generator: np.random.Generator,
    shape: tuple[int, int, int],
    shift: tuple[int, int, int],
    rough: float,
) -> Pair:
    """A wavy ellipsoid that fills most of a volume, and a prediction of it."""
    axes = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in shape)]
    away = sum(axis**2 for axis in axes) / 0.35
    truth, errors = (bumps(generator, shape) for _ in range(2))
    prediction = away < 1 + 0.15 * truth + rough * errors
    return np.roll(prediction, shift, axis=(0, 1, 2)), away < 1 + 0.15 * truth


def bumps(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Smooth noise of deviation one."""
    coarse = gaussian_filter(generator.normal(size=[size // 8 for size in shape]), 1.2)
    return zoom(coarse / coarse.std(), np.divide(shape, coarse.shape), order=1)


def smooth(generator: np.random.Generator, side: int, sigma: float) -> np.ndarray:
    """Noise (side, side) blurred by `sigma` pixels, of deviation one."""
    field = cv2.GaussianBlur(generator.normal(size=(side, side)), (0, 0), sigma)
    return field / field.std()


def organ(side: int, field: np.ndarray) -> np.ndarray:
    """An ellipse whose outline follows a field: (side, side) bool."""
    down, across = np.mgrid[:side, :side] / side - 0.5
    return (across / 0.28) ** 2 + (down / 0.24) ** 2 < 1 + 0.25 * field


if __name__ == "__main__":
    main()
