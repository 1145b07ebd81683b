"""The arithmetic of claims: what "better by so many percent" may mean, and how a number prints."""

import math
from collections.abc import Callable

from samnb.reports.paper import METRICS


def better_by(own: float, other: float, metric: str) -> float:
    """How far `own` is ahead of `other`; negative where it is behind."""
    return other - own if lower_is_better(metric) else own - other


# What "better by so many percent" may mean; the first is what the words say.
READINGS: dict[str, Callable[[float, float, str], float]] = {
    "% of it": lambda own, other, metric: 100 * better_by(own, other, metric) / other,
    "the difference in points": lambda own, other, metric: 100 * better_by(own, other, metric),
    "% of its own": lambda own, other, metric: 100 * better_by(own, other, metric) / own,
}


def lower_is_better(metric: str) -> bool:
    """Whether a small number is a good one; also of what a system loses between cohorts."""
    return METRICS.get(metric) == "low" or metric.startswith("loss")


def percent(part: float, whole: float, fewer: bool) -> float:
    """`part` in percent of `whole`, or what is missing to it."""
    return 100 * (1 - part / whole if fewer else part / whole)


def digits_of(printed: str) -> int:
    """Digits behind the point."""
    return len(str(printed).partition(".")[2])


def rounds_to(value: float, printed: str) -> bool:
    """Whether the value, rounded, is what was printed."""
    # Sums of printed decimals differ from them in their last bits.
    return round(round(value, 9), digits_of(printed)) == float(printed)


def cut_to(value: float, printed: str) -> bool:
    """Whether it is if further digits are cut off."""
    scale = 10 ** digits_of(printed)
    return math.floor(round(value * scale, 6)) / scale == float(printed)
