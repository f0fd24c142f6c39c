"""Batches as rows by topic, before anything is sent."""

from __future__ import annotations

from sinks.kafka.framing import Framer
from sinks.kafka.murmur2 import positive_hash
from tailrace.testing.events import PlainFormat, Stream, table
from tailrace.topics import TopicTemplate


def framer(template: str = "{table}", *, position: bool = False, tombstones: bool = True) -> Framer:
    return Framer(PlainFormat(), TopicTemplate(template), position=position, tombstones=tombstones)


def test_rows_stay_in_order_when_tables_alternate() -> None:
    orders, items = table("orders"), table("items")
    batch = Stream().batch(
        ("c", orders, 1, "a"), ("c", items, 1, "b"), ("u", orders, 1, "c"), ("u", items, 1, "d")
    )
    separate, together = framer().frame(batch), framer("all").frame(batch)
    assert [row[2] for row in separate["orders"].rows] == [b"c 1 a", b"u 1 c"]
    assert [row[2] for row in separate["items"].rows] == [b"c 1 b", b"u 1 d"]
    assert [row[2] for row in together["all"].rows] == [b"c 1 a", b"c 1 b", b"u 1 c", b"u 1 d"]


def test_the_key_chooses_the_partition_and_the_table_instead_of_one() -> None:
    orders, audit = table("orders"), table("audit", keyed=False)
    frames = framer().frame(Stream().batch(("c", orders, 12, ""), ("c", audit, 12, ""), ("c", audit, 13, "")))
    assert frames["orders"].hashes == [positive_hash(b"12")]
    assert frames["audit"].hashes == [positive_hash(b"public.audit")] * 2


def test_framing_twice_is_framing_once() -> None:
    batch = Stream().inserts(table(), range(10))
    one = framer()
    assert one.frame(batch) == one.frame(batch)


def test_a_batch_without_events_has_no_frames() -> None:
    stream = Stream()
    assert framer().frame(stream.idle()) == {}
    assert framer().frame(stream.schema_change(table())) == {}


def test_tombstones_can_be_left_out() -> None:
    batch = Stream().batch(("d", table(), 1, "x"))
    assert [row[2] for row in framer(tombstones=False).frame(batch)["orders"].rows] == [b"d 1 x"]
    assert [row[2] for row in framer().frame(batch)["orders"].rows] == [b"d 1 x", None]
