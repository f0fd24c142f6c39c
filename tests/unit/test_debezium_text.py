"""Rows of canonical text, spliced into JSON, against the same rows encoded by values: byte for byte equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Malformed
from tailrace.events import ABSENT, UNCHANGED, Column, Op
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.formats.rows import CONVERSION_ERRORS, GeneratedRows, ReferenceRows
from tailrace.types import Kind, LogicalType
from tests.connect_reader import days, read_value
from tests.golden.options import OPTIONS
from tests.unit.debezium_samples import after, change, encode, table

DAY = 86_400_000_000
FIRST, LAST = days(-4713, 11, 24), days(5874897, 12, 31)  # PostgreSQL's dates


def date_text(day: int | float) -> str:
    """As PostgreSQL writes it; by counting years, so that no other code is believed."""
    if isinstance(day, float):
        return "infinity" if day > 0 else "-infinity"
    year = 1970 + day // (366 if day > 0 else 365)  # or a little before
    while days(year + 1, 1, 1) <= day:
        year += max(1, (day - days(year + 1, 1, 1)) // 366)
    month = max(month for month in range(1, 13) if days(year, month, 1) <= day)
    number = day - days(year, month, 1) + 1
    return f"{year:04}-{month:02}-{number:02}" if year > 0 else f"{1 - year:04}-{month:02}-{number:02} BC"


def clock_text(time: int) -> str:
    seconds, fraction = divmod(time, 1_000_000)
    point = f".{fraction:06}".rstrip("0") if fraction else ""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}"


def moment_text(moment: int | float, zone: str) -> str:
    if isinstance(moment, float):
        return date_text(moment)
    date, _, era = date_text(moment // DAY).partition(" ")
    return f"{date} {clock_text(moment % DAY)}{zone}{' ' + era if era else ''}"


def offset_text(east: int) -> str:
    minutes, seconds = divmod(abs(east), 60)
    text = f"{'-' if east < 0 else '+'}{minutes // 60:02}"
    if minutes % 60 or seconds:
        text += f":{minutes % 60:02}"
    return text + (f":{seconds:02}" if seconds else "")


def float_text(value: float, digits: str, limit: int) -> str:
    """`digits` in the layout of PostgreSQL's shortest output."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    mantissa, _, exponent = f"{Decimal(digits):e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    if -4 <= int(exponent) < limit:
        plain = f"{Decimal(digits):f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{mantissa}e{int(exponent):+03}"


def temporal(kind: Kind, precision: int) -> LogicalType:
    return LogicalType(kind, kind.value, precision=precision)


def rounded(precision: int, microseconds: int) -> int:
    unit: int = 10 ** (6 - precision)
    return microseconds // unit * unit


infinity = st.sampled_from([math.inf, -math.inf])
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
precisions = st.sampled_from([0, 1, 3, 4, 6])
# Years of every length, most of them usual ones.
moments = st.one_of(
    st.integers(days(1, 1, 1) * DAY, days(9999, 12, 31) * DAY),
    st.integers(FIRST * DAY, days(0, 12, 31) * DAY),
    st.integers(days(9999, 12, 30) * DAY, 9_223_372_036_825_199_999),
)
# Columns with a field: the type, a value, its canonical text.
Sample = tuple[LogicalType, Any, str]


def integers(kind: Kind, bits: int) -> st.SearchStrategy[Sample]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1).map(
        lambda value: (LogicalType(kind, kind.value), value, str(value))
    )


@st.composite
def decimals(draw: st.DrawFn) -> Sample:
    scale = draw(st.sampled_from([None, -2, 0, 1, 2, 6]))
    unscaled = draw(st.one_of(st.integers(-(2**25), 2**25), st.integers(-(2**80), 2**80)))
    places = draw(st.integers(0, 8)) if scale is None else scale
    value = Decimal(unscaled).scaleb(-places)
    return LogicalType(Kind.DECIMAL, "numeric", precision=30, scale=scale), value, f"{value:f}"


