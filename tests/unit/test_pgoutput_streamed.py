"""Transactions that come in pieces, on what real servers sent: the same as without streaming."""

import json
import struct
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres import history
from connectors.postgres.assembly import Assembly, Subtransactions
from connectors.postgres.history import History
from connectors.postgres.position import WalPosition
from connectors.postgres.protocol import Decoder
from connectors.postgres.relations import RelationDetails
from connectors.postgres.spool import Spool
from connectors.postgres.streamed import StreamAbort, StreamCommit, StreamStart, options
from tailrace.errors import Malformed, NotReady, Retry
from tailrace.events import Batch, SchemaChange
from tests.unit import pgoutput
from tests.unit.pgoutput import (
    again,
    begin,
    commit,
    feed,
    insert,
    keepalive,
    kind,
    logical_message,
    relation,
    xlog_data,
)

MAJORS = (14, 16, 18)
SCENARIOS = (
    "one", "interleaved", "savepoints", "rolled back", "empty", "altered", "origin", "types", "prepared",
)  # fmt: skip
MARKS = "SEcA"
PREPARED = {
    "b": "Begin Prepare",
    "P": "Prepare",
    "K": "Commit Prepared",
    "r": "Rollback Prepared",
    "p": "Stream Prepare",
}


@cache
def _recordings(major: int) -> dict[str, Any]:
    path = Path(__file__).with_name("recordings") / f"streamed{major}.json"
    recordings: dict[str, Any] = json.loads(path.read_text())
    return recordings


def recorded(major: int, scenario: str, way: str = "streamed") -> list[bytes]:
    return [bytes.fromhex(message) for message in _recordings(major)[scenario][way]]


def details(major: int, scenario: str) -> Mapping[int, RelationDetails]:
    relations = _recordings(major)[scenario]["relations"]
    return {int(oid): pgoutput.described(relation) for oid, relation in relations.items()}


def assembly(folder: Path, major: int = 16) -> Assembly:
    spool = Spool(folder / "streamed")
    spool.clear()
    return Assembly(spool, begins_at_once=major < 15)


def assembled(folder: Path, messages: Sequence[bytes], major: int = 16, step: int = 10**6) -> list[bytes]:
    """What comes out where the messages are fed `step` at a time."""
    made = assembly(folder, major)
    return [
        message
        for start in range(0, len(messages), step)
        for part in fed(made, messages[start : start + step])
        for message in part
    ]


def fed(
    made: Assembly, messages: Sequence[bytes], rolled_back: Sequence[int] | None = ()
) -> Iterator[list[bytes]]:
    """Where the server answers so, whatever it is asked for."""
    for part in made.feed(messages):
        if isinstance(part, Subtransactions):
            made.answer(rolled_back)
        else:
            yield part


def told(messages: Sequence[bytes], major: int) -> list[tuple[int, bytes]]:
    """LSN and body of each message but keepalives and what tells relations and types, which need not come as
    often; of an origin without what is known at the commit, of a Begin before 15 without the LSN."""
    return [
        (
            0 if major < 15 and kind(m) == "B" else struct.unpack(">Q", m[1:9])[0],
            b"O" + m[34:] if kind(m) == "O" else m[25:],
        )
        for m in messages
        if kind(m) not in "kRY"
    ]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_messages_are_those_without_streaming(tmp_path: Path, major: int, scenario: str) -> None:
    """To the byte, however they are cut into pieces on the way."""
    plain, streamed = recorded(major, scenario, "plain"), recorded(major, scenario)
    if (major, scenario) != (18, "rolled back"):  # that server does not stream what it knows to be aborted
        assert {kind(message) for message in streamed} & set(MARKS)
    for step in (1, 3, 10**6):
        out = assembled(tmp_path, streamed, major, step)
        assert told(out, major) == told(plain, major)
    assert not list((tmp_path / "streamed").glob("*"))


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_events_are_those_without_streaming(tmp_path: Path, major: int, scenario: str) -> None:
    """Values, tables, places and what a checkpoint would hold. From each place the rest comes in the other
    way too."""
    known = details(major, scenario)
    ways = {
        way: [m for m in messages if kind(m) != "k"]
        for way, messages in (
            ("plain", recorded(major, scenario, "plain")),
            ("streamed", assembled(tmp_path, recorded(major, scenario), major)),
        )
    }
    whole = {way: _events(_decoder(), messages, known) for way, messages in ways.items()}
    assert whole["streamed"] == whole["plain"]
    for way, messages in ways.items():
        other = ways["plain" if way == "streamed" else "streamed"]
        for count in range(1, len(messages)):
            batch = feed(_decoder(), messages[:count], known)
            if batch is None:
                continue
            position = WalPosition.from_document(batch.end)
            asked = history.begin(position, [position])
            resumed = Decoder(pgoutput.relations(), position, History(position, [position], asked))
            rest = _events(resumed, again(other, asked), known)
            assert rest == [event for event in whole["plain"] if event[1] > (position.lsn, position.ordinal)]


