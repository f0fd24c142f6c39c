"""Values out of the log of a real server equal what the server and psycopg say they are."""

import builtins
import math
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types import TypeInfo
from psycopg.types.string import TextLoader

from connectors.postgres.position import WalPosition, parse_lsn
from connectors.postgres.protocol import Decoder
from connectors.postgres.relations import Relations
from tailrace.events import Batch, Change
from tests.servers import Postgres
from tests.unit.pgoutput import described, relations
from tests.unit.recordings.record import relations as catalogue

SESSION = (
    "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c bytea_output=hex -c timezone=UTC"
)

VALUES: dict[str, list[str | None]] = {
    "bool": ["t", "f", None],
    "int2": ["-32768", "32767", "0", None],
    "int4": ["-2147483648", "2147483647", None],
    "int8": ["-9223372036854775808", "9223372036854775807", None],
    "float4": ["1.1", "-0", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity", "16777217", None],
    "float8": ["0.1", "-0", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity", "1e15", None],
    "numeric": ["0", "-0.000000000000000000001", "1e1000", "NaN", "Infinity", "-Infinity", "1.10", None],
    "numeric(12,2)": ["14285.57", "-0.005", "9999999999.99", "NaN", None],
    "numeric(5,-3)": ["12345678", "-499", None],
    "numeric(3,5)": ["0.00123", "-0.00999", None],
    "text": ["", "ünï ", "a\tb\\n\nc", "'\"{},", "𝄞", None],
    "varchar(5)": ["", "äöüßé", "ab   ", None],
    "char(5)": ["", "ab", "äöüßé", None],
    '"char"': ["", "x", "\\", None],
    "name": ["", "n" * 63, None],
    "bytea": ["", "\\x00ff5c27", "\\xdeadbeef", None],
    "uuid": ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", None],
    "json": ['{ "a" : 1.0, "a": null }', "null", '"ü"', "[ ]", None],
    "jsonb": ['{ "b" : 1.0, "a": null }', "null", '"\\u00fc"', "1e3", None],
    "mood": ["sad", "so, so", 'it\'s "ok"\\', None],
    "bool[]": ["{}", "{t,NULL,f}", None],
    "int2[]": ["{1,-2}", "[5:6]={1,NULL}"],
    "int4[]": ["{{1,2},{3,4}}", "[-1:0][2:2]={{1},{2}}", "{NULL}"],
    "int8[]": ["{9223372036854775807}"],
    "float4[]": ["{1.1,NaN,-Infinity,NULL}"],
    "float8[]": ["{{0.1},{5e-324}}"],
    "numeric[]": ["{1.10,NaN,-Infinity,NULL}"],
    "numeric(5,1)[]": ["{1.25,NULL}"],
    "text[]": [
        '{"",NULL,"NULL",null,"null"," a ","a,b","{","}","\\"","\\\\","ü","x\ty","a\nb"}',
        '{{a,b},{"c d",NULL}}',
        '{{{"{}"}}}',
    ],
    "varchar(3)[]": ["{abc,äöü}"],
    "char(3)[]": ["{a,abc}"],
    '"char"[]': ['{a,"\\\\"," "}'],
    "name[]": ['{a,"b c"}'],
    "bytea[]": ['{"\\\\x00ff","\\\\x",NULL}'],
    "uuid[]": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"],
    "json[]": ['{"{ \\"a\\" : [1,2] }",null,"null"}'],
    "jsonb[]": ['{"{\\"a\\": \\"x\\\\\\"y\\"}"}'],
    "mood[]": ['{sad,"so, so",NULL,"it\'s \\"ok\\"\\\\"}', "{{sad},{sad}}"],
}

EPOCH = "extract(epoch FROM x) * 1000000"

# Values, and what the canonical value of x is, in SQL.
TEMPORAL: dict[str, tuple[list[str | None], str]] = {
    "date": (
        [
            "1970-01-01", "2026-02-28", "0001-01-01", "0001-12-31 BC", "0001-02-29 BC", "4713-01-01 BC",
            "9999-12-31", "10000-01-01", "5874897-12-31", None,
        ],
        "x - date '1970-01-01'",
    ),
    "time": (["00:00", "23:59:59.999999", "24:00", "13:14:15.1", None], EPOCH),
    "time(2)": (["13:14:15.126", "23:59:59.999"], EPOCH),
    "timestamp": (
        [
            "1970-01-01 00:00", "1969-12-31 23:59:59.999999", "2026-01-31 13:14:15.1",
            "0001-01-01 00:00:00.5", "0001-12-31 23:59:59.999999 BC", "4713-01-01 BC",
            "9999-12-31 23:59:59.999999", "10000-01-01", "290000-12-31 23:59:59.999999", None,
        ],
        EPOCH,
    ),
    "timestamp(0)": (["2026-01-31 13:14:15.5"], EPOCH),
    "timestamptz": (
        [
            "1970-01-01 00:00+00", "2026-06-30 13:14:15.123+05:30", "1880-01-01 00:00 Europe/Berlin",
            "0044-03-15 BC", "290000-12-31 23:59:59.999999+00", None,
        ],
        EPOCH,
    ),
    "timetz": (
        ["00:00+00", "24:00-15:59:59", "13:14:15.1+05:30", "23:59:59.999999-07", None],
        f"{EPOCH} + extract(timezone FROM x) * 1000000",
    ),
}  # fmt: skip


@pytest.fixture
def connection(postgres: Postgres, postgres_database: str) -> Iterator[psycopg.Connection[Any]]:
    with postgres.connect(postgres_database, options=SESSION) as connection:
        connection.execute("""CREATE TYPE mood AS ENUM ('sad', 'so, so', E'it''s "ok"\\\\')""")
        connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
        connection.prepare_threshold = None
        for text_kept in ("json", "jsonb", "uuid"):
            connection.adapters.register_loader(text_kept, TextLoader)
        mood = TypeInfo.fetch(connection, "mood")
        assert mood
        mood.register(connection)  # for its arrays
        yield connection


def logged(connection: psycopg.Connection[Any], slot: str) -> list[Change]:
    """The changes behind the slot, in order."""
    messages = [
        struct.pack(">cQQq", b"w", parse_lsn(lsn), parse_lsn(lsn), 0) + data
        for lsn, data in connection.execute(
            "SELECT lsn::text, data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL,"
            " 'proto_version', '1', 'publication_names', 'everything', 'messages', 'true')",
            (slot,),
        )
    ]
    details = {int(oid): described(relation) for oid, relation in catalogue(connection).items()}
    known: Relations = relations()
    decoder = Decoder(known, WalPosition(0))
    needed = decoder.feed(messages)
    while needed:
        needed = decoder.describe(details[needed.oid])
    batch = decoder.cut()
    assert isinstance(batch, Batch)
    return [event for event in batch.events if isinstance(event, Change)]


def values(connection: psycopg.Connection[Any], type: str, texts: list[str | None]) -> list[Any]:
    """What the decoder makes of these values of a type, inserted one by one."""
    connection.execute("DROP TABLE IF EXISTS t")
    connection.execute(sql.SQL("CREATE TABLE t (id serial PRIMARY KEY, x {})").format(sql.SQL(type)))
    slot = connection.info.dbname
    connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
    try:
        for text in texts:
            statement = sql.SQL("INSERT INTO t (x) VALUES ({}::{})")
            connection.execute(statement.format(sql.Literal(text), sql.SQL(type)))
        found = []
        for change in logged(connection, slot):
            _, after = change.table.split(change.raw)
            assert after
            field, column = after[1], change.table.columns[1]
            found.append(None if field is None else column.value(field))
        return found
    finally:
        connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))


