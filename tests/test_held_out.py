"""How the pocket SAM is measured on held-out shapes."""

import torch

from samnb.networks.sam.model import build_sam
from samnb.pretraining.evaluate import CLICKS, _on_grid, evaluate


def test_a_square_of_whole_cells_survives_the_grid():
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 4:10, 2:12] = True
    assert torch.equal(_on_grid(mask, 8), mask)


def test_a_single_pixel_is_lost_on_the_grid():
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, 5, 5] = True
    assert not _on_grid(mask, 8).any()


def test_every_number_of_the_report_lies_where_it_can():
    torch.manual_seed(0)
    found = evaluate(build_sam("pocket", side=64).eval(), images=4, batch=2, progress=False)
    assert found["images"] == 4
    assert found["objects"] == 16
    shares = [name for name in found if name not in ("images", "objects", "side")]
    assert all(0 <= found[name] <= 1.5 for name in shares)  # a score may lie outside 0 to 1
    assert found["grid"] > 0.9
    assert found["grid"] > found["box best of three"]
    assert [name for name in found if name.startswith("clicks")] == [
        f"clicks {count}" for count in range(1, CLICKS + 1)
    ]