@st.composite
def temporals(draw: st.DrawFn) -> Sample:
    precision = draw(precisions)
    kind = draw(st.sampled_from([Kind.TIME, Kind.TIMETZ, Kind.TIMESTAMP, Kind.TIMESTAMPTZ]))
    type = temporal(kind, precision)
    if kind in (Kind.TIME, Kind.TIMETZ):
        time = rounded(precision, draw(st.integers(0, DAY)))
        if kind is Kind.TIME:
            return type, time, clock_text(time)
        east = draw(st.one_of(st.sampled_from([0, 7200, -19800]), st.integers(-57599, 57599)))
        return type, (time, east), clock_text(time) + offset_text(east)
    moment = draw(st.one_of(moments.map(lambda moment: rounded(precision, moment)), infinity))
    return type, moment, moment_text(moment, "+00" if kind is Kind.TIMESTAMPTZ else "")


samples: st.SearchStrategy[Sample] = st.one_of(
    st.booleans().map(lambda value: (LogicalType(Kind.BOOLEAN, "bool"), value, "t" if value else "f")),
    integers(Kind.INT16, 16),
    integers(Kind.INT32, 32),
    integers(Kind.INT64, 64),
    st.floats().map(lambda v: (LogicalType(Kind.FLOAT64, "float8"), v, float_text(v, repr(v), 15))),
    decimals(),
    texts.map(lambda value: (LogicalType(Kind.STRING, "text"), value, value)),
    texts.map(lambda value: (LogicalType(Kind.JSON, "json"), value, value)),
    texts.map(lambda value: (LogicalType(Kind.ENUM, "mood"), value, value)),
    st.uuids().map(lambda value: (LogicalType(Kind.UUID, "uuid"), str(value), str(value))),
    st.binary(max_size=20).map(lambda v: (LogicalType(Kind.BYTES, "bytea"), v, "\\x" + v.hex())),
    st.one_of(st.integers(FIRST, LAST), st.integers(-20_000, 60_000), infinity).map(
        lambda day: (LogicalType(Kind.DATE, "date"), day, date_text(day))
    ),
    temporals(),
)


def column(name: str, sample: Sample, *, optional: bool = True, text: bool = True) -> Column:
    """A column whose value for the sample's text is the sample's value."""
    type, value, written = sample
    return Column(name, type, optional, {written.encode(): value}.__getitem__, text=text)


def expected(sample: Sample) -> Any:
    """The value as a reader sees it: times with a zone are in UTC."""
    type, value, _ = sample
    if type.kind is Kind.TIMETZ:
        time, east = value
        return time if (time, east) == (DAY, 0) else (time - east * 1_000_000) % DAY
    return value


@given(samples)
def test_text_is_spliced_as_its_value_is_written(sample: Sample) -> None:
    fields = [sample[2].encode()]
    spliced = GeneratedRows(table(column("c", sample)), Mapping())
    by_value = ReferenceRows(table(column("c", sample, text=False)), "here", Mapping())
    written = spliced.after(fields, b"<", b">")
    assert written == by_value.after(fields, b"<", b">")
    assert written == spliced.before(fields, b"<", b">")
    read = read_value(sample[0], msgspec.json.decode(written[1:-1])["c"])
    assert read == expected(sample) or (read != read and sample[1] != sample[1])


@given(samples, st.sampled_from([*OPTIONS.values()]))
def test_with_any_options_text_is_spliced_as_its_value_is_written(
    sample: Sample, options: dict[str, Any]
) -> None:
    fields = [sample[2].encode()]
    mapping = Mapping(Options(**options))
    spliced = GeneratedRows(table(column("c", sample)), mapping)
    by_value = ReferenceRows(table(column("c", sample, text=False)), "here", mapping)
    try:
        expected = by_value.after(fields, b"", b"")
    except Malformed:  # a moment that nanoseconds do not reach, a number beyond doubles
        with pytest.raises(CONVERSION_ERRORS):
            spliced.after(fields, b"", b"")
    else:
        assert spliced.after(fields, b"", b"") == expected


