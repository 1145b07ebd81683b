"""Prompts for many objects of many images at once, and the masks SAM answers with.

Every prompt is a short list of tokens: a place (x, y) and a kind. A point is one token, a box is
two (its corners). SAM adds a padding token where there is no box. So one table lookup embeds a
whole batch, and rows with equally many tokens go through the mask decoder together, each with the
embedding of its own image (the library repeats every image for every prompt instead).
"""

from dataclasses import dataclass, replace

import torch
from segment_anything.modeling import MaskDecoder, Sam
from torch import Tensor
from torch.nn import functional as F

from samnb.base.errors import SamnbError

PADDING, BACKGROUND, FOREGROUND, TOP_LEFT, BOTTOM_RIGHT = -1, 0, 1, 2, 3


@dataclass(frozen=True)
class Prompts:
    """R prompts ("rows") for the images of a batch; all tensors live on one device.

    image: (R,) long, which image of the batch each row asks about
    boxes: (R, 4) x_min, y_min, x_max, y_max in pixels, or None; a row of NaN has no box
    points: (R, P, 2) x, y in pixels, or None
    labels: (R, P) 1 foreground, 0 background, -1 no point
    masks: (R, 1, 4g, 4g) logits of an earlier round (g: side of the image embedding), or None;
        a row of NaN has no mask
    """

    image: Tensor
    boxes: Tensor | None = None
    points: Tensor | None = None
    labels: Tensor | None = None
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image)

    def rows(self, index: Tensor) -> "Prompts":
        """The prompts of some rows only."""

        def pick(value: Tensor | None) -> Tensor | None:
            return None if value is None else value[index]

        return Prompts(
            self.image[index],
            pick(self.boxes),
            pick(self.points),
            pick(self.labels),
            pick(self.masks),
        )


@dataclass(frozen=True)
class Masks:
    """SAM's answer to R prompts. Index 0 is the single mask, 1 to 3 the three alternatives.

    logits: (R, 4, 4g, 4g); a pixel belongs to the mask where its logit is above zero
    scores: (R, 4) the IoU that SAM predicts for each mask
    """

    logits: Tensor
    scores: Tensor

    def single(self) -> tuple[Tensor, Tensor]:
        """The mask for unambiguous prompts: logits (R, 4g, 4g), scores (R,)."""
        return self.logits[:, 0], self.scores[:, 0]

    def three(self) -> tuple[Tensor, Tensor]:
        """The three alternatives: logits (R, 3, 4g, 4g), scores (R, 3)."""
        return self.logits[:, 1:], self.scores[:, 1:]

    def best_of_three(self) -> tuple[Tensor, Tensor]:
        """The alternative with the highest predicted IoU: logits (R, 4g, 4g), scores (R,)."""
        scores, best = self.scores[:, 1:].max(dim=1)
        row = torch.arange(len(best), device=best.device)
        return self.logits[row, best + 1], scores

    def at_side(self, side: int) -> "Masks":
        """The same masks with logits interpolated to (R, 4, side, side)."""
        size = (side, side)
        return replace(
            self,
            logits=F.interpolate(self.logits.float(), size, mode="bilinear", align_corners=False),
        )


def decode(sam: Sam, embeddings: Tensor, prompts: Prompts) -> Masks:
    """Answer all prompts in one pass.

    embeddings: (N, prompt width, g, g) from `samnb.networks.sam.model.encode`, possibly cached.
    """
    check(sam, prompts, len(embeddings))
    places, kinds, counts = _tokens(prompts)
    sparse = _embed_tokens(sam, places, kinds)
    if counts.min() == counts.max():
        return _decode_rows(sam, embeddings, prompts, sparse)
    logits = scores = None
    for count in counts.unique().tolist():
        rows = torch.nonzero(counts == count)[:, 0]
        answer = _decode_rows(sam, embeddings, prompts.rows(rows), sparse[rows, :count])
        if logits is None:
            logits = answer.logits.new_zeros(len(prompts), *answer.logits.shape[1:])
            scores = answer.scores.new_zeros(len(prompts), *answer.scores.shape[1:])
        logits = logits.index_copy(0, rows, answer.logits)
        scores = scores.index_copy(0, rows, answer.scores)
    return Masks(logits, scores)


