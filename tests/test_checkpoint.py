"""Checkpoints hold what training can change, and put it back name by name."""

import pytest
import torch
from torch import nn

from samnb.base.errors import SamnbError
from samnb.networks.sam.model import build_sam
from samnb.pretraining.recipe import Pretraining
from samnb.training.checkpoint import changeable, restore
from samnb.training.loop import TrainingSettings, fit


class HalfFrozen(nn.Module):
    """A large frozen part, and a small one that learns."""

    def __init__(self):
        super().__init__()
        self.large = nn.Linear(300, 300).requires_grad_(False)
        self.norm = nn.BatchNorm1d(300)
        self.small = nn.Linear(300, 1)
        self.register_buffer("mean", torch.zeros(1), persistent=False)

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.small(self.norm(self.large(batch))).square().mean()}


def batches(start: int):
    for step in range(start, 4):
        yield torch.randn(8, 300, generator=torch.Generator().manual_seed(step))


LEARNT = {
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
    "small.weight",
    "small.bias",
}


def test_frozen_weights_are_neither_averaged_nor_saved(tmp_path):
    learner = HalfFrozen()
    settings = TrainingSettings(4, checkpoint_seconds=0, validate_every=2, keep="best")
    trained = fit(
        learner, batches, settings, tmp_path, progress=False, validate=lambda _: {"dice": 0.5}
    )
    assert trained.weights.keys() == LEARNT
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    for part in ("weights", "average", "best"):
        assert saved[part].keys() == LEARNT
    assert saved["weights"]["norm.num_batches_tracked"] == 4
    assert (tmp_path / "checkpoint.pt").stat().st_size < 4 * 300 * 300

    other = HalfFrozen()
    kept = other.large.weight.clone()
    restore(other, trained.weights)
    assert torch.equal(other.large.weight, kept)
    assert torch.equal(other.norm.running_mean, trained.weights["norm.running_mean"])


def test_weights_that_do_not_fit_are_refused():
    weights = {name: value.clone() for name, value in changeable(HalfFrozen()).items()}
    weights["smal.bias"] = weights.pop("small.bias")
    with pytest.raises(SamnbError, match=r"smal\.bias, small\.bias"):
        restore(HalfFrozen(), weights)


def test_tied_weights_are_there_under_both_names():
    learner = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    learner[1].weight = learner[0].weight
    assert changeable(learner).keys() == learner.state_dict().keys()
    learner.requires_grad_(False)
    assert changeable(learner) == {}


def test_pretraining_gives_every_weight_of_the_sam():
    sam = build_sam("pocket", side=64)
    weights = changeable(Pretraining(sam))
    sam.load_state_dict({name.removeprefix("sam."): value for name, value in weights.items()})