def _decoder() -> Decoder:
    return Decoder(pgoutput.relations(), WalPosition(0))


def _events(
    decoder: Decoder, messages: Sequence[bytes], known: Mapping[int, RelationDetails]
) -> list[tuple[Any, ...]]:
    batch = feed(decoder, messages, known)
    return [] if batch is None else _told(batch)


def _told(batch: Batch) -> list[tuple[Any, ...]]:
    return [
        (
            event.op,
            (int(event.transaction.position, 16), event.ordinal),
            event.index,
            event.offset,
            event.transaction.id,
            event.transaction.id and event.transaction.timestamp,  # else of when it was sent
            str(event.table),
            [column.name for column in event.table.columns],
            event.table.split(event.raw),
        )
        for event in batch.events
        if not isinstance(event, SchemaChange)
    ]


@pytest.mark.parametrize("major", [16, 18])
def test_parallel_aborts_tell_more(tmp_path: Path, major: int) -> None:
    streamed, parallel = recorded(major, "savepoints"), recorded(major, "savepoints", "parallel")
    aborts, more = (
        [StreamAbort.read(message) for message in messages if kind(message) == "A"]
        for messages in (streamed, parallel)
    )
    assert [(one.xid, one.subxid) for one in aborts] == [(one.xid, one.subxid) for one in more]
    assert all(one.lsn is None and one.time is None for one in aborts)
    commits = [StreamCommit.read(message) for message in parallel if kind(message) == "c"]
    for abort in more:
        assert abort.lsn is not None
        assert abort.time is not None
        assert abort.lsn < commits[0].commit_lsn
        assert 0 <= commits[0].time - abort.time < 60_000_000
    plain = recorded(major, "savepoints", "plain")
    assert told(assembled(tmp_path, parallel, major), major) == told(plain, major)


@pytest.mark.parametrize("major", MAJORS)
def test_pieces(major: int) -> None:
    streamed = recorded(major, "interleaved")
    starts = [StreamStart.read(message) for message in streamed if kind(message) == "S"]
    ends = [StreamCommit.read(message) for message in streamed if kind(message) == "c"]
    assert len(ends) == 2
    assert {start.xid for start in starts} == {end.xid for end in ends}
    for end in ends:
        first, *others = [start.first for start in starts if start.xid == end.xid]
        assert first
        assert others
        assert not any(others)
        assert end.end > end.commit_lsn


@pytest.mark.parametrize("major", [16, 18])
@pytest.mark.parametrize(("letter", "name"), PREPARED.items())
def test_two_phases_are_refused_by_name(tmp_path: Path, major: int, letter: str, name: str) -> None:
    way = "two phase streamed" if letter == "p" else "two phase"
    message = next(m for m in recorded(major, "prepared", way) if kind(m) == letter)
    gid = "small" if letter == "r" else "large"
    for out in ([message], assembled(tmp_path, [message])):
        with pytest.raises(NotReady, match=f"^[^:]*: {name} of the transaction '{gid}'") as raised:
            feed(_decoder(), out)
        assert raised.value.code.id == "TR-PG-104"
    with pytest.raises(Malformed):
        feed(_decoder(), [message[:-1]])


def test_the_relation_that_came_last_holds_after_a_commit(tmp_path: Path) -> None:
    """A name that changes while a transaction is open: what the server sent later stays, although the
    transaction that was sent before it commits behind it."""
    known = details(14, "renamed")
    streamed = recorded(14, "renamed")
    out = assembled(tmp_path, streamed, 14)
    batch = feed(_decoder(), out, known)
    assert batch
    assert [(event[6], event[8][1]) for event in _told(batch)] == [
        ("two.s", [b"2"]),
        ("one.s", [b"1"]),
        ("two.s", [b"3"]),
    ]


