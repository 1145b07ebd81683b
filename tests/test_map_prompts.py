"""From activation maps to boxes: Eq. 5 to 8, and what maps that say nothing become."""

import pytest
import torch

from samnb.base.errors import SamnbError
from samnb.prompts.boxes import PromptingSettings, active_pixels, boxes_of_maps, widen

ONE = PromptingSettings(threshold=0.5)
EACH = PromptingSettings(threshold=0.5, regions="each")


def blobs(*cells: tuple[int, int, float], side: int = 16) -> torch.Tensor:
    """A map (1, side, side), zero but for some cells: row, column, value."""
    found = torch.zeros(1, side, side)
    for row, column, value in cells:
        found[0, row, column] = value
    return found


def by_hand(maps: torch.Tensor, threshold: float) -> list[list[int]]:
    """Eq. 5 to 8 in the plainest words, on maps already at the side of the slice."""
    boxes = []
    for g in maps.tolist():
        tau = threshold * max(max(row) for row in g)
        places = [(x, y) for y, row in enumerate(g) for x, v in enumerate(row) if v >= tau]
        xs, ys = [x for x, _ in places], [y for _, y in places]
        boxes.append([min(xs), min(ys), max(xs) + 1, max(ys) + 1])
    return boxes


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_a_batch_of_boxes_is_the_equations_slice_by_slice(threshold):
    maps = torch.rand(20, 32, 32, generator=torch.Generator().manual_seed(2)) ** 8
    found = boxes_of_maps(maps, PromptingSettings(threshold=threshold), 32)
    assert found.boxes.tolist() == by_hand(maps, threshold)
    assert found.image.tolist() == found.main.tolist() == list(range(20))


def test_boxes_are_in_pixels_of_the_slice():
    block = torch.zeros(1, 16, 16)
    block[0, 4:8, 8:12] = 1
    assert boxes_of_maps(block, ONE, 128).boxes.tolist() == [[64, 32, 96, 64]]


def test_one_box_or_one_for_each_region():
    maps = torch.cat([blobs((2, 2, 1.0), (12, 10, 0.8)), blobs((5, 5, 1.0))])
    assert boxes_of_maps(maps, ONE, 16).boxes.tolist() == [[2, 2, 11, 13], [5, 5, 6, 6]]
    each = boxes_of_maps(maps, EACH, 16)
    assert each.image.tolist() == [0, 0, 1]
    assert each.boxes.tolist() == [[2, 2, 3, 3], [10, 12, 11, 13], [5, 5, 6, 6]]
    assert each.main.tolist() == [0, 2]


def test_the_main_box_is_around_the_maximum():
    maps = blobs((2, 2, 0.8), (12, 10, 1.0))
    each = boxes_of_maps(maps, EACH, 128)
    x_min, y_min, x_max, y_max = each.boxes[each.main[0]].tolist()
    assert x_min <= 10.5 * 8 <= x_max
    assert y_min <= 12.5 * 8 <= y_max


def test_the_map_is_smooth_in_pixels_of_the_slice_before_it_is_cut():
    # One cell of 8 x 8 pixels: along a line through its middle the values fall to either side as
    # 0.94, 0.81, 0.69 of what they would be there, and the peak is the first. Of 0.8 times the
    # peak, 0.75, two pixels on each side are left.
    found = boxes_of_maps(blobs((4, 9, 1.0)), PromptingSettings(threshold=0.8), 128)
    x, y = 8 * 9 + 4, 8 * 4 + 4
    assert found.boxes.tolist() == [[x - 2, y - 2, x + 2, y + 2]]


@pytest.mark.parametrize("regions", ["one", "each"])
def test_boxes_are_widened_by_the_margin_of_the_profile(regions):
    block = torch.zeros(1, 16, 16)
    block[0, 4:8, 8:12] = 1
    settings = PromptingSettings(threshold=0.5, regions=regions, margin=0.25)
    assert boxes_of_maps(block, settings, 128).boxes.tolist() == [[56, 24, 104, 72]]


def test_pixels_that_touch_at_a_corner_are_one_region():
    found = boxes_of_maps(blobs((5, 5, 1.0), (6, 6, 0.9)), EACH, 16)
    assert found.boxes.tolist() == [[5, 5, 7, 7]]


@pytest.mark.parametrize("settings", [ONE, EACH])
@pytest.mark.parametrize("value", [0.0, -3.0, 7.0])
def test_a_map_that_points_nowhere_gives_the_whole_slice(settings, value):
    flat = torch.full((1, 8, 8), value)
    assert not active_pixels(flat, 0.5, 64).any()
    assert boxes_of_maps(flat, settings, 64).boxes.tolist() == [[0, 0, 64, 64]]


def test_a_map_without_any_value_above_zero_points_nowhere():
    assert not active_pixels(blobs((4, 9, -1.0)), 0.5, 16).any()
    assert active_pixels(blobs((4, 9, 0.01)), 0.5, 16).sum() == 1


def test_margins_stay_in_the_slice():
    boxes = torch.tensor([[10.0, 20, 30, 40], [0, 0, 64, 64]])
    assert widen(boxes, 0.1, 64).tolist() == [[8, 18, 32, 42], [0, 0, 64, 64]]


def test_an_unknown_box_rule_is_refused():
    with pytest.raises(SamnbError, match="No box rule 'two'"):
        boxes_of_maps(torch.rand(1, 4, 4), PromptingSettings(regions="two"), 32)
