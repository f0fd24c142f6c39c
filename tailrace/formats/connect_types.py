"""How each logical type is written: the one table of schema, value encoder, text and placeholder.

Kinds that a setting of `connect_options` chooses a form for are a function of the settings here, and nowhere
else is a setting looked at.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tailrace.expressions import Expression
from tailrace.formats import connect_inline as inline
from tailrace.formats import connect_structures as structures
from tailrace.formats import connect_text as text
from tailrace.formats import connect_values as values
from tailrace.formats.connect_options import DEFAULTS, Options
from tailrace.formats.connect_values import Encoder, Unit, base64_string, json_string
from tailrace.formats.unscaled import unscaled_integer
from tailrace.types import Kind, LogicalType

Schema: TypeAlias = dict[str, Any]
"""As JsonConverter writes it: type, items or fields, optional, name, version, doc, parameters, default, and
in a struct the field's name, in this order."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the values of a type are written."""

    schema: Schema  # of a required value
    encode: Encoder  # canonical value → JSON
    splice: text.Splice = text.through_value  # canonical text → JSON
    placeholder: bytes | None = None  # for an unchanged value that is not in the log; None: there is none
    inline: Expression | None = None  # what an `Inline` makes → JSON; None: through `encode`


class Mapping:
    """The forms of all types under some settings. `nested`: what no Connect schema has a form for is written
    all the same: arrays of varying dimensions, sparse vectors of more than 32767."""

    def __init__(self, options: Options = DEFAULTS, *, nested: bool = True) -> None:
        self.options = options
        self.nested = nested
        self.omits = options.unavailable_values == "omit"
        self.text = json_string(options.placeholder)
        self.bytes = options.placeholder.encode()

    def form(self, type: LogicalType) -> Form:
        """The form of a type."""
        return _FORMS[type.kind](type, self)


def primitive(type: str, *, optional: bool = False) -> Schema:
    """The schema of a type without a name."""
    return {"type": type, "optional": optional}


def named(type: str, name: str, parameters: dict[str, str] | None = None) -> Schema:
    """The schema of a required value of a type that has a name."""
    schema: Schema = {"type": type, "optional": False, "name": name, "version": 1}
    return schema | {"parameters": parameters} if parameters else schema


def field(schema: Schema, name: str) -> Schema:
    """A schema as a struct's field."""
    return schema | {"field": name}


def _struct(name: str, doc: str, *fields: Schema) -> Schema:
    return {
        "type": "struct",
        "fields": [*fields],
        "optional": False,
        "name": name,
        "version": 1,
        "doc": doc,
    }


Rule: TypeAlias = Callable[[LogicalType, Mapping], Form]


def _always(
    schema: Schema,
    encode: Encoder,
    splice: text.Splice = text.through_value,
    inline: Expression | None = None,
) -> Rule:
    """One form, of which no single value can be missing."""
    form = Form(schema, encode, splice, inline=inline)
    return lambda type, mapping: form


def _text(name: str | None = None, splice: text.Splice = text.string, encode: Encoder = values.text) -> Rule:
    """Text, for which the placeholder stands as it is."""
    schema = primitive("string") if name is None else named("string", name)
    by_value = inline.TEXT if encode is values.text else None
    return lambda type, mapping: Form(schema, encode, splice, mapping.text, by_value)


_INT32: Final = Form(primitive("int32"), values.integer(32), text.same, inline=inline.NUMBER)
_YEAR: Final = Form(
    named("int32", "io.debezium.time.Year"), values.integer(32), text.same, inline=inline.NUMBER
)


def _int32(type: LogicalType, mapping: Mapping) -> Form:
    return _YEAR if type.native == "year" else _INT32


def _int64(type: LogicalType, mapping: Mapping) -> Form:
    return Form(primitive("int64"), values.value_encoder(type), text.same, inline=inline.NUMBER)


# Texts that have a name of their own there.
_NATIVE: Final = {"tsvector": "io.debezium.data.Tsvector", "ltree": "io.debezium.data.Ltree"}


