"""What counts as code: not comments, docstrings and layout; and how far imports reach."""

from pathlib import Path

import pytest

from samnb.base.code import code_hash, imported_files

CODE = '''"""A module."""

def double(x: float) -> float:
    """Twice x."""
    return 2 * x + profile.sam.side  # why
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(CODE)
    return path


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Twice x.", "Two times x.", True),
        ('    """Twice x."""\n', "", True),
        ("  # why", "", True),
        ("2 * x + profile.sam.side", "(\n        2 * x + profile.sam.side\n    )", True),
        ("2 * x", "3 * x", False),
        ("side", "width", False),
        ("double", "triple", False),
    ],
)
def test_prose_and_layout_are_no_code(file, old, new, same):
    before = code_hash(file)
    other = file.with_name("other.py")
    other.write_text(CODE.replace(old, new))
    assert (code_hash(other) == before) == same


def test_a_file_that_was_changed_is_read_again(file):
    before = code_hash(file)
    file.write_text(CODE.replace("2 * x", "4 * x"))
    assert code_hash(file) != before


def test_imports_can_be_followed_up_to_a_border():
    reached = {path.name for path in imported_files("samnb/training/batches.py")}
    assert {"batches.py", "slices.py", "parts.py", "errors.py"} <= reached
    ended = imported_files("samnb/training/batches.py", lambda path: "data" in Path(path).parts)
    assert {path.name for path in ended} & {"slices.py", "parts.py"} == set()
