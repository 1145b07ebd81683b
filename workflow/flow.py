"""What the names of a chapter rest on, followed from cell to cell by its code."""

import ast
import copy
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

Reads = list[tuple[int | None, str]]  # line of the cell, origin; no line: anywhere in the cell
Narrowed = Callable[[set[str], Any], set[str]]  # origins of a table -> those of some of its rows

LOOPS = (ast.For, ast.AsyncFor, ast.While)
BLOCKS = (*LOOPS, ast.If, ast.With, ast.AsyncWith, ast.Try)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
NOT_CHANGED = (ModuleType, FunctionType, BuiltinFunctionType, type)  # by a call of theirs


class Flow:
    """Origins of names, by what was read where and by assignments, loops, calls and functions."""

    def __init__(self, namespace: dict[str, Any], narrowed: Narrowed):
        self.namespace = namespace  # of the chapter: values as they are after each cell
        self.narrowed = narrowed
        self.held: dict[str, set[str]] = {}  # what a name rests on
        self.later: dict[str, set[str]] = {}  # names that a function looks up when it is called
        self.reads: Reads = []
        self.last: dict[str, ast.Name] = {}  # where the cell sets a name for the last time

    def cell(self, code: str, reads: Reads) -> set[str]:
        """What a cell rests on that has just run, and has read this."""
        statements = ast.parse(code).body
        held = {line for node in statements for line in range(node.lineno, node.end_lineno + 1)}
        self.reads = [(line if line in held else None, origin) for line, origin in reads]
        self.last = {}
        for node in sorted(_names(*statements), key=lambda node: (node.lineno, node.col_offset)):
            if isinstance(node.ctx, ast.Store):
                self.last[node.id] = node
        return self._block(statements, is_sure=True)

    def _block(self, statements: list[ast.stmt], is_sure: bool) -> set[str]:
        """is_sure: that it runs, and once; else a name may still be what it was before."""
        return set().union(*[self._statement(node, is_sure) for node in statements])

    def _statement(self, node: ast.stmt, is_sure: bool) -> set[str]:
        if isinstance(node, BLOCKS):
            return self._parts(node, is_sure)
        found = self._rests_on(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.held[node.name], self.later[node.name] = found, _free(node)
            return found
        self._bind(node, found, anew=is_sure and not isinstance(node, ast.AugAssign))
        if is_sure and isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            for name in node.targets:
                if isinstance(name, ast.Name) and self.last[name.id] is name:
                    found = self.held[name.id] = self.narrowed(found, self.namespace.get(name.id))
        if isinstance(node, ast.Expr):  # a call may change what it is called on
            on = getattr(node.value, "func", node.value)
            for name in _names(on):
                if not isinstance(self.namespace.get(name.id), NOT_CHANGED):
                    self.held[name.id] = self.held.get(name.id, set()) | found
        return found

    def _parts(self, node: ast.stmt, is_sure: bool) -> set[str]:
        found: set[str] = set()
        is_sure = is_sure and isinstance(node, ast.With | ast.AsyncWith)
        while True:
            head = set().union(*map(self._rests_on, _heads(node)))
            for part in _heads(node):
                self._bind(part, head, anew=is_sure)
            before = copy.deepcopy(self.held)
            found |= head
            for name in ("body", "orelse", "finalbody"):
                found |= self._block(getattr(node, name, []), is_sure)
            for handler in getattr(node, "handlers", []):
                found |= self._block(handler.body, is_sure)
            # Round a loop until nothing new comes: what its end sets, its beginning uses.
            if not isinstance(node, LOOPS) or self.held == before:
                return found

    def _rests_on(self, node: ast.AST) -> set[str]:
        found = {
            origin
            for line, origin in self.reads
            if line is None or node.lineno <= line <= node.end_lineno
        }
        if isinstance(node, FUNCTIONS):  # its names count where it is called
            return found
        return found.union(*[self.held.get(name, set()) for name in self._reached(node)])

    def _reached(self, node: ast.AST) -> set[str]:
        """Names in an expression or a statement, and those that the functions among them use."""
        todo, reached = {each.id for each in _names(node) if not _is_store(each)}, set()
        while todo:
            reached |= todo
            todo = set().union(*[self.later.get(name, set()) for name in todo]) - reached
        return reached

    def _bind(self, node: ast.AST, found: set[str], anew: bool) -> None:
        """The names that this sets, or sets a part of, rest on what was found."""
        functions = [part for part in ast.walk(node) if isinstance(part, ast.Lambda)]
        later = set().union(*map(_free, functions))
        for name in _targets(node):
            plain = anew and _is_store(name)
            for kept, new in ((self.held, found), (self.later, later)):
                kept[name.id] = new | (set() if plain else kept.get(name.id, set()))


def _heads(node: ast.stmt) -> list[ast.expr]:
    """The expressions of a block itself, not of the statements in it."""
    owners = [node, *getattr(node, "items", [])]  # of `with`
    children = (child for owner in owners for child in ast.iter_child_nodes(owner))
    return [child for child in children if isinstance(child, ast.expr)]


def _targets(node: ast.AST) -> Iterator[ast.Name]:
    """The names that a statement or an expression sets, or sets a part of: `tables[name]`."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign):
            yield from (name for target in part.targets for name in _set(target))
        elif isinstance(part, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
            yield from _set(part.target)
    if isinstance(getattr(node, "ctx", None), ast.Store):
        yield from _set(node)  # of a loop or a `with`


def _set(target: ast.expr) -> Iterator[ast.Name]:
    if isinstance(target, ast.Tuple | ast.List):
        yield from (name for part in target.elts for name in _set(part))
    elif isinstance(target, ast.Attribute | ast.Subscript | ast.Starred):
        yield from _set(target.value)
    elif isinstance(target, ast.Name):
        yield target


def _free(node: ast.AST) -> set[str]:
    """Names that a function looks up outside of itself."""
    own = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    own |= {name.id for name in _names(node) if _is_store(name)}
    return {name.id for name in _names(node)} - own


def _names(*nodes: ast.AST) -> list[ast.Name]:
    return [part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)]


def _is_store(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)
