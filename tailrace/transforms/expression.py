"""The language of the transform `filter`: a small part of Python's expressions.

Names are `op`, `table`, `schema` and the rows `before`, `after` and `row` (what the event leaves behind:
`after`, of a delete `before`). A row's column is `row.amount` or, under any name, `row["the amount"]`; of a
row itself only whether it `is None` can be asked. Values are the canonical ones of `tailrace.types`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from types import CodeType
from typing import Any, Final

from tailrace.events import ABSENT, UNCHANGED, Column, Row

ROWS: Final = ("before", "after", "row")
_NAMES: Final = ("op", "table", "schema")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_METHODS: Final = frozenset(
    {
        "endswith", "isdigit", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "startswith",
        "strip", "upper",
    }
)  # fmt: skip

_ALLOWED: Final = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod,
    ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn,
    ast.IfExp, ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Load,
)  # fmt: skip


def _date(text: str) -> int:
    return date.fromisoformat(text).toordinal() - _EPOCH.toordinal()


def _timestamp(text: str) -> int:
    moment = datetime.fromisoformat(text)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": abs,
    "len": len,
    "int": int,
    "float": float,
    "str": str,
    "date": _date,
    "timestamp": _timestamp,
}
_OF_CONSTANTS: Final = ("date", "timestamp")


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    if _family(left) is not _family(right):
        raise TypeError(f"{left!r} is compared with {right!r}, which it can never equal")
    left, right = _as_written(left, right)
    return bool(left == right)


def _is(left: Any, right: Any) -> bool:
    if left is None or right is None or (isinstance(left, bool) and isinstance(right, bool)):
        return left is right
    raise TypeError(f"{left!r} is no True or False, and never is {right!r}: compare them with ==")


def _within(value: Any, several: Any) -> bool:
    if isinstance(several, str):
        return value in several
    if value is not None and several and all(_family(one) is not _family(value) for one in several):
        raise TypeError(f"{value!r} is sought in {several!r}, and can be none of them")
    return any(left == right for left, right in (_as_written(value, one) for one in several))


def _less(left: Any, right: Any) -> bool:
    left, right = _as_written(left, right)
    return bool(left < right)


def _at_most(left: Any, right: Any) -> bool:
    left, right = _as_written(left, right)
    return bool(left <= right)


def _greater(left: Any, right: Any) -> bool:
    left, right = _as_written(left, right)
    return bool(left > right)


def _at_least(left: Any, right: Any) -> bool:
    left, right = _as_written(left, right)
    return bool(left >= right)


def _as_written(left: Any, right: Any) -> tuple[Any, Any]:
    """Both, for a comparison. A fraction beside a decimal is the digits that somebody has written: as Python
    has it, 12.1 is a little less than a decimal of 12.10."""
    if isinstance(left, Decimal) and isinstance(right, float):
        return left, _digits(right)
    if isinstance(left, float) and isinstance(right, Decimal):
        return _digits(left), right
    return left, right


@lru_cache
def _digits(number: float) -> Decimal:
    return Decimal(repr(number))


def _family(value: Any) -> type:
    """Values of two families are never equal: who compares them believes a column to be of another type."""
    return float if isinstance(value, int | float | Decimal) else type(value)


_COMPARED: Final[Mapping[type[ast.cmpop], tuple[Callable[[Any, Any], bool], bool]]] = {
    ast.Eq: (_equal, True),
    ast.NotEq: (_equal, False),
    ast.In: (_within, True),
    ast.NotIn: (_within, False),
    ast.Lt: (_less, True),
    ast.LtE: (_at_most, True),
    ast.Gt: (_greater, True),
    ast.GtE: (_at_least, True),
    ast.Is: (_is, True),
    ast.IsNot: (_is, False),
}
"""By the operator: what decides it, and whether it is so or the contrary."""


class NotInLog(Exception):
    """A value is asked for that the event does not hold."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that an expression reads, of one of the rows."""

    row: str
    column: str


Test = Callable[[str, Row | None, Row | None, Row | None], Any]
"""(op, before, after, row) → what the expression says."""


