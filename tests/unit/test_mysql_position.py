"""Positions in a binary log: their order, their document, what they cover."""

from __future__ import annotations

from itertools import combinations

import msgspec
import pytest

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.continuity import check_executed
from connectors.mysql.in_doubt import NONE
from connectors.mysql.position import BinlogPosition, FilePlace, Proof, SourceBlock, after, before
from tailrace.errors import Gap
from tailrace.events import Batch, Change, Origin, SchemaChange, Table, Transaction

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
OTHER = "00000000-71ca-11e1-9e33-c80aa9429562"
PROOF = Proof("binlog.000003", 700, "server-1", 500, f"{UUID}:7")
TABLE = Table(Origin("mysql", "p", None, ()), "shop", "t", (), (), lambda raw: raw)


def gtids(text: str) -> GtidSet:
    return GtidSet.parse(text)


IN_ORDER = {
    "mysql": [
        BinlogPosition(gtids("")),
        BinlogPosition(gtids(f"{UUID}:1-7"), proof=PROOF),
        BinlogPosition(gtids(f"{UUID}:1-7"), f"{UUID}:9", 1, PROOF),
        BinlogPosition(gtids(f"{UUID}:1-7"), f"{UUID}:9", 12),
        BinlogPosition(gtids(f"{UUID}:1-7:9")),
        BinlogPosition(gtids(f"{UUID}:1-9")),
    ],
    "mariadb": [
        BinlogPosition(GtidPosition()),
        BinlogPosition(GtidPosition.parse("0-1-7")),
        BinlogPosition(GtidPosition.parse("0-1-7"), "1-2-1", 3, Proof("log-bin.9", 4, "1")),
        BinlogPosition(GtidPosition.parse("0-1-7,1-2-1")),
        BinlogPosition(GtidPosition.parse("0-3-9,1-2-1")),
    ],
    "files": [
        BinlogPosition(FilePlace("binlog.000099", 10_000_000_000)),
        BinlogPosition(FilePlace("binlog.000100", 4)),
        BinlogPosition(
            FilePlace("binlog.000100", 157), proof=Proof("binlog.000100", 157, "s", begun=1_790_000_000)
        ),
        BinlogPosition(FilePlace("binlog.000100", 157), "", 2),
        BinlogPosition(FilePlace("binlog.000100", 500)),
        BinlogPosition(FilePlace("binlog.1000000", 4)),
    ],
}


@pytest.mark.parametrize("positions", IN_ORDER.values(), ids=IN_ORDER)
def test_positions_of_a_stream_are_totally_ordered(positions: list[BinlogPosition]) -> None:
    for earlier, later in combinations(positions, 2):
        assert earlier.reached < later.reached


