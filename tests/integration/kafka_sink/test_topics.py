"""Topics: created as configured, used as they are, refused; the bounds on a record; what `check` finds."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.errors import NOT_SUPPORTED, REFUSED, UNREACHABLE
from tailrace.errors import NotReady, Rejected, Retry, Stop
from tailrace.events import Batch, Change, Op, Transaction
from tailrace.testing.events import Stream, checkpoint, delivered, table
from tests.integration.kafka_sink.conftest import Sinks
from tests.kafka_reader import read_committed, read_uncommitted
from tests.servers import Kafka
from tests.servers.process import free_port
from tests.waiting import eventually

ORDERS = table("orders")
AUDIT = table("audit", keyed=False)


async def create(kafka: Kafka, topic: str, partitions: int, **settings: str) -> None:
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        refusal = await cluster.create_topic(
            topic, partitions=partitions, replication_factor=1, settings=named
        )
        assert refusal is None


async def partitions_and_settings(kafka: Kafka, topic: str) -> tuple[int, dict[str, str]]:
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        found = await cluster.topics([topic])
        return found[topic].partitions, await cluster.topic_settings(topic)


async def deliver(sinks: Sinks, kafka: Kafka, batch: Batch, **changed: Any) -> None:
    sink = sinks(kafka, **changed)
    await sink.open()
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, batch.end))


async def test_looking_for_a_new_topic_loses_no_leader_of_others(kafka: Kafka, make_sink: Sinks) -> None:
    """A start that waits for the end of an earlier transaction has aiokafka know all topics that there are.
    Then it looks for one that is made behind that, here the one of the checkpoints, while batches wait."""
    for number in range(3):  # it takes most of such starts, not each
        stream = Stream()
        killed = make_sink(kafka, f"kafka{number}", max_request_size=1024, partitions=50)
        await killed.open()
        await killed.write(killed.prepare(stream.inserts(ORDERS, range(400), noise(500))))  # much is sent
        sink = make_sink(kafka, f"kafka{number}", offsets_topic=f"{make_sink.offsets_topic}{number}")
        await sink.open()
        async with asyncio.timeout(10):  # less than a batch without a leader waits
            await sink.write(sink.prepare(stream.inserts(ORDERS, range(400))))
            await sink.commit(checkpoint(1, stream.end))


def noise(size: int) -> str:
    """Text that no compression makes smaller than three quarters."""
    alphabet = "".join(map(chr, range(33, 127)))
    return "".join(random.Random(size).choices(alphabet, k=size))


async def test_a_topic_is_created_as_configured(kafka: Kafka, make_sink: Sinks) -> None:
    wanted = {"retention.ms": "86400000", "cleanup.policy": "compact,delete"}
    await deliver(
        make_sink,
        kafka,
        Stream().inserts(ORDERS, [1]),
        partitions=7,
        replication_factor=1,
        topic_settings=wanted,
    )
    partitions, settings = await partitions_and_settings(kafka, make_sink.prefix + "orders")
    assert partitions == 7
    assert {name: settings[name] for name in wanted} == wanted


async def test_an_existing_topic_is_used_as_it_is(kafka: Kafka, make_sink: Sinks) -> None:
    await create(kafka, make_sink.prefix + "orders", 3, retention_ms="3600000")
    batch = Stream().inserts(ORDERS, range(300))
    await deliver(make_sink, kafka, batch, topic_settings={"retention.ms": "5"})
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert {record.partition for record in records} == {0, 1, 2}
    assert len(records) == 300
    partitions, settings = await partitions_and_settings(kafka, make_sink.prefix + "orders")
    assert (partitions, settings["retention.ms"]) == (3, "3600000")


async def test_batches_respect_the_bound_of_the_topic(kafka: Kafka, make_sink: Sinks) -> None:
    await create(kafka, make_sink.prefix + "orders", 1, max_message_bytes="20000")
    batch = Stream().inserts(ORDERS, range(300), noise(1000))
    await deliver(make_sink, kafka, batch, compression="none")
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(batch)["orders"]


async def test_a_record_larger_than_a_request_is_refused(kafka: Kafka, make_sink: Sinks) -> None:
    stream = Stream()
    batch = stream.batch(("c", ORDERS, 1, "fits"), ("c", ORDERS, 2, "x" * 60_000))
    with pytest.raises(Rejected) as refused:
        await deliver(make_sink, kafka, batch, max_request_size=50_000)
    assert refused.value.code.id == "TR-KAFKA-011"
    assert "'c' of public.orders at 0000000000000001:1:0" in refused.value.found
    assert "60077 bytes, the sink's max_request_size is 50000" in refused.value.found
    assert "Raise the sink's max_request_size" in refused.value.remedy
    assert "record_too_large: skip" in refused.value.remedy
    await make_sink(kafka).open()
    assert await read_committed(kafka, make_sink.prefix + "orders") == []
    await deliver(make_sink, kafka, batch, max_request_size=70_000)
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 2


async def test_a_record_larger_than_its_topic_allows_is_refused(kafka: Kafka, make_sink: Sinks) -> None:
    await create(kafka, make_sink.prefix + "orders", 1, max_message_bytes="50000")
    stream = Stream()
    squeezable = stream.inserts(ORDERS, [1], "x" * 200_000)
    await deliver(make_sink, kafka, squeezable)  # the broker measures it compressed
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1
    with pytest.raises(Rejected) as refused:
        await deliver(make_sink, kafka, stream.inserts(ORDERS, [2], noise(200_000)))
    limit = f"max.message.bytes of topic {make_sink.prefix}orders"
    assert f"{limit} is 50000" in refused.value.found
    assert f"Raise {limit}" in refused.value.remedy


async def test_records_that_are_too_large_are_left_out(
    kafka: Kafka, make_sink: Sinks, caplog: pytest.LogCaptureFixture
) -> None:
    """Each for itself: the tombstone behind a delete is written. The same ones when it is written again."""
    await create(kafka, make_sink.prefix + "orders", 1, max_message_bytes="30000")
    stream, large, larger = Stream(), noise(45_000), "x" * 60_000
    batch = stream.batch(
        ("c", ORDERS, 1, "fits"),
        ("c", ORDERS, 2, larger),  # for a request
        ("c", ORDERS, 3, large),  # for the topic, compressed
        ("c", ORDERS, 4, "x" * 45_000),  # compressed it fits
        ("u", ORDERS, 1, "fits again"),
        ("d", ORDERS, 1, larger),
        ("c", ORDERS, 5, "the last"),
    )
    settings: dict[str, Any] = {"record_too_large": "skip", "max_request_size": 50_000}
    for attempt in range(2):
        sink = make_sink(kafka, **settings)
        await sink.open()
        for _ in range(attempt + 1):
            await sink.write(sink.prepare(stream.inserts(ORDERS, [6], larger)))
        await sink.write(sink.prepare(batch))
        assert sink.skipped() == {"public.orders": 4 + attempt}
        told = [line for line in caplog.messages if "left out" in line]
        caplog.clear()
        assert len(told) == 4 + attempt
        assert all("TR-KAFKA-011" in line and "public.orders" in line for line in told)
        for place, found in (
            (":1:0", "takes 60077 bytes, the sink's max_request_size is 50000"),
            (":2:0", f"bytes, max.message.bytes of topic {make_sink.prefix}orders is 30000"),
            (":5:0", "takes 60077 bytes, the sink's max_request_size is 50000"),
        ):
            (line,) = (line for line in told if f"0000000000000001{place}" in line)
            assert found in line
        assert larger[:100] not in "".join(told)
        assert large[:20] not in "".join(told)
        if attempt == 0:
            await sink.abort()  # and then another process
    await sink.commit(checkpoint(1, batch.end))
    assert sink.skipped() == {}
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, (record.value or b"")[:13]) for record in records] == [
        (b"1", b"c 1 fits"),
        (b"4", b"c 4 xxxxxxxxx"),
        (b"1", b"u 1 fits agai"),
        (b"1", b""),
        (b"5", b"c 5 the last"),
    ]
    await sink.write(sink.prepare(stream.inserts(ORDERS, [7], larger)))
    await sink.commit(checkpoint(2, stream.end))  # nothing but what is left out: the position moves on
    stored = await make_sink(kafka, **settings).peek()
    assert stored is not None
    assert stored.position == stream.end


@pytest.mark.parametrize("op", ["c", "t"])
async def test_a_record_without_a_key_is_refused_where_a_topic_is_compacted(
    op: Op, kafka: Kafka, make_sink: Sinks
) -> None:
    topic = make_sink.prefix + "audit"
    await create(kafka, topic, 1, cleanup_policy="compact")
    batch = Stream().batch((op, AUDIT, 1, "no key"))
    with pytest.raises(Rejected) as refused:
        await deliver(make_sink, kafka, batch)
    assert refused.value.code.id == "TR-KAFKA-013"
    assert f"the '{op}' of public.audit at 0000000000000001:0:0 has no key" in refused.value.found
    assert refused.value.where == f"topic {topic}"
    assert await read_uncommitted(kafka, topic) == []
    remedy = {"cleanup.policy": "delete", "retention.ms": "-1"}
    named = ",".join(f"{name}={value}" for name, value in remedy.items())
    assert f"--alter --topic {topic} --add-config {named}," in refused.value.remedy
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, remedy)])
    await admin.close()
    await deliver(make_sink, kafka, batch)
    assert len(await read_committed(kafka, topic)) == 1


async def test_a_topic_that_is_created_compacted_takes_keys_alone(kafka: Kafka, make_sink: Sinks) -> None:
    compacted = {"topic_settings": {"cleanup.policy": "delete,compact"}}
    stream = Stream()
    await deliver(make_sink, kafka, stream.batch(("c", ORDERS, 1, "a key")), **compacted)
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1
    with pytest.raises(Rejected, match=r"of public\.audit at .* has no key"):
        await deliver(make_sink, kafka, stream.batch(("c", AUDIT, 1, "no key")), **compacted)


async def test_records_around_the_bound_all_arrive(kafka: Kafka, make_sink: Sinks) -> None:
    stream = Stream()
    batches = [stream.inserts(ORDERS, [n], noise(size)) for n, size in enumerate(range(9_850, 9_970))]
    sink = make_sink(kafka, max_request_size=10_000, partitions=1, compression="none")
    await sink.open()
    accepted = []
    for batch in batches:
        try:
            await sink.write(sink.prepare(batch))
        except Rejected:
            break
        accepted.append(batch)
    await sink.abort()
    assert 10 < len(accepted) < len(batches)
    await sink.open()
    for batch in accepted:
        await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(*accepted)["orders"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"replication_factor": 3}, "replication"),
        ({"topic_settings": {"no.such.setting": "1"}}, "no.such.setting"),
        ({"topic": "x" * 250}, "249"),
    ],
)
async def test_a_topic_that_cannot_be_created(
    changed: dict[str, Any], reason: str, kafka: Kafka, make_sink: Sinks
) -> None:
    with pytest.raises(NotReady) as refused:
        await deliver(make_sink, kafka, Stream().inserts(ORDERS, [1]), **changed)
    assert refused.value.code.id == "TR-KAFKA-010"
    assert reason in refused.value.found
    assert "replication_factor" in refused.value.remedy
    assert await make_sink(kafka).open() is None


async def test_what_the_broker_refuses_for_good_stops(kafka: Kafka, make_sink: Sinks) -> None:
    batch = Stream().inserts(ORDERS, [1])
    future = Transaction("9", "9", 9_999_999_999_000_000, {})
    late = Change("c", ORDERS, future, 0, 0, 0, [b"1", b"from the future"])
    with pytest.raises(Stop) as refused:
        await deliver(make_sink, kafka, Batch([late], batch.end, commit=True, size=1))
    assert refused.value.code is REFUSED
    assert "message.timestamp.after.max.ms" in refused.value.remedy
    await deliver(make_sink, kafka, batch)
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1


async def test_a_topic_that_is_deleted_is_made_again(kafka: Kafka, make_sink: Sinks) -> None:
    stream = Stream()
    sink = make_sink(kafka, transaction_timeout=4.0)
    await sink.open()
    await sink.write(sink.prepare(stream.inserts(ORDERS, [1])))
    await sink.commit(checkpoint(1, stream.end))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([make_sink.prefix + "orders"])
    await admin.close()
    batch = stream.inserts(ORDERS, [2])
    await sink.write(sink.prepare(batch))
    with pytest.raises(Retry):
        await sink.commit(checkpoint(2, stream.end))
    await sink.abort()
    assert await sink.open() == checkpoint(1, {"transaction": 1})
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(2, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [record.value for record in records] == [b"c 2 text"]


async def test_partitions_that_are_added_are_used(kafka: Kafka, make_sink: Sinks) -> None:
    topic = make_sink.prefix + "orders"
    stream = Stream()
    sink = make_sink(kafka, partitions=1)
    await sink.open()
    batches = [stream.inserts(ORDERS, range(100)) for _ in range(3)]
    for number, batch in enumerate(batches):
        await sink.write(sink.prepare(batch))
        if number == 1:  # in the middle of a unit
            await create_partitions(kafka, topic, 3)
            assert sink._producer is not None
            await sink._producer._producer.client.force_metadata_update()
        await sink.commit(checkpoint(number + 1, stream.end))
    records = await read_committed(kafka, topic)
    assert sorted((record.key, record.value) for record in records) == sorted(delivered(*batches)["orders"])
    partitions: dict[bytes, list[int]] = {}
    for record in sorted(records, key=lambda record: record.timestamp):
        partitions.setdefault(record.key, []).append(record.partition)
    assert all(places[:2] == [0, 0] for places in partitions.values())
    assert {places[2] for places in partitions.values()} == {0, 1, 2}


async def create_partitions(kafka: Kafka, topic: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(count)})
    finally:
        await admin.close()

    async def led() -> bool:
        async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
            found = await cluster.topics([topic])
        return len(found[topic].leaders) == count and min(found[topic].leaders) >= 0

    await eventually(led, f"{count} partitions of {topic}")


async def test_check_finds_everything_in_order(kafka: Kafka, make_sink: Sinks) -> None:
    sink = make_sink(kafka)
    brokers, offsets, topics = await sink.check()
    assert brokers.found == f"1 broker(s) at {kafka.bootstrap_servers}"
    assert offsets.found == "missing, will be created"
    assert topics.found == f"can be created, such as {make_sink.prefix}table"
    await sink.open()
    assert (await sink.check())[1].found == "one partition, compacted"


async def test_check_tells_of_topics_that_want_more_replicas_than_there_are(
    kafka: Kafka, make_sink: Sinks
) -> None:
    """Of one broker, before a run: data and checkpoints alike."""
    wanted = {"min_insync_replicas": "2"}
    await create(kafka, make_sink.prefix + "orders", 1, **wanted)
    await create(kafka, make_sink.offsets_topic, 1, cleanup_policy="compact", **wanted)
    await create(kafka, make_sink.prefix + "audit", 1)
    # The topics' template has a prefix of this sink's own, which the offsets topic has too.
    found = [finding for finding in await make_sink(kafka).check() if "min.insync.replicas" in finding.found]
    assert {finding.title for finding in found} == {
        f"topic {make_sink.prefix}orders",
        f"topic {make_sink.offsets_topic}",
    }
    for finding in found:
        assert finding.warning
        assert finding.found.startswith("1 replica(s), min.insync.replicas is 2: Kafka before 3.5 takes no")
        assert "kafka-reassign-partitions.sh" in finding.remedy
    await deliver(make_sink, kafka, Stream().inserts(ORDERS, [1]))  # this one is younger
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1


async def test_check_disturbs_no_transaction(kafka: Kafka, make_sink: Sinks) -> None:
    stream = Stream()
    sink = make_sink(kafka, max_request_size=1024)
    await sink.open()
    batch = stream.inserts(ORDERS, range(100), noise(500))
    await sink.write(sink.prepare(batch))  # so much that most of it is sent
    assert [finding.error for finding in await make_sink(kafka).check()] == [None, None, None]
    await sink.commit(checkpoint(1, stream.end))
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 100


async def test_check_warns_of_topics_that_cannot_be_created(kafka: Kafka, make_sink: Sinks) -> None:
    _, offsets, topics = await make_sink(kafka, replication_factor=3, offsets_replication_factor=3).check()
    assert topics.warning
    assert "replication_factor" in topics.remedy
    assert offsets.warning
    assert (topics.error, offsets.error) == (None, None)


async def test_no_broker(make_sink: Sinks) -> None:
    nowhere = Kafka(f"127.0.0.1:{free_port()}")
    (finding,) = await make_sink(nowhere).check()
    assert isinstance(finding.error, Retry)
    assert finding.error.code is UNREACHABLE
    for attempt in (make_sink(nowhere).open, make_sink(nowhere).peek):
        with pytest.raises(Retry) as refused:
            await attempt()
        assert refused.value.code is UNREACHABLE
        assert nowhere.bootstrap_servers in str(refused.value)


async def test_a_transaction_timeout_that_the_broker_does_not_allow(kafka: Kafka, make_sink: Sinks) -> None:
    """It allows 15 minutes unless it is told otherwise."""
    with pytest.raises(NotReady) as refused:
        await make_sink(kafka, transaction_timeout=901.0).open()
    [finding] = [
        finding for finding in await make_sink(kafka, transaction_timeout=901.0).check() if finding.error
    ]
    assert finding.title.startswith("transactional id ")
    assert "transaction_timeout is 901 s" in finding.found
    for error in (refused.value, finding.error):
        assert error is not None
        assert error.code is NOT_SUPPORTED
        assert "transaction.max.timeout.ms" in error.remedy
