"""Rows at random, inserted, updated and deleted: the binary log, folded in its order, is the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from connectors.mysql.binlog.messages import TableMap
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.columns.types import columns
from tailrace.events import Row
from tailrace.formats.connect_values import iso_date
from tests.binlog import LogReader
from tests.integration.test_mysql_types import clock, moment
from tests.servers import MySql

ROWS: Final = 300

#: Declared as, drawn by, told by SQL as (`{}` is the column), told by us as.
COLUMNS: Final[list[tuple[str, str, str, Callable[[Any], Any]]]] = [
    ("decimal(30,13)", "(rand() - .5) * pow(10, floor(rand() * 17))", "cast({} as char)", lambda v: f"{v:f}"),
    ("decimal(9,9)", "rand() - .5", "cast({} as char)", lambda v: f"{v:f}"),
    ("time(6)", "sec_to_time((rand() - .5) * 6000000)", "cast({} as char)", lambda v: clock(v, 6)),
    (
        "datetime(4)",
        "'1970-01-01' + interval floor((rand() - .3) * 40000000000) second"
        " + interval floor(rand() * 999999) microsecond",
        "cast({} as char)",
        moment(4),
    ),
    (
        "timestamp(3) null",
        "from_unixtime(1 + floor(rand() * 2000000000)) + interval floor(rand() * 999999) microsecond",
        "cast({} as char)",
        moment(3),
    ),
    ("date", "'2000-01-01' + interval floor((rand() - .5) * 100000) day", "cast({} as char)", iso_date),
    ("year", "1901 + floor(rand() * 250)", "{} + 0", int),
    ("double", "(rand() - .5) * pow(10, floor((rand() - .5) * 200))", "{}", float),
    ("float", "(rand() - .5) * pow(10, floor((rand() - .5) * 60))", "{} + 0e0", float),
    ("bit(37)", "floor(rand() * pow(2, 37))", "lpad(bin({} + 0), 37, '0')", str),
    ("mediumint", "floor((rand() - .5) * pow(2, 24))", "{}", int),
    ("smallint unsigned", "floor(rand() * 65536)", "{}", int),
    ("bigint unsigned", "floor(rand() * pow(2, 62)) * 2", "{}", int),
    ("enum('x','y','z')", "1 + floor(rand() * 3)", "{}", str),
    ("set('p','q','r')", "floor(rand() * 8)", "{}", str),
    ("varchar(300)", "repeat(char(97 + rand() * 20), rand() * 300)", "{}", str),
    ("text character set latin1", "concat('ä', repeat('é', rand() * 90))", "{}", str),
    ("blob", "unhex(sha2(rand(), 256))", "hex({})", lambda v: v.hex().upper()),
    (
        "binary(5)",
        "left(unhex(sha2(rand(), 256)), 1 + floor(rand() * 5))",
        "hex({})",
        lambda v: v.hex().upper(),
    ),
]


def test_rows_at_random(every_mysql: MySql, every_mysql_database: str) -> None:
    """Each old row is the one that was there."""
    log = LogReader(every_mysql)
    count = len(COLUMNS)
    with (
        every_mysql.connect(every_mysql_database, charset="utf8mb4") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("set sql_mode = '', time_zone = '+00:00', rand_seed1 = 7, rand_seed2 = 7")
        declared = ", ".join([f"c{n} {column[0]}" for n, column in enumerate(COLUMNS)])
        cursor.execute(f"create table drawn (id int primary key, {declared})")
        fields = ", ".join([f"if(rand() < .2, null, {column[1]})" for column in COLUMNS])
        for id in range(ROWS):
            cursor.execute(f"insert into drawn select {id}, {fields}")
        for n in range(count):
            cursor.execute(f"update drawn set c{n} = null where id % {count} = {n}")
            cursor.execute(
                f"update drawn t join drawn u on u.id = t.id + 1 set t.c{n} = u.c{n} where t.id % 7 = {n % 7}"
            )
        cursor.execute("update drawn set id = id + 1000 where id % 11 = 0")
        cursor.execute("delete from drawn where id % 5 = 0")
        told = ", ".join([column[2].format(f"c{n}") for n, column in enumerate(COLUMNS)])
        cursor.execute(f"select id, {told} from drawn")
        expected = {row[0]: list(row[1:]) for row in cursor.fetchall()}
    state: dict[int, list[Any]] = {}
    for table, pairs in log.rows(every_mysql_database):
        for before, after in pairs:
            if before is not None:
                assert state.pop(before[0]) == _shown(table, before)
            if after is not None:
                assert after[0] not in state
                state[after[0]] = _shown(table, after)
    assert len(expected) > ROWS / 2
    assert state == expected


def _shown(table: TableMap, row: Row) -> list[Any]:
    _, *shape = columns(table, TypeOptions())
    return [
        None if field is None else text(column.value(field))
        for column, field, (*_, text) in zip(shape, row[1:], COLUMNS, strict=True)
    ]
