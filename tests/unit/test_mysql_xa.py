"""XA transactions: prepared, read again, delivered where they are committed. Logs made by hand, in each of
the forms in which positions are told."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import IO, Literal, TypeAlias

import msgspec
import pytest

from connectors.mysql.assembly import waiting
from connectors.mysql.assembly.refusals import AS_STATEMENT, NOT_FOUND_AGAIN, OUT_OF_ORDER, PREPARED
from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Gtid, Message, Query, Rotate, XaPrepare
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.position import BinlogPosition, FilePlace, place_in
from tailrace.errors import Code, TailraceError
from tailrace.events import Batch, Change
from tests.unit.test_mysql_assembler import (
    ARTIFICIAL,
    SIZE,
    UUID,
    assembler,
    at,
    commit,
    feed,
    ids,
    rows,
    table,
)

Form: TypeAlias = Literal["mysql", "mariadb", "files"]
FORMS: tuple[Form, ...] = ("mysql", "mariadb", "files")
FILE = "binlog.000001"
BEGIN = 157


def xid(name: str) -> str:
    return f"X'{name.encode().hex()}',X'',1"


@dataclass
class Log:
    """Transactions of a server, from the begin of its only file on. In MariaDB of two domains in turn."""

    form: Form
    end: int = BEGIN
    transactions: list[tuple[str, int, list[Message]]] = field(default_factory=list)  # GTID, begin, messages

    def add(self, *messages: Message, standalone: bool = False) -> None:
        number = len(self.transactions) + 1
        gtid = {
            "mysql": f"{UUID}:{number}",
            "mariadb": f"{number % 2}-1-{number}",
            "files": "",
        }[self.form]
        begins = self.form == "mariadb" and not standalone
        first = Gtid(at(0), gtid or None, None, standalone=standalone, begins=begins)
        begin = self.end
        placed: list[Message] = []
        for message in (first, *messages):
            self.end += SIZE
            placed.append(msgspec.structs.replace(message, place=at(self.end)))
        self.transactions.append((gtid, begin, placed))

    def plain(self, *values: int) -> None:
        self.add(Query(at(0), "", "BEGIN", 7, 0), table(), *map(rows, values), commit())

    def prepare(self, name: str, *values: int, id: int = 1) -> None:
        start, end = (Query(at(0), "", f"XA {word} {xid(name)}", 7, 0) for word in ("START", "END"))
        tables = [table("t", 1), table("other", 2)]
        events = [rows(value, id=id) for value in values]
        self.add(start, *tables, *events, end, XaPrepare(at(0), xid(name).encode(), False))

    def statement(self, sql: str) -> None:
        self.add(Query(at(0), "", sql, 8, 0), standalone=True)

    def commit(self, name: str) -> None:
        self.statement(f"XA COMMIT {xid(name)}")

    def roll_back(self, name: str) -> None:
        self.statement(f"XA ROLLBACK {xid(name)}")

    @property
    def origin(self) -> BinlogPosition:
        if self.form == "files":
            return BinlogPosition(FilePlace(FILE, BEGIN))
        return BinlogPosition(GtidSet() if self.form == "mysql" else GtidPosition())

    def sent(self, position: BinlogPosition) -> list[list[Message]]:
        """What a server sends behind what it is asked for, transaction by transaction."""
        asked = position.asked
        if isinstance(asked, FilePlace):
            return [messages for _, begin, messages in self.transactions if begin >= asked.offset]
        return [messages for gtid, _, messages in self.transactions if gtid not in asked]

    def read(self, resume: BinlogPosition) -> list[Batch]:
        """What one connection hands out: a batch for each transaction that moves the position."""
        asked = resume.asked
        offset = asked.offset if isinstance(asked, FilePlace) else 4
        found = assembler(resume)
        batches = feed(found, Rotate(at(0, flags=ARTIFICIAL), FILE, offset))
        for messages in self.sent(resume):
            batches += feed(found, messages)
        return batches


def names(batches: Sequence[Batch]) -> list[tuple[str, str, int, int]]:
    return [
        (event.transaction.id, event.transaction.position, event.ordinal, event.raw[1][0])
        for batch in batches
        for event in batch.events
        if isinstance(event, Change)
    ]


@pytest.fixture(params=FORMS)
def log(request: pytest.FixtureRequest) -> Log:
    """Several at once, one without captured rows, one that is undone, and a name that is used twice."""
    log = Log(request.param)
    log.plain(1)
    log.prepare("a", 2, 3)
    log.prepare("b", 4)
    log.plain(5)
    log.prepare("empty", 99, id=2)
    log.commit("b")
    log.plain(6)
    log.prepare("c", 7)
    log.roll_back("c")
    log.statement("ALTER TABLE u ADD x int")
    log.commit("a")
    log.commit("empty")
    log.prepare("a", 8)
    log.statement("TRUNCATE TABLE u")
    log.commit("a")
    log.plain(9)
    return log


def test_rows_come_where_they_are_committed(log: Log) -> None:
    batches = log.read(log.origin)
    assert ids(batches) == [1, 5, 4, 6, 2, 3, 8, 9]
    of_a = [event for batch in batches for event in batch.events if isinstance(event, Change)][4:6]
    gtid, begin, _ = log.transactions[10]
    assert {one.transaction.id for one in of_a} == {gtid or f"{FILE}:{begin}"}
    assert [(one.ordinal, one.offset) for one in of_a] == [(1, begin + SIZE), (2, begin + SIZE)]
    assert of_a[0].transaction.source["thread"] == 8


def test_a_start_behind_each_transaction_and_each_change(log: Log) -> None:
    """Delivers exactly the rest, under the same names; positions only grow."""
    whole = log.read(log.origin)
    expected = names(whole)
    positions = [log.origin, *(BinlogPosition.from_document(batch.end) for batch in whole)]
    assert len(positions) == len(log.transactions) + 1
    numbers = [position.reached for position in positions]
    assert numbers == sorted(set(numbers))
    for count, position in enumerate(positions):
        again = log.read(position)
        assert names(again) == expected[len(names(whole[:count])) :], position
        assert [batch.end for batch in again if batch.commit][-1:] == [whole[-1].end][: len(again)]
    changes = [event for batch in whole for event in batch.events if isinstance(event, Change)]
    for count, change in enumerate(changes, 1):
        inside = BinlogPosition.from_document(place_in(change.transaction, change.ordinal).document())
        assert names(log.read(inside)) == expected[count:], inside


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(12))
def test_at_random(form: Form, seed: int) -> None:
    """As before, of whatever order of whatever many."""
    random, log, prepared, expected = Random(seed), Log(form), dict[str, list[int]](), list[int]()
    for number in range(40):
        values = [number] * random.randrange(1, 3)
        match random.choice(["plain", "prepare", "other", "commit", "roll back", "statement"]):
            case "plain":
                log.plain(*values)
                expected += values
            case "prepare" if (name := random.choice("abcd")) not in prepared:
                log.prepare(name, *values)
                prepared[name] = values
            case "other" if (name := random.choice("abcd")) not in prepared:
                log.prepare(name, *values, id=2)
                prepared[name] = []
            case "commit" if prepared:
                name = random.choice(list(prepared))
                log.commit(name)
                expected += prepared.pop(name)
            case "roll back" if prepared:
                name = random.choice(list(prepared))
                log.roll_back(name)
                del prepared[name]
            case _:
                log.statement("ALTER TABLE u ADD x int")
    whole = log.read(log.origin)
    assert ids(whole) == expected
    names_of = names(whole)
    for count, batch in enumerate(whole, 1):
        position = BinlogPosition.from_document(batch.end)
        assert names(log.read(position)) == names_of[len(names(whole[:count])) :], position


def test_small_ones_take_no_file_beside_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do transactions that are not prepared: a process may open a thousand or so."""
    monkeypatch.setattr(waiting, "_SPOOL_BYTES", 100)
    log = Log("mysql")
    log.prepare("large", *range(200))
    for number in range(200):
        log.prepare(f"small {number}", number)
    log.commit("small 7")
    log.commit("large")
    opened, temporary = list[str](), tempfile.TemporaryFile

    def open_one(prefix: str) -> IO[bytes]:
        opened.append(prefix)
        return temporary(prefix=prefix)

    monkeypatch.setattr(tempfile, "TemporaryFile", open_one)
    assert ids(log.read(log.origin)) == [7, *range(200)]
    assert len(opened) <= 1


