"""Batches: what a step sees depends on seed and step alone, and every slice has its turn."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch

from samnb.data.slices import SliceSet
from samnb.training.batches import steps_per_epoch, training_batches
from samnb.training.settings import LearningSettings

COUNT, SIDE = 13, 8
SETTINGS = LearningSettings(batch=5, marked=3)
CLASSIFIED, MARKED = np.arange(1, COUNT), np.array([2, 7, 9, 11])
NOTHING = np.empty(0, dtype=int)


@pytest.fixture
def slices(tmp_path):
    images = np.arange(COUNT * SIDE * SIDE, dtype=np.uint16).reshape(COUNT, 1, SIDE, SIDE)
    labels = np.arange(COUNT, dtype=np.int8)[:, None] % 2
    index = pd.DataFrame({"scan": "a", "slice": np.arange(COUNT), "label": labels[:, 0]})
    return SliceSet(tmp_path, images, (images % 2).astype(np.uint8), labels, index, {})


def _take(stream, start, count):
    return list(islice(stream(start), count))


def test_a_batch_holds_pictures_labels_masks_and_names(slices):
    batch = _take(training_batches(slices, CLASSIFIED, MARKED, SETTINGS, 1), 0, 1)[0]
    assert batch.images.shape == (5, 1, SIDE, SIDE)
    assert batch.images.dtype == torch.float32
    assert batch.labels.shape == (5, 1)
    assert batch.labels.dtype == torch.long
    assert batch.marked.shape == (3, 1, SIDE, SIDE)
    assert batch.masks.shape == (3, 1, SIDE, SIDE)
    assert batch.masks.dtype == torch.uint8
    assert len(batch.names) == 8
    row = int(batch.names[0].removeprefix("a:"))
    assert torch.equal(batch.images[0, 0], torch.from_numpy(slices.load([row])[0][0, 0]))
    assert batch.labels[0] == row % 2
    assert {int(name[2:]) for name in batch.names[5:]} <= set(MARKED)


def test_a_stream_can_be_entered_at_any_step(slices):
    stream = training_batches(slices, CLASSIFIED, MARKED, SETTINGS, 1)
    whole = _take(stream, 0, 12)
    for start in (1, 5, 11):
        for one, other in zip(whole[start:], _take(stream, start, 12 - start), strict=True):
            assert one.names == other.names
            assert torch.equal(one.masks, other.masks)


def test_every_slice_has_its_turn_before_any_has_a_second(slices):
    stream = training_batches(slices, CLASSIFIED, MARKED, SETTINGS, 1)
    names = [name for batch in _take(stream, 0, 12) for name in batch.names[:5]]
    passes = [names[start : start + 12] for start in range(0, 60, 12)]
    assert all(len(set(one)) == 12 for one in passes)
    assert len({tuple(one) for one in passes}) == 5  # each in an order of its own


def test_seeds_differ(slices):
    first, second = (
        _take(training_batches(slices, CLASSIFIED, MARKED, SETTINGS, seed), 0, 1)[0].names
        for seed in (1, 2)
    )
    assert first != second


def test_all_labels_and_none(slices):
    full = _take(training_batches(slices, NOTHING, CLASSIFIED, SETTINGS, 1), 0, 1)[0]
    assert full.images.shape == (0, 1, SIDE, SIDE)
    assert len(full.labels) == 0
    assert len(full.marked) == 5  # a whole batch
    none = _take(training_batches(slices, CLASSIFIED, NOTHING, SETTINGS, 1), 0, 1)[0]
    assert none.masks.shape == (0, 1, SIDE, SIDE)
    assert len(none.images) == 5


def test_an_epoch_is_a_pass_unless_the_settings_say_otherwise():
    assert steps_per_epoch(CLASSIFIED, MARKED, SETTINGS) == 3
    assert steps_per_epoch(NOTHING, CLASSIFIED, SETTINGS) == 3
    assert steps_per_epoch(NOTHING, MARKED, SETTINGS) == 1
    assert steps_per_epoch(CLASSIFIED, MARKED, replace(SETTINGS, steps_per_epoch=7)) == 7


def test_the_two_streams_of_a_batch_are_drawn_independently(slices):
    """Were they one, a slice that may be used both ways would always stand beside itself."""
    both = training_batches(slices, CLASSIFIED, CLASSIFIED, replace(SETTINGS, marked=5), 1)
    pairs = [
        (one, other)
        for batch in _take(both, 0, 24)
        for one, other in zip(batch.names[:5], batch.names[5:], strict=True)
    ]
    beside_itself = sum(one == other for one, other in pairs)
    assert beside_itself < len(pairs) / 4  # by chance one in twelve


def test_an_unknown_label_does_not_say_that_the_target_is_there(slices):
    slices.labels[:] = -1
    batch = _take(training_batches(slices, CLASSIFIED, MARKED, SETTINGS, 1), 0, 1)[0]
    assert batch.labels.tolist() == [[0]] * 5


def test_every_target_has_a_label_of_its_own(slices):
    both = replace(slices, labels=np.concatenate([slices.labels, 1 - slices.labels], axis=1))
    batch = _take(training_batches(both, CLASSIFIED, MARKED, SETTINGS, 1), 0, 1)[0]
    rows = [int(name.removeprefix("a:")) for name in batch.names[:5]]
    assert batch.labels.tolist() == [[row % 2, 1 - row % 2] for row in rows]
