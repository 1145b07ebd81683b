"""Settings of training: schedules at points computed by hand, optimisers, precision."""

import math

import pytest
import torch
from torch import nn

from samnb.base.errors import SamnbError
from samnb.training.schedules import (
    TrainingSettings,
    build_optimiser,
    learning_rate,
    parameter_groups,
    resolve_precision,
    set_rate,
)


def rates(steps: list[int], **settings) -> list[float]:
    values = TrainingSettings(steps=100, learning_rate=2.0, **settings)
    return [learning_rate(values, step) for step in steps]


def test_the_cosine_rises_then_falls():
    settings = TrainingSettings(steps=100, learning_rate=2.0, warmup=10, final=0.1)
    every = [learning_rate(settings, step) for step in range(100)]
    assert every[0] == pytest.approx(0.2)
    assert max(every) == every[10] == pytest.approx(2.0)
    assert every[:10] == sorted(every[:10])
    assert every[10:] == sorted(every[10:], reverse=True)
    assert every[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert learning_rate(settings, 100) == pytest.approx(0.2)


def test_warm_restarts_fall_anew_in_every_cycle():
    quarter = (1 + math.sqrt(0.5)) / 2  # of the way down half a cosine
    found = rates([0, 10, 20, 30, 39, 40, 50, 80], schedule="warm_restarts", cycle=40)
    last = 1 - math.cos(math.pi / 40)
    assert found == pytest.approx([2, 2 * quarter, 1, 2 * (1 - quarter), last, 2, 2 * quarter, 2])
    after = rates([4, 5, 25, 45], schedule="warm_restarts", cycle=40, warmup=5)
    assert after == pytest.approx([2, 2, 1, 2])


def test_warm_restarts_are_those_of_torch():
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimiser, 30, eta_min=0.2)
    for ours in rates(range(100), schedule="warm_restarts", cycle=30, final=0.1):
        assert ours == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def test_the_other_schedules():
    # 0.5 ** 0.9 and 0.25 ** 0.9
    found = rates([0, 50, 75, 100, 101], schedule="poly")
    assert found == pytest.approx([2, 2 * 0.5358867, 2 * 0.2871746, 0, 0])
    found = rates([0, 25, 50, 100], schedule="exponential")
    assert found == pytest.approx([2, 2 * 0.1**0.5, 0.2, 0.02])
    assert rates([0, 1, 2, 50, 99], schedule="constant", warmup=2) == [1, 2, 2, 2, 2]


def test_multistep_falls_to_a_tenth_at_each_milestone():
    found = rates([0, 59, 60, 89, 90, 99], schedule="multistep", milestones=(0.6, 0.9))
    assert found == pytest.approx([2, 2, 0.2, 0.2, 0.02, 0.02])
    after = rates([9, 10, 63, 64], schedule="multistep", milestones=(0.6,), warmup=10)
    assert after == pytest.approx([2, 2, 2, 0.2])  # 54 of the 90 steps after the warm-up


@pytest.mark.parametrize("steps", range(2, 60))
def test_a_milestone_at_a_step_is_at_that_step(steps):
    for step in range(1, steps):
        settings = TrainingSettings(steps, 1.0, schedule="multistep", milestones=(step / steps,))
        assert [learning_rate(settings, step - 1), learning_rate(settings, step)] == [1, 0.1]


def test_sameds_schedule():
    # 250 steps of warm-up, then a power of 0.9, at a peak of 0.005.
    settings = TrainingSettings(1250, learning_rate=0.005, warmup=250, schedule="poly")
    found = [learning_rate(settings, step) for step in (0, 124, 249, 250, 750)]
    assert found == pytest.approx([2e-5, 2.5e-3, 5e-3, 5e-3, 5e-3 * 0.5358867])


def msam() -> nn.ModuleDict:
    """Parameters with the names of a SAM whose image encoder is frozen but for its LoRA."""
    sam = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("encoder", "lora", "mea", "decoder")})
    sam["encoder"].requires_grad_(False)
    return sam


