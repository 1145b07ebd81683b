"""Prompts about volumes for networks that are asked slice by slice.

Med-SA sees a volume, but its decoder answers each slice, and the paper's users prompt each slice.
`EverySlice` is such a user. One who prompts the volume as a whole is understood too: a point speaks
of its own slice, a box of every slice that it goes through; slices that nobody speaks of stay
empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.method import UserPrompts
from samnb.networks.sam.space_depth import slices_of
from samnb.prompts.asked import shape_of
from samnb.prompts.users import NONE, Points, User, find_user

EVERY = ", every slice"  # behind the name of a user


@dataclass(frozen=True)
class EverySlice(User):
    """Someone who looks at each slice of a volume as at a picture, and prompts it."""

    user: User = field(default_factory=Points)

    @property
    def rounds(self) -> int:
        return self.user.rounds

    def prompts(
        self,
        truths: Tensor,
        names: Sequence[str],
        answers: Tensor | None = None,
        earlier: UserPrompts | None = None,
    ) -> UserPrompts | None:
        """truths (N, K, D, S, S) bool -> what is said of the N D slices, volume after volume.

        Each slice has a name of its own, the volume's and its number, as in a set of slices.
        """
        numbered = [f"{name}:{number}" for name in names for number in range(truths.shape[2])]
        found = None if answers is None else slices_of(answers)
        return self.user.prompts(slices_of(truths), numbered, found, earlier)

    def __str__(self) -> str:
        return f"{self.user}{EVERY}"


def find_volume_user(text: str) -> User:
    """As `find_user`, and of each slice on its own: "random point, every slice"."""
    if text.endswith(EVERY):
        return EverySlice(find_user(text.removesuffix(EVERY)))
    return find_user(text)


def by_slice(prompts: UserPrompts, volumes: int, size: Sequence[int]) -> UserPrompts:
    """What is said of volumes of `size` (D, H, W), as said of their slices, volume after volume.

    What speaks of slices already (points x, y; boxes of four numbers) is left as it is.
    """
    depth = size[0]
    spatial = _of_volumes(prompts)
    count = shape_of(prompts)[0]
    if count != (volumes if spatial else volumes * depth):
        raise SamnbError(
            f"Prompts of {count} {'volumes' if spatial else 'slices'} for {volumes} volumes of "
            f"{depth} slices.",
            "prompt each volume once, or each of its slices.",
        )
    if not spatial:
        return prompts
    points = labels = boxes = None
    if prompts.points is not None:
        _check_points(prompts, size)
        points, labels = _points_of_slices(prompts, depth)
    if prompts.boxes is not None:
        _check_boxes(prompts.boxes, size)
        boxes = _boxes_of_slices(prompts.boxes, depth)
    return UserPrompts(points, labels, boxes)


def _of_volumes(prompts: UserPrompts) -> bool:
    """Whether places have three coordinates."""
    kinds = {value.shape[-1] == length for value, length in
             ((prompts.points, 3), (prompts.boxes, 6)) if value is not None}  # fmt: skip
    if len(kinds) != 1:
        raise SamnbError("Points and boxes of different kinds.", "give both for volumes or slices.")
    return kinds.pop()


def _points_of_slices(prompts: UserPrompts, depth: int) -> tuple[Tensor, Tensor]:
    """Points (N, K, P, 3) z, y, x -> (N D, K, P, 2) x, y and labels, those of its slice."""
    slices = torch.arange(depth, device=prompts.points.device)[None, :, None, None]
    here = prompts.points[:, None, ..., 0].floor() == slices  # (N, D, K, P)
    labels = torch.where(here, prompts.labels[:, None], NONE)
    points = prompts.points[:, None, ..., [2, 1]].expand(-1, depth, -1, -1, -1)
    return points.flatten(0, 1), labels.flatten(0, 1)


def _boxes_of_slices(boxes: Tensor, depth: int) -> Tensor:
    """Boxes (N, K, 6) z, y, x from and to -> (N D, K, 4), NaN in slices without.

    A box goes through a slice if it holds the slice's middle, and at least through the slice in
    which its own middle lies.
    """
    slices = torch.arange(depth, device=boxes.device)[None, :, None]
    low, high = boxes[:, None, :, 0], boxes[:, None, :, 3]
    here = (low <= slices + 0.5) & (slices + 0.5 < high)
    here = here | (((low + high) / 2).floor().clamp(max=depth - 1) == slices)
    flat = boxes[:, None, :, [2, 1, 5, 4]].expand(-1, depth, -1, -1)
    return torch.where(here[..., None], flat, torch.nan).flatten(0, 1)


def _check_points(prompts: UserPrompts, size: Sequence[int]) -> None:
    ends = torch.tensor(size, device=prompts.points.device)
    inside = ((prompts.points >= 0) & (prompts.points < ends)).all(dim=-1)
    if not (inside | (prompts.labels == NONE)).all():
        raise SamnbError(
            f"A point lies outside the volume of {'×'.join(map(str, size))} voxels.",
            "give z, y, x as indices of a voxel.",
        )


def _check_boxes(boxes: Tensor, size: Sequence[int]) -> None:
    given = boxes[~boxes.isnan().any(dim=-1)]
    ends = torch.tensor(size, device=boxes.device)
    low, high = given[:, :3], given[:, 3:]
    if (low < 0).any() or (high > ends).any() or (high <= low).any():
        raise SamnbError(
            f"A box reaches outside the volume of {'×'.join(map(str, size))} voxels, or is empty.",
            "give z, y, x from and to, the latter exclusive.",
        )
