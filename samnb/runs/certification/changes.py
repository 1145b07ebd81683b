"""Which statements differ between two trees, among the definitions that a run reaches.

Statements are compared by what they say, definition by definition, wherever these stand; a method
is a definition of its own. So a moved function, a comment, another layout are no change.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from samnb.base.code import is_text, outline
from samnb.base.definitions import Definition
from samnb.base.errors import SamnbError

LEAVES = ast.Return | ast.Break | ast.Continue | ast.Yield | ast.YieldFrom


@dataclass(frozen=True)
class Statement:
    """What a statement says, and the lines on which it stands; of a compound one, of its head.

    given_up: it only runs on the way to an error, so no run that left a record ever passed it.
    block: first and last line of the block behind an `if hasattr(...)` that it stands in. What an
    object has does not change while a run goes on: a block that a rehearsal leaves out whole is
    left out by the whole run.
    """

    text: str
    file: str
    first: int
    last: int
    given_up: bool = False
    block: tuple[int, int] | None = None

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

    @property
    def file(self) -> str:
        return self.head[0].file

    @property
    def texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What head and body say."""
        return tuple(map(_said, self.head)), tuple(map(_said, self.body))


def changed(
    old: Iterable[Definition], new: Iterable[Definition], renamed: Mapping[str, str] | None = None
) -> tuple[list[Statement], list[Statement]]:
    """Statements of the old tree that are no more, and of the new one that were not.

    A run affected by them must pass them all, or nothing is known. Where a constant or the meaning
    of an imported name has changed, that holds for every statement that uses it.

    renamed: old name -> new name. A statement that differs by such names alone is the same, if no
    old name is left in the new tree and no new name was in the old one.
    """
    before, after = _units(old), _units(new)
    if renamed:
        before = _with_new_names(before, after, renamed)
    pairs = _pairs(before, after)
    lost = [each for unit in before for each in (*unit.head, *unit.body)]
    added = [each for unit in after for each in (*unit.head, *unit.body)]
    names = {unit.name for unit in after if not unit.is_code}
    for was, now in pairs:
        gone, come = _differences(was, now)
        lost += gone
        added += come
        if (gone or come) and not now.is_code:
            names.add(now.name)
        added += _using({each.split(" is ")[0] for each in was.foreign ^ now.foreign}, now)
    for unit in (*(now for _, now in pairs), *after):
        added += _using(names, unit)
    return _that_count(lost), _that_count(added)


def _with_new_names(
    before: list[Unit], after: list[Unit], renamed: Mapping[str, str]
) -> list[Unit]:
    """The old units in the new words; an error if a word means something else as well."""
    old_text, new_text = ("".join(each.text for unit in units for each in (*unit.head, *unit.body))
                          for units in (before, after))  # fmt: skip
    for old, new in renamed.items():
        if f"'{old}'" in new_text or f"'{new}'" in old_text:
            raise SamnbError(
                f"'{old}' was not just renamed to '{new}'.", "both trees know one of the names."
            )
    table = {f"'{old}'": f"'{new}'" for old, new in renamed.items()}
    pattern = re.compile("|".join(map(re.escape, table)))

    def said(statement: Statement) -> Statement:
        return replace(statement, text=pattern.sub(lambda found: table[found[0]], statement.text))

    def called(name: str) -> str:
        return ".".join(renamed.get(part, part) for part in name.split("."))

    return [
        Unit(
            called(unit.name),
            tuple(map(said, unit.head)),
            tuple(map(said, unit.body)),
            unit.foreign,
        )
        for unit in before
    ]


def _using(names: set[str], unit: Unit) -> list[Statement]:
    """Statements of a function that name one of these."""
    return [each for each in unit.body if any(f"id='{name}'" in each.text for name in names)]


def _that_count(statements: list[Statement]) -> list[Statement]:
    return sorted(
        {each for each in statements if not each.given_up}, key=lambda each: (each.file, each.first)
    )


def _pairs(before: list[Unit], after: list[Unit]) -> list[tuple[Unit, Unit]]:
    """What is the same unit in both trees; taken out of both lists.

    First those that say the same under one name, then one name in one file, then one name, then
    the same statements under another name; of several the one that says the most alike. What is
    left is paired with what says at least half of the same.
    """
    pairs = []
    for alike in (
        lambda unit: (unit.name, unit.texts),
        lambda unit: (unit.name, unit.file),
        lambda unit: unit.name,
        lambda unit: unit.texts[1] or unit.name,
    ):
        for unit in [*before]:
            found = [each for each in after if alike(each) == alike(unit)]
            if found:
                match = max(found, key=lambda each: _likeness(unit, each))
                pairs.append((unit, match))
                before.remove(unit)
                after.remove(match)
    for unit in [each for each in before if each.is_code]:
        match = max(after, key=lambda each: _likeness(unit, each), default=None)
        if match and _likeness(unit, match) >= 0.5:
            pairs.append((unit, match))
            before.remove(unit)
            after.remove(match)
    return pairs


def _likeness(was: Unit, now: Unit) -> float:
    """Share of statements that two functions have in common, in their order."""
    return SequenceMatcher(None, was.texts[1], now.texts[1], autojunk=False).ratio()


def _differences(was: Unit, now: Unit) -> tuple[list[Statement], list[Statement]]:
    lost: list[Statement] = []
    added: list[Statement] = []
    for before, after in ((was.head, now.head), (was.body, now.body)):
        old, new = [*map(_said, before)], [*map(_said, after)]
        for kind, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if kind != "equal":
                lost += before[i:j]
                added += after[k:m]
    # A changed signature is executed at import; it has been tried when the body has been entered.
    if was.body and now.body and was.texts[0] != now.texts[0]:
        added.append(now.body[0])
    return lost, added


def _said(statement: Statement) -> str:
    return statement.text


def _units(definitions: Iterable[Definition]) -> list[Unit]:
    found = []
    for definition in definitions:
        foreign = frozenset(each for each in definition.uses if " is " in each)
        found += [replace(unit, foreign=foreign) for unit in _parts(definition)]
    return sorted(found, key=lambda unit: (unit.name, unit.file))


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
    for name, nodes in blocks:
        decided = name == "body" and isinstance(node, ast.If) and _asks_for_an_attribute(node.test)
        ends = (nodes[0].lineno, nodes[-1].end_lineno or nodes[-1].lineno)
        for each in _suite(nodes, file, tried or isinstance(node, ast.Try)):
            yield replace(each, block=ends) if decided else each


def _asks_for_an_attribute(test: ast.expr) -> bool:
    """`hasattr(...)`, or that and more."""
    first = (
        test.values[0] if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else test
    )
    return isinstance(first, ast.Call) and getattr(first.func, "id", "") == "hasattr"


def _head(node: ast.stmt, parts: list, file: str) -> Statement:
    """A compound statement without its blocks."""
    inner = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    said = f"{type(node).__name__} {outline(inner)}"
    ends = [sub.end_lineno for each in inner if isinstance(each, ast.AST)
            for sub in ast.walk(each) if hasattr(sub, "end_lineno")]  # fmt: skip
    return Statement(said, file, node.lineno, max([node.lineno, *ends]))


def _whole(node: ast.stmt, file: str) -> Statement:
    return Statement(outline(node), file, node.lineno, node.end_lineno or node.lineno)
