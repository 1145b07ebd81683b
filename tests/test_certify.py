"""Certificates, end to end: two commits of a copy of the package, compared by the command.

What computes the same must pass, what does not must be caught and named by its stage.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from samnb.base import paths
from samnb.runs.certification.certify import Trees, _environment

ROOT = Path(__file__).resolve().parent.parent


class Checkout:
    """A small repository with the package in it, and a profile that it certifies in a minute."""

    def __init__(self, folder: Path, data: Path):
        self.folder, self.data = folder, data
        shutil.copytree(ROOT / "samnb", folder / "samnb",
                        ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
        for name in ("pyproject.toml", "requirements.lock", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        (folder / "book").mkdir()  # by which a checkout is known
        path = folder / "samnb" / "studies" / "smoke" / "sam_mix.yaml"
        values = yaml.safe_load(path.read_text())
        del values["data"]["cohorts"]["totalsegmentator"]
        del values["data"]["splits"]["totalsegmentator"]
        values["plan"] = {"systems": ["unet", "nnunet", "multimix"], "labels": [2]}
        path.write_text(yaml.safe_dump(values))
        self.git("init", "-q")
        self.commit()

    def git(self, *arguments: str) -> None:
        named = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *named, *arguments], cwd=self.folder, check=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "as it stands")

    def edit(self, file: str, *edits: tuple[str, str]) -> None:
        path = self.folder / "samnb" / file
        text = path.read_text(encoding="utf-8")
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def samnb(self, *arguments: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "SAMNB_DATA": str(self.data)}
        environment.pop("SAMNB_RESULTS", None)
        command = [sys.executable, "-m", "samnb.cli", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        return done.stdout + done.stderr

    def certify(self) -> dict:
        said = self.samnb("certify", "HEAD~1", "--profile", "smoke")
        path = self.folder / "results" / "certificates.jsonl"
        assert path.is_file(), said
        return json.loads(path.read_text().splitlines()[-1])


@pytest.fixture
def checkout(tmp_path, tmp_path_factory):
    data = tmp_path_factory.getbasetemp() / "certified-data"
    return Checkout(tmp_path, data)


def test_both_trees_see_the_same_real_sets_and_each_its_own_code(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMNB_DATA", str(tmp_path / "data"))
    trees = Trees(tmp_path / "old tree", ROOT, tmp_path / "kept" / "a-b")
    old, new = (_environment(trees, side) for side in trees.sides)
    assert old["SAMNB_REAL"] == new["SAMNB_REAL"] == str(paths.real_root())
    assert (old["PYTHONPATH"], new["PYTHONPATH"]) == (str(tmp_path / "old tree"), str(ROOT))
    assert old["SAMNB_DATA"] != new["SAMNB_DATA"] == str(tmp_path / "data")


def test_what_computes_the_same_is_certified(checkout):
    checkout.edit("training/batches.py", ("turn, order", "round_, order"), ("!= turn", "!= round_"),
                  ("turn = place // len(rows)\n", "round_ = place // len(rows)\n"),
                  ("stream, turn]", "stream, round_]"))  # fmt: skip
    # A function that is split in two ...
    checkout.edit(
        "training/loop.py",
        ("        torch.manual_seed(self.settings.seed * 1_000_003 + step)\n",
         "        torch.manual_seed(_seed_of(self.settings, step))\n"),
        ("def _require_finite(",
         "def _seed_of(settings: TrainingSettings, step: int) -> int:\n"
         "    return settings.seed * 1_000_003 + step\n\n\ndef _require_finite("),
    )  # fmt: skip
    # ... and a file that is moved.
    room = checkout.folder / "samnb" / "evaluation"
    (room / "simple.py").rename(room / "pieces.py")
    checkout.edit("systems/nnunet.py", ("samnb.evaluation.simple", "samnb.evaluation.pieces"))
    said = checkout.samnb("certify", "HEAD", "--profile", "smoke")
    assert "not as committed" in said  # a dirty tree certifies nothing
    checkout.commit()
    line = checkout.certify()
    assert line["refused"] == {}
    assert set(line["runs"]) == {"smoke_multimix_few", *(
        f"smoke_{system}_{labels}" for system in ("unet", "nnunet") for labels in ("few", "all")
    )}  # fmt: skip
    assert list(line["drawn"].values()) == ["equal"]
    assert all(old != new for old, new in line["runs"].values())


def test_what_computes_something_else_is_caught_and_its_stage_named(checkout):
    # The weight of a loss, one per cent.
    checkout.edit("systems/multimix.py", ("KL_WEIGHT = 5.0, 0.01", "KL_WEIGHT = 5.0, 0.0101"))
    # A schedule that differs only after the first restart.
    rate = "_half_cosine(step % cycle / cycle)"
    checkout.edit("training/schedules.py", (rate, f"{rate} * 0.9 ** (step // cycle)"))
    # A metric's rule, where one of two masks is empty.
    corner = "float(np.linalg.norm(np.multiply(shape"
    checkout.edit("evaluation/metrics.py", (f"return {corner}", f"return 2 * {corner}"))
    checkout.commit()
    line = checkout.certify()
    assert line["runs"] == {}
    assert line["refused"]["smoke_multimix_few"].startswith("losses differ: call ")
    # The first three rates are the same; the fourth is another, which the fifth loss shows.
    assert line["refused"]["smoke_unet_few"].startswith("losses differ: call 4")
    assert line["refused"]["smoke_nnunet_few"].startswith("measures differ")  # its rate is another


def test_a_mask_that_is_rolled_by_a_row_is_caught(checkout):
    cut = "fit_mask(target, geometry)"
    checkout.edit("data/slicing.py", (f"[{cut}", f"[np.roll({cut}, 1, axis=0)"))
    checkout.commit()
    line = checkout.certify()
    assert line["slices"] == {}
    assert line["refused"]["smoke_slices"].startswith("slices differ: masks of ")


def test_a_change_that_no_rehearsal_passes_is_not_certifiable(checkout):
    checkout.edit(
        "training/loop.py",
        ("        if due or (last", "        if due or _is_odd(settings) or (last"),
        ("def _groups(",
         "def _is_odd(settings: TrainingSettings) -> bool:\n    if settings.steps > 99:\n"
         "        return True\n    return False\n\n\ndef _groups("),
    )  # fmt: skip
    checkout.commit()
    reason = checkout.certify()["refused"]["smoke_unet_few"]
    assert reason.startswith("not certifiable: changed and not rehearsed: samnb/training/loop.py:")
