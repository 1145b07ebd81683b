"""How nnU-Net would lay out a U-Net for patches of a volume: which axes are halved, and where.

The rules of its planner for three axes; `nnunet_plan.py` has them for slices, with all the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

LEAST_EDGE = 4  # voxels that an axis keeps at the bottom

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """An entry for each stage, from the finest: strides into it, kernels of its convolutions."""

    strides: tuple[Triple, ...]
    kernels: tuple[Triple, ...]

    @property
    def steps(self) -> Triple:
        """What the sides of a patch are multiples of."""
        return tuple(prod(stride[axis] for stride in self.strides) for axis in range(3))


def layout(patch: Sequence[int], spacing: Sequence[float], most: int | None = None) -> Layout:
    """Halve an axis while it leaves LEAST_EDGE and its voxels are not twice as long as others.

    patch: voxels; spacing: mm, both of slices, rows and columns. most: halvings at most.
    A kernel is 1 along an axis as long as its voxels are twice the shortest, and 3 from then on.
    """
    size, voxel = list(patch), list(spacing)
    strides, kernels = [(1, 1, 1)], []
    while most is None or len(strides) <= most:
        long = [axis for axis in range(3) if size[axis] >= 2 * LEAST_EDGE]
        halved = [axis for axis in long if voxel[axis] < 2 * min(voxel[other] for other in long)]
        if not halved or (len(halved) == 1 and size[halved[0]] < 3 * LEAST_EDGE):
            break
        kernels.append(_kernel(voxel))
        for axis in halved:
            size[axis], voxel[axis] = ceil(size[axis] / 2), 2 * voxel[axis]
        strides.append(tuple(2 if axis in halved else 1 for axis in range(3)))
    return Layout(tuple(strides), (*kernels, (3, 3, 3)))


def _kernel(voxel: Sequence[float]) -> Triple:
    return tuple(3 if length < 2 * min(voxel) else 1 for length in voxel)


def supervision(outputs: int) -> tuple[float, ...]:
    """Weights 1, 1/2, 1/4, ... of the decoder's outputs, summing to 1; the coarsest has none."""
    weights = [0.5**output for output in range(max(1, outputs - 1))]
    return tuple(weight / sum(weights) for weight in weights)
