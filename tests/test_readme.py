"""The README's own promises: its code runs, its links and commands lead somewhere."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tiny
import torch
from typer.main import get_command

from samnb import cli
from samnb.data.layouts import ScanFiles, Target
from samnb.data.settings import SliceSettings, VolumeSettings
from samnb.data.slices import prepare
from samnb.data.volumes import prepare as prepare_volumes
from samnb.evaluation.examine import examine
from samnb.evaluation.volumes import by_windows, examine_volumes
from samnb.prompts.users import find_user
from samnb.reports.tables import segmentation_table
from samnb.runs.records import load_cases
from samnb.runs.run import Run
from samnb.runs.runner import load_method, make_record
from samnb.studies.cohorts import cohort_slices
from samnb.systems import registry
from samnb.training.batches import training_batches
from samnb.training.loop import TrainingSettings, fit
from samnb.training.settings import LearningSettings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
METHOD = README.split("## Add your method in one file\n")[1].split("\n## ")[0]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def method_file(tmp_path, monkeypatch):
    """The README's file, imported under the name that the page gives it."""
    name = Path(re.search(r"^`(samnb/systems/\w+\.py)`:$", METHOD, re.MULTILINE)[1]).stem
    (source,) = _blocks(METHOD, "python")
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(f"samnb.systems.{name}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def added(tmp_path, monkeypatch, method_file):
    """The tiny world, and the README's method in the registry."""
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path))
    monkeypatch.setenv("SAMNB_RESULTS", str(tmp_path / "results"))
    for name, system in method_file.SYSTEMS.items():
        monkeypatch.setitem(registry.SYSTEMS, name, system)
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
    assert learned.shape == (1, 1, 2)
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


# ---- the same file with two channels, two targets, in slices and in volumes, under every user ----

USERS = ("nobody", "point", "3 random points", "box 1", "box 0.75", "4 clicks", "4 random clicks")


def _write_ball(folder: Path, number: int) -> ScanFiles:
    """A bright ball with a core, which only the second channel shows; and a ball that is no target.

    Label 1: the shell, 2: the core. The targets overlap: all of it, and the core.
    """
    generator = np.random.default_rng(number)
    z, y, x = np.ogrid[:10, :32, :32]
    middle = generator.uniform(11, 13, 2)
    distance = np.sqrt((x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (3 * (z - 5)) ** 2)
    decoy = (x - 25) ** 2 + (y - 25) ** 2 + (3 * (z - 5)) ** 2 < 20
    label = np.where(distance < 4, 2, np.where(distance < 9, 1, 0))
    channels = [np.where((label > 0) | decoy, 120.0, 0.0), np.where(label == 2, 150.0, 40.0)]
    paths = []
    for name, values in (*zip("ab", channels, strict=True), ("seg", label)):
        noise = 0 if name == "seg" else generator.normal(0, 5, label.shape)
        paths.append(folder / f"{number}-{name}.nii")
        data = (values + noise).astype(np.int16).transpose(2, 1, 0)
        nib.save(nib.Nifti1Image(data, np.diag([-1.0, -1.0, 3.0, 1.0])), paths[-1])
    targets = (Target("ball", (1, 2)), Target("core", (2,)))
    return ScanFiles(str(number), str(number), tuple(paths[:2]), (paths[2],), targets)


@pytest.fixture
def trained(tmp_path, method_file):
    """The README's method, which learned from slices of four scans; slices and volumes of six."""
    scans = [_write_ball(tmp_path, number) for number in range(6)]
    window = {"window_width": 200.0, "window_center": 100.0}
    slices, _ = prepare(scans, SliceSettings(32, middle=1.0, **window), tmp_path / "s", 1, False)
    volumes, _ = prepare_volumes(scans, VolumeSettings(**window), tmp_path / "v", 1, False)
    marked = np.flatnonzero(slices.labels.all(axis=1) & (slices.index["scan"] < "4").to_numpy())
    method = method_file.build(None, 0)
    method.prepare(*slices.load(marked), None)
    settings = LearningSettings(batch=4, learning_rate=0.01, average=0)
    batches = training_batches(slices, marked[:0], marked, settings, seed=1)
    steps = TrainingSettings(20, learning_rate=0.01, average=0)
    losses = fit(method, batches, steps, tmp_path / "fit", progress=False).history
    assert losses[-1]["loss"] < losses[0]["loss"]
    return method, slices, volumes


def test_two_targets_in_two_channels_in_slices_and_in_volumes_under_every_user(trained):
    method, slices, volumes = trained
    assert method.edges.shape == (2, 2, 2)
    rows, scans = slices.rows_of(["4", "5"]), volumes.rows_of(["4", "5"])
    dice = {}
    for name in USERS:
        user = find_user(name)
        of_slices, of_scans = examine(method, slices, rows, "home", user=user)
        of_volumes = examine_volumes(method, volumes, scans, "home", user=user)
        assert of_slices.groupby("target").size().to_dict() == {"ball": 20, "core": 20}
        assert of_volumes.groupby("target").size().to_dict() == {"ball": 2, "core": 2}
        for table in (of_slices, of_scans, of_volumes):
            assert set(table["user"]) == {name}
        dice[name] = [table.groupby("target")["dice"].mean() for table in (of_scans, of_volumes)]
    for told, alone in zip(zip(*[dice[name] for name in USERS[1:]], strict=True),
                           dice["nobody"], strict=True):  # fmt: skip
        # Nobody says that the decoy, as bright as the ball, is none; whoever points or boxes does.
        assert alone["core"] > 0.97 > 0.95 > alone["ball"]
        assert all(each["ball"] > alone["ball"] + 0.02 for each in told)


def test_a_volume_larger_than_a_network_is_seen_window_by_window(trained):
    method, _, volumes = trained
    images = torch.from_numpy(volumes.load([4])[0])
    whole, windows = method.logits(images), by_windows(method.logits, images, (6, 16, 16))
    torch.testing.assert_close(windows, whole)
