"""What a method says of slices: asked once, kept as bits, measured as often as one likes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from samnb.data.slices import SliceSet
from samnb.method import Answer, Method
from samnb.prompts.users import NOBODY, User

CHUNK = 32  # slices segmented at once
PICTURED = {1: 6, 0: 2}  # slices kept for pictures, with and without the target


@dataclass(frozen=True)
class Answers:
    """Answers about K targets in N slices of side S: all that is needed to measure them.

    rows: (N,) rows of the slices, scan after scan, each from its lowest slice up
    bits: (N, K, ceil(S * S / 8)) uint8, masks as packed bits; `masks` unpacks them
    presence: (N, K) probability that the target is in the slice
    boxes: (N, K, 4) the prompt, NaN where there was none
    peaks: (N, K, 2) row and column of the pixel in the middle of the activation map's maximum
    seconds: in the network
    """

    rows: np.ndarray
    bits: np.ndarray
    side: int
    presence: np.ndarray | None = None
    boxes: np.ndarray | None = None
    peaks: np.ndarray | None = None
    seconds: float = float("nan")

    def masks(self, places: slice | np.ndarray = slice(None), target: int = 0) -> np.ndarray:
        """Masks (n, S, S) bool of one target at these places."""
        bits = np.unpackbits(self.bits[places, target], axis=1, count=self.side**2)
        return bits.reshape(-1, self.side, self.side).astype(bool)


def pack(masks: np.ndarray) -> np.ndarray:
    """Masks (N, K, S, S) as the bits of `Answers`."""
    return np.packbits(masks.reshape(*masks.shape[:2], -1).astype(bool), axis=2)


def ask(
    method: Method,
    slices: SliceSet,
    rows: np.ndarray,
    title: str,
    precision: str = "float32",
    progress: bool = False,
    user: User = NOBODY,
) -> Answers:
    """Answers of `method` about these rows of `slices`, scan by scan, to a user who prompts."""
    parts, seconds = [], 0.0
    scans = scan_rows(slices, rows)
    for chosen in tqdm(scans, desc=f"testing on {title}", disable=not progress, leave=False):
        began = time.perf_counter()
        answer = segment(method, slices, chosen, precision, user, title)
        seconds += time.perf_counter() - began
        parts.append((pack(answer.masks.numpy()), *_prompted_by(answer, slices.side)))
    bits, presence, boxes, peaks = (
        None if values[0] is None else np.concatenate(values) for values in zip(*parts, strict=True)
    )
    return Answers(np.concatenate(scans), bits, slices.side, presence, boxes, peaks, seconds)


def scan_rows(slices: SliceSet, rows: np.ndarray) -> list[np.ndarray]:
    """The rows of each scan, in the order of its slices."""
    index = slices.index.loc[rows]
    return [
        index.iloc[places].sort_values("slice").index.to_numpy()
        for places in index.groupby("scan", sort=False).indices.values()
    ]


def _prompted_by(answer: Answer, side: int) -> tuple[np.ndarray | None, ...]:
    """Presence, boxes and peaks of an answer: what a system prompts itself with."""
    presence = None if answer.presence is None else answer.presence.numpy()
    boxes = None if answer.boxes is None else answer.boxes.numpy()
    return presence, boxes, None if answer.cams is None else peaks(answer.cams, side)


def peaks(cams: Tensor, side: int) -> np.ndarray:
    """The pixel (row, column) in the middle of the strongest cell of each map.

    cams (N, K, g, h) -> (N, K, 2).
    """
    height, width = cams.shape[-2:]
    row, column = np.divmod(cams.flatten(2).argmax(dim=2).numpy(), width)
    middle = [((place + 0.5) * side / cells).astype(int)
              for place, cells in ((row, height), (column, width))]  # fmt: skip
    return np.stack(middle, axis=-1)


def segment(
    method: Method,
    slices: SliceSet,
    rows: np.ndarray,
    precision: str = "float32",
    user: User = NOBODY,
    cohort: str = "",
) -> Answer:
    """The method's answer for these rows, on the CPU, computed in chunks.

    cohort: with a slice's name the seed of what the user does at random, the same for all methods.
    """
    device = next(method.parameters()).device
    names = f"{cohort}:" + slices.index["scan"] + ":" + slices.index["slice"].astype(str)
    parts = []
    with examining(method, device, precision):
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            images, truths = (torch.from_numpy(part).to(device) for part in slices.load(some))
            parts.append(consult(method, images, truths.bool(), names[some].tolist(), user))
    said = [part.known() for part in parts]
    return Answer(**{name: _plain(torch.cat([each[name] for each in said])) for name in said[0]})


def consult(
    method: Method, images: Tensor, truths: Tensor, names: list[str], user: User = NOBODY
) -> Answer:
    """What a method answers to a user who prompts, looks, and prompts again, so often as it does.

    images (N, C, ...), truths (N, K, ...) bool: seen by the user, never by the method; names: of
    the N images, by which the user's chance is seeded. `begin` is called once.
    """
    state, answer, prompts = method.begin(images), None, None
    for _ in range(max(1, user.rounds)):
        seen = None if answer is None else answer.masks
        prompts = user.prompts(truths, names, seen, prompts)
        answer = method.answer(state, prompts)
    return answer


def exclusive(logits: Tensor) -> Tensor:
    """Masks of targets that exclude each other: logits (N, K, ...) -> bool of the same shape.

    Where several are above zero the largest has the pixel.
    """
    best = logits.amax(dim=1, keepdim=True)
    first = (logits == best).cumsum(dim=1) == 1  # of equal ones the first
    return (logits > 0) & (logits == best) & first


def _plain(values: Tensor) -> Tensor:
    """On the CPU, and in a precision that NumPy knows."""
    return (values.float() if values.is_floating_point() else values).cpu()


@contextmanager
def examining(method: Method, device: torch.device, precision: str) -> Iterator[None]:
    """As a finished method is used; afterwards it is as it was."""
    training = method.training
    method.eval()
    half = torch.autocast(device.type, getattr(torch, precision), enabled=precision != "float32")
    try:
        with torch.no_grad(), half:
            yield
    finally:
        method.train(training)


def pictured_rows(slices: SliceSet, rows: np.ndarray) -> np.ndarray:
    """Rows for pictures, evenly through the test set: six with the target, two without.

    The rule knows slices, not systems: all systems are shown on the same ones.
    """
    labels = slices.index["label"].to_numpy()[rows]
    chosen = [evenly(rows[labels == label], count) for label, count in PICTURED.items()]
    return np.concatenate(chosen)


def evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, the middle of each of as many equal stretches."""
    count = min(count, len(rows))
    return rows[((np.arange(count) + 0.5) * len(rows) / max(1, count)).astype(int)]


def pictures(
    method: Method,
    slices: SliceSet,
    rows: np.ndarray,
    cohort: str,
    precision: str = "float32",
    user: User = NOBODY,
) -> dict[str, np.ndarray]:
    """The whole answer on a few rows, as arrays; what the method does not know is left out."""
    index = slices.index.loc[rows]
    arrays = {"row": rows, "cohort": np.full(len(rows), cohort)}
    arrays |= {"scan": index["scan"].to_numpy(str), "slice": index["slice"].to_numpy()}
    answer = segment(method, slices, rows, precision, user, cohort)
    for name, value in answer.known().items():
        arrays[name] = (value.half() if name == "cams" else value).numpy()
    return arrays
