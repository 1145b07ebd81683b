"""Statistics of tables whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from samnb.base.errors import SamnbError
from samnb.evaluation.statistics import (
    compare_systems,
    holm,
    over_seeds,
    patient_interval,
    plus_minus,
)


def _cases(values: dict[str, np.ndarray], seed: int = 0) -> pd.DataFrame:
    """One row per patient and system: system → (patients,) Dice."""
    return pd.concat(
        pd.DataFrame(
            {"system": system, "seed": seed, "patient": [f"p{i}" for i in range(len(dice))]}
            | {"dice": dice}
        )
        for system, dice in values.items()
    )


def test_deviation_is_over_the_means_of_seeds_and_not_over_cases():
    # Means of the seeds: 0.5, 0.6, 0.7 → 0.6 ± 0.1, however far apart the cases are.
    cases = pd.concat(
        _cases({"ours": np.array([mean - 0.3, mean + 0.3])}, seed)
        for seed, mean in enumerate((0.5, 0.6, 0.7))
    )
    row = over_seeds(cases, "dice").iloc[0]
    assert (row["system"], row["seeds"]) == ("ours", 3)
    assert row["mean"] == pytest.approx(0.6)
    assert row["deviation"] == pytest.approx(0.1)
    assert plus_minus(row["mean"], row["deviation"]) == "0.60 ± 0.10"


def test_one_seed_has_no_deviation():
    row = over_seeds(_cases({"ours": np.array([0.8, 0.9])}), "dice").iloc[0]
    assert np.isnan(row["deviation"])
    assert plus_minus(row["mean"], row["deviation"], digits=3) == "0.850"


def test_groups_may_be_of_several_columns():
    cases = _cases({"a": np.array([0.1, 0.3]), "b": np.array([0.5, 0.7])})
    cases = pd.concat([cases.assign(labels=5), cases.assign(labels=50, dice=cases["dice"] + 0.1)])
    table = over_seeds(cases, "dice", by=("system", "labels"))
    means = table.set_index(["system", "labels"])["mean"].to_dict()
    assert means == pytest.approx({("a", 5): 0.2, ("b", 5): 0.6, ("a", 50): 0.3, ("b", 50): 0.7})
    intervals = patient_interval(cases, "dice", by=("system", "labels"), draws=200)
    assert intervals["mean"].tolist() == pytest.approx(table["mean"].tolist())


def _by_the_book(sums, counts, draws, level=0.95):
    """Bias-corrected and accelerated, as Efron and Tibshirani (1993) print it in chapter 14.3."""
    alike = np.full(len(sums), 1 / len(sums))
    times = np.random.default_rng(1).multinomial(len(sums), alike, draws)
    means, mean = times @ sums / (times @ counts), sums.sum() / counts.sum()
    ties = np.abs(means - mean) < 1e-9
    bias = norm.ppf(np.mean((means < mean) & ~ties) + np.mean(ties) / 2)
    without = np.array(
        [np.delete(sums, i).sum() / np.delete(counts, i).sum() for i in range(len(sums))]
    )
    off = without.mean() - without
    bend = np.sum(off**3) / (6 * np.sum(off**2) ** 1.5)
    ends = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    return np.quantile(means, norm.cdf(bias + ends / (1 - bend * ends)))


@pytest.mark.parametrize("patients", [4, 15])
def test_interval_is_bias_corrected_and_accelerated_by_the_book(patients):
    generator = np.random.default_rng(0)
    values, counts = generator.beta(8, 2, patients), generator.integers(1, 9, patients)
    table = _cases({"ours": values})
    table = table.loc[table.index.repeat(counts)]
    row = patient_interval(table, "dice", draws=200_000).iloc[0]
    low, high = _by_the_book(values * counts, counts, 200_000)
    assert row["low"] == pytest.approx(low, abs=1.5e-3)
    assert row["high"] == pytest.approx(high, abs=1.5e-3)
    assert row["mean"] == pytest.approx(np.average(values, weights=counts))


def test_draws_that_equal_the_mean_are_half_below_it_whatever_the_order_of_their_sum():
    # 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1; a third of three times 1, 2 and 3 is exact.
    odd, exact = (
        patient_interval(_cases({"ours": np.array(values)}), "dice").iloc[0]
        for values in ([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    )
    assert odd["low"] == pytest.approx(exact["low"] / 10)
    assert odd["high"] == pytest.approx(exact["high"] / 10)


def test_slices_of_a_patient_do_not_count_as_patients():
    values = np.random.default_rng(1).normal(0.8, 0.1, 20)
    patients = _cases({"ours": values})
    slices = pd.concat([patients] * 30)  # thirty equal slices each, or ten of three seeds
    pd.testing.assert_frame_equal(
        patient_interval(patients, "dice"), patient_interval(slices, "dice")
    )
    alone = slices.assign(patient=np.arange(len(slices)).astype(str))
    row, narrow = (patient_interval(t, "dice", draws=2000).iloc[0] for t in (slices, alone))
    ratio = (row["high"] - row["low"]) / (narrow["high"] - narrow["low"])
    assert ratio == pytest.approx(np.sqrt(30), rel=0.15)


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        table = _cases({"ours": generator.normal(0.8, 0.1, 20)})
        row = patient_interval(table, "dice", draws=1000).iloc[0]
        covered += row["low"] <= 0.8 <= row["high"]
    assert 0.88 <= covered / 200 <= 0.98


def test_intervals_depend_on_the_seed_alone():
    cases = _cases({"a": np.linspace(0.3, 0.9, 9), "b": np.linspace(0.2, 0.95, 9) ** 2})
    both = patient_interval(cases, "dice", seed=3)
    alone = patient_interval(cases[cases["system"] == "b"], "dice", seed=3)
    pd.testing.assert_frame_equal(both.iloc[1:].reset_index(drop=True), alone)
    assert not patient_interval(cases, "dice", seed=4)["low"].equals(both["low"])


def test_interval_where_there_is_nothing_to_draw():
    equal = _cases({"ours": np.full(7, 0.7)})
    for table in (equal, pd.concat([equal, equal, equal[:2]])):  # the same sums, and others
        row = patient_interval(table, "dice").iloc[0]
        assert (row["low"], row["high"]) == pytest.approx((0.7, 0.7))
    single = patient_interval(_cases({"ours": np.array([0.7])}), "dice").iloc[0]
    assert np.isnan(single["low"])
    assert np.isnan(single["high"])


def test_holm_by_hand():
    # Ascending: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 = 0.02, 0.03, 0.06, 0.04; the last may not
    # fall below the one before.
    corrected = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert corrected.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_paired_test_of_a_system_always_better_by_hand():
    # Six patients, all six differences of one sign: 2 of the 2⁶ = 64 ways to set signs are as
    # extreme, p = 1/32.
    poor = np.array([0.50, 0.55, 0.60, 0.65, 0.70, 0.75])
    good = poor + np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    table = compare_systems(_cases({"good": good, "poor": poor}), "dice")
    assert table[["first", "second", "patients"]].to_numpy().tolist() == [["good", "poor", 6]]
    assert table["p"].item() == pytest.approx(1 / 32)
    assert table["p_holm"].item() == pytest.approx(1 / 32)
    assert table["difference"].item() == pytest.approx(0.035)


def test_a_mean_is_over_the_cases_whoever_they_are_of():
    # Three slices of one patient, one of another: (3 x 0.9 + 0.5) / 4, not (0.9 + 0.5) / 2.
    cases = pd.DataFrame({"system": "ours", "seed": 0, "patient": ["a", "a", "a", "b"]})
    row = patient_interval(cases.assign(dice=[0.9, 0.9, 0.9, 0.5]), "dice", draws=200).iloc[0]
    assert row["mean"] == pytest.approx(0.8)
    assert row["patients"] == 2


def test_the_difference_is_a_median_which_one_odd_patient_cannot_move():
    poor = np.array([0.50, 0.55, 0.60, 0.65, 0.70])
    good = poor + np.array([0.01, 0.02, 0.03, 0.04, 0.25])
    table = compare_systems(_cases({"good": good, "poor": poor}), "dice")
    assert table["difference"].item() == pytest.approx(0.03)


def test_the_test_is_two_sided():
    poor = np.linspace(0.4, 0.6, 6)
    good = poor + np.arange(1, 7) / 100
    either = [
        compare_systems(_cases(dict(pair)), "dice")["p"].item()
        for pair in ([("a", good), ("b", poor)], [("a", poor), ("b", good)])
    ]
    assert either == pytest.approx([1 / 32, 1 / 32])


def test_pairs_are_corrected_together_and_only_those_asked_for():
    steps = np.arange(1, 9) / 100
    values = {"a": 0.8 + steps, "b": 0.7 + steps / 2, "c": 0.6 + steps / 3}
    every = compare_systems(_cases(values), "dice")
    assert every[["first", "second"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert every["p"].tolist() == pytest.approx([2 / 2**8] * 3)
    assert every["p_holm"].tolist() == pytest.approx([6 / 2**8] * 3)
    some = compare_systems(_cases(values), "dice", against="c")
    assert some[["first", "second"]].to_numpy().tolist() == [["c", "a"], ["c", "b"]]
    assert some["p_holm"].tolist() == pytest.approx([4 / 2**8] * 2)


def test_patients_are_tested_by_their_means_over_seeds_and_slices():
    # Within a patient the slices disagree wildly, the means of the patients never do.
    noise = np.array([-0.2, 0.2, -0.1, 0.1])
    poor = np.linspace(0.4, 0.6, 6)
    parts = [
        _cases({"good": poor + np.arange(1, 7) / 100 + shift, "poor": poor - shift}, seed)
        for seed, shift in enumerate(noise)
    ]
    table = compare_systems(pd.concat(parts), "dice")
    assert table["patients"].item() == 6
    assert table["p"].item() == pytest.approx(1 / 32)


def test_equal_systems_are_not_different():
    values = np.linspace(0.4, 0.9, 8)
    assert compare_systems(_cases({"a": values, "b": values}), "dice")["p"].item() == 1.0
    # Equal, but summed in another order they may differ in their last bit.
    again = np.nextafter(values, 1)
    assert compare_systems(_cases({"a": values, "b": again}), "dice")["p"].item() == 1.0


def test_what_would_silently_bend_a_number_is_refused():
    cases = _cases({"a": np.linspace(0.4, 0.9, 5), "b": np.linspace(0.3, 0.8, 5)})
    with pytest.raises(SamnbError, match="lack some"):
        compare_systems(cases.iloc[:-1], "dice")
    with pytest.raises(SamnbError, match="No system 'c'"):
        compare_systems(cases, "dice", against="c")
    cases.iloc[2, cases.columns.get_loc("dice")] = np.nan
    for function in (over_seeds, patient_interval, compare_systems):
        with pytest.raises(SamnbError, match="1 of 10 cases have no dice"):
            function(cases, "dice")
