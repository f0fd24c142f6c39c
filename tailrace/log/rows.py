"""Events as rows of the log, ready to be bound: flat lists, so that a commit does nothing per event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from tailrace.abc import Record
from tailrace.topics import TopicTemplate

COLUMNS: Final = 7
"""offset, timestamp, position, ordinal, index, key, value."""

Rows: TypeAlias = list[Any]
"""The columns of one event after those of another. The offset is None until the log assigns it."""

RowsByTopic: TypeAlias = Mapping[str, Rows]


def rows_by_topic(records: Sequence[Record], template: TopicTemplate) -> RowsByTopic:
    """The records' rows, in order within each topic."""
    topics: dict[str, Rows] = {}
    table = None
    rows: Rows = []
    for record in records:
        change = record.change
        if change.table is not table:
            table = change.table
            rows = topics.setdefault(template.topic(table), [])
        transaction = change.transaction
        rows += (
            None,
            transaction.timestamp,
            transaction.position,
            change.ordinal,
            record.index,
            record.key,
            record.value,
        )
    return topics


def size(rows: Rows) -> int:
    """Bytes of their keys and values."""
    return sum(map(len, filter(None, rows[5::COLUMNS]))) + sum(map(len, filter(None, rows[6::COLUMNS])))
