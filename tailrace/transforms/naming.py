"""Columns that a transform names: they must be there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from tailrace.errors import Stop, code
from tailrace.events import Table
from tailrace.patterns import NamePattern

NO_COLUMN = code(
    "TR-SHAPE-002",
    "no such column",
    "A transform names a column that a table, or this version of it, does not have: the transform would do "
    "less than was asked for, unsaid.",
)


def require_columns(table: Table, names: Iterable[str]) -> None:
    """Stop unless the table has each of these columns."""
    present = {column.name for column in table.columns}
    for name in names:
        if name not in present:
            near = difflib.get_close_matches(name, sorted(present), n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise Stop(
                NO_COLUMN,
                f"a transform names column {name}, {table} has {', '.join(sorted(present))}",
                f"Correct the name, or say under tables: which tables the transform is for.{meant}",
                where=str(table),
            )


def require_matches(table: Table, patterns: Iterable[NamePattern]) -> None:
    """The same for patterns that name one column; others may match nothing."""
    require_columns(table, [pattern.literal for pattern in patterns if pattern.literal is not None])
