"""Rows: what is generated for a table reads as the careful walker does, whatever it is given."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.postgres.tuples import Rows, Walker, key_comparison, splitter
from tailrace.errors import Malformed
from tailrace.events import ABSENT, UNCHANGED
from tests.unit.pgoutput import row, truncate, tuple_data

# What the server writes never holds a zero byte. Lengths around the end of the table of lengths, too.
texts = st.one_of(
    st.binary(max_size=8).map(lambda text: text.replace(b"\0", b"N")),
    st.sampled_from([b"", b"N", b"N\x02t", b"t", b"n", b"x" * 78, b"x" * 1023, b"y" * 1024, b"N" * 0x4E00]),
)
values = st.one_of(st.none(), texts)


tables = st.lists(st.booleans(), min_size=1, max_size=6)
"""Which columns belong to the identity."""


def outcome(split: Callable[[bytes], Rows], message: bytes) -> Any:
    try:
        return split(message)
    except Malformed as error:
        return str(error)


@st.composite
def messages(draw: st.DrawFn, identity: Sequence[bool]) -> tuple[bytes, Rows]:
    """A message of such a table, and its rows."""

    def fields(value: st.SearchStrategy[Any]) -> list[Any]:
        return [draw(value) for _ in identity]

    new = fields(values)
    match draw(st.sampled_from(["insert", "update", "update key", "update full", "delete", "delete full"])):
        case "insert":  # a row filter makes some of updates
            new = fields(st.one_of(values, st.just(UNCHANGED)))
            return row(b"I", 1, tuple_data(b"N", new)), (None, new)
        case "update":
            new = fields(st.one_of(values, st.just(UNCHANGED)))
            return row(b"U", 1, tuple_data(b"N", new)), (None, new)
        case "update key":
            sent = [draw(texts) if known else None for known in identity]
            new = fields(st.one_of(values, st.just(UNCHANGED)))
            old = [value if known else ABSENT for value, known in zip(sent, identity, strict=True)]
            after = [o if n is UNCHANGED and o is not ABSENT else n for o, n in zip(old, new, strict=True)]
            return row(b"U", 1, tuple_data(b"K", sent), tuple_data(b"N", new)), (old, after)
        case "update full":
            old = fields(values)
            new = fields(st.one_of(values, st.just(UNCHANGED)))
            # NULL is no unchanged value: the log left the old one out.
            after = [n if n is not UNCHANGED or o is None else o for o, n in zip(old, new, strict=True)]
            return row(b"U", 1, tuple_data(b"O", old), tuple_data(b"N", new)), (old, after)
        case "delete":
            sent = [draw(texts) if known else None for known in identity]
            old = [value if known else ABSENT for value, known in zip(sent, identity, strict=True)]
            return row(b"D", 1, tuple_data(b"K", sent)), (old, None)
        case _:
            old = fields(values)
            return row(b"D", 1, tuple_data(b"O", old)), (old, None)


@given(st.data())
def test_rows_survive_the_wire(data: st.DataObject) -> None:
    identity = data.draw(tables)
    message, rows = data.draw(messages(identity))
    assert splitter(identity)(message) == rows
    assert Walker(identity).split(message) == rows


@given(st.data())
def test_damaged_messages_are_read_alike(data: st.DataObject) -> None:
    identity = data.draw(tables)
    message, _ = data.draw(messages(identity))
    at = data.draw(st.integers(25, min(len(message), 200)))
    gone = data.draw(st.integers(0, 3))
    put = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"n", b"u", b"t", b"N", b"\0"])))
    damaged = message[:at] + put + message[at + gone :]
    if len(damaged) > 25 and damaged[25] in b"IUD":
        assert outcome(splitter(identity), damaged) == outcome(Walker(identity).split, damaged)


def test_every_cut_is_an_error() -> None:
    split = splitter([True, False, False])
    new = tuple_data(b"N", [b"1", None, b"three"])
    for message in (
        row(b"I", 1, new),
        row(b"U", 1, tuple_data(b"N", [b"1", b"2", UNCHANGED])),
        row(b"U", 1, tuple_data(b"O", [b"1", b"2", b"3"]), new),
        row(b"U", 1, tuple_data(b"K", [b"1", None, None]), new),
        row(b"D", 1, tuple_data(b"K", [b"1", None, None])),
        row(b"D", 1, tuple_data(b"O", [b"1", b"2", b"3"])),
    ):
        split(message)
        for length in range(30, len(message)):
            with pytest.raises(Malformed):
                split(message[:length])


def test_what_a_key_tuple_leaves_out_is_no_value() -> None:
    """Also where the table's identity is the whole row and a partition's is not."""
    key = row(b"D", 1, tuple_data(b"K", [b"1", None]))
    whole = row(b"D", 1, tuple_data(b"O", [b"1", None]))
    split = splitter([True, True])
    assert split(key) == ([b"1", ABSENT], None)
    assert split(whole) == ([b"1", None], None)


def test_a_truncate_has_no_rows() -> None:
    assert splitter([True])(truncate(1, 2)) == (None, None)


def test_a_table_without_columns() -> None:
    split = splitter([])
    assert split(row(b"I", 1, tuple_data(b"N", []))) == (None, [])
    with pytest.raises(Malformed):
        split(row(b"I", 1, tuple_data(b"N", [b"1"])))


@pytest.mark.parametrize("columns", [255, 256, 600])
def test_wide_tables(columns: int) -> None:
    fields: list[Any] = [str(i).encode() for i in range(columns)]
    split = splitter([True] * columns)
    changed = [*fields[:-1], None]
    update = row(b"U", 1, tuple_data(b"O", fields), tuple_data(b"N", changed))
    assert split(update) == (fields, changed)
    assert not key_comparison(split, columns, [0])(update)
    assert key_comparison(split, columns, [columns - 1])(update)


@given(st.data())
def test_a_change_of_the_key_is_found(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    key = data.draw(st.permutations(range(count)))[: data.draw(st.integers(0, count))]
    old = [data.draw(texts) if i in key else data.draw(values) for i in range(count)]
    new = [data.draw(st.one_of(values, st.just(value), st.just(UNCHANGED))) for value in old]
    split = splitter([True] * count)
    update = row(b"U", 1, tuple_data(b"O", old), tuple_data(b"N", new))
    changed = any(new[i] is not UNCHANGED and new[i] != old[i] for i in key)
    assert key_comparison(split, count, key)(update) == changed


@pytest.mark.parametrize("columns", [78, 110, 117])
def test_bytes_of_the_structure_are_not_taken_for_a_key(columns: int) -> None:
    """Where a count or length reads as N, n, u or t, the search for the new row's begin is not misled."""
    for value in (b"", b"N", b"x" * 78, b"N" * 78, b"n" * 110, b"t" * 116, b"N" * 0x4E00):
        old = [b"1", *[value] * (columns - 1)]
        new = [b"2", *old[1:]]
        split = splitter([True] * columns)
        compare = key_comparison(split, columns, [0])
        assert compare(row(b"U", 1, tuple_data(b"O", old), tuple_data(b"N", new)))
        assert not compare(row(b"U", 1, tuple_data(b"O", old), tuple_data(b"N", old)))


def test_a_damaged_old_row_is_malformed_when_keys_are_compared() -> None:
    compare = key_comparison(splitter([True, True]), 2, [0])
    with pytest.raises(Malformed):
        compare(row(b"U", 1, b"O\0\2" + b"?"))
