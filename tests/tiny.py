"""A small world for tests of runs: a few small scans, a profile of them, and a tiny method."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from samnb.method import Answer, Batch
from samnb.studies import Profile, load_profile
from samnb.studies.cohorts import cohort_slices
from samnb.systems import registry

SIDE = 32
PROFILE = """
name: tiny
seed: 7
data:
  cohorts:
    home: {{layout: lits, target: liver, folder: {folder}/home}}
    abroad: {{layout: lits, target: liver, folder: {folder}/abroad}}
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


class Tiny(nn.Module):
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
        labels = F.binary_cross_entropy_with_logits(known, batch.labels.float())
        if not len(batch.marked):
            return {"loss": labels}
        drawn = self.layers(batch.marked)[:, 0]
        masks = F.binary_cross_entropy_with_logits(drawn, batch.masks.float())
        return {"loss": masks + labels if len(batch.images) else masks, "masks": masks}

    @torch.no_grad()
    def segment(self, images: Tensor) -> Answer:
        drawn = self.layers(images)[:, 0].float()
        presence = drawn.amax(dim=(1, 2)).sigmoid()
        return Answer(drawn.sigmoid() > self.threshold, presence, cams=drawn[:, ::4, ::4])


def build(profile: Profile, seed: int, first: nn.Module | None = None) -> Tiny:
    return Tiny(profile, first.requires_grad_(False) if first is not None else None)


SYSTEMS = {
    "tiny_image": registry.System("Tiny image", build, ("prompting",), labels="image"),
    "tiny": registry.System("Tiny", build, ("prompting",)),
    "tiny_second": registry.System("Tiny second", build, ("prompting",), first="tiny_image"),
    "tiny_full": registry.System("Tiny full", build, ("prompting",), labels="full"),
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
