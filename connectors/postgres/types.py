"""The one mapping of PostgreSQL's types to logical types, for whoever reads columns of any kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from connectors.postgres import extensions, text
from connectors.postgres.arrays import array
from connectors.postgres.hstore import hstore
from tailrace.errors import NotReady, code
from tailrace.events import Column
from tailrace.types import Kind, LogicalType

UNSUPPORTED: Final = code(
    "TR-PG-102",
    "unsupported column type",
    "A captured table has a column of a type that is not mapped yet. It is refused by name: a guessed "
    "value would be a wrong one.",
)

Value: TypeAlias = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class TypeDetails:
    """A row of pg_type, for a type that `is_known` does not know."""

    oid: int
    schema: str
    name: str
    typtype: str  # b base, c composite, d domain, e enum, p pseudo, r range, m multirange
    element: int = 0  # the element type's oid if this is an array, else 0
    delimiter: str = ","  # typdelim
    labels: tuple[str, ...] = ()  # of an enum, in enumsortorder
    base: int = 0  # the oid of the type that this is a domain over, else 0
    typmod: int = -1  # of that type, where the domain fixes one


def _plain(kind: Kind, name: str, typmod: int) -> LogicalType:
    return LogicalType(kind, name)


def _limited(kind: Kind, name: str, typmod: int) -> LogicalType:
    return LogicalType(kind, name, length=typmod - 4 if typmod >= 0 else None)


def _bits(kind: Kind, name: str, typmod: int) -> LogicalType:
    return LogicalType(kind, name, length=typmod if typmod >= 0 else None)


def _money(kind: Kind, name: str, typmod: int) -> LogicalType:
    return LogicalType(kind, name, scale=2)  # of the locale C, which the session is pinned to


def _timed(kind: Kind, name: str, typmod: int) -> LogicalType:
    return LogicalType(kind, name, precision=typmod if typmod >= 0 else 6)


def _numeric(kind: Kind, name: str, typmod: int) -> LogicalType:
    if typmod < 0:
        return LogicalType(kind, name)
    bits = typmod - 4  # 16 of precision, then 11 of scale, which may be negative
    return LogicalType(kind, name, precision=bits >> 16, scale=((bits & 0x7FF) ^ 0x400) - 0x400)


@dataclass(frozen=True, slots=True)
class _Scalar:
    """A type built into PostgreSQL."""

    name: str
    array: int  # oid of the type of its arrays
    kind: Kind
    value: Value
    logical: Callable[[Kind, str, int], LogicalType] = _plain  # of kind, name and type modifier
    text: bool = True  # the server writes it as the canonical text of its kind


_SCALARS: Final = {
    16: _Scalar("bool", 1000, Kind.BOOLEAN, text.boolean),
    17: _Scalar("bytea", 1001, Kind.BYTES, text.binary),
    18: _Scalar("char", 1002, Kind.STRING, bytes.decode),
    19: _Scalar("name", 1003, Kind.STRING, bytes.decode),
    20: _Scalar("int8", 1016, Kind.INT64, int),
    21: _Scalar("int2", 1005, Kind.INT16, int),
    23: _Scalar("int4", 1007, Kind.INT32, int),
    25: _Scalar("text", 1009, Kind.STRING, bytes.decode),
    26: _Scalar("oid", 1028, Kind.INT64, int),
    114: _Scalar("json", 199, Kind.JSON, bytes.decode),
    142: _Scalar("xml", 143, Kind.XML, bytes.decode),
    600: _Scalar("point", 1017, Kind.POINT, text.point, text=False),
    650: _Scalar("cidr", 651, Kind.STRING, bytes.decode),
    700: _Scalar("float4", 1021, Kind.FLOAT32, float),
    701: _Scalar("float8", 1022, Kind.FLOAT64, float),
    774: _Scalar("macaddr8", 775, Kind.STRING, bytes.decode),
    790: _Scalar("money", 791, Kind.DECIMAL, text.money, _money, text=False),
    829: _Scalar("macaddr", 1040, Kind.STRING, bytes.decode),
    869: _Scalar("inet", 1041, Kind.STRING, bytes.decode),
    1042: _Scalar("bpchar", 1014, Kind.STRING, bytes.decode, _limited),
    1043: _Scalar("varchar", 1015, Kind.STRING, bytes.decode, _limited),
    1082: _Scalar("date", 1182, Kind.DATE, text.days),
    1083: _Scalar("time", 1183, Kind.TIME, text.time, _timed),
    1114: _Scalar("timestamp", 1115, Kind.TIMESTAMP, text.timestamp, _timed),
    1184: _Scalar("timestamptz", 1185, Kind.TIMESTAMPTZ, text.timestamp_with_offset, _timed),
    1186: _Scalar("interval", 1187, Kind.INTERVAL, text.interval, text=False),
    1266: _Scalar("timetz", 1270, Kind.TIMETZ, text.time_with_offset, _timed),
    1560: _Scalar("bit", 1561, Kind.BITS, text.bits, _bits),
    1562: _Scalar("varbit", 1563, Kind.BITS, text.bits, _bits),
    1700: _Scalar("numeric", 1231, Kind.DECIMAL, text.decimal, _numeric),
    2950: _Scalar("uuid", 2951, Kind.UUID, bytes.decode),
    3614: _Scalar("tsvector", 3643, Kind.STRING, bytes.decode),
    3802: _Scalar("jsonb", 3807, Kind.JSON, bytes.decode),
}

_ELEMENTS: Final = {scalar.array: oid for oid, scalar in _SCALARS.items()}  # by the array's oid

#: Types of extensions that have a kind of their own: each has an oid of its own in every database.
_EXTENSIONS: Final[Mapping[str, tuple[Kind, Value]]] = {
    "hstore": (Kind.MAP, hstore),
    "geometry": (Kind.GEOMETRY, extensions.geometry),
    "geography": (Kind.GEOMETRY, extensions.geometry),
    "vector": (Kind.VECTOR, extensions.vector),
    "halfvec": (Kind.VECTOR, extensions.vector),
    "sparsevec": (Kind.SPARSE_VECTOR, extensions.sparse_vector),
}
_REFUSED: Final = frozenset({"raster"})
"""Types of extensions whose text is not what readers of these values expect."""

_KINDS: Final = {"c": "composite", "d": "domain", "p": "pseudo", "r": "range", "m": "multirange"}


def is_known(oid: int) -> bool:
    """Whether this type can be mapped without its `TypeDetails`."""
    return oid in _SCALARS or oid in _ELEMENTS


def column(
    table: str, name: str, oid: int, typmod: int, *, optional: bool, types: Mapping[int, TypeDetails]
) -> Column:
    """The column of that type. `table` is for the error: NotReady for a type that is not supported.

    `types` holds the details of all types that are not known, and of the elements of those that are arrays.
    """
    mapped = _map(oid, typmod, types)
    if mapped is None:
        raise NotReady(
            UNSUPPORTED,
            f"column {name} is of type {_name(oid, types)}, which is not supported yet",
            f"Leave the table out: add it to exclude: under source: as {table}",
            where=table,
        )
    type, value, is_text = mapped
    return Column(name, type, optional, value, text=is_text)


def _map(oid: int, typmod: int, types: Mapping[int, TypeDetails]) -> tuple[LogicalType, Value, bool] | None:
    """The type, the reader of its values, and whether the server writes its canonical text."""
    if scalar := _SCALARS.get(oid):
        return scalar.logical(scalar.kind, scalar.name, typmod), scalar.value, scalar.text
    details = types.get(oid)
    if element := _ELEMENTS.get(oid) or (details.element if details else 0):
        mapped = _map(element, typmod, types)
        if mapped is None:
            return None
        type, value, _ = mapped
        delimiter = types[element].delimiter if element in types else ","
        return (
            LogicalType(Kind.ARRAY, f"{type.native}[]", element=type),
            array(value, delimiter.encode()),
            False,
        )
    if details is None or details.typtype == "p" or details.name in _REFUSED:
        return None
    if details.typtype == "d":
        return _map(details.base, details.typmod, types)
    if details.typtype == "e":
        name = f"{details.schema}.{details.name}"
        return LogicalType(Kind.ENUM, name, labels=details.labels), bytes.decode, True
    if details.typtype == "b" and (found := _EXTENSIONS.get(details.name)):
        kind, value = found
        return LogicalType(kind, details.name), value, False
    # Ranges, composites, what extensions bring: the server's own text, which loses nothing.
    return LogicalType(Kind.STRING, details.name), bytes.decode, True


def _name(oid: int, types: Mapping[int, TypeDetails]) -> str:
    """A type's name as people know it."""
    details = types.get(oid)
    if details is None:
        return f"with oid {oid}, which no longer exists"
    is_array = details.element and details.name.startswith("_")
    name = f"{details.name[1:]}[]" if is_array else details.name
    schema = "" if details.schema == "pg_catalog" else f"{details.schema}."
    of = types.get(details.element, details) if is_array else details
    what = _KINDS.get(of.typtype)
    return f"{schema}{name}" + (f" ({'of ' if is_array else ''}a {what} type)" if what else "")
