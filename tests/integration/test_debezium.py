"""The format `debezium` on what a real server logs, and read by Kafka Connect's own JsonConverter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import pytest
from psycopg import sql

from tailrace.abc import Record
from tailrace.errors import Malformed
from tailrace.events import ABSENT, UNCHANGED, Change
from tailrace.formats.connect_types import Mapping
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.rows import GeneratedRows, ReferenceRows
from tests.connect_reader import read_value
from tests.integration.test_postgres_types import TEMPORAL, VALUES, comparable, connection, logged
from tests.servers.artefacts import install, maven_jars
from tests.servers.kafka import java
from tests.unit.debezium_samples import change, encode, text_column
from tests.unit.debezium_samples import table as made_by_hand
from tests.unit.test_debezium_envelope import messages
from tests.unit.test_debezium_text import expected

__all__ = ["connection"]  # the fixture

CONVERTER: Final = "org.apache.kafka:connect-json:3.9.0"

#: Type to values: all that is known, and infinite moments.
TYPES: Final[dict[str, Sequence[str | None]]] = {
    **VALUES,
    **{type: texts for type, (texts, _) in TEMPORAL.items()},
    "timestamptz(3)": ["2026-01-31 13:14:15.1+00", "2026-01-31 13:14:15+00"],
    "timestamp(3)": ["2026-01-31 13:14:15.123", "1936-10-25 22:10:12.6", "infinity", "-infinity"],
    "date ": ["infinity", "-infinity"],
    "timestamp ": ["infinity", "-infinity"],
    "timestamptz ": ["infinity", "-infinity"],
    "float8 ": ["100000000000000", "123456789012345678", "0.0001", "0.00001", "1e20", "-1.5e-7", "3"],
    "float4 ": ["100000", "1000000", "123456.7", "0.0001", "0.00001", "8388608", "-3"],
}


@pytest.fixture
def changes(connection: psycopg.Connection[Any]) -> dict[str, list[Change]]:
    """For each type the inserts of its values, with REPLICA IDENTITY FULL, and a delete of them all."""
    tables = {type: f"t{i}" for i, type in enumerate(TYPES)}
    for type, table in tables.items():
        statement = sql.SQL(
            "CREATE TABLE {0} (id serial PRIMARY KEY, x {1}); ALTER TABLE {0} REPLICA IDENTITY FULL"
        )
        connection.execute(statement.format(sql.Identifier(table), sql.SQL(type)))
    slot = connection.info.dbname
    connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
    try:
        for type, table in tables.items():
            for text in TYPES[type]:
                statement = sql.SQL("INSERT INTO {} (x) VALUES ({}::{})")
                values = (sql.Identifier(table), sql.Literal(text), sql.SQL(type))
                connection.execute(statement.format(*values))
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        found = logged(connection, slot)
    finally:
        connection.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    return {
        type: [change for change in found if change.table.name == table] for type, table in tables.items()
    }


def has_no_json(type: str, text: str | None) -> bool:
    """Whether a value of a numeric type cannot be expressed."""
    return type.startswith("numeric") and text is not None and ("NaN" in text or "Infinity" in text)


def test_what_the_server_logs_is_written_as_its_value(changes: dict[str, list[Change]]) -> None:
    for type, texts in TYPES.items():
        assert len(changes[type]) == 2 * len(texts)
        for event, text in zip(changes[type], [*texts, *texts], strict=True):
            before, after = event.table.split(event.raw)
            row = before if event.op == "d" else after
            assert row is not None
            generated = GeneratedRows(event.table, Mapping())
            reference = ReferenceRows(event.table, "here", Mapping())
            if has_no_json(type, text):
                with pytest.raises(Malformed, match="TR-FMT-001"):
                    reference.after(row, b"", b"")
                continue
            careful = reference.after(row, b"", b"")
            assert generated.after(row, b"", b"") == generated.before(row, b"", b"") == careful, (type, text)
            column = event.table.columns[1]
            value = None if row[1] is None else column.value(row[1])
            if value is not None:
                value = expected((column.type, value, ""))
            read = read_value(column.type, msgspec.json.decode(careful)["x"])
            if type.startswith("numeric"):
                assert read == value, text  # trailing zeros are not kept
            else:
                assert comparable(read) == comparable(value), text


def test_connect_reads_the_records_and_would_write_them_alike(
    changes: dict[str, list[Change]],
) -> None:
    """With schemas: JsonConverter reads every record, and would write what it has read just so."""
    with_schemas = DebeziumFormat(DebeziumFormat.Settings(schemas=True))
    records: list[Record] = []
    for type, texts in TYPES.items():
        for event, text in zip(changes[type], [*texts, *texts], strict=True):
            if has_no_json(type, text) or cannot_return(type, text):
                continue
            records += with_schemas.encode([event])
    records += by_hand()
    lines = [part for record in records for part in (record.key, record.value) if part is not None]
    assert len(lines) > 300
    assert not any(b"\n" in line for line in lines)
    jars = install(CONVERTER.replace(":", "-"), lambda into: maven_jars([CONVERTER], into, transitive=True))
    program = Path(__file__).with_name("RoundTrip.java")
    run = subprocess.run(
        [java(), "-cp", str(jars / "*"), str(program)],
        input=b"\n".join(lines),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    for read, line in zip(run.stdout.splitlines(), lines, strict=True):
        assert parts(read) == parts(line)


def parts(line: bytes) -> Any:
    """Every name, value and digit in its place; only the escapes in strings may differ."""
    return json.loads(line, object_pairs_hook=list, parse_float=str)


def cannot_return(type: str, text: str | None) -> bool:
    """Whether the way through Java changes a value: JsonConverter reads NaN and the infinities as 0, drops
    the sign of zero, writes exponents otherwise, and knows arrays of one dimension."""
    if text is None:
        return False
    if type.startswith("float"):
        return not text[0].isdigit() or "e" in text or not 1e-3 <= float(text) < 1e6
    return type.endswith("[]") and ("{{" in text or "=" in text)


def by_hand() -> Sequence[Record]:
    """What the rows above do not show: key-only rows, placeholders, NULL against the catalogue, messages."""
    table = made_by_hand(text_column("a", optional=False), text_column("b", optional=False), text_column("c"))
    return encode(
        change("u", table, [b"k", ABSENT, ABSENT], [b"k", UNCHANGED, None]),
        change("d", table, [b"k", ABSENT, ABSENT]),
        change("c", table, None, [b"k", None, b"\x01\x7f/\xe2\x80\xa8"]),
        change("t", table),
        change("m", messages(), None, [b"foo", b"bar"]),
        schemas=True,
    )
