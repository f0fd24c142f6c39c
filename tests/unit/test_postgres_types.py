"""PostgreSQL's types: what they are mapped to, and values out of the server's text."""

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.postgres import text
from connectors.postgres.arrays import array
from connectors.postgres.hstore import hstore
from connectors.postgres.types import TypeDetails, column, is_known
from tailrace.errors import NotReady
from tailrace.types import Kind, LogicalType
from tests.unit import pgoutput

MOOD = TypeDetails(20001, "public", "mood", "e", labels=("sad", "so, so"))
MOODS = TypeDetails(20002, "public", "_mood", "b", element=20001)
PRICE = TypeDetails(20005, "app", "price", "d", base=1700, typmod=(12 << 16 | 2) + 4)
BARGAIN = TypeDetails(20006, "app", "bargain", "d", base=20005)
BARGAINS = TypeDetails(20007, "app", "_bargain", "b", element=20006)
FEELING = TypeDetails(20008, "app", "feeling", "d", base=20001)
TAGS = TypeDetails(20009, "app", "tags", "d", base=1009)
ADDRESS = TypeDetails(20010, "app", "address", "c")
HSTORE = TypeDetails(20011, "public", "hstore", "b")
RANGE = TypeDetails(3904, "pg_catalog", "int4range", "r")
RANGES = TypeDetails(3905, "pg_catalog", "_int4range", "b", element=3904)
BOX = TypeDetails(603, "pg_catalog", "box", "b", delimiter=";")
BOXES = TypeDetails(1020, "pg_catalog", "_box", "b", element=603)
VECTOR = TypeDetails(22, "pg_catalog", "int2vector", "b")
TYPES = {
    type.oid: type
    for type in (
        MOOD, MOODS, PRICE, BARGAIN, BARGAINS, FEELING, TAGS, ADDRESS, HSTORE, RANGE, RANGES, BOX, BOXES,
        VECTOR,
    )
}  # fmt: skip
DECIMAL_12_2 = LogicalType(Kind.DECIMAL, "numeric", precision=12, scale=2)


def logical(oid: int, typmod: int = -1) -> LogicalType:
    return column("public.t", "c", oid, typmod, optional=True, types=TYPES).type


