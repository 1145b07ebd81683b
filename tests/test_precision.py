"""Half precision against full: which runs make a pair, and when the two are called equal."""

from types import SimpleNamespace

import pytest

from samnb.reports.precision import by_system, equality, precision_pairs
from samnb.reports.printing import styled


def record(name, seed, precision, dice, changes=()):
    facts = {"seed": seed, "precision": precision, "changes": list(changes)}
    return SimpleNamespace(name=name, facts=facts | {"summary": {"ct": {"dice": dice}}})


def both(name, half, full):
    """One run in each precision for every seed."""
    changed = ["learning.sam.precision=float32"]
    for seed, (one, other) in enumerate(zip(half, full, strict=True), start=1):
        yield record(name, seed, "bfloat16", one)
        yield record(name, seed, "float32", other, changed)


def test_a_pair_is_one_system_and_seed_in_both_precisions():
    records = [
        *both("SAM-PP-50", [0.80, 0.82], [0.81, 0.80]),
        record("U-Net-50", 1, "bfloat16", 0.7),  # has no partner
        record("SAM-PP-50", 1, "bfloat16", 0.1, ["sam.lora.rank=2"]),  # something else was changed
    ]
    pairs = precision_pairs(records, ["ct"])
    assert pairs["system"].tolist() == ["SAM-PP-50"] * 2
    assert pairs["difference"].tolist() == pytest.approx([0.01, -0.02])


def test_by_system_in_the_order_of_the_book():
    pairs = precision_pairs(
        [*both("SAM-Mix-50", [0.8, 0.9], [0.7, 0.9]), *both("U-Net-50", [0.5, 0.5], [0.6, 0.6])],
        ["ct"],
    )
    table = by_system(pairs, "ct")
    assert table.index.tolist() == ["U-Net-50", "SAM-Mix-50"]
    assert table["bfloat16"].tolist() == pytest.approx([0.5, 0.85])
    assert table["bfloat16_deviation"].tolist() == pytest.approx([0, 0.05 * 2**0.5])
    assert table["difference"].tolist() == pytest.approx([0.1, -0.05])


def test_equal_is_what_differs_by_less_than_the_seeds():
    seeds = [0.70, 0.80, 0.90]
    names = [f"SAM-Mix-{labels}" for labels in (5, 50, 100)]
    shifts = (-0.02, 0.01, 0.02)
    records = [
        item
        for name, shift in zip(names, shifts, strict=True)
        for item in both(name, seeds, [dice + shift for dice in seeds])
    ]
    found = equality(precision_pairs(records, ["ct"])).loc["ct"]
    assert found["pairs"] == 9
    assert found["difference"] == pytest.approx(0.01 / 3)
    assert found["spread"] == pytest.approx(0.1)
    assert (
        -0.0201 < found["difference_low"] < found["difference"] < found["difference_high"] < 0.0201
    )
    assert found["equal"] == "yes"


def test_a_shift_of_every_system_is_not_equal():
    seeds = [0.70, 0.71, 0.72]
    records = [
        item
        for name in ("SAM-Mix-5", "SAM-Mix-50", "U-Net")
        for item in both(name, seeds, [dice + 0.05 for dice in seeds])
    ]
    assert equality(precision_pairs(records, ["ct"])).loc["ct", "equal"] == "no"


def test_the_interval_draws_systems_each_with_its_seeds():
    """Within a system all seeds agree, so nine runs say no more than three systems."""
    shifts = {"SAM-Mix-5": -0.05, "SAM-Mix-50": 0.0, "SAM-Mix-100": 0.05}
    records = [
        item
        for name, shift in shifts.items()
        for item in both(name, [0.7, 0.8, 0.9], [0.7 + shift, 0.8 + shift, 0.9 + shift])
    ]
    found = equality(precision_pairs(records, ["ct"])).loc["ct"]
    # Of three systems drawn anew all are the lowest once in 27: the interval reaches the ends.
    assert found["difference_low"] == pytest.approx(-0.05, abs=0.002)
    assert found["difference_high"] == pytest.approx(0.05, abs=0.002)


def test_a_wide_interval_is_not_equal_though_its_middle_is_zero():
    """What is not known is not equal."""
    records = [
        item
        for name, shift in (("SAM-Mix-5", -0.05), ("SAM-Mix-50", 0.0), ("U-Net", 0.05))
        for item in both(name, [0.70, 0.71, 0.72], [0.70 + shift, 0.71 + shift, 0.72 + shift])
    ]
    found = equality(precision_pairs(records, ["ct"])).loc["ct"]
    assert found["difference"] == pytest.approx(0, abs=1e-9)
    assert found["spread"] == pytest.approx(0.01)
    assert found["equal"] == "no"


def test_without_pairs_the_tables_are_empty():
    """A profile may plan none, and where half precision is not fast every run is in float32."""
    lone = [record("U-Net", 1, "float32", 0.7)]
    for records in ([], lone, [*lone, record("U-Net", 1, "float32", 0.7, ["a.precision=float32"])]):
        pairs = precision_pairs(records, ["ct"])
        assert pairs.empty
        for table in (by_system(pairs, "ct"), equality(pairs)):
            assert table.empty
            assert "difference" in table
            styled(table)
