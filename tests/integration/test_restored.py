"""A database, a target or both put back from an earlier copy: refused or taken up, never a silent hole."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.conftest import POSTGRES_URL
from tests.integration.commandline import Pipeline, Problem, tailrace
from tests.kafka_reader import read_committed
from tests.servers import Kafka, PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be stopped and put back."""
    if POSTGRES_URL:
        pytest.skip("a given server (TAILRACE_TEST_POSTGRES_URL) is not put back from a copy")
    with PostgresServer(18) as server:
        yield server


@pytest.fixture
def restorable(server: PostgresServer, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline on it."""
    database = server.create_database()
    yield Pipeline(tmp_path, server, database)
    server.drop_database(database)


def _copy_of_database(server: PostgresServer) -> Callable[[], None]:
    """Copy it; calling the answer puts the copy back."""
    copy = server.data.with_name("copy")

    def put_back() -> None:
        server.stop()
        shutil.rmtree(server.data)
        copy.rename(server.data)
        server.start()

    server.stop()
    # Owner and mode of the folder too: the server insists on them.
    shutil.copytree(server.data, copy, copy_function=_copy)
    for path in (server.data, *(found for found in server.data.rglob("*") if found.is_dir())):
        _own_alike(path, copy / path.relative_to(server.data))
    server.start()
    return put_back


def _copy(source: str, target: str) -> str:
    shutil.copy2(source, target)
    _own_alike(Path(source), Path(target))
    return target


def _own_alike(source: Path, target: Path) -> None:
    status = source.stat()
    target.chmod(status.st_mode)
    shutil.chown(target, status.st_uid, status.st_gid)


def _copy_of_log(pipeline: Pipeline) -> Callable[[], None]:
    """Copy the log's files, while nobody has it open; calling the answer puts them back. Who closes it last
    may have had to leave what was written in the -wal beside it."""
    copy = pipeline.folder / "copy"
    copy.mkdir()
    for path in pipeline.folder.glob("log.db*"):
        shutil.copy2(path, copy)

    def put_back() -> None:
        for path in pipeline.folder.glob("log.db*"):
            path.unlink()
        for path in copy.iterdir():
            shutil.copy2(path, pipeline.folder)

    return put_back


def _begins_anew(pipeline: Pipeline, problem: Problem) -> None:
    """As the remedy says."""
    said = tailrace(*problem.command("teardown", FILE=pipeline.file), "--yes")
    assert (said.code, said.err) == (0, "")
    pipeline.follow(10)


def test_an_older_database(restorable: Pipeline, server: PostgresServer) -> None:
    """The log holds what the database has lost: that is for a person to decide."""
    pipeline = restorable
    pipeline.follow(1)
    put_back = _copy_of_database(server)
    pipeline.follow(2, 3)
    put_back()
    problem = pipeline.refused("TR-PG-322")
    assert list(pipeline.faults()) == ["TR-PG-322"]
    assert "decide which of both is right" in str(problem.remedy)
    assert pipeline.ids() == [1, 2, 3]
    _begins_anew(pipeline, problem)
    assert pipeline.ids() == [1, 2, 3, 10]


def test_an_older_database_that_went_on(restorable: Pipeline, server: PostgresServer) -> None:
    """What clients write past the checkpoint makes the two logs look like one."""
    pipeline = restorable
    pipeline.follow(1)
    put_back = _copy_of_database(server)
    pipeline.follow(2, 3)
    (position,) = pipeline.positions().values()
    put_back()
    pipeline.insert(4)
    while pipeline.sql(f"SELECT pg_current_wal_flush_lsn() <= '{position}'") == [(True,)]:
        pipeline.sql("SELECT pg_switch_wal()")
        pipeline.insert(*[max(pipeline.sql("SELECT max(id) FROM t")[0]) + 1])
    problem = pipeline.refused("TR-PG-323")
    assert "decide which of both is right" in str(problem.remedy)
    assert pipeline.ids() == [1, 2, 3]
    assert pipeline.refused("TR-PG-323") == problem  # trying has not changed what is found
    _begins_anew(pipeline, problem)
    assert pipeline.ids() == [1, 2, 3, 10]


def test_an_older_log(pipeline: Pipeline) -> None:
    """The slot has gone on: what was delivered since the copy is not in the server's log any more."""
    pipeline.follow(1)
    put_back = _copy_of_log(pipeline)
    with pipeline.running() as process:
        pipeline.insert(2)
        pipeline.wait_for(1, 2)
        pipeline.wait_until_acknowledged()  # the last word at a stop may be lost
        pipeline.stop(process)
    put_back()
    pipeline.insert(3)
    problem = pipeline.refused("TR-PG-312")
    assert list(pipeline.faults()) == ["TR-PG-312"]
    assert pipeline.ids() == [1]
    _begins_anew(pipeline, problem)


def test_both_of_one_day(restorable: Pipeline, server: PostgresServer) -> None:
    """It goes on as it did then."""
    pipeline = restorable
    pipeline.follow(1)
    log, database = _copy_of_log(pipeline), _copy_of_database(server)
    pipeline.follow(2)
    log()
    database()
    pipeline.insert(3)
    pipeline.deliver()
    assert pipeline.ids() == [1, 3]


@pytest.mark.parametrize("lost", ["checkpoints", "data"])
def test_topics_that_were_deleted(pipeline: Pipeline, kafka: Kafka, lost: str) -> None:
    """Without its checkpoint the sink is refused, and begins where a person says. Deleted data alone is as
    good as data that has expired: the topic is made again, and holds what comes."""
    offsets, topic = f"{pipeline.name}.offsets", f"{pipeline.name}.public.t"
    pipeline.sinks = [
        {
            "type": "kafka",
            "bootstrap_servers": kafka.bootstrap_servers,
            "partitions": 1,
            "offsets_topic": offsets,
        }
    ]
    pipeline.deliver()
    pipeline.insert(1)
    pipeline.deliver()
    (position,) = pipeline.positions().values()
    asyncio.run(_delete(kafka, offsets if lost == "checkpoints" else topic))
    pipeline.insert(2)
    if lost == "checkpoints":
        problem = pipeline.refused("TR-ENG-012")
        words = problem.command("offsets set", FILE=pipeline.file, NAME="kafka", POSITION=position)
        said = tailrace(*words)
        assert said.code == 0, said.err
    pipeline.deliver()
    records = asyncio.run(read_committed(kafka, topic))
    ids = [json.loads(record.value)["after"]["id"] for record in records]
    assert ids == ([1, 2] if lost == "checkpoints" else [2])


async def _delete(kafka: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topic])
    finally:
        await admin.close()