_FOREIGN: Final[Mapping[str, str]] = {
    r"&&": "and",
    r"\|\|": "or",
    r"<>": "!=",
    r"\bAND\b": "and",
    r"\bOR\b": "or",
    r"\bNOT\b": "not",
    r"\bIS\b": "is",
    r"\bIN\b": "in",
    r"\bnull\b|\bNULL\b": "None",
    r"(?<![=<>!])=(?!=)": "==",
}
_TEXT: Final = re.compile(r"'[^']*'|\"[^\"]*\"")


def _of_another_language(line: str) -> str:
    """What is written otherwise here than in SQL or Java, if there is any of it: `; write and for &&`."""
    bare = _TEXT.sub("''", line)
    found = {ours: match[0] for theirs, ours in _FOREIGN.items() if (match := re.search(theirs, bare))}
    return "".join(f"; write {ours} for {theirs}" for ours, theirs in found.items())


class Expression:
    """An expression, checked and compiled. Raises ValueError with the column at which it is wrong."""

    def __init__(self, text: str) -> None:
        self.text = text
        line = " ".join(text.split("\n")).strip()
        try:
            self._code: CodeType = self._compiled(line)
        except SyntaxError as error:
            told = f"column {error.offset or len(line) + 1}: {error.msg}"
            raise ValueError(f"{told}{_of_another_language(line)}") from None
        except (RecursionError, MemoryError):
            raise ValueError("nested too deep") from None

    def _compiled(self, line: str) -> CodeType:
        compiler = _Compiler(line)
        body = compiler.visit(ast.parse(line, mode="eval").body)
        self.references = compiler.references  # in the order of their first use
        self.moments = compiler.moments  # columns that are compared with one, and the function that makes it
        self.reads_rows = compiler.reads_rows
        names = ("op", "before", "after", "row")
        arguments = ast.arguments(
            posonlyargs=[], args=[ast.arg(name) for name in names], kwonlyargs=[], kw_defaults=[], defaults=[]
        )
        function = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
        return compile(function, "<filter>", "eval")

    def test(self, schema: str, table: str, columns: Mapping[str, tuple[int, Column]]) -> Test:
        """The expression for one table version. `columns`: the columns by name, with their places; each that
        the expression reads must be there."""
        names: dict[str, Any] = {"__builtins__": {}, "schema": schema, "table": table, **_FUNCTIONS}
        names.update({function.__name__: function for function, _ in _COMPARED.values()})
        for number, reference in enumerate(self.references):
            names[f"_{number}"] = _reader(reference, *columns[reference.column])
        test: Test = eval(self._code, names)
        return test


def _reader(reference: Reference, index: int, column: Column) -> Callable[[Row | None], Any]:
    read = column.value

    def value(row: Row | None) -> Any:
        if row is None:
            raise NotInLog(f"the event has no row {reference.row!r}")
        field = row[index]
        if field is None:
            return None
        if field is UNCHANGED or field is ABSENT:
            raise NotInLog(f"the log does not hold {reference.row}.{column.name} ({field.value})")
        return read(field)

    return value


def _reference(node: ast.expr) -> Reference | None:
    match node:
        case ast.Attribute(ast.Name(row), column) if row in ROWS:
            return Reference(row, column)
        case ast.Subscript(ast.Name(row), ast.Constant(str(column))) if row in ROWS:
            return Reference(row, column)
    return None


