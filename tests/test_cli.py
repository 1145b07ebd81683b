"""The command `samnb` as a person meets it: help, readable errors, exit codes."""

import json
import os
import subprocess
import sys

import pytest
from typer.main import get_command

from samnb import cli
from samnb.studies import studies_of


def samnb(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "samnb.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100", **environment},
        check=False,
    )


def test_help_is_quick_and_names_the_groups():
    before = os.times()
    result = samnb("--help")
    after = os.times()
    assert result.returncode == 0
    # Processor time, which other work on the machine does not lengthen much: a third of a second.
    assert after.children_user - before.children_user < 1
    assert "doctor" in result.stdout
    assert "data" in result.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys, samnb.cli; "
        "print([n for n in ('torch', 'monai', 'pandas', 'matplotlib', 'cv2') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["doctor", "data phantom", "data get", "data check", "data prepare", "data volumes"],
)
def test_every_command_explains_itself(command):
    result = samnb(*command.split(), "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout


def test_doctor_names_what_is_missing_and_the_remedy(tmp_path):
    result = samnb("doctor", "--profile", "smoke", SAMNB_DATA=str(tmp_path))
    assert result.returncode == 1
    assert "samnb data phantom --profile smoke" in result.stdout


def test_doctor_speaks_json(tmp_path):
    result = samnb("doctor", "--json", "--profile", "smoke", SAMNB_DATA=str(tmp_path))
    report = json.loads(result.stdout)
    topics = {finding["topic"] for finding in report["findings"]}
    assert topics == {"software", "machine", "data", "weights"}
    assert all(f["remedy"] for f in report["findings"] if f["state"] == "bad")


def test_an_unknown_profile_is_one_readable_error():
    result = samnb("doctor", "--profile", "huge")
    assert result.returncode == 1
    assert result.stderr.startswith("error: No profile 'huge'.\nRemedy: use one of paper, ")
    assert " pocket, " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "command",
    ["doctor", "run", "runs", "runs answers", "data phantom", "data prepare", "data volumes",
     "stock-nnunet"],
)  # fmt: skip
def test_every_command_with_a_profile_takes_a_study(command):
    found = get_command(cli.app)
    for name in command.split():
        found = found.commands[name]
    options = {name: each.help for each in found.params for name in each.opts}
    assert "--profile" in options
    assert "cheap-lunch-brats" in options["--study"]


def test_studies_are_found_and_what_is_amiss_is_said_in_a_line(tmp_path):
    found = samnb("doctor", "--profile", "paper", "--study", "cheap-lunch-brats",
                  SAMNB_DATA=str(tmp_path))  # fmt: skip
    assert "samnb data get brats18" in found.stdout
    wrong = samnb("doctor", "--study", "dinner")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines() == [
        "error: No study 'dinner' of the size pocket.",
        f"Remedy: use one of {', '.join(sorted(studies_of('pocket')))}.",
    ]
    lost = samnb("run", "cheap-lunch", "--labels", "5")
    assert lost.stderr.splitlines() == [
        "error: The profile pocket does not say how Cheap Lunch learns.",
        "Remedy: name a study that does: --study cheap-lunch-brats or cheap-lunch-synapse.",
    ]


def test_debug_shows_the_traceback():
    result = samnb("--debug", "doctor", "--profile", "huge")
    assert "Traceback" in result.stderr


def test_a_mistyped_command_is_exit_code_2():
    assert samnb("data", "phantoms").returncode == 2


def test_pictures_of_a_folder_not_ones_own_are_checked(tmp_path):
    from PIL import Image

    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / folder / "i7_z1.png")
    asked = samnb("data", "check", str(tmp_path))
    assert asked.returncode == 1
    assert "unknown whose picture it is" in asked.stderr
    named = samnb("data", "check", str(tmp_path), "--patient", r"i(\d+)_")
    assert named.returncode == 0
    wrong = samnb("data", "check", str(tmp_path), "--patient", "(")
    assert wrong.returncode != 0
    assert "correct the expression" in wrong.stderr
