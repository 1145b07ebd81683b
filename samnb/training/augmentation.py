"""The augmentations of nnU-Net, by MONAI's transforms, with the published probabilities.

They change slices that are normalised already. MONAI draws the standard deviation of the noise
evenly, nnU-Net its variance; both end at a variance of 0.1.
"""

from math import radians

import torch
from monai.transforms import (
    Compose,
    EnsureTyped,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandSimulateLowResolutiond,
    RandZoomd,
)
from torch import Tensor

IMAGE, BOTH = ["image"], ["image", "mask"]
LARGEST_SEED = 2**31 - 1


def augmentations(rotation: float) -> Compose:
    """For {"image": (C, S, S), "mask": (1, S, S)}; `rotation` is the largest angle in degrees."""
    modes = ["bilinear", "nearest"]
    zoom_modes = ["bilinear", "nearest-exact"]
    blur = (0.5, 1.0)
    return Compose(
        [
            RandRotated(
                BOTH, range_x=radians(rotation), prob=0.2, mode=modes, padding_mode="zeros"
            ),
            RandZoomd(BOTH, prob=0.2, min_zoom=0.7, max_zoom=1.4, mode=zoom_modes),
            RandGaussianNoised(IMAGE, prob=0.1, std=0.1**0.5),
            RandGaussianSmoothd(IMAGE, sigma_x=blur, sigma_y=blur, prob=0.2),
            RandScaleIntensityd(IMAGE, factors=0.25, prob=0.15),
            RandScaleIntensityFixedMeand(IMAGE, factors=0.25, preserve_range=True, prob=0.15),
            RandSimulateLowResolutiond(
                IMAGE, prob=0.25, zoom_range=(0.5, 1.0), upsample_mode="bicubic"
            ),
            RandAdjustContrastd(
                IMAGE, prob=0.1, gamma=(0.7, 1.5), invert_image=True, retain_stats=True
            ),
            RandAdjustContrastd(IMAGE, prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
            RandFlipd(BOTH, prob=0.5, spatial_axis=0),
            RandFlipd(BOTH, prob=0.5, spatial_axis=1),
            EnsureTyped(BOTH, track_meta=False),  # plain tensors again
        ]
    )


@torch.no_grad()
def augment(transforms: Compose, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """images (N, C, S, S) and masks (N, S, S) -> the same shapes, each changed on its own.

    A mask may hold numbers of classes: it is moved to the nearest pixel, so that no new ones arise.
    All channels of a slice are changed alike, but for their noise.

    The transforms are seeded from torch's generator, so that a seeded step always draws the same.
    """
    transforms.set_random_state(int(torch.randint(LARGEST_SEED, ())))
    with torch.autocast(images.device.type, enabled=False):
        changed = [
            transforms({"image": image, "mask": mask})
            for image, mask in zip(images.float(), masks[:, None], strict=True)
        ]
    moved = torch.stack([item["mask"] for item in changed])[:, 0]
    return torch.stack([item["image"] for item in changed]), moved.round().to(masks.dtype)
