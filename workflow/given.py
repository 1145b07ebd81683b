"""Results that chapters read and that the pipeline does not make, only keeps: they ask for hours,
or for data that are not everybody's. Each was made by a command of its own.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from hashes import code_of, content_hash

from samnb.base.paths import results_root

# Folders of results, and a word by which a chapter that reads them names them.
GIVEN = {"pocket_sam": "pocket_sam", "runs/real_*": "real", "tables/real": "real"}
NOTED = ("certificates.jsonl", "derived.json")  # what is known of given results
SAID = {".csv", ".json"}  # small files that change whenever the others do


def given_folders(results: Path, patterns: Iterable[str] = GIVEN) -> list[Path]:
    """Those that are there."""
    return sorted(path for pattern in patterns for path in results.glob(pattern))


def copy_given(results: Path) -> None:
    """Into another folder of results, in which everything else is made anew."""
    for folder in given_folders(results_root()):
        place = results / folder.relative_to(results_root())
        shutil.copytree(folder, place, dirs_exist_ok=True)
    for name in NOTED:
        if (results_root() / name).is_file():
            shutil.copy(results_root() / name, results / name)


def given_hash(chapter: Path | str) -> str:
    """Hash of what a chapter reads of them, so that it runs again when they have changed."""
    code = code_of(chapter)
    named = [pattern for pattern, word in GIVEN.items() if re.search(rf'"{word}[_"]', code)]
    folders = given_folders(results_root(), named)
    files = (path for folder in folders for path in sorted(folder.rglob("*")))
    return content_hash(files=[path for path in files if path.suffix in SAID])
