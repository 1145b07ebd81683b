"""Which objects a person could outline: in one piece, and apart from what lies around them."""

import numpy as np
import pytest

from samnb.pretraining.clarity import is_clear, main_piece, rim_contrast


@pytest.fixture
def square() -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[16:40, 16:40] = True
    return mask


def picture(mask: np.ndarray, inside: int, outside: int) -> np.ndarray:
    return np.where(mask, inside, outside).astype(np.uint8)


def test_a_bright_square_is_clear_and_one_as_grey_as_its_ground_is_not(square):
    assert is_clear(picture(square, 120, 60), square)
    assert not is_clear(picture(square, 60, 60), square)


def test_the_main_piece_is_counted_in_pixels(square):
    assert main_piece(square) == 1
    square[50:62, 40:64] = True  # 288 pixels beside 576
    assert main_piece(square) == pytest.approx(2 / 3)
    assert not is_clear(picture(square, 120, 60), square)


def test_contrast_is_the_step_at_the_rim_over_the_spread_beside_it(square):
    flat = picture(square, 100, 70)
    assert rim_contrast(flat, square) == pytest.approx(30)
    noise = np.random.default_rng(0).normal(0, 30, flat.shape)
    rough = np.clip(flat + noise, 0, 255).astype(np.uint8)
    assert 0.5 < rim_contrast(rough, square) < 1.5