def _string(type: LogicalType, mapping: Mapping) -> Form:
    if type.labels:
        schema = named("string", "io.debezium.data.EnumSet", {"allowed": ",".join(type.labels)})
        return Form(schema, values.text, text.string, mapping.text, inline.TEXT)
    return _text(_NATIVE.get(type.native))(type, mapping)


def _enum(type: LogicalType, mapping: Mapping) -> Form:
    schema = named("string", "io.debezium.data.Enum", {"allowed": ",".join(type.labels)})
    return Form(schema, values.text, text.string, mapping.text, inline.TEXT)


def _zoned_timestamp(type: LogicalType, mapping: Mapping) -> Form:
    digits = values.fraction_digits(type)
    schema = named("string", "io.debezium.time.ZonedTimestamp")
    return Form(schema, values.zoned_timestamp(digits), text.zoned_timestamp(digits), mapping.text)


def _decimal(type: LogicalType, mapping: Mapping) -> Form:
    mode = mapping.options.decimal_handling_mode
    if type.native == "bigint unsigned":  # chosen by a setting of its own, which this one does not overrule
        mode = "precise"
    if mode == "double":
        return Form(primitive("double"), values.decimal_float, text.decimal_float)
    if mode == "string":
        return Form(primitive("string"), values.decimal_digits, text.digits, mapping.text)
    unscaled = int.from_bytes(mapping.bytes, "big", signed=True)
    if type.scale is None:
        fields = (field(primitive("int32"), "scale"), field(primitive("bytes"), "value"))
        schema = _struct("io.debezium.data.VariableScaleDecimal", "Variable scaled decimal", *fields)
        placeholder = values.variable_scale(unscaled, 0)
        return Form(schema, values.variable_decimal, text.variable_decimal, placeholder)
    scale, encoder = type.scale, values.decimal
    if type.native == "money":
        scale, encoder = mapping.options.money_fraction_digits, values.rounded_decimal
    parameters = {"scale": str(scale)}
    if type.precision is not None:
        parameters["connect.decimal.precision"] = str(type.precision)
    schema = named("bytes", "org.apache.kafka.connect.data.Decimal", parameters)
    written = inline.UNSCALED if scale == type.scale else None
    return Form(schema, encoder(scale), text.decimal(scale), unscaled_integer(unscaled), written)


def _bytes(type: LogicalType, mapping: Mapping) -> Form:
    mode = mapping.options.binary_handling_mode
    if mode == "bytes":
        return Form(
            primitive("bytes"), values.binary, text.binary, base64_string(mapping.bytes), inline.BINARY
        )
    if mode == "hex":
        return Form(primitive("string"), values.hexadecimal, placeholder=mapping.text)
    if mode == "base64":
        return Form(primitive("string"), values.binary, text.binary, mapping.text, inline.BINARY)
    return Form(primitive("string"), values.url_safe_binary, placeholder=mapping.text)


def _date(type: LogicalType, mapping: Mapping) -> Form:
    mode = mapping.options.time_precision_mode
    if mode == "isostring":
        return Form(named("string", "io.debezium.time.IsoDate"), values.iso_day, placeholder=mapping.text)
    name = "org.apache.kafka.connect.data.Date" if mode == "connect" else "io.debezium.time.Date"
    return Form(named("int32", name), values.date_days, text.day, inline=inline.NUMBER)


def _time(type: LogicalType, mapping: Mapping) -> Form:
    mode = mapping.options.time_precision_mode
    if mode == "isostring":
        return Form(named("string", "io.debezium.time.IsoTime"), values.iso_time, placeholder=mapping.text)
    unit = values.MICROSECONDS if mode == "adaptive_time_microseconds" else _unit(type, mapping)
    name, size = "io.debezium.time." + _PREFIXES[unit] + "Time", "int64"
    if unit is values.MILLISECONDS:
        size = "int32"
    if mode == "connect":
        name = "org.apache.kafka.connect.data.Time"
    return Form(named(size, name), unit.time, text.time_of_day(unit))


def _duration(type: LogicalType, mapping: Mapping) -> Form:
    """As Debezium's MySQL connector writes a time, which goes below zero and beyond a day: in microseconds,
    except in the modes that have no room for it."""
    mode = mapping.options.time_precision_mode
    if mode in ("connect", "isostring"):
        return _time(type, mapping)
    unit = values.NANOSECONDS if mode == "nanoseconds" else values.MICROSECONDS
    schema = named("int64", f"io.debezium.time.{_PREFIXES[unit]}Time")
    return Form(schema, unit.duration, inline=inline.count(unit))


