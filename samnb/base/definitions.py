"""Which definitions of the package a computation reaches, and a hash of them all.

A definition is a function, a class or a constant at the top of a module. From a few roots their
names are followed through the package. What is reached counts by what it says, not by where it
stands: a moved function, a reworded comment, a new neighbour in its file change no hash.
"""

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from samnb.base.code import is_text, outline
from samnb.base.paths import CHECKOUT

PACKAGE = "samnb"
BODY = "<body>"  # of a module: its statements that define nothing, such as calls
Place = tuple[str, str]  # module, name


@dataclass(frozen=True)
class Definition:
    """Statements that give a name its meaning in a module: one, or several of a constant.

    uses: what the names in it mean: the text of our own definitions, the origin of all others.
    """

    module: str
    name: str
    file: str  # path below the checkout
    nodes: tuple[ast.stmt, ...]
    uses: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        """Hash of its own code, the same in whichever module."""
        return _hash(self.name, *map(outline, self.nodes))

    @property
    def hash(self) -> str:
        return _hash(self.text, *self.uses)


@dataclass
class Module:
    """A file of the package: what it defines, and which names it has from others."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, Place] = field(default_factory=dict)  # name here -> (module, name or "")
    foreign: dict[str, str] = field(default_factory=dict)  # name here -> name in another library


def reached(
    roots: Iterable[str],
    ends: Callable[[Definition], bool] = lambda definition: False,
    root: Path = CHECKOUT,
) -> dict[Place, Definition]:
    """All that the roots (such as "samnb.runs.train.teach") need, themselves included.

    ends: says of a definition that neither it nor what it needs counts.
    """
    found: dict[Place, Definition] = {}
    waiting = [definition for name in roots if (definition := _find(root, *_split(name)))]
    while waiting:
        here = waiting.pop()
        if (here.module, here.name) in found or ends(here):
            continue
        module, needed = _read(root, here.module), _all_needed(root, here)
        counted = {each.text for each in needed if not ends(each)}
        uses = tuple(sorted(counted | _foreign(module, here)))
        found[here.module, here.name] = replace(here, uses=uses)
        waiting += needed
        if BODY in module.definitions:  # runs whenever anything of the module is imported
            waiting.append(module.definitions[BODY])
    return found


def named(module: str, name: str, root: Path = CHECKOUT) -> Definition:
    """One definition by its place, with what its names mean."""
    here = _read(root, module).definitions[name]
    needed = {each.text for each in _all_needed(root, here)}
    return replace(here, uses=tuple(sorted(needed | _foreign(_read(root, module), here))))


def digest(definitions: Iterable[Definition]) -> str:
    """One hash of all of them, in no order and wherever they stand."""
    return _hash(*sorted({definition.hash for definition in definitions}))


def by_file(definitions: Iterable[Definition]) -> dict[str, str]:
    """A hash for each file of what is reached in it: to say where a change lies."""
    files: dict[str, list[Definition]] = {}
    for definition in definitions:
        files.setdefault(definition.file, []).append(definition)
    return {file: digest(inside) for file, inside in sorted(files.items())}


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _split(dotted: str) -> Place:
    module, _, name = dotted.rpartition(".")
    return module, name


def _all_needed(root: Path, here: Definition) -> list[Definition]:
    module = _read(root, here.module)
    return [each for node in here.nodes for each in _needed(root, module, node)]


def _needed(root: Path, module: Module, node: ast.AST) -> Iterator[Definition]:
    """Definitions that a piece of code names, directly or as `module.name`."""
    inner = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            place = module.imports.get(each.value.id)
            if place and (known := _as_module(root, place)):
                inner.add(each.value)
                if definition := _find(root, known, each.attr):
                    yield definition
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and each not in inner:
            yield from _named(root, module, each.id)


def _foreign(module: Module, definition: Definition) -> set[str]:
    """What the names in it mean that come from other libraries: `Loss is monai.losses.DiceLoss`."""
    names = {each.id for node in definition.nodes for each in ast.walk(node)
             if isinstance(each, ast.Name)}  # fmt: skip
    return {f"{name} is {module.foreign[name]}" for name in names & set(module.foreign)}


def _named(root: Path, module: Module, name: str) -> Iterator[Definition]:
    if name in module.definitions:
        yield module.definitions[name]
    elif name in module.imports:
        place = module.imports[name]
        if whole := _as_module(root, place):  # handed on as a whole: all of it may be used
            yield from _read(root, whole).definitions.values()
        elif definition := _find(root, *place):
            yield definition


def _as_module(root: Path, place: Place) -> str | None:
    """The module that an imported name stands for, if it is one."""
    dotted = ".".join(part for part in place if part)
    return dotted if _file_of(root, dotted) and not _defined(root, *place) else None


def _defined(root: Path, module: str, name: str) -> bool:
    return bool(name and _file_of(root, module) and name in _read(root, module).definitions)


def _find(root: Path, module: str, name: str) -> Definition | None:
    """A definition by its place, also where a module only hands it on."""
    if not _file_of(root, module):
        return None
    known = _read(root, module)
    if name in known.definitions:
        return known.definitions[name]
    place = known.imports.get(name)
    return _find(root, *place) if place and place != (module, name) and place[1] else None


def _file_of(root: Path, module: str) -> Path | None:
    place = root.joinpath(*module.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


def _read(root: Path, module: str) -> Module:
    file = _file_of(root, module)
    return _parse(root, module, file, file.stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _parse(root: Path, module: str, file: Path, changed: int) -> Module:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = Module()
    statements: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for name in _names(node):
            statements.setdefault(name, []).append(node)
    path = file.relative_to(root).as_posix()
    for name, nodes in statements.items():
        found.definitions[name] = Definition(module, name, path, tuple(nodes))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and _ours(node.module):
            for each in node.names:
                found.imports[each.asname or each.name] = (node.module, each.name)
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                found.foreign[each.asname or each.name] = f"{node.module}.{each.name}"
        elif isinstance(node, ast.Import):
            for each in node.names:
                if each.asname and _ours(each.name):
                    found.imports[each.asname] = (each.name, "")
                elif each.asname:
                    found.foreign[each.asname] = each.name
    return found


def _ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for each in ast.walk(target):
                if isinstance(each, ast.Name):
                    yield each.id
    elif not isinstance(node, ast.Import | ast.ImportFrom) and not is_text(node):
        started = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
        yield from [] if started else [BODY]
