"""Metadata of MySQL's transactions: wherever a stream is cut and gone on with, it tells the same."""

from __future__ import annotations

from typing import Any

from connectors.mysql.assembly.assembler import Assembler
from connectors.mysql.assembly.tables import Tables
from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.messages import Message, Query, Rotate, RowsQuery
from connectors.mysql.columns.type_options import TypeOptions
from connectors.mysql.position import BinlogPosition, after
from connectors.mysql.source import origin
from tailrace.events import Batch, Change
from tailrace.patterns import Pattern, TableFilter
from tailrace.topics import TopicTemplate
from tests.unit.test_mysql_assembler import ARTIFICIAL, UUID, at, begin, commit, feed, rows, table

TRANSACTION: list[Message | list[Message]] = [
    Rotate(at(0, flags=ARTIFICIAL), "binlog.000001", 4),
    begin(5), table("other", 2), table(), rows(8, id=2), rows(1, 2), rows(3), rows(9, id=2), commit(),
]  # fmt: skip


def assembler(position: BinlogPosition, *, queries: bool = False) -> Assembler:
    tables = Tables(
        origin("mysql", "p"),
        TableFilter([Pattern.parse("shop.t")], []),
        TypeOptions(),
        transaction_topic=TopicTemplate("{pipeline}.transaction"),
    )
    return Assembler(lambda event: (), tables, position, "server", queries=queries)


def before() -> BinlogPosition:
    return BinlogPosition(GtidSet.parse(f"{UUID}:1-4"))


def told(batches: list[Batch]) -> list[tuple[Any, ...]]:
    found = [event for batch in batches for event in batch.events if isinstance(event, Change)]
    return [
        (
            one.op,
            one.ordinal,
            one.index,
            one.order,
            one.transaction.block,
            one.raw if one.op in "be" else None,
        )
        for one in found
    ]


def test_a_transaction_is_told_whole() -> None:
    gtid = f"{UUID}:5"
    assert told(feed(assembler(before()), *TRANSACTION)) == [
        ("b", 2, -1, None, gtid, ()),
        ("c", 2, 0, (1, 1), gtid, None),
        ("c", 2, 3, (2, 2), gtid, None),
        ("c", 3, 0, (3, 3), gtid, None),
        ("e", 5, 0, None, gtid, (("shop.t", 3),)),
    ]


def test_any_cut_goes_on_with_the_same_numbers() -> None:
    [batch] = feed(assembler(before()), *TRANSACTION)
    whole = told([batch])
    for ordinal in range(1, 5):
        position = BinlogPosition(GtidSet.parse(f"{UUID}:1-4"), f"{UUID}:5", ordinal)
        rest = told(feed(assembler(position), *TRANSACTION))
        assert rest == [one for one in whole if one[1] > ordinal]
        assert told([after(batch, position)]) == rest


def test_what_was_not_captured_or_rolled_back_is_not_told() -> None:
    undone: list[Message | list[Message]] = [
        begin(5), table(), rows(1), Query(at(0), "", "ROLLBACK", 1, 0),
        begin(6), table("other"), rows(1), commit(),
    ]  # fmt: skip
    assert told(feed(assembler(before()), *undone)) == []


def test_statements_of_one_transaction_share_its_numbers() -> None:
    """Each has a source block of its own."""
    work: list[Message | list[Message]] = [
        begin(5), RowsQuery(at(0), "INSERT 1"), table(), rows(1),
        RowsQuery(at(0), "INSERT 2"), table(), rows(2), table(), rows(3), commit(),
    ]  # fmt: skip
    [batch] = feed(assembler(before(), queries=True), *work)
    changes = [one for one in batch.events if isinstance(one, Change) and one.op == "c"]
    assert [one.transaction.source["query"] for one in changes] == ["INSERT 1", "INSERT 2", None]
    assert [one.order for one in changes] == [(1, 1), (2, 2), (3, 3)]
    assert len({one.transaction.id for one in changes}) == 1
    [batch] = feed(assembler(before()), *work)
    assert {event.transaction.source["query"] for event in batch.events} == {None}
