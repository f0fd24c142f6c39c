"""Positions: order, documents, and cutting batches by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.postgres.position import WalPosition, after, before, format_lsn, parse_lsn, place
from tailrace.events import Batch, Change, SchemaChange, Transaction
from tests.unit import pgoutput

lsns = st.integers(0, 2**64 - 1)


@st.composite
def positions(draw: st.DrawFn) -> WalPosition:
    lsn = draw(st.one_of(lsns, st.integers(0, 3)))
    ordinal = draw(st.integers(0, 3))
    return WalPosition(lsn, ordinal, draw(st.integers(0, lsn))) if ordinal else WalPosition(lsn)


@given(lsns)
def test_an_lsn_survives_its_text(lsn: int) -> None:
    assert parse_lsn(format_lsn(lsn)) == lsn


def test_an_lsn_is_written_as_postgresql_writes_it() -> None:
    assert format_lsn(0x16B3748) == "0/16B3748"
    assert format_lsn(0xAB_0000_00FF) == "AB/FF"
    assert parse_lsn("ab/ff") == 0xAB_0000_00FF


@pytest.mark.parametrize(
    "text", ["", "16B3748", "0/", "/0", "0/123456789", "g/0", "0/0 ", "-1/0", "0/0/0", "0x1/0"]
)
def test_other_texts_are_no_lsn(text: str) -> None:
    with pytest.raises(ValueError, match="0/16B3748"):
        parse_lsn(text)


@given(positions())
def test_a_position_survives_its_document(position: WalPosition) -> None:
    read = WalPosition.from_document(position.document())
    assert (read, read.end) == (position, position.end)


@given(positions(), positions())
def test_equal_documents_are_equal_positions_of_one_total_order(a: WalPosition, b: WalPosition) -> None:
    assert (a == b) or (a.document() != b.document())
    assert a.covers(b) or b.covers(a)
    assert (a.covers(b) and b.covers(a)) == ((a.lsn, a.ordinal) == (b.lsn, b.ordinal))


@given(positions(), positions(), positions())
def test_covers_is_transitive(a: WalPosition, b: WalPosition, c: WalPosition) -> None:
    assert not (a.covers(b) and b.covers(c)) or a.covers(c)


def test_the_order_of_a_stream() -> None:
    before, commit, end = 0x100, 0x200, 0x230  # the next transaction commits right at the end of this one
    in_order = [
        WalPosition(before),
        WalPosition(commit),  # idle, or a message that is not transactional, right before the commit record
        WalPosition(commit, 1, before),
        WalPosition(commit, 2, before),
        WalPosition(end),
        WalPosition(end, 1, end),
        WalPosition(end + 0x30),
    ]
    for i, a in enumerate(in_order):
        for j, b in enumerate(in_order):
            assert a.covers(b) == (i >= j)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"lsn": 5},
        {"lsn": "0/5", "ordinal": 0},
        {"lsn": "0/5", "ordinal": 1},
        {"lsn": "0/5", "end": "0/4"},
        {"lsn": "0/5", "ordinal": -1, "end": "0/4"},
        {"lsn": "0/5", "ordinal": 1, "end": "0/6"},
        {"lsn": "0/5", "ordinal": 1, "end": 4},
        {"lsn": "0/5", "ordinal": True, "end": "0/4"},
        {"lsn": "0/5", "other": "0/4"},
        {"gtid": "x:1-5"},
    ],
)
def test_other_documents_are_refused(document: dict[str, int | str]) -> None:
    with pytest.raises(ValueError, match="position"):
        WalPosition.from_document(document)


def test_people_write_an_lsn() -> None:
    assert WalPosition.parse(" 0/16B3748\n") == WalPosition(0x16B3748)
    with pytest.raises(ValueError, match="looks like 0/16B3748"):
        WalPosition.parse("yesterday")


def test_the_place_of_an_event_is_no_position_and_leads_to_one() -> None:
    transaction = Transaction("1", f"{0x2_016B3748:016X}", 1, {})
    change = Change("c", pgoutput.relations().messages.table, transaction, 7, 2, 0, b"x")
    with pytest.raises(ValueError, match=r":7:2 is the place of an event, .*; 2/16B3748 is the log position"):
        WalPosition.parse(change.position)


def test_a_position_is_shown_to_people() -> None:
    assert str(WalPosition(0x16B3748)) == "0/16B3748"
    assert str(WalPosition(0x16B3748, 5, 0x16B3700)) == "0/16B3748 after message 5"


@pytest.mark.parametrize("scenario", pgoutput.SCENARIOS)
def test_a_batch_is_cut_between_messages(scenario: str) -> None:
    recorded = pgoutput.recording(16, scenario)
    events = pgoutput.events(recorded)
    batch = Batch(events, WalPosition(2**40).document(), commit=True, size=7, timestamp=3)
    for lsn, ordinal in {place(event) for event in events}:
        rest = after(batch, WalPosition(lsn, ordinal, 0 if ordinal else -1))
        behind = [event for event in events if place(event) > (lsn, ordinal)]
        covered = [e for e in events if isinstance(e, SchemaChange) and place(e) <= (lsn, ordinal)]
        assert list(rest.events) == covered + behind
        assert (rest.end, rest.commit, rest.timestamp) == (batch.end, True, 3)
        assert rest.size == sum(len(change.raw) for change in pgoutput.changes(behind))
    assert after(batch, WalPosition(0)) is batch


@pytest.mark.parametrize("position", [WalPosition(2**40), WalPosition(2**41), WalPosition(2**41, 3, 2**40)])
def test_what_is_covered_ends_where_it_is_covered(position: WalPosition) -> None:
    """A schema change that is left of such a batch is delivered with an end; it must not lie further back."""
    events = pgoutput.events(pgoutput.recording(16, pgoutput.SCENARIOS[0]))
    for content in ([], events):
        rest = after(Batch(content, WalPosition(2**40).document(), commit=True, size=7), position)
        assert (rest.end, rest.commit) == (position.document(), not position.inside)
        assert all(isinstance(event, SchemaChange) for event in rest.events)
        assert len(rest.events) == sum(isinstance(event, SchemaChange) for event in content)


def test_what_stands_before_a_change() -> None:
    """Cut before a wire message, at the place from which a server sends its transaction again."""
    first = Transaction("1", f"{0x100:016X}", 1, {})
    second = Transaction("2", f"{0x200:016X}", 2, {})
    table = pgoutput.relations().messages.table
    places = ((first, 1, 0), (first, 2, 0), (second, 1, 0), (second, 2, 0), (second, 2, 2))
    events = [
        Change("c", table, transaction, ordinal, index, 0, b"x") for transaction, ordinal, index in places
    ]
    batch = Batch(events, WalPosition(0x230).document(), commit=True, size=50)
    for number, (kept, lsn, ordinal) in enumerate(
        [(0, 0, 0), (1, 0x100, 1), (2, 0x200, 0), (3, 0x200, 1), (3, 0x200, 1)]
    ):
        part = before(batch, events[number])
        if not kept:
            assert part is None
            continue
        assert part is not None
        assert list(part.events) == events[:kept]
        assert part.commit == (ordinal == 0)
        end = WalPosition.from_document(part.end)
        assert (end.lsn, end.ordinal, end.end) == (lsn, ordinal, lsn)
        assert not after(batch, end).events or list(after(batch, end).events) == events[kept:]
    inside = Batch(events, WalPosition(0x200, 9, 0x180).document(), commit=False, size=50)
    for number, asked in ((1, 0x100), (2, 0x200), (4, 0x180)):
        part = before(inside, events[number])
        assert part is not None
        assert WalPosition.from_document(part.end).end == asked
