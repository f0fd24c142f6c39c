"""PostgreSQL's text of a value → the JSON that Debezium's default mapping demands for it.

Written from the documentation of Debezium's PostgreSQL connector ("Data type mappings"), on its own: it
shares nothing with what it checks. JSON is compared as `json.loads` returns it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any, Final

from tests.truth.decoding import UNCHANGED, Field

_PLACEHOLDER: Final = "__debezium_unavailable_value"
_DAY: Final = 86_400_000_000
_EXACT: Final = Context(prec=1000)
_MOMENT: Final = re.compile(
    r"(?:(?P<date>\d{4,}-\d\d-\d\d)[ ]?)?"
    r"(?:(?P<clock>\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?)?"
    r"(?P<zone>[+-]\d\d(?::\d\d)?)?(?P<bc> BC)?"
)


def to_json(type: str, field: Field, labels: frozenset[str] = frozenset()) -> Any:
    """The JSON of a field. `type` as format_type(atttypid, atttypmod) names it; `labels`: the types that are
    enums. ValueError for a type or a text that is not known."""
    if field is None:
        return None
    if field is UNCHANGED:
        return _unchanged(type, labels)
    if type.endswith("[]"):
        return _array(type.removesuffix("[]"), field, labels)
    name, parameters = _split(type)
    if name in ("text", "character varying", "character", "json", "jsonb", "uuid") or name in labels:
        return field
    if name in ("smallint", "integer", "bigint"):
        return int(field)
    if name == "boolean":
        return {"t": True, "true": True, "f": False, "false": False}[field]
    if name in ("real", "double precision"):
        return field if field in ("NaN", "Infinity", "-Infinity") else float(field)
    if name == "numeric":
        return _numeric(Decimal(field), parameters[1] if parameters else None)
    if name == "bytea":
        if not field.startswith("\\x"):
            raise ValueError(f"not in hexadecimal: {field!r}")
        return _base64(bytes.fromhex(field[2:]))
    if name == "date":
        return _days(_moment(field))
    if name == "time without time zone":
        return _adapted(_clock(_moment(field)), parameters)
    if name == "timestamp without time zone":
        moment = _moment(field)
        return _adapted(_days(moment) * _DAY + _clock(moment), parameters)
    if name == "time with time zone":
        moment = _moment(field)
        return _utc_clock((_clock(moment) - _offset(moment)) % _DAY)
    if name == "timestamp with time zone":
        if field in ("infinity", "-infinity"):
            return field
        moment = _moment(field)
        return _utc(_days(moment) * _DAY + _clock(moment) - _offset(moment))
    raise ValueError(f"type {type}")


def _split(type: str) -> tuple[str, list[int]]:
    """`numeric(12,3)` → numeric, [12, 3]; `timestamp(3) without time zone` → timestamp without …, [3]."""
    found = re.search(r"\(([\d,]+)\)", type)
    if found is None:
        return type, []
    return type[: found.start()] + type[found.end() :], [int(number) for number in found[1].split(",")]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unscaled(number: int) -> str:
    """Two's complement, big-endian, in as few bytes as hold it."""
    length = 1
    while not -(1 << 8 * length - 1) <= number < 1 << 8 * length - 1:
        length += 1
    return _base64(number.to_bytes(length, "big", signed=True))


def _numeric(number: Decimal, scale: int | None) -> Any:
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{number} has no JSON")
    unscaled = int("".join(map(str, digits))) * (-1 if sign else 1)
    if scale is None:
        while exponent < 0 and unscaled % 10 == 0:
            unscaled, exponent = unscaled // 10, exponent + 1
        scale = max(-exponent, 0)
        return {"scale": scale, "value": _unscaled(unscaled * 10 ** (exponent + scale))}
    return _unscaled(int(_EXACT.scaleb(Decimal(unscaled), exponent + scale)))


def _moment(text: str) -> re.Match[str]:
    found = _MOMENT.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"not a date or time: {text!r}")
    return found


