"""A database that is not ready for the pipeline: one error, and what that says to do makes it ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from tests.integration.commandline import PASSWORD, Pipeline, Problem, the_problem
from tests.integration.raster import RASTER
from tests.integration.relay import Relay
from tests.servers import PostgresServer
from tests.waiting import wait_until


def _refused(pipeline: Pipeline, code: str) -> Problem:
    """Doctor and run find the same one fault, and a run leaves nothing behind."""
    problem = pipeline.refused(code)
    assert pipeline.faults() == {code: problem.remedy}
    for view in ("pg_replication_slots WHERE database = current_database()", "pg_publication"):
        assert pipeline.sql(f"SELECT FROM {view}") == []
    return problem


def _pattern(problem: Problem) -> str:
    """What the remedy says to write into the file."""
    return str(problem.remedy).rpartition("add it to exclude: under source: as ")[2]


@pytest.fixture
def role(pipeline: Pipeline) -> Iterator[str]:
    """A role with a password, that may log in and no more; the pipeline's. Its name needs quotes in SQL."""
    name = f"App-{pipeline.database}"
    create = SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), PASSWORD)
    pipeline.sql(create.as_string())
    pipeline.source |= {"url": pipeline.server.url(pipeline.database, name), "password": PASSWORD}
    yield name
    pipeline.sql(f'DROP OWNED BY "{name}"')
    pipeline.server.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def test_an_unreachable_host(pipeline: Pipeline) -> None:
    relay = Relay(pipeline.server)
    pipeline.source |= {"url": relay.url(pipeline.database), "password": PASSWORD}
    began = time.monotonic()
    assert list(pipeline.faults()) == ["TR-PG-001"]
    assert time.monotonic() - began < 5
    with pipeline.running(until="pipeline retrying") as process:
        (line,) = (line for line in process.stderr.splitlines() if "retrying" in line)
        assert "code=TR-PG-001" in line
        assert f"at=127.0.0.1:{relay.port}/{pipeline.database}" in line
        assert 'remedy="Check host and port in the URL' in line
        pipeline.stop(process)
    with pipeline.running(until="pipeline retrying") as process, relay:
        wait_until(lambda: "pipeline streaming" in process.stderr, "the start")
        pipeline.insert(1)
        pipeline.wait_for(1)
        pipeline.stop(process)


def test_a_wrong_password(pipeline: Pipeline, role: str) -> None:
    pipeline.sql(f'ALTER ROLE "{role}" REPLICATION; ALTER TABLE t OWNER TO "{role}"')
    pipeline.server.execute(f'GRANT CREATE ON DATABASE "{pipeline.database}" TO "{role}"')
    pipeline.source["password"] = f"not {PASSWORD}"
    problem = pipeline.refused("TR-PG-010", "--debug")
    assert role in problem.found
    assert "Check user and password" in str(problem.remedy)
    assert set(pipeline.faults()) == {"TR-PG-010"}
    pipeline.source["password"] = PASSWORD
    pipeline.follow(1, 2)


def test_a_role_that_may_not_replicate(pipeline: Pipeline, role: str) -> None:
    pipeline.sql(f'ALTER TABLE t OWNER TO "{role}"')
    pipeline.server.execute(f'GRANT CREATE ON DATABASE "{pipeline.database}" TO "{role}"')
    pipeline.sql(_refused(pipeline, "TR-PG-013").statement("ALTER ROLE"))
    pipeline.follow(1, 2)


def test_a_role_that_may_not_publish(pipeline: Pipeline, role: str) -> None:
    pipeline.sql(f'ALTER ROLE "{role}" REPLICATION')
    pipeline.sql(_refused(pipeline, "TR-PG-014").statement("GRANT CREATE ON DATABASE"))
    problem = _refused(pipeline, "TR-PG-014")
    assert "public.t" in problem.found
    pipeline.sql(problem.statement(f'CREATE PUBLICATION "{pipeline.slot}"'))
    pipeline.sql(problem.statement(f'CREATE PUBLICATION "{pipeline.slot}_ins"'))
    pipeline.follow(1, 2)


def test_a_role_that_may_not_publish_later(pipeline: Pipeline, role: str) -> None:
    """A table that comes later: the role may add what it owns to what it owns."""
    pipeline.sql(f'ALTER ROLE "{role}" REPLICATION; ALTER TABLE t OWNER TO "{role}"')
    pipeline.server.execute(f'GRANT CREATE ON DATABASE "{pipeline.database}" TO "{role}"')
    pipeline.follow(1, 2)
    pipeline.sql("CREATE TABLE later (id int PRIMARY KEY)")
    pipeline.insert(3)
    problem = pipeline.refused("TR-PG-014")
    assert "public.later" in problem.found
    pipeline.sql(problem.statement(f'ALTER PUBLICATION "{pipeline.slot}" ADD TABLE'))
    pipeline.sql("INSERT INTO later VALUES (1)")
    pipeline.deliver()
    assert pipeline.ids() == [1, 2, 3]
    assert pipeline.read(table="public.later") == [("c", {"id": 1})]


