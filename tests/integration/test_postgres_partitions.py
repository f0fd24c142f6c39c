"""Tables made of tables: what the log tells of a row is what the partition or child says that holds it."""

from collections.abc import Callable

import psycopg
import pytest

from tailrace.errors import NotReady, TailraceError
from tailrace.events import UNCHANGED
from tests.integration.following import Follower, changes, following, tell
from tests.servers import Postgres, PostgresServer

_PARTED = (
    "CREATE TABLE p (id int PRIMARY KEY, n int, large text) PARTITION BY RANGE (id);"
    "CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (10);"
    "ALTER TABLE low ALTER large SET STORAGE EXTERNAL;"
)


async def test_a_value_that_no_row_holds_is_not_null(postgres: Postgres, postgres_database: str) -> None:
    """REPLICA IDENTITY FULL is not handed down: old rows of such a partition are their key, the rest NULL."""
    postgres.execute(f"{_PARTED} ALTER TABLE p REPLICA IDENTITY FULL", database=postgres_database)
    async with following(postgres, postgres_database, ["public.p"]) as follower:
        follower.sql("INSERT INTO p VALUES (1, 1, repeat('x', 10000))")
        follower.sql("UPDATE p SET id = 2")
        follower.sql("ALTER TABLE low REPLICA IDENTITY FULL; UPDATE p SET id = 3")
        large = "x" * 10_000
        assert [(op, after) for op, _, _, after in await follower.told() if op == "c"] == [
            ("c", {"id": 1, "n": 1, "large": large}),
            ("c", {"id": 2, "n": 1, "large": UNCHANGED}),
            ("c", {"id": 3, "n": 1, "large": large}),
        ]


async def _refusal(follower: Follower) -> TailraceError:
    """What the check list finds, and a start refuses."""
    (found,) = [finding.error for finding in await follower.source.check() if finding.error]
    with pytest.raises(NotReady) as refused:
        await follower.source.anchor()
    assert str(refused.value) == str(found)
    assert not await follower.source.anchored()
    await follower.close()
    return refused.value


@pytest.mark.parametrize(
    ("tables", "place", "remedy"),
    [
        # An old row would be read by an identity that the table does not have: as nothing at all.
        (
            "CREATE TABLE p (id int NOT NULL, x text) PARTITION BY LIST (id);"
            "CREATE TABLE leaf PARTITION OF p (PRIMARY KEY (id)) DEFAULT",
            "public.p",
            "ALTER TABLE public.p ADD PRIMARY KEY (id);",
        ),
        # The key would not be in it.
        (
            "CREATE TABLE p (id int PRIMARY KEY, x text NOT NULL) PARTITION BY LIST (id);"
            "CREATE TABLE leaf PARTITION OF p DEFAULT; CREATE UNIQUE INDEX leaf_x ON leaf (x);"
            "ALTER TABLE leaf REPLICA IDENTITY USING INDEX leaf_x",
            "public.leaf",
            "ALTER TABLE public.leaf REPLICA IDENTITY FULL;",
        ),
        # Without a key the whole old row is what identifies it.
        (
            "CREATE TABLE p (id int NOT NULL, x text) PARTITION BY LIST (id);"
            "CREATE TABLE leaf PARTITION OF p (PRIMARY KEY (id)) DEFAULT;"
            "ALTER TABLE p REPLICA IDENTITY FULL",
            "public.leaf",
            "ALTER TABLE public.leaf REPLICA IDENTITY FULL;",
        ),
    ],
)
async def test_partitions_must_identify_rows_as_their_table_does(
    postgres: Postgres, postgres_database: str, tables: str, place: str, remedy: str
) -> None:
    postgres.execute(tables, database=postgres_database)
    follower = Follower(postgres, postgres_database, ["public.p"])
    error = await _refusal(follower)
    assert (error.code.id, error.where) == ("TR-PG-212", place)
    assert remedy.partition(" (id)")[0] in error.remedy
    follower.sql(remedy)
    await follower.start()
    try:
        follower.sql("INSERT INTO p VALUES (1, 'x'); UPDATE p SET id = 2, x = 'y'; DELETE FROM p")
        told = await follower.told()
    finally:
        await follower.close()
    assert [(op, before and before["id"]) for op, _, before, _ in told if op == "d"][-1] == ("d", 2)


async def test_a_partition_of_a_table_with_full_identity_may_tell_its_key_alone(
    postgres: Postgres, postgres_database: str
) -> None:
    """As every partition does that is created later."""
    postgres.execute(f"{_PARTED} ALTER TABLE p REPLICA IDENTITY FULL", database=postgres_database)
    follower = Follower(postgres, postgres_database, ["public.p"])
    assert [finding.error for finding in await follower.source.check() if finding.error] == []
    await follower.close()


