"""Values at random for any column, by what the catalogue says of it."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from pymysql.connections import Connection

_LETTERS: Final = string.ascii_letters + string.digits + ' "\n-_'
_REPERTOIRE: Final = {
    "utf8mb4": "äßñ€漢字😀",
    "utf8mb3": "äßñ€漢字",
    "latin1": "äßñ€",
    "cp1251": "жщЯ",
    "gbk": "漢字",
    "sjis": "漢字ｱ",
    "ucs2": "äß漢字",
}
_BITS: Final = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_LONGEST: Final = 300  # characters, or bytes
_BYTES: Final = bytes(set(range(256)) - set(b"\\'"))  # these two mysqlbinlog prints as they are


@dataclass(frozen=True)
class ColumnInfo:
    """What the catalogue says of a column."""

    name: str
    kind: str  # `int`, `varchar`, …
    declared: str  # `int unsigned`, `enum('a','b')`
    charset: str | None
    length: int
    precision: int
    scale: int
    digits: int  # of a second's fraction
    key: bool
    nullable: bool


_QUERY: Final = """
    SELECT table_name, column_name, data_type, column_type, character_set_name, character_maximum_length,
        numeric_precision, numeric_scale, datetime_precision, column_key = 'PRI', is_nullable = 'YES'
    FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position
"""


def catalogue(connection: Connection[Any]) -> Mapping[str, list[ColumnInfo]]:
    """The columns of the database's tables, in order."""
    tables: dict[str, list[ColumnInfo]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_QUERY)
        for table, name, kind, declared, charset, *numbers, key, nullable in cursor.fetchall():
            length, precision, scale, digits = (int(number or 0) for number in numbers)
            column = ColumnInfo(
                name, kind, declared, charset, length, precision, scale, digits, bool(key), bool(nullable)
            )
            tables.setdefault(table, []).append(column)
    return tables


def value(column: ColumnInfo, random: Random) -> Any:
    """A value for a statement's parameter; now and then NULL where it may be."""
    if column.nullable and random.random() < 0.15:
        return None
    if column.kind in _BITS:
        return _integer(column, random)
    if column.name.startswith("js"):
        return _document(random)
    return _KINDS[column.kind](column, random)


def _integer(column: ColumnInfo, random: Random) -> int:
    bits = _BITS[column.kind]
    if "unsigned" in column.declared:
        # The larger half of BIGINT UNSIGNED takes a setting of the pipeline's.
        return random.choice((0, random.randrange(2 ** min(bits, 63)), 2 ** min(bits, 63) - 1))
    return random.choice((random.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1)), random.randint(-99, 99)))


def _decimal(column: ColumnInfo, random: Random) -> Decimal:
    digits = random.randint(1, column.precision)
    return Decimal(random.randrange(-(10**digits) + 1, 10**digits)).scaleb(-column.scale)


def _moment(column: ColumnInfo, random: Random) -> str:
    seconds = random.randrange(-30_000_000_000, 200_000_000_000)
    if column.kind == "timestamp":
        seconds = random.randrange(86_400, 2_000_000_000)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    text = f"{moment.year:04}-{moment:%m-%d %H:%M:%S}"
    if column.kind == "date":
        return text[:10]
    return f"{text}.{random.randrange(10**column.digits):0{column.digits}}" if column.digits else text


def _time(column: ColumnInfo, random: Random) -> str:
    clock = f"{random.randrange(838)}:{random.randrange(60):02}:{random.randrange(60):02}"
    fraction = f".{random.randrange(10**column.digits):0{column.digits}}" if column.digits else ""
    return random.choice(("", "-")) + clock + fraction


def _text(column: ColumnInfo, random: Random) -> str:
    letters = _LETTERS + _REPERTOIRE.get(column.charset or "", "") * 3
    return "".join(random.choices(letters, k=random.randint(0, min(column.length, _LONGEST))))


def _binary(column: ColumnInfo, random: Random) -> bytes:
    return bytes(random.choices(_BYTES, k=random.randint(0, min(column.length, _LONGEST))))


def _labels(column: ColumnInfo) -> list[str]:
    return column.declared.partition("(")[2].rstrip(")")[1:-1].split("','")


def _set(column: ColumnInfo, random: Random) -> str:
    return ",".join([label for label in _labels(column) if random.random() < 0.5])


def _document(random: Random) -> str:
    found = {
        "ä": random.choice((None, True, "text ñ", 1.5, [1, {"b": []}])),
        "number": random.randrange(10**12),
        "list": [random.random() for _ in range(random.randrange(4))],
    }
    return json.dumps(found, ensure_ascii=random.random() < 0.5)


def _bit(column: ColumnInfo, random: Random) -> int:
    return random.randrange(2**column.precision)


_KINDS: Final[Mapping[str, Callable[[ColumnInfo, Random], Any]]] = {
    "decimal": _decimal,
    "float": lambda _, random: float(f"{random.uniform(-1, 1) * 10 ** random.randint(-20, 20):.6g}"),
    "double": lambda _, random: random.uniform(-1, 1) * 10 ** random.randint(-200, 200),
    "bit": _bit,
    "year": lambda _, random: random.randint(1901, 2155),
    **dict.fromkeys(("date", "datetime", "timestamp"), _moment),
    "time": _time,
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), _text),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), _binary),
    "enum": lambda column, random: random.choice(_labels(column)),
    "set": _set,
    "json": lambda _, random: _document(random),
}