def _tokens(prompts: Prompts) -> tuple[Tensor, Tensor, Tensor]:
    """Places (R, T, 2), kinds (R, T), number of tokens (R,); a row's own tokens stand first."""
    rows, device = len(prompts), prompts.image.device
    places, kinds = [], []
    boxed = torch.zeros(rows, dtype=torch.bool, device=device)
    if prompts.boxes is not None:
        boxed = ~prompts.boxes.isnan().any(dim=1)
        places.append(prompts.boxes.reshape(rows, 2, 2))
        corners = torch.tensor([TOP_LEFT, BOTTOM_RIGHT], device=device).expand(rows, 2)
        kinds.append(torch.where(boxed[:, None], corners, PADDING))
    pointed = torch.zeros(rows, dtype=torch.bool, device=device)
    if prompts.points is not None:
        pointed = (prompts.labels != PADDING).any(dim=1)
        places.append(prompts.points)
        kinds.append(prompts.labels.long())
    # SAM closes a list of points with one padding token unless a box follows.
    places.append(torch.zeros(rows, 1, 2, device=device))
    kinds.append(torch.full((rows, 1), PADDING, device=device))
    place, kind = torch.cat(places, dim=1), torch.cat(kinds, dim=1)
    order = (kind == PADDING).long().sort(dim=1, stable=True).indices
    counts = (kind != PADDING).sum(dim=1) + (pointed & ~boxed).long()
    place = place.gather(1, order[..., None].expand_as(place)).nan_to_num()
    longest = int(counts.max())
    return place[:, :longest], kind.gather(1, order)[:, :longest], counts


def _embed_tokens(sam: Sam, places: Tensor, kinds: Tensor) -> Tensor:
    """Places (R, T, 2) and kinds (R, T) -> sparse embeddings (R, T, prompt width)."""
    encoder = sam.prompt_encoder
    table = torch.cat(
        [encoder.not_a_point_embed.weight, *(item.weight for item in encoder.point_embeddings)]
    )
    where = encoder.pe_layer.forward_with_coords(places + 0.5, encoder.input_image_size)
    return where * (kinds != PADDING)[..., None] + table[kinds + 1]


def _embed_masks(sam: Sam, prompts: Prompts) -> Tensor:
    """Dense embeddings (R or 1, prompt width, g, g) of the mask prompts."""
    encoder = sam.prompt_encoder
    none = encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    if prompts.masks is None:
        return none.expand(-1, -1, *encoder.image_embedding_size)
    given = ~prompts.masks.isnan().flatten(1).any(dim=1)
    embedded = encoder.mask_downscaling(prompts.masks.nan_to_num())
    return torch.where(given[:, None, None, None], embedded, none)


