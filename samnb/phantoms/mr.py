"""The MR scanner: contrast of each tissue in four sequences, blur, bias field, Rician noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter

from samnb.phantoms.brain_tissue import TISSUES
from samnb.phantoms.fields import Grid, waves

SEQUENCES = ("flair", "t1", "t1ce", "t2")

# Signal of each tissue, white matter of the sequence about 0.5 (FLAIR, T2) or 0.75 (T1).
SIGNALS = {
    #              FLAIR   T1   T1ce   T2
    "csf":        (0.10, 0.20, 0.20, 1.15),
    "grey":       (0.60, 0.54, 0.56, 0.62),
    "white":      (0.51, 0.75, 0.75, 0.43),
    "deep":       (0.58, 0.60, 0.61, 0.55),
    "pallidum":   (0.48, 0.67, 0.68, 0.37),
    "thalamus":   (0.56, 0.64, 0.65, 0.53),
    "stem":       (0.53, 0.69, 0.70, 0.47),
    "vessel":     (0.16, 0.30, 1.70, 0.22),
    "membrane":   (0.42, 0.48, 1.10, 0.45),
    "lesion":     (0.86, 0.58, 0.58, 0.78),
    "oedema":     (0.86, 0.53, 0.53, 0.88),
    "core":       (0.55, 0.33, 0.35, 1.02),
    "solid":      (0.82, 0.44, 0.46, 0.92),
    "rim":        (0.78, 0.52, 1.40, 0.76),
}  # fmt: skip
# How much each tissue is mottled: the relative spread of its signal.
GRAIN = {"grey": 0.03, "white": 0.025, "stem": 0.04, "lesion": 0.1, "oedema": 0.13,
         "core": 0.16, "solid": 0.12, "rim": 0.16}  # fmt: skip


@dataclass(frozen=True)
class Scanners:
    """The scanners of one cohort: the range of each property, drawn anew for every scan."""

    noise: tuple[float, float] = (0.010, 0.035)  # standard deviation, white matter in T1 being 0.75
    bias: tuple[float, float] = (0.04, 0.14)  # standard deviation of the log of the coil's field
    blur: tuple[float, float] = (0.35, 0.7)  # mm, standard deviation within the slices
    thick: float = 0.45  # chance that a sequence has thick slices, later cut into 1 mm
    slice_blur: tuple[float, float] = (1.0, 2.1)  # mm, across those slices
    contrast: float = 0.06  # spread of each tissue's signal from scan to scan
    conspicuity: float = 0.28  # spread of the log of the tumour's contrast in FLAIR
    scale: tuple[float, float] = (180.0, 1400.0)  # what the scanner stores for a signal of 1
    signals: Mapping[str, Sequence[float]] = field(default_factory=lambda: SIGNALS)


@dataclass(frozen=True)
class Acquisition:
    """How one sequence of one patient was taken."""

    signals: np.ndarray  # one for each tissue
    blur: tuple[float, float, float]  # mm along z, y, x
    bias: float
    noise: float
    scale: float


def draw_acquisitions(
    generator: np.random.Generator, scanners: Scanners, core: float
) -> list[Acquisition]:
    """One for each of SEQUENCES; `core` is the FLAIR signal of this tumour's necrosis."""
    strength = generator.uniform(*scanners.bias)
    result = []
    for index, _ in enumerate(SEQUENCES):
        signals = np.array([scanners.signals[name][index] for name in TISSUES])
        signals = signals * np.exp(generator.normal(0, scanners.contrast / 2, len(signals)))
        if index == 0:
            # What is bright is so by very different degrees, from tumour to tumour.
            bright = np.isin(TISSUES, ("oedema", "solid", "rim"))
            white = signals[TISSUES.index("white")]
            degree = generator.lognormal(0, scanners.conspicuity)
            signals[bright] = white + (signals[bright] - white) * degree
            signals[TISSUES.index("core")] = core
        blur = np.full(3, generator.uniform(*scanners.blur))
        if generator.random() < scanners.thick:
            axis = generator.choice(3, p=(0.6, 0.15, 0.25))
            blur[axis] = generator.uniform(*scanners.slice_blur)
        result.append(
            Acquisition(
                signals=signals.astype(np.float32),
                blur=tuple(float(b) for b in blur),
                bias=float(strength * generator.uniform(0.7, 1.3)),
                noise=float(generator.uniform(*scanners.noise)),
                scale=float(np.exp(generator.uniform(*np.log(scanners.scale)))),
            )
        )
    return result


def acquire(
    generator: np.random.Generator,
    how: Acquisition,
    shares: np.ndarray,
    mottle: np.ndarray,
    mask: np.ndarray,
    voxel: float,
) -> np.ndarray:
    """One sequence as int16 (z, y, x): zero outside the mask, at least one inside.

    `shares` (tissues, N) and `mottle` (N,), of spread one, belong to the N voxels of `mask`.
    """
    grain = np.array([GRAIN.get(name, 0.0) for name in TISSUES], np.float32)
    signal = how.signals @ shares + mottle * ((how.signals * grain) @ shares)
    whole = np.full(mask.shape, how.signals[0] * np.float32(0.5), np.float32)
    whole[mask] = signal
    sigma = [b / voxel for b in how.blur]
    whole = gaussian_filter(whole, [s if s > 0.2 else 0 for s in sigma], truncate=3)
    # Noise comes before the voxels are cut anew, so thick slices smear it, too.
    real, other = (generator.standard_normal(mask.shape, dtype=np.float32) for _ in range(2))
    fine = max(1.0, 1.5 / voxel)
    real, other = (_smeared(part, [s if s > fine else 0 for s in sigma]) for part in (real, other))
    noise = how.noise / np.sqrt(voxel)  # larger voxels hold more signal
    whole = whole * _bias(generator, how.bias, mask.shape, voxel)
    whole = np.hypot(whole + noise * real, noise * other)
    stored = np.clip(np.rint(whole * how.scale), 1, 32767).astype(np.int16)
    stored[~mask] = 0
    return stored


def _smeared(noise: np.ndarray, sigma: Sequence[float]) -> np.ndarray:
    """Noise blurred, brought back to a third of what the blur took of its spread."""
    if not any(sigma):
        return noise
    soft = gaussian_filter(noise, sigma, truncate=3)
    return soft / soft.std() ** np.float32(0.67)


def _bias(
    generator: np.random.Generator, strength: float, shape: tuple[int, ...], voxel: float
) -> np.ndarray:
    """The sensitivity of the coils, about one, varying over the size of a head."""
    grid = Grid.around((0, 0, 0), np.array(shape) * voxel, 12.0)
    coarse = np.exp(waves(grid.axes(), generator, (180, 420), strength, 10))
    nodes = [np.arange(n, dtype=np.float32) * np.float32(voxel / 12.0) for n in shape]
    rows = [_linear(n, size) for n, size in zip(nodes, coarse.shape, strict=True)]
    return np.einsum("zi,yj,xk,ijk->zyx", *rows, coarse, optimize=True).astype(np.float32)


def _linear(nodes: np.ndarray, size: int) -> np.ndarray:
    """Weights (N, size) of a linear interpolation at fractional nodes (N,)."""
    return np.maximum(1 - np.abs(nodes[:, None] - np.arange(size, dtype=np.float32)), 0)
