"""The smoke profile end to end: phantoms, slices, an executed chapter, all through the pipeline."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from samnb.base.paths import results_root
from samnb.runs.runner import plan
from samnb.studies import SPINE, studies_of

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from plans import chapters_about  # noqa: E402

EVERY = studies_of("smoke")
# Those that are made where none is named: the spine, and what chapters read.
STUDIES = {
    name: profile
    for name, profile in EVERY.items()
    if name == SPINE or chapters_about([name], EVERY)
}
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


def _pipeline(
    checkout: Path, *arguments: str, script: str = "pipeline", **variables: str
) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    environment |= {"SAMNB_DATA": str(checkout / "data")} | variables
    return subprocess.run(
        [sys.executable, f"workflow/{script}.py", *arguments, "--profile", "smoke"],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout in which the whole pipeline has run once."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    result = _pipeline(folder, "everything")
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
    result = _pipeline(checkout, "everything", "-n")
    assert (result.stdout + result.stderr).count("Nothing to be done") == len(STUDIES)


def test_runs_of_every_study_are_made_and_told(checkout):
    assert len(STUDIES) > 1
    pages = {page: (checkout / "_build" / "smoke" / "chapters" / f"{page}.md").read_text("utf-8")
             for page in ("status", "reproduction")}  # fmt: skip
    for profile in STUDIES.values():
        for run in plan(profile):
            record = run.folder.relative_to(results_root()) / "record.json"
            assert (checkout / "results" / record).is_file()
            assert (checkout / "_build" / profile.name / "runs" / f"{run.system}.txt").is_file()
        for text in pages.values():
            section = text.split(f"## Profile *{profile.name}*")[1].split("\n## ")[0]
            assert "fresh" in section
        total = f"| **all** |  | {len(plan(profile))} | 0 | 0 | 0 |"
        assert total in pages["status"]


def test_rewording_renders_again_but_runs_nothing(checkout):
    chapter = next(checkout.glob("book/[0-9]*.py"))
    before = chapter.read_text(encoding="utf-8")
    chapter.write_text(before.replace("## Exercises", "## More exercises"), encoding="utf-8")
    plan = _pipeline(checkout, "everything", "-n").stdout
    chapter.write_text(before, encoding="utf-8")
    assert "assemble" in plan
    assert "execute" not in plan.replace("executed", "")


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_verify_makes_runs_anew_and_apart_and_compares_them(checkout):
    before = _contents(checkout / "results")
    trained = _contents(checkout / "data" / "trained")
    result = _pipeline(checkout, "verify", "--only", "classifier")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 drifted, 0 missing. (1 records made anew, 0 read" in result.stdout
    assert _contents(checkout / "results") == before
    assert _contents(checkout / "data" / "trained") == trained
    assert "# Reproduction report" in (
        checkout / "_build" / "verify" / "smoke" / "reproduction.md"
    ).read_text(encoding="utf-8")


def test_the_report_ends_with_one_if_a_number_drifted_or_is_missing(checkout):
    reference = checkout / "results" / "runs" / "smoke" / "classifier"
    record = next(reference.rglob("record.json"))
    kept = record.read_text(encoding="utf-8")
    facts = json.loads(kept)
    facts["summary"]["lits"]["dice"] += 0.5
    record.write_text(json.dumps(facts), encoding="utf-8")
    scratch = str(checkout / "_build" / "verify" / "smoke" / "results")
    for only, verdict in (("classifier", "1 drifted"), ("sam_pp", "0 matched")):
        result = _pipeline(checkout, "--only", only, script="report", SAMNB_RESULTS=scratch)
        assert result.returncode == 1
        assert verdict in result.stdout
    record.write_text(kept, encoding="utf-8")


def test_a_run_that_fails_leaves_the_others_going_and_names_the_chapters(checkout):
    runs = checkout / "results" / "runs" / "smoke" / "sam_mix_guided"
    for labels in (5, 8):
        shutil.rmtree(runs / f"labels-{labels}" / "seed-1")
    (runs / "labels-5" / "seed-1").write_text("in the way")
    result = _pipeline(checkout, "everything")
    assert result.returncode != 0
    assert "failed: sam_mix_guided, 5 labels, seed 1" in result.stderr
    assert (runs / "labels-8" / "seed-1" / "record.json").is_file()
    hurt = [line for line in result.stderr.splitlines() if "The runs of sam_mix_guided" in line]
    assert len(hurt) == 1
    assert "10_results" in hurt[0]
    assert "06_sam_pp" not in hurt[0]
