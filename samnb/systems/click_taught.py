"""SAM in three dimensions, taught by clicks, for users who click: what SAM-Med3D and M-SAM share.

A lesson is a conversation about one target of one patch. The first click is anywhere in the target,
each further one anywhere in what is wrong; only the newest is sent, and the last answer goes back
in as mask prompt, at first an empty one. Every answer counts in the loss (Eq. 3 of M-SAM). Users
are answered in the same way.
"""

from dataclasses import dataclass, field

import torch
from monai.losses import DiceCELoss
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from samnb.base.errors import SamnbError
from samnb.evaluation.answers import exclusive
from samnb.method import Answer, Batch, Method, UserPrompts
from samnb.networks.sam3d.model import Sam3D, encode
from samnb.networks.sam3d.prompting import PADDING, VolumeMasks, VolumePrompts, decode_from
from samnb.prompts.click_windows import cut_windows, put_window, window_starts
from samnb.prompts.volume_clicks import at_voxel, random_voxel, wrong
from samnb.systems.system import Declared
from samnb.systems.unet_3d import mirrored


@dataclass(frozen=True)
class ClickLessonSettings:
    rounds: int = 10  # clicks of a lesson, and answers
    dice: float = 0.5
    cross_entropy: float = 0.5
    mirror: bool = True  # patches at random, along each axis
    checkpointing: bool = False  # rounds are computed again: less memory, more time, the same
    detached: bool = False  # no gradient flows from a round into the one before


@dataclass
class Conversation:
    """Volumes, and what has been said of K targets in them, and answered.

    images: (N, 1, D, H, W); points: how many of each target have been heard; logits: (N, K, D, H,
    W), -inf where nothing has been answered; topics: what the network knows, by image and target.
    """

    images: Tensor
    points: int = 0
    logits: Tensor | None = None
    topics: dict[tuple[int, int], "Topic"] = field(default_factory=dict)


@dataclass
class Topic:
    """What the network knows of one target: the start of its window (3,), embedding, last mask."""

    start: Tensor
    embedding: Tensor  # (C, g, g, g)
    low: Tensor  # (1, 4g, 4g, 4g) logits


