"""What `doctor` and every start look at before anything is fenced or created."""

from __future__ import annotations

from collections.abc import Sequence

from sinks.kafka.config import KafkaSettings
from tailrace.abc import Finding
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.offsets_topic import OffsetsTopic
from tailrace.errors import TailraceError
from tailrace.topics import FIELDS


async def findings(
    settings: KafkaSettings, access: Access, offsets: OffsetsTopic, pipeline: str
) -> Sequence[Finding]:
    """One finding each on the brokers, the offsets topic and the topics that may have to be created."""
    try:
        async with Cluster(access) as cluster:
            return [
                Finding("Kafka", f"{cluster.brokers} broker(s) at {cluster.where}"),
                await _offsets_topic(offsets, cluster),
                await _new_topics(settings, pipeline, cluster),
            ]
    except TailraceError as error:
        return [Finding("Kafka", str(error), error)]


async def _offsets_topic(offsets: OffsetsTopic, cluster: Cluster) -> Finding:
    title = f"offsets topic {offsets.name}"
    if await offsets.find(cluster) is not None:
        try:
            await offsets.verify(cluster)
        except TailraceError as error:
            return Finding(title, error.found, error)
        return Finding(title, "one partition, compacted")
    refusal = await offsets.create(cluster, dry_run=True)
    if refusal is not None:
        return Finding(title, f"missing, and the broker refuses to create it: {refusal}", warning=True)
    return Finding(title, "missing, will be created")


async def _new_topics(settings: KafkaSettings, pipeline: str, cluster: Cluster) -> Finding:
    # Not an error: existing topics are used as they are, and a broker may be missing for a while.
    name = settings.topic.replace("{pipeline}", pipeline)
    for field in FIELDS:
        name = name.replace(f"{{{field}}}", field)
    refusal = await cluster.create_topic(
        name,
        partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        settings=settings.topic_settings,
        dry_run=True,
    )
    if refusal is None:
        return Finding("new topics", f"can be created, such as {name}")
    return Finding(
        "new topics",
        f"cannot be created, such as {name}: {refusal}",
        warning=True,
        remedy="Correct partitions, replication_factor or topic_settings, grant Create, or create them.",
    )
