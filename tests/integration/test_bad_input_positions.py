"""Positions that do not fit the server's log: refused before anything is lost unsaid, with a way on."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.integration.commandline import Pipeline, Problem, refused, tailrace, the_problem
from tests.integration.relay import Relay
from tests.servers import Postgres, PostgresServer
from tests.waiting import wait_until

NOWHERE = Postgres("postgresql://postgres@127.0.0.1:1/postgres")


@pytest.fixture
def make_namesake(pipeline: Pipeline) -> Iterator[Callable[[Postgres], None]]:
    """Makes a database with the name of the pipeline's on another server, with a table `t` in it."""
    with contextlib.ExitStack() as made:

        def make(server: Postgres) -> None:
            server.execute(f"CREATE DATABASE {pipeline.database}")
            made.callback(server.drop_database, pipeline.database)
            server.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=pipeline.database)

        yield make


def _done(*words: str | Path) -> str:
    """What a command answers that must work."""
    said = tailrace(*words)
    assert (said.code, said.err) == (0, "")
    return said.out


def _begins_anew(pipeline: Pipeline, problem: Problem) -> None:
    """As the remedy says. What was delivered stays, what comes from now on arrives."""
    _done(*problem.command("teardown", FILE=pipeline.file), "--yes")
    pipeline.follow(10)


def test_the_slot_is_invalidated(make_postgres: Callable[..., PostgresServer], tmp_path: Path) -> None:
    server = make_postgres(18, {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "wal_keep_size": 0})
    pipeline = Pipeline(tmp_path, server, server.create_database())
    pipeline.follow(1)
    pipeline.insert(2)

    def is_lost() -> bool:
        server.execute("SELECT pg_switch_wal(); CREATE TABLE w (i int); DROP TABLE w")
        server.execute("CHECKPOINT")
        return server.execute("SELECT wal_status = 'lost' FROM pg_replication_slots") == [(True,)]

    wait_until(is_lost, "the slot to be invalidated")
    problem = pipeline.refused("TR-PG-311")
    assert pipeline.slot in problem.found
    assert list(pipeline.faults()) == ["TR-PG-311"]
    assert pipeline.ids() == [1]
    _begins_anew(pipeline, problem)


