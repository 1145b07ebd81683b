"""Who prompts at test time: simulated people who see the truth (oracles); systems never see it.

| user | what it says of each target |
|---|---|
| `nobody` | nothing |
| `point`, `3 points` | the deepest pixel, then those farthest from the edge and the points before |
| `random point`, `3 random points` | pixels drawn uniformly |
| `box 1`, `box 0.75` | a box that overlaps the target's tight box by that IoU |
| `click`, `10 clicks` | after each answer, the deepest pixel of what is wrong |
| `random click`, `10 random clicks` | after each answer, any pixel of what is wrong |

Images are slices (S, S) or volumes (D, H, W), truths bool. Points are x, y in pixels or z, y, x in
voxels, each the index of a pixel; boxes count from the image's corner, max exclusive.

A target that is not in the image gets no point and no box; a user of clicks still takes away what
is too much. What is random depends on the user, the name of the case and the round alone, so every
system is asked the same, whatever the batch.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.method import UserPrompts
from samnb.prompts.points import Place, deepest, random_points, spread_points, window_of

Point = tuple[Place, int]  # and its label
NONE, OUTSIDE, INSIDE = -1, 0, 1  # the labels
HALVINGS = 60  # of the way that the edges of a box may go


@dataclass(frozen=True)
class User:
    """Prints as the text that `find_user` reads."""

    @property
    def rounds(self) -> int:
        """How often a system is prompted about an image."""
        return 1

    def prompts(
        self,
        truths: Tensor,
        names: Sequence[str],
        answers: Tensor | None = None,
        earlier: UserPrompts | None = None,
    ) -> UserPrompts | None:
        """All that the user says up to this round, on the device of the truths.

        truths: (N, K, S, S) or (N, K, D, H, W) bool; names: of the N cases
        answers, earlier: of the round before; None in the first
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Nobody(User):
    @property
    def rounds(self) -> int:
        return 0

    def prompts(self, truths, names, answers=None, earlier=None) -> None:
        return None

    def __str__(self) -> str:
        return "nobody"


NOBODY = Nobody()


@dataclass(frozen=True)
class Points(User):
    """All at once, inside the target; a target of fewer pixels gets fewer."""

    number: int = 1
    random: bool = False

    def prompts(self, truths, names, answers=None, earlier=None) -> UserPrompts:
        said = [
            [self._points(target, name) for target in targets]
            for targets, name in zip(truths.cpu().numpy(), names, strict=True)
        ]
        return _as_prompts(said, self.number, truths)

    def _points(self, target: np.ndarray, name: str) -> list[Point]:
        if self.random:
            places = random_points(target, self.number, generator_of(self, name))
        else:
            places = spread_points(target, self.number)
        return [(place, INSIDE) for place in places]

    def __str__(self) -> str:
        return _counted(self.number, self.random, "point")


@dataclass(frozen=True)
class Box(User):
    """Overlap 1 is the tight box; for any other the edges of each box are moved at random."""

    overlap: float = 1.0

    def prompts(self, truths, names, answers=None, earlier=None) -> UserPrompts:
        said = [
            [self._box(target, name) for target in targets]
            for targets, name in zip(truths.cpu().numpy(), names, strict=True)
        ]
        boxes = torch.tensor(np.array(said), dtype=torch.float32, device=truths.device)
        return UserPrompts(boxes=boxes)

    def _box(self, target: np.ndarray, name: str) -> np.ndarray:
        window = window_of(target)
        if window is None:
            return np.full(2 * target.ndim, np.nan)
        tight = np.array([[part.start, part.stop] for part in window], dtype=float)
        box = box_with_overlap(tight, self.overlap, target.shape, generator_of(self, name))
        return (box[::-1] if target.ndim == 2 else box).T.ravel()

    def __str__(self) -> str:
        return f"box {self.overlap:g}"


@dataclass(frozen=True)
class Clicks(User):
    """One after another, each where the last answer is wrong; none where nothing is.

    The deepest pixel is sought among those that are missing and among those that are too many,
    each with a distance transform of its own. The deeper of the two is clicked, at equal depth the
    one too many, and no pixel twice. So does RITM (Sofiiuk et al., 2022), whose protocol most
    interactive methods are compared by. Random clicks are those of SAM-Med3D and M-SAM: uniform
    over all wrong pixels. The first click lies in the target: before it, all of it is missing.
    """

    number: int = 1
    random: bool = False

    @property
    def rounds(self) -> int:
        return self.number

    def prompts(self, truths, names, answers=None, earlier=None) -> UserPrompts:
        turn = 0 if earlier is None else earlier.labels.shape[2]
        found = torch.zeros_like(truths) if answers is None else answers
        both = zip(truths.cpu().numpy(), found.cpu().numpy(), strict=True)
        said = [
            [
                self._click(target, answer, _places(earlier, n, k), generator_of(self, name, turn))
                for k, (target, answer) in enumerate(zip(*pair, strict=True))
            ]
            for n, (name, pair) in enumerate(zip(names, both, strict=True))
        ]
        new = _as_prompts(said, 1, truths)
        if earlier is None:
            return new
        return UserPrompts(
            torch.cat([earlier.points, new.points], dim=2),
            torch.cat([earlier.labels, new.labels], dim=2),
        )

    def _click(self, target, answer, clicked: list[Place], generator) -> list[Point]:
        """One click, or none."""
        if self.random:
            drawn = random_points(target ^ answer, 1, generator)
            return [(place, int(target[place])) for place in drawn]
        missing, surplus = deepest(target & ~answer, clicked), deepest(answer & ~target, clicked)
        if missing and (surplus is None or missing[1] > surplus[1]):
            return [(missing[0], INSIDE)]
        return [(surplus[0], OUTSIDE)] if surplus else []

    def __str__(self) -> str:
        return _counted(self.number, self.random, "click")


