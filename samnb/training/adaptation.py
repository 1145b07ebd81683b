"""Teach a SAM with a handful of labelled slices: where models and the training loop meet."""

import tempfile
from pathlib import Path

from segment_anything.modeling import Sam
from torch import Tensor

from samnb.prompts.box_prompted import BoxPrompted, shuffled_batches
from samnb.training.loop import TrainingSettings, fit
from samnb.training.settings import AdaptationSettings


def teach_with_boxes(
    sam: Sam, images: Tensor, masks: Tensor, settings: AdaptationSettings, seed: int
) -> Sam:
    """Teach the trainable parts of `sam`, in place, on a few labelled slices; nothing is kept.

    images: (N, 1, S, S), 0-1; masks: (N, S, S), none of them empty.
    """
    training = TrainingSettings(
        settings.steps, settings.learning_rate, warmup=5, average=0, seed=seed
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(
            BoxPrompted(sam),
            lambda start: shuffled_batches(images, masks, settings.batch, seed, start),
            training,
            Path(folder),
            progress=False,
        )
    return sam.eval()
