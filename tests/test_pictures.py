"""Figures of the chapters: what is drawn, not how it looks."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from samnb.reports import pictures, style

mpl.use("Agg")


def test_window_maps_its_range_to_zero_and_one_and_cuts_the_rest():
    values = pictures.window(np.array([-1000, -160, 40, 240, 900], np.int16), 400, 40)
    assert values.tolist() == [0, 0, 0.5, 1, 1]


def test_slices_fill_a_grid_and_empty_masks_draw_nothing():
    images = [np.zeros((16, 16))] * 5
    mask = np.zeros((16, 16), bool)
    mask[4:9, 4:9] = True
    figure = pictures.show_slices(images, None, [mask, None, mask & False] + [None] * 2, columns=3)
    assert len(figure.axes) == 6
    outlines = [len(axes.collections) for axes in figure.axes]
    assert outlines == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", [dict, pd.DataFrame])
def test_strip_draws_one_row_per_group_and_bears_missing_values(kind):
    _, axes = style.panels(panel_height=2)
    pictures.strip(axes, kind({"a_b": [1.0, 2.0, np.nan], "none": [np.nan] * 3}))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a b", "none"]
    assert len(axes.lines[0].get_xdata()) == 2


def test_text_of_figures_reads_on_white_and_on_dark_pages():
    def luminance(colour: str) -> float:
        channels = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(channels <= 0.04, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    ink = luminance(style.INK) + 0.05
    white, dark = luminance("#ffffff") + 0.05, luminance("#121212") + 0.05
    assert white / ink > 4
    assert ink / dark > 4
