"""Two processes at once, brokers that die and hang, commits whose answer is lost, producers that wear out."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

import pytest

from sinks.kafka import sink as sink_module
from sinks.kafka import topic as topic_module
from sinks.kafka.sink import KafkaSink
from tailrace.checkpoint import Checkpoint
from tailrace.clients.kafka import producer as producer_module
from tailrace.clients.kafka.errors import FENCED
from tailrace.clients.kafka.hanging import HANGING
from tailrace.errors import Fenced, Retry, TailraceError, UnknownOutcome
from tailrace.events import Batch
from tailrace.testing.events import Stream, checkpoint, delivered, table
from tests.conftest import KAFKA_BOOTSTRAP
from tests.integration.kafka_sink.conftest import Sinks
from tests.integration.kafka_sink.hanging import end_hanging
from tests.kafka_reader import read_committed
from tests.servers import Kafka, KafkaServer
from tests.waiting import eventually

ORDERS = table("orders")


@pytest.fixture(scope="module")
def _mortal() -> Iterator[KafkaServer]:
    if KAFKA_BOOTSTRAP:
        pytest.skip("a given server (TAILRACE_TEST_KAFKA_BOOTSTRAP) is not killed")
    with KafkaServer({"transaction.abort.timed.out.transaction.cleanup.interval.ms": 200}) as server:
        yield server


@pytest.fixture
def mortal(_mortal: KafkaServer) -> KafkaServer:
    """A broker that runs, and that tests may kill. It looks often for transactions that took too long."""
    if not _mortal.process.running:
        _mortal.start()
    return _mortal


class Delivery:
    """Delivers batches as the engine does: after a failure it opens again, and the checkpoint that is found
    says whether the unit got through."""

    def __init__(self, stored: Checkpoint | None = None) -> None:
        self.stored = stored
        self.failures: list[TailraceError] = []
        self.end_hanging: Callable[[KafkaSink], Awaitable[None]] | None = None

    async def deliver(self, sink: KafkaSink, units: Iterable[list[Batch]]) -> None:
        for unit in units:
            target = checkpoint(0 if self.stored is None else self.stored.sequence + 1, unit[-1].end)
            while True:
                try:
                    for batch in unit:
                        await sink.write(sink.prepare(batch))
                    await sink.commit(target)
                    break
                except Retry as error:
                    await self._failed(sink, error)
                if await self._open(sink) == target:
                    break
            self.stored = target

    async def _open(self, sink: KafkaSink) -> Checkpoint | None:
        deadline = time.monotonic() + 90
        while True:
            await sink.abort()
            try:
                return await sink.open()
            except Retry as error:
                await self._failed(sink, error)
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def _failed(self, sink: KafkaSink, error: TailraceError) -> None:
        self.failures.append(error)
        if error.code is HANGING and self.end_hanging is not None:
            await self.end_hanging(sink)


async def nothing_runs() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_fenced_sink_leaves_nothing_behind(kafka: Kafka, make_sink: Sinks) -> None:
    stream, old = Stream(), make_sink(kafka, partitions=1, max_request_size=10_000)
    lost = [stream.inserts(ORDERS, range(n * 100, n * 100 + 100), "old") for n in range(20)]
    await old.open()
    for batch in lost[:10]:
        await old.write(old.prepare(batch))
    new = make_sink(kafka)
    assert await new.open() is None

    async def go_on() -> None:
        for batch in lost[10:]:
            await old.write(old.prepare(batch))
        await old.commit(checkpoint(1, stream.end))

    with pytest.raises(Fenced) as fenced:
        await go_on()
    assert fenced.value.code is FENCED
    await old.abort()
    batch = stream.inserts(ORDERS, range(100), "new")
    await new.write(new.prepare(batch))
    await new.commit(checkpoint(1, stream.end))
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(batch)["orders"]


async def test_a_transaction_that_took_too_long(mortal: KafkaServer, make_sink: Sinks) -> None:
    kafka = mortal
    stream, delivery = Stream(), Delivery()
    sink = make_sink(kafka, partitions=1, max_request_size=10_000, transaction_timeout=2.0)
    await sink.open()
    await delivery.deliver(sink, [[stream.inserts(ORDERS, [0])]])
    batch = stream.inserts(ORDERS, range(1000))
    await sink.write(sink.prepare(batch))
    # The sink holds its transaction open; this returns when Kafka has aborted it.
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1
    with pytest.raises(Fenced):
        await sink.commit(checkpoint(1, stream.end))
    await sink.abort()
    assert await sink.open() == delivery.stored
    await delivery.deliver(sink, [[batch]])
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1001


async def test_a_commit_that_is_cancelled_may_happen_all_the_same(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, sink = Stream(), make_sink(kafka)
    batch = stream.inserts(ORDERS, [1])
    await sink.open()
    await sink.write(sink.prepare(batch))
    commit = asyncio.create_task(sink.commit(checkpoint(1, stream.end)))
    monkeypatch.setattr(producer_module, "_before_commit", commit.cancel)
    with pytest.raises(asyncio.CancelledError):
        await commit

    async def committed() -> bool:
        return await make_sink(kafka).peek() is not None

    await eventually(committed, "the commit that nobody waits for")
    await sink.abort()
    assert await sink.open() == checkpoint(1, stream.end)
    assert len(await read_committed(kafka, make_sink.prefix + "orders")) == 1


async def test_a_broker_that_hangs_in_the_commit(
    mortal: KafkaServer, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = mortal
    stream, delivery = Stream(), Delivery()
    sink = make_sink(kafka, transaction_timeout=4.0)
    await sink.open()
    await delivery.deliver(sink, [[stream.inserts(ORDERS, range(10))]])
    unit = stream.inserts(ORDERS, range(10, 20))
    with monkeypatch.context() as patch:
        patch.setattr(producer_module, "_before_commit", lambda: os.kill(kafka.process.pid, signal.SIGSTOP))
        await sink.write(sink.prepare(unit))
        began = time.monotonic()
        with pytest.raises(UnknownOutcome) as unknown:
            await sink.commit(checkpoint(1, stream.end))
    assert time.monotonic() - began < 4
    assert unknown.value.code.id == "TR-KAFKA-012"
    await sink.abort()
    assert time.monotonic() - began < 8
    await eventually(nothing_runs, "the end of what aiokafka had running")
    os.kill(kafka.process.pid, signal.SIGCONT)
    stored = await delivery._open(sink)
    assert stored in (delivery.stored, checkpoint(1, unit.end))
    if stored == delivery.stored:
        await delivery.deliver(sink, [[unit]])
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert sorted(int(record.key) for record in records) == list(range(20))


@pytest.mark.timeout(240)
async def test_a_broker_that_dies_at_any_instant(
    mortal: KafkaServer, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = mortal
    stream, delivery = Stream(), Delivery()
    # Of transactions that end while it starts slowly the broker tells no partition.
    delivery.end_hanging = lambda sink: end_hanging(kafka, sink, make_sink.prefix + "orders")
    batches: list[Batch] = []
    restarts: list[asyncio.Task[None]] = []
    killed = 0

    def die_once() -> None:
        nonlocal killed
        if not restarts:
            kafka.kill()
            killed += 1
            restarts.append(asyncio.create_task(asyncio.to_thread(kafka.start)))

    def units(count: int) -> Iterable[list[Batch]]:
        for _ in range(count):
            unit = [
                stream.batch(*(("u", ORDERS, id, f"{len(batches)} {'x' * 300}") for id in range(50)))
                for _ in range(4)
            ]
            batches.extend(unit)
            yield unit

    # What a patient sink rides out, an impatient one must survive by opening again.
    impatient, patient = 4.0, 60.0
    for instant, timeout in [
        (None, patient),
        ((topic_module, "_sent"), impatient),
        ((sink_module, "_commit_sent"), patient),
        ((producer_module, "_before_commit"), impatient),
        ((producer_module, "_before_commit"), patient),
        ((producer_module, "_after_commit"), impatient),
    ]:
        restarts.clear()
        sink = make_sink(kafka, max_request_size=10_000, transaction_timeout=timeout)
        assert await sink.open() == delivery.stored
        await delivery.deliver(sink, units(2))
        with monkeypatch.context() as patch:
            if instant is None:
                die_once()
            else:
                patch.setattr(*instant, die_once)
            await delivery.deliver(sink, units(3))
        await restarts[0]
        await sink.close()
    assert killed == 6
    assert any(isinstance(error, UnknownOutcome) for error in delivery.failures)
    records = await read_committed(kafka, make_sink.prefix + "orders")
    found = [(record.key, record.value) for record in records]
    expected = delivered(*batches)["orders"]
    assert len(found) == len(expected)
    for id in range(50):  # every key in the order of the log, nothing lost, nothing twice
        key = str(id).encode()
        assert [one for one in found if one[0] == key] == [one for one in expected if one[0] == key]
    await eventually(nothing_runs, "the end of what aiokafka had running")


async def test_nothing_is_waited_for_when_the_broker_is_gone(mortal: KafkaServer, make_sink: Sinks) -> None:
    kafka = mortal
    stream, sink = Stream(), make_sink(kafka, partitions=1, max_request_size=10_000)
    await sink.open()
    await sink.write(sink.prepare(stream.inserts(ORDERS, range(1000))))
    await sink.commit(checkpoint(1, stream.end))
    kafka.kill()
    writing = asyncio.create_task(sink.write(sink.prepare(stream.inserts(ORDERS, range(1000)))))
    await asyncio.wait([writing], timeout=1)
    writing.cancel()
    await asyncio.wait([writing])
    began = time.monotonic()
    await sink.abort()
    assert time.monotonic() - began < 5
    await eventually(nothing_runs, "the end of what aiokafka had running")


async def test_a_look_at_the_cluster_that_never_ends_is_given_up(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, sink = Stream(), make_sink(kafka)
    await sink.open()
    assert sink._producer is not None
    monkeypatch.setattr(producer_module, "_CLUSTER_TIMEOUT", 0.5)
    sink._producer._producer.client._sync_task.cancel()
    with pytest.raises(Retry, match="no answer in time"):
        async with asyncio.timeout(10):
            await sink.write(sink.prepare(stream.inserts(ORDERS, [1])))
    with pytest.raises(Retry, match="no answer in time"):  # of the offsets topic too
        async with asyncio.timeout(10):
            await sink.commit(checkpoint(1, stream.end))
    await sink.abort()
    assert await sink.open() is None


async def test_a_worn_out_producer_is_replaced(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer_module, "MAX_RECORDS", 100)
    stream, sink = Stream(), make_sink(kafka, partitions=1)
    batches = [stream.inserts(ORDERS, range(40)) for _ in range(10)]
    await sink.open()
    producers = set()
    for sequence, batch in enumerate(batches):
        producers.add(sink._producer)
        await sink.write(sink.prepare(batch))
        await sink.commit(checkpoint(sequence, batch.end))
    assert len(producers) == 4
    records = await read_committed(kafka, make_sink.prefix + "orders")
    assert [(record.key, record.value) for record in records] == delivered(*batches)["orders"]


async def test_a_worn_out_producer_does_not_win_over_a_newer_claim(
    kafka: Kafka, make_sink: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, old, new = Stream(), make_sink(kafka), make_sink(kafka)
    await old.open()
    monkeypatch.setattr(producer_module, "MAX_RECORDS", 0)
    old_open = old.open

    async def overtaken() -> Checkpoint | None:
        await new.open()
        assert new._producer is not None
        monkeypatch.setattr(producer_module, "MAX_RECORDS", 100)
        await new.commit(checkpoint(2, {"transaction": 0}))
        return await old_open()

    monkeypatch.setattr(old, "open", overtaken)
    await old.write(old.prepare(stream.inserts(ORDERS, [1])))
    with pytest.raises(Fenced):
        await old.commit(checkpoint(1, stream.end))
