"""SAM for volumes and a simulated user who clicks, looks, and clicks again where it is wrong.

The user knows the truth (an oracle). As `samnb.prompts.clicks` in two dimensions: the whole error
is one region, and every round has a click.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.networks.sam3d.model import Sam3D
from samnb.networks.sam3d.prompting import VolumeMasks, VolumePrompts, decode
from samnb.prompts.points import deepest


def box_of(masks: Tensor) -> Tensor:
    """Tight boxes (R, 6) z_min, y_min, x_min, z_max, y_max, x_max of masks (R, D, H, W) bool.

    None of the masks is empty; the largest indices are exclusive.
    """
    low, high = [], []
    for axis in (1, 2, 3):
        others = [other for other in (1, 2, 3) if other != axis]
        line = masks.any(dim=others[1]).any(dim=others[0]).int()
        low.append(line.argmax(dim=1))
        high.append(line.shape[1] - line.flip(1).argmax(dim=1))
    return torch.stack([*low, *high], dim=1).float()


@torch.no_grad()
def click_and_correct(
    sam: Sam3D,
    embeddings: Tensor,
    volume: Tensor,
    target: Tensor,
    clicks: int,
    remember: bool = True,
) -> tuple[VolumeMasks, list[Tensor]]:
    """The answers to one click after another about R objects.

    embeddings: (N, C, g, g, g); volume: (R,) which of them each object is in; target: (R, S, S, S)
    bool. The first click is in the middle of the object, and the user goes on with the answer that
    SAM scores best; each later click is in the middle of the error, and the last answer goes back
    in as mask prompt. remember: send all clicks so far; else the newest alone, as SAM-Med3D does.
    Returns SAM's whole answer to the first click, and the masks (R, S, S, S) bool after each click.
    """
    points, labels, masks, first, found = [], [], None, None, []
    for _ in range(clicks):
        place = middle_voxel(wrong(found[-1], target) if found else target)
        points.append(place)
        labels.append(at_voxel(target, place).long())
        shown = slice(0, None) if remember else slice(-1, None)
        prompts = VolumePrompts(
            volume, None, torch.stack(points[shown], 1), torch.stack(labels[shown], 1), masks
        )
        answer = decode(sam, embeddings, prompts)
        logits = (answer.best_of_three() if first is None else answer.single())[0]
        masks = logits[:, None].float()
        first = first or answer
        whole = F.interpolate(masks, target.shape[1:], mode="trilinear", align_corners=False)
        found.append(whole[:, 0] > 0)
    return first, found


def middle_voxel(regions: Tensor) -> Tensor:
    """The voxel (R, 3) z, y, x of each region (R, D, H, W) bool that is farthest from its edge."""
    places = [deepest(region)[0] for region in regions.cpu().numpy()]
    return torch.tensor(places, dtype=torch.float32, device=regions.device)


def random_voxel(regions: Tensor) -> Tensor:
    """One voxel (R, 3) z, y, x drawn uniformly from each region (R, D, H, W) bool."""
    flat = regions.flatten(1)
    place = (torch.rand(flat.shape, device=flat.device) * flat).argmax(dim=1)
    return torch.stack(torch.unravel_index(place, regions.shape[1:]), dim=1).float()


def wrong(found: Tensor, target: Tensor) -> Tensor:
    """Where each mask (R, ...) is wrong; the whole object where nothing is."""
    error = found != target
    some = error.flatten(1).any(dim=1).reshape(-1, *(1,) * (target.ndim - 1))
    return torch.where(some, error, target)


def at_voxel(masks: Tensor, places: Tensor) -> Tensor:
    """What each mask (R, D, H, W) is at its place (R, 3): (R,)."""
    z, y, x = places.long().unbind(1)
    return masks[torch.arange(len(masks), device=masks.device), z, y, x]
