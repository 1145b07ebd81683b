"""A small world for tests of runs: a few small scans, a profile of them, and a tiny method."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.method import Answer, Batch, Method, UserPrompts, about_one_target
from samnb.prompts.boxes import PromptingSettings
from samnb.studies import Profile, load_profile
from samnb.studies.cohorts import cohort_slices
from samnb.systems.system import System

SIDE = 32
PROFILE = """
name: tiny
seed: 7
data:
  cohorts:
    home: {{layout: lits, targets: [liver], folder: {folder}/home}}
    abroad: {{layout: lits, targets: [liver], folder: {folder}/abroad}}
  slices: {{side: 32, middle: 1.0}}
  splits:
    home: {{train: 3, validation: 1, test: 2}}
    abroad: {{test: 2}}
  labelled: [2, 4]
seeds: [1, 2]
learning:
  sam: {{epochs: 3, steps_per_epoch: 4, batch: 4, marked: 3, validations: 2, precision: float32}}
plan: {{systems: [tiny_image, tiny]}}
"""


class Tiny(Method):
    """Two layers; dropout and batch norm, so that chance and buffers matter."""

    def __init__(self, profile: Profile, first: nn.Module | None = None):
        super().__init__()
        self.first, self.threshold = first, profile.prompting.threshold
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
            nn.Conv2d(8, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        known = self.layers(batch.images).amax(dim=(1, 2, 3))
        labels = F.binary_cross_entropy_with_logits(known, batch.labels[:, 0].float())
        if not len(batch.marked):
            return {"loss": labels}
        drawn = self.layers(batch.marked)
        masks = F.binary_cross_entropy_with_logits(drawn, batch.masks.float())
        return {"loss": masks + labels if len(batch.images) else masks, "masks": masks}

    @torch.no_grad()
    def answer(self, state: Tensor, prompts: UserPrompts | None = None) -> Answer:
        drawn = self.layers(state)[:, 0].float()
        presence = drawn.amax(dim=(1, 2)).sigmoid()
        masks = drawn.sigmoid() > self.threshold
        return about_one_target(Answer(masks, presence, cams=drawn[:, ::4, ::4]))


def build(profile: Profile, seed: int, first: nn.Module | None = None) -> Tiny:
    return Tiny(profile, first.requires_grad_(False) if first is not None else None)


class Obedient(Tiny):
    """Answers whoever says "all" with everything, and everyone else with nothing."""

    @torch.no_grad()
    def answer(self, state: Tensor, prompts: UserPrompts | None = None) -> Answer:
        return Answer(torch.full_like(state, prompts == "all", dtype=torch.bool))


def build_prompted(profile: Profile, seed: int) -> Obedient:
    return Obedient(profile)


READS = {"prompting": PromptingSettings}
SYSTEMS = {
    "tiny_image": System("Tiny image", build, READS, labels="image"),
    "tiny": System("Tiny", build, READS),
    "tiny_second": System("Tiny second", build, READS, first="tiny_image"),
    "tiny_full": System("Tiny full", build, READS, labels="full"),
    "tiny_prompted": System("Tiny prompted", build_prompted, READS, prompted=True),
}


def world(folder: Path) -> Profile:
    """Write the scans into `folder`, once; the profile of them."""
    for cohort, count in (("home", 6), ("abroad", 2)):
        for number in range(count):
            _write_scan(folder / cohort, number, np.random.default_rng([count, number]))
    path = folder / "tiny.yaml"
    path.write_text(PROFILE.format(folder=folder))
    return load_profile(path)


def cached_world(folder: Path) -> Path:
    """The folder, in which the world's slices are cached: a data root to share between tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMNB_DATA", str(folder))
        for cohort in ("home", "abroad"):
            cohort_slices(world(folder), cohort, workers=1)
    return folder


def _write_scan(folder: Path, number: int, generator: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / f"volume-{number}.nii").is_file():
        return
    z, y, x = np.ogrid[:8, :SIDE, :SIDE]
    middle = generator.uniform(12, 20, 2)
    ball = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (3 * (z - 4)) ** 2 < 64
    image = generator.normal(0, 20, ball.shape) + 120 * ball
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    for name, values in (("volume", image), ("segmentation", ball)):
        data = values.astype(np.int16).transpose(2, 1, 0)
        nib.save(nib.Nifti1Image(data, affine), folder / f"{name}-{number}.nii")