def _timestamp(type: LogicalType, mapping: Mapping) -> Form:
    mode = mapping.options.time_precision_mode
    if mode == "isostring":
        schema = named("string", "io.debezium.time.IsoTimestamp")
        return Form(schema, values.iso_timestamp, placeholder=mapping.text)
    unit = _unit(type, mapping)
    name = f"io.debezium.time.{_PREFIXES[unit]}Timestamp"
    if mode == "connect":
        name = "org.apache.kafka.connect.data.Timestamp"
    return Form(named("int64", name), unit.timestamp, text.timestamp(unit), inline=inline.count(unit))


_PREFIXES: Final = {values.MILLISECONDS: "", values.MICROSECONDS: "Micro", values.NANOSECONDS: "Nano"}
_UNITS: Final[dict[str, Unit]] = {
    "connect": values.MILLISECONDS,
    "microseconds": values.MICROSECONDS,
    "nanoseconds": values.NANOSECONDS,
}


def _unit(type: LogicalType, mapping: Mapping) -> Unit:
    """What times of the type are counted in: the mode's unit, else the one that its digits need."""
    adaptive = values.MILLISECONDS if values.fraction_digits(type) <= 3 else values.MICROSECONDS
    return _UNITS.get(mapping.options.time_precision_mode, adaptive)


def _interval(type: LogicalType, mapping: Mapping) -> Form:
    if mapping.options.interval_handling_mode == "string":
        schema = named("string", "io.debezium.time.Interval")
        return Form(schema, values.iso_interval, placeholder=mapping.text)
    return Form(named("int64", "io.debezium.time.MicroDuration"), values.interval_microseconds)


def _map(type: LogicalType, mapping: Mapping) -> Form:
    if mapping.options.hstore_handling_mode == "json":
        return Form(named("string", "io.debezium.data.Json"), values.map_text, placeholder=mapping.text)
    schema = {
        "type": "map",
        "keys": primitive("string"),
        "values": primitive("string", optional=True),
        "optional": False,
    }
    placeholder = b"{%b:%b}" % (mapping.text, mapping.text)
    return Form(schema, values.map_object, placeholder=placeholder)


_UNBOUNDED: Final = 2**31 - 1  # bits


def _bits(type: LogicalType, mapping: Mapping) -> Form:
    if values.is_one_bit(type):
        return Form(primitive("boolean"), values.bit)
    if type.length is not None and type.native.startswith("bit("):  # MySQL's, which are numbers
        schema = named("bytes", "io.debezium.data.Bits", {"length": str(type.length)})
        return Form(schema, values.whole_bits(type.length), placeholder=base64_string(mapping.bytes))
    length = _UNBOUNDED if type.length is None else type.length
    schema = named("bytes", "io.debezium.data.Bits", {"length": str(length)})
    return Form(schema, values.bits, placeholder=base64_string(mapping.bytes))


_POINT: Final = _struct(
    "io.debezium.data.geometry.Point",
    "Geometry (POINT)",
    field(primitive("double"), "x"),
    field(primitive("double"), "y"),
    field(primitive("bytes", optional=True), "wkb"),
    field(primitive("int32", optional=True), "srid"),
)


def _geometry(type: LogicalType, mapping: Mapping) -> Form:
    if type.native == "point":
        return Form(_POINT, structures.geometric_point)
    name = "Geography" if type.native == "geography" else "Geometry"
    schema = _struct(
        f"io.debezium.data.geometry.{name}",
        name,
        field(primitive("bytes"), "wkb"),
        field(primitive("int32", optional=True), "srid"),
    )
    return Form(schema, structures.geometry, placeholder=structures.geometry((None, mapping.bytes)))


