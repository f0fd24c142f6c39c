"""Row events: rows are read as they were written, whatever images have and lack."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.mysql import codes
from connectors.mysql.binlog.messages import MappedColumn, Rows
from connectors.mysql.columns import types
from connectors.mysql.columns.json_diffs import Patched
from connectors.mysql.columns.rows import RowReader
from connectors.mysql.columns.type_options import TypeOptions
from tailrace.errors import Malformed, NotReady
from tailrace.events import ABSENT, UNCHANGED
from tests.unit.row_images import column, image, partial_image, rows, table

OPTIONS = TypeOptions()


def reader_of(*columns: MappedColumn, options: TypeOptions = OPTIONS) -> RowReader:
    return RowReader(table(*columns), options, flavor="mysql")


OFTEN = 35


def integers(bits: int, *, unsigned: bool = False) -> st.SearchStrategy[int]:
    if unsigned:
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def exactly(size: int) -> st.SearchStrategy[bytes]:
    drawn = min(size, 8)
    return st.binary(min_size=drawn, max_size=drawn).map(lambda first: first.ljust(size, b"."))


short = st.binary(max_size=8)
FIELDS: list[tuple[MappedColumn, st.SearchStrategy[Any]]] = [
    (column(codes.TINY), integers(8)),
    (column(codes.TINY, unsigned=True), integers(8, unsigned=True)),
    (column(codes.SHORT), integers(16)),
    (column(codes.SHORT, unsigned=True), integers(16, unsigned=True)),
    (column(codes.INT24), exactly(3)),
    (column(codes.LONG), integers(32)),
    (column(codes.LONG, unsigned=True), integers(32, unsigned=True)),
    (column(codes.LONGLONG), integers(64)),
    (column(codes.LONGLONG, unsigned=True), integers(64, unsigned=True)),
    (column(codes.FLOAT, 4), st.floats(width=32, allow_nan=False)),
    (column(codes.DOUBLE, 8), st.floats(allow_nan=False)),
    (column(codes.DECIMAL, 12 | 2 << 8), exactly(6)),
    (column(codes.DECIMAL, 65 | 30 << 8), exactly(30)),
    (column(codes.YEAR), integers(8, unsigned=True)),
    (column(codes.DATE), exactly(3)),
    (column(codes.DATETIME, 0), exactly(5)),
    (column(codes.DATETIME, 6), exactly(8)),
    (column(codes.TIMESTAMP, 3), exactly(6)),
    (column(codes.TIME, 1), exactly(4)),
    (column(codes.BIT, 1 << 8 | 5), exactly(2)),
    (column(codes.BIT, 8 << 8), exactly(8)),
    (column(codes.ENUM, 1), integers(8, unsigned=True)),
    (column(codes.ENUM, 2), integers(16, unsigned=True)),
    (column(codes.SET, 3), exactly(3)),
    (column(codes.STRING, 80), short),
    (column(codes.STRING, 1020), st.one_of(short, exactly(300))),
    (column(codes.VARCHAR, 255), st.one_of(short, exactly(255))),
    (column(codes.VARCHAR, 256), st.one_of(short, exactly(256))),
    (column(codes.BLOB, 1), short),
    (column(codes.BLOB, 2), st.one_of(short, exactly(256))),
    (column(codes.BLOB, 3), st.one_of(short, exactly(65_536))),
    (column(codes.BLOB, 4), short),
    (column(codes.JSON, 4), short),
    (column(codes.GEOMETRY, 4), short),
    (column(codes.VECTOR, 4), short),
    (column(codes.VARCHAR_COMPRESSED, 300), short),
    (column(codes.BLOB_COMPRESSED, 3), short),
]
tables = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=10)


@st.composite
def events(draw: st.DrawFn) -> tuple[Sequence[MappedColumn], Rows, list[Any]]:
    """A table's columns, an event, and the rows that it holds."""
    chosen = draw(tables)
    columns = [column for column, _ in chosen]
    width = len(columns)

    def row() -> list[Any]:
        return [draw(st.one_of(st.none(), values)) for _, values in chosen]

    def bits() -> list[bool]:
        return draw(st.lists(st.booleans(), min_size=width, max_size=width).filter(any))

    data = b""
    pairs: list[Any] = []
    count = draw(st.integers(1, 3))
    op = draw(st.sampled_from(["c", "u", "d", "partial"]))
    before, after = bits(), bits()
    for _ in range(count):
        old, new = row(), row()
        seen = tuple([field if there else ABSENT for field, there in zip(old, before, strict=True)])
        if op == "c":
            data += image(columns, new, after)
            pairs.append((None, tuple([f if there else ABSENT for f, there in zip(new, after, strict=True)])))
            continue
        data += image(columns, old, before)
        if op == "d":
            pairs.append((seen, None))
            continue
        if op == "partial":
            for i, column in enumerate(columns):
                document = seen[i]
                if column.type == codes.JSON and isinstance(document, bytes) and draw(st.booleans()):
                    new[i] = Patched(document, draw(st.binary(min_size=1, max_size=8)))
            data += partial_image(columns, new, after, told=draw(st.booleans()))
        else:
            data += image(columns, new, after)
        kept = [UNCHANGED if field is ABSENT else field for field in seen]
        pairs.append((seen, tuple([n if there else k for n, k, there in zip(new, kept, after, strict=True)])))
    match op:
        case "c":
            return columns, rows("c", width, data, after=after), pairs
        case "d":
            return columns, rows("d", width, data, before=before), pairs
        case _:
            return columns, rows("u", width, data, before, after, partial=op == "partial"), pairs


