"""XA transactions that are in doubt: in positions, and from where on a server is asked for its log then."""

from __future__ import annotations

from random import Random
from time import process_time
from typing import Any

import msgspec
import pytest

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.catalogue import LogFile
from connectors.mysql.channel import PURGED
from connectors.mysql.continuity import check_executed, check_file
from connectors.mysql.in_doubt import NONE, InDoubt, Prepared
from connectors.mysql.position import BinlogPosition, Executed, FilePlace
from connectors.mysql.retention import waiting
from tailrace.abc import Retention
from tailrace.errors import Gap

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
A, B, EMPTY = "X'61',X'',1", "X'62',X'00ff',5", "X'65',X'',1"
SINCE = 1_795_818_260


def in_doubt(*prepared: Prepared) -> InDoubt:
    return InDoubt({one.xid: one for one in prepared})


POSITIONS: dict[str, tuple[BinlogPosition, dict[str, Any], Executed]] = {
    "mysql": (
        BinlogPosition(
            GtidSet.parse(f"{UUID}:1-30"),
            in_doubt=in_doubt(
                Prepared(A, f"{UUID}:24", "", "binlog.000003", 500, SINCE),
                Prepared(EMPTY),
                Prepared(B, f"{UUID}:27", "", "binlog.000004", 157, SINCE),
            ),
        ),
        {
            "gtids": f"{UUID}:1-30",
            "in_doubt": f"{A} {UUID}:24 at binlog.000003:500 since {SINCE}; {EMPTY}; "
            f"{B} {UUID}:27 at binlog.000004:157 since {SINCE}",
        },
        GtidSet.parse(f"{UUID}:1-23:25-26:28-30"),
    ),
    "mariadb": (
        BinlogPosition(
            GtidPosition.parse("0-1-30,1-1-9,2-1-4"),
            in_doubt=in_doubt(
                Prepared(A, "0-2-24", "0-1-23", "binlog.000003", 500, SINCE),
                Prepared(B, "2-1-1", "", "binlog.000003", 900, SINCE),
                Prepared(EMPTY, "0-1-28", "0-1-27", "binlog.000004", 157, SINCE),
            ),
        ),
        {
            "domains": "0-1-30,1-1-9,2-1-4",
            "in_doubt": f"{A} 0-2-24 after 0-1-23 at binlog.000003:500 since {SINCE}; "
            f"{B} 2-1-1 at binlog.000003:900 since {SINCE}; "
            f"{EMPTY} 0-1-28 after 0-1-27 at binlog.000004:157 since {SINCE}",
        },
        GtidPosition.parse("0-1-23,1-1-9"),
    ),
    "files": (
        BinlogPosition(
            FilePlace("binlog.000005", 700),
            in_doubt=in_doubt(
                Prepared(A, "", "", "binlog.000003", 500, SINCE),
                Prepared(B, "", "", "binlog.000004", 157, SINCE),
            ),
        ),
        {
            "file": "binlog.000005",
            "pos": 700,
            "in_doubt": f"{A} at binlog.000003:500 since {SINCE}; {B} at binlog.000004:157 since {SINCE}",
        },
        FilePlace("binlog.000003", 500),
    ),
}


@pytest.mark.parametrize(("position", "document", "asked"), POSITIONS.values(), ids=POSITIONS)
def test_documents_and_what_is_asked_for(
    position: BinlogPosition, document: dict[str, Any], asked: Executed
) -> None:
    """What was executed stays the measure of how far a stream has come."""
    assert position.document() == document
    found = BinlogPosition.from_document(msgspec.json.decode(msgspec.json.encode(document)))
    assert found == position
    assert found.asked == asked
    bare = BinlogPosition(position.executed)
    assert (found.reached, bare.asked) == (bare.reached, bare.executed)


@pytest.mark.parametrize("document", [{"gtids": f"{UUID}:1-7"}, {"domains": "0-1-7"}])
def test_documents_from_before_there_were_any(document: dict[str, Any]) -> None:
    found = BinlogPosition.from_document(document)
    assert found.in_doubt == NONE
    assert found.document() == document


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "X'6',X'',1 somewhere",
        f"{A}; {A}",
        f"{A},{B}",
        f"{A} at binlog.000003:500",
        f"{A} 0-1-3 at binlog.000003:500 since {SINCE}",  # of MariaDB
        f"{A} at binlog.000003:500 since {SINCE}",  # without GTIDs
    ],
)
def test_other_documents_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        BinlogPosition.from_document({"gtids": f"{UUID}:1-7", "in_doubt": text})


def test_one_that_is_prepared_again_stands_behind_the_others() -> None:
    a, b = Prepared(A, f"{UUID}:1", "", "binlog.000001", 4, 1), Prepared(B)
    both = NONE.add(a).add(b)
    assert [one.xid for one in both.add(a)] == [B, A]
    assert [one.xid for one in both.found(msgspec.structs.replace(a, begin=9))] == [A, B]
    assert both.without(A).without(A) == in_doubt(b)
    assert both.without(B).with_rows == (a,)


