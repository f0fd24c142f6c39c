"""The Kafka sink: a topic per table, records and checkpoint in one transaction.

`open` starts a producer, which fences the one before it and aborts its transaction, and only then reads the
checkpoint: nobody can change it any more without being noticed. A unit is one transaction, the checkpoint's
record the last in it. After any failure the producer is thrown away, and the next `open` tells what happened.

Transactions begin with the first batch that is sent, at the earliest when a record batch is full; the engine
commits within `unit.seconds` of that, so that none is open while the source is silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from sinks.kafka.config import KafkaSettings
from sinks.kafka.doctor import findings
from sinks.kafka.framing import Frame, Framer
from sinks.kafka.oversize import Oversize
from sinks.kafka.topic import TopicWriter, find_or_create
from tailrace.abc import Declaration, Explanation, Finding, Guarantee, SinkContext, Unit
from tailrace.checkpoint import Checkpoint
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.errors import FENCED
from tailrace.clients.kafka.offsets_topic import OffsetsTopic
from tailrace.clients.kafka.producer import Producer
from tailrace.errors import Fenced
from tailrace.events import Batch
from tailrace.failpoints import failpoint
from tailrace.topics import TopicTemplate

_MAX_OPEN: Final = 16 * 1024 * 1024  # bytes in batches that are not full: bounds memory when there are many

_fenced = failpoint("kafka.open.fenced")
_commit_sent = failpoint("kafka.commit.sent")


class KafkaSink:
    """See `tailrace.abc.Sink`. Exactly once for readers with isolation.level=read_committed.

    Order: within a partition as in the log. Records with equal keys share a partition (the Java client's
    choice), and so do all records of a table that have no key. A record's timestamp is the commit of its
    transaction, or later where the topic would delete it soon after it arrives.
    """

    Settings: ClassVar[type[Declaration]] = KafkaSettings
    alone = False
    guarantee = Guarantee.EXACTLY_ONCE
    unit = Unit()

    def __init__(self, settings: KafkaSettings, context: SinkContext) -> None:
        self.identity = context.identity
        self._settings = settings
        self._access = settings.access(context.base)
        self._transactional_id = f"tailrace.{context.pipeline}.{context.name}"
        self._pipeline = context.pipeline
        self._template = TopicTemplate(settings.topic)
        self._framer = Framer(
            context.format,
            self._template,
            position=settings.headers.position,
            tombstones=settings.tombstones,
        )
        self._offsets = OffsetsTopic(
            settings.offsets_topic, settings.offsets_replication_factor, context.identity
        )
        self._oversize = Oversize(settings, context.identity)
        self._producer: Producer | None = None
        self._topics: dict[str, TopicWriter] = {}

    async def check(self) -> Sequence[Finding]:
        return await findings(
            self._settings, self._access, self._offsets, self._pipeline, self._transactional_id
        )

    async def peek(self) -> Checkpoint | None:
        async with Cluster(self._access) as cluster:
            return await self._offsets.peek(cluster)

    async def open(self) -> Checkpoint | None:
        await self.close()
        self._oversize.reset()
        self._producer = Producer(self._access, self._transactional_id, self._settings.transaction_timeout)
        try:
            await self._producer.start()
            _fenced()
            async with Cluster(self._access) as cluster:
                await self._offsets.prepare(cluster)
                return await self._offsets.read(cluster, self._producer.producer_id)
        except BaseException:
            await self.close()
            raise

    def prepare(self, batch: Batch) -> dict[str, Frame]:
        return self._framer.frame(batch)

    async def write(self, payload: dict[str, Frame]) -> None:
        producer = self._opened
        for name, frame in payload.items():
            topic = self._topics.get(name) or await self._open_topic(name, producer)
            await topic.write(frame, producer)
        if sum(topic.size for topic in self._topics.values()) > _MAX_OPEN:
            await self._flush(producer)
            await producer.acknowledged()

    def skipped(self) -> Mapping[str, int]:
        """See `tailrace.abc.Skips`."""
        return dict(self._oversize.skipped)

    async def commit(self, checkpoint: Checkpoint) -> None:
        await self._commit(checkpoint)
        self._oversize.reset()
        if self._opened.worn_out and await self.open() != checkpoint:
            raise Fenced(
                FENCED,
                "another process has claimed this sink while its producer was replaced",
                "Run one process per pipeline.",
                where=self.identity,
            )

    async def abort(self) -> None:
        await self.close()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        self._topics.clear()
        if producer is not None:
            await producer.discard()

    async def store(self, checkpoint: Checkpoint) -> None:
        try:
            await self.open()
            await self._commit(checkpoint)
        finally:
            await self.close()

    async def forget(self, *, dry_run: bool) -> Sequence[str]:
        if await self.peek() is None:
            return []
        if not dry_run:
            try:
                await self.open()
                await self._commit(None)
            finally:
                await self.close()
        return [f"checkpoint of {self.identity} in topic {self._offsets.name}"]

    def explain(self) -> Explanation:
        """See `tailrace.abc.Explains`."""
        return Explanation(
            unit="records and checkpoint are one Kafka transaction; "
            "readers need isolation.level=read_committed",
            fence=f"a newer process takes over the transactional id {self._transactional_id}, which aborts "
            "what an older one has open and refuses all that it sends",
            stored={f"topic {self._offsets.name}, key {self.identity}": "the checkpoint"},
            made={
                f"topics {self._settings.topic}": "records, a topic per table, made with the first of them",
                f"topic {self._offsets.name}": "checkpoints, compacted; of all pipelines of the cluster",
            },
            left_out="records that are too large (record_too_large: skip), each with a warning that names it"
            if self._settings.record_too_large == "skip"
            else "",
        )

    @property
    def _opened(self) -> Producer:
        if self._producer is None:
            raise RuntimeError(f"{self.identity} is not open")
        return self._producer

    async def _open_topic(self, name: str, producer: Producer) -> TopicWriter:
        bounds = await find_or_create(name, self._settings, self._access, producer.producer_id)
        partitions = await producer.partitions(name)
        topic = self._topics[name] = TopicWriter(name, partitions, bounds, self._settings, self._oversize)
        return topic

    async def _flush(self, producer: Producer) -> None:
        for topic in self._topics.values():
            await topic.flush(producer)

    async def _commit(self, checkpoint: Checkpoint | None) -> None:
        producer = self._opened
        await self._flush(producer)
        await producer.send(self._offsets.record(checkpoint), self._offsets.name, 0)
        _commit_sent()
        await producer.commit()
        # Between two units, so that within one a key stays where it is; the next record looks at the topic.
        for name, topic in list(self._topics.items()):
            if producer.known_partitions(name) not in (None, topic.partitions):
                del self._topics[name]
