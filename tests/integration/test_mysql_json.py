"""JSON documents out of MySQL's binary log: the text that SELECT gives, of whole ones and of changed ones."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import pytest

from connectors.mysql.columns.json_diffs import Patched
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.columns.types import columns
from tailrace.errors import Malformed
from tests.binlog import LogReader
from tests.servers import MySql

DOCUMENTS: Final = [
    "'null'", "'true'", "'false'", "'[]'", "'{}'", "'\"\"'", "'0'", "'-1'", "'[[[[]]]]'",
    "'[-32768, 32767, 32768, 65535, 65536, -32769, 2147483647, 2147483648, 4294967295, 4294967296]'",
    "'[9223372036854775807, -9223372036854775808, 18446744073709551615, 18446744073709551616]'",
    "'{\"bb\": 1, \"a\": 2, \"ccc\": [1, {\"d\": null}], \"\": 0, \"ä€😀\": \"ä€😀\"}'",
    r"""'{"k\\"\\\\": "q\\" b\\\\ s\\/ n\\n t\\t r\\r f\\f b\\b u\\u0001 d\\u007f \\u2028"}'""",
    "'[1.0, 1.5, -0.0, 0.1, 1e15, 1e14, 123456789012345678, 1e16, 1e-4, 1e-5, 1e-14, 1e-15, 1e-16]'",
    "'[1e300, 1.7976931348623157e308, 2.2250738585072014e-308, 5e-324, 1234567890123456.8]'",
    "'[0.30000000000000004]'",
    "'[1e17, 1.25e-10, -1.25e-15, -1.25e-16, 999999999999999.9, 9999999999999998.0, 100000000000000.0]'",
    "json_array(cast('12.50' as decimal(10,2)), cast('-0.001' as decimal(65,30)), cast(7 as decimal(5,0)))",
    "json_array(cast(-12345678901234567890123456789012345.6 as decimal(65,30)) + 0)",
    f"json_array({'9' * 65} + 1, cast({'1' * 55}.123 as decimal(65,10)), -{'9' * 35}.{'9' * 30} - 1)",
    f"cast(cast(-{'9' * 35}.{'9' * 30} as decimal(65,30)) as json)",
    "json_array(cast('2026-01-31' as date), cast('0001-01-01' as date), cast('9999-12-31' as date))",
    "json_array(cast('13:14:15.123456' as time(6)), cast('-838:59:59' as time), cast('00:00:00' as time))",
    "json_array(cast('2026-01-31 13:14:15.5' as datetime(6)), timestamp '1999-12-31 23:59:59')",
    "json_array(x'00ff10', cast(repeat('x', 200) as binary), b'101', cast(x'' as binary))",
    "json_array(year(now()) < 0, cast(1 as unsigned), point(1, 2), repeat('long ', 100))",
    "json_object('a', json_array(), 'b', json_object(), 'c', cast('1' as json))",
    "json_array(repeat('x', 127), repeat('x', 128), repeat('x', 16384))",
    "json_array(repeat('y', 70000), 1, 70000, 2147483648, true)",  # in the large form
    "json_object('k', repeat('y', 70000), 'i', 70000, 'one', 1, 'n', 2, 'd', json_array(json_array(1)))",
    "concat(repeat('[', 99), repeat(']', 99))",
]  # fmt: skip


def test_documents_are_read_as_select_tells_them(mysql: MySql, mysql_database: str) -> None:
    log = LogReader(mysql)
    with mysql.connect(mysql_database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("create table documents (id int primary key, j json)")
        for id, document in enumerate(DOCUMENTS):
            cursor.execute(f"insert into documents values ({id}, {document})")
        cursor.execute("select j from documents order by id")
        told = [row[0] for row in cursor.fetchall()]
    read = []
    for table, pairs in log.rows(mysql_database):
        (_, j) = columns(table, TypeOptions())
        read += [j.value(new[1]) for _, new in pairs if new]
    assert len(told) == len(DOCUMENTS)
    for expected, found in zip(told, read, strict=True):
        assert found == expected


def test_documents_at_random(mysql: MySql, mysql_database: str) -> None:
    drawn = random.Random(7)
    documents = [json.dumps(_document(drawn, 4)) for _ in range(300)]
    log = LogReader(mysql)
    with mysql.connect(mysql_database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("create table documents (id int primary key, j json)")
        cursor.executemany("insert into documents values (%s, %s)", list(enumerate(documents)))
        cursor.execute("select j from documents order by id")
        told = [row[0] for row in cursor.fetchall()]
    read = []
    for table, pairs in log.rows(mysql_database):
        (_, j) = columns(table, TypeOptions())
        read += [j.value(new[1]) for _, new in pairs if new]
    assert read == told


def _document(drawn: random.Random, depth: int) -> Any:
    kind = drawn.randrange(8 if depth else 6)
    if kind == 0:
        return drawn.choice([None, True, False])
    if kind == 1:
        return drawn.randrange(-(2 ** drawn.randrange(1, 63)), 2 ** drawn.randrange(1, 64))
    if kind == 2:
        return drawn.uniform(-1, 1) * 10 ** drawn.randrange(-20, 20)
    if kind in (3, 4, 5):
        return "".join(drawn.choices('ab"\\\n\x01ä€😀 /', k=drawn.randrange(20)))
    if kind == 6:
        return [_document(drawn, depth - 1) for _ in range(drawn.randrange(5))]
    return {
        "".join(drawn.choices("abä€\"' ", k=drawn.randrange(6))): _document(drawn, depth - 1)
        for _ in range(drawn.randrange(6))
    }


#: Values of the database's own types in a document, drawn by `rand()`.
DRAWN: Final = [
    "cast((rand() - .5) * pow(10, floor(rand() * 30)) as decimal({digits}))",
    "cast('1000-01-01' + interval floor(rand() * 3000000) day as date)",
    "cast(sec_to_time((rand() - .5) * 6000000) as time(6))",
    "cast('1000-01-01' + interval floor(rand() * 200000000000) second + interval floor(rand() * 999999)"
    " microsecond as datetime(6))",
    "cast(left(unhex(repeat(sha2(rand(), 512), 3)), floor(rand() * 190)) as binary)",
    "(rand() - .5) * pow(10, floor((rand() - .5) * 600))",
    "cast(floor(rand() * pow(2, 63)) as unsigned) * 2",
]


def test_documents_of_the_databases_own_types_at_random(mysql: MySql, mysql_database: str) -> None:
    drawn = random.Random(5)
    log = LogReader(mysql)
    with mysql.connect(mysql_database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("set rand_seed1 = 3, rand_seed2 = 4")
        cursor.execute("create table documents (id int primary key, j json)")
        for id in range(150):
            parts = []
            for _ in range(drawn.randrange(1, 5)):
                scale = drawn.randrange(31)
                digits = f"{drawn.randrange(scale + 31, 66)},{scale}"
                parts.append(drawn.choice(DRAWN).format(digits=digits))
            document = f"json_array({', '.join(parts)})"
            if drawn.random() < 0.5:
                document = (
                    f"json_object('inner', {document}, 'big', repeat('x', {drawn.choice((0, 9, 70000))}))"
                )
            cursor.execute(f"insert into documents values ({id}, {document})")
        cursor.execute("select j from documents order by id")
        told = [row[0] for row in cursor.fetchall()]
    read = []
    for table, pairs in log.rows(mysql_database):
        (_, j) = columns(table, TypeOptions())
        read += [j.value(new[1]) for _, new in pairs if new]
    assert read == told


UPDATES: Final = [
    "j = json_set(j, '$.name', 'a name of about the same size')",
    "j = json_set(j, '$.count', 70000)",
    "j = json_replace(j, '$.list[0]', 5, '$.list[last]', 'x', '$.\"quoted key\"', null)",
    "j = json_remove(j, '$.list[0]')",
    "j = json_remove(j, '$.inner.a', '$.name')",
    "j = json_set(j, '$.inner', cast('{\"z\": 1}' as json)), k = json_set(k, '$[1]', 9)",
    "j = json_set(j, '$.inner.deep', json_array(1, 2)), n = n + 1",
    "j = json_set(j, '$.list', json_array(repeat('y', 300)))",
    "k = json_set(k, '$[3]', 'beyond')",
    "k = json_remove(k, '$[0]'), j = json_set(j, '$.\"a\\\\\"b\"', 'ä€')",
    "j = json_set(j, '$.\"\"', 1)",
    "j = json_array(1)",
    "j = null",
    "j = json_object('again', 1), k = null",
    "n = n + 1",
]


def test_partial_updates_give_what_select_tells(mysql: MySql, mysql_database: str) -> None:
    """Rows after each statement, with and without other columns between."""
    log = LogReader(mysql)
    told = []
    with mysql.connect(mysql_database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("create table documents (id int primary key, j json, n int, k json)")
        cursor.execute(
            "insert into documents values (1, %s, 0, '[1, 2, {}]'), (2, %s, 0, '[[], 7]')",
            (
                '{"name": "a name of some size", "count": 1, "list": [1, 2, 3], "inner": {"a": [1], "b": 2}, '
                '"quoted key": 1.5, "a\\"b": "xxxxxxxxx"}',
                '{"inner": {}, "list": [1, 2], "name": "another name that is long", "a": {"b": {"c": "d"}}}',
            ),
        )
        cursor.execute("set binlog_row_value_options = 'PARTIAL_JSON'")
        for update in UPDATES:
            cursor.execute(f"update documents set {update} order by id")
            cursor.execute("select id, j, n, k from documents order by id")
            told.append({row[0]: row for row in cursor.fetchall()})
    events = list(log.rows(mysql_database))
    assert len(events) == 1 + len(UPDATES)
    patches = 0
    current: dict[int, Any] = {}
    for number, (table, pairs) in enumerate(events):
        shape = columns(table, TypeOptions())
        for _, new in pairs:
            assert new
            patches += sum(isinstance(field, Patched) for field in new)
            row = [None if f is None else c.value(f) for c, f in zip(shape, new, strict=True)]
            current[new[0]] = tuple(row)
        if number:
            assert current == told[number - 1], UPDATES[number - 1]
    assert patches >= 10


def test_partial_updates_at_random(mysql: MySql, mysql_database: str) -> None:
    """Members set, put in, replaced and taken out, several in one statement; where the new value has room in
    the old one's place, and where it has none."""
    drawn = random.Random(11)
    log = LogReader(mysql)
    told = []
    with mysql.connect(mysql_database, charset="utf8mb4") as connection, connection.cursor() as cursor:
        cursor.execute("create table documents (id int primary key, j json)")
        cursor.execute("set binlog_row_value_options = 'PARTIAL_JSON'")
        for id in range(8):
            document = {name: _document(drawn, 3) for name in ("a", "b", "ä ö", "list")} | {
                "list": [1, [2], {}]
            }
            cursor.execute("insert into documents values (%s, %s)", (id, json.dumps(document)))
        for _ in range(150):
            expression = "j"
            for _ in range(drawn.randrange(1, 4)):
                path = drawn.choice(
                    [
                        "$.a",
                        "$.b",
                        "$.list[0]",
                        "$.list[last]",
                        "$.list[9]",
                        "$.list[1][0]",
                        '$."ä ö"',
                        "$.new",
                        "$.a.x",
                    ]
                )
                change = drawn.choice(("set", "replace", "insert", "array_insert", "array_append", "remove"))
                if change == "array_insert" and "[" not in path:
                    change = "set"
                value = "" if change == "remove" else f", cast({_literal(_document(drawn, 2))} as json)"
                expression = f"json_{change}({expression}, {_literal_text(path)}{value})"
            cursor.execute(f"update documents set j = {expression} where id = {drawn.randrange(8)}")
            cursor.execute("select id, j from documents")
            told.append(dict(cursor.fetchall()))
    current: dict[int, str] = {}
    patches = 0
    states = []
    for table, pairs in log.rows(mysql_database):
        (_, j) = columns(table, TypeOptions())
        for old, new in pairs:
            assert new
            patches += isinstance(new[1], Patched)
            if old:
                assert current[old[0]] == j.value(old[1])
            current[new[0]] = j.value(new[1])
        states.append(dict(current))
    assert patches > 20
    # A statement that changes nothing is not in the log.
    changed = [state for state, before in zip(told, [states[7], *told], strict=False) if state != before]
    assert states[8:] == changed


