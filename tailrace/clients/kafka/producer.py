"""One transactional producer, from its start, which fences its predecessor, to the day it is thrown away.

It is used until its first failure and never after it: aiokafka's producer cannot be relied on once a batch
has failed, not even after a clean abort. Protocol: KIP-98.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import time
from collections import Counter
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidTxnState
from aiokafka.producer import sender as aiokafka_sender

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.batch import RecordBatch
from tailrace.clients.kafka.cluster import CLIENT_ID, Cluster
from tailrace.clients.kafka.errors import FAILURES, NOT_NOW, UNREACHABLE, translate
from tailrace.errors import Fenced, Retry, Stop, TailraceError, UnknownOutcome, code
from tailrace.failpoints import failpoint

OUTCOME_UNKNOWN = code(
    "TR-KAFKA-012",
    "the outcome of a commit is unknown",
    "The request to commit a transaction was sent, and its answer did not come. The sink is opened again, "
    "which decides the transaction, and the checkpoint that is found then tells whether it was committed.",
)

# A transaction's first request is refused until the markers of the one before are written, and aiokafka asks
# again after 20 ms. They take a few ms: 20 ms cap small transactions at 111 a second, 1 ms at 355. It is no
# parameter, but a name that is looked up at each refusal: this holds for all producers of the process.
aiokafka_sender.BACKOFF_OVERRIDE = 0.001

_REQUEST_TIMEOUT: Final = 15.0  # s
_START_TIMEOUT: Final = 30.0  # s
_LEADERS_TIMEOUT: Final = 5.0  # s
_CLUSTER_TIMEOUT: Final = 30.0  # s; aiokafka looks at the cluster in a task of its own, which may have ended
_ABORT_TIMEOUT: Final = 2.0  # s
_DISCARD_TIMEOUT: Final = 1.0  # s, twice

MAX_RECORDS: Final = 2**30
"""Records that one producer may send to one partition: aiokafka's sequence number goes wrong at 2^31."""

_before_commit = failpoint("kafka.commit.before")
_after_commit = failpoint("kafka.commit.after")