@pytest.mark.parametrize(
    ("oid", "typmod", "expected"),
    [
        (16, -1, LogicalType(Kind.BOOLEAN, "bool")),
        (17, -1, LogicalType(Kind.BYTES, "bytea")),
        (18, -1, LogicalType(Kind.STRING, "char")),
        (19, -1, LogicalType(Kind.STRING, "name")),
        (20, -1, LogicalType(Kind.INT64, "int8")),
        (21, -1, LogicalType(Kind.INT16, "int2")),
        (23, -1, LogicalType(Kind.INT32, "int4")),
        (25, -1, LogicalType(Kind.STRING, "text")),
        (26, -1, LogicalType(Kind.INT64, "oid")),
        (114, -1, LogicalType(Kind.JSON, "json")),
        (142, -1, LogicalType(Kind.XML, "xml")),
        (600, -1, LogicalType(Kind.POINT, "point")),
        (650, -1, LogicalType(Kind.STRING, "cidr")),
        (774, -1, LogicalType(Kind.STRING, "macaddr8")),
        (790, -1, LogicalType(Kind.DECIMAL, "money", scale=2)),
        (829, -1, LogicalType(Kind.STRING, "macaddr")),
        (869, -1, LogicalType(Kind.STRING, "inet")),
        (1186, -1, LogicalType(Kind.INTERVAL, "interval")),
        (1560, 1, LogicalType(Kind.BITS, "bit", length=1)),
        (1562, 70, LogicalType(Kind.BITS, "varbit", length=70)),
        (1562, -1, LogicalType(Kind.BITS, "varbit")),
        (3614, -1, LogicalType(Kind.STRING, "tsvector")),
        (22, -1, LogicalType(Kind.STRING, "int2vector")),
        (603, -1, LogicalType(Kind.STRING, "box")),
        (1020, -1, LogicalType(Kind.ARRAY, "box[]", element=LogicalType(Kind.STRING, "box"))),
        (3904, -1, LogicalType(Kind.STRING, "int4range")),
        (3905, -1, LogicalType(Kind.ARRAY, "int4range[]", element=LogicalType(Kind.STRING, "int4range"))),
        (20005, -1, DECIMAL_12_2),
        (20006, -1, DECIMAL_12_2),
        (20007, -1, LogicalType(Kind.ARRAY, "numeric[]", element=DECIMAL_12_2)),
        (20008, -1, LogicalType(Kind.ENUM, "public.mood", labels=("sad", "so, so"))),
        (20009, -1, LogicalType(Kind.ARRAY, "text[]", element=LogicalType(Kind.STRING, "text"))),
        (20010, -1, LogicalType(Kind.STRING, "address")),
        (20011, -1, LogicalType(Kind.MAP, "hstore")),
        (700, -1, LogicalType(Kind.FLOAT32, "float4")),
        (701, -1, LogicalType(Kind.FLOAT64, "float8")),
        (1042, 9, LogicalType(Kind.STRING, "bpchar", length=5)),
        (1043, 44, LogicalType(Kind.STRING, "varchar", length=40)),
        (1043, -1, LogicalType(Kind.STRING, "varchar")),
        (1082, -1, LogicalType(Kind.DATE, "date")),
        (1083, 0, LogicalType(Kind.TIME, "time", precision=0)),
        (1114, -1, LogicalType(Kind.TIMESTAMP, "timestamp", precision=6)),
        (1184, 3, LogicalType(Kind.TIMESTAMPTZ, "timestamptz", precision=3)),
        (1266, -1, LogicalType(Kind.TIMETZ, "timetz", precision=6)),
        (1700, -1, LogicalType(Kind.DECIMAL, "numeric")),
        (1700, (12 << 16 | 2) + 4, LogicalType(Kind.DECIMAL, "numeric", precision=12, scale=2)),
        (1700, (3 << 16 | 0x7FE) + 4, LogicalType(Kind.DECIMAL, "numeric", precision=3, scale=-2)),
        (1700, (1000 << 16 | 1000) + 4, LogicalType(Kind.DECIMAL, "numeric", precision=1000, scale=1000)),
        (2950, -1, LogicalType(Kind.UUID, "uuid")),
        (3802, -1, LogicalType(Kind.JSON, "jsonb")),
        (20001, -1, LogicalType(Kind.ENUM, "public.mood", labels=("sad", "so, so"))),
        (1007, -1, LogicalType(Kind.ARRAY, "int4[]", element=LogicalType(Kind.INT32, "int4"))),
        (
            1015,
            44,
            LogicalType(Kind.ARRAY, "varchar[]", element=LogicalType(Kind.STRING, "varchar", length=40)),
        ),
        (
            1231,
            (5 << 16 | 1) + 4,
            LogicalType(
                Kind.ARRAY, "numeric[]", element=LogicalType(Kind.DECIMAL, "numeric", precision=5, scale=1)
            ),
        ),
        (
            20002,
            -1,
            LogicalType(
                Kind.ARRAY,
                "public.mood[]",
                element=LogicalType(Kind.ENUM, "public.mood", labels=("sad", "so, so")),
            ),
        ),
    ],
)
def test_types_are_mapped(oid: int, typmod: int, expected: LogicalType) -> None:
    assert logical(oid, typmod) == expected
    assert is_known(oid) == (oid not in TYPES)
    mapped = column("public.t", "c", oid, typmod, optional=False, types=TYPES)
    without = {Kind.ARRAY, Kind.INTERVAL, Kind.POINT, Kind.MAP}
    assert mapped.text == (expected.kind not in without and expected.native != "money")
    assert (mapped.name, mapped.optional) == ("c", False)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (TypeDetails(20003, "public", "raster", "b"), "public.raster"),
        (TypeDetails(20003, "app", "place", "d", base=20004), "app.place (a domain type)"),
        (TypeDetails(20003, "public", "_raster", "b", element=20004), "public.raster[]"),
        (TypeDetails(2276, "pg_catalog", "any", "p"), "any (a pseudo type)"),
        (None, "with oid 20003, which no longer exists"),
    ],
)
def test_every_other_type_is_refused_by_name(details: TypeDetails | None, said: str) -> None:
    oid = details.oid if details else 20003
    types = {20004: TypeDetails(20004, "public", "raster", "b"), **({oid: details} if details else {})}
    assert not is_known(oid)
    with pytest.raises(NotReady) as error:
        column("public.t", "where", oid, -1, optional=True, types=types)
    assert error.value.where == "public.t"
    assert error.value.found == f"column where is of type {said}, which is not supported yet"
    assert "exclude" in error.value.remedy
    assert error.value.code.id == "TR-PG-102"