def _days(moment: re.Match[str]) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar, by its rules alone."""
    year, month, day = (int(number) for number in moment["date"].split("-"))
    if moment["bc"]:
        year = 1 - year
    months = (31, 29 if _leaps(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return _days_before(year) + sum(months[: month - 1]) + day - 1


def _leaps(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_before(year: int) -> int:
    """The days from 1970-01-01 to the first of January of a year."""
    past = year - 1
    return 365 * year + past // 4 - past // 100 + past // 400 - (365 * 1970 + 492 - 19 + 4)


def _clock(moment: re.Match[str]) -> int:
    """µs since midnight."""
    hours, minutes, seconds = (int(number) for number in moment["clock"].split(":"))
    fraction = (moment["fraction"] or ".")[1:].ljust(6, "0")
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int(fraction)


def _offset(moment: re.Match[str]) -> int:
    """µs east of UTC."""
    zone: str = moment["zone"]
    hours, _, minutes = zone[1:].partition(":")
    minutes_east = int(hours) * 60 + int(minutes or 0)
    return (-minutes_east if zone[0] == "-" else minutes_east) * 60_000_000


def _adapted(microseconds: int, parameters: list[int]) -> int:
    return microseconds // 1000 if parameters and parameters[0] <= 3 else microseconds


def _utc_clock(microseconds: int, digits: int | None = None) -> str:
    """`digits` None: as many as there are."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{fraction:06}" if digits is not None else f"{fraction:06}".rstrip("0")
    clock = f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
    return f"{clock}.{text}Z" if text else f"{clock}Z"


def _utc(microseconds: int) -> str:
    """ISO 8601 with six digits, the year as Java writes it."""
    days, clock = divmod(microseconds, _DAY)
    year = 1970 + days // 366
    while _days_before(year + 1) <= days:
        year += 1
    while _days_before(year) > days:
        year -= 1
    month, day = 1, days - _days_before(year)
    for length in (31, 29 if _leaps(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31):
        if day < length:
            break
        month, day = month + 1, day - length
    shown = f"+{year}" if year > 9999 else f"-{-year:04}" if year < 0 else f"{year:04}"
    return f"{shown}-{month:02}-{day + 1:02}T{_utc_clock(clock, 6)}"


def _array(element: str, text: str, labels: frozenset[str]) -> Any:
    """An array literal with any number of dimensions."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[{},]|[^{},"]+', text, re.DOTALL)
    if "".join(tokens) != text:
        raise ValueError(f"not an array: {text!r}")
    position = iter(tokens)
    if next(position) != "{":
        raise ValueError(f"not an array: {text!r}")
    return _elements(position, element, labels)


def _elements(tokens: Iterator[str], element: str, labels: frozenset[str]) -> list[Any]:
    items: list[Any] = []
    for token in tokens:
        if token == "}":
            return items
        if token == "{":
            items.append(_elements(tokens, element, labels))
        elif token.startswith('"'):
            items.append(to_json(element, re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL), labels))
        elif token != ",":
            items.append(to_json(element, None if token == "NULL" else token, labels))
    raise ValueError("an array without its end")


def _unchanged(type: str, labels: frozenset[str]) -> Any:
    """What stands for a value that did not change and is not in the log."""
    name, parameters = _split(type)
    data = _PLACEHOLDER.encode()
    if name in ("text", "character varying", "character", "json", "jsonb"):
        return _PLACEHOLDER
    if name == "bytea":
        return _base64(data)
    if name == "numeric":
        return {"scale": 0, "value": _base64(data)} if not parameters else _base64(data)
    if name in ("smallint[]", "integer[]", "bigint[]"):
        return list(data)
    if name in ("text[]", "character varying[]", "json[]", "jsonb[]") or name.removesuffix("[]") in labels:
        return [_PLACEHOLDER]
    if name == "numeric[]":
        return [_unchanged(type.removesuffix("[]"), labels)]
    raise ValueError(f"nothing stands for an unchanged {type}")
