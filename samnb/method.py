"""What every system of the book has in common: it learns from a batch and answers with masks."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """What one step of training looks at. Pictures are float32 from 0 to 1.

    images: (N, 1, S, S), slices of which only the image label is used
    labels: (N,) long, 1 where the target is in the slice
    marked: (M, 1, S, S), slices whose masks may be used
    masks: (M, S, S) uint8, 1 inside the target
    names: of all N + M slices, to say which one is at fault
    """

    images: Tensor
    labels: Tensor
    marked: Tensor
    masks: Tensor
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a system says about N slices of side S; what it does not know is None.

    masks: (N, S, S) bool, the final segmentation
    presence: (N,) probability that the target is in the slice
    cams: (N, g, g) class activation maps
    boxes: (N, 4) the prompt, NaN where there was none (of several: the one around the maximum)
    alternatives: (N, 3, S, S) bool, SAM's masks m1 to m3
    scores: (N, 3) their predicted IoUs s1 to s3
    chosen: (N,) long, the number of the mask chosen: 0 the single one, 1 to 3 an alternative
    """

    masks: Tensor
    presence: Tensor | None = None
    cams: Tensor | None = None
    boxes: Tensor | None = None
    alternatives: Tensor | None = None
    scores: Tensor | None = None
    chosen: Tensor | None = None


class Method(Protocol):
    """A system is an `nn.Module` with these two doors."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar losses; the one named "loss" is minimised."""

    def segment(self, images: Tensor) -> Answer:
        """images (N, 1, S, S), 0-1; nothing else is looked at."""
