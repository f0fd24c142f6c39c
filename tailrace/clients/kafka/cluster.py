"""One connection for everything but producing: brokers, topics, settings, offsets, records."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.transaction import EndTxnRequest

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.described import Described, DescribeRequest, described
from tailrace.clients.kafka.errors import FAILURES, UNREACHABLE, translate
from tailrace.clients.kafka.producers import ProducersRequest, open_transactions
from tailrace.clients.kafka.refusal import refusal
from tailrace.errors import Retry

T = TypeVar("T")

CLIENT_ID: Final = "tailrace"
REQUEST_TIMEOUT: Final = 10.0  # seconds for one request's answer

_TOPIC, _BROKER = 2, 4  # resource types of the protocol
_TRANSACTION: Final = 1  # a kind of coordinator of the protocol
_READ_UNCOMMITTED, _READ_COMMITTED = 0, 1  # isolation levels of the protocol
_MAX_WAIT: Final = 250  # ms that a broker may hold a fetch back while there is nothing new


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that exists. `leaders` holds a broker's id, or -1, for each partition."""

    name: str
    leaders: tuple[int, ...]

    @property
    def partitions(self) -> int:
        """How many it has."""
        return len(self.leaders)

    def by_leader(self) -> dict[int, list[int]]:
        """The partitions that a broker leads, by its id."""
        led: dict[int, list[int]] = {}
        for partition, leader in enumerate(self.leaders):
            led.setdefault(leader, []).append(partition)
        return led


@dataclass(frozen=True, slots=True)
class Fetched:
    """A partition's answer to a fetch: encoded record batches, and what of them was aborted (KIP-98).

    `aborted` holds (producer id, first offset) of the aborted transactions, in the order of the offsets.
    """

    records: bytes
    aborted: Sequence[tuple[int, int]]


