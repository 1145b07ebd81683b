"""The training loop: learns, survives a kill bit for bit, keeps the best, and refuses nonsense."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import samnb.training.checkpoint
from samnb.base.errors import SamnbError
from samnb.method import Batch
from samnb.training.loop import Trained, TrainingSettings, fit

STEPS = 12
SETTINGS = TrainingSettings(
    STEPS, learning_rate=0.05, warmup=3, average=0.9, checkpoint_seconds=0, seed=4
)
# One of every schedule and optimiser, with accumulation, validation, and the best weights kept.
KILLED = {
    "cosine": replace(SETTINGS, accumulate=3, validate_every=4, keep="best", events=True),
    "warm_restarts": replace(SETTINGS, schedule="warm_restarts", cycle=4, accumulate=2, average=0),
    "poly": replace(SETTINGS, schedule="poly", optimiser="sgd", validate_every=2, keep="best"),
    "multistep": replace(
        SETTINGS, schedule="multistep", milestones=(0.3, 0.8), optimiser="adam", validate_every=1
    ),
    "exponential": replace(SETTINGS, schedule="exponential", warmup=0),
    "groups": replace(SETTINGS, rates={"layers.0": 0.1, r"layers\.3\.bias": 3.0}, accumulate=2),
    "constant": replace(SETTINGS, schedule="constant", average=0, validate_every=3, keep="best"),
    "bfloat16": replace(SETTINGS, precision="bfloat16", validate_every=5),
}


class Method(nn.Module):
    """Learns to double its input, with dropout, so that every step draws random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 4)
        )
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += len(batch)
        error = (self.layers(batch) - 2 * batch).square().mean()
        return {"loss": error, "twice": 2 * error}


class Named(Method):
    """The same, from batches that have names."""

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        return super().forward(batch.images)


def method(kind: type[Method] = Method) -> Method:
    torch.manual_seed(0)
    return kind()


def item(number: int) -> torch.Tensor:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(number))


def batches(start: int, stop: int | None = None):
    """Batches from number `start` on; the process is killed, as by a power cut, at `stop`."""
    for number in itertools.count(start):
        if number == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        yield item(number)


def validate(learner: nn.Module) -> dict[str, float]:
    """Falls while the error grows; what it draws at random must not disturb the training."""
    assert not learner.training
    assert not torch.is_grad_enabled()
    error = (learner.layers(item(1000)) - 2 * item(1000)).square().mean()
    return {"dice": 1 / (1 + float(error)), "drawn": float(torch.rand(()))}


# At which step a run had last saved before it is killed in step 7.
SAVED = dict(zip(KILLED, (7, 7, 4, 5, 4, 6, 6, 7), strict=True))
PAUSES = {7: 0, 6: 2, 5: 4, 4: 3}  # seconds between checkpoints, when each step takes one


def die(name: str, folder: Path) -> None:
    """Train until SIGKILL, in the midst of a step where batches are accumulated."""
    samnb.training.checkpoint.time = SimpleNamespace(monotonic=itertools.count().__next__)
    settings = replace(KILLED[name], checkpoint_seconds=PAUSES[SAVED[name]])
    stop = 7 * settings.accumulate + settings.accumulate // 2
    fit(method(), lambda start: batches(start, stop), settings, folder, validate=validate)


