"""What arrives in the topics: content, order, partitions, headers, visibility."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from aiokafka.partitioner import DefaultPartitioner

from sinks.kafka import sink as sink_module
from sinks.kafka.config import KafkaHeaders
from tailrace.clients.kafka.batch import Compression
from tailrace.events import Batch
from tailrace.testing.events import Stream, checkpoint, delivered, table
from tests.integration.kafka_sink.conftest import Sinks
from tests.kafka_reader import read_committed, read_uncommitted
from tests.servers import Kafka

ORDERS = table("orders")
AUDIT = table("audit", keyed=False)


async def test_each_partition_is_in_the_order_of_the_log(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka)
    batches = [
        stream.batch(*(("u", ORDERS, id, f"round {round}") for id in range(50)), ("d", ORDERS, round, ""))
        for round in range(40)
    ]
    await sink.open()
    for sequence, batch in enumerate(batches):
        await sink.write(sink.prepare(batch))
        if sequence % 7 == 6:
            await sink.commit(checkpoint(sequence, batch.end))
    await sink.commit(checkpoint(99, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    choose, partitions = DefaultPartitioner(), [0, 1, 2, 3]
    expected = delivered(*batches)["orders"]
    for partition in partitions:
        there = [(record.key, record.value) for record in records if record.partition == partition]
        assert there
        assert there == [one for one in expected if choose(one[0], partitions, partitions) == partition]


async def test_records_without_a_key_share_a_partition(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka)
    batch = stream.inserts(AUDIT, range(100))
    await sink.open()
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "audit")
    assert [(record.key, record.value) for record in records] == delivered(batch)["audit"]
    assert len({record.partition for record in records}) == 1


async def test_records_bear_the_time_of_their_commit(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka)
    batches = [stream.inserts(ORDERS, [1]), stream.inserts(ORDERS, [1])]
    await sink.open()
    for batch in batches:
        await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [record.timestamp * 1000 for record in records] == [batch.timestamp for batch in batches]
    assert [record.headers for record in records] == [(), ()]


async def test_a_late_record_is_not_deleted_on_arrival(kafka: Kafka, make_sink: Sinks) -> None:
    stream = Stream()  # its transactions are of yesterday
    sink = make_sink(kafka, partitions=1, topic_settings={"retention.ms": "3600000"})
    batch = stream.inserts(ORDERS, range(3))
    began = time.time() * 1000
    await sink.open()
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(batch)["orders"]
    half_an_hour = 1_800_000
    assert all(began - half_an_hour - 1 <= record.timestamp <= began for record in records)


async def test_the_position_header(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka, headers=KafkaHeaders(position=True), partitions=1)
    batch = stream.batch(("c", ORDERS, 1, "one"), ("d", ORDERS, 1, ""))
    await sink.open()
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    positions = [b"0000000000000001:0:0", b"0000000000000001:1:0", b"0000000000000001:1:1"]
    assert [record.headers for record in records] == [(("tailrace.position", one),) for one in positions]
    assert [record.value for record in records][-1] is None


async def test_tombstones_can_be_left_out(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka, tombstones=False, partitions=1)
    await sink.open()
    await sink.write(sink.prepare(stream.batch(("d", ORDERS, 1, "x"), ("c", ORDERS, 2, "y"))))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [record.value for record in records] == [b"d 1 x", b"c 2 y"]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression(compression: Compression, kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka, compression=compression, partitions=1)
    batch = stream.inserts(ORDERS, range(5000), "abcdefgh " * 60)
    await sink.open()
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(batch)["orders"]


async def test_nothing_is_visible_before_the_commit(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka, partitions=1, max_request_size=10_000)
    topic = make_sink.prefix + "orders"
    first, second = stream.inserts(ORDERS, range(1000)), stream.inserts(ORDERS, range(1000, 2000))
    await sink.open()
    await sink.write(sink.prepare(first))
    await sink.write(sink.prepare(second))
    assert await read_uncommitted(kafka, topic)  # it is there
    assert await read_committed(kafka, topic, beside_open=True) == []
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, topic)
    assert [(record.key, record.value) for record in records] == delivered(first, second)["orders"]


async def test_a_small_commit_is_three_requests(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data and checkpoint enter the transaction together, are sent together, and then it ends."""
    stream, sink = Stream(), make_sink(kafka)
    await sink.open()
    assert sink._producer is not None
    client, sent = sink._producer._producer.client, Counter[str]()
    send = client.send

    async def counted(node: int, request: object, **options: object) -> object:
        sent[type(request).__name__] += 1
        return await send(node, request, **options)

    for sequence in range(7):
        await sink.write(sink.prepare(stream.inserts(ORDERS, [sequence])))
        await sink.commit(checkpoint(sequence, stream.end))
        # Until the markers of the last one are written, what begins the next is refused and asked again.
        assert len(await read_committed(kafka, make_sink.prefix + "orders")) == sequence + 1
        await sink.peek()
        if sequence == 1:  # by then topics and partitions are known
            monkeypatch.setattr(client, "send", counted)
    assert sent.pop("MetadataRequest", 0) <= 1  # every five minutes
    assert {name: round(count / 5) for name, count in sent.items()} == {
        "AddPartitionsToTxnRequest": 1,
        "ProduceRequest": 1,
        "EndTxnRequest": 1,
    }


async def test_an_abort_frees_the_readers_at_once(kafka: Kafka, make_sink: Sinks) -> None:
    stream, sink = Stream(), make_sink(kafka, partitions=1, max_request_size=10_000)
    topic = make_sink.prefix + "orders"
    await sink.open()
    await sink.write(sink.prepare(stream.inserts(ORDERS, range(1000))))
    assert await read_uncommitted(kafka, topic)
    await sink.abort()
    # Nobody has opened the sink again, and the transaction's timeout is a minute away: this returns because
    # the transaction is decided.
    assert await read_committed(kafka, topic) == []


async def test_many_topics_do_not_fill_the_memory(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "_MAX_OPEN", 20_000)
    stream, sink = Stream(), make_sink(kafka, partitions=2)
    tables = [table(f"t{n}") for n in range(6)]
    batches: list[Batch] = []
    await sink.open()
    for first in range(0, 600, 20):
        for one in tables:
            batches.append(stream.inserts(one, range(first, first + 20), "z" * 50))
            await sink.write(sink.prepare(batches[-1]))
            assert sum(topic.size for topic in sink._topics.values()) <= 20_000
    await sink.commit(checkpoint(1, stream.end))
    for one in tables:
        records = await read_committed(kafka, make_sink.prefix + one.name)
        found = [(record.key, record.value) for record in records]
        assert sorted(found, key=repr) == sorted(delivered(*batches)[one.name], key=repr)
