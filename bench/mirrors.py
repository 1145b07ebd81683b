"""Where does a classifier point? Three ways from its maps to a point, on patients kept aside.

    python bench/mirrors.py                  # the phantom tumours, three seeds, some minutes
    python bench/mirrors.py --seeds 1

Of the training patients eight teach nothing. On their slices with tumour: percent of points inside
the tumour, for the maximum of one map, for that of the map averaged over an image and its mirror
images, and for the mean of the four maxima. The last is what `samnb/systems/mirrored.py` does; it
was chosen by this measurement. No test patient is looked at.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from samnb.runs.run import Run
from samnb.runs.runner import load_method
from samnb.studies import load_profile
from samnb.studies.cohorts import cohort_slices, cohort_split
from samnb.systems.cam_alone import CamAlone
from samnb.systems.cheap_lunch import strongest
from samnb.systems.map_prompted import ACTIVATIONS
from samnb.systems.mirrored import MIRRORS, MirrorPointed

COHORT = "brats"
ASIDE = ("data.splits.brats.train=40", "data.splits.brats.validation=8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    seeds = parser.parse_args().seeds
    table = pd.DataFrame({seed: inside(seed) for seed in seeds})
    table["mean"] = table.mean(axis=1)
    print(table.round(1).rename_axis("percent inside, by seed").to_string())


@torch.no_grad()
def inside(seed: int) -> dict[str, float]:
    """Percent of the points that lie in the tumour, by the way they were found."""
    profile = load_profile("pocket", "cheap-lunch-brats")
    run = Run(profile, "classifier", 0, seed, ASIDE)
    slices = cohort_slices(run.settings, COHORT)
    rows = slices.rows_of(cohort_split(run.settings, COHORT).validation)
    rows = rows[slices.labels[rows, 0] == 1]
    method = load_method(run).cpu().eval()
    found: dict[str, list[bool]] = {}
    for row in rows:
        image, masks = (torch.from_numpy(part) for part in slices.load([row]))
        for name, point in points(method, image).items():
            x, y = point[0].long()
            found.setdefault(name, []).append(bool(masks[0, 0, y, x]))
    return {name: 100 * float(np.mean(hits)) for name, hits in found.items()}


def points(method: CamAlone, image: Tensor) -> dict[str, Tensor]:
    """The three points (1, 2) x, y of an image (1, 1, S, S)."""
    network, side = method.classifier, image.shape[-1]
    activation = ACTIVATIONS[method.prompting.activation]

    def maps_of(views: Tensor) -> Tensor:
        return activation(network.features(views).float(), network.head)

    averaged = torch.stack([maps_of(image.flip(axes)).flip(axes) for axes in MIRRORS]).mean(dim=0)
    return {
        "maximum of one map": strongest(maps_of(image), side),
        "maximum of the averaged map": strongest(averaged, side),
        "mean of four maxima": MirrorPointed(method).points(image),
    }


if __name__ == "__main__":
    main()
