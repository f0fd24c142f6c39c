"""How the log lies in its file.

Each topic has a table `events_<id>` of its own, in which the offset is the rowid: appending fills pages from
left to right, reading a topic is one sequential scan, and removing its oldest events frees whole pages. The
events of a topic form consecutive *segments*, about a MiB or an hour each. Their rows say what the events in
them span: retention removes whole segments, and a time or a position is found without looking at every event.

    sqlite3 orders.db "SELECT id, name FROM topic"
    sqlite3 orders.db "SELECT \"offset\", CAST(value AS TEXT) FROM events_1 LIMIT 10"
"""

from __future__ import annotations

from typing import Final

from tailrace import claims
from tailrace.clients.sqlite import Kind

_TOPIC: Final = """CREATE TABLE topic (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    sink TEXT NOT NULL, -- the sink that made it, and whose settings rule its retention
    retention_us INTEGER, -- after the append; NULL: kept for ever
    retention_bytes INTEGER -- of keys and values; NULL: however many
)"""

_SEGMENT: Final = """CREATE TABLE segment (
    topic INTEGER NOT NULL REFERENCES topic,
    base INTEGER NOT NULL, -- offset of its first event
    next INTEGER NOT NULL, -- offset after its last event; equal to base only in a topic that is empty
    before INTEGER NOT NULL, -- bytes of keys and values ever appended to the topic before it
    bytes INTEGER NOT NULL, -- of its keys and values
    opened INTEGER NOT NULL, -- µs since the epoch: its first append
    appended INTEGER NOT NULL, -- µs since the epoch: its last append
    newest INTEGER NOT NULL, -- the greatest timestamp in it
    position TEXT NOT NULL, -- the greatest position in it
    PRIMARY KEY (topic, base)
) WITHOUT ROWID"""

LOG: Final = Kind(
    title="event log",
    application_id=0x74726C67,  # "trlg"
    version=1,
    layout=(claims.LAYOUT, _TOPIC, _SEGMENT),
    page_size=16384,
    writers=claims.writers,
)


def events_table(topic: int) -> str:
    """The name of a topic's table of events."""
    return f"events_{topic}"


def events_layout(topic: int) -> str:
    """The statement that makes a topic's table of events."""
    return f"""CREATE TABLE {events_table(topic)} (
    "offset" INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL, -- µs since the epoch: when the database committed it
    position TEXT NOT NULL, -- its transaction's place in the source's log; with the next two, its identity
    ordinal INTEGER NOT NULL, -- of its message in the transaction
    "index" INTEGER NOT NULL, -- in the message
    key BLOB, -- NULL: an event without a key
    value BLOB -- NULL: a tombstone
)"""