@pytest.mark.parametrize("position", [one for all in IN_ORDER.values() for one in all], ids=str)
def test_documents_are_read_back(position: BinlogPosition) -> None:
    document = msgspec.json.decode(msgspec.json.encode(position.document()))
    found = BinlogPosition.from_document(document)
    assert found == position
    assert found.proof == position.proof
    assert found.document() == document


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"lsn": "0/1"},
        {"gtids": 7},
        {"gtids": "nonsense"},
        {"gtids": "", "domains": ""},
        {"gtids": f"{UUID}:1", "ordinal": 2},  # inside of which transaction?
        {"gtids": f"{UUID}:1", "transaction": f"{UUID}:2"},
        {"gtids": f"{UUID}:1", "transaction": f"{UUID}:2", "ordinal": -1},
        {"file": "binlog", "pos": 4},
        {"file": "binlog.000001", "pos": "4"},
        {"file": "binlog.000001", "pos": 4, "transaction": f"{UUID}:2", "ordinal": 1},
        {"domains": "0-1"},
        {"gtids": "", "proof": "somewhere"},
        {"gtids": "", "proof": "binlog.000001:4-9 of x"},
    ],
)
def test_other_documents_are_refused(document: dict[str, int | str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        BinlogPosition.from_document(document)


@pytest.mark.parametrize(
    ("text", "flavor", "document"),
    [
        (f" {UUID.upper()}:1-7 ", "mysql", {"gtids": f"{UUID}:1-7"}),
        ("binlog.000003:1234", "mysql", {"file": "binlog.000003", "pos": 1234}),
        ("0-1-7,1-1-3", "mariadb", {"domains": "0-1-7,1-1-3"}),
    ],
)
def test_positions_as_people_write_them(text: str, flavor: Flavor, document: dict[str, int | str]) -> None:
    assert BinlogPosition.parse(text, flavor).document() == document


@pytest.mark.parametrize("text", ["", " ", "0/16B3748", "binlog.000003", "binlog:4", f"{UUID}", "-1"])
@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_other_texts_are_refused(text: str, flavor: Flavor) -> None:
    with pytest.raises(ValueError, match=r"looks like|is a GTID set"):
        BinlogPosition.parse(text, flavor)


def transaction(number: int) -> Transaction:
    block = SourceBlock()
    done = f"{UUID}:1-{number}" if number else ""
    block.executed, block.proof, block.in_doubt = gtids(done), PROOF, NONE
    return Transaction(f"{UUID}:{number + 1}", f"{number:020d}", 1_000_000 * number, block)


def batch() -> Batch:
    """Three transactions of two row events, each of two rows."""
    events: list[Change | SchemaChange] = []
    for number in (4, 5, 6):
        of = transaction(number)
        if number == 4:
            events.append(SchemaChange(TABLE, of, 1))
        for ordinal in (1, 2):
            events += [Change("c", TABLE, of, ordinal, index, 0, ()) for index in (0, 3)]
    end = BinlogPosition(gtids(f"{UUID}:1-7")).document()
    return Batch(events, end, commit=True, size=1300, timestamp=6_000_000)


def names(found: Batch) -> list[tuple[int, int, int]]:
    return [
        (int(event.transaction.position), event.ordinal, event.index)
        for event in found.events
        if isinstance(event, Change)
    ]


@pytest.mark.parametrize(
    ("position", "left"),
    [
        (BinlogPosition(gtids(f"{UUID}:1-3")), 12),
        (BinlogPosition(gtids(f"{UUID}:1-4")), 12),
        (BinlogPosition(gtids(f"{UUID}:1-4"), f"{UUID}:5", 1), 10),
        (BinlogPosition(gtids(f"{UUID}:1-5")), 8),
        (BinlogPosition(gtids(f"{UUID}:1-6"), f"{UUID}:7", 2), 0),
        (BinlogPosition(gtids(f"{UUID}:1-7")), 0),
        (BinlogPosition(gtids(f"{UUID}:1-9")), 0),
    ],
    ids=str,
)
def test_what_a_position_does_not_cover(position: BinlogPosition, left: int) -> None:
    whole = batch()
    rest = after(whole, position)
    assert names(rest) == names(whole)[12 - left :]
    assert isinstance(rest.events[0], SchemaChange)
    ends = [position, BinlogPosition.from_document(whole.end)]
    assert rest.end == max(ends, key=lambda one: one.reached).document()
    assert rest.size <= whole.size


def test_what_stands_before_a_change() -> None:
    whole = batch()
    changes = [event for event in whole.events if isinstance(event, Change)]
    assert before(whole, changes[0]) is None
    assert before(whole, changes[1]) is None  # of the same row event
    inside = before(whole, changes[3])
    assert inside is not None
    assert names(inside) == names(whole)[:2]
    assert (inside.commit, inside.end) == (
        False,
        BinlogPosition(gtids(f"{UUID}:1-4"), f"{UUID}:5", 1, PROOF).document(),
    )
    between = before(whole, changes[4])
    assert between is not None
    assert names(between) == names(whole)[:4]
    assert (between.commit, between.end) == (
        True,
        BinlogPosition(gtids(f"{UUID}:1-5"), proof=PROOF).document(),
    )


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (f"{UUID}:14", f"{UUID}:1-14"),
        (f"{UUID}:tag:14", f"{UUID}:tag:1-14"),
        (f"00000000-71ca-11e1-9e33-c80aa9429562:1-7,\n{UUID.upper()} :2", None),
        (f"00000000-71ca-11e1-9e33-c80aa9429562:1-7,\n{UUID.upper()}:2", f"{UUID.upper()}:1-2"),
    ],
)
def test_the_name_of_a_transaction_is_not_taken_for_all_up_to_it(text: str, whole: str | None) -> None:
    """As a set it lacks those before it, and they would be delivered again."""
    with pytest.raises(ValueError, match="is this transaction alone") as refused:
        BinlogPosition.parse(text, "mysql")
    if whole:
        assert f"all up to it are {whole} (" in str(refused.value)


@pytest.mark.parametrize(
    "text", [f"{UUID}:14-14", f"{UUID}:1", f"{UUID}:1-7:9", f"{UUID}:9:11", f"{UUID}:3-9"]
)
def test_sets_that_servers_have(text: str) -> None:
    assert BinlogPosition.parse(text, "mysql").executed == gtids(text)


@pytest.mark.parametrize("text", [f"{UUID}:14", f"{UUID}:1-7:9", f"{OTHER}:1-7,{UUID}:tag:14", f"{OTHER}:1"])
def test_a_remedy_names_a_position_that_is_taken(text: str) -> None:
    """Of a log that is gone up to a set in which one transaction of a server stands alone."""
    with pytest.raises(Gap) as raised:
        check_executed(BinlogPosition(gtids("")), gtids(""), gtids(text), gtids(text), "here")
    named = raised.value.remedy.partition("--at '")[2].partition("'")[0]
    assert BinlogPosition.parse(named, "mysql").executed == gtids(text)


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_the_place_of_an_event_is_told_from_a_position(flavor: Flavor) -> None:
    """Every record that shows its place shows this one."""
    with pytest.raises(ValueError, match=r"is the place of an event; .* source block"):
        BinlogPosition.parse("00000000000000000010:1:0", flavor)
