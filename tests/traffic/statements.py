"""Single statements of the traffic, with random values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier

from tests.traffic.tables import CAPTURED, TABLES, Column, Table
from tests.traffic.values import key_value, large_value, value

_KEYS = 60  # different keys per table
_MESSAGES = ("audit", "größe", "tailrace")  # prefixes; what the connector's own is must never be delivered


@dataclass(frozen=True)
class Statement:
    """A statement and its parameters."""

    text: Composed
    parameters: Sequence[Any] = ()


class Writer:
    """Makes statements out of one random generator: the same seed makes the same statements."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def change(self) -> Statement:
        """An insert, update, delete or key change on any table."""
        table = self._random.choice(TABLES)
        make = self._random.choices((self.insert, self.update, self.delete, self._move), (5, 5, 2, 2))[0]
        return make(table)

    def insert(self, table: Table) -> Statement:
        """One to five rows; rows that are there are left alone, or replaced."""
        columns = (*table.key, *table.columns)
        rows = [[*self._key(table), *self._values(table.columns)] for _ in range(self._random.randint(1, 5))]
        conflict: Composable = SQL("")
        if table.unique:
            conflict = SQL(" ON CONFLICT DO NOTHING")
            if self._random.random() < 0.3:
                rows = rows[:1]
                conflict = SQL(" ON CONFLICT ({}) DO UPDATE SET {} = excluded.{}").format(
                    _names(table.key), *[Identifier(table.columns[0].name)] * 2
                )
        text = SQL("INSERT INTO {} ({}) VALUES {}{}").format(
            table.identifier,
            _names(columns),
            SQL(", ").join(SQL("({})").format(_placeholders(columns)) for _ in rows),
            conflict,
        )
        return Statement(text, [value for row in rows for value in row])

    def update(self, table: Table) -> Statement:
        """Some columns of one row, large ones among them or not."""
        count = self._random.randint(1, len(table.columns))
        changed = self._random.sample(table.columns, count)
        if self._random.random() < 0.5:
            changed = [column for column in changed if not column.large] or [table.columns[0]]
        return Statement(
            SQL("UPDATE {} SET {} WHERE {}").format(table.identifier, _assignments(changed), _one_row(table)),
            [*self._values(changed), *self._key(table)],
        )

    def delete(self, table: Table) -> Statement:
        """One row."""
        text = SQL("DELETE FROM {} WHERE {}").format(table.identifier, _one_row(table))
        return Statement(text, self._key(table))

    def truncate(self, *tables: Table) -> Statement:
        """One table or several."""
        restart = SQL(" RESTART IDENTITY" if self._random.random() < 0.3 else "")
        names = SQL(", ").join(table.identifier for table in tables)
        return Statement(SQL("TRUNCATE {}{}").format(names, restart))

    def truncate_any(self) -> Statement:
        """One to three tables, perhaps one among them that is not captured."""
        return self.truncate(*self._random.sample(TABLES, self._random.randint(1, 3)))

    def large(self, rows: int) -> Statement:
        """Some thousands of rows at once: inserted, updated or deleted."""
        table = self._random.choice([table for table in CAPTURED if table.name in ("orders", "ledger")])
        key, name = Identifier(table.key[0].name), table.identifier
        first = 1_000_000 + rows * self._random.randrange(3)
        kind = self._random.choice(("insert", "insert", "update", "delete"))
        if kind == "insert":
            columns, values = {
                "orders": ("id, paid, size, price, note", "n, n % 2 = 0, n, n / 8.0, 'row ' || n"),
                "ledger": ("account, amount, memo", "n, -n / 8.0, NULL"),
            }[table.name]
            text = SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(%s, %s) n{}").format(
                name,
                SQL(columns),
                SQL(values.replace("%", "%%")),
                SQL(" ON CONFLICT DO NOTHING" if table.unique else ""),
            )
        elif kind == "update":
            column = Identifier({"orders": "size", "ledger": "amount"}[table.name])
            text = SQL("UPDATE {} SET {} = {} + 1 WHERE {} BETWEEN %s AND %s").format(
                name, column, column, key
            )
        else:
            text = SQL("DELETE FROM {} WHERE {} BETWEEN %s AND %s").format(name, key)
        return Statement(text, [first, first + rows - 1])

    def message(self) -> Statement:
        """A logical message, transactional or not, text or bytes."""
        content = self._random.choice((b"", "größe\n\t'x' 🦆".encode(), self._random.randbytes(40)))
        transactional = self._random.random() < 0.5
        parameters = (transactional, self._random.choice(_MESSAGES), content)
        return Statement(SQL("SELECT pg_logical_emit_message(%s, %s, %s::bytea)").format(), parameters)

    def _move(self, table: Table) -> Statement:
        """A change of the key, which fails if the new key is taken after all; sometimes more with it."""
        changed = self._random.sample(table.columns, self._random.choice((0, 0, 1)))
        new = self._key(table)
        free: Composable = SQL("")
        parameters = [*new, *self._values(changed), *self._key(table)]
        if table.unique:
            matches = SQL(" AND ").join(SQL("{} = %s").format(Identifier(c.name)) for c in table.key)
            free = SQL(" AND NOT EXISTS (SELECT FROM {} WHERE {})").format(table.identifier, matches)
            parameters += new
        return Statement(
            SQL("UPDATE {} SET {} WHERE {}{}").format(
                table.identifier, _assignments((*table.key, *changed)), _one_row(table), free
            ),
            parameters,
        )

    def _key(self, table: Table) -> list[str]:
        each = round(_KEYS ** (1 / len(table.key)))
        return [key_value(column.type, self._random, each) for column in table.key]

    def _values(self, columns: Sequence[Column]) -> list[str | None]:
        return [self._value(column) for column in columns]

    def _value(self, column: Column) -> str | None:
        if not column.required and self._random.random() < 0.15:
            return None
        if column.large and self._random.random() < 0.4:
            return large_value(column.type, self._random)
        return value(column.type, self._random)


def _names(columns: Sequence[Column]) -> Composed:
    return SQL(", ").join(Identifier(column.name) for column in columns)


def _placeholders(columns: Sequence[Column]) -> Composed:
    return SQL(", ").join(_placeholder(column) for column in columns)


def _placeholder(column: Column) -> SQL:
    return SQL(f"%s::{column.type}")


def _assignments(columns: Sequence[Column]) -> Composed:
    return SQL(", ").join(
        SQL("{} = {}").format(Identifier(column.name), _placeholder(column)) for column in columns
    )


def _one_row(table: Table) -> Composed:
    matches = SQL(" AND ").join(
        SQL("{} = {}").format(Identifier(column.name), _placeholder(column)) for column in table.key
    )
    if table.unique:
        return matches
    return SQL("ctid = (SELECT ctid FROM {} WHERE {} LIMIT 1)").format(table.identifier, matches)
