"""3D baselines on patches: published sizes, losses at several depths, windows, mirrors."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from samnb.base.errors import SamnbError
from samnb.method import Batch
from samnb.networks.targets import TargetHead
from samnb.networks.volume_plan import supervision
from samnb.systems import swin_unetr, unet_3d, unetr
from samnb.systems.patch_network import PatchNetwork, check_patch
from samnb.systems.registry import SYSTEMS, sections
from samnb.systems.unet_3d import MIRRORS, UNet3DSettings, mirrored

CUBE = (128, 128, 128)


def shown(patch=CUBE, channels=1, targets=1, exclusive=False, spacing=None, **changed):
    """What a system's `build` sees of a profile."""
    names = tuple(f"target {number}" for number in range(targets))
    patches = SimpleNamespace(size=patch)
    data = SimpleNamespace(patches=patches, channels=channels, targets=names,
                           exclusive=exclusive, spacing=spacing)  # fmt: skip
    return SimpleNamespace(
        data=data, **{name: kind() for name, kind in sections().items()} | changed
    )


@pytest.fixture
def unallocated(monkeypatch):
    """On the meta device networks have sizes and no values; Swin UNETR asks for a few numbers."""
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        yield


def count(method) -> int:
    return sum(value.numel() for value in method.parameters())


def test_the_unet_has_the_sizes_that_papers_give_nnunet_in_3d(unallocated):
    assert count(unet_3d.build(shown(exclusive=True), 0)) == 31_190_312
    smaller = shown(exclusive=True, unet_3d=UNet3DSettings(halvings=4))
    assert count(unet_3d.build(smaller, 0)) == 16_544_038


def test_unetr_has_the_104_million_of_papers(unallocated):
    assert count(unetr.build(shown(channels=2), 0)) == 103_852_065


def test_swin_unetr_has_the_size_nearest_to_138_million(unallocated):
    assert count(swin_unetr.build(shown(), 0)) == 139_648_771
    own = shown(targets=13, exclusive=True, swin_unetr=swin_unetr.SwinUNETRSettings(width=48))
    assert count(swin_unetr.build(own, 0)) == 62_187_296


def _patches(patch, channels=1, targets=1):
    """A step of two patches, in each of which every target is a bright box."""
    torch.manual_seed(1)
    masks = torch.zeros(2, targets, *patch, dtype=torch.uint8)
    for number in range(targets):
        masks[:, number, 2:6, 3 : 9 + number, 4:10] = 1
    marked = 0.2 * torch.rand(2, channels, *patch) + 0.6 * masks.amax(dim=1, keepdim=True)
    none = torch.zeros(0, channels, *patch)
    return Batch(none, torch.zeros(0, targets, dtype=torch.long), marked, masks)


SMALL = {
    "unet_3d": ((16, 32, 32), UNet3DSettings(width=4)),
    "unetr": ((16, 16, 32), unetr.UNETRSettings(width=4, embed=24, mlp=24, heads=4)),
    "swin_unetr": ((32, 32, 64), swin_unetr.SwinUNETRSettings(width=12)),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_baseline_learns_from_patches_and_answers_about_a_larger_volume(name):
    patch, settings = SMALL[name]
    torch.manual_seed(0)
    method = SYSTEMS[name].build(shown(patch, 2, 2, **{name: settings}), 0)
    assert SYSTEMS[name].views == ("volumes",)
    loss = method(_patches(patch, 2, 2))["loss"]
    loss.backward()
    idle = [each for each, value in method.named_parameters() if value.grad is None]
    assert all("norm_cross_attn" in each for each in idle)  # of MONAI's transformer, never used
    learning = [bool(value.grad.any()) for value in method.parameters() if value.grad is not None]
    assert sum(learning) > 0.9 * len(learning)
    volume = torch.rand(1, 2, patch[0] + 5, patch[1], patch[2])
    if name == "swin_unetr":  # two windows of it take seconds
        volume = volume[:, :, : patch[0]]
    masks = method.eval().answer(volume).masks
    assert masks.shape == (1, 2, *volume.shape[2:])
    assert masks.dtype == torch.bool


class Stub(torch.nn.Module):
    """Says what it is told to, and counts how often it is asked."""

    def __init__(self, says):
        super().__init__()
        self.says, self.asked, self.heads = says, 0, []

    def forward(self, images):
        self.asked += 1
        return self.says(images)


def test_depths_of_the_unet_are_weighed():
    patch = (16, 32, 32)
    method = unet_3d.build(shown(patch, unet_3d=UNet3DSettings(width=2, mirror=False)), 0)
    assert method.weights == supervision(3) == pytest.approx((2 / 3, 1 / 3))
    assert method.network(torch.rand(2, 1, *patch)).shape == (2, 2, 1, *patch)
    batch = _patches(patch)
    outputs = torch.randn(2, 2, 1, *patch)
    method.network = Stub(lambda images: outputs)
    fine, coarse = (method.head.loss(outputs[:, place], batch.masks) for place in (0, 1))
    torch.testing.assert_close(method(batch)["loss"], 2 / 3 * fine + 1 / 3 * coarse)


def test_images_are_centred_before_they_are_seen():
    method = PatchNetwork(Stub(lambda images: images), TargetHead(1, False), (4, 4, 4))
    assert method.logits(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]


def test_windows_of_a_larger_volume_overlap_by_half():
    network = Stub(lambda images: images)
    method = PatchNetwork(network, TargetHead(1, False), (4, 4, 4))
    images = torch.rand(1, 1, 12, 4, 6)
    assert torch.equal(method.answer(images).masks, images > 0.5)
    assert network.asked == 5 * 1 * 2


def test_patches_are_mirrored_with_their_masks_and_answers_over_all_axes():
    torch.manual_seed(0)
    images = torch.rand(16, 1, 2, 2, 2)
    turned, masks = mirrored(images, images.clone())
    assert torch.equal(turned, masks)
    kinds = {
        next(
            axes for axes in MIRRORS if torch.equal(after, before.flip([axis - 1 for axis in axes]))
        )
        for before, after in zip(images, turned, strict=True)
    }
    assert len(kinds) > 4
    assert len(MIRRORS) == 8
    method = unet_3d.build(shown((16, 16, 16), unet_3d=UNet3DSettings(width=2)), 0)
    # A network that sees only whether a voxel lies low, in rows: mirrored passes make it even.
    ramp = torch.linspace(-1, 1.2, 16)[:, None].expand(1, 1, 16, 16, 16).clone()
    method.network = Stub(lambda images: ramp.clone())  # MONAI weighs it in place
    assert method.answer(torch.rand(1, 1, 16, 16, 16)).masks.all()
    assert method.network.asked == 8
    method.mirror = False
    assert not method.answer(torch.rand(1, 1, 16, 16, 16)).masks.all()


@pytest.mark.parametrize("patch", [(40, 96, 96), (32, 32, 32), (0, 64, 64), (16, 64, 64)])
def test_a_patch_that_does_not_fit_is_one_readable_error(patch):
    with pytest.raises(SamnbError, match=r"multiples of 32 x 32 x 32.*data\.patches\.size"):
        check_patch(patch, "Swin UNETR", (32, 32, 32))
    check_patch((32, 32, 64), "Swin UNETR", (32, 32, 32))
