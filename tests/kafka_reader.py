"""Topics read back as a careful consumer does: with a consumer of aiokafka, committed records alone."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.servers import Kafka
from tests.waiting import eventually


async def read_committed(kafka: Kafka, topic: str, *, beside_open: bool = False) -> list[Any]:
    """The records of a topic, partition by partition in their order. A topic that does not exist is empty.

    Waits until every transaction that wrote to it is decided and visible; with `beside_open` it reads as far
    as it can without waiting, which is up to the first transaction that is not.
    """
    return await _read(
        kafka, topic, "read_committed", "read_committed" if beside_open else "read_uncommitted"
    )


async def read_uncommitted(kafka: Kafka, topic: str) -> list[Any]:
    """The same with what is open or was aborted."""
    return await _read(kafka, topic, "read_uncommitted", "read_uncommitted")


async def _read(kafka: Kafka, topic: str, isolation: str, end_isolation: str) -> list[Any]:
    places = await _partitions(kafka, topic)
    if not places:
        return []
    async with _consumer(kafka, end_isolation) as consumer:
        ends = await consumer.end_offsets(places)
    async with _consumer(kafka, isolation) as consumer:
        consumer.assign(places)
        records: list[Any] = []

        async def at_the_end() -> bool:
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                records.extend(batch)
            return all([await consumer.position(place) >= ends[place] for place in places])

        await eventually(at_the_end, f"the end of {topic}")
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _consumer(kafka: Kafka, isolation: str) -> Any:
    return AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )


async def _partitions(kafka: Kafka, topic: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, partition["partition"]) for partition in found["partitions"]]