EPOCH = datetime(1970, 1, 1)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def written(moment: datetime | time) -> str:
    """As PostgreSQL writes it: without zeros at the end of the fraction."""
    shown = moment.isoformat(*([" "] if isinstance(moment, datetime) else []))
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


@given(st.dates())
def test_dates(day: date) -> None:
    assert text.days(day.isoformat().encode()) == (day - date(1970, 1, 1)).days


@given(moments)
def test_timestamps(moment: datetime) -> None:
    assert text.timestamp(written(moment).encode()) == micros(moment)
    assert text.timestamp_with_offset(f"{written(moment)}+00".encode()) == micros(moment)


@given(moments.filter(lambda moment: 1 < moment.year < 9999), st.integers(-57599, 57599))
def test_offsets(moment: datetime, east: int) -> None:
    hours, rest = divmod(abs(east), 3600)
    minutes, seconds = divmod(rest, 60)
    offset = f"{'-' if east < 0 else '+'}{hours:02}"
    offset += f":{minutes:02}" if minutes or seconds else ""
    offset += f":{seconds:02}" if seconds else ""
    at = f"{written(moment)}{offset}".encode()
    assert text.timestamp_with_offset(at) == micros(moment) - east * 1_000_000
    of_day = written(moment.time())
    assert text.time_with_offset(f"{of_day}{offset}".encode()) == (text.time(of_day.encode()), east)


@given(st.times())
def test_times(moment: time) -> None:
    expected = micros(datetime.combine(EPOCH, moment))
    assert text.time(written(moment).encode()) == expected


@pytest.mark.parametrize(
    ("value", "read", "expected"),
    [
        (b"infinity", text.days, math.inf),
        (b"-infinity", text.days, -math.inf),
        (b"infinity", text.timestamp, math.inf),
        (b"-infinity", text.timestamp, -math.inf),
        (b"infinity", text.timestamp_with_offset, math.inf),
        (b"-infinity", text.timestamp_with_offset, -math.inf),
        # Day numbers as PostgreSQL counts them: date - date '1970-01-01'.
        (b"0001-01-01", text.days, -719162),
        (b"0001-12-31 BC", text.days, -719163),
        (b"0001-01-01 BC", text.days, -719528),
        (b"0001-02-29 BC", text.days, -719469),
        (b"0044-03-15 BC", text.days, -735160),
        (b"4714-11-24 BC", text.days, -2440588),
        (b"10000-01-01", text.days, 2932897),
        (b"5874897-12-31", text.days, 2145042905),
        (b"10000-01-01 00:00:00", text.timestamp, 2932897 * 86_400_000_000),
        (b"294276-12-31 23:59:59.999999", text.timestamp, 9224318015999999999),
        (b"4714-11-24 00:00:00 BC", text.timestamp, -210866803200000000),
        (b"0044-03-15 23:59:59.999999 BC", text.timestamp, -63517737600000001),
        (b"0044-03-15 23:59:59.999999+00 BC", text.timestamp_with_offset, -63517737600000001),
        (b"0044-03-15 23:59:59+02:30 BC", text.timestamp_with_offset, -63517746601000000),
        (b"10000-01-01 00:00:00.5+00", text.timestamp_with_offset, 2932897 * 86_400_000_000 + 500_000),
        (b"24:00:00", text.time, 86_400_000_000),
        (b"24:00:00-15:59:59", text.time_with_offset, (86_400_000_000, -57599)),
        (b"-$92,233,720,368,547,758.08", text.money, Decimal("-92233720368547758.08")),
        (b"$0.00", text.money, Decimal("0.00")),
        (b"", text.bits, ""),
        (b"10100", text.bits, "10100"),
        (b"(1.5,-2.25)", text.point, (1.5, -2.25)),
        (b"(-0,1e+300)", text.point, (-0.0, 1e300)),
        (b"00:00:00", text.interval, (0, 0, 0)),
        (b"1 year 2 mons 3 days 04:05:06.789", text.interval, (14, 3, 14_706_789_000)),
        (b"-1 years -2 mons +3 days -04:05:06", text.interval, (-14, 3, -14_706_000_000)),
        (b"-00:00:00.000001", text.interval, (0, 0, -1)),
        (b"1 mon -1 days", text.interval, (1, -1, 0)),
        (b"-178000000 years", text.interval, (-2_136_000_000, 0, 0)),
        (b"2562047788:00:54.775807", text.interval, (0, 0, 9_223_372_036_854_775_807)),
        (b"infinity", text.interval, math.inf),
        (b"-infinity", text.interval, -math.inf),
        (b"", hstore, {}),
        (
            rb'"a"=>"1", "b c"=>NULL, "\\"=>"NULL", "\""=>", "',
            hstore,
            {"a": "1", "b c": None, "\\": "NULL", '"': ", "},
        ),
        (b"t", text.boolean, True),
        (b"f", text.boolean, False),
        (b"\\x", text.binary, b""),
        (b"\\x00ff5c", text.binary, b"\x00\xff\\"),
        (b"-Infinity", text.decimal, Decimal("-Infinity")),
        (b"1" + b"0" * 5000 + b".5", text.decimal, Decimal("1" + "0" * 5000 + ".5")),
    ],
)
def test_values_at_the_edges(value: bytes, read: Any, expected: Any) -> None:
    assert read(value) == expected
    assert type(read(value)) is type(expected)


