"""Prompts for many objects of many volumes at once, and the masks SAM answers with.

As in two dimensions (`samnb.networks.sam.prompting`): a point is one token, a box is two, a list of
points without a box is closed by one padding token. Rows with equally many tokens go through the
mask decoder together, so that no answer hangs on what else is in the batch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError
from samnb.networks.sam.prompting import BOTTOM_RIGHT, FOREGROUND, PADDING, TOP_LEFT, Masks
from samnb.networks.sam3d.model import Sam3D


@dataclass(frozen=True)
class VolumePrompts:
    """R prompts ("rows") for the volumes of a batch; all tensors live on one device.

    volume: (R,) long, which volume of the batch each row asks about
    boxes: (R, 6) z_min, y_min, x_min, z_max, y_max, x_max in voxels, max exclusive, or None; a row
        of NaN has no box
    points: (R, P, 3) z, y, x in voxels, or None
    labels: (R, P) 1 foreground, 0 background, -1 no point
    masks: (R, 1, 4g, 4g, 4g) logits of an earlier round (g: cells per side), or None; a row of NaN
        has no mask
    """

    volume: Tensor
    boxes: Tensor | None = None
    points: Tensor | None = None
    labels: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.volume)


class VolumeMasks(Masks):
    """SAM's answer to R prompts. Index 0 is the single mask, 1 to 3 the three alternatives.

    logits: (R, 4, 4g, 4g, 4g); a voxel belongs to the mask where its logit is above zero
    scores: (R, 4) the IoU that SAM predicts for each mask
    """

    def at_side(self, side: int) -> "VolumeMasks":
        """The same masks with logits interpolated to (R, 4, side, side, side)."""
        size = (side, side, side)
        return replace(
            self,
            logits=F.interpolate(self.logits.float(), size, mode="trilinear", align_corners=False),
        )


def decode(sam: Sam3D, embeddings: Tensor, prompts: VolumePrompts) -> VolumeMasks:
    """Answer all prompts in one pass.

    embeddings: (N, prompt width, g, g, g) from `samnb.networks.sam3d.model.encode`.
    """
    check(sam, prompts, len(embeddings))
    source = embeddings[prompts.volume] + sam.prompt_encoder.embed_masks(prompts.masks)
    return decode_from(sam, source, prompts)


def decode_from(sam: Sam3D, source: Tensor, prompts: VolumePrompts) -> VolumeMasks:
    """As `decode`, from embeddings that know of the earlier masks already.

    source: of each row, (R, prompt width, g, g, g); the prompts' own masks are not looked at.
    """
    places, kinds, counts = _tokens(prompts)
    sparse = sam.prompt_encoder.embed_tokens(places, kinds)
    positions = sam.prompt_encoder.pe_layer.of_cells(sam.prompt_encoder.grid)
    if counts.min() == counts.max():
        return VolumeMasks(*sam.mask_decoder(source, positions, sparse))
    groups = [torch.nonzero(counts == count)[:, 0] for count in counts.unique()]
    answers = [
        sam.mask_decoder(source[rows], positions, sparse[rows, : counts[rows[0]]])
        for rows in groups
    ]
    back = torch.cat(groups).argsort()
    logits, scores = (torch.cat(parts)[back] for parts in zip(*answers, strict=True))
    return VolumeMasks(logits, scores)


def _tokens(prompts: VolumePrompts) -> tuple[Tensor, Tensor, Tensor]:
    """Places (R, T, 3), kinds (R, T), number of tokens (R,); a row's own tokens stand first."""
    rows, device = len(prompts), prompts.volume.device
    boxed = pointed = torch.zeros(rows, dtype=torch.bool, device=device)
    # The token that closes a list of points unless a box follows.
    places = [torch.zeros(rows, 1, 3, device=device)]
    kinds = [torch.full((rows, 1), PADDING, device=device)]
    if prompts.points is not None:
        pointed = (prompts.labels != PADDING).any(dim=1)
        places.insert(0, prompts.points)
        kinds.insert(0, prompts.labels.long())
    if prompts.boxes is not None:
        boxed = ~prompts.boxes.isnan().any(dim=1)
        places.insert(0, prompts.boxes.reshape(rows, 2, 3))
        corners = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], device=device).expand(rows, 2)
        kinds.insert(0, torch.where(boxed[:, None], corners, PADDING))
    place, kind = torch.cat(places, dim=1), torch.cat(kinds, dim=1)
    order = (kind == PADDING).long().sort(dim=1, stable=True).indices
    counts = (kind != PADDING).sum(dim=1) + (pointed & ~boxed).long()
    place = place.gather(1, order[..., None].expand_as(place)).nan_to_num()
    longest = int(counts.max())
    return place[:, :longest], kind.gather(1, order)[:, :longest], counts


