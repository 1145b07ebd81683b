"""nnU-Net configures itself: a fingerprint of the data, then a plan, by the published rules.

Isensee et al. (2021), 2D. Where this differs from the published planner:

- Our slices are on one grid and one intensity window already, so nothing is resampled or cropped,
  and the intensities of the fingerprint are shares of the window (0 to 1), not HU.
- The normalisation is the one for CT: clip to the 0.5 and 99.5 percentiles of the target's pixels,
  subtract their mean, divide by their standard deviation; all of the training slices together.
  Slices of several channels are no CT: these follow the published rule for all else, each channel
  of each slice by its own mean and standard deviation.
- The patch is the whole slice, so nothing is left of oversampling patches with foreground: among
  the middle slices far more than the published third show the target anyway.
"""

from dataclasses import asdict, dataclass
from math import ceil, prod

import numpy as np
import yaml

from samnb.base.errors import SamnbError

LARGEST_AREA = 2048**2  # pixels of a patch before it is clipped to the slice
LEAST_EDGE = 4  # pixels along the shortest edge of the deepest map
REFERENCE_MAPS, REFERENCE_BATCH = 85e6, 12  # feature-map numbers of the batch that once fitted
LARGEST_SHARE = 0.05  # of all pixels of the data, in one batch
CLASSES = 2  # background and target
LEAST_STD = 1e-3  # of the window; a narrower spread would blow up the noise


@dataclass(frozen=True)
class Fingerprint:
    """What the planner knows of the training slices."""

    slices: int
    shape: tuple[int, int]  # median rows and columns, pixels
    spacing: tuple[float, float]  # median size of a pixel along rows and columns, mm
    mean: float  # intensity under the masks, share of the window
    std: float
    low: float  # its 0.5 percentile
    high: float  # its 99.5 percentile


@dataclass(frozen=True)
class Limits:
    """How wide the network may be: the first stage, and the most of any stage."""

    width: int = 32
    most: int = 512


@dataclass(frozen=True)
class Plan:
    """All that follows from the fingerprint; one entry per stage in the lists."""

    patch: tuple[int, int]
    spacing: tuple[float, float]
    batch: int
    features: tuple[int, ...]
    kernels: tuple[tuple[int, int], ...]
    strides: tuple[tuple[int, int], ...]
    deep_supervision: tuple[float, ...]  # weights of the loss, from the finest output on
    rotation: float  # degrees, largest of the augmentation
    mean: float
    std: float
    low: float
    high: float


def fingerprint_of(images: np.ndarray, masks: np.ndarray, spacings: np.ndarray) -> Fingerprint:
    """Of images (N, H, W), 0-1, masks (N, H, W), and spacings (N, 2), mm along rows and columns."""
    inside = images[masks.astype(bool)]
    if not inside.size:
        raise SamnbError(
            "No slice with a mask shows the target, so nnU-Net cannot plan.", "mark other slices."
        )
    low, high = np.percentile(inside, [0.5, 99.5])
    rows, columns = np.median(np.asarray(spacings, dtype=float), axis=0)
    return Fingerprint(
        slices=len(images),
        shape=tuple(int(size) for size in images.shape[1:]),
        spacing=(float(rows), float(columns)),
        mean=float(inside.mean(dtype=float)),
        std=max(LEAST_STD, float(inside.std(dtype=float))),
        low=float(low),
        high=float(high),
    )


def unseen_fingerprint(side: int) -> Fingerprint:
    """What can be said before any slice is seen: the grid, and that intensities run from 0 to 1."""
    return Fingerprint(10_000, (side, side), (1.0, 1.0), mean=0.5, std=0.25, low=0.0, high=1.0)


