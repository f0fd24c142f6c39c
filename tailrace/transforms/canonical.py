"""The canonical text of fields (`tailrace.types`), in whichever form their source hands them out."""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from tailrace.events import Column
from tailrace.types import Kind


def canonical_text(column: Column) -> Callable[[Any], bytes] | None:
    """What makes text of the column's raw fields that hold a value: the same whichever database they come
    from. It raises what `Column.value` raises. None for kinds of which it knows none."""
    if column.text:
        return _same
    write = _WRITERS.get(column.type.kind)
    if write is None:
        return None
    value = column.value
    return lambda field: write(value(field))


def _same(field: bytes) -> bytes:
    return field


def _integer(value: int) -> bytes:
    return b"%d" % value


def _decimal(value: Decimal) -> bytes:
    return (f"{value:f}" if value.is_finite() else str(value)).encode()


_WRITERS: Final[dict[Kind, Callable[[Any], bytes]]] = {
    Kind.BOOLEAN: lambda value: b"t" if value else b"f",
    Kind.INT16: _integer,
    Kind.INT32: _integer,
    Kind.INT64: _integer,
    Kind.DECIMAL: _decimal,
    Kind.STRING: str.encode,
    Kind.BYTES: lambda value: b"\\x" + hexlify(value),
    Kind.UUID: str.encode,
    Kind.JSON: str.encode,
    Kind.XML: str.encode,
    Kind.ENUM: str.encode,
    Kind.BITS: str.encode,
}
