"""Several sinks at different places, and a log that has its transactions in another order than the one from
which they were delivered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.continuity import OTHER_ORDER, check_order
from connectors.mysql.position import BinlogPosition, Executed, FilePlace, SourceBlock, number
from connectors.mysql.source import MySqlSource
from tailrace.abc import SourceContext
from tailrace.errors import Stop
from tailrace.events import Batch, Change, Origin, Table, Transaction

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
TABLE = Table(Origin("mysql", "p", None, ()), "shop", "t", (), (), lambda raw: raw)


def log(begin: Executed, gtids: Sequence[str], captured: Sequence[str] | None = None) -> Batch:
    """What a log has behind `begin`, a row for each transaction that is captured."""
    events: list[Change] = []
    executed = begin
    for gtid in gtids:
        block = SourceBlock()
        block.executed, block.proof = executed, None
        of = Transaction(gtid, f"{number(executed):020d}", 0, block)
        if captured is None or gtid in captured:
            events.append(Change("c", TABLE, of, 1, 0, 0, (None, None)))
        assert not isinstance(executed, FilePlace)
        executed = executed.add(gtid)
    return Batch(events, BinlogPosition(executed).document(), commit=True, size=1, timestamp=None)


BEGIN = GtidSet.parse(f"{A}:1-4")
THERE = BinlogPosition(GtidSet.parse(f"{A}:1-5,{B}:1"))


@pytest.mark.parametrize(
    ("gtids", "captured"),
    [
        ([f"{A}:5", f"{B}:1", f"{A}:6"], None),
        ([f"{B}:1", f"{A}:5"], None),
        ([f"{A}:5"], None),
        ([f"{A}:5", f"{B}:1", f"{A}:6", f"{A}:7"], [f"{A}:7"]),
        ([f"{A}:5", f"{B}:1", f"{A}:6"], []),
    ],
)
def test_the_same_transactions_stand_before_it(gtids: list[str], captured: list[str] | None) -> None:
    check_order(log(BEGIN, gtids, captured), THERE, "here")


@pytest.mark.parametrize(
    ("gtids", "captured"),
    [
        ([f"{A}:5", f"{A}:6", f"{B}:1"], None),  # by count, the second were delivered and the third not
        ([f"{A}:5", f"{A}:6"], None),
        ([f"{A}:5", f"{A}:6", f"{B}:1"], [f"{B}:1"]),
        ([f"{A}:5", f"{A}:6", f"{B}:1"], [f"{A}:6"]),
        ([f"{A}:5", f"{A}:6", f"{A}:7"], []),
    ],
)
def test_other_transactions_stand_before_it(gtids: list[str], captured: list[str] | None) -> None:
    with pytest.raises(Stop) as raised:
        check_order(log(BEGIN, gtids, captured), THERE, "here")
    assert raised.value.code is OTHER_ORDER


def test_domains_of_mariadb() -> None:
    begin, there = GtidPosition.parse("0-1-4"), BinlogPosition(GtidPosition.parse("0-1-5,1-1-1"))
    check_order(log(begin, ["1-1-1", "0-1-5", "0-1-6"]), there, "here")
    with pytest.raises(Stop):
        check_order(log(begin, ["0-1-5", "0-1-6", "1-1-1"]), there, "here")


def test_a_position_inside_a_transaction() -> None:
    inside = BinlogPosition(GtidSet.parse(f"{A}:1-5"), f"{A}:6", 1)
    check_order(log(BEGIN, [f"{A}:5", f"{A}:6"]), inside, "here")
    with pytest.raises(Stop):
        check_order(log(BEGIN, [f"{A}:5", f"{B}:1"]), inside, "here")


def test_the_source_asks_before_it_cuts() -> None:
    settings = MySqlSource.Settings.model_validate(
        {"url": "mysql://a@127.0.0.1/", "tables": ["shop.*"], "snapshot": "never"}
    )
    source = MySqlSource(settings, SourceContext("p"))
    batch = source.after(log(BEGIN, [f"{A}:5", f"{B}:1", f"{A}:6"]), THERE.document())
    assert [event.transaction.id for event in batch.events] == [f"{A}:6"]
    with pytest.raises(Stop):
        source.after(log(BEGIN, [f"{A}:5", f"{A}:6", f"{B}:1"]), THERE.document())
