"""The training loop: learns, survives a kill bit for bit, and refuses nonsense."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from samnb.errors import SamnbError
from samnb.training import TrainingSettings, fit, learning_rate

STEPS = 12
SETTINGS = TrainingSettings(
    STEPS, learning_rate=0.05, warmup=3, average=0.9, checkpoint_seconds=0, seed=4
)


class Method(nn.Module):
    """Learns to double its input, with dropout, so that every step draws random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.Linear(16, 4))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += len(batch)
        error = (self.layers(batch) - 2 * batch).square().mean()
        return {"loss": error, "twice": 2 * error}


def method() -> Method:
    torch.manual_seed(0)
    return Method()


def batches(start: int, stop: int = STEPS, kill: bool = False):
    """Batches from step `start` on; the process is killed, as by a power cut, at step `stop`."""
    for step in range(start, STEPS):
        if kill and step == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        yield torch.randn(8, 4, generator=torch.Generator().manual_seed(step))


def test_a_killed_run_ends_bit_for_bit_as_one_that_was_not(tmp_path):
    whole = method()
    wanted = fit(whole, batches, SETTINGS, tmp_path / "whole", progress=False)
    code = (
        "import sys; from pathlib import Path; from functools import partial\n"
        "import test_training as t\n"
        "t.fit(t.method(), partial(t.batches, stop=7, kill=True), t.SETTINGS, Path(sys.argv[1]))"
    )
    folder = tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["..", os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    asked = []

    def resumed_batches(start: int):
        asked.append(start)
        return batches(start)

    resumed = method()
    found = fit(resumed, resumed_batches, SETTINGS, folder, progress=False)
    assert asked == [7]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
        assert torch.equal(wanted.weights[name], found.weights[name]), name
    assert found.history == wanted.history
    assert len(found.history) == STEPS


def test_a_finished_run_is_not_run_again(tmp_path):
    first = fit(method(), batches, SETTINGS, tmp_path, progress=False)
    again = fit(
        method(), lambda _: pytest.fail("no batch is needed"), SETTINGS, tmp_path, progress=False
    )
    assert all(torch.equal(value, again.weights[name]) for name, value in first.weights.items())
    assert again.history == first.history


def test_it_learns_and_keeps_an_average(tmp_path):
    settings = replace(SETTINGS, steps=200, average=0.95, checkpoint_seconds=60)

    def endless(start: int):
        for step in range(start, 1000):
            yield torch.randn(8, 4, generator=torch.Generator().manual_seed(step))

    learner = method()
    trained = fit(learner, endless, settings, tmp_path, progress=False)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] / 3
    assert trained.history[-1]["twice"] == pytest.approx(2 * trained.history[-1]["loss"], rel=1e-5)
    assert [note["step"] for note in trained.history] == list(range(2, 201, 2))
    assert not torch.equal(trained.weights["layers.0.weight"], learner.layers[0].weight)
    assert trained.weights["seen"] == 1600
    assert trained.seconds > 0


def test_frozen_weights_stay(tmp_path):
    learner = method()
    learner.layers[0].requires_grad_(False)
    before = learner.layers[0].weight.clone()
    fit(learner, batches, replace(SETTINGS, precision="bfloat16"), tmp_path, progress=False)
    assert torch.equal(learner.layers[0].weight, before)


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path):
    def broken(start: int):
        for step, batch in enumerate(batches(start), start):
            yield batch * float("inf") if step == 5 else batch

    with pytest.raises(SamnbError, match="of step 5 is") as caught:
        fit(method(), broken, SETTINGS, tmp_path, progress=False)
    assert caught.value.remedy
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 5


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    fit(method(), batches, SETTINGS, tmp_path, progress=False)
    with pytest.raises(SamnbError, match="other settings"):
        fit(method(), batches, replace(SETTINGS, seed=5), tmp_path, progress=False)


def test_the_learning_rate_rises_then_falls():
    settings = TrainingSettings(steps=100, learning_rate=2.0, warmup=10, final=0.1)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[10] == pytest.approx(2.0)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert learning_rate(settings, 100) == pytest.approx(0.2)
