"""The pipeline's own parts: what a result depends on, and how a chapter is put together."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

import alike  # noqa: E402
import pipeline  # noqa: E402
import plans  # noqa: E402
from assemble import assemble  # noqa: E402
from given import copy_given, given_hash  # noqa: E402
from hashes import (  # noqa: E402
    chapter_hash,
    code_of,
    content_hash,
    imported_files,
    listing,
)
from plans import (  # noqa: E402
    forget_if_changed,
    hurt,
    needed,
    reads_spine,
    studies_hash,
    studies_read,
    waits_for,
)

from samnb.base.files import sha256  # noqa: E402
from samnb.runs.run import apply_changes  # noqa: E402
from samnb.studies import load_profile, studies_of  # noqa: E402
from samnb.studies.cohorts import cohort_place  # noqa: E402

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
    names = {path.relative_to(ROOT).as_posix() for path in imported_files("samnb/cli/__init__.py")}
    assert {
        "samnb/cli/__init__.py",
        "samnb/cli/data.py",
        "samnb/base/errors.py",
        "samnb/base/paths.py",
    } <= names
    assert "samnb/studies/cohorts.py" in names  # imported inside a function
    assert "samnb/pretraining/recipe.py" not in {
        path.relative_to(ROOT).as_posix() for path in imported_files("samnb/studies/cohorts.py")
    }


def test_a_reworded_paragraph_changes_no_hash_and_a_changed_line_does(chapter):
    before = chapter_hash(chapter)
    chapter.write_text(CHAPTER.replace("# # Title", "# # Another title"))
    assert chapter_hash(chapter) == before
    chapter.write_text(CHAPTER.replace("hello", "goodbye"))
    assert chapter_hash(chapter) != before


def test_a_changed_caption_is_not_code(chapter):
    before = code_of(chapter)
    caption = '# %% mystnb={"figure": {"caption": "new"}}\nprint'
    chapter.write_text(CHAPTER.replace("# %%\nprint", caption))
    assert code_of(chapter) == before


def test_a_hash_tells_settings_and_files_apart(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    before = content_hash({"side": 128}, files=[file])
    assert content_hash({"side": 256}, files=[file]) != before
    file.write_text("2")
    assert content_hash({"side": 128}, files=[file]) != before


def test_a_comment_in_a_module_is_not_code_and_data_beside_it_counts(tmp_path):
    module, table = tmp_path / "reader.py", tmp_path / "table.yaml"
    module.write_text("READ = 'table.yaml'\n")
    table.write_text("a: 1")
    (tmp_path / "other.yaml").write_text("a: 1")
    before = content_hash(files=[module])
    module.write_text("READ = 'table.yaml'  # where it lies\n")
    (tmp_path / "other.yaml").write_text("a: 2")
    assert content_hash(files=[module]) == before
    table.write_text("a: 2")
    assert content_hash(files=[module]) != before


def test_real_data_are_known_by_their_files(tmp_path):
    (tmp_path / "patient").mkdir()
    (tmp_path / "patient" / "scan.nii").write_text("123")
    assert listing(tmp_path) == [("patient/scan.nii", 3)]


SYSTEMS = {
    "first": {"after": [], "records": []},
    "second": {"after": ["first"], "records": []},
    "third": {"after": [], "records": []},
}


@pytest.mark.parametrize(
    ("code", "systems"),
    [
        ("from samnb.runs.runner import make_record\nname = 'second'", ["first", "second"]),
        ("from samnb.runs import records, runner", ["first", "second", "third"]),
        ("from samnb.runs.runner import load_method\nname = 'third'", list(SYSTEMS)),
        ("from samnb.studies import cohorts\nname = 'third'", []),
    ],
)
def test_a_chapter_waits_for_the_systems_it_names_or_for_all_it_shows(tmp_path, code, systems):
    path = tmp_path / "07_example.py"
    path.write_text(code)
    assert needed(path, SYSTEMS) == systems


def test_a_system_without_its_runs_is_named_with_the_chapters_it_hurts(tmp_path):
    (tmp_path / "runs").mkdir()
    for name in ("first", "third"):
        (tmp_path / "runs" / f"{name}.txt").touch()
    needs = {"05_a": ["first"], "06_b": ["first", "second"], "10_c": list(SYSTEMS)}
    assert hurt(tmp_path, needs, SYSTEMS) == [
        "The runs of second are not all there; waiting for them: 06_b, 10_c."
    ]


def test_a_mark_is_forgotten_when_a_record_behind_it_changes_or_goes(tmp_path):
    mark, record = tmp_path / "mark", tmp_path / "record.json"
    record.write_text("{}")
    made = f"Tiny-2, seed 1: Dice 0.5; somewhere (record {sha256(record)[:8]})"
    mark.write_text(made)
    forget_if_changed(mark, [str(record)])
    assert mark.is_file()
    record.write_text("{ }")
    forget_if_changed(mark, [str(record)])
    assert not mark.is_file()
    mark.write_text(made)
    record.unlink()
    forget_if_changed(mark, [str(record)])
    assert not mark.is_file()


def test_one_variable_names_the_executor(monkeypatch):
    asked = []

    class Process:
        def __init__(self, command, cwd):
            asked.extend(command)

        def wait(self):
            return 0

    monkeypatch.setattr(pipeline.subprocess, "Popen", Process)
    monkeypatch.setattr(pipeline, "chapters_about", lambda chosen, every: ["13_a"])
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "runs", "--executor", "slurm", "--cores", "8",
                                      "--gpus", "2", "-n", "--retries", "3"])  # fmt: skip
    assert pipeline.main() == 0
    command = " ".join(map(str, asked))
    assert "--executor slurm --jobs 8" in command
    assert "--resources gpu=2" in command
    assert "-n --retries 3 --config profile=pocket gpus=2 -- runs" in command
    # The other studies of the size too, each by its name.
    assert "--config profile=pocket_lunch_brats gpus=2 study=cheap_lunch_brats -- runs" in command


def _asked(target, profile="pocket", study=""):
    arguments = argparse.Namespace(target=target, profile=str(profile), study=study)
    return [(targets, each.name) for targets, each in pipeline._jobs(arguments)]


def test_without_a_study_those_that_chapters_read_are_made_and_the_chapters_last(monkeypatch):
    monkeypatch.setattr(pipeline, "chapters_about", lambda chosen, every: ["13_a"])
    spine, *others = [profile.name for profile in studies_of("pocket").values()]
    assert spine == "pocket"
    assert {"pocket_lunch_brats", "pocket_med_sa_isic"} < set(others)
    for target in ("everything", "chapters", "site"):
        assert _asked(target) == [*((["runs"], name) for name in others), ([target], "pocket")]
    assert _asked("runs") == [(["runs"], name) for name in ("pocket", *others)]
    assert _asked("data") == [(["data"], "pocket")]  # with the names of all, in one go
    file = "_build/pocket/chapters/01_scans_to_slices.ipynb"
    assert _asked(file) == [([file], "pocket")]


def test_a_study_that_no_chapter_reads_is_made_only_when_it_is_named(monkeypatch):
    monkeypatch.setattr(pipeline, "chapters_about", lambda chosen, every: [])
    assert _asked("everything") == [(["everything"], "pocket")]
    assert _asked("data") == [(["data"], "pocket")]
    assert _asked("data", study="cheap-lunch-brats") == [(["data"], "pocket_lunch_brats")]


def test_a_study_is_made_alone_with_the_chapters_that_read_it(monkeypatch):
    lunch = ["smoke_lunch_brats", "smoke_lunch_synapse"]
    assert _asked("runs", "smoke", "cheap-lunch") == [(["runs"], name) for name in lunch]
    assert _asked("data", "smoke", "cheap-lunch-brats") == [(["data"], lunch[0])]
    assert _asked("site", "smoke", "sam-mix") == [(["site"], "smoke")]
    monkeypatch.setattr(pipeline, "chapters_about", lambda chosen, every: ["13_a", "14_b"])
    files = [f"_build/smoke/chapters/{name}.ipynb" for name in ("13_a", "14_b")]
    runs = [(["runs"], name) for name in lunch]
    assert _asked("everything", "smoke", "cheap-lunch") == [*runs, (files, "smoke")]


def test_a_size_without_chapters_has_runs_alone_and_another_profile_only_itself(tmp_path):
    real = _asked("everything", "real")
    assert ["real_brain" in name for _, name in real].count(True) == 2
    assert all(targets == ["runs"] for targets, _ in real)
    assert _asked("everything", "real_brain") == [(["everything"], "real_brain")]
    own = tmp_path / "own.yaml"
    own.write_text("extends: smoke/sam_mix\nname: own\n")
    assert _asked("everything", own) == [(["everything"], "own")]


def test_bad_studies_are_one_readable_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "runs", "--study", "dinner", "-n"])
    assert pipeline.main() == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: No study 'dinner' of the size pocket.",
        f"Remedy: use one of {', '.join(sorted(studies_of('pocket')))}.",
    ]


@pytest.mark.parametrize(
    ("code", "read", "spine"),
    [
        ("load_profile(PROFILE)", [], True),
        ('load_profile(PROFILE, "cheap-lunch-brats")', ["cheap_lunch_brats"], False),
        ('load_profile(PROFILE, study="cheap_lunch_brats")', ["cheap_lunch_brats"], False),
        (
            'load_profile(PROFILE)\n{d: load_profile(PROFILE, f"cheap-lunch-{d}") for d in names}',
            ["cheap_lunch_brats", "cheap_lunch_synapse"],
            True,
        ),
        ('print("a cheap lunch")', [], False),
    ],
)
def test_which_studies_a_chapter_opens_is_read_off_its_code(tmp_path, code, read, spine):
    path = tmp_path / "13_example.py"
    path.write_text(code)
    assert studies_read(path, ["cheap_lunch_brats", "cheap_lunch_synapse", "dinner"]) == read
    assert reads_spine(path) == spine


def test_a_chapter_runs_again_when_a_planned_record_of_another_study_has_changed(
    tmp_path, monkeypatch
):
    reader, other = tmp_path / "13_reader.py", tmp_path / "01_other.py"
    reader.write_text('load_profile(PROFILE, "cheap-lunch-brats")')
    other.write_text("load_profile(PROFILE)")
    record = tmp_path / "record.json"
    record.write_text("{}")
    plan = {"sam": {"after": [], "records": [str(record), str(tmp_path / "not-yet.json")]}}
    monkeypatch.setattr(plans, "planned", lambda profile, build: plan)
    studies = studies_of("smoke")
    before = [studies_hash(each, studies) for each in (reader, other)]
    record.write_text("{ }")
    after = [studies_hash(each, studies) for each in (reader, other)]
    assert after[0] != before[0]
    assert after[1] == before[1]
    learning = replace(studies["cheap_lunch_brats"], seed=1)
    assert studies_hash(reader, {**studies, "cheap_lunch_brats": learning}) != after[0]


def test_a_chapter_waits_for_runs_of_the_studies_that_it_opens(tmp_path):
    path = tmp_path / "13_example.py"
    path.write_text(
        "from samnb.runs.runner import make_record\n"
        "load_profile(PROFILE, 'cheap-lunch-brats')\nname = 'second'"
    )
    assert waits_for(path, "cheap_lunch_brats", SYSTEMS) == ["first", "second"]
    assert waits_for(path, "cheap_lunch_synapse", SYSTEMS) == []
    assert waits_for(path, "", SYSTEMS) == []
    path.write_text("from samnb.runs.runner import make_record\nload_profile(PROFILE)\n'third'")
    assert waits_for(path, "", SYSTEMS) == ["third"]


def test_chapters_about_a_study_are_found(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "01_a.py").write_text("load_profile(PROFILE)")
    (tmp_path / "book" / "13_b.py").write_text('load_profile(PROFILE, "cheap-lunch-brats")')
    monkeypatch.setattr(plans, "CHECKOUT", tmp_path)
    every = ["cheap_lunch_brats", "cheap_lunch_synapse"]
    assert plans.chapters_about(["cheap_lunch_brats"], every) == ["13_b"]
    assert plans.chapters_about(["cheap_lunch_synapse"], every) == []


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


def test_a_chapter_runs_again_when_given_results_that_it_names_have_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    table = tmp_path / "results" / "tables" / "real" / "boxes.csv"
    table.parent.mkdir(parents=True)
    table.write_text("dice\n0.5\n")
    reader, other = tmp_path / "12_reader.py", tmp_path / "01_other.py"
    reader.write_text('# %%\nfolder = results_root() / "tables" / "real"\n')
    other.write_text('# %%\nprint("really")\n')
    before = given_hash(reader), given_hash(other)
    table.write_text("dice\n0.6\n")
    assert given_hash(reader) != before[0]
    assert given_hash(other) == before[1]
    copy_given(tmp_path / "apart")
    assert (tmp_path / "apart" / "tables" / "real" / "boxes.csv").read_text() == "dice\n0.6\n"


def test_phantoms_of_the_same_patients_are_linked_and_not_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    first, second = load_profile("pocket", "med-sa-isic"), load_profile("pocket", "med-sa-few")
    source = cohort_place(first, "isic")
    (source / ".phantom").mkdir(parents=True)
    (source / "a.png").write_bytes(b"a")
    assert alike.drawn_alike(second, "isic", [first]) is None  # not to its end yet
    source.with_name("isic.made").touch()
    assert alike.drawn_alike(second, "isic", [first]) == source
    assert alike.drawn_alike(first, "isic", [first]) is None
    others = {
        "seed": replace(first, seed=1),
        "side": apply_changes(first, ("data.cohorts.isic.phantom.side=64",)),
        "fewer": apply_changes(first, ("data.cohorts.isic.phantom.patients=10",)),
        "kind": apply_changes(first, ("data.cohorts.isic.phantom.kind=refuge",)),
    }
    for name, other in others.items():
        assert alike.drawn_alike(second, "isic", [other]) is None, name
    folder = cohort_place(second, "isic")
    alike.link(source, folder)
    assert (folder / "a.png").samefile(source / "a.png")
    assert (folder / ".phantom").is_dir()


def test_of_studies_made_together_the_first_of_the_largest_draws_and_the_others_wait():
    first, second = load_profile("pocket", "med-sa-isic"), load_profile("pocket", "med-sa-few")
    other = load_profile("pocket", "med-sa-refuge")
    together = [other, second, first]
    assert alike.drawn_before(second, "isic", together) == []
    assert alike.drawn_before(first, "isic", together) == [(second, "isic")]
    assert alike.drawn_before(other, "refuge", together) == []
    fewer = apply_changes(second, ("data.cohorts.isic.phantom.patients=10",))
    assert alike.drawn_before(first, "isic", [other, fewer, first]) == []
    assert alike.drawn_before(fewer, "isic", [other, fewer, first]) == [(first, "isic")]
    assert alike.drawn_before(first, "isic", [first]) == []


def test_data_of_all_studies_are_made_by_one_snakemake(monkeypatch):
    asked = []

    def snakemake(targets, profile, arguments, build=None, **more):
        asked.append((targets, profile, more))
        return 0

    monkeypatch.setattr(pipeline, "snakemake", snakemake)
    arguments = argparse.Namespace(
        target="data", profile="smoke", study="", options=[], gpus=0, executor="local"
    )
    assert pipeline.run(arguments) == 0
    ((targets, profile, more),) = asked
    assert (targets, profile) == (["data"], "smoke")
    assert set(more["together"].split()) >= {"smoke", "smoke_lunch_brats", "smoke_med_sa_isic"}
    arguments.study = "med-sa-isic"
    pipeline.run(arguments)
    assert asked[-1] == (["data"], "smoke_med_sa_isic", {})
