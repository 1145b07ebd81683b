"""The book's own rules: paired, executed, small, with goals, exercises, captions and alt texts, and
no number typed into prose. What the cells compute is checked by nbval, which runs them again."""

import re
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*.py"))
LARGEST_NOTEBOOK = 1_500_000  # bytes
LONGEST_CELL = 25  # lines
LONGEST_MEDIAN = 8  # lines

# A number with a decimal point or a percentage in prose is a result someone typed. Allowed inside
# code, mathematics, roles such as {glue}, and links.
EXEMPT = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<!--.*?-->", re.DOTALL)
TYPED_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\w)|\d+(?:\.\d+)?\s*(?:%|per\s?cent)")

chapters = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def _source(chapter: Path) -> nbformat.NotebookNode:
    return jupytext.read(chapter)


def _notebook(chapter: Path) -> nbformat.NotebookNode:
    return nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def _draws(cell: nbformat.NotebookNode) -> bool:
    """Whether a run of this cell left a picture."""
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def typed_numbers(prose: str) -> list[str]:
    return TYPED_NUMBER.findall(EXEMPT.sub(" ", prose))


def test_there_is_a_chapter():
    assert CHAPTERS


def test_the_table_of_contents_holds_every_chapter():
    contents = yaml.safe_load((BOOK.parent / "_toc.yml").read_text(encoding="utf-8"))
    listed = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    assert {f"book/{path.stem}" for path in CHAPTERS} <= set(listed)


@chapters
def test_source_and_notebook_are_the_same_text(chapter):
    source, notebook = _source(chapter), _notebook(chapter)
    remedy = "run `make notebooks`"
    assert [cell.cell_type for cell in source.cells] == [
        cell.cell_type for cell in notebook.cells
    ], remedy
    for written, kept in zip(source.cells, notebook.cells, strict=True):
        assert written.source == kept.source, remedy
        assert written.metadata == kept.metadata, remedy


@chapters
def test_every_cell_was_executed_in_order_and_none_failed(chapter):
    cells = _code(_notebook(chapter))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [output["data"].get("text/plain", "") for output in outputs if "data" in output]
    assert not [text for text in shown if re.search(r" at 0x[0-9a-f]+>", text)]
    # Warnings and progress bars are noise to a reader, and differ from run to run.
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


@chapters
def test_notebook_is_small_and_free_of_timestamps_and_places(chapter):
    path = chapter.with_suffix(".ipynb")
    assert path.stat().st_size <= LARGEST_NOTEBOOK
    notebook = _notebook(chapter)
    assert set(notebook.metadata) == {"jupytext", "kernelspec", "language_info"}
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", path.read_text(encoding="utf-8"))


@chapters
def test_chapter_has_goals_summary_and_exercises_with_hidden_solutions(chapter):
    prose = _prose(_source(chapter))
    goals = re.search(r"you will be able to\n+((?:- .*\n(?:  .*\n)*)+)", prose + "\n")
    assert goals, "open with: After this chapter you will be able to (a list)"
    assert 3 <= len(re.findall(r"^- ", goals[1], re.MULTILINE)) <= 5
    assert re.search(r"^## What you (?:did|learned)", prose, re.MULTILINE)
    assert "## Exercises" in prose
    exercises = len(re.findall(r"^### Exercise", prose, re.MULTILINE))
    assert exercises >= 2
    solutions = len(re.findall(r"\{admonition\} Solution\n:class: dropdown", prose))
    hidden = [c for c in _code(_source(chapter)) if "hide-cell" in c.metadata.get("tags", [])]
    assert solutions + len(hidden) >= exercises


@chapters
def test_every_figure_has_caption_name_and_alt_text(chapter):
    drawn = [cell for cell in _code(_notebook(chapter)) if _draws(cell)]
    assert drawn
    names = []
    for cell in drawn:
        looks = cell.metadata.get("mystnb", {})
        assert len(looks.get("figure", {}).get("caption", "")) > 20, cell.source
        assert len(looks.get("image", {}).get("alt", "")) > 20, cell.source
        names.append(looks["figure"].get("name"))
    assert all(names)
    assert len(set(names)) == len(names)


@chapters
def test_no_number_is_typed_into_prose(chapter):
    source = _source(chapter)
    captions = [
        cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        + cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        for cell in _code(source)
    ]
    assert not typed_numbers("\n\n".join([_prose(source), *captions]))


@pytest.mark.parametrize("text", ["a Dice of 0.83", "lost 12 % of it", "by 5.1%", "(0.7)"])
def test_the_lint_finds_a_typed_number(text):
    assert typed_numbers(text)


@pytest.mark.parametrize(
    "text", ["`middle: 0.3`", "$x = 0.5$", "{glue:text}`dice:.2f`", "chapter 1", "[a](b-1.2.html)"]
)
def test_the_lint_lets_code_and_mathematics_pass(text):
    assert not typed_numbers(text)


@chapters
def test_cells_are_short(chapter):
    lengths = sorted(len(cell.source.splitlines()) for cell in _code(_source(chapter)))
    assert lengths[len(lengths) // 2] <= LONGEST_MEDIAN
    assert lengths[-1] <= LONGEST_CELL


@chapters
def test_chapter_defines_nothing_the_package_should_hold(chapter):
    code = "\n".join(cell.source for cell in _code(_source(chapter)))
    assert not re.search(r"^(?:def|class) ", code, re.MULTILINE)