def comparable(value: Any) -> Any:
    """NaN equal to itself, -0 unlike 0, and 1.1 unlike 1.10, in lists too."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return repr(value) if isinstance(value, float | Decimal) else value


def test_values_are_what_psycopg_reads(connection: psycopg.Connection[Any]) -> None:
    for type, texts in VALUES.items():
        found = values(connection, type, texts)
        expected = [x for (x,) in connection.execute("SELECT x FROM t ORDER BY id")]
        assert len(found) == len(texts)
        assert comparable(found) == comparable(expected), type


def test_temporal_values_are_what_the_server_counts(connection: psycopg.Connection[Any]) -> None:
    for type, (texts, canonical) in TEMPORAL.items():
        found = values(connection, type, texts)
        counted = connection.execute(sql.SQL("SELECT {} FROM t ORDER BY id").format(sql.SQL(canonical)))
        expected: list[Any] = [None if x is None else int(x) for (x,) in counted]
        if type == "timetz":
            offsets = connection.execute("SELECT extract(timezone FROM x)::int FROM t ORDER BY id")
            pairs = zip(expected, offsets, strict=True)
            expected = [None if x is None else (x, east) for x, (east,) in pairs]
        assert found == expected, type
        assert float not in map(builtins.type, found)


def test_infinite_moments(connection: psycopg.Connection[Any]) -> None:
    for type in ("date", "timestamp", "timestamptz"):
        assert values(connection, type, ["infinity", "-infinity"]) == [math.inf, -math.inf]


def test_many_moments_of_all_times(connection: psycopg.Connection[Any]) -> None:
    """Days and moments spread over all that PostgreSQL can hold."""
    connection.execute("CREATE TABLE moments (d date, ts timestamp, tz timestamptz)")
    slot = connection.info.dbname
    connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
    connection.execute(
        "INSERT INTO moments SELECT date '4713-01-01 BC' + g * 1073749,"
        " timestamp '4713-01-01 BC' + g * interval '1309:17:23.000123' * 31,"
        " timestamptz '1900-01-01+00' + g * interval '31:17:23.000123' FROM generate_series(0, 1999) g"
    )
    expected = connection.execute(
        "SELECT (d - date '1970-01-01')::int8, (extract(epoch FROM ts) * 1000000)::int8,"
        " (extract(epoch FROM tz) * 1000000)::int8 FROM moments ORDER BY d"
    ).fetchall()
    found = []
    for change in logged(connection, slot):
        _, after = change.table.split(change.raw)
        assert after
        pairs = zip(change.table.columns, after, strict=True)
        found.append(tuple(column.value(field) for column, field in pairs))
    assert found == expected
    connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
