"""What `doctor` and every start look at before anything is fenced or created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sinks.kafka.config import KafkaSettings
from tailrace.abc import Finding
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.checks import replicas, transactions
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.described import Described
from tailrace.clients.kafka.grants import OF_TOPICS, grant, not_authorised
from tailrace.clients.kafka.offsets_topic import OffsetsTopic
from tailrace.errors import NotReady, TailraceError
from tailrace.topics import FIELDS

_WITHOUT: Final = {
    "Read": "whose transaction it is that is open there cannot be told, so that any is waited for at a start",
    "DescribeConfigs": "a record that it does not take is not named before",
}
"""What is worse without a right that a sink can do without."""


async def findings(
    settings: KafkaSettings, access: Access, offsets: OffsetsTopic, pipeline: str, transactional_id: str
) -> Sequence[Finding]:
    """One finding each on the brokers, the offsets topic and the topics that may have to be created; more
    where a right is missing or replicas are too few."""
    try:
        async with Cluster(access) as cluster:
            known = await cluster.described()
            ours = _ours(settings, pipeline, known)
            readable = [topic.name for topic in ours if not topic.lacks("DescribeConfigs")]
            least = {
                name: int(found.get("min.insync.replicas", 1))
                for name, found in (await cluster.settings_of(readable)).items()
            }
            return [
                Finding("Kafka", f"{cluster.brokers} broker(s) at {cluster.where}"),
                *await transactions(cluster, access, transactional_id, settings.transaction_timeout),
                *await offsets.check(cluster, access, known),
                await _new_topics(settings, access, pipeline, cluster),
                *_topics(settings, access, pipeline, cluster.brokers, ours, least),
            ]
    except TailraceError as error:
        return [Finding("Kafka", str(error), error)]


async def _new_topics(settings: KafkaSettings, access: Access, pipeline: str, cluster: Cluster) -> Finding:
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
        try:
            await cluster.topics([name])
        except NotReady as error:  # a warning: each table's own topic may be allowed by its name
            return Finding("new topics", error.found, warning=True, remedy=_grant(settings, access, pipeline))
        return Finding("new topics", f"can be created, such as {name}")
    return Finding(
        "new topics",
        f"cannot be created, such as {name}: {refusal}",
        warning=True,
        remedy="Correct partitions, replication_factor or topic_settings, or create them, or grant Create: "
        + _grant(settings, access, pipeline),
    )


def _ours(settings: KafkaSettings, pipeline: str, known: Sequence[Described]) -> list[Described]:
    """The topics that the sink has already, as far as their names can be told apart."""
    prefix = _prefix(settings, pipeline)
    return [topic for topic in known if prefix and topic.name.startswith(prefix)]


def _topics(
    settings: KafkaSettings,
    access: Access,
    pipeline: str,
    brokers: int,
    ours: Sequence[Described],
    least: Mapping[str, int],
) -> list[Finding]:
    """What is wrong with the topics that the sink has already. `least`: their min.insync.replicas, of those
    whose settings may be read."""
    found = []
    for topic in ours:
        title = f"topic {topic.name}"
        lacks = topic.lacks("Write", *_WITHOUT)
        if "Write" in lacks:
            error = not_authorised("Write is not granted", _grant(settings, access, pipeline))
            found.append(Finding(title, error.found, error))
        elif lacks:
            told = "; ".join(f"{right} is not granted: {_WITHOUT[right]}" for right in lacks)
            found.append(Finding(title, told, warning=True, remedy=_grant(settings, access, pipeline)))
        found += replicas(topic, brokers, least.get(topic.name))
    return found


def _grant(settings: KafkaSettings, access: Access, pipeline: str) -> str:
    prefix = _prefix(settings, pipeline)
    return grant(access, OF_TOPICS, "--topic " + (prefix or "'*'"), prefixed=bool(prefix))


def _prefix(settings: KafkaSettings, pipeline: str) -> str:
    """What the names of all the sink's topics begin with."""
    return settings.topic.replace("{pipeline}", pipeline).partition("{")[0]