def _decode_rows(sam: Sam, embeddings: Tensor, prompts: Prompts, sparse: Tensor) -> Masks:
    """The mask decoder's own steps, for rows with equally many tokens."""
    decoder = sam.mask_decoder
    outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([outputs.expand(len(prompts), -1, -1), sparse], dim=1)
    source = embeddings[prompts.image] + _embed_masks(sam, prompts)
    rows, _, height, width = source.shape
    positions = sam.prompt_encoder.get_dense_pe()
    hidden, source = decoder.transformer(source, positions, tokens)
    kernels = torch.stack(
        [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
    )
    logits = _paint(decoder, source, kernels).reshape(rows, -1, height, width, 2, 2, 2, 2)
    logits = logits.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(rows, -1, 4 * height, 4 * width)
    return Masks(logits, decoder.iou_prediction_head(hidden[:, 0]))


def _paint(decoder: MaskDecoder, source: Tensor, kernels: Tensor) -> Tensor:
    """Upscale every image token to 4 x 4 pixels and multiply them with the masks' kernels.

    source: (R, tokens, channels); kernels: (R, 4, channels / 8)
    -> logits (R, 4, tokens, row, column, row, column), halves first, then quarters.

    The decoder's transposed convolutions have kernel 2 and stride 2, so no pixel sees a
    neighbouring token: they are matrix products, and channels stay last, where they are fast.
    """
    first, norm, gelu, second, _ = decoder.output_upscaling
    halves = torch.einsum("rtc,cdyx->rtyxd", source, first.weight) + first.bias
    halves = gelu(F.layer_norm(halves, halves.shape[-1:], norm.weight, norm.bias, norm.eps))
    quarters = gelu(torch.einsum("rtyxd,defg->rtyxfge", halves, second.weight) + second.bias)
    return torch.einsum("rme,rtyxfge->rmtyxfg", kernels, quarters)


def check(sam: Sam, prompts: Prompts, images: int) -> None:
    """Refuse prompts that SAM would answer with nonsense."""
    rows = len(prompts)
    if rows == 0:
        raise SamnbError("The prompt set is empty.", "give at least one box, point or mask.")
    if prompts.image.min() < 0 or prompts.image.max() >= images:
        raise SamnbError(
            f"A prompt asks about image {int(prompts.image.max())} of a batch of {images}.",
            "let `image` count from 0 within the batch.",
        )
    for name in ("boxes", "points", "labels", "masks"):
        value = getattr(prompts, name)
        if value is not None and len(value) != rows:
            raise SamnbError(
                f"{len(value)} {name} for {rows} prompts.", "give one row to each prompt."
            )
    if (prompts.points is None) != (prompts.labels is None):
        raise SamnbError("Points and labels go together.", "give both or neither.")
    side = sam.image_encoder.img_size
    if prompts.boxes is not None:
        _check_boxes(prompts.boxes, side)
    if prompts.points is not None:
        _check_points(prompts.points, prompts.labels, side)
    if prompts.masks is not None:
        _check_shape("Mask prompts", prompts.masks, (1, *sam.prompt_encoder.mask_input_size))
        _check_whole("mask", prompts.masks)


def _check_shape(name: str, value: Tensor, wanted: tuple[int, ...]) -> None:
    """Compare the shape of one row."""
    if value.shape[1:] != wanted:
        raise SamnbError(f"{name} of shape {tuple(value.shape[1:])}.", f"give {wanted} each.")


def _check_whole(name: str, value: Tensor) -> None:
    """A row of NaN means "none"; a row with some NaN is a mistake."""
    missing = value.isnan().flatten(1)
    if (missing.any(dim=1) != missing.all(dim=1)).any():
        raise SamnbError(f"A {name} is partly NaN.", f"only a row without {name} is all NaN.")


def _check_points(points: Tensor, labels: Tensor, side: int) -> None:
    _check_shape("Points", points, (points.shape[1], 2))
    _check_shape("Labels", labels, (points.shape[1],))
    if not ((labels >= PADDING) & (labels <= FOREGROUND)).all():
        raise SamnbError("A point has an unknown label.", "use 1, 0, or -1 for no point.")
    inside = ((points >= 0) & (points <= side)).all(dim=2)
    if not (inside | (labels == PADDING)).all():
        raise SamnbError("A point lies outside the image.", f"keep x and y within 0 to {side}.")


def _check_boxes(boxes: Tensor, side: int) -> None:
    _check_shape("Boxes", boxes, (4,))
    _check_whole("box", boxes)
    given = boxes[~boxes.isnan().any(dim=1)]
    if (given[:, 2:] <= given[:, :2]).any():
        raise SamnbError(
            "A box has no area (x_max <= x_min or y_max <= y_min).",
            "give x_min, y_min, x_max, y_max in this order.",
        )
    if (given < 0).any() or (given > side).any():
        raise SamnbError(
            "A box reaches outside the image.", f"clip it to 0 to {side} pixels of the input side."
        )
