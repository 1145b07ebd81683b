"""Which statements differ between two trees, among the definitions that a run reaches.

Statements are compared by what they say, definition by definition, wherever these stand; a method
is a definition of its own. So a moved function, a comment, another layout are no change.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from samnb.code import is_text, outline
from samnb.definitions import Definition

LEAVES = ast.Return | ast.Break | ast.Continue | ast.Yield | ast.YieldFrom


@dataclass(frozen=True)
class Statement:
    """What a statement says, and the lines on which it stands; of a compound one, of its head.

    given_up: it only runs on the way to an error, so no run that left a record ever passed it.
    """

    text: str
    file: str
    first: int
    last: int
    given_up: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.first}"


@dataclass(frozen=True)
class Unit:
    """A function, a method, a constant, or what a class says outside its methods.

    body: its statements; head: what is executed when it is defined, at import.
    """

    name: str
    head: tuple[Statement, ...]
    body: tuple[Statement, ...] = ()
    foreign: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_code(self) -> bool:
        return bool(self.body)


def changed(
    old: Iterable[Definition], new: Iterable[Definition]
) -> tuple[list[Statement], list[Statement]]:
    """Statements of the old tree that are no more, and of the new one that were not.

    A run affected by them must pass them all, or nothing is known. Where a constant or the meaning
    of an imported name has changed, that holds for every statement that uses it.
    """
    before, after = _units(old), _units(new)
    pairs = [(before.pop(name), after.pop(name)) for name in [*before] if name in after]
    pairs += _renamed(before, after)
    lost = [each for unit in before.values() for each in (*unit.head, *unit.body)]
    added = [each for unit in after.values() for each in (*unit.head, *unit.body)]
    names = {unit.name for unit in after.values() if not unit.is_code}
    for was, now in pairs:
        gone, come = _differences(was, now)
        lost += gone
        added += come
        if (gone or come) and not now.is_code:
            names.add(now.name)
        names |= {each.split(" is ")[0] for each in was.foreign ^ now.foreign}
    kept = [unit for _, unit in pairs]
    added += [each for unit in (*kept, *after.values()) for each in unit.body
              if any(f"id='{name}'" in each.text for name in names)]  # fmt: skip
    return _that_count(lost), _that_count(added)


def _that_count(statements: list[Statement]) -> list[Statement]:
    return sorted(
        {each for each in statements if not each.given_up}, key=lambda each: (each.file, each.first)
    )


def _renamed(before: dict[str, Unit], after: dict[str, Unit]) -> list[tuple[Unit, Unit]]:
    """Pairs of units with the same statements under another name, taken out of both."""
    pairs = []
    for name, unit in [*before.items()]:
        said = [each.text for each in unit.body]
        for other, candidate in [*after.items()]:
            if said and said == [each.text for each in candidate.body]:
                pairs.append((before.pop(name), after.pop(other)))
                break
    return pairs


def _differences(was: Unit, now: Unit) -> tuple[list[Statement], list[Statement]]:
    lost: list[Statement] = []
    added: list[Statement] = []
    for before, after in ((was.head, now.head), (was.body, now.body)):
        old, new = [each.text for each in before], [each.text for each in after]
        for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if kind != "equal":
                lost += before[i:j]
                added += after[k:m]
    # A changed signature is executed at import; it has been tried when the body has been entered.
    if was.body and now.body and [*map(_said, was.head)] != [*map(_said, now.head)]:
        added.append(now.body[0])
    return lost, added


def _said(statement: Statement) -> str:
    return statement.text


def _units(definitions: Iterable[Definition]) -> dict[str, Unit]:
    """Units by name; those of one name in several files are told apart by a number."""
    found: dict[str, Unit] = {}
    for definition in sorted(definitions, key=lambda each: (each.name, each.text, each.file)):
        foreign = frozenset(each for each in definition.uses if " is " in each)
        for unit in _parts(definition):
            name, number = unit.name, 1
            while name in found:
                number += 1
                name = f"{unit.name} {number}"
            found[name] = replace(unit, foreign=foreign)
    return found


def _parts(definition: Definition) -> Iterator[Unit]:
    file = definition.file
    rest: list[Statement] = []
    for node in definition.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield _function(node, definition.name, file)
        elif isinstance(node, ast.ClassDef):
            rest.append(_head(node, [*node.decorator_list, *node.bases, *node.keywords], file))
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield _function(inner, f"{definition.name}.{inner.name}", file)
                elif not is_text(inner):
                    rest.append(_whole(inner, file))
        else:
            rest.append(_whole(node, file))
    if rest:
        yield Unit(definition.name, tuple(rest))


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, file: str) -> Unit:
    head = _head(node, [*node.decorator_list, node.args], file)
    return Unit(name, (head,), tuple(_suite(node.body, file)) or (_whole(node, file),))


def _suite(nodes: list[ast.stmt], file: str, tried: bool = False) -> Iterator[Statement]:
    """The statements of a block, heads of compound ones apart; tried: inside of a `try`."""
    leaves = any(isinstance(each, LEAVES) for node in nodes for each in ast.walk(node))
    given_up = bool(nodes) and isinstance(nodes[-1], ast.Raise) and not leaves and not tried
    for node in nodes:
        for each in _statement(node, file, tried):
            yield replace(each, given_up=True) if given_up else each


def _statement(node: ast.stmt, file: str, tried: bool) -> Iterator[Statement]:
    if is_text(node):
        return
    blocks = [(name, getattr(node, name)) for name in ("body", "orelse", "finalbody")
              if getattr(node, name, None)]  # fmt: skip
    blocks += [("except", handler.body) for handler in getattr(node, "handlers", [])]
    blocks += [("case", case.body) for case in getattr(node, "cases", [])]
    if not blocks:
        idle = isinstance(node, ast.Pass | ast.Global | ast.Nonlocal) or (
            isinstance(node, ast.AnnAssign) and node.value is None
        )
        yield replace(_whole(node, file), given_up=idle or isinstance(node, ast.Raise))
        return
    parts = [value for name, value in ast.iter_fields(node)
             if name not in ("body", "orelse", "finalbody", "handlers", "type_params")]  # fmt: skip
    if not isinstance(node, ast.Try):  # a `try` executes nothing itself
        yield _head(node, parts, file)
    for _, nodes in blocks:
        yield from _suite(nodes, file, tried or isinstance(node, ast.Try))


def _head(node: ast.stmt, parts: list, file: str) -> Statement:
    """A compound statement without its blocks."""
    inner = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    said = f"{type(node).__name__} {outline(inner)}"
    ends = [sub.end_lineno for each in inner if isinstance(each, ast.AST)
            for sub in ast.walk(each) if hasattr(sub, "end_lineno")]  # fmt: skip
    return Statement(said, file, node.lineno, max([node.lineno, *ends]))


def _whole(node: ast.stmt, file: str) -> Statement:
    return Statement(outline(node), file, node.lineno, node.end_lineno or node.lineno)
