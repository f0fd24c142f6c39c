"""What a TABLE_MAP event says of a table: its columns' types, and what `binlog_row_metadata` adds. No I/O.

Behind types and NULLs come optional fields, each a list with an entry per column of the kind that it is of:
signs per number, collations per text, labels per enum. Which fields are there depends on the setting and on
the server's version; those of unknown kinds are skipped, since what is known means the same without them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from connectors.mysql import codes
from connectors.mysql.binlog.event import Reader
from connectors.mysql.binlog.messages import Flavor, MappedColumn

_NO_METADATA: Final = (
    codes.TINY, codes.SHORT, codes.LONG, codes.LONGLONG, codes.INT24, codes.YEAR, codes.DATE, codes.NEWDATE,
    codes.OLD_TIMESTAMP, codes.OLD_TIME, codes.OLD_DATETIME,
)  # fmt: skip
_ONE_BYTE: Final = (
    codes.FLOAT, codes.DOUBLE, codes.TIMESTAMP, codes.DATETIME, codes.TIME, codes.BLOB_COMPRESSED,
    codes.VECTOR, codes.JSON, codes.GEOMETRY, *codes.BLOBS,
)  # fmt: skip
_IN_STRING: Final = (codes.STRING, codes.ENUM, codes.SET)
_TWO_BYTES: Final = (
    codes.VARCHAR, codes.VARCHAR_COMPRESSED, codes.VAR_STRING, codes.BIT, codes.DECIMAL, *_IN_STRING
)  # fmt: skip
_METADATA_SIZES: Final = {
    **dict.fromkeys(_NO_METADATA, 0),
    **dict.fromkeys(_ONE_BYTE, 1),
    **dict.fromkeys(_TWO_BYTES, 2),
}

_NUMBERS: Final = frozenset(
    {codes.TINY, codes.SHORT, codes.LONG, codes.LONGLONG, codes.INT24, codes.YEAR}
    | {codes.FLOAT, codes.DOUBLE, codes.DECIMAL}
)
_TEXTS: Final = codes.STRINGS | codes.BLOBS | {codes.BLOB_COMPRESSED, codes.VARCHAR_COMPRESSED}
_LABELLED: Final = frozenset({codes.ENUM, codes.SET})
_COLLATED: Final[Mapping[Flavor, frozenset[int]]] = {
    # What has a collation for these servers; to what is no text they give the binary one.
    "mysql": _TEXTS | {codes.VECTOR},
    "mariadb": _TEXTS | {codes.GEOMETRY},
}


class _Field(enum.IntEnum):
    SIGNEDNESS = 1
    DEFAULT_CHARSET = 2
    COLUMN_CHARSET = 3
    COLUMN_NAME = 4
    SET_STR_VALUE = 5
    ENUM_STR_VALUE = 6
    GEOMETRY_TYPE = 7
    SIMPLE_PRIMARY_KEY = 8
    PRIMARY_KEY_WITH_PREFIX = 9
    ENUM_AND_SET_DEFAULT_CHARSET = 10
    ENUM_AND_SET_COLUMN_CHARSET = 11
    COLUMN_VISIBILITY = 12
    VECTOR_DIMENSIONALITY = 13


class Description(NamedTuple):
    """A table as one TABLE_MAP describes it, whichever number the server gives it."""

    schema: str
    table: str
    columns: tuple[MappedColumn, ...]
    key: tuple[int, ...] | None


def describe(raw: bytes, flavor: Flavor) -> Description:
    """Read a TABLE_MAP's body behind the table's number and the flags. Raises ValueError for what is none."""
    reader = Reader(raw)
    schema = reader.name(reader.number())
    table = reader.name(reader.number())
    types = reader.take(reader.number())
    metadata = Reader(reader.string())
    kinds = [_kind(type, metadata) for type in types]
    metadata.finish()
    nullable = _flags(reader.take((len(types) + 7) // 8), len(types), low_first=True)
    fields = _optional_fields(reader)

    unsigned = _of(kinds, _NUMBERS, fields.get(_Field.SIGNEDNESS), _flags)
    collated = _collations(kinds, _COLLATED[flavor], fields, _Field.DEFAULT_CHARSET, _Field.COLUMN_CHARSET)
    collations = {i: collation for i, collation in collated.items() if kinds[i][0] in _TEXTS}
    collations |= _collations(
        kinds, _LABELLED, fields, _Field.ENUM_AND_SET_DEFAULT_CHARSET, _Field.ENUM_AND_SET_COLUMN_CHARSET
    )
    labels = _of(kinds, {codes.ENUM}, fields.get(_Field.ENUM_STR_VALUE), _labels)
    labels |= _of(kinds, {codes.SET}, fields.get(_Field.SET_STR_VALUE), _labels)
    names = _of(kinds, None, fields.get(_Field.COLUMN_NAME), _names)
    geometries = _of(kinds, {codes.GEOMETRY}, fields.get(_Field.GEOMETRY_TYPE), _numbers)
    dimensions = _of(kinds, {codes.VECTOR}, fields.get(_Field.VECTOR_DIMENSIONALITY), _numbers)
    visible = _of(kinds, None, fields.get(_Field.COLUMN_VISIBILITY), _flags)
    columns = tuple(
        MappedColumn(
            type,
            meaning,
            nullable[i],
            unsigned.get(i),
            collations.get(i),
            names.get(i),
            labels.get(i),
            geometries.get(i),
            dimensions.get(i),
            visible.get(i, True),
        )
        for i, (type, meaning) in enumerate(kinds)
    )
    if len(set(names.values())) != len(names):
        raise ValueError(f"two columns of one name: {', '.join(names.values())}")
    return Description(schema, table, columns, _key(fields, len(columns)))


def _kind(type: int, metadata: Reader) -> tuple[int, int]:
    """A column's type and metadata. STRING carries others, and in two spare bits of their type the upper bits
    of a length that takes more than a byte."""
    size = _METADATA_SIZES.get(type)
    if size is None:
        raise ValueError(f"a column of the unknown type {type}")
    value = metadata.take(size)
    if type not in _IN_STRING:
        return type, int.from_bytes(value, "little")
    carried, length = value
    if carried & 0x30 != 0x30:
        length |= (carried & 0x30 ^ 0x30) << 4
        carried |= 0x30
    if carried not in _IN_STRING:
        raise ValueError(f"a column of the unknown type {carried} in a string")
    return carried, length


def _optional_fields(reader: Reader) -> dict[int, Reader]:
    fields: dict[int, Reader] = {}
    while reader.left:
        kind = reader.byte()
        if kind in fields:
            raise ValueError(f"optional metadata of type {kind} stands twice")
        fields[kind] = Reader(reader.string())
    return fields


def _of(
    kinds: Sequence[tuple[int, int]],
    types: frozenset[int] | set[int] | None,
    field: Reader | None,
    read: Callable[[Reader, int], Sequence[Any]],
) -> dict[int, Any]:
    """By number of the column, what a field says of the columns of these types (None: of all); nothing where
    the field is not there."""
    if field is None:
        return {}
    columns = [i for i, (type, _) in enumerate(kinds) if types is None or type in types]
    found = read(field, len(columns))
    field.finish()
    return dict(zip(columns, found, strict=True))


def _collations(
    kinds: Sequence[tuple[int, int]],
    types: frozenset[int],
    fields: dict[int, Reader],
    default: _Field,
    each: _Field,
) -> dict[int, int]:
    """Collations stand either one by one or as a default and the columns that differ from it, whichever is
    shorter."""
    return _of(kinds, types, fields.get(default), _with_default) or _of(
        kinds, types, fields.get(each), _numbers
    )


def _with_default(field: Reader, count: int) -> Sequence[int]:
    found = [field.number()] * count
    while field.left:
        index = field.number()
        if index >= count:
            raise ValueError(f"a collation of text column {index}, of which there are {count}")
        found[index] = field.number()
    return found


def _flags(bits: Reader | bytes, count: int, low_first: bool = False) -> Sequence[bool]:
    raw = bits if isinstance(bits, bytes) else bits.take((count + 7) // 8)
    return [bool(raw[i >> 3] >> (i & 7 if low_first else 7 - (i & 7)) & 1) for i in range(count)]


def _numbers(field: Reader, count: int) -> Sequence[int]:
    return [field.number() for _ in range(count)]


def _names(field: Reader, count: int) -> Sequence[str]:
    return [field.string().decode() for _ in range(count)]


def _labels(field: Reader, count: int) -> Sequence[tuple[bytes, ...]]:
    return [tuple(field.string() for _ in range(field.number())) for _ in range(count)]


def _key(fields: dict[int, Reader], count: int) -> tuple[int, ...] | None:
    """The primary key's columns in its order. Names are there whenever keys are told."""
    simple = fields.get(_Field.SIMPLE_PRIMARY_KEY)
    prefixed = fields.get(_Field.PRIMARY_KEY_WITH_PREFIX)
    columns: list[int] = []
    if simple:
        columns = list(_until_end(simple))
    elif prefixed:
        columns = list(_until_end(prefixed))[::2]  # behind each the length of its prefix, 0: the whole column
    elif _Field.COLUMN_NAME not in fields:
        return None
    if len(set(columns)) != len(columns) or any(column >= count for column in columns):
        raise ValueError(f"a primary key of the columns {columns}, of {count}")
    return tuple(columns)


def _until_end(field: Reader) -> Iterator[int]:
    while field.left:
        yield field.number()