@given(events())
@settings(max_examples=50)
def test_rows_are_read_as_they_were_written(event: tuple[Any, Rows, list[Any]]) -> None:
    columns, written, pairs = event
    reader = reader_of(*columns)
    assert reader._walk(written) == pairs
    for _ in range(OFTEN):  # another function reads what is seen often
        assert reader.read(written) == pairs


@given(events(), st.data())
@settings(max_examples=30)
def test_damaged_events_are_refused_or_read_alike(
    event: tuple[Any, Rows, list[Any]], data: st.DataObject
) -> None:
    columns, written, _ = event
    damaged = bytearray(written.data)
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged) - 1)) :]
    else:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    event_ = replace(written, data=bytes(damaged))
    reader = reader_of(*columns)
    for _ in range(data.draw(st.sampled_from([0, OFTEN]))):
        reader.read(written)

    def outcome(read: Any) -> str:
        try:
            return repr(read(event_))
        except Malformed as error:
            return str(error)

    assert outcome(reader.read) == outcome(reader._walk)


def test_every_cut_is_refused() -> None:
    columns = [column(codes.LONG), column(codes.DATETIME, 6), column(codes.VARCHAR, 80)]
    fields: list[list[Any]] = [[7, None, b"hello"], [8, b"abcdefgh", b"world"]]
    whole = b"".join([image(columns, row, [True] * 3) for row in fields])
    first = len(image(columns, fields[0], [True] * 3))
    reader = reader_of(*columns)
    assert len(reader.read(rows("c", 3, whole, after=[True] * 3))) == 2
    for end in range(len(whole)):
        if end == first:
            continue
        with pytest.raises(Malformed, match="TR-MY-202"):
            reader.read(rows("c", 3, whole[:end], after=[True] * 3))
    with pytest.raises(Malformed, match=r"shop.orders, the event that ends at 1234.*row 3: cut off"):
        reader.read(rows("c", 3, whole + b"\0", after=[True] * 3))


