"""Which records and data a chapter's figures and tables come from, read off its code.

No cell says it in words: the names in its code are followed back, through assignments, loops and
filters of the column "system", to the calls that opened something. What cannot be followed counts
as everything, so a line may name too much, never too little.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

DATA = {
    *("cohort_slices", "cohort_split", "cohort_scans", "cohort_folder"),
    *("labelled_rows", "labelled_subsets", "list_scans", "training_cohort"),
}
RECORDS = {"load_cases", "all_records", "automatic_records"}
OTHERS = {
    **dict.fromkeys(("load_sam", "record_path"), "pocket sam"),
    **dict.fromkeys(("draw_shapes", "ShapeStream"), "shapes"),
    **dict.fromkeys(("published", "audit", "beside_published", "parameter_table"), "papers"),
}
FILES = {"pocket_sam": "pocket sam", "zero_shot.csv": "zero shot", "real": "real"}


@dataclass(frozen=True)
class Known:
    """What there is to come from.

    records: their names, and the key of each one's system. titles: of the systems, by their keys.
    """

    cohorts: tuple[str, ...]
    records: dict[str, str]
    titles: dict[str, str]


@dataclass(frozen=True)
class Source:
    """kind: "data", "record", "system" (only named, not read), or one of OTHERS."""

    kind: str
    name: str = ""


REAL = Source("real")  # a profile of real images, and all that is read with it


def origins(cells: list[str], known: Known) -> list[set[Source]]:
    """What each of a chapter's code cells, in their order, rests on."""
    reader = _Reader(known)
    return [{each for each in reader.read(cell) if each.kind != "system"} for cell in cells]


class _Reader:
    def __init__(self, known: Known):
        self.known = known
        self.held: dict[str, set[Source]] = {}  # what a name rests on
        self.meant: dict[str, ast.expr] = {}  # what it was last set to

    def read(self, cell: str) -> set[Source]:
        lines = ["" if line.startswith(("%", "!")) else line for line in cell.splitlines()]
        return self._block(ast.parse("\n".join(lines)).body)

    def _block(self, statements: list[ast.stmt]) -> set[Source]:
        return set().union(*map(self._statement, statements))

    def _statement(self, node: ast.stmt) -> set[Source]:
        found: set[Source] = set()
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value:
            found = self._narrowed(node.value)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                self._bind(target, found, anew=not isinstance(node, ast.AugAssign))
                if isinstance(target, ast.Name):
                    self.meant[target.id] = node.value
            return found
        for value in _expressions(node):
            found |= self._expression(value)
        if isinstance(node, ast.For):
            self._bind(node.target, self._expression(node.iter))
        if isinstance(node, ast.Expr):  # a call may change what it is called on
            self._bind(getattr(node.value, "func", node.value), found, anew=False)
        for part in ("body", "orelse", "handlers", "finalbody"):
            for inner in getattr(node, part, []):
                found |= self._block(inner.body) if part == "handlers" else self._statement(inner)
        return found

    def _bind(self, target: ast.expr, found: set[Source], anew: bool = True) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                plain = anew and isinstance(node.ctx, ast.Store)
                self.held[node.id] = found | (set() if plain else self.held.get(node.id, set()))

    def _expression(self, value: ast.expr) -> set[Source]:
        for node in ast.walk(value):
            if isinstance(node, ast.comprehension):
                self._bind(node.target, self._expression(node.iter))
        found: set[Source] = set()
        for node in ast.walk(value):
            if isinstance(node, ast.Name):
                found |= self.held.get(node.id, set())
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= self._named(node.value)
            elif isinstance(node, ast.Call):
                found |= self._opened(node)
        return found

    def _named(self, text: str) -> set[Source]:
        if text in self.known.records.values():
            return {Source("system", text)}
        if text.startswith("real_"):
            return {REAL}
        return {Source(FILES[text])} if text in FILES else set()

    def _opened(self, call: ast.Call) -> set[Source]:
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        texts = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant)}
        if name in DATA:
            return {Source("data", each) for each in set(self.known.cohorts) & texts} or {
                Source("data", each) for each in self.known.cohorts
            }
        given = set().union(*map(self._expression, call.args))
        if REAL in given and (name in RECORDS or name == "Run"):
            return {REAL}
        if name in RECORDS:
            return {Source("record", each) for each in self.known.records}
        if name == "Run":
            systems = {each.name for each in given if each.kind == "system"}
            return {
                Source("record", record)
                for record, system in self.known.records.items()
                if system in systems or not systems
            }
        return {Source(OTHERS[name])} if name in OTHERS else set()

    def _narrowed(self, value: ast.expr) -> set[Source]:
        found = self._expression(value)
        if isinstance(value, ast.Subscript):
            for keep in self._filters(value.slice):
                found = {each for each in found if each.kind != "record" or keep(each.name)}
        return found

    def _filters(self, condition: ast.expr) -> Iterator[Callable[[str], bool]]:
        """The parts of a condition that must hold, and look at the column "system" alone."""
        if isinstance(condition, ast.Name) and condition.id in self.meant:
            condition = self.meant[condition.id]
        match condition:
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                yield from self._filters(left)
                yield from self._filters(right)
            case ast.Compare(
                left=ast.Subscript(slice=ast.Constant("system")),
                ops=[ast.Eq()],
                comparators=[ast.Constant(wanted)],
            ):
                yield lambda name: name == wanted
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Attribute(ast.Subscript(slice=ast.Constant("system")), "str"),
                    attr="match" | "fullmatch" | "contains" | "startswith" as how,
                ),
                args=[ast.Constant() | ast.Tuple(elts=[ast.Constant(), *_]) as asked],
            ):
                pattern = ast.literal_eval(asked)
                yield lambda name: bool(getattr(pd.Series([name]).str, how)(pattern).iloc[0])


def _expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement itself, not of the statements inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.withitem):
            yield child.context_expr
