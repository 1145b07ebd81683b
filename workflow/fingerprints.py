"""What a result depends on, as one short hash: code, settings, environment.

Snakemake compares these hashes instead of file times, so a checkout, a touched file or a reworded
paragraph runs nothing again, and a changed line in an imported module does.
"""

import ast
import hashlib
from pathlib import Path

import jupytext

CHECKOUT = Path(__file__).resolve().parent.parent


def imported_files(start: Path | str) -> list[Path]:
    """Files of the package that `start` imports, directly or through others, itself included."""
    found: set[Path] = set()
    waiting = [CHECKOUT / start]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for module in _imported_modules(path):
            waiting += _files_of(module)
    return sorted(found)


def _imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from samnb.data import slices` may name a module or something inside one.
            modules |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {name for name in modules if name.split(".")[0] == "samnb"}


def _files_of(module: str) -> list[Path]:
    place = CHECKOUT.joinpath(*module.split("."))
    files = [place.with_suffix(".py"), place / "__init__.py"]
    return [file for file in files if file.is_file()]


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
