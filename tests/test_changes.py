"""Which statements of two trees differ, and which lines a piece of work executes."""

import importlib.util
import sys

import pytest

from samnb.base.definitions import reached
from samnb.base.errors import SamnbError
from samnb.runs.certification.changes import changed
from samnb.runs.certification.tracer import LineTracer

CODE = '''import math

RULE = 2

def main(values):
    """Words."""
    total = 0
    for value in values:
        if value < 0:
            raise ValueError("negative")
        total += math.sqrt(value)
    return finish(total)

def finish(total):
    if total > 100:
        total = total / 2
    return total + RULE
'''


@pytest.fixture
def compare(tmp_path):
    def definitions(name, text):
        folder = tmp_path / name / "samnb"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "work.py").write_text(text)
        return reached(["samnb.work.main"], root=tmp_path / name).values()

    def compare(*edits):
        text = CODE
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        lost, added = changed(definitions("old", CODE), definitions("new", text))
        return [CODE.splitlines()[each.first - 1].strip() for each in lost], [
            text.splitlines()[each.first - 1].strip() for each in added
        ]

    return compare


def test_comments_and_layout_are_no_change(compare):
    assert compare(("Words.", "Other words."), ("total = 0\n", "total = 0  # why\n\n")) == ([], [])


def test_a_changed_statement_is_named_on_both_sides(compare):
    assert compare(("total / 2", "total / 3")) == (["total = total / 2"], ["total = total / 3"])


def test_a_moved_function_is_no_change(compare):
    function = CODE[CODE.index("def finish") :]
    assert compare((function, ""), ("def main", f"{function}\n\ndef main")) == ([], [])


def test_a_renamed_function_must_be_tried_where_it_is_called(compare):
    lost, added = compare(("finish", "end"))
    assert lost == ["return finish(total)"]
    assert added == ["return end(total)"]


def test_what_leads_to_an_error_changes_no_result(compare):
    assert compare(('ValueError("negative")', 'ValueError("below zero")')) == ([], [])


def test_a_changed_constant_must_be_tried_where_it_is_used(compare):
    lost, added = compare(("RULE = 2", "RULE = 3"))
    assert lost == ["RULE = 2"]
    assert added == ["RULE = 3", "return total + RULE"]


def test_another_origin_of_a_name_must_be_tried_where_it_is_used(compare):
    _, added = compare(("import math\n", "import numpy as math\n"))
    assert added == ["total += math.sqrt(value)"]


def test_a_changed_signature_must_be_tried_by_entering(compare):
    _, added = compare(("def finish(total)", "def finish(total, share=1)"))
    assert "if total > 100:" in added


def test_a_split_function_must_be_tried_in_both_parts(compare):
    _, added = compare(
        ("        total += math.sqrt(value)\n", "        total = add(total, value)\n"),
        ("def finish", "def add(total, value):\n    return total + math.sqrt(value)\n\ndef finish"),
    )
    assert "return total + math.sqrt(value)" in added
    assert "total = add(total, value)" in added


def test_the_tracer_notes_lines_that_run_and_those_of_the_import(tmp_path):
    path = tmp_path / "work.py"
    path.write_text(CODE)
    tracer = LineTracer(tmp_path)
    tracer.start()
    spec = importlib.util.spec_from_file_location("work", path)
    work = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(work)
    try:
        with tracer.noting() as first:
            work.main([1, 4])
        with tracer.noting() as second:
            work.finish(200)
    finally:
        tracer.stop()
    lines = CODE.splitlines()
    for seen, there, absent in (
        (first["work.py"], "total += math", "total = total / 2"),
        (second["work.py"], "total = total / 2", "total += math"),
    ):
        texts = [lines[number - 1] for number in seen]
        assert any(there in text for text in texts)
        assert not any(absent in text for text in texts)
        assert "RULE = 2" in texts
    assert sys.gettrace() is None


def _method(folder, text):
    (folder / "samnb").mkdir(parents=True)
    (folder / "samnb" / "work.py").write_text(text)
    return list(reached(["samnb.work.main"], root=folder).values())


def test_a_name_that_is_only_another_now_is_no_change(tmp_path):
    old, new = (
        _method(tmp_path / word, f"def main(x):\n    if x:\n        x.{word}()\n    return x\n")
        for word in ("settle", "calibrate")
    )
    assert [each.first for each in changed(old, new)[1]] == [3]
    assert changed(old, new, {"settle": "calibrate"}) == ([], [])


def test_a_name_that_both_trees_know_was_not_just_renamed(tmp_path):
    old = _method(tmp_path / "old", "def main(x):\n    return x.one() + x.two()\n")
    new = _method(tmp_path / "new", "def main(x):\n    return x.two() + x.two()\n")
    with pytest.raises(SamnbError, match="'one' was not just renamed"):
        changed(old, new, {"one": "two"})


def test_what_an_object_does_not_have_is_left_out_by_the_whole_run_too(tmp_path):
    text = "def main(x):\n    if hasattr(x, 'door') and x:\n        x.door({})\n    return x\n"
    old, new = (_method(tmp_path / word, text.format(word)) for word in ("1", "2"))
    ((statement,), _) = changed(old, new)
    assert statement.block == (3, 3)
    (plain,) = changed(old, _method(tmp_path / "3", text.format(1).replace("x\n", "x + 1\n")))[0]
    assert plain.block is None
