"""Masks by diffusion: the schedule, the way back, how the image joins, answers of a slice alone."""

from types import SimpleNamespace

import pytest
import torch
from made_batch import made_batch

from samnb.base.errors import SamnbError
from samnb.networks.diffusion import DenseBlock, NoiseSchedule
from samnb.systems.diffusion import (
    SYSTEMS,
    EnsemDiffSettings,
    SegDiffSettings,
    build_ensemdiff,
    build_segdiff,
)

SMALL = {"side": 32, "steps": 50, "sampling": 4, "samples": 2, "widths": (4, 8), "residual": 1}


def shown(targets=1, channels=1, exclusive=False, ensemdiff=None, segdiff=None):
    """What `build` sees of a profile: small networks unless settings are given."""
    names = tuple(f"target {number}" for number in range(targets))
    data = SimpleNamespace(channels=channels, targets=names, exclusive=exclusive)
    small = {"attended": (16,), **SMALL}
    return SimpleNamespace(
        data=data,
        ensemdiff=ensemdiff or EnsemDiffSettings(**small),
        segdiff=segdiff or SegDiffSettings(**small, blocks=1),
    )


BUILD = {"ensemdiff": build_ensemdiff, "segdiff": build_segdiff}
both = pytest.mark.parametrize("name", BUILD)


@pytest.mark.parametrize(("steps", "first", "last"), [(1000, 1e-4, 0.02), (100, 1e-3, 0.2)])
def test_the_noise_grows_linearly_and_fewer_steps_add_more_each(steps, first, last):
    left, expected = 1.0, []
    for number in range(steps):
        left *= 1 - (first + (last - first) * number / (steps - 1))
        expected.append(left)
    kept = NoiseSchedule(steps).kept
    torch.testing.assert_close(kept, torch.tensor(expected), rtol=1e-4, atol=1e-7)
    assert kept[-1] < 1e-3
    assert not NoiseSchedule(steps).state_dict()  # no weights of their own


def test_a_noisy_mask_keeps_its_share_of_the_variance():
    schedule = NoiseSchedule(50)
    clean, noise = torch.ones(2, 1, 3, 3), torch.full((2, 1, 3, 3), 2.0)
    found = schedule.noisy(clean, noise, torch.tensor([0, 7]))
    for row, step in ((0, 0), (1, 7)):
        kept = float(schedule.kept[step])
        expected = torch.full((1, 3, 3), kept**0.5 + 2 * (1 - kept) ** 0.5)
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_way_back_passes_the_noise_levels_of_the_very_steps_it_names(count):
    schedule = NoiseSchedule(100)
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 1, 4, 4).sign(), torch.randn(2, 1, 4, 4)
    named = []

    def predict(value, step):
        named.append(int(step[0]))
        torch.testing.assert_close(value, schedule.noisy(clean, noise, step), rtol=1e-3, atol=1e-3)
        return noise

    start = schedule.noisy(clean, noise, torch.tensor([99, 99]))
    torch.testing.assert_close(schedule.denoise(predict, start, count), clean, rtol=0, atol=1e-2)
    wanted = {1: [99], 3: [99, 50, 0], 7: [99, 82, 66, 50, 33, 16, 0]}[count]
    assert all(abs(one - other) <= 1 for one, other in zip(named, wanted, strict=True))


def test_what_the_mask_may_have_been_is_clipped_on_the_way():
    schedule = NoiseSchedule(50)
    noise = torch.tensor([[-2.0, 0.5, 3.0]])
    found = schedule.denoise(lambda value, step: torch.zeros_like(value), noise, 1)
    assert found.tolist() == [[-1, 1, 1]]


def test_a_dense_block_sees_all_before_and_adds_a_fifth():
    block = DenseBlock(6)
    assert [layer.in_channels for layer in block.layers] == [6, 38, 70, 102, 134]
    assert [layer.out_channels for layer in block.layers] == [32, 32, 32, 32, 6]
    torch.nn.init.zeros_(block.layers[-1].weight)
    torch.nn.init.ones_(block.layers[-1].bias)
    images = torch.rand(1, 6, 5, 5)
    torch.testing.assert_close(block(images), images + 0.2)


@both
def test_the_loss_is_that_of_the_noise_and_reaches_image_and_mask(name):
    torch.manual_seed(0)
    method = BUILD[name](shown(), 0)
    batch = made_batch(64)
    torch.manual_seed(1)
    loss = method(batch)["loss"]
    # A fresh U-Net says nothing, and noise has a variance of 1.
    assert loss.item() == pytest.approx(1.0, abs=0.1)
    torch.nn.init.normal_(method.network.out[2].conv.weight, std=0.1)
    method(batch)["loss"].backward()
    looked = method.join.of_image.first if name == "segdiff" else method.network.conv_in.conv
    assert looked.weight.grad.any()
    if name == "ensemdiff":
        assert looked.weight.shape[1] == 2  # the image, and a noisy mask
        assert looked.weight.grad[:, 0].any()


@both
def test_an_answer_depends_on_the_slice_alone_and_is_the_mean_of_samples(name):
    torch.manual_seed(0)
    method = BUILD[name](shown(targets=2), 0).eval()
    torch.nn.init.normal_(method.network.out[2].conv.weight, std=0.2)
    images, calls = torch.rand(3, 1, 64, 64), []
    method.network.register_forward_hook(lambda *_: calls.append(1))
    looked = []
    method.join.look = lambda images, look=method.join.look: looked.append(1) or look(images)
    masks = method.answer(images).masks
    assert (len(calls), len(looked)) == (2 * 4, 1)
    assert masks.shape == (3, 2, 64, 64)
    torch.manual_seed(5)
    assert torch.equal(method.answer(images[1:2]).masks, masks[1:2])
    assert not torch.equal(method._noise(0), method._noise(1))


def test_targets_that_exclude_each_other_share_no_pixel():
    torch.manual_seed(0)
    method = build_ensemdiff(shown(targets=3, exclusive=True), 0).eval()
    masks = method.answer(torch.rand(2, 1, 32, 32)).masks
    assert masks.any()
    assert masks.sum(dim=1).max() == 1


def test_a_mask_is_taken_as_a_share_of_each_coarser_pixel():
    method = build_ensemdiff(shown(), 0)
    batch = made_batch(64)
    batch = batch._replace(masks=batch.masks.roll(1, dims=-1))  # edges within coarser pixels
    seen = []
    method.schedule.noisy = lambda clean, noise, step: seen.append(clean) or clean
    method(batch)
    expected = torch.nn.functional.avg_pool2d(batch.masks.float(), 2) * 2 - 1
    torch.testing.assert_close(seen[0], expected)


def test_published_sizes_are_as_counted():
    with torch.device("meta"):
        beside = build_ensemdiff(shown(ensemdiff=EnsemDiffSettings()), 0)
        summed = build_segdiff(shown(segdiff=SegDiffSettings()), 0)
    counts = [sum(value.numel() for value in each.parameters()) for each in (beside, summed)]
    assert counts == [113_669_761, 118_446_337]  # the 32 million of a later comparison they are not
    assert (SegDiffSettings().steps, EnsemDiffSettings().steps) == (100, 1000)


def test_a_side_or_a_number_of_steps_that_cannot_be_is_one_readable_error():
    with pytest.raises(SamnbError, match="cannot halve 36 pixels"):
        build_ensemdiff(shown(ensemdiff=EnsemDiffSettings(side=36, widths=(8, 8, 8, 8))), 0)
    with pytest.raises(SamnbError, match="use more than 20 steps"):
        NoiseSchedule(20)
    assert SYSTEMS["segdiff"].views == ("slices",)
