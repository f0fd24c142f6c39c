"""What a log has of statements."""

from __future__ import annotations

import struct

import pytest

from connectors.mysql.binlog import statements
from connectors.mysql.binlog.event import HEADER
from connectors.mysql.binlog.messages import Place
from connectors.mysql.refusals import shortened

FLAGS = b"\x00\x01\x02\x03\x04"
MODE = b"\x01" + bytes(8)
CATALOG = b"\x06\x03std"
CHARSETS = b"\x04" + bytes(6)
INVOKER = b"\x0b\x04root\x01%"
TIME = b"\x0d\x00\x00\x00"


@pytest.mark.parametrize(
    ("status", "databases"),
    [
        (b"\x0c\x01shop\x00", ("shop",)),
        (FLAGS + MODE + CATALOG + CHARSETS + INVOKER + b"\x0c\x02a\x00shop\x00" + TIME, ("a", "shop")),
        (FLAGS + TIME, None),
        (b"", None),
        (b"\x0c\x01\x00", None),  # foreign keys lead to tables of which nothing is told
        (b"\x0c\xfe" + TIME, None),  # too many
        (b"\x80\x00" + b"\x0c\x01shop\x00", None),  # behind what is not known
    ],
)
def test_databases_of_a_statement(status: bytes, databases: tuple[str, ...] | None) -> None:
    head = struct.pack("<IIBHH", 7, 0, 2, 0, len(status))
    whole = bytes(HEADER) + head + status + b"db\0" + b"UPDATE t SET a = 1"
    query = statements.query(whole, len(whole), Place(0, 0, 0, 0))
    assert (query.schema, query.sql, query.databases) == ("db", "UPDATE t SET a = 1", databases)


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("UPDATE  t\nSET a = 1", "UPDATE t SET a = 1"),
        ("INSERT INTO t VALUES (1, 'hunter2')", "INSERT INTO t VALUES (1, …"),
        ("INSERT INTO t VALUES (\"\\\", 'hunter2')", "INSERT INTO t VALUES ( …"),
        ("UPDATE t SET " + 40 * "abc, ", "UPDATE t SET " + 21 * "abc, " + "ab…"),
    ],
)
def test_a_statement_is_shown_without_the_texts_in_it(sql: str, shown: str) -> None:
    assert shortened(sql) == shown
