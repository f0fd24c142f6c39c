"""The Kafka sink under the acceptance suite of `tailrace.testing.sinks`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sinks.kafka import KafkaSettings, KafkaSink
from tailrace.abc import Sink, SinkContext
from tailrace.events import Table
from tailrace.testing.events import Delivered
from tailrace.testing.sinks import FORMAT, ExactlyOnceSinkAcceptance, SinkHarness
from tests.kafka_reader import read_committed
from tests.servers import Kafka


class KafkaHarness:
    """Topics with a prefix of the test's own, one partition each."""

    def __init__(self, kafka: Kafka, prefix: str, **settings: Any) -> None:
        self._kafka = kafka
        self._prefix = prefix
        self._settings = settings

    def sink(self, name: str = "main") -> Sink:
        settings = KafkaSettings(
            bootstrap_servers=self._kafka.bootstrap_servers,
            topic=self._prefix + "{schema}.{table}",
            partitions=1,
            offsets_topic=self._prefix + "offsets",
            **self._settings,
        )
        return KafkaSink(settings, SinkContext(self._prefix + "acceptance", name, FORMAT, Path()))

    async def read_back(self, table: Table) -> Sequence[Delivered]:
        records = await read_committed(self._kafka, f"{self._prefix}{table}")
        return [(record.key, record.value) for record in records]


class TestKafka(ExactlyOnceSinkAcceptance):
    @pytest.fixture
    def harness(self, kafka: Kafka, topic_prefix: str) -> SinkHarness:
        return KafkaHarness(kafka, topic_prefix)


class TestKafkaThatLeavesOut(TestKafka):
    """With `record_too_large: skip`, and a bound that nothing of the suite reaches."""

    @pytest.fixture
    def harness(self, kafka: Kafka, topic_prefix: str) -> SinkHarness:
        return KafkaHarness(kafka, topic_prefix, record_too_large="skip", max_request_size=100_000)
