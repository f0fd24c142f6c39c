"""Transactions that the brokers have forgotten to end: told before anything is written behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.producer.transaction_manager import TransactionState

from tailrace.clients.kafka import hanging, offsets_topic
from tailrace.clients.kafka import producer as producers
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.errors import NOT_NOW
from tailrace.clients.kafka.hanging import HANGING
from tailrace.clients.kafka.producer import Producer
from tailrace.clients.kafka.producers import ProducersRequest
from tailrace.errors import Retry
from tailrace.testing.events import Stream, checkpoint, delivered, table
from tests.conftest import KAFKA_BOOTSTRAP
from tests.integration.kafka_sink.conftest import Sinks
from tests.integration.kafka_sink.markers import execute, leave_hanging
from tests.kafka_reader import read_committed
from tests.servers import Kafka, KafkaServer
from tests.waiting import eventually

ORDERS = table("orders")
AT_1, AT_2 = checkpoint(1, {"transaction": 1}), checkpoint(2, {"transaction": 2})


@pytest.fixture(scope="module")
def forgetful() -> Iterator[KafkaServer]:
    """A broker that takes records of partitions which its coordinator knows nothing of."""
    if KAFKA_BOOTSTRAP:
        pytest.skip("a given server (TAILRACE_TEST_KAFKA_BOOTSTRAP) is not configured")
    with KafkaServer({"transaction.partition.verification.enable": "false"}) as server:
        yield server


@pytest.mark.parametrize("commits", [True, False])
async def test_the_next_end_decides_what_hangs(
    commits: bool, forgetful: KafkaServer, make_sink: Sinks
) -> None:
    """Why nothing is written behind it: of Kafka, without the sink."""
    sink, topic = make_sink(forgetful, partitions=1), make_sink.prefix + "orders"
    await sink.open()
    batch = Stream().inserts(ORDERS, [1])
    await sink.write(sink.prepare(batch))
    await sink.commit(AT_1)
    await leave_hanging(forgetful, sink._transactional_id, topic, b"aborted")
    assert len(await read_committed(forgetful, topic, beside_open=True)) == 1
    producer = AIOKafkaProducer(
        bootstrap_servers=forgetful.bootstrap_servers, transactional_id=sink._transactional_id
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"new", partition=0)
    await (producer.commit_transaction() if commits else producer.abort_transaction())
    await producer.stop()
    found = [record.value for record in await read_committed(forgetful, topic)]
    assert found[1:] == ([b"aborted", b"new"] if commits else [])


async def test_nothing_is_written_behind_it(
    forgetful: KafkaServer, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hanging, "_MARKERS", 0.2)
    stream, topic = Stream(), make_sink.prefix + "orders"
    sink = make_sink(forgetful, partitions=1)
    await sink.open()
    first, second = stream.inserts(ORDERS, [1, 2]), stream.inserts(ORDERS, [3])
    await sink.write(sink.prepare(first))
    await sink.commit(AT_1)
    await leave_hanging(forgetful, sink._transactional_id, topic, b"aborted")
    for _ in range(2):
        assert await sink.open() == AT_1
        with pytest.raises(Retry) as told:
            await sink.write(sink.prepare(second))
        await sink.abort()
    assert told.value.code is HANGING
    assert told.value.where == f"topic {topic}"
    assert "is open in partition 0 (from offset 3)" in told.value.found
    remedy = told.value.remedy
    assert remedy.endswith(f"abort --topic {topic} --partition 0 --start-offset 3")
    await execute(forgetful, remedy[remedy.index("kafka-transactions.sh") :])
    assert await sink.open() == AT_1
    await sink.write(sink.prepare(second))
    await sink.commit(AT_2)
    records = await read_committed(forgetful, topic)
    assert [(record.key, record.value) for record in records] == delivered(first, second)["orders"]


async def test_what_was_committed_and_hangs_is_committed_again(
    forgetful: KafkaServer, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker goes and comes back between two transactions of one producer, of which the second fails."""
    stream, topic = Stream(), make_sink.prefix + "orders"
    sink = make_sink(forgetful, partitions=1, max_request_size=1024)
    await sink.open()
    batches = [stream.inserts(ORDERS, [1]), stream.inserts(ORDERS, [2]), stream.inserts(ORDERS, range(3, 99))]
    await sink.write(sink.prepare(batches[0]))
    await sink.commit(AT_1)
    assert len(await read_committed(forgetful, topic)) == 1  # its marker is there
    assert sink._producer is not None
    manager = sink._producer._producer._txn_manager
    with monkeypatch.context() as patch:
        known = manager.maybe_add_partition_to_txn
        patch.setattr(
            manager, "maybe_add_partition_to_txn", lambda place: place.topic == topic or known(place)
        )
        await sink.write(sink.prepare(batches[1]))
        await sink.commit(AT_2)
    assert len(await read_committed(forgetful, topic, beside_open=True)) == 1
    for connection in list(sink._producer._producer.client._conns.values()):
        connection.close()
    await sink.write(sink.prepare(batches[2]))  # so much that it is sent
    await sink.abort()
    assert await sink.open() == AT_2
    records = await read_committed(forgetful, topic)
    assert [(record.key, record.value) for record in records] == delivered(*batches[:2])["orders"]


