"""Once: records of the older form (four files) become records of today's, every number the same.

    python workflow/convert_records.py STATES OLD_TREE PROFILE ...

STATES: what the older code said of each record (JSON: "profile/run" -> state); only what it called
fresh is converted. OLD_TREE: the tree of that code, whose definitions the records remember.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from samnb.files import read_json
from samnb.keys import LIBRARIES, identify
from samnb.outcome import NOBODY
from samnb.profiles import load_profile
from samnb.records import Contents, Record, Run, all_records, run_of, write_record

OLD = ("slices.csv.gz", "scans.csv", "pictures.npz")
FORGOTTEN = ("settings", "code", "data", "first", "key")  # the older identity


def convert(record: Record, run: Run, tree: Path) -> None:
    tables = [_read(record.folder / name) for name in OLD[:2]]
    pictures = _pictures(record.folder / OLD[2])
    targets = {name: each.target for name, each in run.chosen.data.cohorts.items()}
    cases = []
    for table in tables:
        table = table.copy()
        table.insert(1, "target", table["cohort"].map(targets))
        table.insert(2, "user", NOBODY)
        cases.append(table)
    whole = dict.fromkeys(("slice", "label"), "Int64")
    identity = identify(run, tree)
    for name in LIBRARIES[:-1]:
        assert record.facts["versions"][name] == identity.libraries[name], name
    facts = {name: value for name, value in record.facts.items() if name not in FORGOTTEN}
    cases = pd.concat(cases, ignore_index=True).astype(whole)
    contents = Contents(
        facts | identity.to_record(),
        cases,
        {},
        pictures,
    )
    written = write_record(run, contents)
    _prove(written, facts, tables, pictures)
    for name in OLD:
        (record.folder / name).unlink()


def _prove(written: Record, facts: dict, tables: list[pd.DataFrame], pictures: dict) -> None:
    """Every number of the older record stands in the new one."""
    for table, now in zip(tables, (written.slices, written.scans), strict=True):
        kept = now.drop(columns=["target", "user"])
        pd.testing.assert_frame_equal(kept, table, check_exact=True)
    assert set(written.pictures) == set(pictures)
    for name, value in written.pictures.items():
        assert np.array_equal(value, pictures[name], equal_nan=value.dtype.kind == "f"), name
    for name, value in facts.items():
        assert written.facts[name] == value, name


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=dict.fromkeys(("cohort", "patient", "scan"), str))


def _pictures(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    side = int(stored.pop("side"))
    for name in ("masks", "alternatives"):
        if name in stored:
            stored[name] = np.unpackbits(stored[name], axis=-1, count=side).astype(bool)
    return stored


def main() -> None:
    states, tree = read_json(sys.argv[1]), Path(sys.argv[2])
    for profile in map(load_profile, sys.argv[3:]):
        done = 0
        for record in all_records(profile):
            run = run_of(record, profile)
            if (record.folder / OLD[0]).is_file():
                assert states[f"{profile.name}/{run}"] == "fresh", run
                convert(record, run, tree)
                done += 1
        print(profile.name, done, flush=True)


if __name__ == "__main__":
    main()