def plan(
    fingerprint: Fingerprint, side: int, limits: Limits | None = None, outputs: int = CLASSES
) -> Plan:
    """The published rules applied to slices of at most `side` pixels along an axis.

    outputs: of the network, as many as there are classes, or targets that may overlap.
    """
    limits = limits or Limits()
    patch = _patch(fingerprint, side)
    strides, kernels = _stages(patch, fingerprint.spacing)
    if len(strides) < 3:
        raise SamnbError(
            f"Slices of {patch[0]} x {patch[1]} pixels are too small for an nnU-Net of 3 stages.",
            f"set data.slices.side of the profile to {4 * LEAST_EDGE} or more.",
        )
    steps = [prod(stride[axis] for stride in strides) for axis in (0, 1)]
    patch = tuple(step * ceil(size / step) for size, step in zip(patch, steps, strict=True))
    features = tuple(min(limits.width * 2**stage, limits.most) for stage in range(len(strides)))
    return Plan(
        patch=patch,
        spacing=fingerprint.spacing,
        batch=_batch(patch, features, strides, fingerprint, outputs),
        features=features,
        kernels=kernels,
        strides=strides,
        deep_supervision=_supervision(len(strides) - 1),
        rotation=15.0 if max(patch) / min(patch) > 1.5 else 180.0,
        mean=fingerprint.mean,
        std=fingerprint.std,
        low=fingerprint.low,
        high=fingerprint.high,
    )


def plan_text(plan: Plan) -> str:
    """The plan as YAML that a person reads; `yaml.safe_load` reads it too."""
    values = {
        name: _plain(value)
        for name, value in asdict(plan).items()
        if name not in {"mean", "std", "low", "high"}
    }
    values["stages"] = len(plan.features)
    values["normalisation"] = {
        "scheme": "clip to low and high, subtract mean, divide by std",
        "unit": "share of the intensity window",
        **{name: round(getattr(plan, name), 4) for name in ("low", "high", "mean", "std")},
    }
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def _patch(fingerprint: Fingerprint, side: int) -> tuple[int, int]:
    """As square in mm as the area allows, and no larger than the slices."""
    rows, columns = (1 / spacing for spacing in fingerprint.spacing)
    scale = (LARGEST_AREA / (rows * columns)) ** 0.5
    wanted = (round(rows * scale), round(columns * scale))
    return tuple(
        min(size, shape, side) for size, shape in zip(wanted, fingerprint.shape, strict=True)
    )


def _stages(
    patch: tuple[int, int], spacing: tuple[float, float]
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Strides and kernels: halve an axis while it leaves LEAST_EDGE and is not much the coarser."""
    size, pixel = list(patch), list(spacing)
    strides, kernels = [(1, 1)], []
    while True:
        long = [axis for axis in (0, 1) if size[axis] >= 2 * LEAST_EDGE]
        halved = [axis for axis in long if pixel[axis] < 2 * min(pixel[other] for other in long)]
        if not halved or (len(halved) == 1 and size[halved[0]] < 3 * LEAST_EDGE):
            break
        kernels.append(tuple(3 if pixel[axis] < 2 * min(pixel) else 1 for axis in (0, 1)))
        for axis in halved:
            size[axis], pixel[axis] = ceil(size[axis] / 2), 2 * pixel[axis]
        strides.append(tuple(2 if axis in halved else 1 for axis in (0, 1)))
    return tuple(strides), (*kernels, (3, 3))


def _supervision(outputs: int) -> tuple[float, ...]:
    """1, 1/2, 1/4, ... over the decoder's outputs, summing to 1; the coarsest has no weight."""
    weights = [0.5**output for output in range(outputs - 1)]
    return tuple(weight / sum(weights) for weight in weights)


def _batch(
    patch: tuple[int, int],
    features: tuple[int, ...],
    strides: tuple[tuple[int, int], ...],
    fingerprint: Fingerprint,
    outputs: int,
) -> int:
    """As many patches as the reference had numbers in its maps; at most 5 % of the data, least 2.

    Counted are two convolutions per stage downwards, three upwards, and the output of each stage.
    """
    maps, area = 0.0, float(prod(patch))
    for stage, (width, stride) in enumerate(zip(features, strides, strict=True)):
        area /= prod(stride)
        upwards = stage < len(features) - 1
        maps += area * (2 * width + upwards * (3 * width + outputs))
    batch = round(REFERENCE_MAPS / maps * REFERENCE_BATCH)
    pixels = fingerprint.slices * prod(fingerprint.shape)
    return max(2, min(batch, round(LARGEST_SHARE * pixels / prod(patch))))
