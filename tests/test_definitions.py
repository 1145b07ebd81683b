"""What code a computation reaches, and that it counts by what it says."""

import pytest

from samnb.base.definitions import by_file, digest, reached

FILES = {
    "first": '''"""A module."""
import numpy as np
from samnb.second import helper, table as rows
from samnb import third

WEIGHT = 0.5

def loss(x):
    """Say something."""
    return WEIGHT * helper(x) + third.rule(x) + len(rows)

def unrelated():
    return np.zeros(3)
''',
    "second": "from scipy.stats import rankdata as rank\n\ntable = [1, 2]\ntable += [3]\n\n"
    "def helper(x):\n    return rank(x)\n\nclass Other:\n    pass\n",
    "third": "from samnb.second import Other\n\ndef rule(x):\n    return deeper(x)\n\n"
    "def deeper(x):\n    return Other()\n",
}


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "samnb").mkdir()
    (tmp_path / "samnb" / "__init__.py").touch()
    for name, text in FILES.items():
        (tmp_path / "samnb" / f"{name}.py").write_text(text)

    def change(name, old="", new=""):
        path = tmp_path / "samnb" / f"{name}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new) if old else text + new)
        return tmp_path

    return change


def _loss(root):
    return reached(["samnb.first.loss"], root=root)


def test_names_are_followed_through_the_package(tree):
    found = _loss(tree("first"))
    assert {f"{module.removeprefix('samnb.')}.{name}" for module, name in found} == {
        "first.loss", "first.WEIGHT", "second.helper", "second.table", "third.rule",
        "third.deeper", "second.Other",
    }  # fmt: skip
    assert set(by_file(found.values())) == {
        "samnb/first.py",
        "samnb/second.py",
        "samnb/third.py",
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("first", "Say something.", "Say something else.", True),
        ("first", "return np.zeros(3)", "return np.ones(3)", True),  # nobody asks for it
        ("first", "", "\n\ndef another():\n    return 1\n", True),
        ("first", "0.5", "0.505", False),
        ("second", "rank(x)", "rank(-x)", False),
        ("second", "table += [3]", "table += [4]", False),
        (
            "second",
            "rankdata as rank",
            "zscore as rank",
            False,
        ),  # means another thing
        ("third", "return deeper(x)", "return deeper(2 * x)", False),
        ("second", "    pass", "    share = 1", False),
        ("second", "", "\nprint('at import')\n", False),
    ],
)
def test_only_what_is_reached_counts_and_all_of_it(tree, name, old, new, same):
    before = digest(_loss(tree("first")).values())
    assert (digest(_loss(tree(name, old, new)).values()) == before) == same


def test_a_moved_definition_is_the_same_one(tree):
    before = digest(_loss(tree("first")).values())
    tree("second", "def helper(x):\n    return rank(x)\n\n", "")
    tree("third", "", "\n\nfrom scipy.stats import rankdata as rank\n\n"
                      "def helper(x):\n    return rank(x)\n")  # fmt: skip
    root = tree("first", "import helper, table as rows", "import table as rows\n"
                         "from samnb.third import helper")  # fmt: skip
    assert digest(_loss(root).values()) == before


def test_another_function_under_the_same_name_is_another_computation(tree):
    before = digest(_loss(tree("first")).values())
    root = tree("third", "", "\n\ndef helper(x):\n    return 2 * rule(x)\n")
    assert digest(_loss(root).values()) == before
    tree("first", "import helper, table as rows", "import table as rows\n"
                  "from samnb.third import helper")  # fmt: skip
    assert digest(_loss(root).values()) != before


def test_it_can_be_ended_at_a_border(tree):
    found = reached(["samnb.first.loss"], lambda each: each.file.endswith("third.py"),
                    tree("first"))  # fmt: skip
    assert ("samnb.third", "rule") not in found
    assert ("samnb.second", "Other") not in found
    assert ("samnb.second", "helper") in found


def test_what_lies_beyond_the_border_may_change(tree):
    def found(root):
        return reached(["samnb.first.loss"], lambda each: each.file.endswith("third.py"), root)

    before = digest(found(tree("first")).values())
    root = tree("third", "return deeper(x)", "return 2 * deeper(x)")
    assert digest(found(root).values()) == before
