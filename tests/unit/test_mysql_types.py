"""MySQL's types: what they are mapped to, and how Debezium's records and plain ones show their values."""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.mysql import codes
from connectors.mysql.binlog.messages import MappedColumn
from connectors.mysql.charsets import charset
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.columns.types import columns
from tailrace.errors import NotReady
from tailrace.events import Column
from tailrace.formats import plain_values
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping, named, primitive
from tailrace.types import Kind, LogicalType
from tests.unit.row_images import column, table

MICROTIME = named("int64", "io.debezium.time.MicroTime")
LATIN1 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ" + bytes(range(160, 256)).decode("latin1")
"""The upper half: every byte is a character."""
POINT = struct.pack("<BIdd", 1, 1, 1.5, -2.0)


def mapped(told: MappedColumn, **options: Any) -> Column:
    (only,) = columns(table(told), TypeOptions(**options))
    return only


def base64(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (column(codes.TINY), LogicalType(Kind.INT16, "tinyint")),
        (column(codes.TINY, unsigned=True), LogicalType(Kind.INT16, "tinyint unsigned")),
        (column(codes.SHORT, unsigned=True), LogicalType(Kind.INT32, "smallint unsigned")),
        (column(codes.INT24, unsigned=True), LogicalType(Kind.INT32, "mediumint unsigned")),
        (column(codes.LONG, unsigned=True), LogicalType(Kind.INT64, "int unsigned")),
        (column(codes.LONGLONG, unsigned=True), LogicalType(Kind.INT64, "bigint unsigned")),
        (column(codes.FLOAT, 4), LogicalType(Kind.FLOAT32, "float")),
        (column(codes.DOUBLE, 8, unsigned=True), LogicalType(Kind.FLOAT64, "double unsigned")),
        (column(codes.DECIMAL, 0x020C), LogicalType(Kind.DECIMAL, "decimal", precision=12, scale=2)),
        (column(codes.BIT, 0x0101), LogicalType(Kind.BITS, "bit(9)", length=9)),
        (column(codes.YEAR), LogicalType(Kind.INT32, "year")),
        (column(codes.DATETIME, 3), LogicalType(Kind.TIMESTAMP, "datetime", precision=3)),
        (column(codes.TIMESTAMP, 6), LogicalType(Kind.TIMESTAMPTZ, "timestamp", precision=6)),
        (column(codes.TIME, 0), LogicalType(Kind.DURATION, "time", precision=0)),
        (column(codes.STRING, 40), LogicalType(Kind.STRING, "char", length=10)),
        (column(codes.STRING, 10, collation=63), LogicalType(Kind.BYTES, "binary")),
        (column(codes.VARCHAR, 10, collation=8), LogicalType(Kind.STRING, "varchar", length=10)),
        (column(codes.VARCHAR, 10, collation=63), LogicalType(Kind.BYTES, "varbinary")),
        (column(codes.BLOB, 2), LogicalType(Kind.STRING, "text")),
        (column(codes.BLOB, 4, collation=63), LogicalType(Kind.BYTES, "longblob")),
        (column(codes.VARCHAR_COMPRESSED, 41), LogicalType(Kind.STRING, "varchar", length=10)),
        (column(codes.BLOB_COMPRESSED, 3, collation=63), LogicalType(Kind.BYTES, "mediumblob")),
        (column(codes.ENUM, 1, labels=(b"\xc3\xa4",)), LogicalType(Kind.ENUM, "enum", labels=("ä",))),
        (
            column(codes.SET, 1, labels=(b"\xe4", b"b"), collation=8),
            LogicalType(Kind.STRING, "set", labels=("ä", "b")),
        ),
        (column(codes.JSON, 4), LogicalType(Kind.JSON, "json")),
        (column(codes.GEOMETRY, 4, geometry=1), LogicalType(Kind.GEOMETRY, "point")),
        (column(codes.GEOMETRY, 4, geometry=7), LogicalType(Kind.GEOMETRY, "geometrycollection")),
    ],
)  # fmt: skip
def test_types(told: MappedColumn, expected: LogicalType) -> None:
    found = mapped(told)
    assert (found.name, found.type, found.optional) == ("c0", expected, True)


