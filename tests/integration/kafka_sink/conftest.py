"""Sinks on a Kafka, closed at the end of the test."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sinks.kafka import KafkaSettings, KafkaSink
from tailrace.abc import SinkContext
from tailrace.testing.events import PlainFormat
from tests.servers import Kafka


class Sinks:
    """Makes sinks of one pipeline whose topics are named `{prefix}{table}`; equal names are one identity."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._made: list[KafkaSink] = []

    @property
    def offsets_topic(self) -> str:
        return self.prefix + "offsets"

    def __call__(self, kafka: Kafka, name: str = "kafka", **changed: Any) -> KafkaSink:
        """Settings that are `changed` may lie outside of what a file may hold."""
        settings = KafkaSettings(
            bootstrap_servers=kafka.bootstrap_servers,
            topic=self.prefix + "{table}",
            offsets_topic=self.offsets_topic,
        ).model_copy(update=changed)
        self._made.append(
            KafkaSink(settings, SinkContext(self.prefix + "orders", name, PlainFormat(), Path()))
        )
        return self._made[-1]

    async def close(self) -> None:
        for sink in self._made:
            await sink.close()


@pytest.fixture
async def make_sink(topic_prefix: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Sinks]:
    """Also looks after asyncio: it logs, with a traceback, every failure that nobody has looked at."""
    sinks = Sinks(topic_prefix)
    yield sinks
    await sinks.close()
    gc.collect()
    logged = [*caplog.get_records("call"), *caplog.get_records("teardown")]
    assert [record.getMessage() for record in logged if record.name == "asyncio"] == []
