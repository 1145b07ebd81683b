"""Each augmentation of nnU-Net on its own and for certain, to be looked at."""

from copy import deepcopy

import torch
from monai.transforms import RandomizableTransform
from torch import Tensor

from samnb.training.augmentation import augmentations

NAMES = {
    "RandRotated": "rotation",
    "RandZoomd": "scale",
    "RandGaussianNoised": "noise",
    "RandGaussianSmoothd": "blur",
    "RandScaleIntensityd": "brightness",
    "RandScaleIntensityFixedMeand": "contrast",
    "RandSimulateLowResolutiond": "resolution",
    "RandAdjustContrastd": "gamma",
    "RandFlipd": "mirror",
}


def one_by_one(
    image: Tensor, mask: Tensor, rotation: float, seed: int = 0
) -> dict[str, tuple[Tensor, Tensor]]:
    """image (1, S, S), normalised, and mask (S, S) after each augmentation, by its name.

    rotation: the plan's largest angle, degrees. A name says how often it is drawn in training.
    """
    shown = {}
    for transform in augmentations(rotation).transforms:
        if not isinstance(transform, RandomizableTransform):
            continue
        name = f"{NAMES[type(transform).__name__]}, p = {transform.prob:g}"
        certain = deepcopy(transform)
        certain.prob = 1.0
        certain.set_random_state(seed)
        changed = certain({"image": image.clone(), "mask": mask[None].clone()})
        kept = tuple(torch.as_tensor(changed[part]) for part in ("image", "mask"))
        # Mirrored along rows, then along columns; gamma on the inverted slice, then on itself.
        name += " (2)" if name in shown else ""
        shown[name] = (kept[0], kept[1][0] > 0)
    return shown
