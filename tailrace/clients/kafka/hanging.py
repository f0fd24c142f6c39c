"""Transactions of this sink's that have ended, and that the brokers have forgotten to end in a topic.

A marker ends whatever its producer has open in a partition, also what an earlier epoch of it has left there:
the next commit of this sink would commit what hangs and was aborted, and its next abort take away what hangs
and was committed. So nothing is written to a partition before it is known that nothing hangs there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster, Topic, settled
from tailrace.clients.kafka.errors import NOT_AUTHORISED, NOT_NOW, NOT_SUPPORTED
from tailrace.errors import NotReady, Retry, code

HANGING = code(
    "TR-KAFKA-022",
    "Kafka has left a transaction open for ever",
    "A transaction of an earlier producer of this sink has ended, but the brokers did not write so into all "
    "its topics, and nobody will: one that looks for the partitions of a transaction while they have no "
    "leader, as at its start, may take them for deleted (seen with Kafka 4.4). Readers of committed records "
    "get nothing behind it. In the offsets topic it hides the checkpoint; in another, the end of this sink's "
    "next transaction there would decide it too, one way or the other. It is tried again until somebody ends "
    "the transaction.",
)

_MARKERS: Final = 5.0  # s that the markers of what has just ended may take
_OTHERS: Final = 15.0  # s that transactions of others are waited for, where whose they are is not told
_PAUSE: Final = 0.1  # s


async def refuse_hanging(cluster: Cluster, access: Access, name: str, producer_id: int) -> None:
    """Retry while a transaction of `producer_id`, whose transactions have ended but for one that has not come
    to this topic, is open in it.

    Without Read on the topic, and before Kafka 2.8, whose a transaction is cannot be told: then what is open
    now must have ended first, whoever began it.
    """
    deadline = time.monotonic() + _MARKERS
    try:
        while hanging := await settled(lambda: _hanging(cluster, name, producer_id)):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_PAUSE)
    except NotReady as error:
        if error.code not in (NOT_AUTHORISED, NOT_SUPPORTED):
            raise
        await _wait_for_all(cluster, name)
        return
    if hanging:
        places = ", ".join(f"{partition} (from offset {start})" for partition, start in hanging.items())
        partition, start = next(iter(hanging.items()))
        raise Retry(
            HANGING,
            f"a transaction of producer {producer_id}, which has ended, is open in partition {places}",
            f"Read about {HANGING.id} in docs/kafka.md, then end it: kafka-transactions.sh "
            f"--bootstrap-server {access.servers[0]} abort --topic {name} --partition {partition} "
            f"--start-offset {start}" + (", and so in each of the partitions." if len(hanging) > 1 else ""),
            where=f"topic {name}",
        )


async def _hanging(cluster: Cluster, name: str, producer_id: int) -> dict[int, int]:
    topic = await _find(cluster, name)
    return {} if topic is None else await cluster.open_transactions(topic, producer_id)


async def _wait_for_all(cluster: Cluster, name: str) -> None:
    """Wait until everything that is in a topic now is decided."""

    async def ends(*, decided: bool) -> list[int]:
        topic = await _find(cluster, name)
        return [] if topic is None else await cluster.ends(topic, decided=decided)

    deadline = time.monotonic() + _OTHERS
    wanted = await settled(lambda: ends(decided=False))
    while True:
        decided = await settled(lambda: ends(decided=True))
        behind = undecided(decided, wanted)
        if not behind:
            return
        if time.monotonic() > deadline:
            raise Retry(
                NOT_NOW,
                f"a transaction is open in partition {behind[0]} from offset {decided[behind[0]]} on, and "
                "whether it is one of this sink's that hangs cannot be told without Read on the topic, nor "
                "before Kafka 2.8",
                "Grant Read on the topic: `tailrace doctor FILE` has the command. If another producer's "
                "transaction is open, its end lets this sink go on too.",
                where=f"topic {name}",
            )
        await asyncio.sleep(_PAUSE)


def undecided(decided: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """The partitions that are decided up to less than is wanted. One that was added meanwhile is none: what
    is sought was there before."""
    pairs = zip(decided, wanted, strict=False)
    return [partition for partition, (end, sought) in enumerate(pairs) if end < sought]


async def _find(cluster: Cluster, name: str) -> Topic | None:
    return (await cluster.topics([name])).get(name)
