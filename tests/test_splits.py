"""Splits by patient, nested labelled subsets, leaks."""

import numpy as np
import pandas as pd
import pytest

from samnb.base.errors import DataError, LeakError, SamnbError
from samnb.data import splits
from samnb.data.settings import SplitSettings

LITS = [f"volume-{number}" for number in range(131)]
SETTINGS = SplitSettings(train=100, validation=5, test=25)


def index_table(patients: int = 20, slices: int = 12) -> pd.DataFrame:
    """Every patient shows the target in the slices from the sixth on."""
    return pd.DataFrame(
        [
            {
                "patient": f"p{patient}",
                "scan": f"p{patient}",
                "slice": number,
                "label": int(number >= 6),
            }
            for patient in range(patients)
            for number in range(slices)
        ]
    )


def test_split_has_the_papers_sizes_and_nobody_twice():
    split = splits.split_patients(LITS, SETTINGS, seed=2025)
    assert [len(part) for part in split.parts().values()] == [100, 5, 25, 1]
    everyone = [patient for part in split.parts().values() for patient in part]
    assert sorted(everyone) == sorted(LITS)
    assert split.test == tuple(sorted(split.test, key=splits.natural_key))
    assert set(split.used) == set(LITS) - set(split.unused)


def test_split_does_not_depend_on_the_order_of_the_folder():
    expected = splits.split_patients(LITS, SETTINGS, seed=2025)
    shuffled = list(np.random.default_rng(1).permutation(LITS))
    assert splits.split_patients(shuffled, SETTINGS, seed=2025) == expected
    assert splits.split_patients(LITS, SETTINGS, seed=2026) != expected


def test_test_set_stays_when_the_training_set_shrinks():
    full = splits.split_patients(LITS, SETTINGS, seed=7)
    small = splits.split_patients(LITS, SplitSettings(train=10, validation=5, test=25), seed=7)
    assert small.test == full.test
    assert set(small.train) < set(full.train)


def test_too_few_patients_is_an_error_with_the_counts():
    with pytest.raises(SamnbError, match=r"asks for 130 patients.*there are 90"):
        splits.split_patients(LITS[:90], SETTINGS, seed=0)


def test_neighbours_go_together_in_blocks():
    volumes = [f"i{number}" for number in range(1, 33)]  # five blocks of six, two over
    settings = SplitSettings(train=18, validation=6, test=6, blocks=6)
    split = splits.split_patients(volumes, settings, seed=4)
    assert [len(part) for part in split.parts().values()] == [18, 6, 6, 2]
    assert split.unused == ("i31", "i32")
    part_of = {patient: name for name, part in split.parts().items() for patient in part}
    for start in range(0, 30, 6):
        assert len({part_of[patient] for patient in volumes[start : start + 6]}) == 1
    assert splits.split_patients(reversed(volumes), settings, seed=4) == split
    assert splits.split_patients(volumes, settings, seed=5) != split


@pytest.mark.parametrize("blocks", [0, 4])
def test_blocks_that_do_not_fill_the_split_are_refused(blocks):
    settings = SplitSettings(train=18, validation=6, test=6, blocks=blocks)
    with pytest.raises(SamnbError, match=rf"Blocks of {blocks} .*ask for multiples"):
        splits.split_patients([f"i{number}" for number in range(40)], settings, seed=4)


def test_a_leak_is_an_error_that_names_the_patient():
    with pytest.raises(LeakError, match=r"volume-3 in both train and test"):
        splits.assert_disjoint({"train": ["volume-3", "volume-4"], "test": ["volume-3"]})
    with pytest.raises(LeakError, match="validation and test"):
        splits.assert_disjoint(splits.Split(train=("a",), validation=("b",), test=("b",)))