async def test_nothing_is_committed_again_before_each_partition_has_a_leader(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, sink = Stream(), make_sink(kafka, partitions=1)
    await sink.open()
    batches = [stream.inserts(ORDERS, [1]), stream.inserts(ORDERS, [2])]
    await sink.write(sink.prepare(batches[0]))
    await sink.commit(AT_1)
    assert sink._producer is not None
    producer = sink._producer._producer
    for connection in list(producer.client._conns.values()):
        connection.close()
    states = []

    def away(place: object) -> int:
        states.append(producer._txn_manager.state)
        return -1

    async def deliver() -> None:
        await sink.write(sink.prepare(batches[1]))
        await sink.commit(AT_2)

    with monkeypatch.context() as patch:
        patch.setattr(producer.client.cluster, "leader_for_partition", away)
        delivering = asyncio.create_task(deliver())

        async def asked() -> bool:
            return len(states) > 3

        await eventually(asked, "the leader")
    assert set(states) == {TransactionState.READY}
    await delivering
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(*batches)["orders"]


async def test_a_topic_that_was_deleted_is_not_committed_again(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It will have no leader: the next unit would fail after half a minute, as if no broker were there."""
    monkeypatch.setattr(producers, "_LEADERS_TIMEOUT", 0.3)
    items, stream, sink = table("items"), Stream(), make_sink(kafka, partitions=1)
    await sink.open()
    batches = [stream.inserts(of, ids) for of, ids in ((ORDERS, [1]), (items, [1]), (items, [2]))]
    for batch in batches[:2]:
        await sink.write(sink.prepare(batch))
    await sink.commit(AT_1)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([make_sink.prefix + "orders"])
    await admin.close()
    assert sink._producer is not None
    for connection in list(sink._producer._producer.client._conns.values()):
        connection.close()
    async with asyncio.timeout(20):
        await sink.write(sink.prepare(batches[2]))
        await sink.commit(AT_2)
    records = await read_committed(kafka, make_sink.prefix + "items")
    assert [(record.key, record.value) for record in records] == delivered(*batches)["items"]


async def test_a_transaction_of_another_producer_is_none(kafka: Kafka, make_sink: Sinks) -> None:
    stream, topic = Stream(), make_sink.prefix + "orders"
    sink, other = (
        make_sink(kafka, partitions=1),
        make_sink(kafka, "other", partitions=1, max_request_size=1024),
    )
    await other.open()
    await other.write(other.prepare(stream.inserts(ORDERS, range(100))))  # so much that it is sent
    await sink.open()
    batch = stream.inserts(ORDERS, [1])
    await sink.write(sink.prepare(batch))
    await sink.commit(AT_1)
    await other.abort()
    records = await read_committed(kafka, topic)
    assert [(record.key, record.value) for record in records] == delivered(batch)["orders"]


async def test_where_whose_it_is_cannot_be_told_it_is_waited_for(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProducersRequest, "API_KEY", 999)  # to a broker before 2.8 this one is as unknown
    monkeypatch.setattr(hanging, "_OTHERS", 0.2)
    stream, topic = Stream(), make_sink.prefix + "orders"
    sink, other = (
        make_sink(kafka, partitions=1),
        make_sink(kafka, "other", partitions=1, max_request_size=1024),
    )
    await other.open()
    await other.write(other.prepare(stream.inserts(ORDERS, range(100))))
    assert other._producer is not None
    await other._producer.acknowledged()
    await sink.open()
    batch = stream.inserts(ORDERS, [1])
    with pytest.raises(Retry) as told:
        await sink.write(sink.prepare(batch))
    assert told.value.code is NOT_NOW
    assert "a transaction is open in partition 0 from offset 0 on" in told.value.found
    assert "Grant Read" in told.value.remedy
    await other.abort()
    assert await sink.open() is None
    await sink.write(sink.prepare(batch))
    await sink.commit(AT_1)
    records = await read_committed(kafka, topic)
    assert [(record.key, record.value) for record in records] == delivered(batch)["orders"]


async def test_in_the_offsets_topic_it_is_told(
    forgetful: KafkaServer, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for as long as it takes: whether the checkpoint in it counts is known to nobody yet."""
    kafka = forgetful
    sink = make_sink(kafka)
    await sink.open()
    await sink.commit(AT_1)
    assert await sink.open() == AT_1  # the commit's marker is there
    await leave_hanging(kafka, sink._transactional_id, make_sink.offsets_topic, b"aborted")
    monkeypatch.setattr(offsets_topic, "_READ_TIMEOUT", 0.5)
    monkeypatch.setattr(offsets_topic, "settled", lambda ask: ask())
    for _ in range(2):
        with pytest.raises(Retry) as told:
            await sink.open()
        assert told.value.code is HANGING
        assert "open at offset 2, what must be read ends at 3" in told.value.found
    with pytest.raises(Retry) as others:  # of another sink nobody can say that it has ended
        await make_sink(kafka, "other").open()
    assert others.value.code is NOT_NOW
    producer = Producer(Access((kafka.bootstrap_servers,)), sink._transactional_id, 10)
    await producer.start()
    await producer.send(sink._offsets.record(AT_2), sink._offsets.name, 0)
    await producer.acknowledged()
    await producer.discard()  # aborts, which ends what hung in the partition too
    assert await sink.open() == AT_1
