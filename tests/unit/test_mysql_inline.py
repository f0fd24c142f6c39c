"""Fields of a binary log, written by functions that are generated: byte for byte what their values give."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql import codes
from connectors.mysql.binlog.messages import MappedColumn
from connectors.mysql.columns import binary_json, json_shapes
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.columns.types import columns
from tailrace.errors import Malformed
from tailrace.events import ABSENT, UNCHANGED, Table
from tailrace.expressions import Inline
from tailrace.formats.connect_options import Options
from tailrace.formats.connect_types import Mapping
from tailrace.formats.plain_values import field_encoder, value_encoder
from tailrace.formats.rows import CONVERSION_ERRORS, GeneratedRows, ReferenceRows
from tests.golden.options import OPTIONS
from tests.unit.debezium_samples import table as table_of
from tests.unit.row_images import column, table
from tests.unit.test_mysql_json import binary, documents
from tests.unit.test_mysql_values import packed

LABELS = (b"a", b"\xc3\xa4")


def integers(bits: int, *, unsigned: bool = False) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1) if unsigned else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[bytes]:
    return st.integers(-(10**precision) + 1, 10**precision - 1).map(lambda n: packed(precision, scale, n))


def _date(moment: datetime) -> bytes:
    return (moment.year << 9 | moment.month << 5 | moment.day).to_bytes(3, "little")


def _datetime(moment: datetime) -> bytes:
    months = moment.year * 13 + moment.month
    clock = moment.hour << 12 | moment.minute << 6 | moment.second
    number = (months << 5 | moment.day) << 17 | clock | 1 << 39
    return number.to_bytes(5, "big") + moment.microsecond.to_bytes(3, "big")


def exactly(size: int) -> st.SearchStrategy[bytes]:
    """Bytes that are a value or none."""
    return st.binary(min_size=size, max_size=size)


FIELDS: list[tuple[MappedColumn, st.SearchStrategy[Any]]] = [
    (column(codes.TINY), integers(8)),
    (column(codes.SHORT, unsigned=True), integers(16, unsigned=True)),
    (column(codes.INT24), exactly(3)),
    (column(codes.INT24, unsigned=True), exactly(3)),
    (column(codes.LONG, unsigned=True), integers(32, unsigned=True)),
    (column(codes.LONGLONG), integers(64)),
    (column(codes.LONGLONG, unsigned=True), integers(64, unsigned=True)),
    (column(codes.FLOAT, 4), st.floats(width=32)),
    (column(codes.DOUBLE, 8), st.floats()),
    (column(codes.DECIMAL, 12 | 2 << 8), st.one_of(decimals(12, 2), exactly(6))),
    (column(codes.DECIMAL, 5), st.one_of(decimals(5, 0), exactly(3))),
    (column(codes.DECIMAL, 65 | 30 << 8), st.one_of(decimals(65, 30), exactly(30))),
    (column(codes.YEAR), integers(8, unsigned=True)),
    (column(codes.DATE), st.one_of(st.datetimes().map(_date), exactly(3))),
    (column(codes.DATETIME, 6), st.one_of(st.datetimes().map(_datetime), exactly(8))),
    (column(codes.DATETIME, 3), st.datetimes().map(lambda m: _datetime(m)[:5] + b"\x0b\xb8")),
    (column(codes.DATETIME, 0), st.datetimes().map(lambda m: _datetime(m)[:5])),
    (column(codes.TIMESTAMP, 3), exactly(6)),
    (column(codes.TIMESTAMP, 0), exactly(4)),
    (column(codes.TIME, 6), exactly(6)),
    (column(codes.TIME, 0), exactly(3)),
    (column(codes.BIT, 1), st.sampled_from([b"\0", b"\1", b"\2"])),
    (column(codes.BIT, 1 << 8 | 5), exactly(2)),
    (column(codes.ENUM, 1, labels=LABELS), st.integers(0, 3)),
    (column(codes.SET, 1, labels=LABELS), exactly(1)),
    (column(codes.STRING, 40), st.text(max_size=10).map(str.encode)),
    (column(codes.STRING, 8, collation=63), st.binary(max_size=8)),
    (column(codes.VARCHAR, 40, collation=8), st.binary(max_size=10)),
    (column(codes.BLOB, 2), st.one_of(st.text().map(str.encode), st.binary(max_size=8))),
    (column(codes.BLOB, 2, collation=63), st.binary()),
    (column(codes.JSON, 4), st.one_of(documents.map(binary), st.binary(max_size=8))),
    (column(codes.GEOMETRY, 4, geometry=0), st.binary(max_size=12)),
    (column(codes.VECTOR, 4), st.binary(max_size=12)),
    (column(codes.VARCHAR_COMPRESSED, 300), st.binary(max_size=8)),
]  # fmt: skip
drawn = st.sampled_from(FIELDS).flatmap(lambda one: st.tuples(st.just(one[0]), one[1], one[1]))
options = st.builds(
    TypeOptions,
    zero_dates=st.sampled_from(["refuse", "null", "epoch"]),
    bigint_unsigned_handling_mode=st.sampled_from(["long", "precise"]),
)


def table_with(told: MappedColumn, chosen: TypeOptions) -> Table:
    """Of a number that is the key, and this column."""
    return table_of(*columns(table(column(codes.LONG), told), chosen))


def outcome(encode: Any, *arguments: Any) -> Any:
    """What it gives; None where it refuses."""
    try:
        return encode(*arguments)
    except (*CONVERSION_ERRORS, Malformed):
        return None


@given(drawn, options, st.sampled_from([{}, *OPTIONS.values()]))
def test_a_field_is_written_as_its_value_is(
    drawn: tuple[MappedColumn, Any, Any], chosen: TypeOptions, settings: dict[str, Any]
) -> None:
    told, raw, _ = drawn
    of, mapping = table_with(told, chosen), Mapping(Options(**settings))
    generated, reference = GeneratedRows(of, mapping), ReferenceRows(of, "here", mapping)
    for row in ([1, raw], [1, None], (1, raw)):
        assert outcome(generated.after, row, b"<", b">") == outcome(reference.after, row, b"<", b">")
        assert outcome(generated.before, row, b"<", b">") == outcome(reference.before, row, b"<", b">")
    assert generated.key([1, raw], b"<", b">") == b'<{"c0":1}>'


@given(drawn, st.sampled_from([{}, *OPTIONS.values()]), st.data())
def test_both_rows_of_an_update_are_written_as_each_alone(
    drawn: tuple[MappedColumn, Any, Any], settings: dict[str, Any], data: st.DataObject
) -> None:
    told, *raw = drawn
    of, mapping = table_with(told, TypeOptions()), Mapping(Options(**settings))
    generated, reference = GeneratedRows(of, mapping), ReferenceRows(of, "here", mapping)
    fields = st.sampled_from([*raw, None, ABSENT, UNCHANGED])
    old, new = [1, data.draw(fields)], [2, data.draw(fields)]
    written = outcome(generated.update, old, new, b"<", b"|", b">")
    assert written in (None, outcome(reference.update, old, new, b"<", b"|", b">"))
    if written is None:  # it is not more often than for each row alone that the careful way is gone
        assert None in (outcome(generated.before, old, b"", b""), outcome(generated.after, new, b"", b""))


@given(drawn, options)
def test_a_plain_field_is_written_as_its_value_is(
    drawn: tuple[MappedColumn, Any, Any], chosen: TypeOptions
) -> None:
    told, raw, _ = drawn
    of = table_with(told, chosen).columns[1]
    by_value = value_encoder(of.type)
    assert outcome(field_encoder(of), raw) == outcome(lambda field: by_value(of.value(field)), raw)


@pytest.mark.parametrize("told", [told for told, _ in FIELDS], ids=str)
def test_numbers_that_may_be_too_large_are_looked_at(told: MappedColumn) -> None:
    """All but these are vouched for."""
    of = table_with(told, TypeOptions()).columns[1]
    looked_at = told.type in (codes.BIT, codes.GEOMETRY, codes.VECTOR)
    looked_at |= told.type == codes.LONGLONG and told.unsigned is True
    assert isinstance(of.value, Inline) is not (looked_at or of.text)


objects = st.dictionaries(
    st.sampled_from(["a", "%s", "é", '"']), st.one_of(documents, st.integers(-(2**40), 2**40)), max_size=3
)


@given(st.lists(objects, min_size=1, max_size=4), st.data())
def test_documents_of_one_column_are_read_as_each_alone(found: list[Any], data: st.DataObject) -> None:
    """Whatever keys and types the one before had; damaged ones too."""
    read = json_shapes.reader()
    written = [binary(document) for document in found if len(str(document)) < 60]
    for raw in written * 2:
        damaged = bytearray(raw)
        damaged[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        for one in (raw, bytes(damaged), raw[:-1]):
            assert outcome(read, one) == outcome(binary_json.text, one)
