"""Rules of the house that no linter knows: what files may say, who may import whom."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"


def _committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""  # pictures, weights


def test_no_committed_file_names_a_package_registry_or_a_place_of_one_machine():
    registries = "|".join(
        ["pypi" + r"\.org", "pythonhosted" + r"\.org", "download.pytorch" + r"\.org"]
    )
    places = r"(?<![\w.:/-])/(?:work|root|home/\w+|opt|Users)/"
    faults = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in _committed()
        if (found := re.search(f"{registries}|{places}", _text(path))) and path != Path(__file__)
    ]
    assert not faults


def test_every_package_of_the_lock_has_a_version_and_hashes():
    entries = re.split(r"\n(?=\S)", LOCK.read_text(encoding="utf-8").strip())
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_lock_holds_what_the_package_declares():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = [item for group in groups for item in group]
    names = {re.match(r"[A-Za-z0-9._-]+", item)[0].lower().replace("_", "-") for item in declared}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE))
    assert names | {"setuptools"} <= locked


def test_conda_users_get_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"][-1] == {"pip": ["-r requirements.lock"]}


# Rooms and flat files, from the ground up: each may import only what stands before it.
ROOMS = (
    *("base", "data", "phantoms", "networks", "method", "prompts", "evaluation", "training"),
    *("systems", "studies", "runs", "reports", "pretraining", "browser", "cli"),
)


def _room(module: str) -> str | None:
    """The room or flat file of a module of the package; None of the package itself."""
    _, _, inside = module.partition(".")
    return inside.split(".")[0] or None


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_from_a_later_one(room):
    place = ROOT / "samnb" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert files
    allowed = ROOMS[: ROOMS.index(room) + 1]
    faults = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files
        for module in _imports(path)
        if module.startswith("samnb.") and _room(module) not in allowed
    ]
    assert not faults


def test_every_file_of_the_package_stands_in_a_room():
    inside = {path.stem for path in (ROOT / "samnb").iterdir() if path.name[0] not in "_."}
    assert inside == set(ROOMS)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "samnb":
            found |= {f"samnb.{name.name}" for name in node.names if name.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_no_file_of_the_package_is_long():
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in ROOT.glob("samnb/**/*.py")
    }
    assert not {path.name: length for path, length in lengths.items() if length > 350}


def test_make_help_lists_every_target_in_a_line():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in listed.splitlines()[1:]} == targets
