"""Targets that do not take what they are given: told, nothing lost, and the way on works."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.integration.commandline import Pipeline, tailrace, the_problem
from tests.kafka_reader import read_committed
from tests.pipelines import PipelineProcess
from tests.servers import Kafka
from tests.servers.process import free_port
from tests.waiting import wait_until


def test_a_log_that_is_something_else(pipeline: Pipeline) -> None:
    (pipeline.folder / "log.db").write_text("the notes of somebody\n" * 100)
    problem = pipeline.refused("TR-SQLITE-005")
    assert list(pipeline.faults()) == ["TR-SQLITE-005"]
    assert problem.where == str(pipeline.folder / "log.db")
    assert pipeline.sql("SELECT FROM pg_publication") == []
    pipeline.sinks[0]["path"] = "other.db"
    pipeline.deliver()
    pipeline.insert(1)
    pipeline.deliver()
    assert pipeline.ids("other.db") == [1]


def test_teardown_of_what_can_be_reached(pipeline: Pipeline) -> None:
    """A sink that cannot be looked at holds up nothing: not the slot, which costs the server disk."""
    pipeline.deliver()
    good, damaged = pipeline.sinks[0], pipeline.folder / "damaged.db"
    address = f"127.0.0.1:{free_port()}"
    kafka = {"type": "kafka", "bootstrap_servers": address}
    pipeline.sinks = [kafka, {"type": "log", "name": "damaged", "path": damaged.name}, good]
    damaged.write_text("the notes of somebody\n" * 100)
    for words, verb in ((["--dry-run"], "would remove"), (["--yes"], "removed")):
        said = tailrace("teardown", pipeline.write(), *words)
        assert said.code == 1
        assert the_problem(said.err, "TR-KAFKA-001").where == address
        assert f"{pipeline.name}/kafka cannot be looked at: {address}: TR-KAFKA-001" in said.out
        assert f"{pipeline.name}/damaged cannot be looked at: {damaged}: TR-SQLITE-005" in said.out
        assert said.out.count("cannot be looked at") == 2
        assert f"{verb} replication slot {pipeline.slot}\n" in said.out
        assert f"{verb} checkpoint of {pipeline.name}/log" in said.out
    assert pipeline.sql("SELECT FROM pg_replication_slots WHERE database = current_database()") == []
    assert pipeline.sql("SELECT FROM pg_publication") == []
    pipeline.sinks = [good]
    assert tailrace("teardown", pipeline.write(), "--yes").out == "nothing is there\n"


def test_an_offset_store_that_cannot_be_made(pipeline: Pipeline) -> None:
    """Doctor and a start tell it, before anything is made on the server."""
    (pipeline.folder / "notes").touch()
    pipeline.sinks = [{"type": "stdout"}]
    pipeline.offsets = {"type": "sqlite", "path": "notes/offsets.db"}
    assert list(pipeline.faults()) == ["TR-SQLITE-003"]
    problem = pipeline.refused("TR-SQLITE-003")
    assert problem.where == str(pipeline.folder / "notes" / "offsets.db")
    assert pipeline.sql("SELECT FROM pg_publication") == []
    pipeline.offsets["path"] = "offsets.db"
    said = tailrace("run", pipeline.write(), "--until-current")
    assert said.code == 0, said.err
    pipeline.insert(1)
    (line,) = tailrace("run", pipeline.write(), "--until-current").out.splitlines()
    assert json.loads(line)["key"] == {"id": 1}


@pytest.fixture
def kafka_pipeline(pipeline: Pipeline, kafka: Kafka) -> Pipeline:
    """The pipeline into Kafka instead, one partition a topic: the order in it is the log's."""
    pipeline.sinks = [{"type": "kafka", "bootstrap_servers": kafka.bootstrap_servers, "partitions": 1}]
    return pipeline


def _ids(kafka: Kafka, pipeline: Pipeline) -> list[int]:
    """The rows of `t` in their topic, all of them inserted, in order."""
    records = asyncio.run(read_committed(kafka, _topic(pipeline)))
    values = [json.loads(record.value) for record in records]
    assert {value["op"] for value in values} <= {"c"}
    return [value["after"]["id"] for value in values]


def _topic(pipeline: Pipeline) -> str:
    return f"{pipeline.name}.public.t"


