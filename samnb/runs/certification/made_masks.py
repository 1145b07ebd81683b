"""Measures of made-up masks, empty ones too: a rehearsal so passes every rule for them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from samnb.evaluation import answers, metrics
from samnb.evaluation import examine as evaluation

Note = Callable[[str, str, Any], None]  # stage, what, value


def note_made_measures(notes: Note) -> None:
    """Measures of made-up masks, so that every rule for empty and odd ones is passed."""
    generator = np.random.default_rng(5)
    for side in (24, 160):
        blocks = _blocks(side, generator)
        truths = np.stack([each for each in blocks for _ in blocks])
        given = np.stack([each for _ in blocks for each in blocks])
        notes("measures", f"made slices {side}", metrics.measure_slices(given, truths, 2.0))
        for spacing in (None, (3.0, 0.8, 0.7)):
            volumes = [
                metrics.measure(one, other, 2.0, spacing)
                for one in (truths[:12], truths[:12] * 0)
                for other in (given[:12], truths[:12] * 0)
            ]
            notes("measures", f"made volumes {side} {spacing}", volumes)
    labels, scores = generator.integers(0, 2, 40), generator.integers(0, 5, 40) / 4
    notes("measures", "made AUC", evaluation.area_under_curve(labels, scores))
    notes("measures", "AUC of one class", evaluation.area_under_curve(labels * 0, scores))
    masks = torch.from_numpy(np.stack(_blocks(24, generator)))
    boxes = torch.tensor([[2.0, 3.0, 9.0, 12.0]]).repeat(len(masks), 1)
    boxes[1] = torch.nan
    notes("measures", "made boxes", evaluation.box_fit(boxes, masks.numpy()))
    notes(
        "measures",
        "made hits",
        evaluation.hits(answers.peaks(masks[:, None, ::4, ::4].float(), 24)[:, 0], masks.numpy()),
    )


def _blocks(side: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Masks: nothing, everything, a block, the same shifted, one with an island, noise, a pixel."""
    nothing = np.zeros((side, side), bool)
    block, island, pixel = nothing.copy(), nothing.copy(), nothing.copy()
    block[side // 4 : side // 2, side // 3 : side // 2] = True
    island[:] = block
    island[-2:, -3:] = True
    pixel[1, 2] = True
    noise = generator.random((side, side)) < 0.3
    return [nothing, ~nothing, block, np.roll(block, 3, axis=1), island, noise, pixel]
