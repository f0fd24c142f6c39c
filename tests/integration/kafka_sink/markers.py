"""Transactions that hang, made on purpose, and ended as `kafka-transactions.sh` does."""

from __future__ import annotations

import shlex
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.producers import ProducersRequest
from tests.servers import Kafka

_TOPICS = ("topics", CompactArray(("name", CompactString("utf-8")), ("partitions", CompactArray(Int32)),
                                  ("tags", TaggedFields)))  # fmt: skip


class _Response(Response):  # type: ignore[misc]  # its base has no types
    API_KEY = 27
    API_VERSION = 1
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                (
                    "topics",
                    CompactArray(
                        ("name", CompactString("utf-8")),
                        (
                            "partitions",
                            CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestV1(RequestStruct):  # type: ignore[misc]  # its base has no types
    FLEXIBLE_VERSION = True
    API_KEY = 27
    API_VERSION = 1
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "markers",
            CompactArray(
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("commit", Boolean),
                _TOPICS,
                ("coordinator_epoch", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _WriteMarker(Request[_RequestV1]):  # type: ignore[misc]  # its base has no types
    API_KEY = 27

    def __init__(self, marker: tuple[Any, ...]) -> None:
        self._marker = marker

    def build(self, request_struct_class: type[_RequestV1]) -> _RequestV1:
        return request_struct_class([self._marker], {})


async def leave_hanging(kafka: Kafka, transactional_id: str, topic: str, *values: bytes) -> None:
    """Records in partition 0, in a transaction whose end does not come there: its coordinator knows nothing
    of them. The broker must not verify transactions."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=transactional_id)
    await producer.start()
    try:
        producer._txn_manager.maybe_add_partition_to_txn = lambda partition: None
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value, key=b"hangs", partition=0)
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def execute(kafka: Kafka, command: str) -> None:
    """What `kafka-transactions.sh … abort` does."""
    words = shlex.split(command)
    assert words[:4] == ["kafka-transactions.sh", "--bootstrap-server", kafka.bootstrap_servers, "abort"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    topic, partition = given["--topic"], int(given["--partition"])
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        leader = (await cluster.topics([topic]))[topic].leaders[partition]
        answer = await cluster._ask(ProducersRequest(topic, [partition]), "looking", leader)
        ((_, ((_, _, _, producers, _),), _),) = answer.topics
        [(number, epoch, _, _, coordinator, _, _)] = [
            producer for producer in producers if producer[5] == int(given["--start-offset"])
        ]
        marker: tuple[Any, ...] = (number, epoch, False, [(topic, [partition], {})], max(coordinator, 0), {})
        answer = await cluster._ask(_WriteMarker(marker), "aborting", leader)
    ((_, ((_, ((_, error, _),), _),), _),) = answer.markers
    assert error == 0
