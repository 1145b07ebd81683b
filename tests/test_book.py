"""The book's own rules: paired, executed, small and quick, with goals, exercises, self-checks,
captions and alt texts, terms linked and no number typed into prose. What the cells compute is
checked by nbval, which runs them again."""

import csv
import re
import tomllib
from functools import cache
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*.py"))
PAGES = sorted(set(BOOK.glob("*.md")) - {BOOK / "glossary.md"})
TIMES = sorted(BOOK.parent.glob("_build/pocket/times/*.tsv"))
LARGEST_NOTEBOOK = 1_500_000  # bytes
LONGEST_CELL = 25  # lines
LONGEST_MEDIAN = 8  # lines

# A number with a decimal point or a percentage in prose is a result someone typed. Allowed inside
# code, mathematics, roles such as {glue}, and links.
EXEMPT = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<!--.*?-->", re.DOTALL)
TYPED_NUMBER = re.compile(
    r"(?<![\w.])\d*\.\d+(?![\w.]*\w)|\d+(?:\.\d+)?\s*(?:%|per\s?cent)"
    # A metric and a whole number: "a Dice of 83", "IoU 90", "HD = 12".
    r"|\b(?:Dice|IoU|HD95|HD|AUC)\b(?:\s+(?:score|of|is|was|about|reaches)|\s*[=:])*\s*\d+\b"
)

# A line that makes a figure.
FIGURE = re.compile(r"^figure\b[^=\n]*=|^figures\[", re.MULTILINE)

# What a chapter promises in its opening: "*Time:* an hour to read and try, two minutes to run".
PROMISED = re.compile(
    r"\*Time:\*[^.;]*?(an?|a few|two|three|five|ten)?\s*(minutes?|seconds) to run"
)
AMOUNT = {"a": 1, "two": 2, "three": 3, "a few": 5, "five": 5, "ten": 10}

chapters = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)


def _source(chapter: Path) -> nbformat.NotebookNode:
    return jupytext.read(chapter)


def _notebook(chapter: Path) -> nbformat.NotebookNode:
    return nbformat.read(chapter.with_suffix(".ipynb"), as_version=4)


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@cache
def _written(chapter: Path) -> str:
    return _prose(_source(chapter))


def _draws(cell: nbformat.NotebookNode) -> bool:
    """Whether a run of this cell left a picture."""
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def exercises() -> list[str]:
    """Every exercise of the book, as "2.3 an honest box"."""
    heading = re.compile(r"^### Exercise (\d+): (.+)$", re.MULTILINE)
    return [
        f"{int(chapter.stem[:2])}.{number} {name}"
        for chapter in CHAPTERS
        for number, name in heading.findall(_written(chapter))
    ]


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
    assert set(notebook.metadata) == {"jupytext", "kernelspec", "language_info", "origins"}
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


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_no_number_is_typed_into_a_page(page):
    numbers = {name.split()[0] for name in exercises()}
    assert set(typed_numbers(page.read_text(encoding="utf-8"))) <= numbers


@pytest.mark.parametrize(
    "text",
    [
        "a Dice of 0.83",
        "lost 12 % of it",
        "by 5.1%",
        "(0.7)",
        "reaches .83",
        "a Dice of 83",
        "IoU 90",
    ],
)
def test_the_lint_finds_a_typed_number(text):
    assert typed_numbers(text)