class _Compiler(ast.NodeTransformer):
    """Refuses what does not belong to the language; puts a call in place of each column."""

    def __init__(self, line: str) -> None:
        self._line = line.encode()
        self.references: list[Reference] = []
        self.moments: list[tuple[Reference, str]] = []
        self.reads_rows = False

    def visit(self, node: ast.AST) -> Any:
        match node:
            case ast.expr() if reference := _reference(node):
                return self._read(node, reference)
            case ast.Compare(ast.Name(row), [ast.Is() | ast.IsNot()], [ast.Constant(None)]) if row in ROWS:
                self.reads_rows = True
                return node
            case ast.Compare():
                return self._compare(node)
            case ast.Call():
                return self._call(node)
            case ast.Name(name):
                if name in ROWS:
                    raise self._error(node, f"name a column of it: {name}.…")
                if name not in _NAMES:
                    known = ", ".join((*_NAMES, *ROWS))
                    raise self._error(node, f"unknown name {name!r}; known are {known}, and text in quotes")
                return node
            case ast.Constant(value):
                if value is not None and not isinstance(value, str | int | float):
                    raise self._error(node, "a constant is a text, a number, True, False or None")
                return node
            case ast.Attribute(value, name):
                self.visit(value)
                raise self._error(node, f"{name!r} is no column of {', '.join(ROWS)}, and no call")
            case ast.expr() if not isinstance(node, _ALLOWED):
                raise self._error(node, "no such thing in a filter; see docs/shaping.md")
            case ast.expr() | ast.expr_context():
                return self.generic_visit(node)
            case _ if not isinstance(node, _ALLOWED):
                raise ValueError(f"{type(node).__name__} is no operator of a filter; see docs/shaping.md")
            case _:
                return node

    def _read(self, node: ast.expr, reference: Reference) -> ast.expr:
        self.reads_rows = True
        if reference not in self.references:
            self.references.append(reference)
        function = ast.Name(f"_{self.references.index(reference)}", ast.Load())
        return ast.copy_location(ast.Call(function, [ast.Name(reference.row, ast.Load())], []), node)

    def _compare(self, node: ast.Compare) -> ast.expr:
        """`a < b == c` as `a < b and b == c`, of which each is a call."""
        for one, other in pairwise((node.left, *node.comparators)):
            self._look_for_moments(one, other)
            self._look_for_moments(other, one)
        values = [self.visit(value) for value in (node.left, *node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        tests = [ast.copy_location(self._pair(*pair), node) for pair in pairs]
        return tests[0] if len(tests) == 1 else ast.copy_location(ast.BoolOp(ast.And(), tests), node)

    def _look_for_moments(self, column: ast.expr, other: ast.expr) -> None:
        reference = _reference(column)
        for one in other.elts if isinstance(other, ast.Tuple | ast.List | ast.Set) else (other,):
            match one:
                case ast.Call(ast.Name(name)) if reference and name in _OF_CONSTANTS:
                    self.moments.append((reference, name))

    def _pair(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr:
        self.visit(operator)
        function, so = _COMPARED[type(operator)]
        call = ast.Call(ast.Name(function.__name__, ast.Load()), [left, right], [])
        return call if so else ast.UnaryOp(ast.Not(), call)

    def _call(self, node: ast.Call) -> ast.expr:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self._error(node, "a call has plain arguments alone")
        match node.func:
            case ast.Name(name) if name in _FUNCTIONS:
                if name in _OF_CONSTANTS:
                    return self._constant(node, name)
                function: ast.expr = node.func
            case ast.Attribute(ast.Name(row), name) if row in ROWS:
                raise self._error(
                    node, f"a column cannot be called; if one is called {name!r}: {row}[{name!r}]"
                )
            case ast.Attribute(value, name) if name in _METHODS:
                function = ast.copy_location(ast.Attribute(self.visit(value), name, ast.Load()), node.func)
            case _:
                known = ", ".join(sorted((*_FUNCTIONS, *(f".{name}" for name in _METHODS))))
                raise self._error(node, f"not to be called here; to be called are {known}")
        arguments = [self.visit(argument) for argument in node.args]
        return ast.copy_location(ast.Call(function, arguments, []), node)

    def _constant(self, node: ast.Call, name: str) -> ast.expr:
        match node.args:
            case [ast.Constant(str(text))]:
                try:
                    return ast.copy_location(ast.Constant(_FUNCTIONS[name](text)), node)
                except ValueError as error:
                    raise self._error(node, str(error)) from None
        raise self._error(node, f"{name} takes one text in quotes, as in {name}('2026-01-31')")

    def _error(self, node: ast.expr, found: str) -> ValueError:
        column = len(self._line[: node.col_offset].decode(errors="replace")) + 1
        return ValueError(f"column {column}: {found}")
