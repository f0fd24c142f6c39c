"""The acceptance suite for transforms.

A transform's author subclasses `TransformAcceptance` and provides a fixture `make`, which returns a new
object of the transform at each call:

    class TestMyTransform(TransformAcceptance):
        @pytest.fixture
        def make(self) -> Callable[[], MyTransform]:
            return lambda: MyTransform(MyTransform.Settings(strict=True))

It gets tables with the columns `id` (an integer, the key) and `text`, whose old rows are known whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import pytest

from tailrace.abc import TableTransform, Transform
from tailrace.engine.shaping import Shaping, Step
from tailrace.events import Batch, Change, Event, Op, Row, SchemaChange, Table, Transaction
from tailrace.testing import events as made

Make: TypeAlias = Callable[[], Transform | TableTransform]

_OPERATIONS: Final[Sequence[Op]] = ("c", "u", "d", "t", "c", "u")


def _split(raw: tuple[Row | None, Row | None]) -> tuple[Row | None, Row | None]:
    return raw


def _batches() -> list[Batch]:
    """Three transactions over two tables, cut in the middle; then an idle position."""
    tables = [replace(made.table(name), split=_split) for name in ("orders", "items")]
    batches = []
    for number in range(3):
        transaction = Transaction(str(number), f"{number:016}", number * 1_000_000, {})
        events: list[Event] = []
        for ordinal in range(24):
            table = tables[ordinal // 3 % 2]
            if number == 0 and ordinal in (0, 3):
                events.append(SchemaChange(table, transaction, ordinal))
            op = _OPERATIONS[ordinal % len(_OPERATIONS)]
            before = [b"%d" % (ordinal % 5), b"old"] if op in "ud" else None
            after = [b"%d" % (ordinal % 5), b"text %d" % ordinal] if op in "cu" else None
            events.append(Change(op, table, transaction, ordinal, 0, ordinal, (before, after)))
        half = len(events) // 2
        batches.append(Batch(events[:half], {"at": 2 * number}, commit=False, size=100, timestamp=number))
        batches.append(Batch(events[half:], {"at": 2 * number + 1}, commit=True, size=100, timestamp=number))
    return [*batches, Batch([], {"at": 7}, commit=True, size=0)]


def _place(event: Event) -> tuple[str, int, int]:
    return event.transaction.position, event.ordinal, -1 if isinstance(event, SchemaChange) else event.index


def _told(event: Event) -> tuple[Any, ...]:
    """What of an event can be seen."""
    table = event.table
    columns = [(column.name, column.type) for column in table.columns]
    told = (*_place(event), str(table), table.topic, table.key, columns)
    return told if isinstance(event, SchemaChange) else (*told, event.op, table.split(event.raw))


class TransformAcceptance:
    """What every transform must do."""

    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError("provide the fixture `make`; the module's docstring says how")

    @pytest.fixture
    def shaping(self, make: Make) -> Shaping:
        return Shaping([Step(make())])

    def test_a_batch_ends_where_it_did(self, shaping: Shaping) -> None:
        for batch in _batches():
            shaped = shaping.apply(batch)
            assert (shaped.end, shaped.commit) == (batch.end, batch.commit)
            assert shaped.timestamp == batch.timestamp

    def test_events_stay_in_their_order_at_their_places(self, shaping: Shaping) -> None:
        for batch in _batches():
            places = [_place(event) for event in shaping.apply(batch).events]
            assert places == sorted(set(places))
            messages = {place[:2] for place in map(_place, batch.events)}
            assert {place[:2] for place in places} <= messages

    def test_equal_batches_come_out_equal(self, make: Make, shaping: Shaping) -> None:
        """Also from another object, and again: what is delivered once more is the same."""
        batches = _batches()
        first = [[_told(event) for event in shaping.apply(batch).events] for batch in batches]
        again = Shaping([Step(make())])
        for one in (shaping, again):
            assert [[_told(event) for event in one.apply(batch).events] for batch in batches] == first

    def test_a_table_version_stays_one_object(self, shaping: Shaping) -> None:
        """What is made per version, such as an encoder, would be made per batch otherwise."""
        events = [event for batch in _batches() for event in shaping.apply(batch).events]
        assert len({event.table for event in events}) <= 2

    def test_schema_changes_go_before_the_changes_of_their_version(self, shaping: Shaping) -> None:
        announced: set[Table] = set()
        for batch in _batches():
            for event in shaping.apply(batch).events:
                if isinstance(event, SchemaChange):
                    announced.add(event.table)
                else:
                    assert event.table in announced