async def _administer(kafka: Kafka, request: Callable[[AIOKafkaAdminClient], Any]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await request(admin)
    finally:
        await admin.close()


def test_kafka_is_unreachable(kafka_pipeline: Pipeline, kafka: Kafka) -> None:
    pipeline, port = kafka_pipeline, free_port()
    pipeline.sinks[0]["bootstrap_servers"] = f"127.0.0.1:{port}"
    assert list(pipeline.faults()) == ["TR-KAFKA-001"]
    with pipeline.running(until="pipeline retrying") as process:
        (line,) = (line for line in process.stderr.splitlines() if "retrying" in line)
        assert "code=TR-KAFKA-001" in line
        assert f"at=127.0.0.1:{port}" in line
        assert 'remedy="Check bootstrap_servers' in line
        pipeline.stop(process)
    pipeline.sinks[0]["bootstrap_servers"] = kafka.bootstrap_servers
    pipeline.deliver()
    pipeline.insert(1)
    pipeline.deliver()
    assert _ids(kafka, pipeline) == [1]


def test_a_topic_that_cannot_be_created(kafka_pipeline: Pipeline, kafka: Kafka) -> None:
    """Doctor warns already. With the topic created by hand, as the remedy offers, it goes on."""
    pipeline = kafka_pipeline
    pipeline.sinks[0]["replication_factor"] = 3
    said = tailrace("doctor", pipeline.write())
    assert said.code == 0
    assert "! new topics: cannot be created" in said.out
    pipeline.deliver()  # nothing to deliver yet
    pipeline.insert(1)
    problem = pipeline.refused("TR-KAFKA-010")
    assert problem.where == f"topic {_topic(pipeline)}"
    assert "replication factor" in problem.found.lower()
    pipeline.insert(2)
    pipeline.refused("TR-KAFKA-010")
    assert _ids(kafka, pipeline) == []
    topic = NewTopic(_topic(pipeline), num_partitions=1, replication_factor=1)
    asyncio.run(_administer(kafka, lambda admin: admin.create_topics([topic])))
    pipeline.deliver()
    assert _ids(kafka, pipeline) == [1, 2]


def test_an_offsets_topic_that_cannot_be_created(kafka_pipeline: Pipeline, kafka: Kafka) -> None:
    pipeline = kafka_pipeline
    pipeline.sinks[0] |= {"offsets_topic": f"{pipeline.name}.offsets", "offsets_replication_factor": 3}
    pipeline.refused("TR-KAFKA-021")
    assert pipeline.sql("SELECT FROM pg_replication_slots WHERE database = current_database()") == []
    pipeline.sinks[0]["offsets_replication_factor"] = 1
    pipeline.deliver()
    pipeline.insert(1)
    pipeline.deliver()
    assert _ids(kafka, pipeline) == [1]


def test_a_record_that_is_too_large(kafka_pipeline: Pipeline, kafka: Kafka) -> None:
    """First for the sink's own bound, then for the topic's."""
    pipeline, letters = kafka_pipeline, random.Random(1)
    pipeline.sinks[0] |= {"max_request_size": 2000, "topic_settings": {"max.message.bytes": 3000}}
    pipeline.deliver()
    pipeline.insert(1)
    long = "".join(letters.choices("0123456789abcdef", k=8000))
    pipeline.sql(f"INSERT INTO t VALUES (2, '{long}'); INSERT INTO t VALUES (3)")
    pipeline.insert(4)
    problem = pipeline.refused("TR-KAFKA-011")
    assert "the 'c' of public.t" in problem.found
    assert "the sink's max_request_size is 2000" in problem.found
    assert long not in problem.found
    assert problem.remedy == (
        "Raise the sink's max_request_size, then start again"
        "; a topic's max.message.bytes bounds it too. Or have such records left out, which is told and "
        "counted: record_too_large: skip in the sink's block."
    )
    pipeline.sinks[0]["max_request_size"] = 1_000_000
    problem = pipeline.refused("TR-KAFKA-011")
    assert problem.remedy == (
        f"Raise max.message.bytes of topic {_topic(pipeline)}, then start again"
        "; a topic's max.message.bytes bounds it too. Or have such records left out, which is told and "
        "counted: record_too_large: skip in the sink's block."
    )
    assert set(_ids(kafka, pipeline)) <= {1}
    settings = ConfigResource(ConfigResourceType.TOPIC, _topic(pipeline), {"max.message.bytes": "100000"})
    asyncio.run(_administer(kafka, lambda admin: admin.alter_configs([settings])))
    pipeline.deliver()
    assert _ids(kafka, pipeline) == [1, 2, 3, 4]


def test_records_that_are_too_large_are_left_out(kafka_pipeline: Pipeline, kafka: Kafka) -> None:
    """Told and counted, the same one again after a kill before the commit; what comes behind arrives, and a
    later start goes on behind it."""
    pipeline = kafka_pipeline
    pipeline.sinks[0] |= {"max_request_size": 2000, "record_too_large": "skip"}
    pipeline.deliver()
    pipeline.insert(1)
    pipeline.sql("INSERT INTO t VALUES (2, repeat('secret', 1000)); INSERT INTO t VALUES (3)")
    with PipelineProcess(
        [sys.executable, "-m", "tailrace", "run", str(pipeline.write())],
        output=pipeline.folder / "killed.out",
        errors=pipeline.folder / "killed.err",
        failpoints="engine.writer.written=kill@1",
    ) as killed:
        killed.wait(60, expected=-signal.SIGKILL)
        places = re.findall(r"left out .*position=(\S+)", killed.stderr)
        assert len(places) == 1
    assert _ids(kafka, pipeline) == []
    with pipeline.running() as process:
        wait_until(lambda: "left out" in process.stderr, "the warning")
        wait_until(lambda: _ids(kafka, pipeline) == [1, 3], "what fits")
        said = tailrace("status", pipeline.file, "--json")
        (sink,) = json.loads(said.out)["sinks"]
        assert (sink["events"], sink["skipped"]) == (3, {"public.t": 1})
        pipeline.stop(process)
        (line,) = (line for line in process.stderr.splitlines() if "left out" in line)
        assert "code=TR-KAFKA-011" in line
        assert "table=public.t" in line
        assert re.search(r"position=[0-9A-F]{16}:1:0 ", line)  # its own, with the ordinal in its transaction
        assert f"position={places[0]} " in line
        assert "secret" not in line
    pipeline.insert(4)
    assert "left out" not in pipeline.deliver()
    assert _ids(kafka, pipeline) == [1, 3, 4]
