"""Tables that change while they are captured: each change comes with the version of its table of then."""

from collections.abc import Sequence
from typing import Any

from tailrace.events import ABSENT, Batch, SchemaChange
from tests.integration.following import Follower, changes, following, tell
from tests.servers import Postgres

_TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def _versions(batches: Sequence[Batch]) -> list[tuple[str, list[tuple[str, str]], list[str]]]:
    """The schema changes in order: table, columns with their types, key."""
    events = [event for batch in batches for event in batch.events]
    tables = [event.table for event in events if isinstance(event, SchemaChange)]
    return [
        (
            table.name,
            [(column.name, column.type.native) for column in table.columns],
            [table.columns[i].name for i in table.key],
        )
        for table in tables
    ]


def _rows(batches: Sequence[Batch]) -> list[tuple[str, str, dict[str, Any] | None]]:
    told = [tell(change) for change in changes(batches)]
    return [(op, table.removeprefix("public."), after) for op, table, _, after in told]


async def test_columns_that_come_go_and_change(postgres: Postgres, postgres_database: str) -> None:
    """Within one transaction as between transactions."""
    postgres.execute(_TABLE, database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql(
            "INSERT INTO t VALUES (1, '1'); ALTER TABLE t ADD n int; INSERT INTO t VALUES (2, '2', 2);"
            "ALTER TABLE t RENAME v TO w; INSERT INTO t VALUES (3, '3', 3)"
        )
        follower.sql("ALTER TABLE t ALTER w TYPE int USING w::int; INSERT INTO t VALUES (4, 4, 4)")
        follower.sql("ALTER TABLE t DROP w; INSERT INTO t VALUES (5, 5)")
        batches = await follower.until()
    assert _rows(batches) == [
        ("c", "t", {"id": 1, "v": "1"}),
        ("c", "t", {"id": 2, "v": "2", "n": 2}),
        ("c", "t", {"id": 3, "w": "3", "n": 3}),
        ("c", "t", {"id": 4, "w": 4, "n": 4}),
        ("c", "t", {"id": 5, "n": 5}),
    ]
    assert [[name for name, _ in columns] for _, columns, _ in _versions(batches)] == [
        ["id", "v"],
        ["id", "v", "n"],
        ["id", "w", "n"],
        ["id", "w", "n"],
        ["id", "n"],
    ]


async def test_a_change_that_is_rolled_back_leaves_no_trace(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql(
            "BEGIN; INSERT INTO t VALUES (1, 'a'); SAVEPOINT s; ALTER TABLE t ADD n int;"
            "INSERT INTO t VALUES (2, 'b', 2); ROLLBACK TO s; INSERT INTO t VALUES (3, 'c'); COMMIT"
        )
        batches = await follower.until()
    assert _rows(batches) == [("c", "t", {"id": 1, "v": "a"}), ("c", "t", {"id": 3, "v": "c"})]
    assert len(_versions(batches)) == 1


async def test_a_backlog_is_read_as_the_tables_were(postgres: Postgres, postgres_database: str) -> None:
    """The catalogue is newer than all of it: columns, types and the table itself are gone."""
    postgres.execute(f"{_TABLE}; CREATE TABLE gone (id int PRIMARY KEY, v text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        position = (await follower.until())[-1].end
    follower.sql("INSERT INTO t VALUES (1, 'a'); INSERT INTO gone VALUES (1, 'x')")
    follower.sql("ALTER TABLE t DROP v; ALTER TABLE t RENAME id TO number; DROP TABLE gone")
    follower.sql("INSERT INTO t VALUES (2)")
    again = Follower(postgres, postgres_database)
    try:
        await again.resume(position)
        batches = await again.until()
    finally:
        await again.close()
    assert _rows(batches) == [
        ("c", "t", {"id": 1, "v": "a"}),
        ("c", "gone", {"id": 1, "v": "x"}),
        ("c", "t", {"number": 2}),
    ]
    assert [key for _, _, key in _versions(batches)] == [["id"], ["id"], ["number"]]


async def test_a_table_that_is_renamed(postgres: Postgres, postgres_database: str) -> None:
    """It stays published: under its new name, if that is captured."""
    postgres.execute(_TABLE, database=postgres_database)
    async with following(postgres, postgres_database, ["public.t*"]) as follower:
        follower.sql("INSERT INTO t VALUES (1); ALTER TABLE t RENAME TO tt; INSERT INTO tt VALUES (2)")
        follower.sql("ALTER TABLE tt RENAME TO other; INSERT INTO other VALUES (3)")
        follower.sql("ALTER TABLE other RENAME TO t; INSERT INTO t VALUES (4)")
        found = [(table, after and after["id"]) for _, table, after in _rows(await follower.until())]
        assert found == [("t", 1), ("tt", 2), ("t", 4)]


async def test_a_table_that_is_made_anew(postgres: Postgres, postgres_database: str) -> None:
    """Another table of the same name is captured from the next start on, as any that is created later."""
    postgres.execute(_TABLE, database=postgres_database)
    async with following(postgres, postgres_database, ["public.t"]) as follower:
        follower.sql("INSERT INTO t VALUES (1, 'a')")
        follower.sql("DROP TABLE t; CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (2)")
        batches = await follower.until()
        assert _rows(batches) == [("c", "t", {"id": 1, "v": "a"})]
    again = Follower(postgres, postgres_database, ["public.t"])
    (warning,) = [f for f in await again.source.check() if f.title == "publication" and f.warning]
    assert "lacks public.t" in warning.found
    try:
        await again.resume(batches[-1].end)
        again.sql("INSERT INTO t VALUES (3)")
        assert await again.told() == [("c", "public.t", None, {"id": 3})]
    finally:
        await again.close()


async def test_an_identity_that_changes(postgres: Postgres, postgres_database: str) -> None:
    """The key is what the log identified rows by at the time."""
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL UNIQUE, n int)", database=postgres_database
    )
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1, 'a', 1); UPDATE t SET n = 2")
        follower.sql("ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key; UPDATE t SET code = 'b'")
        follower.sql("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 3")
        follower.sql("ALTER TABLE t REPLICA IDENTITY DEFAULT; UPDATE t SET id = 2")
        batches = await follower.until()
    assert [(op, before) for op, _, before, _ in map(tell, changes(batches))] == [
        ("c", None),
        ("u", None),
        ("d", {"id": ABSENT, "code": "a", "n": ABSENT}),
        ("c", {"id": ABSENT, "code": "a", "n": ABSENT}),
        ("u", {"id": 1, "code": "b", "n": 2}),
        ("d", {"id": 1, "code": ABSENT, "n": ABSENT}),
        ("c", {"id": 1, "code": ABSENT, "n": ABSENT}),
    ]
    assert [key for _, _, key in _versions(batches)] == [["id"], ["code"], ["id"], ["id"]]
