"""Bytes that are not the protocol: an error that shows them, never a hang, a crash or a wrong value."""

import struct
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.postgres.position import WalPosition
from connectors.postgres.protocol import Decoder
from connectors.postgres.relations import RelationDetails, Relations
from tailrace.errors import Malformed, NotReady
from tailrace.events import Batch, Event
from tests.unit import pgoutput
from tests.unit.pgoutput import (
    MAJORS,
    SCENARIOS,
    begin,
    changes,
    commit,
    feed,
    insert,
    keepalive,
    kind,
    logical_message,
    recording,
    relation,
    relations,
    row,
    truncate,
    tuple_data,
    xlog_data,
)

INT4, TEXT = 23, 25
ITEMS = 16400
DETAILS = {ITEMS: RelationDetails(frozenset({"id"}), ("id",))}
ANNOUNCED = relation(ITEMS, [("id", INT4, True), ("v", TEXT, False)], name="item")
READY = (begin(0x200), ANNOUNCED)

NEW = tuple_data(b"N", [b"1", b"x"])
KEY = tuple_data(b"K", [b"1", None])


def read(found: Sequence[Event]) -> None:
    """Look at every value, as a format does."""
    for change in changes(found):
        for fields in change.table.split(change.raw):
            for column, field in zip(change.table.columns, fields or (), strict=fields is not None):
                if type(field) is bytes:
                    try:
                        column.value(field)
                    except ValueError:
                        assert kind(change.raw) != "M"


def consume(messages: Sequence[bytes], recorded: pgoutput.Recording, known: Relations) -> None:
    if batch := feed(Decoder(known, WalPosition(0)), messages, recorded.details):
        read(batch.events)


def cuts(length: int) -> list[int]:
    """Where to cut a message off: everywhere, in long ones at the begin and the end."""
    return [*range(min(length, 120)), *range(max(120, length - 60), length)]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("scenario", SCENARIOS)
class TestRecordings:
    def test_every_message_cut_off_anywhere_is_an_error(self, major: int, scenario: str) -> None:
        recorded = recording(major, scenario)
        known = relations()
        for i, message in enumerate(recorded.messages):
            for length in cuts(len(message)):
                with pytest.raises(Malformed) as error:
                    consume([*recorded.messages[:i], message[:length]], recorded, known)
                assert error.value.code.id == "TR-PG-101"

    def test_every_message_with_a_byte_too_many_is_an_error(self, major: int, scenario: str) -> None:
        recorded = recording(major, scenario)
        known = relations()
        for i, message in enumerate(recorded.messages):
            for more in (b"\0", b"n", b"N" * 40):
                with pytest.raises(Malformed):
                    consume([*recorded.messages[:i], message + more], recorded, known)

    def test_what_stands_before_a_fault_can_be_cut(self, major: int, scenario: str) -> None:
        recorded = recording(major, scenario)
        for i, message in enumerate(recorded.messages):
            clean = Decoder(relations(), WalPosition(0))
            expected = feed(clean, recorded.messages[:i], recorded.details)
            decoder = Decoder(relations(), WalPosition(0))
            with pytest.raises(Malformed):
                feed(decoder, [*recorded.messages[:i], damaged(message)], recorded.details)
            found = decoder.cut()
            assert told(found) == told(expected)


def damaged(message: bytes) -> bytes:
    """The message with a fault that is seen while it is decoded, not only when its row is looked at."""
    at = {"I": 30, "U": 30, "D": 30, "T": 30, "M": 26}.get(kind(message))
    return message + b"?" if at is None else message[:at] + b"?" + message[at + 1 :]


def told(batch: Batch | None) -> object:
    if batch is None:
        return None
    places = [(type(event), event.table.name, event.ordinal) for event in batch.events]
    return places, batch.end, batch.commit


known_relations = relations()


