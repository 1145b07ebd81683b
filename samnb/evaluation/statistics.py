"""Numbers over seeds, patients and systems.

Every function takes a table with one row per case (a slice or a scan) and the columns `system`,
`seed`, `patient` and one per metric. Three questions, three answers that must not be mixed up:

- `over_seeds`: how much does training again change the mean? This is the ± that papers print.
- `patient_interval`: how much would other patients change it? Usually far more.
- `compare_systems`: is one system better than another on the same patients, or is it luck?
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, wilcoxon

from samnb.base.errors import SamnbError

DIGITS = 12  # of values that are compared: later ones depend on the order of a sum


def over_seeds(cases: pd.DataFrame, metric: str, by: Sequence[str] = ("system",)) -> pd.DataFrame:
    """Mean over the cases of each seed, then mean and deviation of these over the seeds.

    Returns one row per group of `by`, with `mean`, `deviation` (of the sample, by n - 1; nan for
    one seed) and `seeds`. Every row counts alike, so slices and scans want tables of their own.
    """
    _complete(cases, metric)
    of_seed = cases.groupby([*by, "seed"], sort=False)[metric].mean()
    grouped = of_seed.groupby(level=list(by), sort=False)
    summary = {"mean": grouped.mean(), "deviation": grouped.std(ddof=1), "seeds": grouped.size()}
    return pd.DataFrame(summary).reset_index()


def plus_minus(mean: float, deviation: float, digits: int = 2) -> str:
    """As papers print it: 0.87 ± 0.02; without a deviation only the mean."""
    printed = f"{mean:.{digits}f}"
    return printed if np.isnan(deviation) else f"{printed} ± {deviation:.{digits}f}"


def patient_interval(
    cases: pd.DataFrame,
    metric: str,
    by: Sequence[str] = ("system",),
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Bootstrap interval (BCa) of the mean over the cases, drawing patients, not slices.

    Slices of one patient resemble one another: drawn one by one they would pass for independent,
    and the interval would be far too narrow. So a patient drawn brings all rows, of every seed.
    Returns one row per group of `by`: `mean`, `low`, `high`, `patients`. Of a single patient no
    interval can be drawn: nan. Each group starts from the same seed, so its interval does not
    depend on what else is in the table.
    """
    _complete(cases, metric)
    rows = []
    for names, group in cases.groupby(list(by), sort=False):
        of_patient = group.groupby("patient")[metric].agg(["sum", "size"])
        sums, counts = of_patient["sum"].to_numpy(), of_patient["size"].to_numpy()
        low, high = _interval(sums, counts, level, draws, np.random.default_rng(seed))
        rows.append((*names, sums.sum() / counts.sum(), low, high, len(counts)))
    return pd.DataFrame(rows, columns=[*by, "mean", "low", "high", "patients"])


def compare_systems(cases: pd.DataFrame, metric: str, against: str | None = None) -> pd.DataFrame:
    """Paired Wilcoxon signed-rank tests between systems on the same patients, Holm-corrected.

    A patient gives one value per system: the mean over seeds and slices. Every pair of systems is
    tested, or with `against` each other system with that one; fewer tests cost less correction.
    Returns one row per pair: `first`, `second`, `patients`, `difference` (median over patients of
    first - second), `p` (two-sided) and `p_holm`. Patients whose two values are equal say nothing
    and are left out of the test; where all are equal, p is 1.
    """
    _complete(cases, metric)
    values = cases.pivot_table(index="patient", columns="system", values=metric, sort=False)
    if values.isna().any(axis=None):
        lacking = values.columns[values.isna().any()].tolist()
        raise SamnbError(
            f"A paired test needs the same patients for every system; {lacking} lack some",
            "compare systems run on one cohort, or keep only the patients they share",
        )
    if against is not None and against not in values:
        raise SamnbError(f"No system {against!r} in the table", f"name one of {list(values)}")
    others = [name for name in values if name != against]
    pairs = combinations(values, 2) if against is None else [(against, name) for name in others]
    rows = [_paired(values, first, second) for first, second in pairs]
    table = pd.DataFrame(rows, columns=["first", "second", "patients", "difference", "p"])
    return table.assign(p_holm=holm(table["p"].to_numpy(dtype=float)))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction of (N,) p-values: the chance of any false alarm stays below p.

    The smallest is multiplied by N, the next by N - 1, …; none may fall below one before it.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return corrected


def _complete(cases: pd.DataFrame, metric: str) -> None:
    """A missing value would silently drop out of every mean: usually the worst case of all."""
    missing = int(cases[metric].isna().sum())
    if missing:
        raise SamnbError(
            f"{missing} of {len(cases)} cases have no {metric}",
            "measure every case; the empty rules of evaluation/metrics.py give each one a number",
        )


def _paired(values: pd.DataFrame, first: str, second: str) -> tuple:
    # A patient whose means are equal says nothing.
    differences = np.round((values[first] - values[second]).to_numpy(), DIGITS)
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    return first, second, len(differences), float(np.median(differences)), p


def _interval(
    sums: np.ndarray, counts: np.ndarray, level: float, draws: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Interval of sum / count when patients are drawn anew: (P,), (P,) → low, high.

    Bias-corrected and accelerated (Efron 1987), which matters for few patients and for Dice,
    crowded below 1.
    """
    if len(sums) < 2:
        return np.nan, np.nan
    if np.ptp(sums / counts) < 10.0**-DIGITS:  # nothing that a draw could change
        mean = float(sums.sum() / counts.sum())
        return mean, mean
    found = bootstrap(
        (sums, counts),
        _mean,
        paired=True,
        vectorized=True,
        n_resamples=draws,
        confidence_level=level,
        method="BCa",
        rng=generator,
    ).confidence_interval
    return float(found.low), float(found.high)


def _mean(sums: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
    # BCa counts the draws below the mean of all. With few patients many equal it, but their sums
    # in another order may differ in the last bit.
    return np.round(sums.sum(axis) / counts.sum(axis), DIGITS)
