"""Row images of real servers that lack columns, or hold what no calendar has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connectors.mysql.binlog.messages import TableMap
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.columns.types import columns
from connectors.mysql.columns.values import NoDate
from tailrace.errors import NotReady
from tailrace.events import ABSENT, UNCHANGED, Missing, Row
from tests.binlog import LogReader
from tests.servers import MySql

DEFAULTS = TypeOptions()


def read(table: TableMap, row: Row | None, options: TypeOptions = DEFAULTS) -> list[Any] | None:
    """The values of a row."""
    if row is None:
        return None
    shape = columns(table, options)
    return [
        field if field is None or isinstance(field, Missing) else column.value(field)
        for column, field in zip(shape, row, strict=True)
    ]


def changes(server: MySql, schema: str, statements: Sequence[str]) -> list[tuple[Any, Any]]:
    """The rows before and after of what statements in one session do."""
    log = LogReader(server)
    with server.connect(schema) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    return [
        (read(table, before), read(table, after))
        for table, pairs in log.rows(schema)
        for before, after in pairs
    ]


ITEMS = "create table items (id int primary key, name varchar(20) default 'none', n int, body text)"


def test_minimal_images_hold_the_key_and_what_changed(every_mysql: MySql, every_mysql_database: str) -> None:
    """What an old image lacks is absent; what both lack did not change, in MariaDB for all that is known."""
    lacking = UNCHANGED if every_mysql.flavor == "mysql" else ABSENT
    statements = [
        ITEMS,
        "set binlog_row_image = 'MINIMAL'",
        "insert into items (id, n) values (1, 5)",
        "update items set n = 6 where id = 1",
        "update items set id = 2 where id = 1",
        "delete from items where id = 2",
    ]
    assert changes(every_mysql, every_mysql_database, statements) == [
        (None, [1, ABSENT, 5, ABSENT]),
        ([1, ABSENT, ABSENT, ABSENT], [1, lacking, 6, lacking]),
        ([1, ABSENT, ABSENT, ABSENT], [2, lacking, lacking, lacking]),
        ([2, ABSENT, ABSENT, ABSENT], None),
    ]


def test_images_without_blobs(every_mysql: MySql, every_mysql_database: str) -> None:
    lacking = UNCHANGED if every_mysql.flavor == "mysql" else ABSENT
    statements = [
        ITEMS,
        "insert into items values (1, 'a', 5, 'long text')",
        "set binlog_row_image = 'NOBLOB'",
        "update items set n = 6",
        "update items set body = 'another'",
        "delete from items",
    ]
    assert changes(every_mysql, every_mysql_database, statements)[1:] == [
        ([1, "a", 5, ABSENT], [1, "a", 6, lacking]),
        ([1, "a", 6, ABSENT], [1, "a", 6, "another"]),
        ([1, "a", 6, ABSENT], None),
    ]


def test_images_that_do_not_repeat(mariadb: MySql, make_database: Callable[[MySql], str]) -> None:
    """A new row has what changed; the rest is in the old one."""
    if mariadb.version < "11":
        return  # which has no such images
    statements = [
        ITEMS,
        "insert into items values (1, 'a', 5, 'long text')",
        "set binlog_row_image = 'FULL_NODUP'",
        "update items set n = 6",
    ]
    (_, updated) = changes(mariadb, make_database(mariadb), statements)
    assert updated == ([1, "a", 5, "long text"], [1, "a", 6, "long text"])


def test_many_rows_of_one_statement(every_mysql: MySql, every_mysql_database: str) -> None:
    rows = [[n, None if n % 3 else f"n{n}", None if n % 5 else n, str(n)] for n in range(2000)]
    values = ", ".join([str(tuple(row)).replace("None", "null") for row in rows])
    statements = [ITEMS, f"insert into items values {values}", "update items set n = id"]
    assert changes(every_mysql, every_mysql_database, statements) == [
        *[(None, row) for row in rows],
        *[(row, [row[0], row[1], row[0], row[3]]) for row in rows if row[2] is None],
    ]


def test_generated_and_invisible_columns(every_mysql: MySql, every_mysql_database: str) -> None:
    """MariaDB from 11 on leaves generated columns out of updates, whatever images are asked for: their new
    values are in no log, and are not said to be the old ones."""
    statements = [
        "create table items (id int primary key, hidden int invisible default 4, "
        "doubled int generated always as (id * 2) stored, tripled int generated always as (id * 3) virtual)",
        "insert into items (id) values (5)",
        "update items set id = 6",
    ]
    logged = every_mysql.flavor == "mysql" or every_mysql.version < "11"
    old, new = ([10, 15], [12, 18]) if logged else ([ABSENT, ABSENT], [ABSENT, ABSENT])
    assert changes(every_mysql, every_mysql_database, statements) == [
        (None, [5, 4, 10, 15]),
        ([5, 4, *old], [6, 4, *new]),
    ]


def test_index_expressions_are_no_columns(mysql: MySql, mysql_database: str) -> None:
    """Each has a hidden column, which the log does not show."""
    statements = [
        "create table items (id int primary key, name varchar(20), j json, key ((upper(name))), "
        "key ((cast(j->'$[*]' as unsigned array))))",
        "insert into items values (1, 'a', '[1, 2]')",
    ]
    assert changes(mysql, mysql_database, statements) == [(None, [1, "a", "[1, 2]"])]


def test_a_log_without_names_is_refused_with_what_to_set(every_mysql: MySql) -> None:
    """Metadata is set for the server as a whole, at any time."""
    schema = every_mysql.create_database()
    log = LogReader(every_mysql)
    every_mysql.execute("set global binlog_row_metadata = 'MINIMAL'")
    try:
        every_mysql.execute("create table items (id int primary key)", database=schema)
        every_mysql.execute("insert into items values (1)", database=schema)
    finally:
        every_mysql.execute("set global binlog_row_metadata = 'FULL'")
    ((table, _),) = log.rows(schema)
    with pytest.raises(NotReady, match="TR-MY-204") as raised:
        columns(table, DEFAULTS)
    assert "binlog_row_metadata = FULL" in raised.value.remedy
    every_mysql.drop_database(schema)


ZEROS = "('0000-00-00', '0000-00-00 00:00:00', 0), ('2026-00-00', '2026-01-00 10:00:00', 0)"


def test_dates_that_no_calendar_has(every_mysql: MySql, every_mysql_database: str) -> None:
    log = LogReader(every_mysql)
    with every_mysql.connect(every_mysql_database) as connection, connection.cursor() as cursor:
        cursor.execute("set sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        cursor.execute("create table dates (d date not null, t datetime(3) not null, s timestamp(6) null)")
        cursor.execute(f"insert into dates values {ZEROS}, ('2026-02-31', '2026-02-30 00:00:00', 0)")
    ((table, pairs),) = log.rows(every_mysql_database)
    refusing = columns(table, DEFAULTS)
    lenient = columns(table, TypeOptions(zero_dates="epoch"))
    assert [column.optional for column in refusing] == [False, False, True]
    assert [column.optional for column in columns(table, TypeOptions(zero_dates="null"))] == [True] * 3
    for _, row in pairs:
        assert row
        for column, as_epoch, field in zip(refusing, lenient, row, strict=True):
            with pytest.raises(NoDate, match=r"is no date .*zero_dates: null or epoch"):
                column.value(field)
            assert as_epoch.value(field) == 0
    ((_, pairs),) = log.rows(every_mysql_database, TypeOptions(zero_dates="null"))
    assert pairs == [(None, (None, None, None))] * 3
