"""The offsets topic: made and checked, read beside open transactions and after compaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sinks.kafka.sink import KafkaSink
from tailrace.clients.kafka import offsets_topic
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.batch import RecordBatch
from tailrace.clients.kafka.cluster import Cluster
from tailrace.errors import NotReady, Retry, Stop
from tailrace.testing.events import checkpoint
from tests.integration.kafka_sink.conftest import Sinks
from tests.kafka_reader import read_uncommitted
from tests.servers import Kafka, KafkaServer
from tests.waiting import eventually

AT_1, AT_2 = checkpoint(1, {"transaction": 1}), checkpoint(2, {"transaction": 2})


async def create(kafka: Kafka, topic: str, partitions: int = 1, **settings: str) -> None:
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        made = cluster.create_topic(topic, partitions=partitions, replication_factor=None, settings=named)
        assert await made is None


async def send_checkpoint(sink: KafkaSink) -> None:
    """Send a checkpoint, have it acknowledged, and leave its transaction open."""
    assert sink._producer is not None
    await sink._producer.send(sink._offsets.record(AT_2), sink._offsets.name, 0)
    await sink._producer.acknowledged()


async def test_it_is_created_for_checkpoints(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka, offsets_replication_factor=1)
    await sink.open()
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        topic = (await cluster.topics([make_sink.offsets_topic]))[make_sink.offsets_topic]
        settings = await cluster.topic_settings(make_sink.offsets_topic)
    assert topic.partitions == 1
    assert settings["cleanup.policy"] == "compact"
    assert settings["segment.bytes"] == str(16 * 1024 * 1024)
    assert settings["min.cleanable.dirty.ratio"] == "0.1"


async def test_peek_and_forget_do_not_create_it(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka)
    assert await sink.peek() is None
    assert await sink.forget(dry_run=False) == []
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        assert await cluster.topics([make_sink.offsets_topic]) == {}


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
async def test_one_that_is_not_compacted_is_refused(policy: str, kafka: Kafka, make_sink: Sinks) -> None:
    await create(kafka, make_sink.offsets_topic, cleanup_policy=policy)
    with pytest.raises(NotReady) as refused:
        await make_sink(kafka).open()
    assert refused.value.code.id == "TR-KAFKA-020"
    assert policy in refused.value.found
    assert "cleanup.policy=compact" in refused.value.remedy
    finding = (await make_sink(kafka).check())[1]
    assert finding.error is not None
    assert finding.error.code.id == "TR-KAFKA-020"


async def test_one_with_several_partitions_is_refused(kafka: Kafka, make_sink: Sinks) -> None:
    await create(kafka, make_sink.offsets_topic, 2, cleanup_policy="compact")
    with pytest.raises(NotReady, match=r"2 partition\(s\)"):
        await make_sink(kafka).open()


async def test_one_that_cannot_be_created(kafka: Kafka, make_sink: Sinks) -> None:
    with pytest.raises(NotReady) as refused:
        await make_sink(kafka, offsets_replication_factor=3).open()
    assert refused.value.code.id == "TR-KAFKA-021"
    assert "offsets_replication_factor" in refused.value.remedy


async def test_a_checkpoint_that_cannot_be_read_stops(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka)
    await sink.open()
    assert sink._producer is not None
    batch = RecordBatch(0, "none")
    batch.add(0, sink.identity.encode(), b"{")
    await sink._producer.send(batch, make_sink.offsets_topic, 0)
    await sink._producer.commit()
    with pytest.raises(Stop) as refused:
        await make_sink(kafka).peek()
    assert refused.value.code.id == "TR-CKPT-001"
    assert f"topic {make_sink.offsets_topic}, key {sink.identity}" == refused.value.where


async def test_open_waits_for_the_transaction_of_another_sink(kafka: Kafka, make_sink: Sinks) -> None:
    sink, other = make_sink(kafka), make_sink(kafka, "other")
    await sink.open()
    await other.open()
    await send_checkpoint(other)
    await sink.commit(AT_1)  # behind the other's open transaction
    opening = asyncio.create_task(make_sink(kafka).open())
    done, _ = await asyncio.wait([opening], timeout=1.5)
    assert not done  # a consumer that stops at its own end would have found nothing, and begun anew
    await other.abort()
    assert await opening == AT_1
    assert await make_sink(kafka, "other").peek() is None


async def test_open_does_not_wait_for_ever(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsets_topic, "_READ_TIMEOUT", 0.5)
    sink, other = make_sink(kafka), make_sink(kafka, "other")
    await sink.open()
    await other.open()
    await send_checkpoint(other)
    await sink.commit(AT_1)
    with pytest.raises(Retry, match="a transaction is open"):
        await make_sink(kafka).open()


async def test_peek_sees_what_is_decided(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka)
    await sink.open()
    await sink.commit(AT_1)
    await send_checkpoint(sink)
    assert await make_sink(kafka).peek() == AT_1
    await sink.abort()
    assert await make_sink(kafka).peek() == AT_1


async def test_peek_sees_what_is_decided_behind_the_open_transaction_of_another(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which a killed process leaves open until it times out: this sink's claim is there all the same."""
    monkeypatch.setattr(offsets_topic, "_PEEK_TIMEOUT", 0.1)
    sink, other = make_sink(kafka), make_sink(kafka, "other")
    await sink.open()
    await sink.commit(AT_1)
    await other.open()
    await send_checkpoint(other)
    assert await make_sink(kafka).peek() == AT_1
    assert await make_sink(kafka, "other").peek() is None
    for sequence in range(2, 4):
        stored = checkpoint(sequence, {"transaction": sequence})
        await sink.commit(stored)
        assert await make_sink(kafka).peek() == stored
    await send_checkpoint(sink)
    assert await make_sink(kafka).peek() == stored
    await sink.abort()
    assert await make_sink(kafka).peek() == stored


