"""The transform `filter`: the changes that an expression lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field

from tailrace.abc import Declaration, Derived
from tailrace.errors import Malformed, Stop, code
from tailrace.events import Change, Table
from tailrace.transforms.expression import Expression, NotInLog
from tailrace.transforms.naming import require_columns
from tailrace.types import Kind

UNDECIDED = code(
    "TR-SHAPE-010",
    "a filter cannot decide",
    "The expression asks for a value that the event does not hold, fails on it, or says neither True nor "
    "False. To drop the event or to let it pass would be a guess.",
)

OTHER_MOMENT = code(
    "TR-SHAPE-011",
    "a date is compared with a time",
    "The expression compares a column of times with a date, or one of dates with a time. The one is counted "
    "in days, the other in µs: all changes would pass, or none.",
)

_OTHER: Final = {
    "date": ((Kind.TIMESTAMP, Kind.TIMESTAMPTZ), "timestamp('2026-01-31')"),
    "timestamp": ((Kind.DATE,), "date('2026-01-31')"),
}
"""By the function: the kinds of columns that are never compared with what it makes, and what they are."""

_SHOWN: Final = 200  # characters of an error's own words


def _check(text: str) -> str:
    Expression(text)
    return text


ExpressionText: TypeAlias = Annotated[str, AfterValidator(_check)]


class Filter:
    """See `tailrace.abc.TableTransform`.

    A TRUNCATE has no row: it passes where the expression asks for one, since it empties the table for those
    rows too that pass. A change of the key is a `d` and a `c`, each decided by its own row.
    """

    class Settings(Declaration):
        """Settings of the transform `filter`."""

        where: ExpressionText = Field(
            description="What passes: an expression over op, table, schema and the columns of before, after "
            "and row, such as `op == 'd' or after.amount >= 100`. See docs/shaping.md."
        )

    def __init__(self, settings: Settings) -> None:
        self._expression = Expression(settings.where)

    def derive(self, table: Table) -> Derived:
        """See `tailrace.abc.TableTransform`."""
        expression = self._expression
        require_columns(table, [reference.column for reference in expression.references])
        columns = {column.name: (i, column) for i, column in enumerate(table.columns)}
        for reference, function in expression.moments:
            _, column = columns[reference.column]
            kinds, meant = _OTHER[function]
            if column.type.kind in kinds:
                raise Stop(
                    OTHER_MOMENT,
                    f"{column.name} is a {column.type.native}, and is compared with {function}(…)",
                    f"Write {meant} or the like.",
                    where=str(table),
                )
        test = expression.test(table.schema, table.name, columns)
        split = table.split
        reads_rows = expression.reads_rows

        def each(change: Change) -> Sequence[Change]:
            op = change.op
            before = after = None
            if reads_rows:
                if op == "t":
                    return (change,)
                before, after = split(change.raw)
                if op == "d":
                    after = None
                elif op != "u":
                    before = None
            try:
                passes = test(op, before, after, before if op == "d" else after)
            except Exception as error:
                raise _undecided(expression, change, table, _words(error)) from error
            if passes is True:
                return (change,)
            if passes is False:
                return ()
            raise _undecided(expression, change, table, f"the expression says {_cut(repr(passes))}")

        return Derived(table, each)


def _words(error: Exception) -> str:
    return _cut(str(error) if isinstance(error, NotInLog) else f"{type(error).__name__}: {error}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _undecided(expression: Expression, change: Change, table: Table, found: str) -> Malformed:
    remedy = (
        "Say in the expression what is to become of such events: op == 'd' or …, row.x is not None and …, "
        "row.flag is True."
    )
    if "log does not hold" in found or (change.op == "u" and "no row 'before'" in found):
        remedy = (
            f"Have the log hold whole rows (PostgreSQL: ALTER TABLE {table} REPLICA IDENTITY FULL, MySQL: "
            "binlog_row_image=FULL). For this event, which was written before, and for what never is in the "
            "log, as MariaDB's generated columns, let the filter decide without that value."
        )
    return Malformed(
        UNDECIDED,
        f"{expression.text!r} on the {change.op!r} at {change.position}: {found}",
        remedy,
        where=str(table),
    )