PAGE = Path(__file__).parents[2] / "docs" / "mysql-types.md"
TOLD = {
    **{f"{name}{sign}": column(type, unsigned=bool(sign))
       for name, type in {"tinyint": codes.TINY, "smallint": codes.SHORT, "mediumint": codes.INT24,
                          "int": codes.LONG, "bigint": codes.LONGLONG}.items()
       for sign in ("", " unsigned")},
    "float": column(codes.FLOAT, 4),
    "double": column(codes.DOUBLE, 8),
    "decimal": column(codes.DECIMAL, 0x020C),
    "bit(1)": column(codes.BIT, 1),
    "bit(9)": column(codes.BIT, 0x0101),
    "year": column(codes.YEAR),
    "date": column(codes.DATE),
    "datetime": column(codes.DATETIME, 3),
    "timestamp": column(codes.TIMESTAMP, 6),
    "time": column(codes.TIME, 0),
    "char": column(codes.STRING, 40),
    "varchar": column(codes.VARCHAR, 40),
    "binary": column(codes.STRING, 10, collation=63),
    "varbinary": column(codes.VARCHAR, 10, collation=63),
    **{f"{name}text": column(codes.BLOB, size)
       for size, name in enumerate(("tiny", "", "medium", "long"), 1)},
    **{f"{name}blob": column(codes.BLOB, size, collation=63)
       for size, name in enumerate(("tiny", "", "medium", "long"), 1)},
    "enum": column(codes.ENUM, 1, labels=(b"a",)),
    "set": column(codes.SET, 1, labels=(b"a",)),
    "json": column(codes.JSON, 4),
    **{name: column(codes.GEOMETRY, 4, geometry=kind)
       for kind, name in enumerate(("geometry", "point", "linestring", "polygon", "multipoint",
                                    "multilinestring", "multipolygon", "geometrycollection"))},
    "vector": column(codes.VECTOR, 4, dimensions=2),
}  # fmt: skip


def test_the_page_says_what_types_become() -> None:
    (lines,) = re.findall(r"^\|---\|---\|---\|\n(.*?)\n\n", PAGE.read_text().split("## ")[0], re.M | re.S)
    said = {}
    for line in lines.splitlines():
        natives, kind, form = line.strip("|").split("|")
        written = re.findall(r"`([\w.]+)`", form)
        said.update(dict.fromkeys(re.findall(r"`([^`]+)`", natives), (kind.strip(), *written)))
    assert said.keys() == TOLD.keys()
    for native, told in TOLD.items():
        type = mapped(told).type
        schema = Mapping().form(type).schema
        name = (schema["name"],) if "name" in schema else ()
        assert (type.native, said[native]) == (native, (type.kind.value, schema["type"], *name))


def test_a_column_that_is_never_null() -> None:
    assert not mapped(column(codes.LONG, nullable=False)).optional


def test_utf8_is_text_as_it_is() -> None:
    """Bytes of other character sets are not what formats may splice."""
    assert mapped(column(codes.VARCHAR, 40)).text
    assert not mapped(column(codes.VARCHAR, 40, collation=8)).text
    assert not mapped(column(codes.VARCHAR_COMPRESSED, 40)).text


@pytest.mark.parametrize(
    "told",
    [
        MappedColumn(codes.LONG, 0, True, False, None, None, None),
        column(codes.VARCHAR, 40, collation=None),
        column(codes.ENUM, 1),
        column(codes.SET, 1),
        column(codes.GEOMETRY, 4),
        column(codes.LONG, unsigned=None),
        column(codes.DECIMAL, 0x020C, unsigned=None),
    ],
)
def test_what_the_log_does_not_tell_is_refused(told: MappedColumn) -> None:
    shape = table(told)
    if told.name is None:
        shape = replace(shape, columns=(told,))
    with pytest.raises(NotReady, match="TR-MY-204") as raised:
        columns(shape, TypeOptions())
    assert "SET PERSIST binlog_row_metadata = FULL;" in raised.value.remedy
    assert "SET GLOBAL binlog_row_metadata = FULL; and binlog_row_metadata = FULL in" in raised.value.remedy
    assert "tailrace offsets reset FILE, and run it again." in raised.value.remedy


def test_an_unknown_collation_is_refused_by_its_number() -> None:
    with pytest.raises(NotReady, match="column c0 has the collation number 9999, which is not known"):
        mapped(column(codes.VARCHAR, 40, collation=9999))


@pytest.mark.parametrize("type", [codes.ENUM, codes.SET])
def test_a_label_that_is_no_text_is_refused(type: int) -> None:
    with pytest.raises(NotReady, match="column c0 has a label that is no text of its character set"):
        mapped(column(type, 1, labels=(b"a", b"\xff")))


def test_big_numbers_without_a_sign() -> None:
    as_number = mapped(column(codes.LONGLONG, unsigned=True))
    for encode in (Mapping().form(as_number.type).encode, plain_values.value_encoder(as_number.type)):
        assert encode(as_number.value(2**63 - 1)) == b"9223372036854775807"
        with pytest.raises(ValueError, match="bigint_unsigned_handling_mode: precise has room"):
            encode(as_number.value(2**63))
        with pytest.raises(ValueError, match="not an integer of 64 bits"):
            encode("7")
    precise = mapped(column(codes.LONGLONG, unsigned=True), bigint_unsigned_handling_mode="precise")
    assert precise.type == LogicalType(Kind.DECIMAL, "bigint unsigned", precision=20, scale=0)
    assert precise.value(2**64 - 1) == Decimal(2**64 - 1)