def test_a_table_that_does_not_exist(pipeline: Pipeline) -> None:
    """`t` is there, `T` is not: it is created, or the name corrected."""
    pipeline.source["tables"] = ["public.T"]
    problem = _refused(pipeline, "TR-PG-210")
    assert "create the table" in str(problem.remedy)
    assert str(problem.remedy).endswith("Did you mean public.t?")
    pipeline.source["tables"] = ["public.t"]
    pipeline.follow(1)
    pipeline.source["tables"] = ["public.t", "public.T"]
    pipeline.sql('CREATE TABLE "T" (id int PRIMARY KEY)')
    pipeline.follow(2)


def test_a_pattern_that_matches_nothing(pipeline: Pipeline) -> None:
    pipeline.source["tables"] = ["public.*", "audit.*"]
    _refused(pipeline, "TR-PG-211")
    pipeline.sql("CREATE SCHEMA audit; CREATE TABLE audit.log (id int PRIMARY KEY)")
    pipeline.follow(1, 2)


def test_a_column_of_an_unsupported_type(pipeline: Pipeline) -> None:
    pipeline.sql(RASTER)
    pipeline.sql('CREATE TABLE "Shapes.old" (id int PRIMARY KEY, outline raster)')
    problem = _refused(pipeline, "TR-PG-102")
    assert "column outline is of type public.raster" in problem.found
    pipeline.source["exclude"] = [_pattern(problem)]
    pipeline.follow(1, 2)


def test_a_column_of_an_unsupported_type_that_comes_later(pipeline: Pipeline) -> None:
    pipeline.sql(RASTER)
    pipeline.sql("CREATE TABLE shapes (id int PRIMARY KEY)")
    pipeline.follow(1, 2)
    with pipeline.running() as process:
        pipeline.sql("ALTER TABLE shapes ADD outline raster")
        pipeline.insert(3)
        wait_until(lambda: pipeline.ids() == [1, 2, 3], "what stands before it to arrive")
        pipeline.sql("INSERT INTO shapes VALUES (1, '((0,0),(1,1))')")
        pipeline.insert(4)
        process.wait(30, expected=1)
        problem = the_problem(process.stderr, "TR-PG-102")
    assert pipeline.ids() == [1, 2, 3]
    pipeline.source["exclude"] = [_pattern(problem)]
    pipeline.deliver()
    assert pipeline.ids() == [1, 2, 3, 4]


def test_a_value_that_cannot_be_written(pipeline: Pipeline) -> None:
    """What stands before it in its transaction arrives, once; with its table left out the rest does too."""
    pipeline.sql("CREATE TABLE n (id int PRIMARY KEY, x numeric)")
    pipeline.deliver()
    pipeline.sql("INSERT INTO t VALUES (1); INSERT INTO n VALUES (1, 'NaN'); INSERT INTO t VALUES (2)")
    for _ in range(2):
        pipeline.refused("TR-FMT-001")
        assert pipeline.ids() == [1]
    pipeline.source["exclude"] = ["public.n"]
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]


def test_an_event_on_which_a_filter_cannot_decide(pipeline: Pipeline) -> None:
    """What stands before it in its transaction arrives, once; where the filter decides, the rest does too."""
    pipeline.deliver()
    pipeline.sql(
        "INSERT INTO t VALUES (1, '3'); INSERT INTO t VALUES (2, 'x'); INSERT INTO t VALUES (3, '4')"
    )
    pipeline.transforms = [{"type": "filter", "where": "int(row.x) > 0"}]
    for _ in range(2):
        pipeline.refused("TR-SHAPE-010")
        assert pipeline.ids() == [1]
    pipeline.transforms = [{"type": "filter", "where": "row.x != 'x'"}]
    pipeline.deliver()
    assert pipeline.ids() == [1, 3]


def test_a_table_without_a_replica_identity(pipeline: Pipeline) -> None:
    pipeline.sql('CREATE TABLE "Key less" (id int)')
    problem = _refused(pipeline, "TR-PG-212")
    pipeline.sql('DELETE FROM "Key less"')  # it was not published
    pipeline.sql(problem.statement('ALTER TABLE public."Key less" REPLICA IDENTITY FULL'))
    pipeline.follow(1, 2)
    pipeline.sql('INSERT INTO "Key less" VALUES (1); DELETE FROM "Key less"')
    pipeline.deliver()
    assert [op for op, _ in pipeline.read(table="public.Key_less")] == ["c", "d"]


def test_a_wal_level_of_replica(make_postgres: Callable[..., PostgresServer], tmp_path: Path) -> None:
    server = make_postgres(16, {"wal_level": "replica"})
    pipeline = Pipeline(tmp_path, server, server.create_database())
    pipeline.sql(_refused(pipeline, "TR-PG-203").statement("ALTER SYSTEM SET wal_level"))
    server.restart()
    pipeline.follow(1, 2)


def test_no_free_slot(make_postgres: Callable[..., PostgresServer], tmp_path: Path) -> None:
    server = make_postgres(18, {"max_replication_slots": 1})
    pipeline = Pipeline(tmp_path, server, server.create_database())
    server.execute("SELECT pg_create_physical_replication_slot('taken')")
    problem = _refused(pipeline, "TR-PG-204")
    pipeline.sql(problem.statement("ALTER SYSTEM SET max_replication_slots"))
    server.restart()
    pipeline.follow(1, 2)
