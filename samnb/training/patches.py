"""From the volumes of a cohort to the batches of a training: patches that the seed and step fix."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from samnb.data.patches import patches
from samnb.data.settings import PatchSettings
from samnb.data.slicing import LEVELS
from samnb.data.volumes import VolumeSet
from samnb.method import Batch

ORDER, PLACE = 0, 1  # two kinds of chance, drawn independently


def patch_batches(
    volumes: VolumeSet, marked: np.ndarray, settings: PatchSettings, batch: int, seed: int
) -> Callable[[int], Iterator[Batch]]:
    """An endless stream of batches for `samnb.training.loop.fit`, starting at any step.

    marked: rows of the volumes whose masks may be used. They are gone through in passes, each in an
    order of its own, so that every volume gives equally many patches; `batch` of them make a step.
    Of one patch after another the share `settings.around_target` has a target in its middle, the
    others lie anywhere. A patch depends on the seed and its number alone.
    """
    names, channels = volumes.index["scan"], volumes.arrays(marked[0])[0].shape[0]
    none = torch.zeros(0, channels, *settings.size)
    no_label = torch.zeros(0, volumes.labels.shape[1], dtype=torch.long)

    def stream(start: int) -> Iterator[Batch]:
        step = start
        while True:
            numbers = range(step * batch, (step + 1) * batch)
            rows = [_row(marked, number, seed) for number in numbers]
            pairs = zip(rows, numbers, strict=True)
            drawn = [_patch(volumes, row, settings, number, seed) for row, number in pairs]
            images = np.stack([image for image, _ in drawn]).astype(np.float32)
            images /= LEVELS
            masks = np.stack([mask for _, mask in drawn])
            yield Batch(
                none,
                no_label,
                torch.from_numpy(images),
                torch.from_numpy(masks),
                tuple(names.iloc[rows]),
            )
            step += 1

    return stream


def _row(marked: np.ndarray, number: int, seed: int) -> int:
    """The volume of patch `number`, through shuffled passes without end."""
    turn, place = divmod(number, len(marked))
    return int(np.random.default_rng([seed, ORDER, turn]).permutation(marked)[place])


def _patch(
    volumes: VolumeSet, row: int, settings: PatchSettings, number: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patch `number`: image (C, d, h, w) uint16, masks (K, d, h, w) uint8."""
    share = settings.around_target
    around = np.floor((number + 1) * share) > np.floor(number * share)
    generator = np.random.default_rng([seed, PLACE, number])
    images, masks = patches(*volumes.arrays(row), settings.size, 1, generator, float(around))
    return images[0], masks[0]