def test_nan() -> None:
    assert text.decimal(b"NaN").is_nan()


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (text.boolean, ["", "true", "T", "0"]),
        (text.binary, ["", "00", "\\x0", "\\xzz", "x00", "\\000"]),
        (text.decimal, ["", "one", "1,5", "0x1", "ä"]),
        (text.money, ["", "12.34", "$12", "$1.2", "-12.34$", "$", "($1.00)", "$.00"]),
        (text.bits, ["2", "0 1", "b01"]),
        (text.point, ["", "1,2", "(1)", "(1,2", "(1,2,3)", "(a,b)", "(,)"]),
        (text.interval, ["", " ", "1 day 2 years", "P1Y", "1 month", "1:2:3", "00:00:00 1 day", "1 day "]),
        (hstore, ["a=>1", '"a"=>1', '"a"=>"1",', '"a"=>"1","b"=>"2"', '"a"', '"a"=>"1"x', '"a"=>NULL, ']),
        (hstore, ['"a=>"1"', " "]),
        (text.days, ["", "today", "2026-1-1", "2026-13-01", "2026-02-30", "2026-01-01 AD", "26-01-01"]),
        (text.days, ["0000-01-01", "BC", " BC"]),
        (text.time, ["", "1:00:00", "25:00:00", "24:00:01", "23:60:00", "23:00:60", "00:00:00.", "00:00"]),
        (text.time, ["00:00:0a", "00:00:00.1234567"]),
        (text.time_with_offset, ["", "00:00:00", "00:00:00Z", "00:00:00+1", "+00"]),
        (text.timestamp, ["", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00", "BC", " BC"]),
        (text.timestamp, ["2026-01-01 00:00:00.1234567", "2026-01-01 00:00:00.x", "2026-01-01 00:00:60"]),
        (text.timestamp, ["2026-01-01 00:00: 1", "2026-01-01 00:00:00+00", "2026-01-01 00:00:00..1"]),
        (text.timestamp, ["2026-01-01 00:00:1", "infinity 00:00:00"]),
        (text.timestamp_with_offset, ["", "2026-01-01 00:00:00", "+00", "2026-01-01+00", "now+00", "-"]),
    ],
)  # fmt: skip
def test_what_the_server_never_writes_is_refused(read: Any, values: list[str]) -> None:
    for value in values:
        with pytest.raises(ValueError):  # noqa: PT011 — the message shows the text, whatever it says
            read(value.encode())


def array_text(items: list[Any]) -> str:
    """An array as the server writes it, every element quoted that may be."""
    return "{" + ",".join(_item(item) for item in items) + "}"


def _item(item: list[Any] | str | None) -> str:
    if isinstance(item, list):
        return array_text(item)
    if item is None:
        return "NULL"
    plain = (
        item and item.upper() != "NULL" and not any(c in item for c in '{}",\\') and item.split() == [item]
    )
    return item if plain else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'


elements = st.one_of(
    st.none(), st.text(), st.sampled_from(["NULL", "null", "", " ", "\\", '"', "{}", ",", "a,b", "ü"])
)