def check(sam: Sam3D, prompts: VolumePrompts, volumes: int) -> None:
    """Refuse prompts that SAM would answer with nonsense."""
    rows, encoder = len(prompts), sam.prompt_encoder
    if rows == 0:
        raise SamnbError("The prompt set is empty.", "give at least one box, point or mask.")
    if prompts.volume.min() < 0 or prompts.volume.max() >= volumes:
        raise SamnbError(
            f"A prompt asks about volume {int(prompts.volume.max())} of a batch of {volumes}.",
            "let `volume` count from 0 within the batch.",
        )
    if (prompts.points is None) != (prompts.labels is None):
        raise SamnbError("Points and labels go together.", "give both or neither.")
    if prompts.boxes is not None:
        _check_boxes(prompts.boxes, rows, encoder.side, encoder.boxes)
    if prompts.points is not None:
        _check_points(prompts.points, prompts.labels, rows, encoder.side)
    if prompts.masks is not None:
        _check_shape("mask prompts", prompts.masks, (rows, 1, *(4 * encoder.grid,) * 3))
        _check_whole("mask", prompts.masks)


def _check_shape(name: str, value: Tensor, wanted: tuple[int, ...]) -> None:
    if value.shape != wanted:
        raise SamnbError(f"There are {name} of shape {tuple(value.shape)}.", f"give {wanted}.")


def _check_whole(name: str, value: Tensor) -> None:
    """A row of NaN means "none"; a row with some NaN is a mistake."""
    missing = value.isnan().flatten(1)
    if (missing.any(dim=1) != missing.all(dim=1)).any():
        raise SamnbError(f"A {name} is partly NaN.", f"only a row without {name} is all NaN.")


def _check_points(points: Tensor, labels: Tensor, rows: int, side: int) -> None:
    _check_shape("points", points, (rows, points.shape[1], 3))
    _check_shape("labels", labels, (rows, points.shape[1]))
    if not ((labels >= PADDING) & (labels <= FOREGROUND)).all():
        raise SamnbError("A point has an unknown label.", "use 1, 0, or -1 for no point.")
    inside = ((points >= 0) & (points <= side)).all(dim=2)
    if not (inside | (labels == PADDING)).all():
        raise SamnbError("A point lies outside the volume.", f"keep z, y and x within 0 to {side}.")


def _check_boxes(boxes: Tensor, rows: int, side: int, known: bool) -> None:
    _check_shape("boxes", boxes, (rows, 6))
    _check_whole("box", boxes)
    if not known:
        raise SamnbError(
            "This SAM has no embeddings for the corners of boxes.",
            "give points, or build it with boxes=True and train them.",
        )
    given = boxes[~boxes.isnan().any(dim=1)]
    if (given[:, 3:] <= given[:, :3]).any():
        raise SamnbError(
            "A box has no volume.", "give z_min, y_min, x_min, z_max, y_max, x_max in this order."
        )
    if (given < 0).any() or (given > side).any():
        raise SamnbError(
            "A box reaches outside the volume.", f"clip it to 0 to {side} voxels of the input side."
        )
