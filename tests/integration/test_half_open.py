"""Lines on which nothing comes through any more although both ends hold them open."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.conftest import KAFKA_BOOTSTRAP
from tests.integration.commandline import Pipeline
from tests.integration.relay import Endpoint, Relay
from tests.kafka_reader import read_committed
from tests.servers import KafkaServer
from tests.waiting import wait_until

_STOP_SECONDS = 8  # within which a stop leaves; beside it, what a process needs to end on a busy machine
_SLACK_SECONDS = 3

# Where new connections lead until the loss is told: what passes at once may go by between two looks.
_NOWHERE = Endpoint("127.0.0.1", 1)

DIRECTIONS = {
    "both": {},
    "to the server": {"to_client": False},
    "to tailrace": {"to_server": False},
}


@pytest.fixture
def relay(pipeline: Pipeline) -> Iterator[Relay]:
    """The pipeline's line to PostgreSQL, on which a second is silence to either side."""
    options = quote("-c wal_sender_timeout=1s", "")
    with Relay(pipeline.server) as relay:
        pipeline.source |= {
            "url": f"{relay.url(pipeline.database)}&options={options}",
            "silence_timeout": 1,
        }
        yield relay


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_to_postgres(pipeline: Pipeline, relay: Relay, direction: str) -> None:
    """Noticed within silence_timeout, or by the server within its own; made again, and nothing is missing or
    there twice."""
    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_for(1)
        relay.target = _NOWHERE
        relay.hold(process.pid, **DIRECTIONS[direction])
        pipeline.insert(2)
        # Without the setting it would be a minute; a second is too little for a busy machine.
        wait_until(lambda: "source retrying" in process.stderr, "the loss", 20)
        relay.target = pipeline.server
        wait_until(lambda: pipeline.ids() == [1, 2], "the row")
        pipeline.insert(3)
        pipeline.wait_for(1, 2, 3)
        pipeline.stop(process)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_stop_while_the_line_to_postgres_is_dead(pipeline: Pipeline, relay: Relay, direction: str) -> None:
    pipeline.source["silence_timeout"] = 60
    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_for(1)
        relay.hold(process.pid, **DIRECTIONS[direction])
        process.signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS + _SLACK_SECONDS, expected=0)
    pipeline.insert(2)
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]


@pytest.fixture(scope="module")
def kafka_behind() -> Iterator[tuple[KafkaServer, Relay]]:
    """A broker that tells its clients to come through a relay."""
    if KAFKA_BOOTSTRAP:
        pytest.skip("a given server (TAILRACE_TEST_KAFKA_BOOTSTRAP) is not configured")
    broker = KafkaServer()
    with Relay(Endpoint("127.0.0.1", broker.port)) as relay:
        broker.settings["advertised.listeners"] = f"BROKER://127.0.0.1:{relay.port}"
        with broker:
            yield broker, relay


def test_to_kafka(pipeline: Pipeline, kafka_behind: tuple[KafkaServer, Relay]) -> None:
    """Noticed within half of transaction_timeout, and again nothing is missing or there twice."""
    broker, relay = kafka_behind
    pipeline.sinks.append(
        {
            "type": "kafka",
            "bootstrap_servers": f"127.0.0.1:{relay.port}",
            "partitions": 1,
            "transaction_timeout": 10,
        }
    )
    topic = f"{pipeline.name}.public.t"
    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_until_acknowledged()
        behind, relay.target = relay.target, _NOWHERE
        relay.hold(process.pid)
        pipeline.insert(2)
        wait_until(lambda: "sink retrying" in process.stderr, "the loss")
        relay.target = behind
        pipeline.insert(3)
        pipeline.wait_until_acknowledged()
        relay.hold(process.pid)
        pipeline.insert(4)
        process.signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS + _SLACK_SECONDS, expected=0)
    pipeline.deliver()
    records = asyncio.run(read_committed(broker, topic))
    assert [json.loads(record.value)["after"]["id"] for record in records] == [1, 2, 3, 4]
    assert pipeline.ids() == [1, 2, 3, 4]
