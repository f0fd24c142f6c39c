"""Values of every type, out of the binary log of real servers: what SELECT tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from ctypes import c_float
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.columns.types import columns
from tailrace.formats import plain_values
from tailrace.formats.connect_types import Mapping
from tailrace.formats.connect_values import iso_date
from tailrace.types import Kind, LogicalType
from tests.binlog import LogReader
from tests.connect_reader import READABLE, read_value
from tests.servers import MySql

DAY: Final = 86_400_000_000


@dataclass(frozen=True)
class Case:
    """A column, the values that are written into it, and how its values are told by SQL and by us."""

    declared: str
    kind: Kind
    values: Sequence[str]  # as SQL
    told: str = "x"  # an expression over x
    text: Callable[[Any], Any] = str
    only: str | None = None  # a flavor


def clock(time: int, digits: int) -> str:
    seconds, fraction = divmod(abs(time), 1_000_000)
    point = f".{fraction:06}"[: digits + 1] if digits else ""
    sign = "-" if time < 0 else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}"


def moment(digits: int) -> Callable[[int], str]:
    return lambda value: f"{iso_date(value // DAY)} {clock(value % DAY, digits)}"


def integer(declared: str, kind: Kind, low: int, high: int) -> Case:
    return Case(declared, kind, [str(low), "-1" if low else "1", "0", str(high), str(high // 3)])


def decimal(declared: str, *values: str) -> Case:
    return Case(declared, Kind.DECIMAL, values, "cast(x as char)", lambda value: f"{value:f}")


def binary(declared: str, *values: str) -> Case:
    return Case(declared, Kind.BYTES, values, "hex(x)", lambda value: value.hex().upper())


def text(declared: str, *values: str, only: str | None = None, kind: Kind = Kind.STRING) -> Case:
    return Case(declared, kind, [f"'{value}'" for value in values], only=only)


def temporal(name: str, kind: Kind, read: Callable[[int], Callable[[int], str]], *values: str) -> list[Case]:
    """With every number of digits of a fraction."""
    return [
        Case(f"{name}({digits})", kind, [f"'{value}'" for value in values], "cast(x as char)", read(digits))
        for digits in range(7)
    ]


LONG: Final = "abcdefghij" * 30
NUMBERS: Final = ("0", "-0.001", "0.5", "1234567.891", "-9999999999.99", "9999999999.99", "-123456.78")
DIGITS: Final = "9" * 35 + "." + "9" * 30

CASES: Final = [
    integer("tinyint", Kind.INT16, -(2**7), 2**7 - 1),
    integer("tinyint unsigned", Kind.INT16, 0, 2**8 - 1),
    integer("tinyint(1)", Kind.INT16, -(2**7), 2**7 - 1),
    integer("smallint", Kind.INT16, -(2**15), 2**15 - 1),
    integer("smallint unsigned", Kind.INT32, 0, 2**16 - 1),
    integer("mediumint", Kind.INT32, -(2**23), 2**23 - 1),
    integer("mediumint unsigned", Kind.INT32, 0, 2**24 - 1),
    integer("int", Kind.INT32, -(2**31), 2**31 - 1),
    integer("int unsigned", Kind.INT64, 0, 2**32 - 1),
    integer("bigint", Kind.INT64, -(2**63), 2**63 - 1),
    integer("bigint unsigned", Kind.INT64, 0, 2**64 - 1),
    Case("float", Kind.FLOAT32, ["0", "1.1", "-3.4e38", "1e-38", "16777216"], "x + 0e0", float),
    Case("double", Kind.FLOAT64, ["0", "1.1", "-1.7e308", "2.3e-308", "1e15", "0.1e-5"], text=float),
    decimal("decimal(12,2)", *NUMBERS),
    decimal("decimal(10,0)", "0", "-1", "9999999999", "-9999999999"),
    decimal("decimal(9,9)", "0", "-0.000000001", "0.999999999", "-0.5"),
    decimal("decimal(65,30)", "0", "-0.1", DIGITS, f"-{DIGITS}", "1"),
    decimal("decimal(65,0)", "9" * 65, "-" + "9" * 65, "1" + "0" * 64),
    decimal("decimal(1,0)", "9", "-9", "0"),
    decimal("decimal(20,11) unsigned", "0", "123456789.12345678901"),
    Case("bit(1)", Kind.BITS, ["0", "1"], "bin(x + 0)"),
    Case("bit(9)", Kind.BITS, ["0", "b'101'", "511"], "lpad(bin(x + 0), 9, '0')"),
    Case("bit(64)", Kind.BITS, ["0", "18446744073709551615", "1"], "lpad(bin(x + 0), 64, '0')"),
    Case("year", Kind.INT32, ["1901", "2155", "0", "2026"], "x + 0", int),
    Case(
        "date",
        Kind.DATE,
        ["'1000-01-01'", "'9999-12-31'", "'1970-01-01'", "'2024-02-29'", "'0001-01-01'", "'0000-03-01'"],
        "cast(x as char)",
        iso_date,
    ),
    *temporal(
        "datetime", Kind.TIMESTAMP, moment,
        "1000-01-01 00:00:00", "9999-12-31 23:59:59", "1970-01-01 00:00:00.000001",
        "2026-01-31 13:14:15.987654", "0000-12-31 23:59:59.1",
    ),
    *temporal(
        "timestamp", Kind.TIMESTAMPTZ, moment,
        "1970-01-01 00:00:01", "2038-01-19 03:14:07", "2026-01-31 13:14:15.987654",
    ),
    *temporal(
        "time", Kind.DURATION, lambda digits: lambda value: clock(value, digits),
        "00:00:00", "838:59:59", "-838:59:59", "-00:00:01", "-00:00:00.5", "-00:00:00.987654",
        "23:59:59.123456", "-12:34:56.1", "-01:00:00.000001", "00:00:00.000001",
    ),
    text("char(10)", "", "abc", "äöü€😀", "trailing  "),
    text("char(255)", "", "x" * 255, "😀" * 255),
    text("char(100) character set latin1", "", "Ärger €", "x" * 100),
    text("varchar(10)", "", "abc", "trailing  "),
    text("varchar(255) character set latin1", "x" * 255, ""),
    text("varchar(256) character set latin1", "x" * 256, ""),
    text("varchar(1000)", LONG, "", "😀"),
    text("varchar(20) character set utf8mb3", "äöü€", ""),
    text("varchar(20) character set ascii", "abc", ""),
    text("varchar(20) character set utf16", "äöü€😀", ""),
    text("varchar(20) character set utf16le", "äöü€😀", ""),
    text("varchar(20) character set utf32", "äöü€😀", ""),
    text("varchar(20) character set ucs2", "äöü€", ""),
    text("varchar(20) character set koi8r", "Привет", ""),
    text("varchar(20) character set gbk", "中文", ""),
    text("varchar(20) character set sjis", "日本語", ""),
    text("varchar(20) character set eucjpms", "日本語①", ""),
    text("varchar(20) character set armscii8", "Հայ", ""),
    text("char(20) character set big5 collate big5_bin", "中文", ""),
    text("char(200) character set gb18030", "中文😀" * 40, "", only="mysql"),
    text("tinytext", "", "abc"),
    text("text character set latin1", "", "Ärger €", LONG),
    text("mediumtext", LONG),
    text("longtext", LONG, "😀"),
    text("enum('a','b''c','ä€','')", "a", "b''c", "ä€", "", kind=Kind.ENUM),
    text("enum('x','ü') character set latin1", "ü", "x", kind=Kind.ENUM),
    text(f"enum({','.join(repr(f'l{n}') for n in range(300))})", "l0", "l255", "l299", kind=Kind.ENUM),
    text("set('a','b','ü')", "", "a", "a,b,ü", "ü"),
    text(f"set({','.join(repr(f'l{n}') for n in range(64))})", "", "l0,l31,l63", "l7,l8"),
    text(f"set({','.join(repr(f'l{n}') for n in range(20))}) character set ucs2", "l19", "l1,l16"),
    binary("binary(4)", "x''", "x'01020304'", "x'01000000'", "x'00000001'"),
    binary("binary(255)", "x''", f"x'{'7f' * 255}'"),
    binary("varbinary(300)", "x''", f"x'{'fe' * 300}'", "x'0100'"),
    binary("char(5) character set binary", "x''", "x'ff20'"),
    binary("tinyblob", "x''", "x'00ff'"),
    binary("blob", f"x'{'01' * 300}'"),
    binary("mediumblob", f"x'{'02' * 70000}'"),
    binary("longblob", "x'ff'", "x''"),
    Case(
        "vector(3)",
        Kind.VECTOR,
        ["string_to_vector('[1,-2.5,65536]')", "string_to_vector('[0,0,0]')"],
        "vector_to_string(x)",
        lambda value: value,
        only="mysql",
    ),
    *[
        Case(
            f"{name} not null",
            Kind.GEOMETRY,
            [f"st_geomfromtext('{wkt}')" for wkt in wkts],
            "concat(st_srid(x), ' ', hex(st_aswkb(x)))",
            lambda value: f"{value[0] or 0} {value[1].hex().upper()}",
        )
        for name, wkts in {
            "geometry": ["POINT(1 2)", "LINESTRING(0 0,1 1)"],
            "point": ["POINT(1.5 -2)"],
            "linestring": ["LINESTRING(0 0,1 1,2 2)"],
            "polygon": ["POLYGON((0 0,0 1,1 1,0 0))"],
            "multipoint": ["MULTIPOINT(1 1,2 2)"],
            "multilinestring": ["MULTILINESTRING((0 0,1 1),(2 2,3 3))"],
            "multipolygon": ["MULTIPOLYGON(((0 0,0 1,1 1,0 0)))"],
            "geometrycollection": ["GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))"],
        }.items()
    ],
    Case(
        "geometry not null srid 4326",
        Kind.GEOMETRY,
        ["st_geomfromtext('POINT(1 2)', 4326)"],
        "concat(st_srid(x), ' ', hex(st_aswkb(x, 'axis-order=long-lat')))",
        lambda value: f"{value[0]} {value[1].hex().upper()}",
        only="mysql",
    ),
    # What MariaDB's own types are stored as is all that the log tells.
    Case("uuid", Kind.BYTES, ["'123e4567-e89b-12d3-a456-426655440000'"], "hex(cast(x as binary(16)))",
         lambda value: value.hex().upper(), only="mariadb"),
    Case("inet6", Kind.BYTES, ["'2001:db8::'", "'::'", "'::ffff:1.2.3.0'"], "hex(cast(x as binary(16)))",
         lambda value: value.hex().upper(), only="mariadb"),
    Case("inet4", Kind.BYTES, ["'1.2.3.0'", "'0.0.0.0'"], "hex(cast(x as binary(4)))",
         lambda value: value.hex().upper(), only="mariadb"),
    text("json", '{"a": 1}', "[1,  2]", only="mariadb"),
    text("varchar(500) compressed", "", "abc", "x" * 500, only="mariadb"),
    text("text compressed character set latin1", "", "ä", LONG, only="mariadb"),
    Case("varbinary(500) compressed", Kind.BYTES, ["x''", f"x'{'00' * 400}'"], "hex(x)",
         lambda value: value.hex().upper(), only="mariadb"),
    Case("longblob compressed", Kind.BYTES, ["x'00'", f"x'{'41' * 70000}'"], "hex(x)",
         lambda value: value.hex().upper(), only="mariadb"),
]  # fmt: skip


def test_every_type_is_read_as_select_tells_it(every_mysql: MySql, every_mysql_database: str) -> None:
    schema = every_mysql_database
    cases = [case for case in CASES if case.only in (None, every_mysql.flavor)]
    log = LogReader(every_mysql)
    told: dict[str, list[Any]] = {}
    with every_mysql.connect(schema) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = '', time_zone = '+00:00', group_concat_max_len = 1000000")
        for number, case in enumerate(cases):
            name = f"t{number}"
            null = "" if "not null" in case.declared else " null"
            cursor.execute(f"create table {name} (id int primary key, x {case.declared}{null})")
            values = [*case.values, *([] if not null else ["null"])]
            rows = ", ".join(f"({id}, {value})" for id, value in enumerate(values))
            cursor.execute(f"insert into {name} values {rows}")
            cursor.execute(f"select {case.told} from {name} order by id")
            told[name] = [row[0] for row in cursor.fetchall()]
    seen: dict[str, list[Any]] = {}
    wrong: list[str] = []
    for table, pairs in log.rows(schema):
        case = cases[int(table.table[1:])]
        id, x = columns(table, TypeOptions())
        if (id.name, x.name, x.type.kind) != ("id", "x", case.kind):
            wrong.append(f"{case.declared}: {x.type}")
        for before, after in pairs:
            assert before is None
            assert after is not None
            if after[1] is None:
                seen.setdefault(table.table, []).append(None)
                continue
            value = x.value(after[1])
            if x.text:
                assert after[1].decode() == value
            wrong += _unwritten(x.type, value)
            seen.setdefault(table.table, []).append(case.text(value))
    for number, case in enumerate(cases):
        expected = [_told(case, value) for value in told[f"t{number}"]]
        if seen.get(f"t{number}") != expected:
            wrong.append(f"{case.declared}: {seen.get(f't{number}')!r:.300} instead of {expected!r:.300}")
    assert not wrong, "\n".join(wrong)


def _unwritten(type: LogicalType, value: Any) -> list[str]:
    """What formats do not write of a value, or Debezium's readers do not read back."""
    try:
        msgspec.json.decode(plain_values.value_encoder(type)(value))
        written = msgspec.json.decode(Mapping().form(type).encode(value))
        read = read_value(type, written) if type.kind in READABLE else value
        if type.kind is Kind.FLOAT32:  # of 32 bits, in as few digits as do
            read = c_float(read).value
        if read != value:
            return [f"{type.native} {value!r:.50} is written as {written!r:.50}"]
    except ValueError as error:
        if type.native != "bigint unsigned" or value < 2**63:
            return [f"{type.native} {value!r:.50}: {error}"]
    return []


def _told(case: Case, value: Any) -> Any:
    if value is None:
        return None
    if case.kind in (Kind.FLOAT32, Kind.FLOAT64):
        return float(value)
    if case.kind is Kind.VECTOR:
        return json.loads(value)
    if case.declared == "year":
        return int(value)
    if isinstance(value, bytes):
        value = value.decode()
    return str(value)
