"""Results that are no records have keys, and go stale like them."""

from dataclasses import replace

import pytest

from samnb.base import paths
from samnb.base.errors import SamnbError
from samnb.runs import derived
from samnb.runs.derived import DERIVED, note, standing

FILE = "pocket_sam/record.json"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A file of results that has just been made and noted."""
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path))
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text("{}")
    note(FILE)
    return path


def test_what_was_just_made_is_fresh(made):
    assert standing(FILE) == ("fresh", None)


def test_a_file_that_is_gone_or_edited_says_so(made):
    made.write_text('{"box": 1}')
    assert standing(FILE) == ("stale", "changed: the file itself")
    made.unlink()
    assert standing(FILE) == ("missing", None)


def test_a_file_of_which_nothing_was_noted_is_stale(made):
    (made.parent.parent / "derived.json").unlink()
    assert standing(FILE) == ("stale", "nobody noted what it was made from")


def test_other_weights_code_or_libraries_make_it_stale(made, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(derived, "POCKET", made)
        assert standing(FILE) == ("stale", "changed: weights")
    with monkeypatch.context() as patch:
        other = replace(DERIVED[FILE], roots=("samnb.pretraining.evaluate._one_batch",))
        patch.setitem(DERIVED, FILE, other)
        assert standing(FILE) == ("stale", "changed: code")
    with monkeypatch.context() as patch:
        patch.setattr(derived, "version", lambda name: "1")
        assert standing(FILE) == ("stale", "changed: libraries")


def test_only_data_that_one_asks_for_are_looked_at(monkeypatch):
    monkeypatch.setattr(derived, "data_of", lambda profile: pytest.fail(f"cut {profile.name}"))
    monkeypatch.setattr(derived, "_at_hand", lambda profile: True)
    file = "pocket_sam/zero_shot.csv"
    assert standing(file, look_at={"smoke"})[0] in ("fresh", "certified")
    with pytest.raises(pytest.fail.Exception, match="cut pocket"):
        standing(file, look_at={"pocket"})


def test_tables_of_trained_methods_hang_on_their_runs():
    old = {"a": ["recipe", "facts"], "b": ["recipe 2", "facts"]}
    assert derived._runs_hold(old, dict(old))
    assert not derived._runs_hold(old, {"a": old["a"]})
    assert not derived._runs_hold(old, old | {"b": ["recipe 2", "other data"]})
    assert not derived._runs_hold(old, old | {"b": ["other code", "facts"]})


def test_every_file_has_code_that_computes_it_and_is_committed():
    for file, made in DERIVED.items():
        assert derived.reached(made.roots), file
        assert (paths.CHECKOUT / "results" / file).is_file()
        assert standing(file, look_at=())[0] in ("fresh", "certified"), file
    with pytest.raises(SamnbError, match="No result"):
        note("tables/none.csv")
