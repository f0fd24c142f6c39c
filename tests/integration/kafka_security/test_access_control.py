"""The rights of docs/kafka.md are enough, and none is too many; doctor names the command for each."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest

from sinks.kafka import KafkaSettings, KafkaSink
from tailrace.abc import Finding, SinkContext
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster
from tailrace.clients.kafka.errors import NOT_AUTHORISED, REFUSED
from tailrace.errors import NotReady, Stop
from tailrace.events import Batch
from tailrace.testing.events import PlainFormat, Stream, checkpoint, table
from tests.integration.kafka_security.conftest import SecuredKafka
from tests.kafka_page import commands
from tests.kafka_reader import read_committed

ORDERS, AUDIT = table("orders"), table("audit", keyed=False)

_RESOURCES = {"--topic": 2, "--cluster": 4, "--transactional-id": 5}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}


async def execute(kafka: SecuredKafka, command: str) -> None:
    """What kafka-acls.sh does."""
    words = shlex.split(command)
    assert words[0] == "kafka-acls.sh"
    assert words[3] == "--add"
    given = dict(zip(words[4::2], words[5::2], strict=True))
    [resource] = given.keys() & _RESOURCES.keys()
    pattern = {"prefixed": 4, "literal": 3}[given.get("--resource-pattern-type", "literal")]
    operations = [words[at + 1] for at, word in enumerate(words) if word == "--operation"]
    client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.bootstrap()
    try:
        for operation in operations:
            request = CreateAclsRequest(
                _RESOURCES[resource], given[resource], pattern, given["--allow-principal"], "*",
                _OPERATIONS[operation], 3,
            )  # fmt: skip
            answer = await client.send(client.get_random_node(), request)
            assert [result[0] for result in answer.creation_responses] == [0]
    finally:
        await client.close()


def without(command: str, operation: str) -> str:
    assert f"--operation {operation} " in command
    return command.replace(f"--operation {operation} ", "")


class Granted:
    """A pipeline of its own name, whose user may do what the page's commands allow, and nothing else."""

    def __init__(self, kafka: SecuredKafka, pipeline: str) -> None:
        self.kafka = kafka
        self.pipeline = pipeline
        self.offsets = f"offsets.{pipeline}"
        self.topics, self.offset, self.transactions = (
            command.replace("orders", pipeline).replace("_tailrace_offsets", self.offsets)
            for command in commands()
        )
        self._made: list[KafkaSink] = []

    def sink(self, user: str = "tailrace") -> KafkaSink:
        declared = KafkaSettings.model_validate(
            {
                "offsets_topic": self.offsets,
                "topic": f"{self.pipeline}.{{schema}}.{{table}}",
                **self.kafka.settings("SASLPLAIN", sasl_username=user, sasl_mechanism="PLAIN"),
            }
        )
        self._made.append(KafkaSink(declared, SinkContext(self.pipeline, "kafka", PlainFormat(), Path())))
        return self._made[-1]

    async def close(self) -> None:
        for sink in self._made:
            await sink.close()


@pytest.fixture
async def granted(secured: SecuredKafka, topic_prefix: str) -> AsyncIterator[Granted]:
    granted = Granted(secured, topic_prefix.rstrip("."))
    yield granted
    await granted.close()


async def deliver(sink: KafkaSink, batch: Batch) -> None:
    await sink.open()
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, batch.end))


def troubles(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.error or finding.warning]


async def test_the_rights_of_the_page_are_enough(granted: Granted) -> None:
    for command in (granted.topics, granted.offset, granted.transactions):
        await execute(granted.kafka, command)
    sink = granted.sink()
    assert troubles(await sink.check()) == []
    batch = Stream().inserts(ORDERS, range(10))
    await deliver(sink, batch)
    again = granted.sink()
    assert troubles(await again.check()) == []
    assert await again.peek() == await again.open() == checkpoint(1, batch.end)
    assert len(await read_committed(granted.kafka, f"{granted.pipeline}.public.orders")) == 10
    assert await again.forget(dry_run=False) != []


async def test_doctor_names_the_commands(granted: Granted) -> None:
    sink = granted.sink()
    with pytest.raises(NotReady) as refused:
        await sink.open()
    assert refused.value.code is NOT_AUTHORISED
    for _ in range(2):  # what a first start makes is looked at by the second
        for finding in troubles(await granted.sink().check()):
            remedy = finding.error.remedy if finding.error else finding.remedy
            await execute(granted.kafka, remedy[remedy.index("kafka-acls.sh") :])
        assert troubles(await granted.sink().check()) == []
        await deliver(granted.sink(), Stream().inserts(ORDERS, [1]))


@pytest.mark.parametrize(
    ("which", "operation", "title"),
    [
        ("topics", "Write", "topic {}.public.orders"),
        ("topics", "Read", "topic {}.public.orders"),
        ("topics", "DescribeConfigs", "topic {}.public.orders"),
        ("offset", "Read", "offsets topic"),
        ("offset", "Write", "offsets topic"),
        ("offset", "DescribeConfigs", "offsets topic"),
        ("transactions", "Write", "transactional id"),
    ],
)
async def test_each_right_is_needed(which: str, operation: str, title: str, granted: Granted) -> None:
    await deliver(granted.sink("admin"), Stream().inserts(ORDERS, [1]))
    for name in ("topics", "offset", "transactions"):
        command = getattr(granted, name)
        if name != which:
            await execute(granted.kafka, command)
        elif which != "transactions":  # that one is all about Write
            await execute(granted.kafka, without(command, operation))
    [trouble] = troubles(await granted.sink().check())
    assert trouble.title.startswith(title.format(granted.pipeline))
    remedy = trouble.error.remedy if trouble.error else trouble.remedy
    assert f"--operation {operation}" in remedy
    if which == "topics" and operation in ("Read", "DescribeConfigs"):  # it can do without
        await deliver(granted.sink(), Stream().inserts(ORDERS, [2]))
        return
    with pytest.raises(NotReady) as refused:
        await deliver(granted.sink(), Stream().inserts(ORDERS, [2]))
    assert refused.value.code is NOT_AUTHORISED


async def test_a_compacted_topic_whose_settings_may_not_be_read(granted: Granted) -> None:
    async with Cluster(Access((granted.kafka.bootstrap_servers,))) as cluster:
        made = cluster.create_topic(
            f"{granted.pipeline}.public.audit",
            partitions=1,
            replication_factor=1,
            settings={"cleanup.policy": "compact"},
        )
        assert await made is None
    for command in (without(granted.topics, "DescribeConfigs"), granted.offset, granted.transactions):
        await execute(granted.kafka, command)
    with pytest.raises(Stop) as refused:
        await deliver(granted.sink(), Stream().batch(("c", AUDIT, 1, "no key")))
    assert refused.value.code is REFUSED
    assert "Grant DescribeConfigs" in refused.value.remedy
