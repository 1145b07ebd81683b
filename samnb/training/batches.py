"""From the slices of a cohort to the batches of a training: what step s sees is fixed by its seed.

A step's rows depend on the seed and the number of the step alone, so that a training that was
stopped goes on with the very next batch.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from samnb.data.slices import SliceSet
from samnb.method import Batch
from samnb.training.settings import LearningSettings

CLASSIFIED, MARKED = 0, 1  # two streams of rows, drawn independently


def steps_per_epoch(classified: np.ndarray, marked: np.ndarray, settings: LearningSettings) -> int:
    """As the settings say, else one pass over the classified slices; without any, the marked."""
    if settings.steps_per_epoch is not None:
        return settings.steps_per_epoch
    rows = classified if len(classified) else marked
    return -(-len(rows) // min(settings.batch, len(rows)))


def marked_per_step(classified: np.ndarray, marked: np.ndarray, settings: LearningSettings) -> int:
    """Slices with masks in each batch: a full batch when there are no others beside them."""
    wanted = settings.marked if len(classified) else settings.batch
    return min(wanted, len(marked))


def training_batches(
    slices: SliceSet,
    classified: np.ndarray,
    marked: np.ndarray,
    settings: LearningSettings,
    seed: int,
) -> Callable[[int], Iterator[Batch]]:
    """An endless stream of batches for `samnb.training.loop.fit`, starting at any step.

    classified: rows of which the image label is used; marked: rows whose masks may be used. Either
    may be empty. Both are gone through in passes, each in an order of its own, so that every slice
    is seen equally often. Pictures are read from the cache step by step.
    """
    sizes = (min(settings.batch, len(classified)), marked_per_step(classified, marked, settings))
    names = slices.index["scan"] + ":" + slices.index["slice"].astype(str)

    def stream(start: int) -> Iterator[Batch]:
        first = _rows(classified, sizes[0], seed, CLASSIFIED, start)
        second = _rows(marked, sizes[1], seed, MARKED, start)
        for here, there in zip(first, second, strict=True):
            images, _ = slices.load(here)
            pictures, masks = slices.load(there)
            yield Batch(
                torch.from_numpy(images),
                torch.from_numpy((slices.labels[here] == 1).astype(np.int64)),
                torch.from_numpy(pictures),
                torch.from_numpy(masks),
                tuple(names.iloc[np.concatenate([here, there])]),
            )

    return stream


def _rows(rows: np.ndarray, size: int, seed: int, stream: int, start: int) -> Iterator[np.ndarray]:
    """`size` rows for every step from `start` on, through shuffled passes without end."""
    turn, order = -1, rows
    step = start
    while True:
        chosen = []
        for place in range(step * size, (step + 1) * size):
            if place // len(rows) != turn:
                turn = place // len(rows)
                order = np.random.default_rng([seed, stream, turn]).permutation(rows)
            chosen.append(order[place % len(rows)])
        yield np.array(chosen, dtype=np.intp)
        step += 1
