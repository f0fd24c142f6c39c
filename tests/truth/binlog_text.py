"""What `mysqlbinlog -vv` and `mariadb-binlog -vv` print, read back: transactions, their statements and rows.

The program is the server's own, so that it shares nothing with the decoder under test. Of a statement with
several row events it prints the rows behind the last of them: in which event a row stood is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from tests.servers.mysql_releases import Flavor

Name: TypeAlias = tuple[str, str]
"""Database, table."""

Fields: TypeAlias = tuple[bytes | None, ...]
"""A row's values as they are printed, texts without their quotes and escapes; in the order of the columns;
None is NULL."""

_HEADER: Final = re.compile(
    rb"#(?P<time>\d{6} [ \d]\d:\d\d:\d\d) server id (?P<server>\d+)  end_log_pos \d+ "
    rb"(?:CRC32 0x[0-9a-f]+ ?)?\s*(?P<what>.*)"
)
_TABLE_MAP: Final = re.compile(rb"Table_map: `([^`]+)`\.`([^`]+)` mapped to number")
_COLUMN: Final = re.compile(
    r"`(?P<name>(?:[^`]|``)+)` (?P<type>[A-Z_]+(?: UNSIGNED)?)(?:\((?P<numbers>[\d,]+)\))?"
    r"(?P<unsigned> UNSIGNED)?(?:\((?P<labels>'.*?')\))?(?P<null> NOT NULL)?"
    r"(?:\((?P<late>'.*?')\))?(?: CHARSET (?P<charset>\w+) COLLATE \w+)?(?: INVISIBLE)?"
)
_ROW: Final = re.compile(rb"### (INSERT INTO|UPDATE|DELETE FROM) `([^`]+)`\.`([^`]+)`")
_FIELD: Final = re.compile(rb"###   @(\d+)=(.*?) ?(?:/\* [A-Z].* meta=\d+ nullable=[01] is_null=([01]) \*/)")
_ESCAPED: Final = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
_CONTROL: Final = re.compile(rb"\\x([01][0-9a-f])()")  # MariaDB leaves quotes and backslashes as they are
_LETTERS: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_GTID: Final = re.compile(rb"SET @@SESSION\.GTID_NEXT= '([^']+)'")
_COMMITTED: Final = re.compile(rb"original_committed_timestamp=(\d+)")
_END: Final = b"/*!*/;"

Operation: TypeAlias = Literal["INSERT", "UPDATE", "DELETE"]


@dataclass(frozen=True)
class Column:
    """As the log describes it. `type` in lower case, `numbers` are what stands in its brackets."""

    name: str
    type: str
    numbers: tuple[int, ...]
    unsigned: bool
    charset: str | None
    labels: tuple[str, ...]


@dataclass(frozen=True)
class TableMap:
    """A table as it was when the rows behind were written."""

    name: Name
    columns: tuple[Column, ...]
    key: tuple[int, ...]  # of the columns


@dataclass
class RowChange:
    """One row of a row event."""

    op: Operation
    table: TableMap
    before: Fields | None = None
    after: Fields | None = None


@dataclass(frozen=True)
class Statement:
    """DDL as it was logged, and the database in which it ran."""

    schema: str
    sql: str
    seconds: int  # since the epoch: what it took for now


@dataclass
class Transaction:
    """All of one GTID, in the log's order."""

    gtid: str
    server_id: int
    microseconds: int = 0  # since the epoch; of the commit
    content: list[RowChange | Statement] = field(default_factory=list)
    ended: bool = False  # a server that crashed while it wrote may leave one that is not


def transactions(lines: Iterable[bytes], flavor: Flavor) -> Iterator[Transaction]:
    """Read what the program printed with `-vv --base64-output=DECODE-ROWS --print-table-metadata`, in UTC."""
    return _Reader(_ESCAPED if flavor == "mysql" else _CONTROL).read(lines)


