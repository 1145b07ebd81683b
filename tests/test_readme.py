"""The README's own promises: its code runs, its links and commands lead somewhere."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest
import tiny
import torch
from typer.main import get_command

from samnb import cli
from samnb.reports.tables import segmentation_table
from samnb.runs.records import load_cases
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record
from samnb.studies.cohorts import cohort_slices
from samnb.systems import registry

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHOD = README.split("## Add your method in one file\n")[1].split("\n## ")[0]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The tiny world, and the README's method: its file written, its name in the registry."""
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    name = Path(re.search(r"^`(samnb/systems/\w+\.py)`:$", METHOD, re.MULTILINE)[1]).stem
    (source,) = _blocks(METHOD, "python")
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(f"samnb.systems.{name}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    assert list(module.SYSTEMS) == [name]
    monkeypatch.setitem(registry.SYSTEMS, name, module.SYSTEMS[name])
    # Few steps, so each of them is longer.
    hasty = tiny.PROFILE.replace("precision: float32", "precision: float32, learning_rate: 0.02")
    monkeypatch.setattr(tiny, "PROFILE", hasty)
    profile = tiny.world(tmp_path)
    for cohort in ("home", "abroad"):
        cohort_slices(profile, cohort, workers=1)
    return profile


def test_the_method_of_the_readme_learns_is_examined_and_stands_in_the_table(added, tmp_path):
    (command,) = _blocks(METHOD, "bash")
    asked = shlex.split(command.splitlines()[-1])[1:]
    asked[asked.index("--labels") + 1] = "4"  # there are no fifty here
    get_command(cli.app).main(
        [*asked, "--profile", str(tmp_path / "tiny.yaml")], standalone_mode=False
    )
    run = Run(added, "grey_range", 4, 1)
    record = make_record(run, progress=False)  # made by the command, loaded here
    history = [note["loss"] for note in record.facts["history"]]
    assert history[-1] < history[0]
    learned = load_method(run, progress=False).edges.detach()
    assert not torch.equal(learned, torch.tensor([0.4, 0.8]))
    table = segmentation_table(load_cases(added), "home")
    assert table.index.tolist() == ["Grey range-4"]


def test_the_other_python_of_the_readme_runs():
    for block in _blocks(README.replace(METHOD, ""), "python"):
        exec(block, {})


def test_every_link_of_the_readme_leads_somewhere():
    anchors = {
        "#" + re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    assert links
    for link in links:
        assert link in anchors or (ROOT / link).exists(), link


def test_every_make_target_and_command_of_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    assert {*re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)} <= targets
    commands = get_command(cli.app).commands
    asked = set(re.findall(r"samnb ([a-z]+)(?: ([a-z]+))?", "\n".join(_blocks(README, "bash"))))
    for first, second in asked:
        assert first in commands
        assert second in {"", *getattr(commands[first], "commands", {})} or first == "run"


def test_the_readme_lists_the_chapters():
    numbers = [int(path.name[:2]) for path in sorted((ROOT / "book").glob("[0-9]*.py"))]
    listed = re.findall(r"^\| (\d+) ", README, re.MULTILINE)
    assert [int(number) for number in listed] == numbers
