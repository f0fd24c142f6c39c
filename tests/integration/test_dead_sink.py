"""A sink whose target is gone, for a while or for good, beside others that go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from tests.integration.commandline import Pipeline, tailrace
from tests.kafka_reader import read_committed
from tests.servers import KafkaServer
from tests.waiting import wait_until

_ROWS = 3000
_ROW_BYTES = 5000  # together more than the queue and the units of a sink hold


def test_a_broker_that_is_away_and_one_that_is_lost(
    pipeline: Pipeline, make_kafka: Callable[..., KafkaServer]
) -> None:
    """The others are held back when the dead sink's queue is full, the server keeps its log and says so; with
    the broker back everything is there once. Without it for good the pipeline goes on without that sink."""
    broker = make_kafka()
    kafka = {
        "type": "kafka",
        "bootstrap_servers": broker.bootstrap_servers,
        "partitions": 1,
        "transaction_timeout": 10,
    }
    pipeline.sinks += [kafka, {"type": "stdout"}]

    def kept() -> int:
        behind = f"slot_name = '{pipeline.slot}'"
        ((size,),) = pipeline.sql(
            f"SELECT (pg_current_wal_flush_lsn() - confirmed_flush_lsn)::bigint "
            f"FROM pg_replication_slots WHERE {behind}"
        )
        return int(size)

    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_until_acknowledged()
        broker.kill()
        for first in range(2, _ROWS + 2, 100):
            pipeline.sql(
                f"INSERT INTO t SELECT n, repeat('x', {_ROW_BYTES}) "
                f"FROM generate_series({first}, {first + 99}) n"
            )
        wait_until(lambda: "sink retrying" in process.stderr, "the trouble")
        (line,) = (line for line in process.stderr.splitlines() if "sink retrying" in line)
        assert "code=TR-KAFKA-" in line
        assert f"sink={pipeline.name}/kafka" in line
        wait_until(lambda: len(pipeline.ids()) > 100, "what the others deliver")
        assert kept() > _ROWS * _ROW_BYTES / 100, "nothing of it is acknowledged"
        pipeline.stop(process)
    delivered = pipeline.ids()
    assert delivered == list(range(1, len(delivered) + 1))
    assert len(delivered) < _ROWS, "the others are held back"
    first_lines = (pipeline.folder / "output").read_text()
    broker.start()
    second_lines = _deliver(pipeline)
    everything = list(range(1, _ROWS + 2))
    assert pipeline.ids() == everything
    assert _ids_in_kafka(broker, pipeline) == everything
    assert _ids_in_lines(first_lines + second_lines) == everything

    broker.remove()
    pipeline.insert(_ROWS + 2)
    pipeline.sinks.remove(kafka)
    third_lines = _deliver(pipeline)
    assert pipeline.ids() == [*everything, _ROWS + 2]
    assert _ids_in_lines(third_lines) == [_ROWS + 2]
    assert kept() < 100_000, "nobody holds the log back any more"


def _deliver(pipeline: Pipeline) -> str:
    said = tailrace("run", pipeline.write(), "--until-current")
    assert said.code == 0, said.err
    return said.out


def _ids_in_kafka(broker: KafkaServer, pipeline: Pipeline) -> list[int]:
    records = asyncio.run(read_committed(broker, f"{pipeline.name}.public.t"))
    return [json.loads(record.value)["after"]["id"] for record in records]


def _ids_in_lines(lines: str) -> list[int]:
    events = map(json.loads, lines.splitlines())
    return [event["key"]["id"] for event in events if event["topic"].endswith(".public.t")]
