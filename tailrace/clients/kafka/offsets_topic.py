"""The topic that keeps the checkpoints: one partition, compacted, a key for each sink identity."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from tailrace.abc import Finding
from tailrace.checkpoint import Checkpoint
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.batch import RecordBatch
from tailrace.clients.kafka.checks import replicas
from tailrace.clients.kafka.cluster import Cluster, Topic, settled
from tailrace.clients.kafka.compacted import CompactedReader
from tailrace.clients.kafka.described import Described
from tailrace.clients.kafka.errors import NOT_NOW
from tailrace.clients.kafka.grants import OF_OFFSETS, grant, not_authorised
from tailrace.errors import NotReady, Retry, TailraceError, code
from tailrace.failpoints import failpoint

NOT_COMPACTED = code(
    "TR-KAFKA-020",
    "the offsets topic is not fit for checkpoints",
    "The topic of the checkpoints must have one partition and be compacted, and nothing else: any other "
    "cleanup would delete checkpoints, and with them the place to go on from.",
)
NOT_CREATED = code(
    "TR-KAFKA-021",
    "the offsets topic cannot be created",
    "The topic of the checkpoints does not exist, and the broker refuses to create it.",
)

SETTINGS: Final = {
    "cleanup.policy": "compact",
    # A sink reads the topic from its beginning when it opens, and the newest segment is never compacted.
    "segment.bytes": str(16 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
    # Each transaction leaves a marker of 78 bytes behind, kept this long (ms) after its records are gone.
    "delete.retention.ms": str(10 * 60 * 1000),
}

_READ_TIMEOUT: Final = 15.0  # s that another sink's open transaction is waited for
_PEEK_TIMEOUT: Final = 1.0  # s that a peek waits for any
_created = failpoint("kafka.offsets_topic.created")


class OffsetsTopic:
    """One sink's place in the offsets topic."""

    def __init__(self, name: str, replication_factor: int | None, identity: str) -> None:
        self.name = name
        self._replication_factor = replication_factor
        self._key = identity.encode()

    def record(self, checkpoint: Checkpoint | None) -> RecordBatch:
        """The batch that stores a checkpoint; None: that forgets the stored one."""
        batch = RecordBatch(0, "none")
        batch.add(time.time_ns() // 1_000_000, self._key, None if checkpoint is None else checkpoint.encode())
        return batch

    async def prepare(self, cluster: Cluster) -> None:
        """Create the topic if it is missing, and make sure that it is fit for checkpoints."""
        topic = await self.find(cluster)
        if topic is None:
            refusal = await self.create(cluster)
            if refusal is not None:
                raise NotReady(
                    NOT_CREATED,
                    refusal,
                    "Correct offsets_topic or offsets_replication_factor of the sink (of an offset store: "
                    "topic or replication_factor), grant Create on it, or create it yourself with 1 "
                    f"partition and {_written(SETTINGS)}.",
                    where=f"topic {self.name}",
                )
            _created()
        await settled(lambda: self.verify(cluster))

    async def find(self, cluster: Cluster) -> Topic | None:
        """The topic, if it exists."""
        return (await cluster.topics([self.name])).get(self.name)

    async def create(self, cluster: Cluster, *, dry_run: bool = False) -> str | None:
        """Create the topic, or let the broker check whether it could be. Returns why not."""
        return await cluster.create_topic(
            self.name,
            partitions=1,
            replication_factor=self._replication_factor,
            settings=SETTINGS,
            dry_run=dry_run,
        )

    async def verify(self, cluster: Cluster) -> None:
        """NotReady unless the topic has one partition and is compacted, and only that."""
        topic = await self._existing(cluster)
        policy = (await cluster.topic_settings(self.name))["cleanup.policy"]
        if topic.partitions != 1 or policy != "compact":
            raise NotReady(
                NOT_COMPACTED,
                f"it has {topic.partitions} partition(s) and cleanup.policy={policy}",
                "Name another offsets_topic. Or, if this one was made for tailrace and has 1 partition: "
                f"kafka-configs.sh --alter --topic {self.name} --add-config cleanup.policy=compact",
                where=f"topic {self.name}",
            )

    async def check(self, cluster: Cluster, access: Access, known: Sequence[Described]) -> list[Finding]:
        """For `doctor`: whether it is fit for checkpoints or could be made, may be used, and will last.
        `known` are the topics that the user may describe."""
        title = f"offsets topic {self.name}"
        allow = grant(access, OF_OFFSETS, f"--topic {self.name}")
        found = next((topic for topic in known if topic.name == self.name), None)
        if found is None:
            refusal = await self.create(cluster, dry_run=True)
            if refusal is None:
                return [Finding(title, "missing, will be created")]
            told = f"missing, and the broker refuses to create it: {refusal}"
            return [Finding(title, told, warning=True, remedy=f"Create it, or grant that: {allow}")]
        lacks = found.lacks("Read", "Write", "DescribeConfigs")
        if lacks:
            refused = not_authorised(f"not granted: {', '.join(lacks)}", allow)
            return [Finding(title, refused.found, refused)]
        try:
            await self.verify(cluster)
        except TailraceError as error:
            return [Finding(title, error.found, error)]
        settings = await cluster.topic_settings(self.name)
        least = int(settings.get("min.insync.replicas", 1))
        return [Finding(title, "one partition, compacted"), *replicas(found, cluster.brokers, least)]

    async def read(self, cluster: Cluster, producer_id: int) -> Checkpoint | None:
        """The checkpoint, after everything that was ever sent under this identity. For a sink that has fenced
        its predecessors: what they, and hence `producer_id`, had open is decided. Retry while another sink's
        transaction hides it, or one that the brokers have forgotten to end."""

        async def newest() -> bytes | None:
            reader = CompactedReader(cluster, await self._existing(cluster), self._key)
            return await reader.newest(timeout=_READ_TIMEOUT, producer_id=producer_id)

        return self._decode(await settled(newest))

    async def peek(self, cluster: Cluster) -> Checkpoint | None:
        """The checkpoint as far as it is decided: what a crash has left open is not waited for long."""

        async def newest() -> bytes | None:
            topic = await self.find(cluster)
            if topic is None:
                return None
            reader = CompactedReader(cluster, topic, self._key)
            return await reader.newest_decided(timeout=_PEEK_TIMEOUT)

        return self._decode(await settled(newest))

    async def _existing(self, cluster: Cluster) -> Topic:
        topic = await self.find(cluster)
        if topic is None:
            raise Retry(
                NOT_NOW, "it does not exist yet", "Nothing, if it passes.", where=f"topic {self.name}"
            )
        return topic

    def _decode(self, value: bytes | None) -> Checkpoint | None:
        if value is None:
            return None
        return Checkpoint.decode(value, f"topic {self.name}, key {self._key.decode()}")


def _written(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())
