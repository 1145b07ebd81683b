"""Is one system better than another on the same patients? A sentence with its numbers, or a tie."""

from typing import NamedTuple

import pandas as pd

from samnb.evaluation.statistics import patient_interval


class Difference(NamedTuple):
    """first - second, each patient's mean over seeds and targets: their mean, 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def is_tie(self) -> bool:
        """Other patients could turn it round."""
        return not (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        interval = f"95 % interval over patients {self.low:+.3f} to {self.high:+.3f}"
        return f"{self.mean:+.3f} ({interval}{': a tie' if self.is_tie else ''})"


def difference(first: pd.DataFrame, second: pd.DataFrame, metric: str = "dice") -> Difference:
    """Of two tables of cases of the same patients, with the columns patient and `metric`."""
    means = [cases.groupby("patient", sort=False)[metric].mean() for cases in (first, second)]
    paired = (means[0] - means[1]).rename("difference").dropna().reset_index()
    (row,) = patient_interval(paired.assign(system=""), "difference").to_dict("records")
    return Difference(row["mean"], row["low"], row["high"])
