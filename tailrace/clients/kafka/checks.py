"""What a pipeline needs of a cluster beside topics of its own: transactions, and replicas enough."""

from __future__ import annotations

from tailrace.abc import Finding
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.described import Described
from tailrace.clients.kafka.errors import NOT_AUTHORISED, NOT_NOW, NOT_SUPPORTED
from tailrace.clients.kafka.grants import OF_TRANSACTIONS, grant, not_authorised
from tailrace.errors import NotReady, Retry, TailraceError


async def transactions(
    cluster: Cluster, access: Access, transactional_id: str, timeout: float
) -> list[Finding]:
    """Nothing, or why there can be none: a right that is missing, a timeout (s) that the broker refuses."""
    found = []
    title = f"transactional id {transactional_id}"
    if await cluster.refuses_transactions(transactional_id):
        command = grant(access, OF_TRANSACTIONS, f"--transactional-id {transactional_id}")
        error: TailraceError = not_authorised("Write is not granted", command)
        found.append(Finding(title, error.found, error))
    try:
        longest = int((await cluster.broker_settings()).get("transaction.max.timeout.ms", 2**31))
    except NotReady as refused:
        if refused.code is not NOT_AUTHORISED:
            raise
        return found  # a right on the whole cluster, which is not asked for
    if timeout * 1000 > longest:
        error = NotReady(
            NOT_SUPPORTED,
            f"transaction_timeout is {timeout:g} s, the broker's transaction.max.timeout.ms allows "
            f"{longest / 1000:g} s",
            "Lower transaction_timeout, or raise the broker's transaction.max.timeout.ms.",
        )
        found.append(Finding(title, error.found, error))
    return found


def replicas(topic: Described, brokers: int, min_in_sync: int | None = None) -> list[Finding]:
    """Nothing, or that a topic has too few replicas to be written, or to outlive a broker.

    `min_in_sync` is its min.insync.replicas, if that may be read; Kafka does not ask for more than there are
    (before 3.5 it does).
    """
    title = f"topic {topic.name}"
    factor, in_sync = min(topic.replicas, default=0), min(topic.in_sync, default=0)
    if min_in_sync is not None and in_sync < min(min_in_sync, factor):
        error = Retry(
            NOT_NOW,
            f"of {factor} replicas {in_sync} are in sync, min.insync.replicas is {min_in_sync}: no record is "
            "taken",
            "Bring the missing brokers back.",
        )
        return [Finding(title, error.found, error)]
    if min_in_sync is not None and factor < min_in_sync:
        told = f"{factor} replica(s), min.insync.replicas is {min_in_sync}: Kafka before 3.5 takes no record"
    elif factor == 1 and brokers > 1:
        told = f"one replica, although there are {brokers} brokers: it is gone with the disk of one"
    else:
        return []
    remedy = "kafka-reassign-partitions.sh raises the replicas; 3 with min.insync.replicas=2 are usual."
    return [Finding(title, told, warning=True, remedy=remedy)]
