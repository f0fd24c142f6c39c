"""What the database's catalogue says of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.truth.decoding import Field, Name
from tests.truth.values import to_json


@dataclass(frozen=True)
class TableDescription:
    """A captured table: its columns with their types as format_type names them, in order; the key that events
    carry (none: empty); whether the log holds whole old rows."""

    name: Name
    columns: Mapping[str, str]
    key: tuple[str, ...]
    full: bool
    enums: frozenset[str]

    def row(self, fields: Mapping[str, Field]) -> dict[str, Any]:
        """The JSON of a row; a column that is not among the fields is null."""
        return {
            name: to_json(type, fields.get(name), self.enums) for name, type in self.columns.items()
        }  # fmt: skip

    def key_of(self, fields: Mapping[str, Field]) -> dict[str, Any] | None:
        """The JSON of a row's key."""
        if not self.key:
            return None
        return {name: to_json(self.columns[name], fields[name], self.enums) for name in self.key}


_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relreplident,
       (SELECT indkey::int2[] FROM pg_index WHERE indrelid = c.oid AND indisprimary),
       (SELECT indkey::int2[] FROM pg_index WHERE indrelid = c.oid AND indisreplident)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
_COLUMNS = """
SELECT attnum, attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""
_ENUMS = "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype = 'e'"


def describe(
    connection: psycopg.Connection[Any], captured: Callable[[Name], bool]
) -> dict[Name, TableDescription]:
    """The captured tables by name."""
    enums = frozenset(name for (name,) in connection.execute(_ENUMS))
    described = {}
    for oid, schema, name, identity, primary, index in connection.execute(_TABLES).fetchall():
        if not captured((schema, name)):
            continue
        columns = {number: (column, type) for number, column, type in connection.execute(_COLUMNS, (oid,))}
        key = primary or []
        if identity == "i" and not {*key} <= {*index}:
            key = sorted(index)
        described[schema, name] = TableDescription(
            (schema, name), dict(columns.values()), tuple(columns[n][0] for n in key), identity == "f", enums
        )
    return described