async def test_an_aborted_checkpoint_is_not_found(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka)
    await sink.open()
    for transaction in range(1, 6):
        stored = checkpoint(transaction, {"transaction": transaction})
        await sink.commit(stored)
        await send_checkpoint(sink)
        await sink.abort()
        assert await sink.open() == stored


async def test_what_a_killed_producer_sent_is_not_found(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka)
    await sink.open()
    await sink.commit(AT_1)
    await send_checkpoint(sink)
    assert await make_sink(kafka).open() == AT_1


async def test_compaction_leaves_the_newest(make_kafka: Callable[..., KafkaServer], make_sink: Sinks) -> None:
    kafka = make_kafka({"log.cleaner.backoff.ms": 100, "log.retention.check.interval.ms": 1000})
    # Every 300 ms a segment, so that the cleaner has something to clean: markers, aborted data, old values.
    await create(
        kafka,
        make_sink.offsets_topic,
        cleanup_policy="compact",
        segment_ms="300",
        min_cleanable_dirty_ratio="0.01",
        delete_retention_ms="100",
    )
    idle, busy, gone = make_sink(kafka, "idle"), make_sink(kafka, "busy"), make_sink(kafka, "gone")
    await idle.open()
    await idle.commit(AT_1)
    await gone.store(AT_1)
    await gone.forget(dry_run=False)
    # Killed with a transaction open, then opened by nobody but the fence: of its last abort marker the
    # cleaner leaves an empty batch, at which aiokafka's own consumer fails for good.
    killed = make_sink(kafka, "killed")
    await killed.open()
    await send_checkpoint(killed)
    assert await make_sink(kafka, "killed").open() is None
    await busy.open()
    last = AT_1
    topic = make_sink.offsets_topic

    async def compacted() -> bool:
        nonlocal last
        for _ in range(10):
            last = checkpoint(last.sequence + 1, {"transaction": last.sequence + 1})
            await busy.commit(last)
        await send_checkpoint(busy)
        await busy.abort()
        assert await busy.open() == last
        assert await idle.peek() == AT_1
        assert await gone.peek() is None
        return last.sequence > 200 and len(await read_uncommitted(kafka, topic)) < last.sequence / 4

    await eventually(compacted, "the cleaner", timeout=90)
    for name, expected in (("idle", AT_1), ("busy", last), ("gone", None), ("killed", None)):
        assert await make_sink(kafka, name).open() == expected