@given(st.data())
def test_damaged_streams_end_in_malformed_or_are_read(data: st.DataObject) -> None:
    recorded = recording(16, data.draw(st.sampled_from(SCENARIOS)))
    messages = list(recorded.messages)
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(messages) - 1))
        at = data.draw(st.integers(0, max(0, min(len(messages[i]), 400) - 1)))
        gone = data.draw(st.integers(0, 4))
        put = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\xff" * 4, b"\0", b"n", b"u", b"t"]))
        )
        messages[i] = messages[i][:at] + put + messages[i][at + gone :]
    if data.draw(st.booleans()):
        del messages[data.draw(st.integers(0, len(messages) - 1))]
    with suppress(Malformed, NotReady):  # NotReady: a damaged type oid is a type nobody knows
        consume(messages, recorded, known_relations)


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_noise_is_malformed(noise: list[bytes]) -> None:
    for prefix in (b"", b"w", b"k", b"w" + bytes(24)):
        decoder = Decoder(relations(), WalPosition(0))
        for message in noise:
            with pytest.raises(Malformed):
                feed(decoder, [prefix + message + b"?"])


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([b""], "neither a whole XLogData nor a keepalive"),
        ([b"k" + bytes(16)], "neither a whole XLogData nor a keepalive"),
        ([keepalive(5)[:-1] + b"\x02"], "neither a whole XLogData nor a keepalive"),
        ([b"x" + bytes(60)], "neither XLogData nor a keepalive: 0x78"),
        ([xlog_data(b"S" + bytes(5))], "a message of unknown kind 0x53"),
        ([begin(0x200), begin(0x300)], "a Begin inside a transaction"),
        ([begin(0xFF)], "a transaction from before 0/100, which is behind us"),
        ([commit(0x200, 0x230)], "a Commit outside of a transaction"),
        ([begin(0x200), commit(0x201, 0x230)], "does not fit its Begin at 0/200"),
        ([begin(0x200), commit(0x200, 0x200)], "does not fit its Begin at 0/200"),
        ([begin(0x200), commit(0x200, 0x230, time=6)], "does not fit its Begin at 0/200"),
        ([ANNOUNCED, insert(ITEMS, b"1", b"x")], "a row outside of a transaction"),
        ([ANNOUNCED, truncate(ITEMS)], "a row outside of a transaction"),
        ([*READY, insert(9, b"1", b"x")], "relation 9, which has not been announced"),
        ([*READY, truncate(ITEMS, 9)], "relation 9, which has not been announced"),
        ([*READY, truncate()], "a TRUNCATE of 0 relations"),
        ([*READY, truncate(ITEMS, options=4)], "options 0x4"),
        ([*READY, row(b"I", ITEMS, KEY)], "an insert with a tuple of kind 0x4b"),
        ([*READY, row(b"D", ITEMS, NEW)], "a delete with a tuple of kind 0x4e"),
        ([*READY, row(b"U", ITEMS, b"?")], "an update with a tuple of kind 0x3f"),
        ([*READY, row(b"U", ITEMS, KEY, KEY)], "tuple of kind 0x4b where the new row should be"),
        ([logical_message("p", b"", lsn=0x180, transactional=True)], "on the wrong side of a Begin"),
        ([begin(0x200), logical_message("p", b"", lsn=0x180, transactional=False)], "on the wrong side"),
        ([logical_message("p", b"", lsn=0x100, transactional=False)], "a message from before 0/100"),
        ([xlog_data(b"M\x02" + bytes(13))], "unknown message flags 0x2"),
        ([xlog_data(b"M\x00" + bytes(8) + b"\xff\0" + bytes(4))], "not UTF-8: ff"),
        ([xlog_data(b"M\x00" + bytes(8) + b"ppppp")], "cut off inside a string"),
        ([relation(5, [("ok", INT4, True)], identity="x")], "unknown replica identity 'x'"),
        ([relation(5, [("ok", INT4, True)]).replace(b"\x01ok", b"\x02ok")], "unknown column flags 0x2"),
        ([relation(5, [("ok", INT4, True)]).replace(b"ok", b"\xff\xfe")], "not UTF-8: ff fe"),
    ],
)
def test_what_is_wrong_is_said(messages: list[bytes], found: str) -> None:
    with pytest.raises(Malformed) as error:
        feed(Decoder(relations(), WalPosition(0x100)), messages, DETAILS)
    assert found in error.value.found
    assert error.value.code.id == "TR-PG-101"
    shown = messages[-1][25:] if messages[-1][:1] == b"w" else messages[-1]
    assert (shown[:48].hex(" ") or "nothing") in error.value.found
    assert error.value.remedy


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (insert(ITEMS, b"1"), "a row of 1 columns, the table has 2"),
        (insert(ITEMS, b"1", b"x", b"y"), "a row of 3 columns, the table has 2"),
        (row(b"I", ITEMS, NEW + b"n"), "1 bytes too many"),
        (row(b"I", ITEMS, b"N\0\2n" + b"b\0\0\0\1\1"), "column 2 is of kind 0x62"),
        (row(b"D", ITEMS, b"O\0\2n" + b"u"), "column 2 is of kind 0x75"),
        (row(b"U", ITEMS, b"N\0\2u" + b"b\0\0\0\1\1"), "column 2 is of kind 0x62"),
        (row(b"D", ITEMS, b"K\0\2u" + b"n"), "column 1 is of kind 0x75"),
        (row(b"I", ITEMS, b"N\0\2n" + b"t\xff\xff\xff\xffx"), "a row needs 4294967295 bytes"),
        (row(b"I", ITEMS, b"N\0\2n" + b"t\0\0\0\2x"), "a row needs 2 bytes"),
        (row(b"D", ITEMS, KEY + NEW), "15 bytes too many"),
    ],
)
def test_a_damaged_row_is_told_when_it_is_looked_at(message: bytes, found: str) -> None:
    batch = feed(Decoder(relations(), WalPosition(0x100)), [*READY, message], DETAILS)
    assert batch
    with pytest.raises(Malformed, match=found) as error:
        read(batch.events)
    assert error.value.where == "log position 0/1000"


def test_lengths_of_lists_are_not_believed() -> None:
    for payload in (
        struct.pack(">cIBI", b"T", 0xFFFFFFFF, 0, ITEMS),
        b"R" + struct.pack(">I", 5) + b"s\0t\0d" + b"\xff\xff" + bytes(20),
        b"M\0" + struct.pack(">Q", 5) + b"p\0" + b"\xff\xff\xff\xff" + b"xx",
    ):
        with pytest.raises(Malformed, match="cut off"):
            feed(Decoder(relations(), WalPosition(0)), [begin(0x200), xlog_data(payload)][payload[0] != 84 :])