@pytest.mark.parametrize("kind", ["unlogged", "foreign"])
async def test_a_partition_that_is_not_in_the_log(
    postgres: Postgres, postgres_database: str, kind: str
) -> None:
    create = {
        "unlogged": "CREATE UNLOGGED TABLE leaf PARTITION OF p DEFAULT",
        "foreign": "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE leaf PARTITION OF p DEFAULT SERVER files OPTIONS (filename '/dev/null')",
    }[kind]
    postgres.execute(
        "CREATE TABLE p (id int NOT NULL) PARTITION BY LIST (id); ALTER TABLE p REPLICA IDENTITY FULL;"
        f"{create}",
        database=postgres_database,
    )
    follower = Follower(postgres, postgres_database, ["public.p"])
    error = await _refusal(follower)
    assert (error.code.id, error.where) == ("TR-PG-213", "public.leaf")
    assert f"{kind} table" in error.found
    assert ("ALTER TABLE public.leaf SET LOGGED;" in error.remedy) == (kind == "unlogged")


async def test_a_partition_is_not_captured_while_it_is_published_as_a_part(
    postgres: Postgres, postgres_database: str
) -> None:
    """Its changes would arrive under the name of a table that is not captured: nowhere."""
    postgres.execute(_PARTED, database=postgres_database)
    async with following(postgres, postgres_database, ["public.p"]) as follower:
        position = (await follower.until())[-1].end
    alone = Follower(postgres, postgres_database, ["public.low"])
    (error,) = [finding.error for finding in await alone.source.check() if finding.error]
    with pytest.raises(NotReady) as refused:
        await alone.resume(position)
    assert str(refused.value) == str(error)
    assert error.code.id == "TR-PG-220"
    alone.sql(error.remedy.rpartition("whole, ")[2])
    await alone.resume(position)
    try:
        alone.sql("INSERT INTO p VALUES (1, 1, NULL)")
        assert await alone.told() == [("c", "public.low", None, {"id": 1, "n": 1, "large": None})]
    finally:
        await alone.close()


async def test_what_inherits_from_a_captured_table_is_left_as_it_is(
    postgres: Postgres, postgres_database: str
) -> None:
    """Children have no primary key of their own: were they published too, they could not be updated."""
    postgres.execute(
        "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)",
        database=postgres_database,
    )
    async with following(postgres, postgres_database, ["public.parent"]) as follower:
        warnings = {f.title: f.found for f in await follower.source.check() if f.warning}
        assert "public.child" in warnings["inheritance"]
        follower.sql("INSERT INTO child VALUES (1); UPDATE child SET id = 2; INSERT INTO parent VALUES (3)")
        batches = await follower.until()
        assert [tell(change) for change in changes(batches)] == [("c", "public.parent", None, {"id": 3})]
    follower.sql("CREATE TABLE later (id int PRIMARY KEY); CREATE TABLE heir () INHERITS (later)")
    more = Follower(postgres, postgres_database, ["public.parent", "public.later"])
    await more.resume(batches[-1].end)
    follower.sql("INSERT INTO heir VALUES (1); UPDATE heir SET id = 2")
    await more.close()


@pytest.mark.parametrize(
    "table",
    [
        "a int, g int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY",
        "a int, g int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (a, g)",
    ],
)
async def test_an_identity_of_generated_columns(
    postgres: Postgres, postgres_database: str, table: str
) -> None:
    """They are not published: such deletes would name no row, or another's key as well."""
    postgres.execute(f"CREATE TABLE t ({table})", database=postgres_database)
    follower = Follower(postgres, postgres_database)
    error = await _refusal(follower)
    assert (error.code.id, error.where) == ("TR-PG-212", "public.t")
    assert error.found.endswith(": g")
    follower.sql("ALTER TABLE t ALTER a SET NOT NULL; CREATE UNIQUE INDEX t_a ON t (a)")
    follower.sql("ALTER TABLE t REPLICA IDENTITY USING INDEX t_a")
    await follower.start()
    try:
        follower.sql("INSERT INTO t VALUES (1); DELETE FROM t")
        assert await follower.told() == [("c", "public.t", None, {"a": 1}), ("d", "public.t", {"a": 1}, None)]
    finally:
        await follower.close()


async def test_full_identity_beside_generated_columns(postgres: Postgres, postgres_database: str) -> None:
    """From PostgreSQL 18 on no row of a published table like that can be changed."""
    postgres.execute(
        "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1);"
        "ALTER TABLE t REPLICA IDENTITY FULL",
        database=postgres_database,
    )
    follower = Follower(postgres, postgres_database)
    if postgres.major >= 18:
        assert (await _refusal(follower)).code.id == "TR-PG-212"
        follower.sql("CREATE PUBLICATION by_hand FOR TABLE t")
        with pytest.raises(psycopg.Error, match="cannot update"):
            follower.sql("UPDATE t SET a = 2")
        return
    await follower.start()
    try:
        follower.sql("UPDATE t SET a = 2")
        assert await follower.told() == [("u", "public.t", {"a": 1}, {"a": 2})]
    finally:
        await follower.close()


_ORDERS = (
    "CREATE TABLE orders (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);"
    "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20)"
)