def test_without_a_rename_nothing_is_announced_again(tmp_path: Path) -> None:
    out = assembled(tmp_path, recorded(14, "interleaved"), 14)
    assert [kind(m) for m in out if kind(m) != "k"] == list("BRICBRIICMBICBRIICBIC")


# Made by hand, where no server is known to send it.

T = 16400
ANNOUNCED = relation(T, [("id", 23, True)])
ROW = insert(T, b"1")


def start(xid: int, *, first: bool = True) -> bytes:
    return xlog_data(b"S" + struct.pack(">IB", xid, first))


STOP = xlog_data(b"E")


def within(xid: int, message: bytes) -> bytes:
    return message[:26] + struct.pack(">I", xid) + message[26:]


def stream_commit(xid: int, lsn: int, flags: int = 0) -> bytes:
    return xlog_data(b"c" + struct.pack(">IBQQq", xid, flags, lsn, lsn + 8, 5), lsn + 8)


def stream_abort(xid: int, subxid: int) -> bytes:
    return xlog_data(b"A" + struct.pack(">II", xid, subxid))


PIECE = [start(7), within(7, ANNOUNCED), within(7, ROW), STOP]


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([start(7), STOP, start(7)], "another first piece of 7"),
        ([start(7, first=False)], "no first piece of 7"),
        ([start(7), start(8)], "inside of a piece of transaction 7"),
        ([start(7), stream_commit(7, 0x2000)], "inside of a piece of transaction 7"),
        ([start(7), stream_abort(7, 7)], "inside of a piece of transaction 7"),
        ([start(7), begin(0x2000)], "no message of a piece"),
        ([start(7), within(7, begin(0x2000))], "no message of a piece"),
        ([start(7), xlog_data(b"I\0\0\0")], "no message of a piece"),
        ([STOP], "outside of a piece"),
        ([start(7), STOP[:-1] + b"E\0"], "wrong Stream Stop"),
        ([stream_commit(7, 0x2000)], "of transaction 7, of which no piece has come"),
        ([*PIECE, stream_commit(7, 0x2000, flags=1)], "flags 0x1"),
        ([*PIECE, stream_abort(7, 7), stream_commit(7, 0x2000)], "of which no piece has come"),
        ([xlog_data(b"S" + struct.pack(">IB", 7, 2))], "the mark 0x2"),
        ([start(7)[:-1]], "cut off"),
        ([*PIECE, stream_commit(7, 0x2000)[:-1]], "cut off"),
        ([*PIECE, stream_commit(7, 0x2000) + b"\0"], "too many"),
        ([*PIECE, stream_abort(7, 7) + b"\0"], "cut off"),
    ],
)
def test_malformed(tmp_path: Path, messages: list[bytes], what: str) -> None:
    """Said by name, behind what stands before it."""
    before = [begin(0x1000), ANNOUNCED, ROW, commit(0x1000, 0x1008)]
    out = fed(assembly(tmp_path), [*before, *messages])
    assert next(out)[:4] == before
    with pytest.raises(Malformed, match=what):
        next(out)


def test_an_abort_of_what_was_never_sent_is_nothing(tmp_path: Path) -> None:
    """As PostgreSQL 18 sends it, with and without streaming."""
    messages = [stream_abort(7, 8), begin(0x1000), ANNOUNCED, ROW, commit(0x1000, 0x1008), stream_abort(9, 9)]
    for out in (messages, assembled(tmp_path, messages)):
        batch = feed(_decoder(), out)
        assert batch
        assert len(_told(batch)) == 1
    with pytest.raises(Malformed, match="unknown kind 0x41"):
        feed(_decoder(), [begin(0x1000), stream_abort(7, 8)])
    with pytest.raises(Malformed, match="cut off"):
        feed(_decoder(), [stream_abort(7, 8)[:-1]])


def test_logical_messages_are_not_guessed(tmp_path: Path) -> None:
    """The server numbers them as of the whole transaction, whichever savepoint they are behind."""
    message = within(7, logical_message("told", b"x", lsn=0x1100, transactional=True))
    piece = [*PIECE, start(7, first=False), message, STOP]
    for major in MAJORS:
        with pytest.raises(Retry):
            assembled(tmp_path, recorded(major, "messages"), major)
    made = assembly(tmp_path)
    out = made.feed([ROW, *piece, stream_commit(7, 0x2000)])
    assert next(out) == [ROW]
    with pytest.raises(Retry) as raised:
        next(out)
    assert raised.value.code.id == "TR-PG-105"
    assert made.undecided
    made = assembly(tmp_path)
    assert list(made.feed([*piece, stream_abort(7, 7)])) == [[]]  # none of it was committed
    assert not made.undecided


