"""Studies and sizes: `SIZE/STUDY.yaml` says all of one experiment; the code is the same for all.

A size is `smoke` (seconds, for tests), `pocket` (two cores, the committed results), `paper` (real
data, official weights) or `real` (small real sets). A file may say `extends: SIZE/STUDY`: then it
says only what is different there.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from samnb.base.errors import SamnbError
from samnb.studies.profile import ChangedSettings, PlanSettings, Profile, build

__all__ = [
    "ChangedSettings",
    "PlanSettings",
    "Profile",
    "build",
    "load_profile",
    "names",
    "studies_of",
]

FOLDER = Path(__file__).resolve().parent
SPINE = "sam_mix"  # the study that a size alone stands for


def names() -> list[str]:
    """Names of all profiles."""
    return sorted(_by_name())


@cache
def _by_name() -> dict[str, Path]:
    """The name that each file says, and where it is."""
    files = sorted(FOLDER.glob("*/*.yaml"))
    return {_read(file)["name"]: file for file in files}


def load_profile(name_or_path: str | Path, study: str | None = None) -> Profile:
    """A profile by its name (`pocket`), by size and study, or from a YAML file of one's own.

    With a study, the name or the file only says at which size: one's own file has that of the
    profile that it extends.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = _find(str(name_or_path), study)
    elif not path.is_file():
        raise SamnbError(f"No file {path}.", "give the path of a .yaml file, or a profile's name.")
    elif study:
        path = _beside(path, study)
    return build(Profile, _extended(path), str(path.name))


def studies_of(name_or_path: str | Path, begins: str = "") -> dict[str, Profile]:
    """Profiles of a size by the names of their studies, the spine first.

    begins: how these names begin. Another profile, or a file of one's own, stands for itself.
    """
    size, wanted = FOLDER / str(name_or_path), _file_name(begins)
    known = sorted(file.stem for file in size.glob("*.yaml"))
    found = [name for name in known if name.startswith(wanted)]
    if not found:
        alone = load_profile(name_or_path, begins or None)
        return {alone.name: alone}
    found.sort(key=lambda name: name != SPINE)
    return {name: load_profile(size.name, name) for name in found}


def _file_name(study: str) -> str:
    return study.replace("-", "_").lower()


def _find(name: str, study: str | None) -> Path:
    path = FOLDER / name / f"{_file_name(study or SPINE)}.yaml"
    named = _by_name().get(name)
    if not path.is_file() and named and named.parent.name != name:
        path = _beside(named, study) if study else named
    if path.is_file():
        return path
    known = sorted(file.stem for file in (FOLDER / name).glob("*.yaml"))
    if known:
        raise SamnbError(
            f"No study '{study}' of the size {name}."
            if study
            else f"The size {name} has several studies.",
            f"use one of {', '.join(known)}.",
        )
    raise SamnbError(
        f"No profile '{name}'.",
        f"use one of {', '.join(names())}, or the path of a .yaml file.",
    )


def _beside(path: Path, study: str) -> Path:
    """The file of another study at the size of this one."""
    if path.parent.parent == FOLDER:
        return _find(path.parent.name, study)
    size, _, own = str(_read(path).get("extends", "")).partition("/")
    if not size:
        raise SamnbError(
            f"{path.name} says not at which size other studies are.",
            "let it extend a profile, or leave out the study.",
        )
    return path if own == _file_name(study) else _find(size, study)


def _extended(path: Path) -> dict[str, Any]:
    """The settings of a file, over those of the one that it extends."""
    values = _read(path)
    base = values.pop("extends", None)
    if base is None:
        return values
    below = FOLDER / f"{base}.yaml"
    if not below.is_file():
        raise SamnbError(f"{path.name}: it extends {base}, which is not there.", "correct it.")
    return _merged(_extended(below), values)


def _merged(below: Any, above: Any) -> Any:
    """Groups of settings are merged; everything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        both = {name: _merged(below[name], above[name]) for name in below.keys() & above.keys()}
        return {**below, **above, **both}
    return above


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SamnbError(f"{path}: not valid YAML ({error}).", "mend the file.") from error
    if not isinstance(values, dict):
        raise SamnbError(f"{path.name}: expected settings, found {values!r}.", "mend the profile.")
    return values
