"""What every system of the book has in common: it learns from a batch and answers with masks.

N images with C channels, K targets; a space of two axes (slices) or three (volumes). What is
written (N, C, S, S) here may as well be (N, C, D, H, W).
"""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from torch import Tensor, nn


class Batch(NamedTuple):
    """What one step of training looks at. Pictures are float32 from 0 to 1.

    images: (N, C, S, S), of which only the image labels are used
    labels: (N, K) long, 1 where the target is in the image
    marked: (M, C, S, S), whose masks may be used
    masks: (M, K, S, S) uint8, 1 inside the target; targets may overlap
    names: of all N + M images, to say which one is at fault
    """

    images: Tensor
    labels: Tensor
    marked: Tensor
    masks: Tensor
    names: tuple[str, ...] = ()


def with_one_target(batch: Batch) -> Batch:
    """A batch of K = 1 without the axis of targets: labels (N,), masks (M, S, S)."""
    return batch._replace(labels=batch.labels[:, 0], masks=batch.masks[:, 0])


@dataclass(frozen=True)
class UserPrompts:
    """What a user says of K targets in N images; what is None is not said at all.

    points: (N, K, P, 2) x, y in pixels, or (N, K, P, 3) z, y, x in voxels
    labels: (N, K, P) long, 1 inside the target, 0 outside, -1 no point
    boxes: (N, K, 4) x_min, y_min, x_max, y_max, or (N, K, 6) z, y, x from and to; max exclusive;
        NaN where there is no box
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None


@dataclass(frozen=True)
class Answer:
    """What a system says about K targets in N images of side S; what it does not know is None.

    masks: (N, K, S, S) bool, the final segmentation
    presence: (N, K) probability that the target is in the image
    cams: (N, K, g, g) class activation maps
    boxes: (N, K, 4) the prompt, NaN where there was none (of several: the one around the maximum)
    alternatives: (N, K, 3, S, S) bool, SAM's masks m1 to m3
    scores: (N, K, 3) their predicted IoUs s1 to s3
    chosen: (N, K) long, the number of the mask chosen: 0 the single one, 1 to 3 an alternative
    """

    masks: Tensor
    presence: Tensor | None = None
    cams: Tensor | None = None
    boxes: Tensor | None = None
    alternatives: Tensor | None = None
    scores: Tensor | None = None
    chosen: Tensor | None = None

    def known(self) -> dict[str, Tensor]:
        """What is not None, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


def of_target(answer: Answer, number: int = 0) -> Answer:
    """What an answer says about one target: masks (N, S, S), presence (N,), and so on."""
    return Answer(**{name: value[:, number] for name, value in answer.known().items()})


def about_one_target(answer: Answer) -> Answer:
    """An answer without the axis of targets, masks (N, S, S), with one: masks (N, 1, S, S)."""
    return Answer(**{name: value[:, None] for name, value in answer.known().items()})


class Method(nn.Module):
    """A system. It learns from batches, and answers about images in two steps.

    `begin` does what depends on the images alone, so that a user who prompts again and again waits
    for it once. `answer` may look at the prompts, or need none.
    """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses; the one named "loss" is minimised."""
        raise NotImplementedError

    def begin(self, images: Tensor) -> Any:
        """images (N, C, S, S), 0-1 -> whatever `answer` goes on with."""
        return images

    def answer(self, state: Any, prompts: UserPrompts | None = None) -> Answer:
        """state: what `begin` returned, the images if nothing else; prompts: None without any."""
        raise NotImplementedError


def segment(method: Method, images: Tensor) -> Answer:
    """What a method says of images (N, C, S, S), 0-1, and nothing else."""
    return method.answer(method.begin(images))
