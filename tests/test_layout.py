"""Networks looked through without memory, counts beside published ones, plans and augmentations."""

import matplotlib.pyplot as plt
import pytest
import torch

from samnb.networks.nnunet_plan import plan, unseen_fingerprint
from samnb.reports.layout import build_without_memory, count, layout
from samnb.reports.plans import show_plan
from samnb.reports.sizes import beside_published
from samnb.studies import load_profile
from samnb.systems.nnunet_shown import one_by_one

SYSTEMS = {"unet": "U-Net", "nnunet": "nnU-Net", "transunet": "TransUNet", "multimix": "MultiMix"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_parts_add_up_to_the_network(system):
    table = layout(system, load_profile("paper"))
    *parts, total = table["parameters"]
    assert sum(parts) == total == count(build_without_memory(system, load_profile("paper")))
    # Only TransUNet has parameters outside of its parts: the positions.
    assert ("others" in table.index) == (system == "transunet")


def test_a_slice_passes_unet_as_published():
    output = layout("unet", load_profile("paper"))["output"]
    assert output["conv_0"] == "64 × 256 × 256"
    assert output["down_4"] == "1024 × 16 × 16"
    assert output["final_conv"] == "1 × 256 × 256"


def test_sizes_are_within_two_percent_of_the_published():
    paper = load_profile("paper")
    counted = {
        title: count(build_without_memory(system, paper)) for system, title in SYSTEMS.items()
    }
    assert beside_published(counted)["difference, %"].abs().max() < 2


def test_a_system_without_a_published_size_stays_in_the_table():
    table = beside_published({"Mine": 5, "U-Net": 31_036_546})
    assert table["here"].tolist() == [5, 31_036_546]
    assert table["difference, %"].isna().tolist() == [True, False]


def test_a_plan_is_drawn_with_every_stage():
    chosen = plan(unseen_fingerprint(64), 64)
    figure = show_plan(
        chosen.patch, chosen.features, chosen.kernels, chosen.strides, chosen.deep_supervision
    )
    texts = [item.get_text() for item in figure.axes[0].texts]
    plt.close(figure)
    assert sum(text.endswith("channels") for text in texts) == 2 * len(chosen.features) - 1
    assert "4 × 4, kernel 3 × 3" in texts


def test_every_augmentation_is_shown_once_and_for_certain():
    image = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(32, 32, dtype=torch.uint8)
    mask[4:20, 8:16] = 1
    shown = one_by_one(image, mask, rotation=180.0, seed=3)
    again = one_by_one(image, mask, rotation=180.0, seed=3)
    assert len(shown) == 11
    for name, (changed, moved) in shown.items():
        assert changed.shape == image.shape
        assert not torch.equal(changed, image), name
        assert torch.equal(changed, again[name][0])
        still = name.split(",")[0] not in {"rotation", "scale", "mirror"}
        assert torch.equal(moved, mask > 0) == still, name
