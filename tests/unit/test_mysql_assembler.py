"""Transactions out of messages: their order, and that a log which is not as it was is refused."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connectors.mysql import codes
from connectors.mysql.assembly.assembler import Assembler
from connectors.mysql.assembly.refusals import CUT_OFF, INCIDENT, NO_ROOM, NOT_FOUND_AGAIN, OUT_OF_ORDER
from connectors.mysql.assembly.tables import Tables
from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import (
    Format,
    Gtid,
    Heartbeat,
    Incident,
    MappedColumn,
    Message,
    PayloadEnd,
    Place,
    Query,
    Rotate,
    Rows,
    TableMap,
    Xid,
)
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.position import BinlogPosition, FilePlace
from connectors.mysql.source import origin
from tailrace.errors import Code, Retry, TailraceError
from tailrace.events import Batch, Change, SchemaChange
from tailrace.patterns import Pattern, TableFilter

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
SIZE = 40  # of each event
ARTIFICIAL = 0x20


def at(end: int, *, flags: int = 0) -> Place:
    return Place(end, 1_700_000_000, 1, flags)


def begin(number: int, end: int = 0) -> list[Message]:
    place = at(end)
    return [Gtid(place, f"{UUID}:{number}", 1_700_000_000_000_000), Query(place, "", "BEGIN", 7, 0)]


def table(name: str = "t", id: int = 1) -> TableMap:
    column = MappedColumn(codes.LONG, 0, False, False, None, "id", None)
    return TableMap(at(0), id, "shop", name, (column,), (0,), name.encode())


def rows(*values: int, id: int = 1, end: int = 0) -> Rows:
    data = b"".join(b"\x00" + value.to_bytes(4, "little") for value in values)
    return Rows(at(end), "c", id, None, b"\x01", 1, data, False, True)


def commit(end: int = 0) -> Xid:
    return Xid(at(end), 1)


def assembler(resume: BinlogPosition) -> Assembler:
    tables = Tables(origin("mysql", "p"), TableFilter([Pattern.parse("shop.t")], []), TypeOptions())
    return Assembler(lambda event: (), tables, resume, "server")


def feed(found: Assembler, *messages: Message | list[Message]) -> list[Batch]:
    """Each message is an event of its own."""
    flat: list[Message] = []
    for one in messages:
        flat += one if isinstance(one, list) else [one]
    waiting = iter(flat)
    found._decode = lambda event: (next(waiting),)
    batches = list(found.feed([bytes(SIZE)] * len(flat)))
    rest = found.cut()
    return batches if rest is None else [*batches, rest]


def ids(batches: Sequence[Batch]) -> list[int]:
    return [event.raw[1][0] for batch in batches for event in batch.events if isinstance(event, Change)]


def executed(text: str = "") -> BinlogPosition:
    return BinlogPosition(GtidSet.parse(text))


def test_rows_arrive_with_the_commit() -> None:
    found = assembler(executed(f"{UUID}:1-4"))
    place = Rotate(at(0, flags=ARTIFICIAL), "binlog.000001", 4)
    assert feed(found, place, begin(5), table(), rows(1, 2)) == []
    inside = [found.in_transaction]
    [batch] = feed(found, commit(900))
    assert [*inside, found.in_transaction] == [True, False]
    assert ids([batch]) == [1, 2]
    schema, first, second = batch.events
    assert isinstance(schema, SchemaChange)
    assert isinstance(first, Change)
    assert (first.position, second.transaction.id) == ("00000000000000000004:1:0", f"{UUID}:5")
    assert batch.commit
    assert batch.end["gtids"] == f"{UUID}:1-5"


def test_ordinals_count_the_rows_of_all_tables() -> None:
    found = assembler(executed())
    [batch] = feed(
        found, begin(1), table("other", 2), rows(8, id=2), table(), rows(1), rows(9, id=2), rows(2), commit()
    )
    assert [event.ordinal for event in batch.events if isinstance(event, Change)] == [2, 4]


def test_what_was_delivered_of_a_transaction_is_dropped() -> None:
    resume = BinlogPosition(GtidSet.parse(f"{UUID}:1-4"), f"{UUID}:5", 2)
    [batch] = feed(assembler(resume), begin(5), table(), rows(1), rows(2), rows(3), commit())
    assert ids([batch]) == [3]


@pytest.mark.parametrize(
    "messages",
    [
        [*begin(6), table(), rows(1), commit()],
        [*begin(5), table(), rows(1), commit()],
    ],
    ids=["another transaction", "a shorter one"],
)
def test_a_transaction_that_is_not_found_again_is_refused(messages: list[Message]) -> None:
    resume = BinlogPosition(GtidSet.parse(f"{UUID}:1-4"), f"{UUID}:5", 2)
    with pytest.raises(TailraceError) as raised:
        feed(assembler(resume), messages)
    assert raised.value.code is NOT_FOUND_AGAIN


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([commit()], OUT_OF_ORDER),
        ([table(), rows(1)], OUT_OF_ORDER),
        ([*begin(1), *begin(2)], OUT_OF_ORDER),
        ([Gtid(at(0), f"{UUID}:1", None), Gtid(at(0), f"{UUID}:2", None)], OUT_OF_ORDER),
        ([*begin(1), commit(), *begin(1)], OUT_OF_ORDER),
        ([*begin(1), Rotate(at(0), "binlog.000002", 4)], OUT_OF_ORDER),
        ([*begin(1), Query(at(0), "", "ROLLBACK TO `s`", 1, 0)], OUT_OF_ORDER),
        ([Query(at(0), "", "ALTER TABLE t ADD x int", 1, 0)], OUT_OF_ORDER),
        ([Gtid(at(0), None, None)], OUT_OF_ORDER),
        ([*begin(1), Rotate(at(0, flags=ARTIFICIAL), "binlog.000001", 4)], OUT_OF_ORDER),
        ([Incident(at(0), 1, "LOST_EVENTS")], INCIDENT),
    ],
)
def test_a_log_out_of_order_is_refused(messages: list[Message], code: Code) -> None:
    found = assembler(executed())
    before = [*begin(9), table(), rows(1), commit()]
    assert ids(feed(found, before)) == [1]
    with pytest.raises(TailraceError) as raised:
        feed(found, messages)
    assert raised.value.code is code


def test_an_error_names_the_place_of_its_event() -> None:
    """Where a header tells it; in a transaction of MariaDB the last place that is known."""
    rotate = Rotate(at(0, flags=ARTIFICIAL), "binlog.000001", 157)
    for end, place in ((400, 400 - SIZE), (0, 237)):
        with pytest.raises(TailraceError) as raised:
            feed(assembler(executed()), rotate, begin(1, 237), rows(1, end=end))
        assert raised.value.where == f"binary log binlog.000001:{place}"


def test_a_number_of_mariadb_that_goes_back_is_refused() -> None:
    found = assembler(BinlogPosition(GtidPosition.parse("0-1-7,1-1-3")))
    [batch] = feed(
        found, Gtid(at(0), "1-2-4", None, begins=True), table(), rows(1), commit(),
        Gtid(at(0), "0-1-9", None, standalone=True), Query(at(0), "", "DROP TABLE x", 1, 0),
    )  # fmt: skip
    assert batch.end["domains"] == "0-1-9,1-2-4"
    with pytest.raises(TailraceError) as raised:
        feed(found, Gtid(at(0), "0-2-8", None, begins=True))
    assert raised.value.code is OUT_OF_ORDER


def test_a_transaction_of_mariadb_that_is_cut_off_is_asked_for_anew() -> None:
    """As a crash leaves it: what stands before it is handed out, and nothing of it."""
    found = assembler(BinlogPosition(GtidPosition.parse("0-1-7")))
    before: list[Message] = [Gtid(at(0), "0-1-8", None, begins=True), table(), rows(1), commit()]
    with pytest.raises(Retry) as raised:
        feed(
            found, *before, Gtid(at(0), "0-1-9", None, begins=True), table(), rows(2),
            Rotate(at(0, flags=ARTIFICIAL), "binlog.000002", 4),
        )  # fmt: skip
    assert raised.value.code is CUT_OFF
    batch = found.cut()
    assert batch is not None
    assert (ids([batch]), batch.end["domains"], batch.commit) == ([1], "0-1-8", True)


def test_savepoints_that_one_server_takes_for_the_same_and_another_does_not() -> None:
    def undone(*names: str) -> list[Message]:
        found = [*begin(1), table(), rows(1)]
        for number, name in enumerate(names, 2):
            found += [Query(at(0), "", f"SAVEPOINT `{name}`", 1, 0), rows(number)]
        return [*found, Query(at(0), "", f"ROLLBACK TO `{names[0]}`", 1, 0), commit()]

    assert ids(feed(assembler(executed()), undone("é"))) == [1]
    assert ids(feed(assembler(executed()), undone("a", "b"))) == [1]
    for names in (("é", "e"), ("e", "é")):
        with pytest.raises(TailraceError) as raised:
            feed(assembler(executed()), undone(*names))
        assert raised.value.code is OUT_OF_ORDER


def test_a_savepoint_that_was_rolled_back_over_is_none() -> None:
    words = ("SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO b")
    first, second, third, fourth = (Query(at(0), "", word, 1, 0) for word in words)
    found = [*begin(1), table(), first, rows(1), second, rows(2), third]
    assert ids(feed(assembler(executed()), found, rows(3), commit())) == [3]
    again = [*found, rows(3), second, rows(4), fourth]
    assert ids(feed(assembler(executed()), again, commit())) == [3]
    with pytest.raises(TailraceError, match="no such savepoint") as raised:
        feed(assembler(executed()), found, fourth)
    assert raised.value.code is OUT_OF_ORDER


def test_a_table_map_does_not_outlive_its_transaction() -> None:
    found = assembler(executed())
    feed(found, begin(1), table(), rows(1), commit())
    with pytest.raises(TailraceError) as raised:
        feed(found, begin(2), rows(1))
    assert raised.value.code is OUT_OF_ORDER


def test_what_stands_before_a_row_event_that_cannot_be_read_is_handed_out() -> None:
    """In its transaction too."""
    found = assembler(executed())
    broken = Rows(at(0), "c", 1, None, b"\x01", 1, b"\x00\x01", False, True)
    with pytest.raises(TailraceError):
        feed(found, begin(1), table(), rows(1), commit(), begin(2), table(), rows(2), broken, commit())
    batch = found.cut()
    assert batch is not None
    assert ids([batch]) == [1, 2]
    assert (batch.commit, batch.end["transaction"], batch.end["ordinal"]) == (False, f"{UUID}:2", 1)


def test_a_large_transaction_without_room_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed before it is handed out."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    found = assembler(executed())
    half = Rows(at(0), "c", 1, None, b"\x01", 1, bytes(5) * 2_000_000, False, True)
    with pytest.raises(TailraceError) as raised:
        feed(found, begin(1), table(), rows(1), commit(), begin(2), table(), half, half, commit())
    assert raised.value.code is NO_ROOM
    batch = found.cut()
    assert batch is not None
    assert (ids([batch]), batch.end["gtids"]) == ([1], f"{UUID}:1")


def test_a_compressed_transaction_without_room_stops() -> None:
    found = assembler(executed())

    def full(event: bytes) -> Iterator[Message]:
        yield from ()
        raise OSError(errno.ENOSPC, "No space left on device")

    found._decode = full
    with pytest.raises(TailraceError, match="No space left") as raised:
        list(found.feed([bytes(SIZE)]))
    assert raised.value.code is NO_ROOM


class TestWithoutGtids:
    """Positions are files and offsets."""

    START = BinlogPosition(FilePlace("binlog.000001", 157))
    ROTATE = Rotate(Place(0, 0, 1, ARTIFICIAL), "binlog.000001", 157)

    def transaction(self, begin: int, *values: int) -> list[Message]:
        return [
            Gtid(at(begin + SIZE), None, None),
            Query(at(begin + 2 * SIZE), "", "BEGIN", 7, 0),
            table(),
            *(rows(value, end=begin + 4 * SIZE) for value in values),
            commit(begin + 5 * SIZE),
        ]

    def test_a_commit_ends_behind_its_event(self) -> None:
        [batch] = feed(assembler(self.START), self.ROTATE, Format(at(0), "9", True), self.transaction(157, 1))
        assert batch.end["pos"] == 157 + 5 * SIZE
        assert batch.events[-1].transaction.position == "00000001000000000157"

    def test_a_compressed_transaction_ends_behind_the_event_that_holds_it(self) -> None:
        found = assembler(self.START)
        inner: list[Message] = [Query(at(0), "", "BEGIN", 7, 0), table(), rows(1), commit()]
        assert feed(found, self.ROTATE, Gtid(at(197), None, None), inner) == []
        [batch] = feed(found, PayloadEnd(at(700)))
        assert batch.end["pos"] == 700
        assert ids([batch]) == [1]

    def test_idle_positions_come_of_what_holds_no_transaction(self) -> None:
        found = assembler(self.START)
        [batch] = feed(found, self.ROTATE, Heartbeat(at(500), "binlog.000001", 500))
        assert (batch.events, batch.end["pos"], batch.commit) == ([], 500, True)
        [batch] = feed(found, Rotate(at(540), "binlog.000002", 4), Format(at(126), "9", True))
        assert (batch.end["file"], batch.end["pos"]) == ("binlog.000002", 126)

    def test_a_transaction_that_begins_elsewhere_is_not_the_one(self) -> None:
        resume = BinlogPosition(FilePlace("binlog.000001", 157), "", 1)
        [batch] = feed(assembler(resume), self.ROTATE, self.transaction(157, 1, 2))
        assert ids([batch]) == [2]
        with pytest.raises(TailraceError) as raised:
            feed(assembler(resume), self.ROTATE, self.transaction(300, 1, 2))
        assert raised.value.code is NOT_FOUND_AGAIN
