"""Mutants: what a patch says of itself, that it fits the code as it is, and changes the science."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from mutants import Mutant, put_in, read_mutants  # noqa: E402

MUTANTS = read_mutants()
each = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def test_there_are_many():
    assert len(MUTANTS) >= 60


@each
def test_a_mutant_says_its_decision_and_names_tests_that_exist(mutant: Mutant):
    assert mutant.decision.endswith(".")
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        code = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in code.body if isinstance(node, ast.FunctionDef)}
        assert name.partition("[")[0] in functions, test


@each
def test_a_mutant_fits_the_package_and_changes_more_than_comments(mutant: Mutant, tmp_path: Path):
    text = mutant.path.read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:---|\+\+\+) \w/(\S+)", text, re.MULTILINE))
    assert names
    assert all(name.startswith("samnb/") for name in names)
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    try:
        put_in(mutant, tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"write the patch anew: {error.stderr}")
    for name in names:
        assert meaning(ROOT / name) != meaning(tmp_path / name), name


def meaning(path: Path) -> object:
    """What a file says to a computer: its code without comments and docstrings, or its values."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        return yaml.safe_load(text)
    code = ast.parse(text)
    for node in ast.walk(code):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node):
            del node.body[0]
    return ast.dump(code)
