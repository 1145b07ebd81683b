"""The pipeline's own parts: what a result depends on, and how a chapter is put together."""

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from assemble import assemble  # noqa: E402
from fingerprints import (  # noqa: E402
    chapter_fingerprint,
    code_of,
    fingerprint,
    imported_files,
)

CHAPTER = """# %% [markdown]
# # Title

# %% tags=["parameters"]
PROFILE = "pocket"

# %%
print("hello")
"""


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "07_example.py"
    path.write_text(CHAPTER)
    return path


def _notebook(*cells, injected=False):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_markdown_cell("# Title")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    if injected:
        cell = nbformat.v4.new_code_cell('PROFILE = "smoke"')
        cell.metadata["tags"] = ["injected-parameters"]
        notebook.cells.insert(2, cell)
    return notebook


def test_imported_files_follow_imports_through_the_package():
    names = {path.relative_to(ROOT).as_posix() for path in imported_files("samnb/cli.py")}
    assert {"samnb/cli.py", "samnb/cli_data.py", "samnb/errors.py", "samnb/paths.py"} <= names
    assert "samnb/data/cohort.py" in names  # imported inside a function
    assert "samnb/pretraining/recipe.py" not in {
        path.relative_to(ROOT).as_posix() for path in imported_files("samnb/data/cohort.py")
    }


def test_a_reworded_paragraph_changes_no_fingerprint_and_a_changed_line_does(chapter):
    before = chapter_fingerprint(chapter)
    chapter.write_text(CHAPTER.replace("# # Title", "# # Another title"))
    assert chapter_fingerprint(chapter) == before
    chapter.write_text(CHAPTER.replace("hello", "goodbye"))
    assert chapter_fingerprint(chapter) != before


def test_a_changed_caption_is_not_code(chapter):
    before = code_of(chapter)
    caption = '# %% mystnb={"figure": {"caption": "new"}}\nprint'
    chapter.write_text(CHAPTER.replace("# %%\nprint", caption))
    assert code_of(chapter) == before


def test_fingerprint_tells_settings_and_files_apart(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    before = fingerprint({"side": 128}, files=[file])
    assert fingerprint({"side": 256}, files=[file]) != before
    file.write_text("2")
    assert fingerprint({"side": 128}, files=[file]) != before


def test_assembled_notebook_takes_outputs_by_place_and_forgets_the_run():
    source = _notebook('PROFILE = "pocket"', 'print("hello")')
    executed = _notebook('PROFILE = "pocket"', 'print("hello")', injected=True)
    executed.metadata["papermill"] = {"start_time": "2020-01-01"}
    executed.cells[-1].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("hel", "lo\n")
    ]
    first = assemble(source, executed, "07_example")
    assert [cell.get("execution_count") for cell in first.cells] == [None, 1, 2]
    assert first.cells[-1].outputs[0].text == "hello\n"
    assert len(first.cells[-1].outputs) == 1
    assert "papermill" not in first.metadata
    again = assemble(_notebook('PROFILE = "pocket"', 'print("hello")'), executed, "07_example")
    assert nbformat.writes(first) == nbformat.writes(again)


def test_a_run_of_other_code_or_with_an_error_is_refused():
    executed = _notebook('PROFILE = "pocket"', 'print("hello")')
    with pytest.raises(SystemExit, match="run with other code"):
        assemble(_notebook('PROFILE = "pocket"', 'print("bye")'), executed, "07")
    executed.cells[-1].outputs = [
        nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    ]
    with pytest.raises(SystemExit, match="ValueError"):
        assemble(_notebook('PROFILE = "pocket"', 'print("hello")'), executed, "07")