@pytest.mark.parametrize("type", [codes.STRING, codes.VARCHAR, codes.VARCHAR_COMPRESSED])
@pytest.mark.parametrize("most", [0, 3, 300])
def test_texts_longer_than_their_columns_are_refused(type: int, most: int) -> None:
    """By every function that reads them."""
    columns = [column(codes.LONG), column(type, most)]
    reader = reader_of(*columns)
    for key in (7, None):  # another function reads rows with NULLs
        for size in (most, most + 1):
            event = rows("c", 2, image(columns, [key, b"x" * size], [True] * 2), after=[True] * 2)
            for _ in range(OFTEN):
                if size == most:
                    assert reader.read(event) == [(None, (key, b"x" * most))]
                    continue
                with pytest.raises(Malformed, match=f"column c1 has {size} bytes, and {most} at most"):
                    reader.read(event)


def test_an_event_without_rows_is_refused() -> None:
    reader = reader_of(column(codes.LONG))
    with pytest.raises(Malformed, match="no rows, or rows without columns"):
        reader.read(rows("c", 1, b"", after=[False]))


@pytest.mark.parametrize("op", ["c", "u", "d"])
def test_rows_without_columns_are_refused(op: Literal["c", "u", "d"]) -> None:
    """There would be no end of them."""
    reader = reader_of(column(codes.LONG), column(codes.LONG))
    none = [False, False]
    event = rows(op, 2, b"\0", *{"c": (None, none), "u": (none, none), "d": (none, None)}[op])
    with pytest.raises(Malformed, match="rows without columns"):
        reader.read(event)