def test_a_leak_is_found_in_tables_of_slices():
    index = index_table()
    odd, even = index[index["slice"] % 2 == 1], index[index["slice"] % 2 == 0]
    with pytest.raises(LeakError, match=r"p0, p1, p2, p3, p4 and others"):
        splits.assert_disjoint({"train": odd, "test": even})
    apart = {"train": index[index["patient"] == "p0"], "test": index[index["patient"] == "p1"]}
    assert splits.assert_disjoint(apart) is apart


def test_labelled_subsets_are_nested_positive_and_of_training_patients():
    index = index_table()
    patients = [f"p{number}" for number in range(12)]
    subsets = splits.labelled_subsets(index, patients, (5, 20, 50), seed=3)
    rows = {count: list(subset.rows) for count, subset in subsets.items()}
    assert [len(set(rows[count])) for count in (5, 20, 50)] == [5, 20, 50]
    assert rows[50][:20] == rows[20]
    assert rows[20][:5] == rows[5]
    chosen = index.loc[rows[50]]
    assert (chosen["label"] == 1).all()
    assert set(chosen["patient"]) <= set(patients)
    assert set(subsets[5].patients) == set(index.loc[rows[5], "patient"])


def test_labelled_subsets_depend_on_the_seed_but_not_on_the_table_order():
    index = index_table()
    patients = sorted(set(index["patient"]))

    def named(table: pd.DataFrame, seed: int) -> list[tuple[str, int]]:
        rows = splits.labelled_subsets(table, patients, (10,), seed)[10].rows
        return list(table.loc[rows, ["scan", "slice"]].itertuples(index=False, name=None))

    turned = index.iloc[::-1].reset_index(drop=True)
    assert named(index, 3) == named(turned, 3)
    assert named(index, 3) != named(index, 4)


def test_too_few_labelled_slices_is_an_error():
    with pytest.raises(SamnbError, match=r"50 labelled slices.*only 12 slices of 2"):
        splits.labelled_subsets(index_table(), ["p0", "p1"], (5, 50), seed=0)


def test_split_list_goes_to_disk_and_back(tmp_path):
    split = splits.split_patients(LITS, SETTINGS, seed=2025)
    splits.write_split(tmp_path / "lits.csv", split)
    assert splits.read_split(tmp_path / "lits.csv") == split
    lines = (tmp_path / "lits.csv").read_text().splitlines()
    assert lines[0] == "patient,split"
    assert [line.split(",")[0] for line in lines[1:]] == LITS


def test_labelled_list_goes_to_disk_and_back(tmp_path):
    index = index_table()
    subsets = splits.labelled_subsets(index, ["p1", "p2", "p10"], (2, 9), seed=1)
    path = tmp_path / "labelled.csv"
    splits.write_labelled(path, index, subsets[9])
    read = splits.read_labelled(path, index, (2, 9))
    assert all(list(read[n].rows) == list(subsets[n].rows) for n in (2, 9))
    assert read[2].patients == subsets[2].patients
    table = pd.read_csv(path)
    assert list(table["labelled"]) == list(range(1, 10))
    assert table["patients"].iloc[-1] == len(subsets[9].patients)


def test_lists_that_do_not_fit_are_refused(tmp_path):
    index = index_table()
    path = tmp_path / "list.csv"
    path.write_text("scan,slice\np1,7\np1,2\n")
    with pytest.raises(DataError, match="slice 2 of p1 shows no target"):
        splits.read_labelled(path, index, (2,))
    path.write_text("scan,slice\np1,7\np1,8\n")
    with pytest.raises(DataError, match="lists only 2"):
        splits.read_labelled(path, index, (3,))
    path.write_text("patient,split\na,train\na,test\n")
    with pytest.raises(LeakError):
        splits.read_split(path)
    path.write_text("patient,split\na,trian\n")
    with pytest.raises(DataError, match="unknown split trian"):
        splits.read_split(path)
    path.write_text("who,where\na,train\n")
    with pytest.raises(DataError, match="columns patient, split"):
        splits.read_split(path)
    with pytest.raises(DataError, match="cannot be read"):
        splits.read_split(tmp_path / "absent.csv")