@given(
    st.lists(st.tuples(samples, st.booleans(), st.sampled_from([None, UNCHANGED, ABSENT, "", "", ""]))),
    st.data(),
)
def test_rows_of_any_columns(shape: list[tuple[Sample, bool, Any]], data: st.DataObject) -> None:
    """Both ways give the same bytes, or the same error."""
    fields = [sample[2].encode() if kept == "" else kept for sample, _, kept in shape]
    count = len(shape)
    key = data.draw(st.permutations(range(count)))[: data.draw(st.integers(0, min(3, count)))]
    schemas = data.draw(st.booleans())
    op: Op = data.draw(st.sampled_from(["c", "u", "d", "r"]))
    outcomes = []
    for text in (True, False):
        columns = [
            column(f"c{i}", sample, optional=optional, text=text)
            for i, (sample, optional, _) in enumerate(shape)
        ]
        rows = ([*fields], None) if op == "d" else (None if op == "c" else [*fields], [*fields])
        event = change(op, table(*columns, key=key), *rows)
        try:
            outcomes.append([(record.key, record.value) for record in encode(event, schemas=schemas)])
        except Malformed as error:
            outcomes.append([(error.code.id.encode(), str(error).encode())])
    assert outcomes[0] == outcomes[1]
    _check(outcomes[0], op, shape, fields, schemas=schemas)


def _check(
    records: Sequence[tuple[bytes | None, bytes | None]],
    op: Op,
    shape: list[tuple[Sample, bool, Any]],
    fields: list[Any],
    *,
    schemas: bool,
) -> None:
    """The row in the record is the row that went in; and an error has its reason."""
    value = records[0][1] or b""
    if not value.startswith(b"{"):
        assert ABSENT in fields or UNCHANGED in fields or None in fields
        return
    envelope = msgspec.json.decode(value)
    if schemas:
        envelope = envelope["payload"]
    row = envelope["before" if op == "d" else "after"]
    assert list(row) == [f"c{i}" for i in range(len(shape))]
    for i, (sample, _, _) in enumerate(shape):
        written = row[f"c{i}"]
        if fields[i] is None or fields[i] is ABSENT:
            assert written is None
        elif fields[i] is not UNCHANGED:
            read = read_value(sample[0], written)
            assert read == expected(sample) or (read != read and sample[1] != sample[1])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.BOOLEAN, b"true"),
        (Kind.BYTES, b"abcdef"),
        (Kind.BYTES, b"\\xabc"),
        (Kind.DATE, b"2026-02-30"),
        (Kind.DECIMAL, b"NaN"),
        (Kind.DECIMAL, b"1.5"),
        (Kind.FLOAT64, b"many"),
        (Kind.STRING, b"\xff"),
        (Kind.TIME, b"25:00:00"),
        (Kind.TIMESTAMP, b"2026-01-31"),
        (Kind.TIMESTAMPTZ, b"2026-01-31"),
        (Kind.TIMESTAMPTZ, b""),
    ],
)
def test_text_that_is_not_canonical_is_left_to_the_value(kind: Kind, text: bytes) -> None:
    """Which then refuses it: here, every value is refused."""
    type = LogicalType(kind, kind.value, precision=6, scale=2)
    column = Column("c", type, True, {}.__getitem__, text=True)
    with pytest.raises(Malformed, match=r"TR-FMT-001 .*column c"):
        after(column, text)


def test_zones_other_than_utc_are_left_to_the_value() -> None:
    type = temporal(Kind.TIMESTAMPTZ, 6)
    column = Column("c", type, True, {b"1970-01-01 02:00:00.123+02": 123_000}.__getitem__, text=True)
    assert after(column, b"1970-01-01 02:00:00.123+02") == "1970-01-01T00:00:00.123000Z"


def test_the_dates_kept_are_bounded() -> None:
    names: dict[str, Any] = {}
    rows = GeneratedRows(table(column("c", (LogicalType(Kind.DATE, "date"), 0, "1970-01-01"))), Mapping())
    names.update(rows.after.__globals__)
    kept = names["dates0"]
    for day in range(10_000):
        assert rows.after([date_text(day).encode()], b"", b"") == b'{"c":%d}' % day
        assert len(kept) <= 4096