def test_what_is_in_doubt_stands_in_the_position(log: Log) -> None:
    ends = [BinlogPosition.from_document(batch.end) for batch in log.read(log.origin)]
    found = [[bytes.fromhex(one.xid[2:].partition("'")[0]).decode() for one in end.in_doubt] for end in ends]
    assert found[:6] == [[], ["a"], ["a", "b"], ["a", "b"], ["a", "b", "empty"], ["a", "empty"]]
    assert found[-6:] == [["empty"], [], ["a"], ["a"], [], []]
    [of_a] = ends[1].in_doubt.with_rows
    gtid, begin, _ = log.transactions[1]
    assert (of_a.gtid, of_a.file, of_a.begin, of_a.since) == (gtid, FILE, begin, 1_700_000_000)
    assert [one.xid for one in ends[4].in_doubt.with_rows] == [xid("a"), xid("b")]


def test_what_was_read_is_passed_over_unread(log: Log) -> None:
    """Whatever it is: it is no reason to stop any more."""
    if log.form == "mysql":
        return  # nothing comes but what is in doubt
    at_end = BinlogPosition.from_document(log.read(log.origin)[4].end)
    messages = log.transactions[3][2]
    messages[-2] = Query(messages[-2].place, "", "UPDATE t SET id = 2", 7, 0)
    with pytest.raises(TailraceError) as raised:
        log.read(log.origin)
    assert raised.value.code is AS_STATEMENT
    assert ids(log.read(at_end)) == [4, 6, 2, 3, 8, 9]