def test_the_slot_is_dropped(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    pipeline.sql(f"SELECT pg_drop_replication_slot('{pipeline.slot}')")
    pipeline.insert(2)
    problem = pipeline.refused("TR-PG-310")
    assert list(pipeline.faults()) == ["TR-PG-310"]
    (position,) = pipeline.positions().values()
    assert position in problem.found
    assert pipeline.ids() == [1]
    _begins_anew(pipeline, problem)


def test_the_slot_is_dropped_and_created_again(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    pipeline.sql(f"SELECT pg_drop_replication_slot('{pipeline.slot}')")
    pipeline.insert(2)
    pipeline.sql(f"SELECT pg_create_logical_replication_slot('{pipeline.slot}', 'pgoutput')")
    pipeline.insert(3)
    problem = pipeline.refused("TR-PG-312")
    assert list(pipeline.faults()) == ["TR-PG-312"]
    assert "bytes of log would be left out" in problem.found
    assert pipeline.ids() == [1]
    _begins_anew(pipeline, problem)


def test_the_slot_is_moved(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    pipeline.insert(2)
    pipeline.sql(f"SELECT pg_replication_slot_advance('{pipeline.slot}', pg_current_wal_flush_lsn())")
    pipeline.insert(3)
    problem = pipeline.refused("TR-PG-312")
    assert list(pipeline.faults()) == ["TR-PG-312"]
    assert "bytes of log would be left out" in problem.found
    assert pipeline.ids() == [1]
    _begins_anew(pipeline, problem)


def test_the_slot_is_dropped_while_the_line_is_down(pipeline: Pipeline) -> None:
    """A pipeline that runs checks at each reconnection what it checks at a start."""
    pipeline.deliver()
    with Relay(pipeline.server) as relay:
        pipeline.source["url"] = relay.url(pipeline.database)
        with pipeline.running() as process:
            pipeline.insert(1)
            pipeline.wait_for(1)
            relay.target = NOWHERE
            relay.cut()
            wait_until(lambda: "source retrying" in process.stderr, "the loss")
            pipeline.insert(2)
            wait_until(pipeline.drop_idle_slot, "the server to let the slot go")
            relay.target = pipeline.server
            process.wait(30, expected=1)
            problem = the_problem(process.stderr, "TR-PG-310")
        assert pipeline.ids() == [1]
        _begins_anew(pipeline, problem)


@pytest.fixture
def pipelines(postgres: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path) -> Pipeline:
    """The pipeline on every version in turn."""
    return Pipeline(tmp_path, postgres, make_database(postgres))


def test_the_publication_is_dropped_while_it_runs(pipelines: Pipeline) -> None:
    """From 18 on the server only warns, and leaves out what is written then."""
    pipeline = pipelines
    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_for(1)
        pipeline.sql(f"DROP PUBLICATION {pipeline.slot}")
        pipeline.insert(2)
        process.wait(30, expected=1)
        the_problem(process.stderr, "TR-PG-314")
    problem = pipeline.refused("TR-PG-314")
    assert pipeline.slot in problem.found
    assert pipeline.ids() == [1]
    _begins_anew(pipeline, problem)


def test_the_publication_is_dropped_and_created_again(pipelines: Pipeline) -> None:
    """It is there again, but was not when a part of the log was written."""
    pipeline = pipelines
    pipeline.follow(1)
    pipeline.insert(2)
    pipeline.sql(f"DROP PUBLICATION {pipeline.slot}")
    pipeline.insert(3)
    pipeline.sql(f"CREATE PUBLICATION {pipeline.slot} FOR TABLE t")
    pipeline.insert(4)
    problem = pipeline.refused("TR-PG-314")
    assert "when what comes next in the log was written" in problem.found
    assert pipeline.ids() == [1, 2]
    assert pipeline.refused("TR-PG-314") == problem
    _begins_anew(pipeline, problem)


def test_another_database_system(
    pipeline: Pipeline, postgres16: Postgres, make_namesake: Callable[..., None]
) -> None:
    """Behind the same URL, with a database and a table of the same names."""
    make_namesake(postgres16)
    with Relay(pipeline.server) as relay:
        pipeline.source["url"] = relay.url(pipeline.database)
        pipeline.follow(1)
        pipeline.insert(2)
        relay.target = postgres16
        problem = pipeline.refused("TR-ENG-010")
        (there,) = pipeline.sql("SELECT system_identifier::text FROM pg_control_system()")[0]
        assert f"system {there}" in problem.found
        assert "another pipeline of this name" in str(problem.remedy)
        slots = "SELECT FROM pg_replication_slots WHERE database = current_database()"
        assert postgres16.execute(slots, database=pipeline.database) == []
        assert pipeline.ids() == [1]
        relay.target = pipeline.server
        pipeline.deliver()
        assert pipeline.ids() == [1, 2]
        # And if it really was replaced:
        relay.target = postgres16
        _done(*problem.command("offsets reset", FILE=pipeline.file))
        pipeline.deliver()
        postgres16.execute("INSERT INTO t VALUES (3)", database=pipeline.database)
        pipeline.deliver()
        assert pipeline.ids() == [1, 2, 3]


def test_another_database_system_while_it_runs(
    pipeline: Pipeline, postgres16: Postgres, make_namesake: Callable[..., None]
) -> None:
    make_namesake(postgres16)
    pipeline.deliver()
    with Relay(pipeline.server) as relay:
        pipeline.source["url"] = relay.url(pipeline.database)
        with pipeline.running() as process:
            pipeline.insert(1)
            pipeline.wait_for(1)
            relay.target = postgres16
            relay.cut()
            process.wait(30, expected=1)
            the_problem(process.stderr, "TR-ENG-010")
        pipeline.insert(2)
        relay.target = pipeline.server
        pipeline.deliver()
        assert pipeline.ids() == [1, 2]


def test_an_added_sink(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    before = pipeline.positions()
    pipeline.sinks.append({"type": "log", "name": "second", "path": "second.db"})
    pipeline.insert(2)
    problem = pipeline.refused("TR-ENG-011")
    assert list(pipeline.faults()) == ["TR-ENG-011"]
    assert f"{pipeline.name}/second" in problem.found
    assert pipeline.ids() == [1]
    show = problem.command("offsets show", FILE=pipeline.file)
    positions = dict(line.split(maxsplit=1) for line in _done(*show).splitlines() if line[0] != " ")
    assert positions == {**before, "second": "nothing delivered yet"}
    _done(*problem.command("offsets set", FILE=pipeline.file, POSITION=positions["log"]))
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]
    assert pipeline.ids("second.db") == [2]


def test_a_lost_checkpoint(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    (position,) = pipeline.positions().values()
    _done("offsets", "reset", pipeline.file)
    pipeline.insert(2)
    problem = pipeline.refused("TR-ENG-012")
    assert list(pipeline.faults()) == ["TR-ENG-012"]
    (confirmed,) = pipeline.sql(
        f"SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = '{pipeline.slot}'"
    )[0]
    assert f"keeps its log for this pipeline from {confirmed} on" in str(problem.found)
    assert f"From {confirmed} on nothing is left out" in str(problem.remedy)
    words = problem.command("offsets set", FILE=pipeline.file, NAME="log", POSITION=position)
    _done(*words)
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]


def test_a_damaged_checkpoint(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    pipeline.insert(2)
    with contextlib.closing(sqlite3.connect(pipeline.folder / "log.db", isolation_level=None)) as log:
        log.execute("UPDATE checkpoint SET checkpoint = substr(checkpoint, 2)")
    problem = pipeline.refused("TR-CKPT-001")
    assert str(pipeline.folder / "log.db") in str(problem.where)
    assert list(pipeline.faults()) == ["TR-CKPT-001"]
    assert pipeline.ids() == [1]
    pipeline.sinks[0]["name"] = "renamed"
    pipeline.write()
    doctor = tailrace(*problem.command("doctor", FILE=pipeline.file)).out
    stands = re.search(rf"{pipeline.slot} stands at ([0-9A-F/]+)", doctor)
    assert stands is not None
    _done(*problem.command("offsets set", FILE=pipeline.file, NAME="renamed", POSITION=stands[1]))
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]


def test_a_lost_log(pipeline: Pipeline) -> None:
    """Data and checkpoint are gone together; the slot is still there."""
    pipeline.follow(1)
    for file in pipeline.folder.glob("log.db*"):
        file.unlink()
    problem = pipeline.refused("TR-ENG-012")
    assert list(pipeline.faults()) == ["TR-ENG-012"]
    assert pipeline.ids() == []
    _begins_anew(pipeline, problem)


def test_positions_that_the_server_cannot_serve(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    before = pipeline.positions()
    (origin,) = pipeline.sql("SELECT (pg_current_wal_lsn() - 16777216)::text")[0]
    for code, text in (("TR-PG-322", "FF/0"), ("TR-PG-312", origin), ("TR-PG-312", "0/1")):
        problem = refused(code, "offsets", "set", pipeline.file, "--at", text)
        assert str(problem.remedy).startswith("Give a position that the server can go on from.")
    assert pipeline.positions() == before
    pipeline.insert(2)
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]


def test_a_pipeline_started_twice(pipeline: Pipeline) -> None:
    with pipeline.running() as first:
        problem = pipeline.refused("TR-ENG-001")
        assert f"process {first.pid} on " in problem.found
        assert problem.where == str(pipeline.folder / "data" / f"{pipeline.name}.lock")
        pipeline.insert(1)
        pipeline.wait_for(1)
        pipeline.stop(first)  # as the remedy says
    with pipeline.running() as second:
        pipeline.insert(2)
        pipeline.wait_for(1, 2)
        pipeline.stop(second)


def test_positions_are_not_touched_while_it_runs(pipeline: Pipeline) -> None:
    with pipeline.running() as process:
        for words in (("offsets", "set", "--at", "0/1"), ("offsets", "reset"), ("teardown", "--yes")):
            problem = refused("TR-ENG-001", *words, pipeline.file)
            assert f"process {process.pid} on " in problem.found
        pipeline.insert(1)
        pipeline.wait_for(1)
        pipeline.stop(process)
    pipeline.insert(2)
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "unknown message": lambda message: message[:25] + b"?" + message[26:],
    "unknown kind of field": lambda message: message[:33] + b"z" + message[34:],
    "cut off": lambda message: message[:-1],
}


def test_a_malformed_wire_message(pipeline: Pipeline) -> None:
    """Nothing of it and nothing behind it arrives, until it can be read."""
    with Relay(pipeline.server) as relay:
        pipeline.source["url"] = relay.url(pipeline.database)
        pipeline.follow(1)
        pipeline.sql("INSERT INTO t VALUES (2, 'whole'), (3, 'broken')")
        pipeline.insert(4)
        for damage in DAMAGES.values():
            relay.damage = partial(_break, damage)
            problem = pipeline.refused("TR-PG-101")
            assert str(problem.where).startswith("log position ")
            assert "a proxy" in str(problem.remedy)
            assert pipeline.ids() in ([1], [1, 2])
        relay.damage = bytes  # the proxy is gone
        pipeline.deliver()
        assert pipeline.ids() == [1, 2, 3, 4]


def _break(damage: Callable[[bytes], bytes], message: bytes) -> bytes:
    is_insert = message[:1] == b"w" and message[25:26] == b"I"
    return damage(message) if is_insert and b"broken" in message else message