def train_without_extras(folder: Path) -> None:
    """A short run that asks for nothing: it must neither write nor load TensorBoard."""
    fit(method(), batches, replace(SETTINGS, checkpoint_seconds=60), folder, progress=False)
    assert "torch.utils.tensorboard" not in sys.modules
    assert "tensorboard" not in sys.modules
    assert not folder.exists()


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """Folders of runs that died of SIGKILL, each in a process of its own."""
    folder = tmp_path_factory.mktemp("killed")
    code = (
        "import os, sys; from pathlib import Path; import test_training as t\n"
        "folder = Path(sys.argv[1])\n"
        "for name in t.KILLED:\n"
        "    child = os.fork()\n"
        "    if child == 0: t.die(name, folder / name)\n"
        "    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9, name\n"
        # Last: what is forked while OpenMP has threads may wait for them for ever.
        "t.train_without_extras(folder / 'none')\n"
    )
    path = os.pathsep.join(["..", os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_run_ends_bit_for_bit_as_one_that_was_not(name, killed, tmp_path):
    settings, folder = KILLED[name], tmp_path / "killed"
    shutil.copytree(killed / name, folder)
    whole = method()
    wanted = fit(whole, batches, settings, tmp_path / "whole", progress=False, validate=validate)
    asked = []

    def resumed_batches(start: int):
        asked.append(start)
        return batches(start)

    resumed = method()
    found = fit(resumed, resumed_batches, settings, folder, progress=False, validate=validate)
    assert asked == [SAVED[name] * settings.accumulate]
    assert_equal(whole.state_dict(), resumed.state_dict())
    assert_equal(wanted.weights, found.weights)
    assert found.history == wanted.history
    assert len(found.history) == STEPS
    assert found.validation == wanted.validation
    every = settings.validate_every
    assert [note["step"] for note in found.validation] == [
        step for step in range(1, STEPS + 1) if every and (step % every == 0 or step == STEPS)
    ]


def assert_equal(wanted: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        assert torch.equal(value, found[name]), name


def test_event_files_go_on_where_the_checkpoint_was(killed, tmp_path):
    """What the resumed run writes begins after its checkpoint, and takes back what came later."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    folder = tmp_path / "run"
    shutil.copytree(killed / "cosine", folder)
    before = set((folder / "events").iterdir())
    fit(method(), batches, KILLED["cosine"], folder, progress=False, validate=validate)
    (new,) = set((folder / "events").iterdir()) - before
    events = list(EventFileLoader(str(new)).Load())
    starts = [event.step for event in events if event.HasField("session_log")]
    assert starts == [SAVED["cosine"] + 1]
    steps: dict[str, list[int]] = {}
    for event in events:
        for value in event.summary.value:
            steps.setdefault(value.tag, []).append(event.step)
    later = list(range(SAVED["cosine"] + 1, STEPS + 1))
    assert steps["training/loss"] == steps["training/learning rate"] == later
    assert steps["validation/dice"] == [8, 12]


def test_a_finished_run_is_not_run_again(tmp_path):
    first = fit(method(), batches, SETTINGS, tmp_path, progress=False)
    again = fit(
        method(), lambda _: pytest.fail("no batch is needed"), SETTINGS, tmp_path, progress=False
    )
    assert_equal(first.weights, again.weights)
    assert again.history == first.history


def test_it_learns_and_keeps_an_average(tmp_path):
    settings = replace(SETTINGS, steps=200, average=0.95, checkpoint_seconds=60)
    learner = method()
    trained = fit(learner, batches, settings, tmp_path, progress=False)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] / 3
    assert trained.history[-1]["twice"] == pytest.approx(2 * trained.history[-1]["loss"], rel=1e-5)
    assert [note["step"] for note in trained.history] == list(range(2, 201, 2))
    assert not torch.equal(trained.weights["layers.0.weight"], learner.layers[0].weight)
    assert trained.weights["seen"] == 1600
    assert trained.seconds > 0


def test_validation_sees_the_average_and_does_not_disturb_the_training(tmp_path):
    plain, looked_at = method(), method()
    looked_at.layers[2].eval()  # a part that the method itself keeps out of training mode
    plain.layers[2].eval()
    seen = []

    def look(learner: nn.Module) -> dict[str, float]:
        seen.append(learner.layers[0].weight.clone())
        return validate(learner)

    settings = replace(SETTINGS, validate_every=5)
    wanted = fit(plain, batches, SETTINGS, tmp_path / "plain", progress=False)
    found = fit(looked_at, batches, settings, tmp_path / "seen", progress=False, validate=look)
    assert_equal(plain.state_dict(), looked_at.state_dict())
    assert_equal(wanted.weights, found.weights)
    assert torch.equal(seen[-1], found.weights["layers.0.weight"])
    assert not torch.equal(seen[-1], looked_at.layers[0].weight)
    assert looked_at.training


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_the_best_weights_are_those_of_the_highest_dice(average, tmp_path):
    dice = iter([float("nan"), 0.2, 0.7, 0.6, 0.7, 0.1])
    seen = []

    def look(learner: nn.Module) -> dict[str, float]:
        seen.append({name: value.clone() for name, value in learner.state_dict().items()})
        return {"dice": next(dice)}

    settings = replace(SETTINGS, validate_every=2, keep="best", average=average)
    trained = fit(method(), batches, settings, tmp_path, progress=False, validate=look)
    assert [note["step"] for note in trained.validation] == [2, 4, 6, 8, 10, 12]
    assert_equal(seen[2], trained.weights)
    last = fit(
        method(),
        batches,
        replace(settings, keep="last"),
        tmp_path / "last",
        progress=False,
        validate=lambda _: {"dice": 0.0},
    )
    assert_equal(seen[-1], last.weights)


def test_the_best_weights_need_a_validation(tmp_path):
    settings = replace(SETTINGS, keep="best")
    with pytest.raises(SamnbError, match="no best weights"):
        fit(method(), batches, settings, tmp_path, progress=False, validate=validate)


def smooth() -> Method:
    """Without what depends on the size of a batch, or on chance."""
    learner = method()
    learner.layers = nn.Sequential(learner.layers[0], nn.Tanh(), learner.layers[3])
    return learner


def test_accumulated_batches_equal_one_large_batch(tmp_path):
    def large(start: int):
        for number in itertools.count(start):
            yield torch.cat([item(3 * number + part) for part in range(3)])

    few, many = smooth(), smooth()
    wanted = fit(few, large, SETTINGS, tmp_path / "large", progress=False)
    settings = replace(SETTINGS, accumulate=3)
    found = fit(many, batches, settings, tmp_path / "small", progress=False)
    for name, value in wanted.weights.items():
        torch.testing.assert_close(found.weights[name], value, rtol=1e-4, atol=1e-5)
    for one, other in zip(wanted.history, found.history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert many.seen == few.seen == STEPS * 24


class Observed(nn.Module):
    """One weight w and the loss w times the mean of the batch; notes what each step finds."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.found, self.drawn, self.kinds = [], [], []

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        self.found.append(float(self.weight.detach()))
        self.drawn.append(float(torch.rand(())))
        self.kinds.append((batch @ batch.T).dtype)
        return {"loss": self.weight * batch.mean()}


# A gradient of g moves Adam's weight by the rate, whatever g is; plain by hand.
PLAIN = TrainingSettings(
    2, learning_rate=0.1, weight_decay=0, average=0, schedule="constant", clip=1e6
)


def slopes(*values: float):
    """Batches whose means, and so the gradients of `Observed`, are these."""
    return lambda start: (torch.full((2, 2), value) for value in values[start:])


def observe(settings: TrainingSettings, folder: Path, *values: float) -> Observed:
    learner = Observed()
    fit(learner, slopes(*values), settings, folder, progress=False)
    return learner


def test_every_step_draws_its_own_random_numbers_fixed_by_the_seed(tmp_path):
    settings = replace(PLAIN, steps=6)
    first, again, other = (
        observe(replace(settings, seed=seed), tmp_path / str(place), *[1.0] * 6).drawn
        for place, seed in enumerate((1, 1, 2))
    )
    assert len(set(first)) == 6
    assert first == again
    assert not set(first) & set(other)


def test_every_step_has_the_rate_of_the_schedule(tmp_path):
    # A tenth after the second step: 0.1, 0.1, 0.01, 0.01.
    settings = replace(PLAIN, steps=4, schedule="multistep", milestones=(0.5,))
    learner = observe(settings, tmp_path, *[1.0] * 4)
    expected = [0, -0.1, -0.2, -0.21, -0.22]
    assert [*learner.found, float(learner.weight)] == pytest.approx(expected, rel=1e-5)


def test_every_group_has_its_share_of_the_rate(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.fast, self.slow = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

        def forward(self, batch):
            return {"loss": (self.fast + self.slow) * batch.mean()}

    learner = Two()
    settings = replace(PLAIN, schedule="multistep", milestones=(0.5,), rates={"slow": 0.25})
    fit(learner, slopes(1.0, 1.0), settings, tmp_path, progress=False)
    assert float(learner.fast) == pytest.approx(-0.11, rel=1e-5)
    assert float(learner.slow) == pytest.approx(-0.11 / 4, rel=1e-5)


def test_rates_of_one_share_learn_as_one_rate_does(tmp_path):
    """Groups change nothing but the rates: not the clipping, not the average, not what is drawn."""
    plain, grouped = method(), method()
    wanted = fit(plain, batches, SETTINGS, tmp_path / "plain", progress=False)
    settings = replace(SETTINGS, rates={"weight": 1.0})
    found = fit(grouped, batches, settings, tmp_path / "groups", progress=False)
    assert_equal(wanted.weights, found.weights)
    slower = replace(SETTINGS, rates={"weight": 0.5})
    found = fit(method(), batches, slower, tmp_path / "slower", progress=False)
    assert not torch.equal(wanted.weights["layers.0.weight"], found.weights["layers.0.weight"])


@pytest.mark.parametrize(("clip", "length"), [(0.5, 0.5), (3.0, 3.0), (100.0, 5.0)])
def test_a_gradient_longer_than_clip_is_shortened_to_it(clip, length, tmp_path):
    # The first step of SGD with Nesterov momentum 0.99 goes 1.99 times the gradient.
    settings = replace(PLAIN, steps=1, optimiser="sgd", clip=clip)
    learner = observe(settings, tmp_path, 5.0)
    assert float(learner.weight) == pytest.approx(-0.1 * 1.99 * length, rel=1e-5)


def test_accumulated_gradients_are_averaged(tmp_path):
    settings = replace(PLAIN, steps=1, optimiser="sgd", accumulate=3)
    learner = observe(settings, tmp_path, 1.0, 2.0, 6.0)
    assert float(learner.weight) == pytest.approx(-0.1 * 1.99 * 3, rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_forward_pass_is_in_the_precision_that_is_asked_for(precision, tmp_path):
    learner = observe(replace(PLAIN, precision=precision), tmp_path, 1.0, 1.0)
    assert learner.kinds == [getattr(torch, precision)] * 2


def test_the_average_forgets_the_start_by_hand(tmp_path):
    # The weight goes 0, -0.1, -0.2. The decay of step s is (1 + s) / (10 + s), at most 0.15 here:
    # 2/11 = 0.18 is too much already. So 0.85 x -0.1 = -0.085, then 0.15 x -0.085 - 0.85 x 0.2.
    learner = Observed()
    settings = replace(PLAIN, average=0.15)
    trained = fit(learner, slopes(1.0, 1.0), settings, tmp_path / "most", progress=False)
    assert float(trained.weights["weight"]) == pytest.approx(-0.18275, rel=1e-4)
    # Up to 0.999 it is 2/11 and 3/12: 9/11 x -0.1, then a quarter of that and 3/4 of -0.2.
    learner = Observed()
    settings = replace(PLAIN, average=0.999)
    trained = fit(learner, slopes(1.0, 1.0), settings, tmp_path / "young", progress=False)
    assert float(trained.weights["weight"]) == pytest.approx(-0.9 / 11 / 4 - 0.15, rel=1e-4)


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


def broken_batch(names: int) -> Batch:
    images = torch.full((8, 4), float("nan"))
    none = torch.zeros(0)
    return Batch(images, none, none, none, tuple(f"slice{number}" for number in range(names)))


@pytest.mark.parametrize(("names", "said"), [(2, "slice0, slice1."), (11, "slice7 and 3 more.")])
def test_a_loss_that_is_not_a_number_names_the_slices(names, said, tmp_path):
    with pytest.raises(SamnbError, match="The loss of step 0 is nan") as caught:
        fit(method(Named), lambda _: [broken_batch(names)], SETTINGS, tmp_path, progress=False)
    assert caught.value.what.endswith(said)
    assert "slice8" not in caught.value.what


def test_batches_that_end_too_early_are_refused(tmp_path):
    settings = replace(SETTINGS, accumulate=2)
    with pytest.raises(SamnbError, match="end in step 3 of 12"):
        fit(method(), lambda _: map(item, range(7)), settings, tmp_path, progress=False)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    fit(method(), batches, SETTINGS, tmp_path, progress=False)
    with pytest.raises(SamnbError, match=r"other settings \(seed\)"):
        fit(method(), batches, replace(SETTINGS, seed=5), tmp_path, progress=False)
    with pytest.raises(SamnbError, match=r"other settings \(rates\)"):
        fit(method(), batches, replace(SETTINGS, rates={"0": 0.5}), tmp_path, progress=False)


def test_a_checkpoint_from_before_a_setting_was_there_goes_on(tmp_path):
    first = fit(method(), batches, SETTINGS, tmp_path, progress=False)
    path = tmp_path / "checkpoint.pt"
    values = torch.load(path, weights_only=True)
    for name in ("rates", "milestones"):
        del values["settings"][name]
    torch.save(values, path)
    again = fit(method(), lambda _: pytest.fail("it is done"), SETTINGS, tmp_path, progress=False)
    assert_equal(first.weights, again.weights)
    values["settings"]["unknown"] = 1
    torch.save(values, path)
    with pytest.raises(SamnbError, match=r"other settings \(unknown\)"):
        fit(method(), batches, SETTINGS, tmp_path, progress=False)


def test_the_bar_shows_loss_dice_speed_and_time_left(tmp_path, capsys):
    settings = replace(SETTINGS, validate_every=4)
    trained = fit(method(), batches, settings, tmp_path, "a title", validate=validate)
    line = capsys.readouterr().err.split("\r")[-1]
    assert isinstance(trained, Trained)
    assert "a title: 100%" in line
    assert f"loss={trained.history[-1]['loss']:.3f}" in line
    assert f"Dice={trained.validation[-2]['dice']:.3f}" in line
    assert "<00:00" in line  # time left
    assert " step/s" in line or "s/ step" in line
