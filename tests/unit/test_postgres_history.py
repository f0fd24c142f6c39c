"""A log proves to be the one that was read before, or is refused: what is sent, message by message."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connectors.postgres.history import History, begin
from connectors.postgres.position import WalPosition
from connectors.postgres.protocol import Decoder
from tailrace.errors import Diverged, Gap
from tests.unit import pgoutput
from tests.unit.pgoutput import again, changes, feed, insert, keepalive, logical_message, relation, relations

ITEMS = 5
ANNOUNCED = relation(ITEMS, [("id", 23, True)])


def _transaction(lsn: int, xid: int = 42) -> list[bytes]:
    return [
        pgoutput.begin(lsn, xid=xid),
        ANNOUNCED,
        insert(ITEMS, b"1"),
        insert(ITEMS, b"2"),
        pgoutput.commit(lsn, lsn + 0x30),
    ]


def _message(lsn: int, content: bytes = b"x") -> bytes:
    return logical_message("app", content, lsn=lsn, transactional=False)


def _position(messages: Sequence[bytes], start: int = 0x100) -> WalPosition:
    """Behind these messages, of a stream that begins at `start`."""
    batch = feed(Decoder(relations(), WalPosition(start)), messages)
    assert batch
    return WalPosition.from_document(batch.end)


def _resumed(
    position: WalPosition, *others: WalPosition, confirmed: int = 0x100, ahead: bool = False
) -> Decoder:
    """As a source does it."""
    positions = [position, *others]
    begins = max(begin(position, positions), confirmed)
    return Decoder(relations(), position, History(position, positions, begins, ahead=ahead))


COMMIT = _position(_transaction(0x200))
IDLE = _position([*_transaction(0x200), keepalive(0x300)])
INSIDE = _position(_transaction(0x200)[:3])
MESSAGE = _position([*_transaction(0x200), _message(0x280)])
NOTHING = _position([keepalive(0x300)])


@pytest.mark.parametrize(
    ("position", "proof"),
    [
        (COMMIT, "0/200 transaction 42 of 946684800.000005"),
        (IDLE, "0/200 transaction 42 of 946684800.000005"),
        (INSIDE, "0/200 transaction 42 of 946684800.000005"),
        (MESSAGE, "0/230 message 52a719ab"),
        (NOTHING, "0/100"),
        (WalPosition(0x200), None),
    ],
)
def test_the_witness_of_a_position(position: WalPosition, proof: str | None) -> None:
    assert position.document().get("proof") == proof
    assert WalPosition.from_document(position.document()).witness == position.witness


@pytest.mark.parametrize("major", pgoutput.MAJORS)
@pytest.mark.parametrize("scenario", pgoutput.SCENARIOS)
def test_the_same_log_is_known_again(major: int, scenario: str) -> None:
    """Whatever of it is acknowledged: as if nothing was cut."""
    recorded = pgoutput.recording(major, scenario)
    whole = [(e.op, e.position, e.raw) for e in changes(pgoutput.events(recorded))]
    ends = [0]
    for at in range(len(recorded.messages)):
        known = relations()
        batch = feed(Decoder(known, WalPosition(0)), recorded.messages[:at], recorded.details)
        if batch is None:
            continue
        position = WalPosition.from_document(batch.end)
        ends += [position.end] if position.end not in ends else []
        for confirmed in ends:
            positions = [position]
            begins = max(begin(position, positions), confirmed)
            decoder = Decoder(known, position, History(position, positions, begins))
            rest = feed(decoder, again(recorded.messages, begins), recorded.details)
            events = [*changes(batch.events), *(changes(rest.events) if rest else [])]
            assert [(e.op, e.position, e.raw) for e in events] == whole
            feed(decoder, [keepalive(1 << 62)])
            assert decoder.proven


@pytest.mark.parametrize(
    ("position", "confirmed", "messages", "found"),
    [
        (COMMIT, 0x100, _transaction(0x200, xid=43), "transaction 43 of .* comes at 0/200 in its place"),
        (COMMIT, 0x100, _transaction(0x210), "comes at 0/210 in its place"),
        (COMMIT, 0x100, _transaction(0x900), "comes at 0/900 in its place"),
        (COMMIT, 0x100, [_message(0x220)], "message .* comes at 0/21F in its place"),
        (COMMIT, 0x200, [keepalive(0x230)], "the server has come to 0/230 without it"),
        (IDLE, 0x100, [*_transaction(0x200), *_transaction(0x250)], "comes behind it, at 0/250"),
        (IDLE, 0x230, _transaction(0x250), "comes behind it, at 0/250"),
        (IDLE, 0x230, [_message(0x300)], "comes behind it, at 0/2FF"),
        (MESSAGE, 0x230, [_message(0x280, b"y")], "in its place"),
        (MESSAGE, 0x100, [keepalive(0x280)], "without it"),
        (NOTHING, 0x100, _transaction(0x200), "comes behind it, at 0/200"),
        (INSIDE, 0x100, _transaction(0x200, xid=43), "in its place"),
        (INSIDE, 0x100, _transaction(0x210), "in its place"),
        (INSIDE, 0x100, [keepalive(0x201)], "without it"),
    ],
)
def test_another_log(position: WalPosition, confirmed: int, messages: list[bytes], found: str) -> None:
    for ahead in (False, True):
        decoder = _resumed(position, confirmed=confirmed, ahead=ahead)
        with pytest.raises(Diverged if ahead else Gap, match=found) as refused:
            feed(decoder, messages)
        assert refused.value.code.id == "TR-PG-323"
        assert str(position) in refused.value.found
        assert decoder.cut() is None
        assert not decoder.proven


@pytest.mark.parametrize(
    ("position", "confirmed", "messages", "waits"),
    [
        (COMMIT, 0x100, _transaction(0x200), 4),  # up to its end
        (COMMIT, 0x230, _transaction(0x400), 0),  # the slot tells
        (IDLE, 0x100, [*_transaction(0x200), keepalive(0x230), keepalive(0x300)], 6),
        (IDLE, 0x100, [*_transaction(0x200), *_transaction(0x300)], 5),  # right behind it
        (IDLE, 0x230, [keepalive(0x290), keepalive(0x300)], 1),
        (IDLE, 0x300, _transaction(0x300), 0),
        (MESSAGE, 0x230, [_message(0x280)], 0),
        (MESSAGE, 0x250, [_message(0x280)], 0),  # an idle position of an earlier connection
        (NOTHING, 0x100, [keepalive(0x200), keepalive(0x300)], 1),
        (INSIDE, 0x100, [keepalive(0x200), *_transaction(0x200)], 1),
        (WalPosition(0x300), 0x100, _transaction(0x400), 0),  # what has no witness is believed
    ],
)
def test_when_it_is_proven(position: WalPosition, confirmed: int, messages: list[bytes], waits: int) -> None:
    decoder = _resumed(position, confirmed=confirmed)
    for message in messages[:waits]:
        assert feed(decoder, [message]) is None
        assert decoder.end == position.end
        assert not decoder.proven
    feed(decoder, messages[waits : waits + 1])
    assert decoder.proven


def test_every_checkpoint_is_shown_to_be_right() -> None:
    """The stream begins at the earliest; what stands before the first fault of another arrives."""
    later = _position([*_transaction(0x400), keepalive(0x500)])
    log = [*_transaction(0x200), *_transaction(0x300), *_transaction(0x400)]
    decoder = _resumed(COMMIT, later)
    batch = feed(decoder, [*log, *_transaction(0x500)])
    assert batch
    assert [change.transaction.position[-3:] for change in changes(batch.events)[::2]] == [
        "300",
        "400",
        "500",
    ]
    for fault in (_transaction(0x400, xid=43), [*_transaction(0x400), *_transaction(0x450)]):
        decoder = _resumed(COMMIT, later)
        with pytest.raises(Gap, match="stands at 0/500"):
            feed(decoder, [*_transaction(0x200), *_transaction(0x300), *fault])
        batch = decoder.cut()
        assert batch
        assert changes(batch.events)[0].transaction.position[-3:] == "300"
        assert decoder.proven  # what the first one rests on


def test_a_witness_before_an_earlier_position_that_has_none() -> None:
    """A person gave the earlier one, between the other and what was sent last before that."""
    decoder = _resumed(WalPosition(0x280), IDLE)
    batch = feed(decoder, [*_transaction(0x200), *_transaction(0x300)])
    assert batch
    assert {change.transaction.position[-3:] for change in changes(batch.events)} == {"300"}


def test_a_transaction_that_is_delivered_again_must_be_the_same() -> None:
    again_from = replace(WalPosition(INSIDE.end), witness=INSIDE.witness)
    batch = feed(_resumed(again_from), _transaction(0x200))
    assert batch
    assert [change.ordinal for change in changes(batch.events)] == [1, 2]
    for other in (_transaction(0x200, xid=43), _transaction(0x210), [keepalive(0x201)]):
        with pytest.raises(Gap, match="TR-PG-323"):
            feed(_resumed(again_from), other)


def test_a_new_position_goes_on_with_the_old_witness_until_something_comes() -> None:
    batch = feed(_resumed(COMMIT, confirmed=0x230), [keepalive(0x300)])
    assert batch
    assert batch.end == IDLE.document()
