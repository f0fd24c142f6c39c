"""How the format `debezium` writes values: examples out of Debezium's own tests and documentation, and any
value at all, read back."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tailrace.errors import Malformed
from tailrace.events import UNCHANGED, Column
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.types import Kind, LogicalType
from tests.connect_reader import UNAVAILABLE, days, read_value
from tests.unit.debezium_samples import after, change, encode, table, text_column, value

DAY = 86_400_000_000
BYTES = list(UNAVAILABLE.encode())
BASE64 = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="


def micros(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, us: int = 0
) -> int:
    return ((days(year, month, day) * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + us


def array(element: LogicalType) -> LogicalType:
    return LogicalType(Kind.ARRAY, f"{element.native}[]", element=element)


INT16 = LogicalType(Kind.INT16, "int2")
INT32 = LogicalType(Kind.INT32, "int4")
INT64 = LogicalType(Kind.INT64, "int8")
BOOLEAN = LogicalType(Kind.BOOLEAN, "bool")
FLOAT32 = LogicalType(Kind.FLOAT32, "float4")
FLOAT64 = LogicalType(Kind.FLOAT64, "float8")
MONEY = LogicalType(Kind.DECIMAL, "numeric", precision=12, scale=2)
HUNDREDS = LogicalType(Kind.DECIMAL, "numeric", precision=3, scale=-2)
WHOLE = LogicalType(Kind.DECIMAL, "numeric", precision=5, scale=0)
NUMERIC = LogicalType(Kind.DECIMAL, "numeric")
TEXT = LogicalType(Kind.STRING, "text")
BYTEA = LogicalType(Kind.BYTES, "bytea")
DATE = LogicalType(Kind.DATE, "date")
TIME = LogicalType(Kind.TIME, "time", precision=6)
TIME_3 = LogicalType(Kind.TIME, "time", precision=3)
TIMETZ = LogicalType(Kind.TIMETZ, "timetz", precision=6)
TIMESTAMP = LogicalType(Kind.TIMESTAMP, "timestamp", precision=6)
TIMESTAMP_3 = LogicalType(Kind.TIMESTAMP, "timestamp", precision=3)
TIMESTAMPTZ = LogicalType(Kind.TIMESTAMPTZ, "timestamptz", precision=6)
TIMESTAMPTZ_3 = LogicalType(Kind.TIMESTAMPTZ, "timestamptz", precision=3)
TIMESTAMPTZ_0 = LogicalType(Kind.TIMESTAMPTZ, "timestamptz", precision=0)
UUID = LogicalType(Kind.UUID, "uuid")
JSON = LogicalType(Kind.JSON, "jsonb")
ENUM = LogicalType(Kind.ENUM, "public.mood", labels=("sad", "ok", "happy"))


@pytest.mark.parametrize(
    ("type", "value", "json"),
    [
        (BOOLEAN, True, "true"),
        (INT16, -32768, "-32768"),
        (INT64, 2**63 - 1, "9223372036854775807"),
        (FLOAT32, 3.3, "3.3"),
        (FLOAT32, 3.299999952316284, "3.3"),  # the same as a double
        (FLOAT32, 16777216.0, "1.6777216e+07"),
        (FLOAT32, 1.401298464324817e-45, "1e-45"),
        (FLOAT32, 3.4028234663852886e38, "3.4028235e+38"),
        (FLOAT64, 4.44, "4.44"),
        (FLOAT64, 1.0, "1.0"),
        (FLOAT64, -0.0, "-0.0"),
        (FLOAT64, 1e14, "100000000000000.0"),
        (FLOAT64, 1e15, "1e+15"),
        (FLOAT64, 0.0001, "0.0001"),
        (FLOAT64, 1.25e-05, "1.25e-05"),
        (FLOAT64, math.nan, '"NaN"'),
        (FLOAT64, math.inf, '"Infinity"'),
        (FLOAT32, -math.inf, '"-Infinity"'),
        (MONEY, Decimal("0.00"), '"AA=="'),
        (MONEY, Decimal("1.27"), '"fw=="'),
        (MONEY, Decimal("1.28"), '"AIA="'),
        (MONEY, Decimal("-1.28"), '"gA=="'),
        (MONEY, Decimal("-1.29"), '"/38="'),
        (MONEY, Decimal("1234.11"), '"AeIT"'),
        (MONEY, Decimal("327.67"), '"f/8="'),
        (MONEY, Decimal("327.68"), '"AIAA"'),
        (MONEY, Decimal("-327.68"), '"gAA="'),
        (MONEY, Decimal("-327.69"), '"/3//"'),
        (MONEY, Decimal("83886.07"), '"f///"'),
        (MONEY, Decimal("83886.08"), '"AIAAAA=="'),
        (MONEY, Decimal("-83886.08"), '"gAAA"'),
        (MONEY, Decimal("-83886.09"), '"/3///w=="'),
        (WHOLE, Decimal("5"), '"BQ=="'),
        (HUNDREDS, Decimal("12300"), '"ew=="'),
        (NUMERIC, Decimal("1.10"), '{"scale":1,"value":"Cw=="}'),
        (NUMERIC, Decimal("1000"), '{"scale":0,"value":"A+g="}'),
        (NUMERIC, Decimal("0.000"), '{"scale":0,"value":"AA=="}'),
        (NUMERIC, Decimal("-10.25"), '{"scale":2,"value":"+/8="}'),
        (TEXT, 'quote " backslash \\ newline \n é 漢 \U0001f600', None),
        (BYTEA, b"\x01\x02\x03", '"AQID"'),
        (DATE, days(2016, 11, 4), "17109"),
        (DATE, math.inf, "2147483647"),
        (DATE, -math.inf, "-2147483648"),
        (TIME, 49_890_000_000, "49890000000"),
        (TIME, DAY, "86400000000"),
        (TIME_3, 49_890_123_000, "49890123"),
        (TIMETZ, (49_890_123_789, 7200), '"11:51:30.123789Z"'),
        (TIMETZ, (49_890_120_000, 7200), '"11:51:30.12Z"'),
        (TIMETZ, (3_600_000_000, 7200), '"23:00:00Z"'),
        (TIMETZ, (DAY, 0), '"24:00:00Z"'),
        (TIMETZ, (DAY, 19_800), '"18:30:00Z"'),
        (TIMETZ, (0, -(15 * 3600 + 59 * 60 + 59)), '"15:59:59Z"'),
        (TIMESTAMP, micros(2016, 11, 4, 13, 51, 30, 123456), "1478267490123456"),
        (TIMESTAMP_3, micros(2016, 11, 4, 13, 51, 30, 123000), "1478267490123"),
        (TIMESTAMP, micros(1936, 10, 25, 22, 10, 12, 608000), "-1047174587392000"),
        (TIMESTAMP_3, micros(1936, 10, 25, 22, 10, 12, 608000), "-1047174587392"),
        (TIMESTAMP, micros(-4712, 12, 31, 23, 59, 59, 999999), "-210831897600000001"),
        (TIMESTAMP, micros(294247, 1, 1, 23, 59, 59, 999999), "9223371331199999999"),
        (TIMESTAMP, math.inf, "9223372036825200000"),
        (TIMESTAMP, -math.inf, "-9223372036832400000"),
        (TIMESTAMP_3, math.inf, "9223372036825200"),
        (TIMESTAMP_3, -math.inf, "-9223372036832400"),
        (TIMESTAMPTZ, micros(2016, 11, 4, 11, 51, 30, 123456), '"2016-11-04T11:51:30.123456Z"'),
        (TIMESTAMPTZ, micros(2020, 4, 1, 11, 51, 2), '"2020-04-01T11:51:02.000000Z"'),
        (TIMESTAMPTZ_3, micros(2020, 4, 1, 11, 51, 2, 100000), '"2020-04-01T11:51:02.100Z"'),
        (TIMESTAMPTZ_0, micros(2020, 4, 1, 11, 51, 2), '"2020-04-01T11:51:02Z"'),
        (TIMESTAMPTZ, micros(21016, 11, 4, 6, 51, 30), '"+21016-11-04T06:51:30.000000Z"'),
        (TIMESTAMPTZ, micros(294247, 1, 1, 23, 59, 59, 999999), '"+294247-01-01T23:59:59.999999Z"'),
        (TIMESTAMPTZ, micros(-4713, 12, 31, 23, 59, 59, 999999), '"-4713-12-31T23:59:59.999999Z"'),
        (TIMESTAMPTZ, micros(0, 2, 29), '"0000-02-29T00:00:00.000000Z"'),
        (TIMESTAMPTZ, math.inf, '"infinity"'),
        (TIMESTAMPTZ, -math.inf, '"-infinity"'),
        (UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
        (JSON, '{"bar": "baz"}', r'"{\"bar\": \"baz\"}"'),
        (ENUM, "happy", '"happy"'),
        (array(INT32), [1, None, -3], "[1,null,-3]"),
        (array(INT32), [], "[]"),
        (array(INT32), [[1, 2], [None, 4]], "[[1,2],[null,4]]"),
        (array(ENUM), ["sad", None], '["sad",null]'),
        (array(NUMERIC), [Decimal("1.1")], '[{"scale":1,"value":"Cw=="}]'),
    ],
)
def test_value(type: LogicalType, value: Any, json: str | None) -> None:
    written = Mapping().form(type).encode(value)
    if json is not None:
        assert written.decode() == json
    else:
        assert msgspec.json.decode(written) == value


def by_value(type: LogicalType) -> Callable[[Any], Any]:
    encode = Mapping().form(type).encode
    return lambda value: read_value(type, msgspec.json.decode(encode(value)))


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_numeric_reads_back(value: Decimal) -> None:
    assert by_value(NUMERIC)(value) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_any_numeric_of_a_scale_reads_back(value: Decimal) -> None:
    assert by_value(MONEY)(value) == value


def test_a_numeric_of_any_length_reads_back() -> None:
    value = Decimal("9" * 20_000 + "." + "7" * 5_000)
    assert by_value(NUMERIC)(value) == value


@given(st.floats(allow_nan=False))
def test_any_double_reads_back(value: float) -> None:
    assert repr(by_value(FLOAT64)(value)) == repr(value)


@given(st.floats(allow_nan=False, width=32))
def test_any_float_reads_back(value: float) -> None:
    written: float = by_value(FLOAT32)(value)
    assert struct.pack("<f", written) == struct.pack("<f", value)


@given(st.integers(micros(-4713, 11, 24), micros(294276, 12, 31)))
def test_any_timestamp_with_time_zone_reads_back(value: int) -> None:
    assert by_value(TIMESTAMPTZ)(value) == value


@given(st.text())
def test_any_text_reads_back(value: str) -> None:
    assert by_value(TEXT)(value) == value


@pytest.mark.parametrize(
    ("type", "value"),
    [
        (BOOLEAN, 1),
        (INT16, 32768),
        (INT32, True),
        (INT32, "1"),
        (INT64, 2**63),
        (FLOAT32, 1e39),
        (FLOAT64, 1),
        (MONEY, Decimal("1.234")),
        (MONEY, Decimal("NaN")),
        (NUMERIC, Decimal("-Infinity")),
        (NUMERIC, 1.5),
        (TEXT, b"text"),
        (BYTEA, "text"),
        (DATE, 2**31),
        (TIME, DAY + 1),
        (TIMESTAMP, micros(294276, 12, 31)),
        (TIMESTAMPTZ, 1.5),
        (array(INT32), 1),
        (array(INT32), ["1"]),
        (array(NUMERIC), [Decimal("NaN")]),
    ],
)
def test_a_value_that_does_not_fit_is_refused(type: LogicalType, value: Any) -> None:
    column = Column("c", type, True, lambda field: field, text=False)
    with pytest.raises(
        Malformed, match=r"^public\.customers at 00000000016B3748:1:0: TR-FMT-001 .*column c \("
    ):
        after(column, value)


def test_a_number_without_a_sign_that_is_too_large_names_the_setting_for_it() -> None:
    """Of MySQL, whose source can map it to a type that has room for it."""
    column = Column("c", LogicalType(Kind.INT64, "bigint unsigned"), True, int, text=False)
    with pytest.raises(Malformed, match="TR-FMT-001") as raised:
        after(column, 2**63)
    assert raised.value.remedy.startswith("Write bigint_unsigned_handling_mode: precise under source:, ")
    with pytest.raises(Malformed, match="TR-FMT-001") as raised:
        after(Column("c", INT64, True, int, text=False), 2**63)
    assert "bigint_unsigned_handling_mode" not in raised.value.remedy


def test_the_error_shows_the_field_but_not_all_of_it() -> None:
    column = Column("c", INT32, True, int, text=False)
    with pytest.raises(Malformed) as raised:
        after(column, b"x" * 1000)
    assert "the field is b'xxx" in str(raised.value)
    assert "(1003 characters)" in str(raised.value)
    assert len(str(raised.value)) < 1300  # int's own message quotes it whole


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        (TEXT, UNAVAILABLE),
        (JSON, UNAVAILABLE),
        (BYTEA, BASE64),
        (MONEY, BASE64),
        (NUMERIC, {"scale": 0, "value": BASE64}),
        (array(TEXT), [UNAVAILABLE]),
        (array(JSON), [UNAVAILABLE]),
        (array(BYTEA), [BASE64]),
        (array(INT32), BYTES),
        (array(INT64), BYTES),
        (array(DATE), BYTES),
        (array(TIMESTAMP), BYTES),
        (array(FLOAT64), BYTES),
        (array(NUMERIC), [{"scale": 0, "value": BASE64}]),
        (array(UUID), ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]),
        (array(BOOLEAN), [bit == "1" for byte in BYTES for bit in f"{byte:08b}"]),
    ],
)
def test_an_unchanged_value_is_a_placeholder_that_fits(type: LogicalType, expected: Any) -> None:
    for text in (False, True):
        column = Column("c", type, True, lambda field: field, text=text and type.kind is not Kind.ARRAY)
        written = after(column, UNCHANGED)
        assert written == expected
        read_value(type, written)


@pytest.mark.parametrize("type", [INT32, BOOLEAN, FLOAT64, DATE, TIME, TIMESTAMP])
def test_an_unchanged_number_is_refused(type: LogicalType) -> None:
    assert Mapping().form(type).placeholder is None
    column = Column("c", type, True, lambda field: field, text=True)
    with pytest.raises(Malformed, match=r"TR-FMT-002 .* is unchanged"):
        after(column, UNCHANGED)


def test_an_array_of_two_dimensions_does_not_fit_a_schema() -> None:
    column = Column("c", array(INT32), True, lambda field: field, text=False)
    assert after(column, [[1], [2]]) == [[1], [2]]
    assert after(column, [1, 2], schemas=True) == [1, 2]
    with pytest.raises(Malformed, match="more than one dimension"):
        after(column, [[1], [2]], schemas=True)


def test_names_are_escaped() -> None:
    name = 'odd "name" \\ % {offset} \n ü'
    columns = (text_column(name, optional=False), text_column("b" + name))
    [record] = encode(change("c", table(*columns, name=name), None, [b"1", None]))
    read = value(record)
    assert read["after"] == {name: "1", "b" + name: None}
    assert read["source"]["table"] == name
    assert msgspec.json.decode(record.key or b"") == {name: "1"}


INTERVAL = LogicalType(Kind.INTERVAL, "interval")
POINT = LogicalType(Kind.POINT, "point")
BIT = LogicalType(Kind.BITS, "bit", length=1)
BITS_70 = LogicalType(Kind.BITS, "bit", length=70)
VARBIT_1 = LogicalType(Kind.BITS, "varbit", length=1)
HSTORE = LogicalType(Kind.MAP, "hstore")


@pytest.mark.parametrize(
    ("type", "value", "json"),
    [
        (INTERVAL, (14, 3, 14_706_789_000), "37091106789000"),
        (INTERVAL, (-14, 3, -14_706_000_000), "-36572706000000"),
        (INTERVAL, (2_136_000_000, 0, 0), "9223372036854775807"),
        (INTERVAL, (-2_136_000_000, 0, 0), "-9223372036854775807"),
        (INTERVAL, math.inf, "9223372036854775807"),
        (INTERVAL, -math.inf, "-9223372036854775807"),
        (BIT, "1", "true"),
        (BIT, "0", "false"),
        (VARBIT_1, "", '""'),
        (VARBIT_1, "1", '"AQ=="'),
        (BITS_70, "1" + "0" * 69, '"AAAAAAAAAAAg"'),
        (BITS_70, "0" * 70, '""'),
        (BITS_70, "10101".rjust(70, "0"), '"FQ=="'),
        (POINT, (1.5, -2.25), '{"x":1.5,"y":-2.25,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAALA","srid":null}'),
        (
            POINT,
            (math.nan, math.inf),
            '{"x":"NaN","y":"Infinity","wkb":"AQEAAAAAAAAAAAD4fwAAAAAAAPB/","srid":null}',
        ),
        (HSTORE, {"a": "1", "b c": None}, r'"{\"a\":\"1\",\"b c\":null}"'),
        (HSTORE, {}, '"{}"'),
        (LogicalType(Kind.XML, "xml"), "<a>ü</a>", '"<a>ü</a>"'),
    ],
)
def test_values_that_a_real_debezium_wrote(type: LogicalType, value: Any, json: str) -> None:
    assert Mapping().form(type).encode(value).decode() == json
    assert Mapping().form(array(type)).encode([value, None]).decode() == f"[{json},null]"


def test_an_array_of_arrays_is_no_array_of_two_dimensions() -> None:
    """Of a domain over an array: a Connect schema has a form for it."""
    lists = array(array(INT32))
    assert Mapping(nested=False).form(lists).encode([[1, None], None, []]) == b"[[1,null],null,[]]"
    with pytest.raises(ValueError, match="more than one dimension"):
        Mapping(nested=False).form(lists).encode([[[1]]])


VECTOR = LogicalType(Kind.VECTOR, "vector")
SPARSE = LogicalType(Kind.SPARSE_VECTOR, "sparsevec")
GEOMETRY = LogicalType(Kind.GEOMETRY, "geometry")
PESOS = LogicalType(Kind.DECIMAL, "money", scale=2)
ENORMOUS = Decimal(2) ** 1030


@pytest.mark.parametrize(
    ("type", "value", "options", "json"),
    [
        (MONEY, Decimal("NaN"), {"decimal_handling_mode": "double"}, '"NaN"'),
        (NUMERIC, Decimal("-Infinity"), {"decimal_handling_mode": "double"}, '"-Infinity"'),
        (MONEY, Decimal("NaN"), {"decimal_handling_mode": "string"}, '"NAN"'),
        (NUMERIC, Decimal("-Infinity"), {"decimal_handling_mode": "string"}, '"NEGATIVE_INFINITY"'),
        (PESOS, Decimal("12.35"), {"money_fraction_digits": 1}, '"fA=="'),
        (PESOS, Decimal("-12.35"), {"money_fraction_digits": 1}, '"hA=="'),
        (PESOS, Decimal("12.34"), {"money_fraction_digits": 4}, '"AeII"'),
        (TIMESTAMP, math.inf, {"time_precision_mode": "connect"}, "9223372036825200"),
        (TIMESTAMP, micros(-43, 3, 15), {"time_precision_mode": "connect"}, "-63517824000000"),
        (TIMESTAMP, -math.inf, {"time_precision_mode": "nanoseconds"}, "-9223372036854775808"),
        (TIMESTAMP, micros(-43, 3, 15), {"time_precision_mode": "isostring"}, '"-0043-03-15T00:00:00Z"'),
        (TIMESTAMP, -math.inf, {"time_precision_mode": "isostring"}, '"-infinity"'),
        (DATE, math.inf, {"time_precision_mode": "isostring"}, '"infinity"'),
        (DATE, days(-43, 3, 15), {"time_precision_mode": "isostring"}, '"-0043-03-15Z"'),
        (TIME, DAY, {"time_precision_mode": "isostring"}, '"24:00:00Z"'),
        (TIME_3, 1_500_000, {"time_precision_mode": "adaptive_time_microseconds"}, "1500000"),
        (TIMESTAMPTZ, math.inf, {"time_precision_mode": "connect"}, '"infinity"'),
        (BYTEA, b"\xfb\xff", {"binary_handling_mode": "base64-url-safe"}, '"-_8="'),
        (
            INTERVAL,
            (-14, 3, -14_706_500_000),
            {"interval_handling_mode": "string"},
            '"P-1Y-2M3DT-4H-5M-6.5S"',
        ),
        (INTERVAL, math.inf, {"interval_handling_mode": "string"}, '"infinity"'),
        (HSTORE, {"a": None}, {"hstore_handling_mode": "map"}, '{"a":null}'),
        (array(HSTORE), [{"a": "1"}, None], {"hstore_handling_mode": "map"}, '[{"a":"1"},null]'),
        (array(MONEY), [Decimal("NaN")], {"decimal_handling_mode": "double"}, '["NaN"]'),
        (GEOMETRY, (4326, b"\1"), {}, '{"wkb":"AQ==","srid":4326}'),
        (VECTOR, [1.0, 1e20], {}, "[1.0,1e+20]"),
        (array(VECTOR), [[1.0], None], {}, "[[1.0],null]"),
        (SPARSE, (1_000_000, {100_000: 1.5}), {}, '{"dimensions":1000000,"vector":[[100000,1.5]]}'),
    ],
)
def test_values_under_options(type: LogicalType, value: Any, options: dict[str, Any], json: str) -> None:
    assert Mapping(Options(**options)).form(type).encode(value).decode() == json


@pytest.mark.parametrize(
    ("type", "value", "options"),
    [
        (NUMERIC, ENORMOUS, {"decimal_handling_mode": "double"}),
        (TIMESTAMP, micros(2262, 4, 12), {"time_precision_mode": "nanoseconds"}),
        (TIMESTAMP, micros(1677, 9, 21), {"time_precision_mode": "nanoseconds"}),
        (SPARSE, (32_768, {}), {}),
        (VECTOR, [math.nan], {}),
    ],
)
def test_what_a_form_has_no_room_for_is_refused(
    type: LogicalType, value: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        Mapping(Options(**options), nested=False).form(type).encode(value)


@pytest.mark.parametrize("type", [POINT, MONEY])
def test_there_is_no_placeholder_where_none_would_fit(type: LogicalType) -> None:
    mapping = Mapping(Options(decimal_handling_mode="double"))
    assert mapping.form(type).placeholder is None


@pytest.mark.parametrize("placeholder", ["", "hex:", "hex:6", "hex:zz", "hex:ff"])
def test_a_placeholder_that_is_no_text_is_refused(placeholder: str) -> None:
    with pytest.raises(ValidationError):
        Options(unavailable_value_placeholder=placeholder)