class _Reader:
    def __init__(self, escaped: re.Pattern[bytes]) -> None:
        self._escaped = escaped
        self._schema = ""
        self._tables: dict[Name, TableMap] = {}
        self._mapped: Name = ("", "")
        self._open: Transaction | None = None
        self._seconds = 0  # of the event that is being read
        self._committed = 0  # the same of the newest that may be a commit
        self._sql: list[bytes] | None = None  # of a statement whose end has not come
        self._description: list[bytes] | None = None  # the same of a table's columns
        self._change: RowChange | None = None
        self._fields: list[bytes | None] = []

    def read(self, lines: Iterable[bytes]) -> Iterator[Transaction]:
        for line in (line.rstrip(b"\n") for line in lines):
            if self._description is not None or line.startswith(b"# Columns("):
                self._describe(line)
            elif line.startswith(b"# Primary Key("):
                self._set_key(line)
            elif line.startswith(b"###"):
                self._row(line)
            elif (header := _HEADER.match(line)) is not None:
                self._close_row()
                yield from self._event(header)
            elif line.startswith(b"#"):
                continue
            elif (gtid := _GTID.match(line)) is not None:
                if gtid[1] != b"AUTOMATIC" and self._open is not None:
                    self._open.gtid = gtid[1].decode().lower()
            elif self._sql is not None:
                self._statement(line)
        yield from self._finished()

    def _event(self, header: re.Match[bytes]) -> Iterator[Transaction]:
        what = header["what"]
        moment = datetime.strptime(header["time"].decode(), "%y%m%d %H:%M:%S").replace(tzinfo=UTC)
        self._seconds = int(moment.timestamp())
        self._sql = None
        if what.startswith((b"GTID", b"Anonymous_GTID")):
            yield from self._finished()
            words = what.split()
            gtid = words[1].decode() if b"=" not in words[1] else ""
            committed = _COMMITTED.search(what)
            self._open = Transaction(gtid, int(header["server"]), int(committed[1]) if committed else 0)
        elif (mapped := _TABLE_MAP.match(what)) is not None:
            self._mapped = (mapped[1].decode(), mapped[2].decode())
        elif what.startswith(b"Query"):
            self._sql = []
        if what.startswith((b"Xid", b"Query")):
            self._committed = self._seconds
        if what.startswith(b"Xid") and self._open is not None:
            self._close_row()
            self._open.ended = True

    def _finished(self) -> Iterator[Transaction]:
        self._close_row()
        done, self._open = self._open, None
        if done is not None and done.ended:
            done.microseconds = done.microseconds or self._committed * 1_000_000
            yield done

    def _describe(self, line: bytes) -> None:
        description = self._description = self._description or []
        description.append(line.removeprefix(b"# Columns(").removeprefix(b"#").strip())
        if not line.endswith(b")") or line.endswith(b"),"):
            return
        text = b" ".join(description).decode()
        if not text.endswith("))") and text.count("(") >= text.count(")"):
            return
        self._description = None
        columns = tuple(_columns(text[:-1]))
        self._tables[self._mapped] = TableMap(self._mapped, columns, ())

    def _set_key(self, line: bytes) -> None:
        table = self._tables[self._mapped]
        names = line.decode().removeprefix("# Primary Key(").removesuffix(")")
        wanted = [name.strip().strip("`") for name in re.sub(r"\(\d+\)", "", names).split(",")]
        places = {column.name: place for place, column in enumerate(table.columns)}
        key = tuple(places[name] for name in wanted)
        self._tables[self._mapped] = TableMap(table.name, table.columns, key)

    def _statement(self, line: bytes) -> None:
        assert self._sql is not None
        self._sql.append(line)
        if not line.endswith(_END):
            return
        sql = b"\n".join(self._sql).decode().removesuffix(_END.decode()).strip()
        self._sql = []
        if sql.startswith("use `"):
            self._schema = sql[5:-1]
        elif self._open is None or re.match(r"SET |/\*!|BEGIN|START TRANSACTION|SAVEPOINT", sql):
            return
        elif sql == "ROLLBACK":
            self._open.content.clear()
        else:
            self._open.ended = True
            if sql != "COMMIT":
                self._open.content.append(Statement(self._schema, sql, self._seconds))

    def _row(self, line: bytes) -> None:
        if (begun := _ROW.match(line)) is not None:
            self._close_row()
            table = self._tables[begun[2].decode(), begun[3].decode()]
            op: Operation = begun[1].decode().split()[0]  # type: ignore[assignment] # the expression tells it
            self._change = RowChange(op, table)
        elif line.startswith(b"### Extra row info"):  # the partition
            return
        elif line in (b"### SET", b"### WHERE"):
            self._close_image()
        else:
            found = _FIELD.fullmatch(line)
            assert found is not None, line
            assert int(found[1]) == len(self._fields) + 1, line
            self._fields.append(None if found[3] == b"1" else self._unquoted(found[2]))

    def _unquoted(self, field: bytes) -> bytes:
        if not field.startswith(b"'"):
            return field
        return self._escaped.sub(_character, field[1:-1])

    def _close_image(self) -> None:
        fields, self._fields = tuple(self._fields), []
        change = self._change
        if not fields or change is None:
            return
        assert len(fields) == len(change.table.columns), change
        if change.op != "INSERT" and change.before is None:
            change.before = fields
        else:
            change.after = fields

    def _close_row(self) -> None:
        self._close_image()
        if self._change is not None:
            assert self._open is not None
            self._open.content.append(self._change)
            self._change = None


def _character(escaped: re.Match[bytes]) -> bytes:
    if escaped[1]:
        return bytes([int(escaped[1], 16)])
    return _LETTERS.get(escaped[2], escaped[2])


def _columns(text: str) -> Iterator[Column]:
    at = 0
    while at < len(text):
        found = _COLUMN.match(text, at)
        assert found is not None, text[at:]
        labels = found["labels"] or found["late"]
        yield Column(
            found["name"],
            found["type"].removesuffix(" UNSIGNED").lower(),
            tuple(int(number) for number in found["numbers"].split(",")) if found["numbers"] else (),
            bool(found["unsigned"]) or found["type"].endswith(" UNSIGNED"),
            found["charset"],
            tuple(re.findall("'((?:[^']|'')*)'", labels or "")),
        )
        at = found.end()
        assert at == len(text) or text[at] == ",", text[at:]
        at += 1
        while at < len(text) and text[at] == " ":
            at += 1
