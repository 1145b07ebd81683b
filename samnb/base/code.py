"""Which files of the package a piece of code reaches, and what they say apart from their prose.

Results remember the code that made them. Comments, docstrings and layout are no part of that, so
rewording a file makes no result stale, and a changed line does.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

from samnb.base.paths import CHECKOUT


def imported_files(
    start: Path | str, ends: Callable[[Path], bool] = lambda path: False
) -> list[Path]:
    """Files of the package that `start` imports, directly or through others, itself included.

    ends: says of a file that neither it nor what it imports is wanted; not asked of `start`.
    """
    found: set[Path] = set()
    waiting = [CHECKOUT / start]
    while waiting:
        path = waiting.pop()
        found.add(path)
        near = {file for module in _imported_modules(path) for file in _files_of(module)}
        waiting += [file for file in near - found - {*waiting} if not ends(file)]
    return sorted(found)


def _once_per_change(read: Callable) -> Callable:
    """Remember what `read(path, ...)` says of a file until the file is changed."""
    known = lru_cache(maxsize=2048)(lambda path, changed, *rest: read(path, *rest))

    @wraps(read)
    def remembered(path: Path | str, *rest: str) -> Any:
        return known(path, Path(path).stat().st_mtime_ns, *rest)

    return remembered


@_once_per_change
def code_hash(path: Path | str) -> str:
    """Short hash of a file's code: equal after edits of comments, docstrings and line breaks."""
    return hashlib.sha256(outline(_parse(path)).encode()).hexdigest()[:16]


def _parse(path: Path | str) -> ast.Module:
    return ast.parse(Path(path).read_text(encoding="utf-8"))


@_once_per_change
def _imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(_parse(path)):
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


def outline(node: object) -> str:
    """A syntax tree as text, without docstrings. `ast.dump` differs between versions of Python."""
    if isinstance(node, list):
        return "[" + " ".join(map(outline, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    inside = [f"{name}={outline(value)}" for name, value in _parts(node)]
    return f"({type(node).__name__} {' '.join(inside)})"


def _parts(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Fields of a node that say something; what newer versions of Python add is empty in ours."""
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list) and value and is_text(value[0]):
            value = value[1:]
        place = name == "module" and isinstance(node, ast.ImportFrom) and _is_ours(value)
        if value is not None and value != [] and name != "ctx" and not place:
            yield name, value


def _is_ours(module: str | None) -> bool:
    """Where in the package something is imported from says nothing of what it is."""
    return (module or "").split(".")[0] == "samnb"


def is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
