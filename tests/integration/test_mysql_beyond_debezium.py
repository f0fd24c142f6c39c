"""What Debezium stops at, or leaves out: the records that are delivered hold what SELECT tells, of every row
that was there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tailrace.formats.debezium import DebeziumFormat
from tests.integration.mysql_following import Follower, changes
from tests.servers import MySql


def as_hex(value: str) -> str:
    """What stands as bytes in a record."""
    return base64.b64decode(value).hex().upper()


@dataclass(frozen=True)
class Case:
    """A column `x`, the values that it gets one after the other, and how both sides tell them."""

    declared: str
    values: Sequence[str]  # as SQL; the first is inserted
    told: str = "x"
    read: Callable[[Any], Any] = str
    session: Sequence[str] = ()


COMPRESSED: Final = ["SET SESSION binlog_transaction_compression = ON"]
PARTIAL: Final = ["SET SESSION binlog_row_value_options = 'PARTIAL_JSON'"]
DOCUMENT: Final = """'{"a": 1, "b": "x", "c": [1, 2.5, {"d": null}], "e": "%s"}'""" % ("long " * 50)
STEPS: Final = [
    DOCUMENT,
    "JSON_SET(x, '$.a', 2)",
    "JSON_REPLACE(x, '$.c[2].d', 'ü', '$.b', JSON_OBJECT('k', TRUE))",
    "JSON_REMOVE(x, '$.c[0]', '$.b')",
    "JSON_SET(x, '$.new', CAST('12:30:00' AS TIME), '$.n', 1e20)",
]

CASES: Final[dict[str, dict[str, Case]]] = {
    "mariadb": {
        "uuid": Case(
            "uuid",
            ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"],
            "hex(cast(x as binary(16)))",
            as_hex,
        ),
        "inet4": Case("inet4", ["'1.2.3.0'", "'255.0.0.0'"], "hex(cast(x as binary(4)))", as_hex),
        "inet6": Case("inet6", ["'2001:db8::'", "'::ffff:1.2.3.0'"], "hex(cast(x as binary(16)))", as_hex),
        "varchar compressed": Case("varchar(500) compressed", ["repeat('ü', 300)", "''", "'short'"]),
        "text compressed": Case("text compressed", ["repeat('abc', 900)", "'€'"]),
        "varbinary compressed": Case(
            "varbinary(500) compressed", ["repeat(x'00', 400)", "x'ff'"], "hex(x)", as_hex
        ),
        "blob compressed": Case("blob compressed", ["repeat(x'41ff', 9000)", "x''"], "hex(x)", as_hex),
    },
    "mysql": {
        "partial JSON": Case("json", STEPS, session=PARTIAL),
        "partial JSON in compressed transactions": Case("json", STEPS, session=[*PARTIAL, *COMPRESSED]),
        "compressed transactions": Case("text", ["repeat('abc', 900)", "'ü'"], session=COMPRESSED),
    },
}


@pytest.fixture
def database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    return make_database(every_mysql)


async def test_records_hold_what_select_tells(every_mysql: MySql, database: str) -> None:
    """Row by row: of inserts, updates, and deletes with the row before them."""
    cases = CASES[every_mysql.flavor]
    for number, case in enumerate(cases.values()):
        every_mysql.execute(
            f"CREATE TABLE t{number} (id int PRIMARY KEY, x {case.declared}, y int)", database=database
        )
    expected: dict[str, list[Any]] = {}
    async with Follower(every_mysql, database) as follower:
        await follower.start()
        for number, (name, case) in enumerate(cases.items()):
            with every_mysql.connect(database) as connection, connection.cursor() as cursor:
                for statement in case.session:
                    cursor.execute(statement)
                for step, value in enumerate((*case.values, None)):
                    if value is None:
                        cursor.execute(f"DELETE FROM t{number}")
                        continue
                    cursor.execute(
                        f"UPDATE t{number} SET x = {value}, y = {step}"
                        if step
                        else f"INSERT INTO t{number} VALUES (1, {value}, 0)"
                    )
                    cursor.execute(f"SELECT {case.told} FROM t{number}")
                    ((told,),) = cursor.fetchall()
                    expected.setdefault(name, []).append(told)
        found = changes(await follower.until())
    debezium = DebeziumFormat(DebeziumFormat.Settings())
    for number, (name, case) in enumerate(cases.items()):
        of_table = [change for change in found if change.table.name == f"t{number}"]
        told = [json.loads(record.value) for record in debezium.encode(of_table) if record.value is not None]
        after = [case.read(value["after"]["x"]) for value in told if value["after"]]
        before = [case.read(value["before"]["x"]) for value in told if value["before"]]
        assert (name, after, before) == (name, expected[name], expected[name])
        assert [value["op"] for value in told] == ["c", *"u" * (len(case.values) - 1), "d"]
