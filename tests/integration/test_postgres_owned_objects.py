"""A slot and a publication that somebody else makes: nothing of them is made, altered or dropped here."""

import pytest

from tailrace.errors import NotReady
from tests.integration.commandline import Pipeline, tailrace
from tests.integration.following import Follower
from tests.integration.raster import RASTER
from tests.servers import Postgres

_T = "CREATE TABLE t (id int PRIMARY KEY, x text)"


def _objects(pipeline: Pipeline) -> list[str]:
    found = pipeline.sql(
        "SELECT pubname::text FROM pg_publication UNION ALL SELECT slot_name FROM pg_replication_slots "
        "WHERE database = current_database()"
    )
    return sorted(name for (name,) in found)


def test_from_nothing_to_teardown(pipeline: Pipeline) -> None:
    """Every error holds the very statement; the role of the pipeline owns nothing and may create nothing."""
    name = f"dba_{pipeline.database}"
    role = f"role_{pipeline.database}"
    pipeline.sql(f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'word'")
    try:
        pipeline.source |= {
            "url": pipeline.server.url(pipeline.database, role, "word"),
            "slot": {"name": name, "create": False},
            "publication": {"name": name, "create": False},
        }
        problem = pipeline.refused("TR-PG-221")
        assert _objects(pipeline) == []
        pipeline.sql(problem.statement("CREATE PUBLICATION"))
        problem = pipeline.refused("TR-PG-221")
        ((_, position),) = pipeline.sql(
            problem.statement("SELECT pg_create").replace("SELECT ", "SELECT * FROM ")
        )
        pipeline.insert(1)
        # A slot that is there, and no position: it may be one whose checkpoints were lost.
        pipeline.refused("TR-ENG-012")
        pipeline.source["slot"]["starts_at"] = position
        pipeline.deliver()
        assert pipeline.ids() == [1]
        pipeline.insert(2)
        pipeline.deliver()
        assert pipeline.ids() == [1, 2]
        pipeline.sql("CREATE TABLE more (id int PRIMARY KEY)")
        problem = pipeline.refused("TR-PG-221")
        pipeline.sql(problem.statement("ALTER PUBLICATION"))
        pipeline.deliver()

        # The checkpoints are lost, and the slot has moved on.
        (pipeline.folder / "log.db").unlink()
        pipeline.refused("TR-ENG-012")

        said = tailrace("teardown", pipeline.write(), "--yes")
        assert said.code == 0
        assert "somebody else's" in said.out + said.err
        assert _objects(pipeline) == [name, name]
    finally:
        pipeline.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_slot_is_taken_over_where_another_reader_stood(pipeline: Pipeline) -> None:
    """As docs/from-debezium.md has it: what that one acknowledged is not delivered again, all else is."""
    name = f"debezium_{pipeline.database}"
    pipeline.sql(f"CREATE PUBLICATION {name} FOR ALL TABLES")
    pipeline.sql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
    pipeline.insert(1)
    pipeline.sql(f"SELECT pg_replication_slot_advance('{name}', pg_current_wal_lsn())")
    pipeline.insert(2)
    where = f"FROM pg_replication_slots WHERE slot_name = '{name}'"
    ((position,),) = pipeline.sql(f"SELECT confirmed_flush_lsn::text {where}")
    pipeline.source |= {
        "slot": {"name": name, "create": False, "starts_at": position},
        "publication": {"name": name, "create": False},
    }
    pipeline.deliver()
    pipeline.insert(3)
    pipeline.deliver()
    assert pipeline.ids() == [2, 3]


async def test_a_first_start_that_ends_half_way_takes_the_slot_again(
    postgres: Postgres, postgres_database: str
) -> None:
    follower = Follower(
        postgres,
        postgres_database,
        publication={"create": False},
        slot={"create": False, "starts_at": "0/1"},
    )
    try:
        follower.sql(f"{_T}; CREATE PUBLICATION {follower.name} FOR ALL TABLES")
        ((_, position),) = follower.sql(
            f"SELECT * FROM pg_create_logical_replication_slot('{follower.name}', 'pgoutput')"
        )
        await follower.source.identify()
        assert await follower.source.anchored()
        with pytest.raises(NotReady, match="TR-PG-307") as refused:
            await follower.source.anchor()
        assert f"starts_at: {position}" in refused.value.remedy
    finally:
        await follower.close()
    told = Follower(
        postgres,
        postgres_database,
        publication={"create": False},
        slot={"create": False, "starts_at": position.lower()},
    )
    try:
        for _ in range(2):
            await told.source.identify()
            assert not await told.source.anchored()
            assert await told.source.anchor() == {"lsn": position}
        await told.resume({"lsn": position})
        told.sql("INSERT INTO t VALUES (1)")
        batches = await told.until()
        await told.source.acknowledge(batches[-1].end)
        await told.close()
        assert await told.source.anchored()
    finally:
        await told.close()


@pytest.mark.parametrize("tables", ["ALL TABLES", "TABLES IN SCHEMA public"])
async def test_a_publication_of_more_tables_will_do(
    postgres: Postgres, postgres_database: str, tables: str
) -> None:
    if postgres.major < 15 and tables != "ALL TABLES":
        pytest.skip("came with PostgreSQL 15")
    follower = Follower(postgres, postgres_database, ["public.t"], publication={"create": False})
    follower.sql(
        f"{_T}; CREATE TABLE other (id int PRIMARY KEY); CREATE PUBLICATION {follower.name} FOR {tables}"
    )
    try:
        assert [f.error for f in await follower.source.check() if f.error] == []
        await follower.start()
        follower.sql("INSERT INTO other VALUES (1); INSERT INTO t VALUES (2, 'x')")
        assert await follower.told() == [("c", "public.t", None, {"id": 2, "x": "x"})]
        await follower.close()
        assert await follower.source.teardown(dry_run=False) == [f"replication slot {follower.name}"]
        assert follower.sql("SELECT pubname FROM pg_publication") == [(follower.name,)]
    finally:
        await follower.close()


async def test_row_filters_and_column_lists_are_meant(postgres: Postgres, postgres_database: str) -> None:
    """The server makes an insert of an update that brings a row in, and a delete of one that takes it out."""
    if postgres.major < 15:
        pytest.skip("came with PostgreSQL 15")
    follower = Follower(postgres, postgres_database, publication={"create": False})
    follower.sql(
        "CREATE TABLE f (id int PRIMARY KEY, n int, secret text); ALTER TABLE f REPLICA IDENTITY FULL;"
        "CREATE TABLE c (id int PRIMARY KEY, n int, secret text);"
        f"CREATE PUBLICATION {follower.name} FOR TABLE f WHERE (n > 0), c (id, n)"
    )
    try:
        findings = await follower.source.check()
        assert [f.error for f in findings if f.error] == []
        (told,) = [f.found for f in findings if f.title == "publication" and f.warning]
        assert "public.c, public.f" in told
        await follower.start()
        follower.sql("INSERT INTO f VALUES (1, 0, 's'), (2, 1, 's'); UPDATE f SET n = 2")
        follower.sql("UPDATE f SET n = 3 WHERE id = 1; UPDATE f SET n = 0 WHERE id = 2; DELETE FROM f")
        follower.sql("INSERT INTO c VALUES (1, 1, 's'); UPDATE c SET secret = 't'; DELETE FROM c")
        out = await follower.told()
        assert [(op, table, (after or before or {}).get("id")) for op, table, before, after in out] == [
            ("c", "public.f", 2),
            ("c", "public.f", 1),  # moved in
            ("u", "public.f", 2),
            ("u", "public.f", 1),
            ("d", "public.f", 2),  # moved out
            ("d", "public.f", 1),
            ("c", "public.c", 1),
            ("u", "public.c", 1),
            ("d", "public.c", 1),
        ]
        assert [after for op, table, _, after in out if table == "public.c" and op != "d"] == [
            {"id": 1, "n": 1}
        ] * 2
    finally:
        await follower.close()


async def test_a_column_that_is_left_out_may_be_of_any_type(
    postgres: Postgres, postgres_database: str
) -> None:
    if postgres.major < 15:
        pytest.skip("came with PostgreSQL 15")
    follower = Follower(postgres, postgres_database, publication={"create": False})
    follower.sql(
        f"{RASTER}; CREATE TABLE g (id int PRIMARY KEY, shape raster);"
        f"CREATE PUBLICATION {follower.name} FOR TABLE g (id)"
    )
    try:
        assert [f.error for f in await follower.source.check() if f.error] == []
        await follower.start()
        follower.sql("INSERT INTO g VALUES (1, '((0,0),(1,1))')")
        assert await follower.told() == [("c", "public.g", None, {"id": 1})]
    finally:
        await follower.close()


async def test_keyless_tables_need_a_second_publication(postgres: Postgres, postgres_database: str) -> None:
    follower = Follower(postgres, postgres_database, publication={"create": False}, keyless="inserts_only")
    follower.sql(f"{_T}; CREATE TABLE log (id int)")
    try:
        (error,) = [f.error for f in await follower.source.check() if f.error]
        assert error.code.id == "TR-PG-221"
        statements = error.remedy.partition("may run: ")[2]
        assert f'"{follower.name}_ins"' in statements
        follower.sql(statements)
        await follower.start()
        follower.sql("INSERT INTO log VALUES (1); UPDATE log SET id = 2; INSERT INTO t VALUES (1, 'x')")
        assert [name for _, name, _, _ in await follower.told()] == ["public.log", "public.t"]
    finally:
        await follower.close()
