"""The offset store `kafka`: checkpoints in a compacted topic, which sinks of the type kafka may share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field

from tailrace.abc import Declaration, Finding
from tailrace.checkpoint import Checkpoint
from tailrace.claims import FENCED
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.offsets_topic import OffsetsTopic
from tailrace.clients.kafka.producer import Producer
from tailrace.clients.kafka.settings import KafkaAccess
from tailrace.errors import Fenced, TailraceError
from tailrace.failpoints import failpoint

_TRANSACTION_TIMEOUT: Final = 60.0  # s; a save is one record

_claimed = failpoint("offsets.kafka.claimed")
_sent = failpoint("offsets.kafka.sent")
_saved = failpoint("offsets.kafka.saved")


class KafkaOffsetSettings(KafkaAccess):
    """Settings of the offset store `kafka`."""

    topic: str = Field(
        default="_tailrace_offsets",
        pattern=r"^[a-zA-Z0-9._-]{1,249}$",
        description="The compacted topic; several pipelines may share one.",
    )
    replication_factor: int | None = Field(
        default=None,
        ge=1,
        le=32767,
        description="Replicas of the topic, if it is created. Default: the broker's.",
    )


class KafkaOffsetStore:
    """One transaction per save, under a transactional id of the sink's: Kafka fences the producer before."""

    Settings: ClassVar[type[Declaration]] = KafkaOffsetSettings

    def __init__(self, settings: KafkaOffsetSettings, base: Path) -> None:
        self._settings = settings
        self._access = settings.access(base)
        self._producers: dict[str, Producer] = {}

    async def check(self) -> Sequence[Finding]:
        try:
            async with Cluster(self._access) as cluster:
                found = await self._topic("").check(cluster, self._access, await cluster.described())
                return [Finding("offset store", f"{cluster.brokers} broker(s) at {cluster.where}"), *found]
        except TailraceError as error:
            return [Finding("offset store", str(error), error)]

    async def peek(self, sink: str) -> Checkpoint | None:
        async with Cluster(self._access) as cluster:
            return await self._topic(sink).peek(cluster)

    async def claim(self, sink: str) -> tuple[int, Checkpoint | None]:
        """The epoch is what Kafka numbers the producer with."""
        await self._discard(sink)
        # The id that a sink of the type kafka would have: names are used once in a pipeline.
        producer = self._producers[sink] = Producer(
            self._access, f"tailrace.{sink.replace('/', '.')}", _TRANSACTION_TIMEOUT
        )
        try:
            await producer.start()
            async with Cluster(self._access) as cluster:
                topic = self._topic(sink)
                await topic.prepare(cluster)
                stored = await topic.read(cluster, producer.producer_id)
        except BaseException:
            await self._discard(sink)
            raise
        _claimed()
        return producer.number, stored

    async def save(self, sink: str, epoch: int, checkpoint: Checkpoint) -> None:
        producer = self._producers.get(sink)
        if producer is None or producer.number != epoch:
            raise Fenced(
                FENCED,
                f"{sink} has been claimed anew or given up since epoch {epoch}",
                "Nothing: whoever claimed it goes on.",
                where=f"topic {self._settings.topic}",
            )
        await self._store(sink, producer, checkpoint)

    async def forget(self, sink: str) -> bool:
        if await self.peek(sink) is None:
            return False
        await self.claim(sink)
        try:
            await self._store(sink, self._producers[sink], None)
        finally:
            await self._discard(sink)
        return True

    async def close(self) -> None:
        for sink in list(self._producers):
            await self._discard(sink)

    def _topic(self, sink: str) -> OffsetsTopic:
        return OffsetsTopic(self._settings.topic, self._settings.replication_factor, sink)

    async def _store(self, sink: str, producer: Producer, checkpoint: Checkpoint | None) -> None:
        try:
            await producer.send(self._topic(sink).record(checkpoint), self._settings.topic, 0)
            _sent()
            await producer.commit()
        except BaseException:
            await self._discard(sink)  # no producer is used after its first failure
            raise
        _saved()

    async def _discard(self, sink: str) -> None:
        producer = self._producers.pop(sink, None)
        if producer is not None:
            await producer.discard()
