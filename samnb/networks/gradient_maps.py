"""Other ways to see what a classifier looks at, by the pytorch-grad-cam library.

They need a backward pass each, so they serve for comparison; systems use the closed form of
`samnb.networks.classifier`, which Grad-CAM equals.
"""

import cv2
import numpy as np
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from samnb.base.errors import SamnbError
from samnb.networks.classifier import PRESENT, Classifier

MAPS = {
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "xgrad-cam": XGradCAM,
    "layer-cam": LayerCAM,
    "eigen-cam": EigenCAM,
}


class _Deciding(torch.nn.Module):
    """The classifier with the difference w1 - w0 as its second logit, zero as its first."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        logits = self.classifier(images)
        difference = logits[:, 1] - logits[:, 0]
        return torch.stack([torch.zeros_like(difference), difference], dim=1)


def gradient_map(
    classifier: Classifier, images: Tensor, name: str = "grad-cam", activation: str = "evidence"
) -> Tensor:
    """Maps (N, S, S) from 0 to 1, as the library prints them, of images (N, 1, S, S).

    activation: "evidence" explains w1 - w0, "class" the logit of the present target alone. The
    library cuts what is negative, and stretches every map to 0-1 twice. Parameter gradients of the
    classifier are lost: never call this between a backward pass and a step.
    """
    if name not in MAPS:
        raise SamnbError(f"No activation map '{name}'.", f"use one of {', '.join(MAPS)}.")
    if not any(value.requires_grad for value in classifier.parameters()):
        raise SamnbError("The library needs gradients.", "let the classifier require them.")
    model = (classifier if activation == "class" else _Deciding(classifier)).eval()
    targets = [ClassifierOutputTarget(PRESENT)] * len(images)
    with torch.enable_grad(), MAPS[name](model=model, target_layers=[classifier.trunk[-1]]) as cam:
        maps = cam(input_tensor=images, targets=targets)
    classifier.zero_grad(set_to_none=True)
    return torch.from_numpy(np.ascontiguousarray(maps))


def as_printed(maps: Tensor, side: int) -> Tensor:
    """What the library does to its maps, done to ours: (N, h, w) -> (N, side, side) from 0 to 1.

    Cut below zero, stretched to 0-1, enlarged, stretched again.
    """
    small = [_stretched(np.maximum(item, 0)) for item in maps.detach().cpu().numpy()]
    return torch.from_numpy(np.stack([_stretched(cv2.resize(m, (side, side))) for m in small]))


def _stretched(values: np.ndarray) -> np.ndarray:
    values = values - values.min()
    return values / (1e-7 + values.max())
