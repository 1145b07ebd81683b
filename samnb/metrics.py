"""How well a mask fits the truth. Chapter 1 introduces Dice."""

import numpy as np


def dice(predictions: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Dice of each pair of masks: (N, H, W) of anything that is true inside → (N,) float64.

    Two empty masks are equal: 1. One empty mask misses everything: 0.
    """
    predictions, truths = predictions.astype(bool), truths.astype(bool)
    shared = np.count_nonzero(predictions & truths, axis=(1, 2))
    total = np.count_nonzero(predictions, axis=(1, 2)) + np.count_nonzero(truths, axis=(1, 2))
    return np.where(total == 0, 1.0, 2.0 * shared / np.maximum(total, 1))