def test_what_was_captured_is_kept_with_one_without_rows() -> None:
    """Else a run that captures more could not tell that it may have some."""
    without = in_doubt(Prepared(A, captured="0a1b2c3d"), Prepared(B))
    text = f"{A} of 0a1b2c3d; {B}"
    assert (str(without), InDoubt.parse(text)) == (text, without)
    looked_up = [Prepared(name, f"{UUID}:1", "", "binlog.000001", 4, 1) for name in (A, B)]
    assert [one.has_rows for one in without.joined(looked_up, "0a1b2c3d")] == [False, True]
    assert [one.has_rows for one in without.joined(looked_up, "ffffffff")] == [True, True]


def test_each_position_keeps_its_own() -> None:
    """Whatever comes behind it, in whichever order they are looked into."""
    for seed in range(15):
        random, now, model = Random(seed), NONE, dict[str, Prepared]()
        seen: list[tuple[InDoubt, list[Prepared]]] = []
        for number in range(random.choice((30, 3000))):
            xid, one = random.choice("abcdefgh"), random.choice(("add", "without", "found"))
            prepared = Prepared(xid, file=f"binlog.{number}") if number % 3 else Prepared(xid)
            if one == "add":
                now = now.add(prepared)
                model = {name: other for name, other in model.items() if name != xid} | {xid: prepared}
            elif one == "without":
                now = now.without(xid)
                model.pop(xid, None)
            elif xid in model:
                now, model[xid] = now.found(prepared), prepared
            assert now.get(xid) == model.get(xid)
            if random.random() < 0.1:
                seen.append((now, [*model.values()]))
        assert not NONE
        random.shuffle(seen)
        for found, expected in seen:
            assert [*found] == expected
            assert [*found.with_rows] == [one for one in expected if one.has_rows]
            further = found.add(Prepared("i")).without("a")
            assert [*further] == [one for one in expected if one.xid != "a"] + [Prepared("i")]
            assert [*found] == expected


def test_one_costs_the_same_whatever_their_number() -> None:
    """A copy for each would take minutes; time of the processor, so that others do not count."""
    many = [
        Prepared(f"X'{number:08x}',X'',1", file="binlog.000001", begin=number) for number in range(40_000)
    ]
    began, now, kept = process_time(), NONE, NONE
    for one in many:
        now = now.add(one)
        assert now.get(one.xid) is one
        if one is many[100]:
            kept = now
    for one in many:
        now = now.without(one.xid)
    assert process_time() - began < 10.0
    assert (now, [*kept]) == (NONE, many[:101])


class TestALogThatIsGone:
    """The rows in doubt must be there, beside what is behind the position."""

    def test_by_gtids(self) -> None:
        position, _, _ = POSITIONS["mysql"]
        now = executed = position.executed
        assert isinstance(now, GtidSet)
        assert isinstance(executed, GtidSet)
        check_executed(position, executed, now, GtidSet.parse(f"{UUID}:1-23"), "here")
        with pytest.raises(Gap) as raised:
            check_executed(position, executed, now, GtidSet.parse(f"{UUID}:1-25"), "here")
        assert raised.value.code is PURGED
        assert f"{UUID}:24" in raised.value.found
        assert A in raised.value.found
        assert f"--at '{UUID}:1-30'" in raised.value.remedy

    def test_by_files(self) -> None:
        position, _, _ = POSITIONS["files"]
        place = position.executed
        assert isinstance(place, FilePlace)
        files = [LogFile(f"binlog.{number:06}", 1000) for number in (3, 4, 5)]
        check_file(position, place, files, "here")
        with pytest.raises(Gap) as raised:
            check_file(position, place, files[1:], "here")
        assert "binlog.000003" in raised.value.found


def test_one_that_is_old_is_told() -> None:
    """With what ends it; a warning at least."""
    position, _, _ = POSITIONS["mysql"]
    ok = Retention("binary log", 5, None, "ok", "all is well")
    assert waiting(ok, position.in_doubt, SINCE + 599.0) is ok
    assert waiting(ok, NONE, SINCE + 9999.0) is ok
    old = waiting(ok, position.in_doubt, SINCE + 7200.0)
    assert (old.level, old.kept) == ("warning", 5)
    assert f"{A} has been prepared for 2.0 h" in old.found
    assert f"XA ROLLBACK {A}" in old.remedy
    error = Retention("binary log", 5, None, "error", "it is late", "Hurry.")
    both = waiting(error, position.in_doubt, SINCE + 7200.0)
    assert (both.level, both.remedy.endswith(" Hurry.")) == ("error", True)