async def test_partitions_under_their_own_names(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(_ORDERS, database=postgres_database)
    async with following(
        postgres, postgres_database, ["public.orders"], partitions="leaves", exclude=["public.high"]
    ) as follower:
        follower.sql("INSERT INTO orders VALUES (1, 1), (11, 1); UPDATE orders SET n = 2; TRUNCATE low")
        assert [(op, table) for op, table, _, _ in await follower.told()] == [
            ("c", "public.low"),
            ("u", "public.low"),
            ("t", "public.low"),
        ]


async def test_partitions_that_come_and_go(postgres: Postgres, postgres_database: str) -> None:
    """While it streams: the rows of an attached partition come under the table's name at once; by their
    leaves, a new partition is captured from the next start on, as any table."""
    postgres.execute(_ORDERS, database=postgres_database)
    if postgres.major < 15:
        pytest.skip("see the test of PostgreSQL 14")
    more = "CREATE TABLE more (id int PRIMARY KEY, n int); INSERT INTO more VALUES (21, 0);"
    attach = "ALTER TABLE orders ATTACH PARTITION more FOR VALUES FROM (20) TO (30);"
    async with following(postgres, postgres_database, ["public.orders"]) as follower:
        follower.sql(f"{more} {attach} INSERT INTO orders VALUES (22, 1)")
        follower.sql("ALTER TABLE orders DETACH PARTITION more")
        follower.sql("INSERT INTO more VALUES (23, 1); INSERT INTO orders VALUES (1, 1)")
        batches = await follower.until()
        found = [(str(change.table), tell(change)[3]) for change in changes(batches)]
        assert found == [("public.orders", {"id": 22, "n": 1}), ("public.orders", {"id": 1, "n": 1})]
        position = batches[-1].end
    follower.sql("DELETE FROM more; DROP TABLE more")
    leaves = Follower(postgres, postgres_database, ["public.orders"], partitions="leaves")
    try:
        await leaves.resume(position)
        leaves.sql("CREATE TABLE more (id int PRIMARY KEY, n int)")
        leaves.sql(f"{attach} INSERT INTO orders VALUES (24, 1), (2, 2)")
        batches = await leaves.until()
        assert [(str(change.table), tell(change)[3]) for change in changes(batches)] == [
            ("public.low", {"id": 2, "n": 2})
        ]
        (warning,) = [f for f in await leaves.source.check() if f.title == "publication" and f.warning]
        assert "lacks public.more" in warning.found
        await leaves.close()
    finally:
        await leaves.close()
    again = Follower(postgres, postgres_database, ["public.orders"], partitions="leaves")
    try:
        await again.resume(batches[-1].end)
        again.sql("INSERT INTO orders VALUES (25, 1); ALTER TABLE orders DETACH PARTITION more")
        again.sql("INSERT INTO more VALUES (26, 1)")
        told = [(table, after) for _, table, _, after in await again.told()]
        assert told[0] == ("public.more", {"id": 25, "n": 1})
    finally:
        await again.close()


async def test_postgresql_14_is_told_of_attach_and_detach(
    make_postgres: Callable[..., PostgresServer],
) -> None:
    """A defect of its: doctor says what to do, and with that no row is missing."""
    server = make_postgres(14)
    server.execute(_ORDERS)
    async with following(server, "postgres", ["public.orders"]) as follower:
        findings = await follower.source.check()
        (remedy,) = [f.remedy for f in findings if "ATTACH and DETACH" in f.found]
        tell_it = remedy.partition("DETACH: ")[2]
        follower.sql("CREATE TABLE more (id int PRIMARY KEY, n int)")
        follower.sql("INSERT INTO more VALUES (21, 1)")
        follower.sql(f"ALTER TABLE orders ATTACH PARTITION more FOR VALUES FROM (20) TO (30); {tell_it}")
        follower.sql("INSERT INTO orders VALUES (22, 1)")
        follower.sql(f"ALTER TABLE orders DETACH PARTITION more; {tell_it}")
        follower.sql("INSERT INTO more VALUES (23, 1); INSERT INTO orders VALUES (1, 1)")
        assert [after and after["id"] for _, _, _, after in await follower.told()] == [22, 1]


async def test_a_pipeline_that_captures_partitions_in_another_way_than_before(
    postgres: Postgres, postgres_database: str
) -> None:
    """What is in the log since before comes under the names of then; nothing is lost, either way."""
    postgres.execute(_ORDERS, database=postgres_database)
    tables = ["public.orders"]
    async with following(postgres, postgres_database, tables) as follower:
        position = (await follower.until())[-1].end
    ids = iter(range(1, 10))
    for partitions, before, after in (("leaves", "orders", "low"), ("root", "low", "orders")):
        follower.sql(f"INSERT INTO orders VALUES ({next(ids)}, 1)")
        changed = Follower(postgres, postgres_database, tables, partitions=partitions)
        try:
            assert [f.error for f in await changed.source.check() if f.error] == []
            await changed.resume(position)
            changed.sql(f"INSERT INTO orders VALUES ({next(ids)}, 1)")
            batches = await changed.until()
        finally:
            await changed.close()
        assert [change.table.name for change in changes(batches)] == [before, after]
        position = batches[-1].end