@pytest.mark.parametrize("form", FORMS)
def test_one_that_was_prepared_before_the_begin_is_refused(form: Form) -> None:
    """Where it is committed; one that is rolled back does not matter. What stands before it is delivered."""
    log = Log(form)
    log.prepare("a", 1)
    log.prepare("b", 2)
    begin = BinlogPosition.from_document(log.read(log.origin)[-1].end)
    log.roll_back("a")
    log.commit("b")
    unaware = BinlogPosition(begin.executed)
    with pytest.raises(TailraceError) as raised:
        log.read(unaware)
    assert raised.value.code is PREPARED
    assert xid("b") in raised.value.found
    behind = BinlogPosition.from_document(log.read(begin)[-1].end)
    assert f"--at '{behind.executed}'" in raised.value.remedy


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_do_not_come_again_are_not_delivered_without(form: Form) -> None:
    log = Log(form)
    log.prepare("a", 1)
    log.plain(2)
    position = BinlogPosition.from_document(log.read(log.origin)[-1].end)
    log.commit("a")
    [prepared] = position.in_doubt
    elsewhere = {"mysql": f"{UUID}:9", "mariadb": "1-1-9", "files": ""}[form]
    other = msgspec.structs.replace(prepared, gtid=elsewhere, begin=prepared.begin + 1)
    misplaced = BinlogPosition(position.executed, in_doubt=position.in_doubt.found(other))
    with pytest.raises(TailraceError) as raised:
        log.read(misplaced)
    assert raised.value.code is NOT_FOUND_AGAIN


@pytest.mark.parametrize("form", FORMS)
def test_another_transaction_in_its_place_is_refused(form: Form) -> None:
    log = Log(form)
    log.prepare("a", 1)
    position = BinlogPosition.from_document(log.read(log.origin)[-1].end)
    other = Log(form)
    other.prepare("b", 1)
    with pytest.raises(TailraceError) as raised:
        other.read(position)
    assert raised.value.code is NOT_FOUND_AGAIN


@pytest.mark.parametrize("form", FORMS)
def test_one_that_is_prepared_twice_is_the_later_one(form: Form) -> None:
    """As where a session that does not log has ended the first."""
    log = Log(form)
    log.prepare("a", 1)
    log.prepare("a", 2)
    position = BinlogPosition.from_document(log.read(log.origin)[-1].end)
    log.commit("a")
    assert ids(log.read(log.origin)) == ids(log.read(position)) == [2]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([XaPrepare(at(0), xid("a").encode(), False)], OUT_OF_ORDER),
        ([Query(at(0), "", f"XA COMMIT {xid('a')}", 1, 0)], OUT_OF_ORDER),
        (
            [
                Gtid(at(0), f"{UUID}:1", None),
                Query(at(0), "", "BEGIN", 1, 0),
                Query(at(0), "", f"XA ROLLBACK {xid('a')}", 1, 0),
            ],
            OUT_OF_ORDER,
        ),
    ],
)
def test_a_log_out_of_order_is_refused(messages: list[Message], code: Code) -> None:
    with pytest.raises(TailraceError) as raised:
        feed(assembler(BinlogPosition(GtidSet())), messages)
    assert raised.value.code is code


def test_on_another_server_the_place_is_that_of_its_log() -> None:
    """By which the server's retention is judged: the name stays."""
    log = Log("mysql")
    log.plain(1)
    log.prepare("a", 2)
    position = BinlogPosition.from_document(log.read(log.origin)[-1].end)
    [before] = position.in_doubt
    moved = msgspec.structs.replace(before, file="other.000009", begin=4)
    elsewhere = BinlogPosition(position.executed, in_doubt=position.in_doubt.found(moved))
    log.plain(3)
    [batch] = log.read(elsewhere)
    assert [*BinlogPosition.from_document(batch.end).in_doubt] == [before]
    assert isinstance(before, Prepared)