def _vector(type: LogicalType, mapping: Mapping) -> Form:
    half = type.native == "halfvec" or (type.element is not None and type.element.kind is Kind.FLOAT32)
    encode = structures.vector(values.float32 if half else values.float64)
    schema = {
        "type": "array",
        "items": primitive("float" if half else "double"),
        "optional": False,
        "name": f"io.debezium.data.{'Float' if half else 'Double'}Vector",
        "version": 1,
    }
    return Form(schema, encode, placeholder=encode([float(byte) for byte in mapping.bytes]))


_SPARSE: Final = _struct(
    "io.debezium.data.SparseDoubleVector",
    "Sparse double vector",
    field(primitive("int16"), "dimensions"),
    field(
        {"type": "map", "keys": primitive("int16"), "values": primitive("double"), "optional": False},
        "vector",
    ),
)
_MOST_DIMENSIONS: Final = 2**15 - 1  # in that schema
_ANY_DIMENSIONS: Final = 2**31 - 1


def _sparse_vector(type: LogicalType, mapping: Mapping) -> Form:
    encode = structures.sparse_vector(_ANY_DIMENSIONS if mapping.nested else _MOST_DIMENSIONS)
    numbers = {at: float(byte) for at, byte in enumerate(mapping.bytes, 1)}
    return Form(_SPARSE, encode, placeholder=encode((len(numbers), numbers)))


def _array(type: LogicalType, mapping: Mapping) -> Form:
    if type.element is None:
        raise ValueError(f"array type {type.native} has no element type")
    element = mapping.form(type.element)
    schema = {"type": "array", "items": element.schema | {"optional": True}, "optional": False}
    of_arrays = type.element.kind in (Kind.ARRAY, Kind.VECTOR)
    encode = values.array(element.encode, mapping.nested, of_arrays=of_arrays)
    return Form(schema, encode, placeholder=_array_placeholder(type.element, element, mapping))


def _array_placeholder(type: LogicalType, element: Form, mapping: Mapping) -> bytes | None:
    """Of uuids the name-based uuid (MD5) of the placeholder, of booleans its bits, of numbers its bytes, else
    the element's own placeholder."""
    of = element.schema["type"]
    if type.kind is Kind.UUID:
        digest = hashlib.md5(mapping.bytes, usedforsecurity=False).digest()
        return b'["%b"]' % str(uuid.UUID(bytes=digest, version=3)).encode()
    if element.placeholder is not None:
        return b"[%b]" % element.placeholder
    if of == "boolean":
        bits = "".join(f"{byte:08b}" for byte in mapping.bytes)
        return b"[%b]" % b",".join([b"true" if bit == "1" else b"false" for bit in bits])
    if of in ("float", "double"):
        return b"[%b]" % b",".join([b"%d.0" % byte for byte in mapping.bytes])
    if of in ("int16", "int32", "int64"):
        return b"[%b]" % b",".join([b"%d" % byte for byte in mapping.bytes])
    return None


_FORMS: Final[dict[Kind, Rule]] = {
    Kind.BOOLEAN: _always(primitive("boolean"), values.boolean, text.boolean),
    Kind.INT16: _always(primitive("int16"), values.integer(16), text.same, inline.NUMBER),
    Kind.INT32: _int32,
    Kind.INT64: _int64,
    Kind.FLOAT32: _always(primitive("float"), values.float32, text.floating),
    Kind.FLOAT64: _always(primitive("double"), values.float64, text.floating),
    Kind.DECIMAL: _decimal,
    Kind.STRING: _string,
    Kind.BYTES: _bytes,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.DURATION: _duration,
    Kind.TIMETZ: _text("io.debezium.time.ZonedTime", text.through_value, values.zoned_time),
    Kind.TIMESTAMP: _timestamp,
    Kind.TIMESTAMPTZ: _zoned_timestamp,
    Kind.UUID: _text("io.debezium.data.Uuid", text.quoted),
    Kind.JSON: _text("io.debezium.data.Json"),
    Kind.XML: _text("io.debezium.data.Xml"),
    Kind.ENUM: _enum,
    Kind.BITS: _bits,
    Kind.INTERVAL: _interval,
    Kind.POINT: _always(_POINT, structures.point),
    Kind.GEOMETRY: _geometry,
    Kind.VECTOR: _vector,
    Kind.SPARSE_VECTOR: _sparse_vector,
    Kind.MAP: _map,
    Kind.ARRAY: _array,
}