class ClickTaught(Method):
    """Each target of each patch is a lesson, and a question, of its own.

    It learns and answers with SAM's single mask. A volume that is larger than SAM's cube is looked
    at around the first click on each target; clicks elsewhere are not heard, and beyond it the
    answer is empty.

    null: logit of the mask prompt before any answer; NaN: SAM is told that there is none.
    exclusive: a voxel that several answers claim goes to the one with the largest logit.
    """

    null = 0.0

    def __init__(self, sam: Sam3D, settings: ClickLessonSettings, exclusive: bool = False):
        super().__init__()
        if settings.rounds < 1:
            raise SamnbError(f"A lesson of {settings.rounds} clicks.", "give 1 or more.")
        self.sam, self.settings, self.exclusive = sam, settings, exclusive
        self.loss = DiceCELoss(
            sigmoid=True,
            squared_pred=True,
            lambda_dice=settings.dice,
            lambda_ce=settings.cross_entropy,
        )

    def enhance(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder sees, and the image embedding of the next round, (R, C, g, g, g) each.

        image: embedding of this round; mask: that of the last answer. SAM adds them.
        """
        return image + mask, image

    def counting(self, answer: VolumeMasks, first: bool) -> Tensor:
        """The mask that counts of each answer, logits (R, 4g, 4g, 4g); first: the first round's."""
        return answer.single()[0]

    def stage(
        self, image: Tensor, low: Tensor, points: Tensor, labels: Tensor, first: bool
    ) -> tuple[Tensor, Tensor]:
        """One round: the image embedding of the next one, and the answer (R, 1, 4g, 4g, 4g).

        image: embedding E_I^t (R, C, g, g, g); low: the last answer's logits; points, labels: of
        this round, (R, P, 3) and (R, P).
        """
        source, image = self.enhance(image, self.sam.prompt_encoder.embed_masks(low))
        rows = torch.arange(len(source), device=source.device)
        answer = decode_from(self.sam, source, VolumePrompts(rows, None, points, labels))
        return image, self.counting(answer, first)[:, None].float()

    def empty_masks(self, count: int) -> Tensor:
        """The mask prompts of first rounds: (count, 1, 4g, 4g, 4g)."""
        shape = (count, 1, *(4 * self.sam.prompt_encoder.grid,) * 3)
        return torch.full(shape, self.null, device=next(self.parameters()).device)

    def whole(self, low: Tensor) -> Tensor:
        """Logits (R, 1, 4g, 4g, 4g) at the side of SAM's cubes."""
        side = (self.sam.image_encoder.side,) * 3
        return F.interpolate(low, side, mode="trilinear", align_corners=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The mean loss of the answers to all clicks; and of the last one, to look at."""
        images, masks = batch.marked, batch.masks
        if self.settings.mirror:
            images, masks = mirrored(images, masks)
        volume, target = masks.flatten(2).any(dim=2).nonzero(as_tuple=True)
        embeddings = encode(self.sam, images)
        if len(volume) == 0:
            return {"loss": 0 * embeddings.float().sum()}
        losses = self._lessons(embeddings[volume], masks[volume, target].bool())
        return {"loss": losses.mean(), "last": losses[-1].detach()}

    def _lessons(self, image: Tensor, truth: Tensor) -> Tensor:
        """The loss of each round: image embeddings (R, C, g, g, g), truth (R, S, S, S) bool."""
        low, losses, missing = self.empty_masks(len(truth)), [], truth
        for turn in range(self.settings.rounds):
            # Where nothing is wrong any more, a click inside the target confirms it.
            points = random_voxel(missing)
            labels = at_voxel(truth, points).long()
            stage = (image, low, points[:, None], labels[:, None], turn == 0)
            if self.settings.checkpointing:
                image, low = checkpoint(self.stage, *stage, use_reentrant=False)
            else:
                image, low = self.stage(*stage)
            logits = self.whole(low)
            losses.append(self.loss(logits, truth[:, None].float()))
            missing = wrong(logits.detach()[:, 0] > 0, truth)
            if self.settings.detached:
                low = low.detach()
        return torch.stack(losses)

    def begin(self, images: Tensor) -> Conversation:
        """images (N, 1, D, H, W), 0-1; they are encoded once, where the first click says."""
        return Conversation(images)

    @torch.no_grad()
    def answer(self, state: Conversation, prompts: UserPrompts | None = None) -> Answer:
        """To what is new since the last answer; a target of which nothing is said stays."""
        if prompts is None or prompts.labels is None or prompts.boxes is not None:
            raise SamnbError(
                "This system answers users who click, and no click or a box is given.",
                "name a user of points or clicks.",
            )
        if state.logits is None:
            shape = (*prompts.labels.shape[:2], *state.images.shape[2:])
            state.logits = torch.full(shape, -torch.inf, device=state.images.device)
        points, labels = (each[:, :, state.points :] for each in (prompts.points, prompts.labels))
        state.points = prompts.labels.shape[2]
        said = [tuple(row) for row in (labels != PADDING).any(dim=2).nonzero().tolist()]
        new = [row for row in said if row not in state.topics]
        self._hear(state, new, points, labels, first=True)
        self._hear(state, [row for row in said if row not in new], points, labels, first=False)
        return Answer(exclusive(state.logits) if self.exclusive else state.logits > 0)

    def _hear(self, state, rows, points: Tensor, labels: Tensor, first: bool) -> None:
        """Answer the new points of these rows, of which all or none have been spoken of before."""
        if not rows:
            return
        image, target = torch.tensor(rows, device=points.device).unbind(1)
        points, labels = points[image, target], labels[image, target]
        if first:
            state.topics |= self._opened(state, rows, points, labels)
        topics = [state.topics[row] for row in rows]
        starts, embeddings, low = (
            torch.stack([getattr(topic, name) for topic in topics])
            for name in ("start", "embedding", "low")
        )
        points = points - starts[:, None]
        inside = ((points >= 0) & (points < self.sam.image_encoder.side)).all(dim=2)
        labels = torch.where(inside, labels, PADDING)
        embeddings, low = self.stage(embeddings, low, points * inside[..., None], labels, first)
        for number, (row, topic) in enumerate(zip(rows, topics, strict=True)):
            if (labels[number] == PADDING).all():
                continue
            topic.embedding, topic.low = embeddings[number], low[number]
            put_window(state.logits[row], self.whole(low[number][None])[0, 0], topic.start)

    def _opened(self, state, rows, points: Tensor, labels: Tensor) -> dict:
        """What is known before the first answer: one look at every different window."""
        size, side = state.images.shape[2:], self.sam.image_encoder.side
        first = (labels != PADDING).long().argmax(dim=1)
        starts = window_starts(points[torch.arange(len(points)), first], size, side)
        image = torch.tensor(rows, device=points.device)[:, 0]
        looks, which = torch.unique(
            torch.cat([image[:, None], starts], 1), dim=0, return_inverse=True
        )
        cubes = cut_windows(state.images, looks[:, 0], looks[:, 1:], side)
        embeddings, low = encode(self.sam, cubes), self.empty_masks(1)[0]
        return {
            row: Topic(start, embeddings[number], low)
            for row, start, number in zip(rows, starts, which.tolist(), strict=True)
        }


def cube_of(profile: Declared) -> int:
    """The side of the cubes that SAM sees, which are the patches of the study."""
    size = tuple(profile.data.patches.size)
    if len(set(size)) > 1:
        raise SamnbError(
            f"SAM for volumes sees cubes, and the patches are {size}.",
            "set data.patches.size of the profile to three equal sides.",
        )
    if profile.data.channels != 1:
        raise SamnbError(
            f"SAM for volumes sees one channel, and the images have {profile.data.channels}.",
            "name one channel of the cohort.",
        )
    return size[0]
