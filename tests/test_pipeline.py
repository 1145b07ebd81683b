"""The smoke profile end to end: phantoms, slices, an executed chapter, all through the pipeline."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = (
    "samnb",
    "book",
    "results",
    "workflow",
    "pyproject.toml",
    "requirements.lock",
    "_config.yml",
    "_toc.yml",
)


def _snakemake(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    program = Path(sys.executable).parent / "snakemake"
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    environment["SAMNB_DATA"] = str(checkout / "data")
    return subprocess.run(
        [program, "--snakefile", "workflow/Snakefile", "--cores", "2", *arguments,
         "--config", "profile=smoke"],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout in which the whole pipeline has run once."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    result = _snakemake(folder, "everything")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_every_chapter_was_executed_with_the_profile(checkout):
    for chapter in checkout.glob("book/[0-9]*.py"):
        path = checkout / "_build" / "smoke" / "executed" / f"{chapter.stem}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        injected = [
            cell
            for cell in notebook.cells
            if "injected-parameters" in cell.metadata.get("tags", [])
        ]
        assert ["smoke" in cell.source for cell in injected] == [True]


def test_the_site_has_a_page_for_every_chapter_with_its_figures(checkout):
    html = checkout / "_build" / "smoke" / "html" / "book"
    for chapter in checkout.glob("book/[0-9]*.py"):
        page = (html / f"{chapter.stem}.html").read_text(encoding="utf-8")
        assert page.count("<figure") >= 1
        assert 'alt="../_images' not in page  # what an unnamed picture would get
    assert (html / "index.html").is_file()


def test_a_second_run_has_nothing_to_do(checkout):
    result = _snakemake(checkout, "everything", "-n")
    assert "Nothing to be done" in result.stdout + result.stderr


def test_rewording_renders_again_but_runs_nothing(checkout):
    chapter = next(checkout.glob("book/[0-9]*.py"))
    before = chapter.read_text(encoding="utf-8")
    chapter.write_text(before.replace("## Exercises", "## More exercises"), encoding="utf-8")
    plan = _snakemake(checkout, "everything", "-n").stdout
    chapter.write_text(before, encoding="utf-8")
    assert "assemble" in plan
    assert "execute" not in plan.replace("executed", "")
