"""The GPU's pretraining step is the recipe's, and its pictures are those of the stream."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from samnb.networks.sam.model import build_sam
from samnb.pretraining.recipe import Pretraining, ShapeStream
from samnb.pretraining.shapes import draw_shapes

PATH = Path(__file__).resolve().parent.parent / "bench" / "gpu.py"
SPEC = importlib.util.spec_from_file_location("gpu", PATH)
gpu = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gpu)


def test_a_step_without_a_look_back_has_the_losses_of_the_recipe(monkeypatch):
    torch.manual_seed(0)
    sam, batch = build_sam("pocket", 64), ShapeStream(77, 64, 2, 3, 1)[0]
    for corrections in (1, 3):
        monkeypatch.setattr(torch, "randint", lambda *_, n=corrections: torch.tensor(n))
        torch.manual_seed(5)
        wanted = torch.stack([*Pretraining(sam)(batch).values()])
        torch.manual_seed(5)
        found = gpu.OnDevice(sam)(batch.images, batch.masks, corrections)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_pool_gives_new_pictures_once_and_then_old_ones():
    settings = gpu.Recipe(seed=4, side=64, images=6, objects=2, room=gpu.CHUNK)
    drawing = gpu.Drawing(settings, workers=1)
    drawing.draw()
    pool = gpu.Pool(drawing, settings)
    pool.refill()
    assert pool.stored == gpu.CHUNK
    firsts = [pool.choose(64) for _ in range(4)]
    assert sorted(np.concatenate([rows for rows, _ in firsts])) == list(range(gpu.CHUNK))
    assert not any(again.any() for _, again in firsts)
    assert pool.choose(64)[1].all()


def test_pictures_and_masks_come_out_of_the_pool_as_they_were_drawn(monkeypatch):
    monkeypatch.setattr(gpu, "turned", lambda pictures: pictures)
    settings = gpu.Recipe(seed=4, side=64, images=3, objects=2, room=gpu.CHUNK)
    drawing = gpu.Drawing(settings, workers=1)
    drawing.draw()
    pool = gpu.Pool(drawing, settings)
    pool.refill()
    step = gpu.Step(build_sam("pocket", 64), pool, settings)
    step.rows.copy_(torch.tensor([9, 0, 200]))
    images, masks = step.batch()
    for row, image, found in zip((9, 0, 200), images, masks, strict=True):
        drawn = draw_shapes(4, row, 64)
        assert torch.equal((image[0] * 255).round().byte(), torch.from_numpy(drawn.image))
        for mask in found.numpy():
            assert any((mask == wanted).all() for wanted in drawn.masks)


def test_every_eighth_is_turned_another_way_with_its_masks():
    pictures = torch.arange(25, dtype=torch.uint8).reshape(1, 1, 5, 5).repeat(8, 2, 1, 1)
    found = gpu.turned(pictures)
    assert torch.equal(found[:, 0], found[:, 1])
    assert len({tuple(one.flatten().tolist()) for one in found[:, 0]}) == 8