def find_user(text: str) -> User:
    """The user of that name, such as "nobody", "3 random points", "box 0.75", "10 clicks"."""
    if text == "nobody":
        return Nobody()
    user: User | None = None
    if found := re.fullmatch(r"(?:([1-9]\d*) )?(random )?(point|click)s?", text):
        kind = Points if found[3] == "point" else Clicks
        user = kind(int(found[1] or 1), bool(found[2]))
    elif (found := re.fullmatch(r"box ([01](?:\.\d+)?)", text)) and 0 < float(found[1]) <= 1:
        user = Box(float(found[1]))
    if user is None or str(user) != text:  # one spelling each, since tables are sorted by it
        raise SamnbError(
            f"No user '{text}'.",
            "use nobody, point, random point, 3 points, box 1, box 0.75, 10 clicks, "
            "10 random clicks, or the like.",
        )
    return user


def _counted(number: int, random: bool, noun: str) -> str:
    """Such as "point", "3 random points"."""
    words = [str(number)] * (number > 1) + ["random"] * random + [noun + "s" * (number > 1)]
    return " ".join(words)


def generator_of(user: User, name: str, turn: int = 0) -> np.random.Generator:
    """The same for the same user, case and round, on every machine."""
    digest = hashlib.sha256("\0".join([str(user), name, str(turn)]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def box_with_overlap(
    tight: np.ndarray, overlap: float, shape: Sequence[int], generator: np.random.Generator
) -> np.ndarray:
    """A box whose IoU with a tight one is `overlap`, inside an image: (axes, 2), from and to.

    Every edge draws how far it goes, in a normal distribution on the scale of the box's side; all
    go the same share of their ways, which bisection finds: the IoU never rises on the way. It is
    right to 1e-9, and to 1e-3 where the edges are rounded to float32. Where the image's border
    stops the edges too early, those that go out go in instead: that reaches any overlap.
    """
    if overlap == 1:
        return tight
    sides = tight[:, 1] - tight[:, 0]
    ways = generator.normal(size=tight.shape) * sides[:, None]
    ends = np.array(shape, dtype=float)[:, None]

    def moved(share: float) -> np.ndarray:
        return np.clip(tight + share * ways, 0, ends)

    near, far = 0.0, 1.0
    while box_overlap(moved(far), tight) > overlap:
        far *= 2
        if far > 1e6:
            ways = np.abs(ways) * [1, -1]
            far = 1.0
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        if box_overlap(moved(middle), tight) > overlap:
            near = middle
        else:
            far = middle
    return moved(near)


def box_overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes (axes, 2), from and to."""
    low, high = np.maximum(first[:, 0], second[:, 0]), np.minimum(first[:, 1], second[:, 1])
    both = np.prod(np.maximum(high - low, 0))
    volumes = [np.prod(np.maximum(box[:, 1] - box[:, 0], 0)) for box in (first, second)]
    return float(both / (sum(volumes) - both))


def _as_prompts(said: list[list[list[Point]]], number: int, truths: Tensor) -> UserPrompts:
    """N cases, K targets, up to `number` points for each -> points and labels of `number`."""
    axes = truths.ndim - 2
    points = np.zeros((*truths.shape[:2], number, axes), np.float32)
    labels = np.full(points.shape[:3], NONE)
    for n, targets in enumerate(said):
        for k, places in enumerate(targets):
            for p, (place, label) in enumerate(places):
                points[n, k, p] = place[::-1] if axes == 2 else place
                labels[n, k, p] = label
    return UserPrompts(
        torch.from_numpy(points).to(truths.device), torch.from_numpy(labels).to(truths.device)
    )


def _places(said: UserPrompts | None, n: int, k: int) -> list[Place]:
    """The points said of one target, as indices along the axes."""
    if said is None:
        return []
    points = said.points[n, k][said.labels[n, k] != NONE].long()
    return [tuple(place) for place in (points.flip(1) if points.shape[1] == 2 else points).tolist()]
