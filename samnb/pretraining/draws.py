"""Cheap random numbers: a drawing takes hundreds of small decisions, and each must cost little.

`Generator.random()` is several times faster than `uniform`, `integers` or `choice`, and random
bytes looked up in a table are several times faster than `standard_normal`.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

import cv2
import numpy as np

Choice = TypeVar("Choice")

_NORMAL = NormalDist()
# The 256 middles of equally likely slices of the standard normal distribution.
_BYTE_TO_NORMAL = np.array([_NORMAL.inv_cdf((i + 0.5) / 256) for i in range(256)], np.float32)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly from low to high."""
    return low + (high - low) * rng.random()


def log_between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number from low to high whose logarithm is drawn evenly: as many halvings as doublings."""
    return low * (high / low) ** rng.random()


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return rng.random() < probability


def count_between(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(rng.random() * (high - low + 1))


def pick(rng: np.random.Generator, choices: Sequence[Choice]) -> Choice:
    """One of the choices, each as likely as the next; repeat one to make it likelier."""
    return choices[int(rng.random() * len(choices))]


def white_noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Independent standard normal numbers (height, width) float32, in 256 steps."""
    dice = np.frombuffer(rng.bytes(height * width), np.uint8).reshape(height, width)
    return cv2.LUT(dice, _BYTE_TO_NORMAL)
