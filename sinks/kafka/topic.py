"""Topics as the sink writes them: found or created, and the batch that is being filled per partition."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sinks.kafka.config import KafkaSettings
from sinks.kafka.framing import Frame
from sinks.kafka.oversize import Oversize
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.batch import RecordBatch, Row
from tailrace.clients.kafka.cluster import Cluster, settled
from tailrace.clients.kafka.errors import NOT_AUTHORISED
from tailrace.clients.kafka.hanging import refuse_hanging
from tailrace.clients.kafka.producer import Producer
from tailrace.errors import NotReady, Rejected, code
from tailrace.failpoints import failpoint

TOPIC_NOT_CREATED = code(
    "TR-KAFKA-010",
    "a topic cannot be created",
    "A table's topic does not exist, and the broker refuses to create it as it is configured.",
)
NO_KEY = code(
    "TR-KAFKA-013",
    "an event without a key, for a compacted topic",
    "A TRUNCATE and the changes of a table without a key have none, and Kafka refuses such records where it "
    "compacts by key. Nothing of the unit is delivered: leaving it out would lose it unsaid.",
)

_created = failpoint("kafka.topic.created")
_sent = failpoint("kafka.write.sent")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a topic's own settings allow, as far as there is such a bound and it may be read."""

    batch: int | None  # bytes of a batch at most
    age: int | None  # ms after its timestamp a record is deleted
    keyed: bool  # it is compacted, hence no record without a key


_UNKNOWN: Final = Bounds(None, None, keyed=False)


async def find_or_create(name: str, settings: KafkaSettings, access: Access, producer_id: int) -> Bounds:
    """Make sure that the topic exists and that nothing of `producer_id` hangs in it, and look at its bounds.
    Called before that producer's first record for the topic."""
    async with Cluster(access) as cluster:
        if name in await cluster.topics([name]):
            await refuse_hanging(cluster, access, name, producer_id)
        else:
            refusal = await cluster.create_topic(
                name,
                partitions=settings.partitions,
                replication_factor=settings.replication_factor,
                settings=settings.topic_settings,
            )
            if refusal is not None:
                raise NotReady(
                    TOPIC_NOT_CREATED,
                    refusal,
                    "Correct the sink's topic, partitions, replication_factor or topic_settings, grant "
                    "Create on it, or create the topic yourself.",
                    where=f"topic {name}",
                )
            _created()
        try:
            found = await settled(lambda: cluster.topic_settings(name))
        except NotReady as error:
            if error.code is not NOT_AUTHORISED:
                raise
            return _UNKNOWN  # who may write need not be allowed to read settings
        policy, retention = found["cleanup.policy"], int(found["retention.ms"])
        deletes = "delete" in policy and found["message.timestamp.type"] == "CreateTime"
        return Bounds(
            int(found["max.message.bytes"]),
            retention if deletes and retention > 0 else None,
            keyed="compact" in policy,
        )


class TopicWriter:
    """Splits rows by partition into batches; a batch is sent when it is full, the rest by `flush`."""

    def __init__(
        self, name: str, partitions: int, bounds: Bounds, settings: KafkaSettings, oversize: Oversize
    ) -> None:
        self._name = name
        self._open: list[RecordBatch | None] = [None] * partitions
        self._compression = settings.compression
        self._bounds = bounds
        self._oversize = oversize
        self._limit = min(settings.max_request_size, bounds.batch or settings.max_request_size)

    @property
    def size(self) -> int:
        """Bytes that are not sent yet."""
        return sum(batch.size() for batch in self._open if batch is not None)

    @property
    def partitions(self) -> int:
        """Over how many the records are spread."""
        return len(self._open)

    async def write(self, frame: Frame, producer: Producer) -> None:
        """Take the rows of a frame, in order. Rejected: a record is larger than a batch may be and is not to
        be left out, or lacks the key that the topic asks for."""
        if self._bounds.keyed:
            self._refuse_keyless(frame.rows)
        count = len(self._open)
        split: list[list[Row]] = [[] for _ in range(count)]
        for hash, row in zip(frame.hashes, self._kept_a_while(frame), strict=True):
            split[hash % count].append(row)
        for partition, rows in enumerate(split):
            taken = 0
            while taken < len(rows):
                batch = self._open[partition]
                if batch is None:
                    batch = RecordBatch(self._limit, self._compression)
                    first = rows[taken]
                    taken = batch.fill(rows, taken)
                    if batch.size() > self._limit and self._oversize.leaves_out(
                        first, batch.size(), self._name, self._bounds.batch
                    ):
                        continue  # it is alone in the batch: nothing else found room
                    self._open[partition] = batch
                else:
                    taken = batch.fill(rows, taken)
                if taken < len(rows):
                    await self._send(partition, batch, producer)
                    _sent()

    async def flush(self, producer: Producer) -> None:
        """Send what is open."""
        for partition, batch in enumerate(self._open):
            if batch is not None:
                await self._send(partition, batch, producer)

    async def _send(self, partition: int, batch: RecordBatch, producer: Producer) -> None:
        self._open[partition] = None
        await producer.send(batch, self._name, partition)

    def _kept_a_while(self, frame: Frame) -> list[Row]:
        """The rows; those that the topic would soon delete are dated later, so that what was delivered late
        can still be read for half of its retention at least."""
        if self._bounds.age is None:
            return frame.rows
        earliest = time.time_ns() // 1_000_000 - self._bounds.age // 2
        if frame.oldest >= earliest:
            return frame.rows
        return [(max(row[0], earliest), row[1], row[2], row[3], row[4]) for row in frame.rows]

    def _refuse_keyless(self, rows: Sequence[Row]) -> None:
        """The broker's refusal is younger than aiokafka, which takes it for an error that passes."""
        record = next((row[-1] for row in rows if row[1] is None), None)
        if record is not None:
            raise Rejected(
                NO_KEY,
                f"the {record.change.op!r} of {record.change.table} at {record.position} has no key, "
                "the topic is compacted",
                # Without the retention Kafka would begin to delete what compaction has kept for years.
                f"Have it keep everything: kafka-configs.sh --alter --topic {self._name} --add-config "
                "cleanup.policy=delete,retention.ms=-1, then start again. When its readers have seen a "
                "TRUNCATE, the topic of a table with a key may be compacted again.",
                where=f"topic {self._name}",
            )
