"""Binary logs that are cut off or changed: an error that says where, no hang, no crash, no wrong value."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog.event import EventType
from connectors.mysql.binlog.messages import Message
from connectors.mysql.binlog.protocol import Decoder
from tailrace.errors import Malformed
from tests.unit.binlogs import FILES, events, flavor

CODES = ("TR-MY-102", "TR-MY-103", "TR-MY-104")
PLAIN = {"mysql9-plain", "mariadb10-plain", "mariadb11-plain"}  # written without checksums


def consume(file: str, *stream: bytes) -> list[Message]:
    decoder = Decoder(flavor(file))
    return [message for event in stream for message in decoder.feed(event)]


def resealed(event: bytes, checksum: bool) -> bytes:
    """With the size and the checksum that its bytes have now."""
    event = event[:9] + struct.pack("<I", len(event)) + event[13:]
    return event[:-4] + struct.pack("<I", zlib.crc32(event[:-4])) if checksum else event


def flipped(event: bytes, offset: int) -> bytes:
    return event[:offset] + bytes((event[offset] ^ 1 << offset * 5 % 8,)) + event[offset + 1 :]


def spots(length: int) -> list[int]:
    """Where to cut or to change: everywhere at the begin of an event, in a long one's rest here and there."""
    return [*range(min(length, 64)), *range(64, length - 9, 23), *range(max(64, length - 9), length)]


@pytest.mark.parametrize("file", FILES)
class TestRecordings:
    def test_every_event_cut_off_anywhere_is_an_error(self, file: str) -> None:
        first, *others = events(file)
        for event in (first, *others):
            for length in spots(len(event)):
                with pytest.raises(Malformed) as error:
                    consume(file, *([first] * (event is not first)), event[:length])
                assert error.value.code.id in CODES

    def test_every_event_with_a_byte_changed_is_an_error(self, file: str) -> None:
        first, *others = events(file)
        if file in PLAIN:
            return
        for event in others:
            for offset in spots(len(event)):
                with pytest.raises(Malformed) as error:
                    consume(file, first, flipped(event, offset))
                assert error.value.code.id in CODES

    def test_a_description_with_a_byte_changed_is_an_error(self, file: str) -> None:
        first = events(file)[0]
        if file in PLAIN:
            return
        for offset in range(len(first)):
            if offset == 17:  # the lowest bit says that the file is being written; the checksum is without it
                consume(file, first[:17] + b"\x01" + first[18:])
            with pytest.raises(Malformed):
                consume(file, flipped(first, offset) if offset != 17 else first[:17] + b"\x02" + first[18:])

    def test_a_description_that_loses_the_checksums_of_the_others_is_an_error(self, file: str) -> None:
        """By the byte that says whether there are any: all events behind it would be read wrong."""
        first = events(file)[0]
        other = first[:-5] + bytes((first[-5] ^ 1,)) + first[-4:]
        with pytest.raises(Malformed) as error:
            consume(file, other)
        assert error.value.code.id == "TR-MY-103"

    def test_a_description_that_the_server_has_changed_for_the_connection_is_read(self, file: str) -> None:
        """Where no other event has a checksum it does not make that of the description anew."""
        first = events(file)[0]
        changed = (
            first[:13] + bytes(4) + first[17:71] + bytes(4) + first[75:]
        )  # its end, and when it was begun
        if file in PLAIN:
            (found,) = consume(file, changed)
            assert found.place.end == 0
        elif changed != first:
            with pytest.raises(Malformed):
                consume(file, changed)

    def test_what_is_wrong_in_spite_of_its_checksum_is_an_error_or_another_message(self, file: str) -> None:
        """Nothing but Malformed is raised, whatever the bytes are."""
        first, *others = events(file)
        for event in others:
            for offset in spots(len(event))[4:]:
                with suppress(Malformed):
                    consume(file, first, resealed(flipped(event, offset), file not in PLAIN))
            for length in spots(len(event))[19 + 4 :]:
                with suppress(Malformed):
                    consume(file, first, resealed(event[:length], file not in PLAIN))


@given(st.data())
def test_any_byte_of_any_file_changed_is_an_error(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from([file for file in FILES if file not in PLAIN]))
    first, *others = events(file)
    event = data.draw(st.sampled_from(others))
    offset, mask = data.draw(st.integers(0, len(event) - 1)), data.draw(st.integers(1, 255))
    changed = event[:offset] + bytes((event[offset] ^ mask,)) + event[offset + 1 :]
    with pytest.raises(Malformed):
        consume(file, first, changed)
    with suppress(Malformed):
        consume(file, first, resealed(changed, checksum=True))


def test_an_error_says_the_event_and_its_place() -> None:
    first, _, gtid, query, *_ = events("mysql9-rows")
    decoder = Decoder("mysql")
    decoder.feed(first)
    decoder.feed(gtid)
    with pytest.raises(Malformed) as error:
        decoder.feed(flipped(query, 60))
    start = int.from_bytes(gtid[13:17], "little")
    assert error.value.where == f"binary log:{start}"
    assert error.value.code.id == "TR-MY-103"
    assert "QUERY (2)" in error.value.found


def test_an_error_says_the_file_where_the_stream_told_it() -> None:
    first, *_, rotate = events("mysql9-rows")
    decoder = Decoder("mysql")
    for event in (first, rotate, first):
        list(decoder.feed(event))
    with pytest.raises(Malformed, match=r"^binlog.000003:127: TR-MY-104 .*: unknown type 77 of 27 bytes"):
        decoder.feed(resealed(struct.pack("<IBIIIH", 7, 77, 11, 0, 1027, 0) + bytes(8), checksum=True))


def test_an_error_inside_of_a_transaction_says_its_place() -> None:
    """Though MariaDB tells none there."""
    stream = events("mariadb11-rows")
    rows = next(i for i, event in enumerate(stream) if event[4] == EventType.WRITE_ROWS_V1)
    with pytest.raises(Malformed) as error:
        consume("mariadb11-rows", *stream[:rows], flipped(stream[rows], 30))
    assert error.value.where == f"binary log:{4 + sum(map(len, stream[:rows]))}"