SAVEPOINT = [start(7, first=False), within(8, ANNOUNCED), within(8, insert(T, b"2")), within(9, ROW), STOP]


def test_a_rollback_that_the_server_does_not_send_is_asked_for(tmp_path: Path) -> None:
    """Rows are left out, what was announced with them stays: the server does not send it again."""
    messages = [start(7), within(7, insert(T, b"3")), STOP, *SAVEPOINT, stream_commit(7, 0x2000)]
    made = assembly(tmp_path)
    assert [part.xids for part in made.feed(messages[:-1]) if isinstance(part, Subtransactions)] == []
    asked = [part for part in _answered(made, messages[-1:], [8]) if isinstance(part, Subtransactions)]
    assert [one.xids for one in asked] == [(8, 9)]
    made = assembly(tmp_path)
    (out,) = fed(made, messages, [8])
    assert [kind(message) for message in out] == list("BIRIC")
    made = assembly(tmp_path)
    with pytest.raises(Retry) as raised:
        list(fed(made, messages, None))
    assert raised.value.code.id == "TR-PG-105"
    assert made.undecided


def _answered(
    made: Assembly, messages: Sequence[bytes], rolled_back: Sequence[int]
) -> Iterator[list[bytes] | Subtransactions]:
    for part in made.feed(messages):
        if isinstance(part, Subtransactions):
            made.answer(rolled_back)
        yield part


def test_keepalives_are_not_held_back(tmp_path: Path) -> None:
    made = assembly(tmp_path)
    found = list(made.feed([*PIECE[:2], keepalive(0x1800, reply=True), *PIECE[2:]]))
    assert found == [[keepalive(0x1800, reply=True)]]


def test_a_transaction_is_handed_out_in_bounded_lists(tmp_path: Path) -> None:
    made = assembly(tmp_path)
    row = within(7, insert(T, bytes(1000)))
    assert list(made.feed(PIECE)) == [[]]
    for _ in range(100):
        assert list(made.feed([start(7, first=False), *[row] * 100, STOP])) == [[]]
    sizes = [sum(map(len, part)) for part in fed(made, [stream_commit(7, 0x2000), *[ROW] * 10])]
    assert sum(sizes) > 10_000_000
    assert max(sizes) < 1_400_000
    assert len(sizes) < 12


def test_what_was_rolled_back_is_passed_in_bounded_steps(tmp_path: Path) -> None:
    """It makes no message, and its reading must not keep others waiting all the same."""
    made = assembly(tmp_path)
    assert list(made.feed(PIECE)) == [[]]
    row = within(8, insert(T, bytes(1000)))
    for _ in range(100):
        assert list(made.feed([start(7, first=False), *[row] * 100, STOP])) == [[]]
    assert list(made.feed([stream_abort(7, 8)])) == [[]]
    parts = list(fed(made, [stream_commit(7, 0x2000)]))
    assert [kind(m) for part in parts for m in part] == list("BRIC")
    assert len(parts) > 4  # 10 MB


def test_the_memory_for_a_transaction_is_bounded(tmp_path: Path) -> None:
    """However large it is: its pieces, and its replay up to the events."""
    made, decoder = assembly(tmp_path), _decoder()
    feed(decoder, [begin(0x1000), ANNOUNCED, commit(0x1000, 0x1008)])
    row = insert(T, bytes(10_000))
    piece = [within(7, bytes([*row])) for _ in range(100)]
    list(made.feed(PIECE))
    tracemalloc.start()
    try:
        for _ in range(60):
            assert list(made.feed([start(7, first=False), *piece, STOP])) == [[]]
        count = 0
        for part in fed(made, [stream_commit(7, 0x2000)]):
            batch = feed(decoder, part)
            count += len(batch.events) if batch else 0
            del batch, part
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count >= 6000  # 60 MB
    assert peak < 8_000_000


def test_each_version_of_the_server_has_its_protocol() -> None:
    asked = [options(version)["proto_version"] for version in (140000, 150019, 160004, 180006)]
    assert asked == ["2", "3", "4", "4"]
