"""The packets of a connection: events out of bytes that come in any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog.framing import Framing, LogEnd, ServerError
from tailrace.errors import Malformed

FULL = (1 << 24) - 1


def packets(*payloads: bytes, sequence: int = 1) -> bytes:
    """As a server sends them."""
    sent = []
    for payload in payloads:
        for start in range(0, len(payload) + 1, FULL):
            part = payload[start : start + FULL]
            sent.append(len(part).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + part)
            sequence += 1
    return b"".join(sent)


@given(st.lists(st.binary(max_size=40), max_size=300), st.lists(st.integers(1, 60), min_size=1, max_size=9))
def test_events_come_out_whole_however_their_bytes_are_cut(events: list[bytes], sizes: list[int]) -> None:
    data = packets(*(b"\0" + event for event in events))
    framing = Framing()
    found = []
    offset = 0
    while offset < len(data):
        size = sizes[offset % len(sizes)]
        found += framing.feed(data[offset : offset + size])
        offset += size
    assert found == events
    assert framing.end is None


@pytest.mark.parametrize("size", [FULL - 2, FULL - 1, FULL, 2 * FULL - 1, 2 * FULL + 5])
def test_an_event_of_several_packets_is_one(size: int) -> None:
    large = bytes(7) + b"x" * (size - 7)
    data = packets(b"\0before", b"\0" + large, b"\0behind")
    framing = Framing()
    found = []
    for offset in range(0, len(data), 1 << 20):
        found += framing.feed(data[offset : offset + (1 << 20)])
    assert found == [b"before", large, b"behind"]


def test_an_error_ends_the_log_behind_the_events_before_it() -> None:
    framing = Framing()
    refused = b"\xff\xd4\x04#HY000Could not find first log file name"
    assert framing.feed(packets(b"\0one", refused) + b"what else comes") == [b"one"]
    assert framing.end == ServerError(1236, "HY000", "Could not find first log file name")
    assert framing.feed(packets(b"\0two", sequence=3)) == []


def test_an_error_without_a_state_is_told() -> None:
    framing = Framing()
    framing.feed(packets(b"\xff\x10\x04Too many connections"))
    assert framing.end == ServerError(1040, "HY000", "Too many connections")


def test_the_end_of_the_log_is_told() -> None:
    framing = Framing()
    assert framing.feed(packets(b"\0one", b"\xfe\0\0\2\0")) == [b"one"]
    assert framing.end == LogEnd()


@pytest.mark.parametrize(
    "data",
    [
        packets(b"\0one") + packets(b"\0two", sequence=3),  # a packet is missing
        packets(b"\0one", sequence=0),
        packets(b""),
        packets(b"\x01one"),
        packets(b"\xff"),
        packets(b"\xfe" + bytes(FULL)),
    ],
)
def test_what_is_no_packet_of_a_log_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed) as error:
        Framing().feed(data)
    assert error.value.code.id == "TR-MY-101"


def test_a_long_event_costs_no_more_than_its_length() -> None:
    """In pieces of a few bytes: each is looked at once."""
    data = packets(b"\0" + b"x" * 3_000_000)
    framing = Framing()
    found = [
        event for offset in range(0, len(data), 16) for event in framing.feed(data[offset : offset + 16])
    ]
    assert [len(event) for event in found] == [3_000_000]