@pytest.mark.parametrize(("often", "made"), [(1, 256), (100, 32)])
def test_functions_of_many_sets_of_columns_are_not_all_kept(
    often: int, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With binlog_row_image=MINIMAL each statement may have its own: to make a function for one takes as long
    as to read a thousand rows."""
    monkeypatch.setattr("connectors.mysql.columns.rows._OFTEN_BYTES", often)
    columns = [column(codes.TINY)] * 10
    reader = reader_of(*columns)
    for number in range(1, 1 << 10):
        there = [bool(number >> i & 1) for i in range(10)]
        event = rows("c", 10, image(columns, [7] * 10, there), after=there)
        assert reader.read(event) == [(None, (*(7 if has else ABSENT for has in there),))]
        assert len(reader._functions) <= made
    before = len(reader._functions)
    for _ in range(often // 10):  # the last one, of twelve bytes
        assert reader.read(event) == [(None, (7,) * 10)]
    assert len(reader._functions) == (before if often == 1 else before + 1)


def test_an_event_of_another_width_is_refused() -> None:
    reader = reader_of(column(codes.LONG))
    with pytest.raises(Malformed, match="rows of 2 columns, the table has 1"):
        reader.read(rows("c", 2, b"\xfc\1\0\0\0", after=[True, False]))


def test_more_sets_of_nulls_than_functions() -> None:
    """Of which some are seen often."""
    columns = [column(codes.TINY)] * 9
    every = [tuple([None if n >> i & 1 else i for i in range(9)]) for n in range(512)]
    data = b"".join([image(columns, row, [True] * 9) for row in every])
    reader = reader_of(*columns)
    for _ in range(OFTEN):
        assert [new for _, new in reader.read(rows("c", 9, data, after=[True] * 9))] == every


def test_diffs_without_their_document_are_refused() -> None:
    columns = [column(codes.LONG), column(codes.JSON, 4)]
    reader = reader_of(*columns)
    both, key = [True, True], [True, False]
    old = image(columns, [1, b"doc"], key)
    new = partial_image(columns, [1, Patched(b"doc", b"diff")], both, told=True)
    with pytest.raises(Malformed, match="TR-MY-203"):
        reader.read(rows("u", 2, old + new, key, both, partial=True))
    null = image(columns, [1, None], both)
    with pytest.raises(Malformed, match="a JSON document which is NULL"):
        reader.read(rows("u", 2, null + new, both, both, partial=True))


def test_no_diffs_are_no_change() -> None:
    columns = [column(codes.LONG), column(codes.JSON, 4)]
    reader = reader_of(*columns)
    both, key = [True, True], [True, False]
    new = partial_image(columns, [2, Patched(b"", b"")], both, told=True)
    old = image(columns, [1, b"doc"], both)
    assert reader.read(rows("u", 2, old + new, both, both, partial=True)) == [((1, b"doc"), (2, b"doc"))]
    old = image(columns, [1, b"doc"], key)
    assert reader.read(rows("u", 2, old + new, key, both, partial=True)) == [((1, ABSENT), (2, UNCHANGED))]


def test_unknown_value_options_are_refused() -> None:
    columns = [column(codes.LONG)]
    data = image(columns, [1], [True]) + b"\2" + image(columns, [1], [True])
    reader = reader_of(*columns)
    with pytest.raises(Malformed, match="the unknown value options 0x2"):
        reader.read(rows("u", 1, data, [True], [True], partial=True))


@pytest.mark.parametrize(
    ("type", "metadata"),
    [
        (6, 0), (20, 0), (codes.BLOB, 5), (codes.SET, 9), (codes.ENUM, 3), (codes.TIME, 7), (codes.BIT, 0),
        (codes.BIT, 8 << 8 | 1), (codes.DECIMAL, 0), (codes.DECIMAL, 66), (codes.DECIMAL, 5 | 6 << 8),
    ],
)  # fmt: skip
def test_unknown_types_are_refused_by_name(type: int, metadata: int) -> None:
    with pytest.raises(NotReady, match=f"column c0 is of type {type}"):
        reader_of(column(type, metadata))


@pytest.mark.parametrize("type", [codes.OLD_TIME, codes.OLD_DATETIME, codes.OLD_TIMESTAMP])
def test_temporal_types_of_old_servers_are_refused_with_what_to_do(type: int) -> None:
    with pytest.raises(NotReady) as raised:
        reader_of(column(type))
    assert "ALTER TABLE shop.orders FORCE" in raised.value.remedy


def test_zero_dates_become_null_where_that_was_asked_for() -> None:
    columns = [column(codes.DATE), column(codes.DATETIME, 0), column(codes.TIMESTAMP, 6), column(codes.TIME)]
    zero = [b"\0\0\0", b"\x80\0\0\0\0", b"\0\0\0\0\0\0\0", b"\x80\0\0"]
    event = rows("c", 4, image(columns, zero, [True] * 4), after=[True] * 4)
    assert reader_of(*columns).read(event) == [(None, tuple(zero))]
    told = replace(table(*columns), key=(3,))
    reader = RowReader(told, TypeOptions(zero_dates="null"), flavor="mysql")
    assert reader.read(event) == reader._walk(event) == [(None, (None, None, None, b"\x80\0\0"))]


@pytest.mark.parametrize("mode", ["null", "epoch"])
def test_in_a_key_zero_dates_stay_what_they_are(mode: Literal["null", "epoch"]) -> None:
    """Two of them would become one key."""
    told = table(replace(column(codes.DATE), nullable=False), column(codes.DATE))
    options = TypeOptions(zero_dates=mode)
    zero = b"\0\0\0"
    event = rows("c", 2, image(told.columns, [zero] * 2, [True] * 2), after=[True] * 2)
    ((_, row),) = RowReader(told, options, flavor="mysql").read(event)
    assert row is not None
    key, other = types.columns(told, options)
    assert not key.optional
    with pytest.raises(ValueError, match="no date"):
        key.value(row[0])
    assert row[1] is None if mode == "null" else other.value(row[1]) == 0


def test_what_both_images_lack_may_have_changed_in_mariadb() -> None:
    """A generated column is in neither, and no table map tells which are generated."""
    columns = [column(codes.LONG), column(codes.LONG), column(codes.LONG)]
    key, other = [True, False, False], [False, True, False]
    data = image(columns, [1, 0, 0], key) + image(columns, [0, 5, 0], other)
    event = rows("u", 3, data, key, other)
    assert reader_of(*columns).read(event) == [((1, ABSENT, ABSENT), (1, 5, UNCHANGED))]
    reader = RowReader(table(*columns), OPTIONS, flavor="mariadb")
    assert reader.read(event) == reader._walk(event) == [((1, ABSENT, ABSENT), (1, 5, ABSENT))]