class Producer:
    """Transactions under one transactional.id. A transaction begins with the first batch that is sent.

    Nothing of Kafka bounds how long a request is tried again: every wait here has its own deadline.
    """

    def __init__(self, access: Access, transactional_id: str, transaction_timeout: float) -> None:
        self._access = access
        self._where = str(access)
        self._patience = transaction_timeout / 2
        self._producer: Any = AIOKafkaProducer(
            bootstrap_servers=list(access.servers),
            client_id=CLIENT_ID,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(transaction_timeout * 1000),
            request_timeout_ms=int(_REQUEST_TIMEOUT * 1000),
            **access.options,
        )
        self._sent: list[asyncio.Future[Any]] = []  # of each batch that is not known to have arrived
        self._in_transaction = False  # begun, and neither failed nor asked to commit
        self._records: Counter[tuple[str, int]] = Counter()
        self._followed: set[str] = set()  # topics that aiokafka asks for at each look at the cluster
        self._connections: dict[Any, Any] = {}  # as they were when the last transaction began

    async def start(self) -> None:
        """Fence every earlier producer of this transactional.id; what it had open is aborted."""
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await self._producer.start()
        except TimeoutError as error:
            await self._reach()
            raise Retry(
                UNREACHABLE,
                f"no transaction coordinator answered within {_START_TIMEOUT:g} s",
                "Check that the topic __transaction_state can be created: with fewer brokers than "
                "transaction.state.log.replication.factor it cannot.",
                where=self._where,
            ) from error
        except FAILURES as error:
            failure = translate(error, "starting a transactional producer", where=self._where)
            if failure.code is UNREACHABLE:
                await self._reach()
            raise failure from error

    async def _reach(self) -> None:
        """Raise what a connection of another kind is told more clearly."""
        async with Cluster(self._access) as cluster:
            await cluster.topics([])

    @property
    def producer_id(self) -> int:
        """The same for all producers of a transactional.id, until Kafka forgets it or its epochs run out.
        Valid once it is started."""
        return int(self._producer._txn_manager.producer_id)

    @property
    def number(self) -> int:
        """What Kafka tells the producers of a transactional.id apart with: id and epoch, in one number. Valid
        once it is started, and never 0."""
        manager = self._producer._txn_manager
        return int(manager.producer_id << 16 | manager.producer_epoch) + 1

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has that exists. Returns when all have a leader, as far as that comes
        soon: what is sent to one whose leader is not known may wait for 15 s, and fail."""
        deadline = time.monotonic() + _LEADERS_TIMEOUT
        try:
            async with asyncio.timeout(_CLUSTER_TIMEOUT):
                await self._follow(topic)
                count = len(await self._producer.partitions_for(topic))
            client = self._producer.client
            while time.monotonic() < deadline:
                if len(client.cluster.available_partitions_for_topic(topic) or ()) >= count:
                    break
                await asyncio.sleep(0.05)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(deadline - time.monotonic()):
                        await client.force_metadata_update()
        except FAILURES as error:
            raise self._failure(error, f"looking up topic {topic}") from error
        return count

    async def _follow(self, topic: str) -> None:
        """A start that is not answered at once has aiokafka ask for all topics that there are. Later it asks
        for those alone that it had to look for, and forgets the rest: a batch for one of these would wait for
        its leader until it expires."""
        if topic not in self._followed:
            await self._producer.client.add_topic(topic)
            self._followed.add(topic)

    def known_partitions(self, topic: str) -> int | None:
        """How many partitions the topic had when its brokers were last asked, which is every five minutes.
        None: it was not there."""
        known = self._producer.client.cluster.partitions_for_topic(topic)
        return len(known) if known else None

    async def send(self, batch: RecordBatch, topic: str, partition: int) -> None:
        """Hand a batch over. Waits while the one before it for this partition is not on its way."""
        try:
            async with asyncio.timeout(_CLUSTER_TIMEOUT):
                await self._follow(topic)
                if not self._in_transaction:
                    if self._has_reconnected():
                        await self._commit_again()
                    await self._producer.begin_transaction()
                    self._in_transaction = True
                arrived = [future for future in self._sent if future.done()]
                for future in arrived:
                    future.result()
                if arrived:
                    self._sent = [future for future in self._sent if not future.done()]
                self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        except FAILURES as error:
            raise self._failure(error, f"sending to topic {topic}") from error
        self._records[topic, partition] += batch.record_count()

    async def acknowledged(self) -> None:
        """Wait until the brokers hold everything that was sent.

        aiokafka commits although a batch failed, and its flush() does not raise: only the futures tell.
        """
        await self._acknowledged(time.monotonic() + self._patience)

    async def commit(self) -> None:
        """Commit what was sent. UnknownOutcome: the commit was asked for, and perhaps happened."""
        deadline = time.monotonic() + self._patience
        await self._acknowledged(deadline)
        _before_commit()
        self._in_transaction = False
        try:
            # Leaving this early, by the deadline or cancelled, does not take the request back.
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._producer.commit_transaction()
        except FAILURES as error:
            failure = self._failure(error, "committing a transaction")
            if isinstance(failure, Fenced | Stop):
                raise failure from error
            raise UnknownOutcome(
                OUTCOME_UNKNOWN, failure.found, "Nothing: it is found out.", where=self._where
            ) from error
        self._sent.clear()
        _after_commit()

    @property
    def worn_out(self) -> bool:
        """It must be replaced before it sends much more."""
        return any(count > MAX_RECORDS for count in self._records.values())

    async def discard(self) -> None:
        """Throw it away; an open transaction is aborted if that goes quickly. Never raises.

        aiokafka's own stop() waits until everything is delivered, for ever if the broker stays away.
        """
        producer = self._producer
        if self._in_transaction and not any(map(_has_failed, self._sent)):
            self._in_transaction = False
            with contextlib.suppress(*FAILURES):
                async with asyncio.timeout(_ABORT_TIMEOUT):
                    await producer.abort_transaction()
        producer._closed = True  # or its __del__ complains
        tasks = _tasks_of(producer._sender)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_DISCARD_TIMEOUT)
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(_DISCARD_TIMEOUT):
                await producer.client.close()
        # An exception that nobody looks at is reported by asyncio, with a traceback.
        batches = itertools.chain.from_iterable(producer._message_accumulator._batches.values())
        futures = [*self._sent, *(batch._drain_waiter for batch in batches)]
        if (transaction := producer._txn_manager.wait_for_transaction_end()) is not None:
            futures.append(transaction)
        for future in futures:
            _has_failed(future)

    def _has_reconnected(self) -> bool:
        """Whether a connection has been lost since this was last asked, when the last transaction began."""
        current = self._producer.client._conns
        lost = any(
            current.get(place) is not connection or not connection.connected()
            for place, connection in self._connections.items()
        )
        self._connections = dict(current)
        return lost

    async def _commit_again(self) -> None:
        """Commit, without a record, wherever this producer has written.

        A broker that was gone may have forgotten to end what was committed there (see `hanging`). The end of
        the next transaction would do so, and take it away if that fails. Where nothing hangs it does nothing.
        Every partition has a leader first: one that has none would be passed over again. Those of a topic
        that was deleted are left out.
        """
        places = [TopicPartition(topic, partition) for topic, partition in self._records]
        client = self._producer.client
        await client.force_metadata_update()
        looked_at = time.monotonic() + _LEADERS_TIMEOUT
        while any(client.cluster.leader_for_partition(place) in (None, -1) for place in places):
            await asyncio.sleep(0.05)
            await client.force_metadata_update()
            if time.monotonic() > looked_at:
                looked_at += _CLUSTER_TIMEOUT
                await self._forget_deleted()
                places = [place for place in places if place in self._records]
        await self._producer.begin_transaction()
        for place in places:
            self._producer._txn_manager.maybe_add_partition_to_txn(place)
        await self._producer.commit_transaction()

    async def _forget_deleted(self) -> None:
        """Of where it has written, the topics that are not there any more."""
        async with Cluster(self._access) as cluster:
            there = await cluster.topics({topic for topic, _ in self._records})
        for place in [place for place in self._records if place[0] not in there]:
            del self._records[place]

    async def _acknowledged(self, deadline: float) -> None:
        if not self._sent:
            return
        done, pending = await asyncio.wait(
            self._sent, timeout=deadline - time.monotonic(), return_when=asyncio.FIRST_EXCEPTION
        )
        for future in done:
            if (error := future.exception()) is not None:
                raise self._failure(error, "sending")
        if pending:
            self._in_transaction = False
            raise Retry(
                NOT_NOW,
                f"{len(pending)} batch(es) were not acknowledged within {self._patience:g} s",
                "Nothing, if it passes. Else look at the broker's log.",
                where=self._where,
            )

    def _failure(self, error: BaseException, doing: str) -> TailraceError:
        self._in_transaction = False
        # The task that sends dies of the first fatal error; what its victims raise is a copy without a cause.
        task = self._producer._sender.sender_task
        if task is not None and task.done() and not task.cancelled():
            error = task.exception() or error
        # What a coordinator refuses, as for a right that is missing, ends the transaction beside the sending.
        transaction = self._producer._txn_manager.wait_for_transaction_end()
        is_victim = isinstance(error, IllegalOperation | InvalidTxnState)
        if is_victim and transaction is not None and _has_failed(transaction):
            error = transaction.exception() or error
        return translate(error, doing, where=self._where)


def _has_failed(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is not None


def _tasks_of(sender: object) -> list[asyncio.Task[Any]]:
    """The tasks that run aiokafka's sender. It keeps its requests in a local variable, and one that waits for
    a coordinator outlives it, to send a transaction's end whenever the broker returns."""
    return [
        task
        for task in asyncio.all_tasks()
        if inspect.iscoroutine(coroutine := task.get_coro())
        and inspect.getcoroutinelocals(coroutine).get("self") is sender
    ]
