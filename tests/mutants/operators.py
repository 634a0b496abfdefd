"""Small faults in a module's source, one at a time: each mutant differs from the original in one node.

A string that is a sentence (it has a space), what stands in a `raise`, annotations, docstrings, decorators and imports are left
alone: no behaviour depends on them but words.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A place in a source and what stands there instead.

    Attributes:
        line, end_line: of the statement, from 1.
        start, end: of the place, in bytes of the source.
        before, after: its text.
    """

    line: int
    end_line: int
    start: int
    end: int
    before: str
    after: str

    def applied(self, source: str) -> str:
        """Return the source with the fault in it."""
        raw = source.encode()
        return (raw[: self.start] + self.after.encode() + raw[self.end :]).decode()


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a source that parses, in order of place."""
    found = []
    raw = source.encode()
    for statement, node, replacement in _Walk().replacements(ast.parse(source)):
        start, end = span(source, node)
        after = replacement if isinstance(replacement, str) else f"({ast.unparse(replacement)})"
        mutant = Mutant(statement.lineno, statement.end_lineno, start, end, raw[start:end].decode(), after)
        try:
            ast.parse(mutant.applied(source))
        except SyntaxError:
            continue
        found.append(mutant)
    return sorted(set(found), key=lambda one: (one.start, one.end, one.after))


def span(source: str, node: ast.stmt | ast.expr) -> tuple[int, int]:
    """Return the bytes of a source between which a node of it stands."""
    starts = _line_starts(source)
    end_line, end_column = node.end_lineno, node.end_col_offset
    assert end_line is not None
    assert end_column is not None
    return starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column


@lru_cache(maxsize=8)
def _line_starts(source: str) -> list[int]:
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts


Replacement = ast.expr | str


class _Walk:
    """Walks statements, and the expressions in them that mean something when they are changed."""

    def replacements(self, tree: ast.AST) -> Iterator[tuple[ast.stmt, ast.AST, Replacement]]:
        for statement in ast.walk(tree):
            if not isinstance(statement, ast.stmt):
                continue
            for node, replacement in self._of_statement(statement):
                yield statement if not isinstance(statement, _COMPOUND) else _head(statement), node, replacement

    def _of_statement(self, statement: ast.stmt) -> Iterator[tuple[ast.AST, Replacement]]:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            return
        if isinstance(statement, ast.Raise | ast.AugAssign):
            yield statement, "pass"
        elif isinstance(statement, ast.Expr):
            if isinstance(statement.value, ast.Constant):
                return
            if isinstance(statement.value, ast.Call | ast.Await):
                yield statement, "pass"
        elif isinstance(statement, ast.Continue):
            yield statement, "break"
        elif isinstance(statement, ast.Break):
            yield statement, "continue"
        elif isinstance(statement, ast.Return) and statement.value is not None and not _is_none(statement.value):
            yield statement, "return None"
        if isinstance(statement, ast.Raise):
            return
        if isinstance(statement, ast.If) and not _is_type_checking(statement.test):
            yield statement.test, ast.UnaryOp(ast.Not(), statement.test)
        if isinstance(statement, ast.Assign) and any(_is_dunder(target) for target in statement.targets):
            return
        for expression in _expressions(statement):
            yield from self._of_expression(expression)

    def _of_expression(self, root: ast.expr) -> Iterator[tuple[ast.AST, Replacement]]:
        for node in _parts(root):
            match node:
                case ast.Compare():
                    for place, op in enumerate(node.ops):
                        for other in COMPARISONS[type(op)]:
                            ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                            yield node, ast.Compare(node.left, ops, node.comparators)
                case ast.BoolOp():
                    yield node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
                case ast.UnaryOp(op=ast.Not() | ast.USub()):
                    yield node, node.operand
                case ast.BinOp() if type(node.op) in ARITHMETIC:
                    yield node, ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
                case ast.IfExp():
                    yield node, ast.IfExp(node.test, node.orelse, node.body)
                case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                    yield node.func, CALLS[name]
                case ast.Constant(value=value):
                    yield from ((node, ast.Constant(other)) for other in _other_constants(value))


def _other_constants(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [value * 2 if value else 1.0]
    if isinstance(value, str) and value and " " not in value.strip():
        return ["" if len(value) == 1 else value[:-1]]
    return []


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions that a statement evaluates itself: not its body's, its annotations or its decorators."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from statement.args.defaults
        yield from (default for default in statement.args.kw_defaults if default is not None)
        return
    if isinstance(statement, ast.ClassDef):
        return
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "target", "targets", "body", "orelse", "finalbody", "handlers", "cases"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.expr):
                yield item
            elif isinstance(item, ast.withitem):
                yield item.context_expr


def _parts(root: ast.expr) -> Iterator[ast.expr]:
    """Yield an expression and those in it, but for words of f-strings and what a lambda's parameters default to."""
    yield root
    for child in ast.iter_child_nodes(root):
        if isinstance(root, ast.JoinedStr) and isinstance(child, ast.Constant):
            continue
        if isinstance(child, ast.FormattedValue):
            # A place inside an f-string has no reliable offset in Python 3.11.
            continue
        if isinstance(child, ast.expr):
            yield from _parts(child)
        elif isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):
                yield from _parts(part)
        elif isinstance(child, ast.keyword):
            yield from _parts(child.value)


_COMPOUND = (
    ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.ClassDef
    | ast.If
    | ast.For
    | ast.While
    | ast.With
    | ast.Try
    | ast.Match
)


def _head(statement: ast.stmt) -> ast.stmt:
    """Return a statement of a compound one's first lines alone, down to where its body begins."""
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    first = body[0] if isinstance(statement, ast.Match) is False else None
    last = statement.lineno if first is None else max(statement.lineno, first.lineno - 1)
    return ast.Pass(lineno=statement.lineno, end_lineno=last, col_offset=0, end_col_offset=0)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_type_checking(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _is_dunder(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.startswith("__")
