"""mysqlbinlog's text of a value → the JSON that Debezium's default mapping demands for it.

Written from the documentation of Debezium's MySQL and MariaDB connectors ("Data type mappings"), on its own:
it shares nothing with what it checks. JSON is compared as `json.loads` returns it.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tests.truth.binlog_text import Column

_EPOCH: Final = datetime(1970, 1, 1)
_CODECS: Final = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "latin1": "cp1252",
    "ucs2": "utf-16-be",
    "sjis": "cp932",
}
_INTEGERS: Final = ("tinyint", "smallint", "mediumint", "int", "bigint")


class Rounded:
    """Equal to every number that has these six digits, which are all that is printed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float | int) and f"{other:g}" == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"≈{self._text}"


def to_json(column: Column, text: bytes | None) -> Any:
    """The JSON of a field. ValueError for a type or a text that is not known."""
    if text is None:
        return None
    if column.type in _INTEGERS:
        return _integer(column, text.decode())
    if column.type == "float":
        return Rounded(text.decode().strip())
    if column.type == "double":
        return float(text)
    if column.type == "decimal":
        return _decimal(Decimal(text.decode()), column.numbers[1] if len(column.numbers) > 1 else 0)
    if column.type == "bit":
        return _bits(text.decode().removeprefix("b'").removesuffix("'"), column.numbers[0])
    if column.type == "year":
        return int(text)
    if column.type in ("date", "datetime", "timestamp", "time"):
        return _moment(column, text.decode())
    if column.type == "enum":
        return column.labels[int(text) - 1]
    if column.type == "set":
        mask = int(text.decode().removeprefix("b'").removesuffix("'"), 2)
        return ",".join([label for place, label in enumerate(column.labels) if mask >> place & 1])
    if column.type == "json":
        return text.decode()
    if column.charset is None or column.charset == "binary":
        length = column.numbers[0] if column.type == "binary" else 0
        return _base64(text.ljust(length, b"\0"))
    return text.decode(_CODECS.get(column.charset, column.charset))


def _integer(column: Column, text: str) -> int:
    """A negative number is followed by what it is without a sign."""
    found = re.fullmatch(r"(-?\d+)(?: \((\d+)\))?", text)
    if found is None:
        raise ValueError(f"not an integer: {column} {text!r}")
    return int(found[2] if column.unsigned and found[2] else found[1])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decimal(number: Decimal, scale: int) -> str:
    unscaled = int(number.scaleb(scale))
    length = 1
    while not -(1 << 8 * length - 1) <= unscaled < 1 << 8 * length - 1:
        length += 1
    return _base64(unscaled.to_bytes(length, "big", signed=True))


def _bits(digits: str, length: int) -> Any:
    number = int(digits, 2)
    return bool(number) if length == 1 else _base64(number.to_bytes((length + 7) // 8, "little"))


def _moment(column: Column, text: str) -> Any:
    digits = column.numbers[0] if column.numbers else 0
    if column.type == "date":
        return (datetime.strptime(text.zfill(10), "%Y:%m:%d") - _EPOCH).days
    if column.type == "time":
        return _duration(text)
    if column.type == "timestamp":
        seconds, _, fraction = text.partition(".")
        moment = datetime.fromtimestamp(int(seconds), UTC)
        point = f".{fraction[:digits]:0<{digits}}" if digits else ""
        return f"{moment:%Y-%m-%dT%H:%M:%S}{point}Z"
    whole, _, fraction = text.partition(".")
    past = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S") - _EPOCH
    microseconds = past // timedelta(microseconds=1) + int(f"{fraction:0<6}" if fraction else 0)
    return microseconds if digits > 3 else microseconds // 1000


def _duration(text: str) -> int:
    found = re.fullmatch(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?", text)
    if found is None:
        raise ValueError(f"not a time: {text!r}")
    seconds = (int(found[2]) * 60 + int(found[3])) * 60 + int(found[4])
    microseconds = seconds * 1_000_000 + int(f"{found[5] or '':0<6}")
    return -microseconds if found[1] else microseconds
