"""Real slices, and behind them synthetic ones that are made when they are asked for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from samnb.data.slices import SliceSet
from samnb.data.synthesis import CachedBackgrounds, Synthesis, SynthesisSettings

SYNTHETIC = "synthetic"  # patient and scan of a synthetic slice


class SynthesisedSlices:
    """Reads like a `SliceSet` of N + M slices: the N of a cohort, then M synthetic ones.

    exemplars: (E,) rows of the slices that targets are cut from; backgrounds: (B,) rows of slices
    without any target, into which they are pasted. A synthetic slice depends on the seed and its
    number alone.
    """

    def __init__(
        self,
        slices: SliceSet,
        exemplars: np.ndarray,
        backgrounds: np.ndarray,
        settings: SynthesisSettings,
        seed: int,
    ):
        self.real, count = slices, len(slices)
        self.side, self.targets = slices.side, slices.targets
        self.masks = slices.masks  # of the real ones
        drawn_on = CachedBackgrounds(slices, backgrounds)
        self.synthesis = Synthesis(
            *slices.load(exemplars), drawn_on, settings, seed, slices.targets
        )
        self.made = count + np.arange(settings.images)
        shown = slices.labels[exemplars].max(axis=0, keepdims=True)
        self.labels = np.concatenate([slices.labels, shown.repeat(settings.images, axis=0)])
        self.index = pd.concat([slices.index, _rows(slices.index.loc[exemplars], settings.images)],
                               ignore_index=True)  # fmt: skip

    def __len__(self) -> int:
        return len(self.index)

    def load(
        self, rows: Sequence[int] | np.ndarray, target: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `SliceSet.load`: images (n, C, S, S), 0-1, masks (n, K, S, S) or one target's."""
        rows = np.asarray(rows, dtype=np.intp)
        made = rows >= len(self.real)
        images, masks = self.real.load(np.where(made, 0, rows))
        if made.any():
            images[made], masks[made] = self.synthesis.make(rows[made] - len(self.real))
        return images, masks if target is None else masks[:, target]

    def rows_of(self, patients: Sequence[str]) -> np.ndarray:
        """Row numbers of all real slices of these patients."""
        return self.real.rows_of(patients)


def _rows(exemplars: pd.DataFrame, count: int) -> pd.DataFrame:
    """Rows of the index for synthetic slices: spacings are the exemplars' median."""
    rows = pd.DataFrame([exemplars.iloc[0]] * count)
    spacings = [name for name in exemplars if name.startswith("spacing_")]
    rows[spacings] = exemplars[spacings].median().to_numpy()
    return rows.assign(patient=SYNTHETIC, scan=SYNTHETIC, slice=range(count), label=1)