@given(st.lists(elements))
def test_arrays(items: list[str | None]) -> None:
    items = [item and item.replace("\0", "") for item in items]
    assert array(bytes.decode, b",")(array_text(items).encode()) == items


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.data())
def test_arrays_of_more_dimensions(a: int, b: int, c: int, data: st.DataObject) -> None:
    items = [[[data.draw(elements) for _ in range(c)] for _ in range(b)] for _ in range(a)]
    items = [[[item and item.replace("\0", "") for item in row] for row in plane] for plane in items]
    bounds = f"[0:{a - 1}][-5:{b - 6}][7:{c + 6}]="
    assert array(bytes.decode, b",")((bounds + array_text(items)).encode()) == items


def test_arrays_with_another_delimiter() -> None:
    boxes = array(bytes.decode, b";")
    assert boxes(b"{(1,1),(0,0);(2,2),(1,1)}") == ["(1,1),(0,0)", "(2,2),(1,1)"]
    assert boxes(b'{"a;b";NULL}') == ["a;b", None]


@pytest.mark.parametrize(
    "value",
    [
        "", "1,2", "{1,2", "1,2}", "{1,2}}", "{{1,2}", "{{1},2}", "{{1},{2,3}}", "{1,,2}", "{,}", "{1,}",
        '{"a}', "{a\\}", "{}{}", "{}}", "{{}}", "{{},{}}", '{"a"b}', "{a{b}}", "[1:2]{1,2}", "[1:2]=",
        "[a:b]={1}", "{1}x", "{" * 5000, "{{{{{{{1}}}}}}}",
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused(value: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — int's own message, or the array's
        array(int, b",")(value.encode())


@given(st.text(alphabet='{}",\\[]:=0 aN', max_size=12))
def test_noise_is_an_array_or_refused(noise: str) -> None:
    try:
        read = array(bytes.decode, b",")(noise.encode())
    except ValueError:
        return
    assert isinstance(read, list)


@pytest.mark.parametrize("major", pgoutput.MAJORS)
def test_recorded_values(major: int) -> None:
    rows: list[dict[str, Any]] = []
    for change in pgoutput.changes(pgoutput.events(pgoutput.recording(major, "types"))):
        _, after = change.table.split(change.raw)
        assert after
        pairs = zip(change.table.columns, after, strict=True)
        rows.append({c.name: None if field is None else c.value(field) for c, field in pairs})
    first, second, third = rows
    assert first == {
        "id": 1, "b": True, "by": b"\x00\xff\\", "c": "c", "nm": "nm", "i8": -(2**63), "i2": -(2**15),
        "f4": 1.1, "f8": 1e-300, "ch": "ab   ", "vc": "äöü", "d": 20484, "t": 86_400_000_000,
        "t3": 86_399_999_000, "ts": 1769865255100000, "ts0": 1769865255000000, "tz": 1769858055123456,
        "tt": (47_655_000_000, 19_800), "n": Decimal("1234567890.0123456789"), "n122": Decimal("14285.57"),
        "n3": Decimal(12300), "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "js": '{ "a" : 1.0 }',
        "jb": '{"a": 1.0}', "m": "so, so", "ms": ["sad", "so, so", None], "xs": [["a,b", "NULL"], ["\\", ""]],
        "ns": [[Decimal("1.5")], [None]], "ds": [1769865255000000, math.inf],
    }  # fmt: skip
    nan: Any = second.pop("n")
    assert nan.is_nan()
    assert math.isnan(second.pop("f4"))
    assert second == {
        "id": 2, "b": False, "by": b"", "c": "", "nm": "", "i8": 2**63 - 1, "i2": 2**15 - 1, "f8": -math.inf,
        "ch": "     ", "vc": "", "d": -735160, "t": 0, "t3": 0, "ts": -63517737600000001,
        "ts0": 327416947200000000, "tz": -62135596800500000, "tt": (0, -57599), "n122": Decimal("-0.01"),
        "n3": Decimal(-300), "u": None, "js": "null", "jb": "null", "m": 'it\'s "ok"', "ms": [],
        "xs": [None, "nul\nl"], "ns": [], "ds": [],
    }  # fmt: skip
    assert {name: value for name, value in third.items() if value is not None} == {
        "id": 3, "d": math.inf, "ts": -math.inf, "tz": math.inf, "n": Decimal("Infinity"), "f4": 0.1,
    }  # fmt: skip
