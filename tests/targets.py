"""Events read back from a pipeline's targets, piece by piece, in the form that `tests.truth` compares.

Each target is told what the names of its topics begin with before `schema.table`. `reduce` says what is kept
of an envelope.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tailrace.log import Reader
from tests.servers import Kafka
from tests.truth import Delivered
from tests.truth.events import reduced
from tests.waiting import eventually

Reduce: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]


class KafkaTarget:
    """Topics as a consumer with read_committed sees them. A partition is a sequence."""

    def __init__(self, kafka: Kafka, prefix: str, *, reduce: Reduce = reduced) -> None:
        self._kafka = kafka
        self._prefix = prefix
        self._reduce = reduce
        self._offsets: dict[TopicPartition, int] = {}

    def read(self) -> Sequence[Delivered]:
        """What was committed since the last call. Waits until every transaction is decided."""
        return asyncio.run(self._read())

    async def _read(self) -> Sequence[Delivered]:
        partitions = await self._partitions()
        if not partitions:
            return []
        async with self._consumer("read_uncommitted") as everything:
            # A committed transaction's last markers may still be on their way, so that the end of what is
            # committed lies before them: what counts is the end of everything.
            ends = await everything.end_offsets(partitions)
        behind = [partition for partition in partitions if self._offsets.get(partition, 0) < ends[partition]]
        if not behind:
            return []
        found: list[Any] = []
        async with self._consumer("read_committed") as committed:
            committed.assign(behind)
            for partition in behind:
                committed.seek(partition, self._offsets.get(partition, 0))

            async def at_the_end() -> bool:
                for partition, records in (await committed.getmany(timeout_ms=50)).items():
                    # What has come since is left to the next call.
                    found.extend(record for record in records if record.offset < ends[partition])
                return all([await committed.position(one) >= ends[one] for one in behind])

            await eventually(at_the_end, f"the ends of {self._prefix}*")
        self._offsets |= {partition: ends[partition] for partition in behind}
        found.sort(key=lambda record: (record.topic, record.partition, record.offset))
        return [_from_kafka(record, self._prefix, self._reduce) for record in found]

    async def _partitions(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka.bootstrap_servers)
        await admin.start()
        try:
            topics = [name for name in await admin.list_topics() if name.startswith(self._prefix)]
            described = await admin.describe_topics(topics) if topics else []
        finally:
            await admin.close()
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]

    @contextlib.asynccontextmanager
    async def _consumer(self, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            isolation_level=isolation,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


class LogTarget:
    """An embedded log, read beside whoever writes. A topic is a sequence. `begin`: the offsets from which
    topics are read, where that is not 0."""

    def __init__(
        self, path: Path, prefix: str, begin: Mapping[str, int] | None = None, *, reduce: Reduce = reduced
    ) -> None:
        self.path = path
        self._prefix = prefix
        self._reduce = reduce
        self._offsets: dict[str, int] = dict(begin or {})

    def read(self) -> Sequence[Delivered]:
        """What was committed since the last call."""
        with contextlib.closing(Reader(self.path)) as reader:
            topics = [topic.name for topic in reader.topics() if topic.name.startswith(self._prefix)]
            return [found for topic in topics for found in self._topic(reader, topic)]

    def _topic(self, reader: Reader, topic: str) -> Iterator[Delivered]:
        while True:
            page = reader.read(topic, self._offsets.get(topic, 0))
            for entry in page.entries:
                assert entry.offset == self._offsets.get(topic, 0), "offsets are dense"
                self._offsets[topic] = entry.offset + 1
                name = topic.removeprefix(self._prefix)
                yield _delivered(topic, name, entry.identity, entry.key, entry.value, self._reduce)
            if page.end:
                return


class LinesTarget:
    """Files of lines that the sink stdout wrote, one for each process: all together are one sequence."""

    def __init__(self, folder: Path, prefix: str, *, reduce: Reduce = reduced) -> None:
        self._folder = folder
        self._prefix = prefix
        self._reduce = reduce
        self._read: set[Path] = set()

    def read(self) -> Sequence[Delivered]:
        """The lines of the files that came since the last call, whose processes must have ended. One that was
        killed may have left half a line."""
        found = []
        for path in sorted(set(self._folder.iterdir()) - self._read):
            self._read.add(path)
            lines = path.read_bytes().split(b"\n")
            for line in lines[:-1]:
                event = json.loads(line)
                found.append(
                    Delivered(
                        "stdout",
                        event["topic"].removeprefix(self._prefix),
                        event["position"],
                        event["key"],
                        event["value"] and self._reduce(event["value"]),
                    )
                )
        return found


def _from_kafka(record: Any, prefix: str, reduce: Reduce) -> Delivered:
    [position] = [value.decode() for name, value in record.headers if name == "tailrace.position"]
    topic = record.topic.removeprefix(prefix)
    return _delivered((topic, record.partition), topic, position, record.key, record.value, reduce)


def _delivered(
    sequence: object, topic: str, position: str, key: bytes | None, value: bytes | None, reduce: Reduce
) -> Delivered:
    return Delivered(
        sequence,
        topic,
        position,
        None if key is None else json.loads(key),
        None if value is None else reduce(json.loads(value)),
    )
