"""Reads what test_decoding writes (contrib/test_decoding/test_decoding.c): lines in, transactions out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Literal, TypeAlias


class Absent(Enum):
    """What stands in a row where there is no value."""

    UNCHANGED = "unchanged-toast-datum"


UNCHANGED: Final = Absent.UNCHANGED

Field: TypeAlias = str | Literal[Absent.UNCHANGED] | None
"""The text that a type's output function writes, or NULL, or a TOAST value that did not change."""

Name: TypeAlias = tuple[str, str]
"""Schema and table."""


@dataclass(frozen=True)
class RowChange:
    """INSERT, UPDATE or DELETE. `old` is the replica identity as far as the log has it, without its NULLs."""

    lsn: int
    op: Literal["INSERT", "UPDATE", "DELETE"]
    table: Name
    old: dict[str, Field] | None
    new: dict[str, Field] | None


@dataclass(frozen=True)
class Truncate:
    """One TRUNCATE, of the tables in the order in which the log names them."""

    lsn: int
    tables: tuple[Name, ...]


@dataclass(frozen=True)
class LogicalMessage:
    """pg_logical_emit_message."""

    lsn: int
    transactional: bool
    prefix: str
    content: bytes


Message: TypeAlias = RowChange | Truncate | LogicalMessage


@dataclass(frozen=True)
class Transaction:
    """A committed transaction. `end`: the LSN behind its commit record; `committed`: µs since the epoch."""

    xid: int
    end: int
    committed: int
    messages: tuple[Message, ...]


_BEGIN: Final = re.compile(rb"BEGIN (\d+)")
_COMMIT: Final = re.compile(rb"COMMIT (\d+) \(at ([^)]+)\)")
_MESSAGE: Final = re.compile(rb"message: transactional: ([01]) prefix: (.*?), sz: (\d+) content:", re.DOTALL)
_NAME: Final = re.compile(r'"((?:[^"]|"")*)"|([^". :,\[]+)')
_TYPE: Final = re.compile(r"\[.*?\](?=:)", re.DOTALL)
_VALUE: Final = re.compile(r"'((?:[^']|'')*)'|([^ ']+)", re.DOTALL)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_lsn(text: str) -> int:
    """`0/16B3748`."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def transactions(rows: Iterable[tuple[str, bytes]]) -> Iterator[Transaction | LogicalMessage]:
    """What a slot's rows (LSN, data) tell, decoded with `include-timestamp`: whole transactions in commit
    order, and messages outside of them where they were decoded. ValueError for anything else."""
    begun: int | None = None
    messages: list[Message] = []
    for text, data in rows:
        lsn = parse_lsn(text)
        if found := _BEGIN.fullmatch(data):
            if begun is not None:
                raise ValueError(f"{data!r} inside of transaction {begun}")
            begun, messages = int(found[1]), []
        elif found := _COMMIT.fullmatch(data):
            if begun != int(found[1]):
                raise ValueError(f"{data!r} ends {begun}")
            yield Transaction(begun, lsn, _microseconds(found[2].decode()), tuple(messages))
            begun = None
        else:
            message = parse_message(lsn, data)
            outside = isinstance(message, LogicalMessage) and not message.transactional
            if outside != (begun is None):
                raise ValueError(f"{data!r} {'inside' if outside else 'outside'} of a transaction")
            if outside:
                yield message  # type: ignore[misc]  # `outside` says that it is a LogicalMessage
            else:
                messages.append(message)
    if begun is not None:
        raise ValueError(f"transaction {begun} has no end")


def parse_message(lsn: int, data: bytes) -> Message:
    """A line that is neither BEGIN nor COMMIT."""
    if found := _MESSAGE.match(data):
        content = data[found.end() :]
        if len(content) != int(found[3]):
            raise ValueError(f"a message of {len(content)} bytes, announced {int(found[3])}")
        return LogicalMessage(lsn, found[1] == b"1", found[2].decode(), content)
    line = _Line(data.decode())
    line.skip("table ")
    tables = [line.table()]
    while line.take(", "):
        tables.append(line.table())
    line.skip(": ")
    if line.take("TRUNCATE: "):
        return Truncate(lsn, tuple(tables))
    (table,) = tables
    if line.take("INSERT: "):
        return RowChange(lsn, "INSERT", table, None, line.row())
    if line.take("DELETE: "):
        return RowChange(lsn, "DELETE", table, line.row(), None)
    line.skip("UPDATE: ")
    old = None
    if line.take("old-key: "):
        old = line.row(until=" new-tuple: ")
    return RowChange(lsn, "UPDATE", table, old, line.row())


class _Line:
    """A line and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def take(self, text: str) -> bool:
        """Whether this comes next; if so it is read."""
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def skip(self, text: str) -> None:
        if not self.take(text):
            raise self._error(f"{text!r}")

    def table(self) -> Name:
        schema = self._name()
        self.skip(".")
        return schema, self._name()

    def row(self, until: str = "") -> dict[str, Field]:
        """`name[type]:value` and so on, up to `until` or the line's end."""
        row: dict[str, Field] = {}
        while True:
            name = self._name()
            self._match(_TYPE, "a type")
            self.skip(":")
            row[name] = self._value()
            if until and self.take(until):
                return row
            if not until and self._at == len(self._text):
                return row
            self.skip(" ")

    def _name(self) -> str:
        found = self._match(_NAME, "a name")
        quoted: str | None = found[1]
        return str(found[2]) if quoted is None else quoted.replace('""', '"')

    def _value(self) -> Field:
        found = self._match(_VALUE, "a value")
        quoted: str | None = found[1]
        if quoted is not None:
            return quoted.replace("''", "'")
        bare = str(found[2])
        if bare == "null":
            return None
        return UNCHANGED if bare == UNCHANGED.value else bare

    def _match(self, expression: re.Pattern[str], what: str) -> re.Match[str]:
        found = expression.match(self._text, self._at)
        if found is None:
            raise self._error(what)
        self._at = found.end()
        return found

    def _error(self, expected: str) -> ValueError:
        return ValueError(f"expected {expected} at {self._at} of {self._text!r}")


def _microseconds(text: str) -> int:
    since = datetime.fromisoformat(text) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
