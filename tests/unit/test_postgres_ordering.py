"""Metadata of transactions: wherever a stream is cut and gone on with, it tells the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from connectors.postgres.position import WalPosition, after
from connectors.postgres.protocol import Decoder, origin
from connectors.postgres.relations import Relations
from tailrace.events import Batch, Change, Event, SchemaChange
from tailrace.topics import TopicTemplate
from tests.unit.pgoutput import MAJORS, SCENARIOS, again, changes, feed, recording


def relations() -> Relations:
    topic = TopicTemplate("{pipeline}.transaction")
    return Relations(origin("orders", "shop"), lambda schema, table: True, transaction_topic=topic)


def told(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    """Everything that readers see of the changes' places; of boundaries, their counts too."""
    return [
        (one.op, str(one.table), one.table.topic, one.position, one.offset, one.order,
         one.transaction.block, one.raw if one.table.topic else None)
        for one in changes(events)
    ]  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("major", MAJORS)
def test_every_transaction_is_told_whole(major: int, scenario: str) -> None:
    batch = whole(major, scenario)
    open_: list[Change] = []
    for one in changes(batch.events):
        if one.transaction.block is None:  # a message outside of transactions
            assert (one.op, one.order) == ("m", None)
        elif one.op == "b":
            assert not open_
            open_ = [one]
        elif one.op == "e":
            counts: dict[str, int] = {}
            for total, of in enumerate(open_[1:], 1):
                counts[str(of.table)] = own = counts.get(str(of.table), 0) + 1
                assert of.order == (total, own)
                assert of.transaction is one.transaction is open_[0].transaction
            assert dict(one.raw) == counts
            assert counts
            assert open_[0].ordinal == open_[1].ordinal
            assert one.ordinal > open_[-1].ordinal
            open_ = []
        else:
            open_.append(one)
    assert not open_


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("major", MAJORS)
def test_any_cut_goes_on_with_the_same_numbers(major: int, scenario: str) -> None:
    recorded = recording(major, scenario)
    batch = whole(major, scenario)
    expected = told(batch.events)
    tried = set()
    for at in range(1, len(recorded.messages)):
        known = relations()
        first = feed(Decoder(known, WalPosition(0)), recorded.messages[:at], recorded.details)
        if first is None or (position := WalPosition.from_document(first.end)) in tried:
            continue
        tried.add(position)
        messages = again(recorded.messages, position.end)
        second = feed(Decoder(known, position), messages, recorded.details)
        events = [*first.events, *(second.events if second else ())]
        assert told(events) == expected, position
        announced = [one.table for one in events if isinstance(one, SchemaChange)]
        assert len(announced) == len(set(announced)), position
        # What a sink at this position takes of a batch that a sink behind it was given.
        rest = [one for one in after(batch, position).events if isinstance(one, Change)]
        assert told(first.events) + told(rest) == expected, position


def test_they_are_told_only_where_that_is_wanted() -> None:
    recorded = recording(18, "rows")
    decoder = Decoder(Relations(origin("orders", "shop"), lambda schema, table: True), WalPosition(0))
    batch = feed(decoder, recorded.messages, recorded.details)
    assert batch
    assert all(one.order is None and one.transaction.block is None for one in changes(batch.events))
    assert not [one for one in changes(batch.events) if one.op in ("b", "e")]


def test_a_transaction_without_captured_changes_is_not_told() -> None:
    recorded = recording(18, "rows")
    known = Relations(
        origin("orders", "shop"), lambda schema, table: False, transaction_topic=TopicTemplate("t")
    )
    batch = feed(Decoder(known, WalPosition(0)), recorded.messages, recorded.details)
    assert batch
    assert not batch.events


def whole(major: int, scenario: str) -> Batch:
    recorded = recording(major, scenario)
    batch = feed(Decoder(relations(), WalPosition(0)), recorded.messages, recorded.details)
    assert batch
    return batch
