"""What a result depends on, as one short hash: code, settings, environment.

Snakemake compares these hashes instead of file times, so a checkout, a touched file, a comment or a
reworded paragraph runs nothing again, and a changed line in an imported module does.
"""

import hashlib
from pathlib import Path

import jupytext

from samnb.base.code import code_hash, imported_files
from samnb.base.paths import CHECKOUT

DATA = {".csv", ".json", ".safetensors", ".yaml"}


def code_of(chapter: Path | str) -> str:
    """The code of a chapter without its prose and without the looks of its figures."""
    notebook = jupytext.read(CHECKOUT / chapter)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def content_hash(*parts: object, files: list[Path] = ()) -> str:
    """Short hash of values (by their text) and of files: modules by their code, others as they are.

    With a module counts the data it names and that lies beside it: weights, tables of a paper.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode() + b"\0")
    for file in map(Path, files):
        if file.suffix == ".py":
            digest.update(code_hash(file).encode() + b"\0")
        for whole in _beside(file) if file.suffix == ".py" else [file]:
            digest.update(whole.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _beside(module: Path) -> list[Path]:
    """Files of data in a module's folder that its text names."""
    text = module.read_text(encoding="utf-8")
    near = (path for path in sorted(module.parent.iterdir()) if path.suffix in DATA)
    return [path for path in near if path.name in text]


def listing(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes of all files below a folder: what real data are known by, without reading."""
    return sorted(
        (path.relative_to(folder).as_posix(), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    )


def chapter_hash(chapter: Path | str, *settings: object) -> str:
    """Hash of a chapter's code, the package code it reaches, and the `settings` given."""
    reached = [path for path in imported_files(chapter) if path != CHECKOUT / chapter]
    return content_hash(code_of(chapter), *settings, files=reached)