@pytest.mark.parametrize(
    "text",
    [
        "`middle: 0.3`",
        "$x = 0.5$",
        "{glue:text}`dice:.2f`",
        "chapter 1",
        "[a](b-1.2.html)",
        "HD95 too",
    ],
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


def promised_seconds(text: str) -> float:
    """How long a chapter says that it runs."""
    amount, unit = PROMISED.search(re.sub(r"\s+", " ", text)).groups()
    return AMOUNT[amount or "a"] * 60 if unit.startswith("minute") else 60


def opening(chapter: Path) -> str:
    """All text before a chapter's first section: question, findings, goals, what one needs."""
    return _written(chapter).partition("\n## ")[0]


@chapters
def test_chapter_says_what_it_needs_and_how_long_it_takes(chapter):
    assert "*You need:*" in opening(chapter)
    assert 60 <= promised_seconds(opening(chapter)) <= 600


@pytest.mark.parametrize("times", TIMES, ids=lambda path: path.stem)
def test_chapter_ran_within_the_time_that_it_promises(times):
    """Only where the pipeline has run it; half as much again is a slower machine's."""
    source = BOOK / f"{times.stem}.py"
    if not source.is_file():
        pytest.skip("no such chapter any more")
    with times.open(encoding="utf-8") as file:
        seconds = [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    assert seconds[-1] <= 1.5 * promised_seconds(opening(source))


# Text in which a word counts as used: what is left without headings, code, mathematics, links'
# targets, and the list of goals, which looks ahead.
UNREAD = re.compile(
    r"(?P<kept>\{term\}`[^`]*`)"
    r"|^#+ [^\n]*$|\*\*Goals\.\*\*.*?\*You need:\*|```\{literalinclude\}.*?```"
    r"|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|\{[\w:-]+\}`[^`]*`|`[^`\n]+`",
    re.DOTALL | re.MULTILINE,
)
LINKED = re.compile(r"\{term\}`(?:[^`<]*<)?([^`<>]+?)>?`")


def glossary() -> list[list[str]]:
    """Every entry's names: a term and its abbreviations."""
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    entries = re.search(r"```\{glossary\}\n(.*?)```", text, re.DOTALL)[1].split("\n\n")
    return [re.findall(r"^\S.*$", entry, re.MULTILINE) for entry in entries]


def first_places(names: list[str], prose: str) -> tuple[int | None, int | None]:
    """Where in a prose a term is first linked, and where it first stands unlinked."""
    read = UNREAD.sub(lambda found: found["kept"] or " " * len(found[0]), prose)
    wanted = {name.lower() for name in names}
    links = [found.start() for found in LINKED.finditer(read) if found[1].lower() in wanted]
    plain = LINKED.sub(lambda found: " " * len(found[0]), read)
    words = "|".join(re.escape(name) for name in names)
    short = any(name[1:] != name[1:].lower() for name in names)  # IoU, LoRA: not in small letters
    word = re.compile(rf"(?<![\w-])(?:{words})(?:s|es)?(?![\w-])", 0 if short else re.IGNORECASE)
    used = word.search(plain)
    return min(links, default=None), used.start() if used else None


@pytest.mark.parametrize("names", glossary(), ids=lambda names: names[0])
def test_a_term_is_linked_where_the_book_first_uses_it_and_in_every_chapter(names):
    met = False
    for chapter in CHAPTERS:
        linked, used = first_places(names, _written(chapter))
        if linked is None and used is None:
            continue
        assert linked is not None, f"{chapter.stem} uses it: link it once"
        assert met or used is None or linked < used, f"{chapter.stem}: link its first use"
        met = True
    assert met, "no chapter uses it: drop it from the glossary"


@pytest.mark.parametrize(
    ("prose", "places"),
    [
        ("a {term}`leak`, a leak", (2, 18)),
        ("Leaks, then {term}`leaks <leak>`", (12, 0)),
        ("# A leak\n`leak` sleaks", (None, None)),
    ],
)
def test_the_lint_tells_a_linked_term_from_a_plain_one(prose, places):
    assert first_places(["leak"], prose) == places


BRACES = str.maketrans("", "", "{}")
PAPERS = ("ward2025sammix", "feng2023cheaplunch", "wu2023medsa", "shi2024msam")


def test_every_reference_is_cited_and_the_four_papers_are_among_them():
    keys = re.findall(r"^@\w+\{(\w+),", (BOOK / "references.bib").read_text("utf-8"), re.MULTILINE)
    text = "".join(path.read_text(encoding="utf-8") for path in [*CHAPTERS, *BOOK.glob("*.md")])
    cited = {key for group in re.findall(r"\{cite\}`([^`]+)`", text) for key in group.split(",")}
    assert set(PAPERS) <= set(keys)
    assert set(keys) == {key.strip() for key in cited}
    assert len(set(keys)) == len(keys)


def test_the_citation_file_names_this_book_and_the_four_papers_as_the_bibliography_does():
    known = yaml.safe_load((BOOK.parent / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= set(known)
    project = tomllib.loads((BOOK.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert known["version"] == project["version"]
    assert known["license"] == project["license"]
    entries = (BOOK / "references.bib").read_text(encoding="utf-8").split("\n@")
    titles = {
        re.search(rf"{{{key},.*?title = {{(.*?)}},?\n", entry, re.DOTALL)[1].translate(BRACES)
        for key in PAPERS
        for entry in entries
        if f"{{{key}," in entry
    }
    assert {reference["title"] for reference in known["references"]} == titles


def test_the_page_for_teachers_lists_every_exercise_by_its_name():
    page = (BOOK / "teach.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+\.\d+ .+?) \|.*\| (?:think|change|run) \|$", page, re.MULTILINE)
    assert listed == exercises()


def test_the_front_page_puts_every_chapter_into_a_part():
    parts = (BOOK / "index.md").read_text(encoding="utf-8").split("## The parts")[1].split("## ")[0]
    linked = re.findall(r"\[\d+\]\(([\w-]+)\)", parts)
    labels = [re.search(r"^\((chapter-[\w-]+)\)=", _written(chapter))[1] for chapter in CHAPTERS]
    assert linked == labels