def _literal(document: Any) -> str:
    return _literal_text(json.dumps(document))


def _literal_text(text: str) -> str:
    """As SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def test_partial_updates_of_many_documents(mysql: MySql, mysql_database: str) -> None:
    """The bitmap of JSON columns has more than a byte, and counts those that the image lacks."""
    names = [f"j{n}" for n in range(12)]
    log = LogReader(mysql)
    with mysql.connect(mysql_database) as connection, connection.cursor() as cursor:
        declared = ", ".join(f"{name} json" for name in names)
        cursor.execute(f"create table documents (id int primary key, {declared}, n int)")
        values = ", ".join([f"""'{{"k": "a text of some size", "n": {n}}}'""" for n in range(12)])
        cursor.execute(f"insert into documents values (1, {values}, 0)")
        cursor.execute("set binlog_row_value_options = 'PARTIAL_JSON'")
        cursor.execute(
            "update documents set j2 = json_set(j2, '$.k', 'b'), j9 = json_remove(j9, '$.n'), j11 = null, "
            "j10 = json_set(j10, '$.k', 'c')"
        )
        cursor.execute("select * from documents")
        told = cursor.fetchall()
    *_, (table, ((_, new),)) = log.rows(mysql_database)
    assert new
    assert [type(field) for field in new].count(Patched) == 3
    shape = columns(table, TypeOptions())
    assert tuple(None if f is None else c.value(f) for c, f in zip(shape, new, strict=True)) == told[0]


def test_changes_without_the_document_before_are_refused(mysql: MySql, mysql_database: str) -> None:
    log = LogReader(mysql)
    with mysql.connect(mysql_database) as connection, connection.cursor() as cursor:
        cursor.execute("create table documents (id int primary key, j json)")
        cursor.execute("""insert into documents values (1, '{"k": "a text of some size"}')""")
        cursor.execute("set binlog_row_value_options = 'PARTIAL_JSON', binlog_row_image = 'MINIMAL'")
        cursor.execute("update documents set j = json_set(j, '$.k', 'b')")
    with pytest.raises(Malformed, match="TR-MY-203") as raised:
        list(log.rows(mysql_database))
    assert "binlog_row_image=FULL" in raised.value.remedy
