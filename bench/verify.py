"""That a measured run delivered what it was measured for: every row once, in order, right."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.workload import Workload
from tests.servers import Kafka


class _Payload(msgspec.Struct):
    op: str
    after: dict[str, Any]


def verify(kafka: Kafka, topic: str, workload: Workload) -> None:
    """Read the topic back; AssertionError unless each row is there once and ids ascend in each partition."""
    asyncio.run(_verify(kafka, topic, workload))


async def _verify(kafka: Kafka, topic: str, workload: Workload) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    decoder = msgspec.json.Decoder(_Payload)
    seen = 0
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        if not partitions:  # metadata of a topic that nobody asked for yet
            await consumer._client.force_metadata_update()
            numbers = await consumer._client.fetch_all_metadata()
            partitions = [TopicPartition(topic, n) for n in numbers.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        last = dict.fromkeys(partitions, 0)
        unread = {partition for partition in partitions if ends[partition]}
        while unread:
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    payload = decoder.decode(record.value)
                    row = payload.after
                    number = int(row["id"])
                    assert number > last[partition], f"id {number} after {last[partition]}"
                    assert row["v"] == f"customer number {number}", row
                    assert row["i"] == number % 1000 + workload.updates, row
                    last[partition] = number
                    seen += 1
            unread = {
                partition for partition in unread if await consumer.position(partition) < ends[partition]
            }
        assert seen == workload.rows, f"{seen} records for {workload.rows} rows"
    finally:
        await consumer.stop()