async def settled(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the answer is no Retry, for 5 s at most: a topic that was just created is not known to every
    broker at once, and its partitions have no leaders yet."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return await ask()
        except Retry:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


class Cluster:
    """An asynchronous context manager. Raises what `translate` makes of a failure."""

    def __init__(self, access: Access) -> None:
        self.where = str(access)
        self._access = access
        self._client: AIOKafkaClient | None = None
        self.brokers = 0  # how many there are

    async def __aenter__(self) -> Self:
        client = AIOKafkaClient(
            bootstrap_servers=list(self._access.servers),
            client_id=CLIENT_ID,
            request_timeout_ms=int(REQUEST_TIMEOUT * 1000),
            **self._access.options,
        )
        try:
            await client.bootstrap()
        except FAILURES as error:
            await client.close()
            named = [(host, port) for host, port, _ in client.hosts]
            refused = await refusal(self._access, named)
            raise refused or translate(error, "connecting", where=self.where) from error
        except BaseException:
            await client.close()
            raise
        self._client = client
        self.brokers = len(client.cluster.brokers())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(
            TimeoutError
        ):  # what a broker that hangs has not taken yet is not waited for
            await asyncio.wait_for(self._connected.close(), 1)

    @property
    def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            raise RuntimeError("a Cluster is used as an asynchronous context manager")
        return self._client

    async def topics(self, names: Iterable[str]) -> dict[str, Topic]:
        """Those of the topics that exist. Creates none, whatever the broker's auto.create.topics.enable."""
        request = MetadataRequest(list(names), allow_auto_topic_creation=False)
        answer = await self._ask(request, "describing topics")
        if not answer.brokers:  # a broker that has just started and knows nothing yet
            raise translate(kafka.BrokerNotAvailableError(), "describing topics", where=self.where)
        found = {}
        for code, name, _internal, partitions in answer.topics:
            if kafka.for_code(code) in (kafka.UnknownTopicOrPartitionError, kafka.InvalidTopicError):
                continue  # creating it tells what is wrong with its name
            self._check(code, f"describing topic {name}")
            leaders = {partition: leader for _, partition, leader, *_ in partitions}
            found[name] = Topic(name, tuple(leaders[partition] for partition in sorted(leaders)))
        return found

    async def create_topic(
        self,
        name: str,
        *,
        partitions: int,
        replication_factor: int | None,
        settings: Mapping[str, str],
        dry_run: bool = False,
    ) -> str | None:
        """Create a topic; one that exists already is left as it is. Returns why the broker refuses, if it
        does for good; `dry_run` only lets it check. `replication_factor` None: the broker's default."""
        factor = -1 if replication_factor is None else replication_factor
        request = CreateTopicsRequest(
            [(name, partitions, factor, [], list(settings.items()))],
            int(REQUEST_TIMEOUT * 1000),
            dry_run,
        )
        controller = self._connected.cluster.controller
        node = None if controller is None else controller.nodeId
        answer = await self._ask(request, f"creating topic {name}", node)
        ((_, code, *message),) = answer.topic_errors
        kind = kafka.for_code(code)
        if kind in (kafka.NoError, kafka.TopicAlreadyExistsError):
            return None
        if kind.retriable or kind is kafka.UnknownError:
            raise translate(kind(), f"creating topic {name}", where=self.where)
        return " ".join((message[0] if message and message[0] else kind.description).split())

    async def described(self) -> Sequence[Described]:
        """All topics that the user may describe, and what else is allowed there."""
        answer = await self._ask(DescribeRequest(), "describing topics")
        return described(answer)

    async def refuses_transactions(self, transactional_id: str) -> bool:
        """Whether the user may not write under a transactional id. Asks for the end of a transaction of a
        producer that there cannot be: who owns the id is not disturbed."""
        doing = f"looking up the coordinator of {transactional_id}"
        lookup = FindCoordinatorRequest(transactional_id, _TRANSACTION)
        found = await self._ask(lookup, doing)
        kind = kafka.for_code(found.error_code)
        if kind is kafka.TransactionalIdAuthorizationFailed:
            return True
        if kind is not kafka.NoError:  # no transaction was ever begun in this cluster: nothing can be told
            return False
        request = EndTxnRequest(transactional_id, -1, -1, False)
        answer = await self._ask(request, f"looking at {transactional_id}", found.coordinator_id)
        return kafka.for_code(answer.error_code) is kafka.TransactionalIdAuthorizationFailed

    async def broker_settings(self) -> dict[str, str]:
        """The settings of one broker. Needs DescribeConfigs on the cluster."""
        node = self._connected.get_random_node()
        doing = "reading the settings of a broker"
        answer = await self._ask(DescribeConfigsRequest([(_BROKER, str(node), None)]), doing, node)
        ((code, _message, _type, _name, entries),) = answer.resources
        self._check(code, doing)
        return {entry[0]: entry[1] for entry in entries if entry[1] is not None}

    async def topic_settings(self, name: str) -> dict[str, str]:
        """The effective settings of a topic that exists."""
        doing = f"reading the settings of topic {name}"
        answer = await self._ask(DescribeConfigsRequest([(_TOPIC, name, None)]), doing)
        ((code, _message, _type, _name, entries),) = answer.resources
        self._check(code, doing)
        return {entry[0]: entry[1] for entry in entries if entry[1] is not None}

    async def settings_of(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The effective settings of topics, by name; those that cannot be told now are left out."""
        if not names:
            return {}
        request = DescribeConfigsRequest([(_TOPIC, name, None) for name in names])
        answer = await self._ask(request, "reading the settings of topics")
        return {
            name: {entry[0]: entry[1] for entry in entries if entry[1] is not None}
            for code, _message, _type, name, entries in answer.resources
            if not code
        }

    async def earliest(self, topic: Topic, partition: int) -> int:
        """The first offset that is still there."""
        return await self._offset(topic, partition, -2)

    async def end(self, topic: Topic, partition: int) -> int:
        """The offset behind the last record, be that committed or not."""
        return await self._offset(topic, partition, -1)

    async def ends(self, topic: Topic, *, decided: bool) -> list[int]:
        """The offset behind the last record of each partition; with `decided`, up to which all transactions
        are committed or aborted."""
        doing = f"looking up the ends of {topic.name}"
        isolation = _READ_COMMITTED if decided else _READ_UNCOMMITTED
        found = {}
        for leader, partitions in topic.by_leader().items():
            wanted = [(partition, -1) for partition in partitions]
            answer = await self._ask(OffsetRequest(-1, isolation, [(topic.name, wanted)]), doing, leader)
            ((_, told),) = answer.topics
            for partition, code, *_timestamp, offset in told:
                self._check(code, doing)
                found[partition] = int(offset)
        return [found[partition] for partition in range(topic.partitions)]

    async def open_transactions(self, topic: Topic, producer_id: int) -> dict[int, int]:
        """Where a transaction of a producer is open, partition → its first offset there. NotReady: the user
        may not read the topic, or Kafka is older than 2.8."""
        doing = f"looking for open transactions in topic {topic.name}"
        found = {}
        for leader, partitions in topic.by_leader().items():
            answer = await self._ask(ProducersRequest(topic.name, partitions), doing, leader)
            for partition, code, start in open_transactions(answer, producer_id):
                self._check(code, doing)
                if start is not None:
                    found[partition] = start
        return dict(sorted(found.items()))

    async def _offset(self, topic: Topic, partition: int, which: int) -> int:
        doing = f"looking up an offset of {topic.name}"
        request = OffsetRequest(-1, _READ_UNCOMMITTED, [(topic.name, [(partition, which)])])
        answer = await self._ask(request, doing, topic.leaders[partition])
        (((_, code, *_timestamp, offset),),) = (partitions for _, partitions in answer.topics)
        self._check(code, doing)
        return int(offset)

    async def fetch(
        self, topic: Topic, partition: int, offset: int, max_bytes: int, *, undecided: bool = False
    ) -> Fetched:
        """Whole record batches from `offset` on, as far as they are committed or aborted; with `undecided`,
        whatever is there. The first may begin before `offset`, the last may be cut off. Nothing new within a
        quarter of a second is no records."""
        doing = f"reading {topic.name}"
        isolation = _READ_UNCOMMITTED if undecided else _READ_COMMITTED
        request = FetchRequest(
            _MAX_WAIT, 1, max_bytes, isolation, [(topic.name, [(partition, offset, max_bytes)])]
        )
        answer = await self._ask(request, doing, topic.leaders[partition])
        (((_, code, _high_watermark, *rest),),) = (partitions for _, partitions in answer.topics)
        self._check(code, doing)
        aborted, records = (rest[2], rest[-1]) if answer.API_VERSION >= 11 else (rest[-2], rest[-1])
        return Fetched(records, sorted(aborted or (), key=lambda transaction: transaction[1]))

    async def _ask(self, request: Any, doing: str, node: int | None = None) -> Any:
        client = self._connected
        try:
            return await client.send(client.get_random_node() if node is None else node, request)
        except FAILURES as error:
            failure = translate(error, doing, where=self.where)
            if (
                failure.code is UNREACHABLE
            ):  # a broker may be known by a name that its certificate does not have
                named = [(broker.host, broker.port) for broker in client.cluster.brokers()]
                failure = await refusal(self._access, named) or failure
            raise failure from error

    def _check(self, code: int, doing: str) -> None:
        kind = kafka.for_code(code)
        if kind is not kafka.NoError:
            raise translate(kind(), doing, where=self.where)
