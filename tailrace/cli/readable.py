"""Fields of records as people expect them, as far as the record tells: numbers instead of their bytes, dates
instead of days. The schema that may stand beside a field says what it is; without one only what has a shape
of its own is known."""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any, Final, TypeAlias

from tailrace.formats import connect_values as values

Schema: TypeAlias = Mapping[str, Any]

NO_SCHEMA: Final[Schema] = {}

_EXACT: Final = Context(prec=200_000)
_NUMBER: Final = {"scale", "value"}
_POINT: Final = {"x", "y", "wkb", "srid"}
_GEOMETRY: Final = {"wkb", "srid"}
_UNBOUNDED: Final = 2**31 - 1  # bits


def fields_of(schema: Schema) -> dict[str, Schema]:
    """The schemas of a struct's fields by their names."""
    return {field["field"]: field for field in schema.get("fields", ())}


def readable(value: Any, schema: Schema = NO_SCHEMA) -> Any:
    """A field's value for people: text where it would be bytes or a count, itself where it is readable as it
    is, or where it is not what its schema says."""
    try:
        if isinstance(value, list) and "items" in schema:
            return [readable(item, schema["items"]) for item in value]
        if isinstance(value, dict) and (shape := _SHAPES.get(frozenset(value))):
            return shape(value)
        if isinstance(value, str) and schema.get("type") == "bytes":
            return _BYTES.get(schema.get("name"), _hexadecimal)(value, schema)
        if type(value) is int and (moment := _MOMENTS.get(schema.get("name", ""))):
            return moment(value)
    except (ArithmeticError, Error, LookupError, TypeError, ValueError):
        pass  # written by somebody else
    return value


def _unscaled(text: str, scale: int) -> str:
    number = int.from_bytes(a2b_base64(text, strict_mode=True), "big", signed=True)
    return f"{Decimal(number).scaleb(-scale, _EXACT):f}"


def _decimal(text: str, schema: Schema) -> str:
    return _unscaled(text, int(schema["parameters"]["scale"]))


def _hexadecimal(text: str, schema: Schema) -> str:
    return f"\\x{a2b_base64(text, strict_mode=True).hex()}"


def _bits(text: str, schema: Schema) -> str:
    length = int(schema["parameters"]["length"])
    digits = f"{int.from_bytes(a2b_base64(text, strict_mode=True), 'little'):b}"
    return digits if length == _UNBOUNDED else digits.rjust(length, "0")


def _point(value: Mapping[str, Any]) -> str:
    return f"({value['x']},{value['y']})"


def _geometry(value: Mapping[str, Any]) -> str:
    return a2b_base64(value["wkb"], strict_mode=True).hex().upper()


def _date(days: int) -> str:
    if days in (2**31 - 1, -(2**31)):
        return "infinity" if days > 0 else "-infinity"
    return values.iso_date(days)


def _clock(per_second: int) -> Callable[[int], str]:
    def show(count: int) -> str:
        seconds, rest = divmod(abs(count), per_second)
        digits = f".{rest:0{len(str(per_second)) - 1}}".rstrip("0") if rest else ""
        sign = "-" if count < 0 else ""
        return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{digits}"

    return show


def _timestamp(unit: values.Unit, per_second: int) -> Callable[[int], str]:
    clock = _clock(per_second)

    def show(count: int) -> str:
        if count in unit.ends:
            return "infinity" if count > 0 else "-infinity"
        days, time = divmod(count, 86_400 * per_second)
        return f"{values.iso_date(days)}T{clock(time)}"

    return show


_SHAPES: Final[Mapping[frozenset[str], Callable[[Mapping[str, Any]], str]]] = {
    frozenset(_NUMBER): lambda value: _unscaled(value["value"], value["scale"]),
    frozenset(_POINT): _point,
    frozenset(_GEOMETRY): _geometry,
}
_BYTES: Final[Mapping[str | None, Callable[[str, Schema], str]]] = {
    "org.apache.kafka.connect.data.Decimal": _decimal,
    "io.debezium.data.Bits": _bits,
}
_MOMENTS: Final[Mapping[str, Callable[[int], str]]] = {
    "io.debezium.time.Date": _date,
    "io.debezium.time.Time": _clock(1000),
    "io.debezium.time.MicroTime": _clock(1_000_000),
    "io.debezium.time.NanoTime": _clock(1_000_000_000),
    "io.debezium.time.Timestamp": _timestamp(values.MILLISECONDS, 1000),
    "io.debezium.time.MicroTimestamp": _timestamp(values.MICROSECONDS, 1_000_000),
    "io.debezium.time.NanoTimestamp": _timestamp(values.NANOSECONDS, 1_000_000_000),
    "org.apache.kafka.connect.data.Date": _date,
    "org.apache.kafka.connect.data.Time": _clock(1000),
    "org.apache.kafka.connect.data.Timestamp": _timestamp(values.MILLISECONDS, 1000),
}
