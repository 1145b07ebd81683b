"""Pictured slices, reasons of failures, and figures as files."""

import numpy as np
import pandas as pd
import pytest
from made_cases import made_cases
from matplotlib import pyplot as plt

from samnb.reports import failures, gallery
from samnb.reports.failures import BOX, FALSE_ALARM, FINE, MASK, SILENT
from samnb.reports.files import write_figure

SIDE = 8


def case(**columns):
    fine = {"dice": 0.9, "iou": 0.8, "label": 1, "presence": 0.9, "box_iou": 0.8}
    return fine | columns


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (case(), FINE),
        (case(presence=0.1, box_iou=0.0), FINE),
        (case(dice=0.0, iou=0.0, label=0), FALSE_ALARM),
        (case(dice=0.0, iou=0.0, presence=0.1, box_iou=np.nan), SILENT),
        (case(dice=0.3, iou=0.2, box_iou=0.1), BOX),
        (case(dice=0.3, iou=0.2), MASK),
        (case(dice=0.0, iou=0.0, presence=np.nan, box_iou=np.nan), MASK),
        # It was drawn in, so nobody was silent.
        (case(dice=0.3, iou=0.2, presence=0.1, box_iou=np.nan), MASK),
    ],
)
def test_every_failure_has_one_reason(given, reason):
    assert failures.reasons(pd.DataFrame([given])).tolist() == [reason]


def test_shares_of_failures_add_up():
    cases = made_cases({"U-Net": 0.9, "SAM-PP-0": 0.1})
    table = failures.failure_table(cases, "lits")
    assert table.index.tolist() == ["U-Net", "SAM-PP-0"]
    assert table.loc["U-Net"].eq(0).all()
    assert table.loc["SAM-PP-0", [BOX, "any"]].tolist() == [
        0.75,
        0.75,
    ]  # one slice of four is empty


def test_the_best_system_and_the_best_with_boxes():
    cases = made_cases({"U-Net": 0.9, "SAM-PP-0": 0.2, "SAM-Mix-5": 0.6})
    assert failures.best_system(cases, "lits") == "U-Net"
    assert failures.best_system(cases, "lits", prompted=True) == "SAM-Mix-5"
    alone = made_cases({"U-Net": 0.9})
    assert failures.best_system(alone, "lits", prompted=True) == "U-Net"


def test_one_system_of_each_family():
    names = ["U-Net", "U-Net-50", "SAM-Mix-5", "SAM-Mix-50", "MultiMix-5", "CAM alone"]
    wanted = ["U-Net", "MultiMix-5", "CAM alone", "SAM-Mix-50"]
    assert gallery.one_of_each(names, 50) == wanted


class Kept:
    """A record's pictures, without its files."""

    def __init__(self, name, rows, seed=1, changes=()):
        self.name = name
        self.facts = {"name": name, "seed": seed, "changes": list(changes)}
        masks = np.zeros((len(rows), SIDE, SIDE), dtype=bool)
        for place, row in enumerate(rows):
            masks[place, row] = True
        self.pictures = {
            "row": np.array(rows),
            "cohort": np.full(len(rows), "lits"),
            "masks": masks,
            "boxes": np.full((len(rows), 4), np.nan),
        }


class Slices:
    """Eight slices; the truth of slice n is its row n."""

    index = pd.DataFrame({"scan": ["a"] * 4 + ["b"] * 4, "slice": range(8)})

    def load(self, rows, target):
        assert target == 0  # the only one
        masks = np.zeros((len(rows), SIDE, SIDE), dtype=np.uint8)
        masks[range(len(rows)), rows] = 1
        return np.zeros((len(rows), 1, SIDE, SIDE), dtype=np.float32), masks


def test_only_slices_that_every_system_answered_are_shown():
    made = [Kept("A", [1, 3, 5]), Kept("B", [5, 1, 2]), Kept("B", [0], seed=2)]
    made.append(Kept("A", [0], changes=["x=1"]))
    shown = gallery.pictured(made, Slices(), "lits", ["B", "A", "C"], seed=1)
    assert list(shown.answers) == ["B", "A"]
    assert sorted(shown.rows) == [1, 5]
    assert sorted(zip(shown.scans, shown.numbers, strict=True)) == [("a", 1), ("b", 5)]
    assert shown.truths.shape == (2, SIDE, SIDE)
    for masks in shown.masks.values():
        np.testing.assert_array_equal(masks, shown.truths)


def test_without_records_nothing_is_shown():
    shown = gallery.pictured([], Slices(), "lits", ["A"], seed=1)
    assert len(shown.rows) == 0
    assert shown.masks == {}


def test_the_gallery_shows_the_worst_first():
    shown = {"lits": gallery.pictured([Kept("A", [1, 5])], Slices(), "lits", ["A"], seed=1)}
    named = {"system": "A", "seed": 1, "change": "", "cohort": "lits"}
    rows = [named | case(scan="a", slice=1), named | case(scan="a", slice=2)]
    rows.append(named | case(scan="b", slice=5, dice=0.2, iou=0.1, box_iou=0.1))
    found = failures.pictured_cases(shown, pd.DataFrame(rows), "A", seed=1)
    assert found["slice"].tolist() == [5, 1]
    assert found["reason"].tolist() == [BOX, FINE]
    figure = failures.failure_gallery(shown, found, "A")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["box\nDice 0.20, p 0.90, box 0.10", "fine\nDice 0.90, p 0.90, box 0.80"]
    plt.close(figure)


def test_a_figure_is_the_same_file_each_time(tmp_path):
    contents = []
    for folder in ("first", "second"):
        figure, axes = plt.subplots()
        axes.plot([1, 2, 3], label="line")
        axes.legend()
        paths = write_figure(figure, "figure-2", tmp_path / folder)
        assert [path.name for path in paths] == ["figure-2.svg", "figure-2.png"]
        contents.append([path.read_bytes() for path in paths])
        plt.close(figure)
    assert contents[0] == contents[1]
    assert b"dc:date" not in contents[0][0]
