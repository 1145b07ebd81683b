"""What a result depends on, as one short hash: code, settings, environment.

Snakemake compares these hashes instead of file times, so a checkout, a touched file or a reworded
paragraph runs nothing again, and a changed line in an imported module does.
"""

import hashlib
from pathlib import Path

import jupytext

from samnb.code import imported_files
from samnb.paths import CHECKOUT


def code_of(chapter: Path | str) -> str:
    """The code of a chapter without its prose and without the looks of its figures."""
    notebook = jupytext.read(CHECKOUT / chapter)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def fingerprint(*parts: object, files: list[Path] = ()) -> str:
    """Short hash of values (by their text) and of files (by their content)."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode() + b"\0")
    for file in files:
        digest.update(Path(file).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def chapter_fingerprint(chapter: Path | str, *settings: object) -> str:
    """Hash of a chapter's code, the package code it reaches, and the `settings` given."""
    reached = [path for path in imported_files(chapter) if path != CHECKOUT / chapter]
    return fingerprint(code_of(chapter), *settings, files=reached)