@pytest.mark.parametrize(
    ("told", "raw", "schema", "json", "plain"),
    [
        (column(codes.YEAR), 126, named("int32", "io.debezium.time.Year"), "2026", "2026"),
        (column(codes.LONG), 7, primitive("int32"), "7", "7"),
        (column(codes.BIT, 1), b"\1", primitive("boolean"), "true", '"1"'),
        (
            column(codes.BIT, 0x0101), b"\0\5", named("bytes", "io.debezium.data.Bits", {"length": "9"}),
            f'"{base64(bytes([5, 0]))}"', '"000000101"',
        ),
        (
            column(codes.SET, 1, labels=(b"a", b"b")), b"\3",
            named("string", "io.debezium.data.EnumSet", {"allowed": "a,b"}), '"a,b"', '"a,b"',
        ),
        (
            column(codes.ENUM, 1, labels=(b"a", b"b")), 2,
            named("string", "io.debezium.data.Enum", {"allowed": "a,b"}), '"b"', '"b"',
        ),
        (column(codes.TIME, 0), bytes.fromhex("7fffff"), MICROTIME, "-1000000", '"-00:00:01"'),
        (column(codes.TIME, 2), bytes.fromhex("b46efb63"), MICROTIME, "3020399990000", '"838:59:59.99"'),
    ],
)  # fmt: skip
def test_records(told: MappedColumn, raw: Any, schema: Any, json: str, plain: str) -> None:
    found = mapped(told)
    form = Mapping().form(found.type)
    assert form.schema == schema
    assert form.encode(found.value(raw)) == json.encode()
    assert plain_values.value_encoder(found.type)(found.value(raw)) == plain.encode()


def test_times_in_other_units() -> None:
    found = mapped(column(codes.TIME, 0))
    day, second = found.value(bytes.fromhex("818000")), found.value(bytes.fromhex("7fffff"))

    def form(mode: Any) -> Any:
        return Mapping(Options(time_precision_mode=mode)).form(found.type)

    assert form("nanoseconds").schema == named("int64", "io.debezium.time.NanoTime")
    assert form("nanoseconds").encode(second) == b"-1000000000"
    assert form("connect").encode(day) == b"86400000"
    assert form("isostring").encode(day) == b'"24:00:00Z"'
    for mode in ("connect", "isostring"):  # times of a day
        with pytest.raises(ValueError, match="not a time of day"):
            form(mode).encode(second)


def test_points_tell_their_coordinates() -> None:
    found = mapped(column(codes.GEOMETRY, 4, geometry=1))
    form = Mapping().form(found.type)
    assert form.schema["name"] == "io.debezium.data.geometry.Point"
    expected = f'{{"x":1.5,"y":-2.0,"wkb":"{base64(POINT)}","srid":4326}}'
    assert form.encode(found.value(struct.pack("<I", 4326) + POINT)) == expected.encode()
    expected = f'{{"x":1.5,"y":-2.0,"wkb":"{base64(POINT)}","srid":null}}'
    assert form.encode(found.value(bytes(4) + POINT)) == expected.encode()
    with pytest.raises(ValueError, match="not a point in little-endian WKB"):
        form.encode((None, POINT.replace(b"\1\1", b"\1\2", 1)))


def test_other_geometries_are_wkb() -> None:
    found = mapped(column(codes.GEOMETRY, 4, geometry=0))
    form = Mapping().form(found.type)
    assert form.schema["name"] == "io.debezium.data.geometry.Geometry"
    assert form.encode(found.value(bytes(4) + POINT)) == f'{{"wkb":"{base64(POINT)}","srid":null}}'.encode()


def test_vectors_are_of_short_floats() -> None:
    found = mapped(column(codes.VECTOR, 4, dimensions=2))
    form = Mapping().form(found.type)
    assert (form.schema["name"], form.schema["items"]) == ("io.debezium.data.FloatVector", primitive("float"))
    assert form.encode(found.value(struct.pack("<2f", 0.1, -1))) == b"[0.1,-1.0]"


@pytest.mark.parametrize(
    ("collation", "raw", "text"),
    [
        (8, "80819d", "€\x81\x9d"),
        (45, "f09f9880", "😀"),
        (54, "d83dde00", "😀"),
        (10, "5b5c5d407e", "ÄÖÅÉü"),
        (13, "815f8260", "\\Ａ"),
        (97, "ada141a1c18fa2b7fefe", "①A～～\ue3ab"),
        (12, "a1c07e8ff5a1", "\\~\ue3ac"),
        (1, "f9d641a440", "碁A一"),
        (248, "a8bc8135f437a8bb", "ḿ\ue7c7ɑ"),
        (32, "b241", "ԱA"),
        (8, bytes(range(256)).hex(), bytes(range(128)).decode() + LATIN1),
    ],
)
def test_character_sets(collation: int, raw: str, text: str) -> None:
    known = charset(collation)
    assert known
    assert known.decode(bytes.fromhex(raw)) == text


@pytest.mark.parametrize(
    ("collation", "raw"), [(45, "ff"), (28, "81"), (97, "a1"), (3, "a4"), (33, "c3"), (11, "c3a9")]
)
def test_what_is_no_text(collation: int, raw: str) -> None:
    known = charset(collation)
    assert known
    with pytest.raises(ValueError, match="decode"):
        known.decode(bytes.fromhex(raw))
