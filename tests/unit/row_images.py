"""Row images of a binary log as a server writes them, for tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Literal

from msgspec.structs import replace

from connectors.mysql import codes
from connectors.mysql.binlog.messages import MappedColumn, Place, Rows, TableMap
from connectors.mysql.columns.json_diffs import Patched

PLACE = Place(1234, 1_700_000_000, 1, 0)

_NUMBERS = {codes.TINY: "b", codes.SHORT: "h", codes.LONG: "i", codes.LONGLONG: "q", codes.YEAR: "B"}


def column(type: int, metadata: int = 0, name: str = "x", **told: Any) -> MappedColumn:
    """A column as TABLE_MAP with full metadata tells it."""
    settings = {"unsigned": False, "collation": 255, "labels": None, **told}
    return MappedColumn(type, metadata, settings.pop("nullable", True), name=name, **settings)


def table(*columns: MappedColumn) -> TableMap:
    named = tuple([replace(column, name=f"c{i}") for i, column in enumerate(columns)])
    return TableMap(PLACE, 7, "shop", "orders", named, (0,), b"")


def bitmap(bits: Sequence[bool]) -> bytes:
    """Bits from the lowest on; those of the last byte that stand for nothing are 1, as servers leave them."""
    padded = [*bits, *[True] * (-len(bits) % 8)]
    return bytes(sum(padded[at + bit] << bit for bit in range(8)) for at in range(0, len(padded), 8))


def image(columns: Sequence[MappedColumn], fields: Sequence[Any], present: Sequence[bool]) -> bytes:
    """The image of the fields that are present."""
    held = [(column, field) for column, field, there in zip(columns, fields, present, strict=True) if there]
    return bitmap([field is None for _, field in held]) + b"".join(
        [_field(column, field) for column, field in held if field is not None]
    )


def partial_image(
    columns: Sequence[MappedColumn], fields: Sequence[Any], present: Sequence[bool], *, told: bool
) -> bytes:
    """The same of a partial update: a Patched field is written as its diffs. `told`: with the bitmap of JSON
    columns, which may be left out where there are no diffs."""
    diffed = [isinstance(f, Patched) for c, f in zip(columns, fields, strict=True) if c.type == codes.JSON]
    options = b"\x01" + bitmap(diffed) if told or any(diffed) else b"\x00"
    return options + image(columns, fields, present)


def rows(
    op: Literal["c", "u", "d"],
    width: int,
    data: bytes,
    before: Sequence[bool] | None = None,
    after: Sequence[bool] | None = None,
    *,
    partial: bool = False,
) -> Rows:
    """The event that holds these images."""
    held = [None if bits is None else _clean(bits) for bits in (before, after)]
    return Rows(PLACE, op, 7, held[0], held[1], width, data, partial, True)


def _clean(bits: Sequence[bool]) -> bytes:
    number = sum(bit << i for i, bit in enumerate(bits))
    return number.to_bytes((len(bits) + 7) // 8, "little")


def _field(column: MappedColumn, field: Any) -> bytes:
    type, metadata = column.type, column.metadata
    if isinstance(field, Patched):
        return len(field.diffs).to_bytes(4, "little") + field.diffs
    if type in _NUMBERS:
        return struct.pack(f"<{_NUMBERS[type].upper() if column.unsigned else _NUMBERS[type]}", field)
    if type == codes.FLOAT:
        return struct.pack("<f", field)
    if type == codes.DOUBLE:
        return struct.pack("<d", field)
    if type == codes.ENUM:
        return int(field).to_bytes(metadata, "little")
    if type in codes.STRINGS or type == codes.VARCHAR_COMPRESSED:
        return len(field).to_bytes(1 if metadata < 256 else 2, "little") + bytes(field)
    if type in codes.BLOBS or type in (codes.JSON, codes.GEOMETRY, codes.VECTOR, codes.BLOB_COMPRESSED):
        return len(field).to_bytes(metadata, "little") + bytes(field)
    return bytes(field)
