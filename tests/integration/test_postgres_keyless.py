"""Tables whose old rows the log cannot identify, captured with their inserts alone."""

from typing import Any

import pytest

from tailrace.errors import NotReady
from tests.integration.following import Follower, changes, following, tell
from tests.servers import Postgres

_TABLES = (
    "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE log (id int, n int);"
    "CREATE TABLE nothing (id int, n int); ALTER TABLE nothing REPLICA IDENTITY NOTHING;"
    "CREATE TABLE parted (id int, n int) PARTITION BY LIST (id);"
    "CREATE TABLE part PARTITION OF parted DEFAULT"
)
_KEYLESS = ("log", "nothing", "parted")


def _published(follower: Follower, suffix: str = "") -> list[str]:
    found = follower.sql(
        f"SELECT tablename FROM pg_publication_tables WHERE pubname = '{follower.name}{suffix}' ORDER BY 1"
    )
    return [name for (name,) in found]


def _follower(server: Postgres, database: str, **settings: Any) -> Follower:
    return Follower(server, database, keyless="inserts_only", **settings)


async def test_inserts_arrive_and_everything_else_works_as_ever(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    async with following(postgres, postgres_database, keyless="inserts_only") as follower:
        assert _published(follower) == ["t"]
        assert _published(follower, "_ins") == ["log", "nothing", "parted"]
        (warning,) = [f for f in await follower.source.check() if f.title == "replica identity"]
        assert (warning.warning, warning.error) == (True, None)
        assert "public.log, public.nothing, public.parted: none" in warning.found
        for table in ("t", *_KEYLESS):
            follower.sql(f"INSERT INTO {table} VALUES (1, 1); UPDATE {table} SET n = 2; DELETE FROM {table}")
            follower.sql(f"TRUNCATE {table}")
        batches = await follower.until()
        found = changes(batches)
        assert [(change.op, str(change.table)) for change in found if change.table.name == "t"] == [
            (op, "public.t") for op in "cudt"
        ]
        assert [tell(change) for change in found if change.table.name != "t"] == [
            told
            for table in _KEYLESS
            for told in (
                ("c", f"public.{table}", None, {"id": 1, "n": 1}),
                ("t", f"public.{table}", None, None),
            )
        ]
        assert {change.table.key for change in found if change.table.name != "t"} == {()}

        await follower.close()  # a restart
        follower.sql("INSERT INTO log VALUES (2, 2)")
        await follower.resume(batches[-1].end)
        assert await follower.told() == [("c", "public.log", None, {"id": 2, "n": 2})]


async def test_a_table_that_gets_a_key_is_captured_whole_from_the_next_start_on(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    async with following(postgres, postgres_database, keyless="inserts_only") as follower:
        position = (await follower.until())[-1].end
    follower.sql("INSERT INTO log VALUES (1, 1)")
    follower.sql("ALTER TABLE log ADD PRIMARY KEY (id)")
    follower.sql("INSERT INTO log VALUES (2, 2); UPDATE log SET n = 3 WHERE id = 2")
    again = _follower(postgres, postgres_database)
    (warning,) = [f for f in await again.source.check() if f.title == "publication"]
    assert warning.warning
    assert "gets public.log at the next start" in warning.found
    try:
        await again.resume(position)
        assert (_published(again), _published(again, "_ins")) == (["log", "t"], ["nothing", "parted"])
        again.sql("UPDATE log SET n = 4 WHERE id = 2; DELETE FROM log WHERE id = 1")
        told = await again.told()
        # What was not published is not in the log's stream: that is what `inserts_only` says.
        assert [(op, after) for op, _, _, after in told] == [
            ("c", {"id": 1, "n": 1}),
            ("c", {"id": 2, "n": 2}),
            ("u", {"id": 2, "n": 4}),
            ("d", None),
        ]
    finally:
        await again.close()


async def test_a_table_that_loses_its_key_can_be_changed_again_from_the_next_start_on(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    async with following(postgres, postgres_database, keyless="inserts_only") as follower:
        position = (await follower.until())[-1].end
    follower.sql("INSERT INTO t VALUES (1, 1); UPDATE t SET n = 2; ALTER TABLE t DROP CONSTRAINT t_pkey")
    again = _follower(postgres, postgres_database)
    (warning,) = [f for f in await again.source.check() if f.title == "publication"]
    assert "loses public.t at the next start" in warning.found
    try:
        await again.resume(position)
        again.sql("UPDATE t SET n = 3; INSERT INTO t VALUES (1, 4)")
        assert [(op, after) for op, _, _, after in await again.told()] == [
            ("c", {"id": 1, "n": 1}),
            ("u", {"id": 1, "n": 2}),
            ("c", {"id": 1, "n": 4}),
        ]
    finally:
        await again.close()


async def test_what_an_unfinished_first_start_left_is_put_right(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    first = _follower(postgres, postgres_database)
    await first.source.anchor()
    await first.close()
    first.sql(
        "ALTER TABLE log REPLICA IDENTITY FULL; ALTER TABLE t DROP CONSTRAINT t_pkey;"
        "CREATE TABLE more (id int)"
    )
    async with following(postgres, postgres_database, keyless="inserts_only") as follower:
        assert _published(follower) == ["log"]
        assert _published(follower, "_ins") == ["more", "nothing", "parted", "t"]
        follower.sql("INSERT INTO t VALUES (1, 1); UPDATE t SET n = 2; INSERT INTO log VALUES (1, 1)")
        follower.sql("DELETE FROM log")
        assert [(op, name) for op, name, _, _ in await follower.told()] == [
            ("c", "public.t"),
            ("c", "public.log"),
            ("d", "public.log"),
        ]


async def test_a_pipeline_that_had_none_takes_them_in(postgres: Postgres, postgres_database: str) -> None:
    """The second publication is there from the first start on: the stream keeps its shape."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1, 1), (2, 2)")
        batch = await follower.batch()
        fingerprint = follower.source.fingerprint
    follower.sql("CREATE TABLE log (id int)")
    refusing = Follower(postgres, postgres_database)
    with pytest.raises(NotReady, match="TR-PG-212"):
        await refusing.resume(batch.end)
    await refusing.close()
    again = _follower(postgres, postgres_database)
    try:
        await again.resume(batch.end, fingerprint)
        assert again.source.fingerprint == fingerprint
        again.sql("INSERT INTO log VALUES (1); DELETE FROM log")
        assert ("c", "public.log", None, {"id": 1}) in await again.told()
    finally:
        await again.close()


async def test_only_tables_without_a_key(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE log (id int)", database=postgres_database)
    async with following(postgres, postgres_database, keyless="inserts_only") as follower:
        assert (_published(follower), _published(follower, "_ins")) == ([], ["log"])
        follower.sql("INSERT INTO log VALUES (1); UPDATE log SET id = 2")
        assert await follower.told() == [("c", "public.log", None, {"id": 1})]
        assert len(await follower.source.teardown(dry_run=True)) == 3


async def test_a_publication_of_all_tables_would_keep_them_from_being_changed(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(
        f"{_TABLES}; CREATE PUBLICATION tailrace_{postgres_database} FOR ALL TABLES",
        database=postgres_database,
    )
    follower = _follower(postgres, postgres_database, tables=["public.t", "public.log"])
    try:
        (found,) = [finding.error for finding in await follower.source.check() if finding.error]
        assert found.code.id == "TR-PG-220"
        assert "public.log" in found.found
        with pytest.raises(NotReady, match="TR-PG-220"):
            await follower.source.anchor()
    finally:
        await follower.close()
