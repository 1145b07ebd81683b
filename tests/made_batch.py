"""A batch by hand: four slices with image labels only, three with a bright square and its mask."""

import torch

from samnb.method import Batch


def made_batch(side: int) -> Batch:
    """Pictures of `side` pixels, at least 64."""
    torch.manual_seed(3)
    masks = torch.zeros(3, 1, side, side, dtype=torch.uint8)
    masks[:, :, 16:40, 20:50] = 1
    marked = 0.3 * torch.rand(3, 1, side, side) + 0.5 * masks
    return Batch(torch.rand(4, 1, side, side), torch.tensor([[0], [1], [0], [1]]), marked, masks)