def test_groups_have_their_share_of_the_learning_rate_at_every_step():
    sam = msam()
    settings = TrainingSettings(
        10, 8e-4, weight_decay=0.1, schedule="multistep", milestones=(0.6,), rates={"^decoder": 0.1}
    )
    optimiser = build_optimiser(settings, parameter_groups(settings, sam))
    fast, slow = optimiser.param_groups
    wanted = [*sam["lora"].parameters(), *sam["mea"].parameters()]
    assert list(map(id, fast["params"])) == list(map(id, wanted))
    assert list(map(id, slow["params"])) == list(map(id, sam["decoder"].parameters()))
    assert fast["weight_decay"] == slow["weight_decay"] == 0.1
    set_rate(optimiser, learning_rate(settings, 5))
    assert [fast["lr"], slow["lr"]] == pytest.approx([8e-4, 8e-5])
    set_rate(optimiser, learning_rate(settings, 6))
    assert [fast["lr"], slow["lr"]] == pytest.approx([8e-5, 8e-6])


def test_parameters_of_one_share_are_one_group():
    settings = TrainingSettings(1, rates={"lora": 2.0, "mea": 2.0, "decoder": 0.5})
    groups = parameter_groups(settings, msam())
    assert [(len(group["params"]), group["share"]) for group in groups] == [(4, 2.0), (2, 0.5)]


def test_without_rates_there_is_one_group_as_ever():
    sam = msam()
    plain = parameter_groups(TrainingSettings(1), sam)
    (group,) = plain
    assert group["share"] == 1
    assert list(map(id, group["params"])) == [id(p) for p in sam.parameters() if p.requires_grad]
    optimiser = build_optimiser(TrainingSettings(1), plain)
    set_rate(optimiser, 0.3)
    (group,) = optimiser.param_groups
    assert group["lr"] == 0.3


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"deccoder": 0.1}, "'deccoder' names no trainable"),
        ({"encoder": 0.1}, "'encoder' names no trainable"),
        ({"weight": 0.1, "lora": 0.5}, r"'weight' and 'lora' both name lora\.weight"),
    ],
)
def test_rates_that_name_nothing_or_something_twice_are_refused(rates, said):
    with pytest.raises(SamnbError, match=said) as caught:
        parameter_groups(TrainingSettings(1, rates=rates), msam())
    assert caught.value.remedy


def test_nnunets_optimiser():
    settings = TrainingSettings(1, learning_rate=0.01, weight_decay=3e-5, optimiser="sgd")
    optimiser = build_optimiser(settings, [nn.Parameter(torch.zeros(1))])
    assert isinstance(optimiser, torch.optim.SGD)
    wanted = {"lr": 0.01, "momentum": 0.99, "nesterov": True, "weight_decay": 3e-5}
    assert wanted.items() <= optimiser.param_groups[0].items()


def test_sams_optimiser():
    optimiser = build_optimiser(TrainingSettings(1), [nn.Parameter(torch.zeros(1))])
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.param_groups[0]["betas"] == (0.9, 0.98)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "none"},
        {"optimiser": "none"},
        {"precision": "float16"},
        {"keep": "first"},
        {"schedule": "warm_restarts"},
        {"schedule": "step"},
        {"schedule": "multistep"},
        {"schedule": "multistep", "milestones": (120, 180)},
        {"schedule": "multistep", "milestones": (0.0, 0.5)},
        {"rates": {"decoder": 0.0}},
        {"accumulate": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(SamnbError) as caught:
        TrainingSettings(steps=1, **wrong)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("able", "wanted"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ({"avx2": True, "amx_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_half_precision_where_the_processor_has_it(able, wanted, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert resolve_precision("auto", "cpu") == wanted
    assert resolve_precision("float32", "cpu") == "float32"
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"
    assert resolve_precision("auto", "mps") == "float32"


def test_auto_asks_the_graphics_card(monkeypatch):
    for able in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: able)  # noqa: B023
        assert resolve_precision("auto", "cuda:0") == ("bfloat16" if able else "float32")
