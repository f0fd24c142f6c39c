"""What a log has of statements."""

from __future__ import annotations

import struct
import time

import pytest

from connectors.mysql.assembly.refusals import shortened
from connectors.mysql.binlog import statements
from connectors.mysql.binlog.event import HEADER
from connectors.mysql.binlog.messages import Place, Query
from connectors.mysql.binlog.quotes import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, plain

FLAGS = b"\x00\x01\x02\x03\x04"
MODE = b"\x01" + bytes(8)
CATALOG = b"\x06\x03std"
CHARSETS = b"\x04" + bytes(6)
INVOKER = b"\x0b\x04root\x01%"
TIME = b"\x0d\x00\x00\x00"


def read_query(status: bytes, sql: bytes) -> Query:
    """A statement of a session that had set this."""
    head = bytes(HEADER) + struct.pack("<IIBHH", 7, 0, 2, 0, len(status))
    event = head + status + b"db\0" + sql
    return statements.query(event, len(event), Place(0, 0, 0, 0))


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
    query = read_query(status, b"UPDATE t SET a = 1")
    assert (query.schema, query.sql, query.databases) == ("db", "UPDATE t SET a = 1", databases)


@pytest.mark.parametrize(
    ("client", "sql", "read"),
    [
        (8, b"TRUNCATE gr\xf6\xdfe", "TRUNCATE größe"),  # latin1
        (10, b"TRUNCATE gr|e", "TRUNCATE gröe"),  # swe7, of ASCII's bytes
        (45, b"TRUNCATE gr\xf6e", "TRUNCATE gr\\xf6e"),  # utf8mb4, and no text of it
        (28, b"TRUNCATE \x81", "TRUNCATE \\x81"),  # gbk, and no text of it
        (9999, b"TRUNCATE \xc3\xb6", "TRUNCATE ö"),  # not known
    ],
)
def test_a_statement_is_in_the_clients_character_set(client: int, sql: bytes, read: str) -> None:
    status = FLAGS + MODE + CATALOG + b"\x04" + struct.pack("<HHH", client, 45, 8)
    assert read_query(status, sql).sql == read


BOTH = ANSI_QUOTES | NO_BACKSLASH_ESCAPES


@pytest.mark.parametrize(
    ("mode", "sql", "written"),
    [
        (0, "\"a\\\"\" 'b\\''", "\"a\\\"\" 'b\\''"),
        (ANSI_QUOTES, '"a""b`c\\" \'d"\\\'e"\'', "`a\"b``c\\` 'd\"\\'e\"'"),
        (NO_BACKSLASH_ESCAPES, "'a\\' \"b\\\" `c\\`", "'a\\\\' \"b\\\\\" `c\\`"),
        (BOTH, "'a\\' \"b\\\" `c\\`", "'a\\\\' `b\\` `c\\`"),
        (BOTH, "/* ' */ \"a\" -- \"\n# '\n'b\\'", "/* ' */ `a` -- \"\n# '\n'b\\\\'"),
        (BOTH, '/*! "a" */', "/*! `a` */"),
        (ANSI_QUOTES, '--\n"a" --', "--\n`a` --"),
        (BOTH, "'open \\ \"", "'open \\ \""),
    ],
)
def test_a_statement_without_the_modes_of_its_session(mode: int, sql: str, written: str) -> None:
    assert plain(sql, mode) == written


def test_a_long_statement_takes_a_moment() -> None:
    """In proportion to its length, closed or not."""
    begin = time.perf_counter()
    for part in ("'", '"', "`", "/* ", "''", "\\", "'\\", "# "):
        for mode in (ANSI_QUOTES, NO_BACKSLASH_ESCAPES, BOTH):
            plain(f'"\\"{part * 200_000}', mode)
    assert time.perf_counter() - begin < 20


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
