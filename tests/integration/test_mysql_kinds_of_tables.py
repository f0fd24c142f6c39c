"""What of tables of every kind arrives, as docs/mysql.md lists it; and what is refused by its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.mysql import table_checks
from connectors.mysql.table_checks import ENGINE, NO_TABLE
from tests.integration.mysql_following import Follower
from tests.servers import MySql

COMMON = ("InnoDB", "MyISAM", "MEMORY", "MERGE")
ENGINES = {"mysql": COMMON, "mariadb": (*COMMON, "Aria")}


@pytest.fixture
def follower(every_mysql: MySql, make_database: Callable[[MySql], str]) -> Follower:
    return Follower(every_mysql, make_database(every_mysql))


async def test_engines(follower: Follower) -> None:
    """All write their rows into the log alike."""
    engines = ENGINES[follower.server.flavor]
    follower.sql("CREATE TABLE part (id int PRIMARY KEY, x int) ENGINE = MyISAM")
    for engine in engines:
        union = " UNION = (part) INSERT_METHOD = LAST" if engine == "MERGE" else ""
        follower.sql(f"CREATE TABLE t_{engine} (id int PRIMARY KEY, x int) ENGINE = {engine}{union}")
    async with follower:
        await follower.start()
        for engine in engines:
            name = f"t_{engine}"
            follower.sql(
                f"INSERT INTO {name} VALUES (1, 1)", f"UPDATE {name} SET x = 2", f"DELETE FROM {name}"
            )
            assert await follower.told() == [
                ("c", name, None, {"id": 1, "x": 1}),
                ("u", name, {"id": 1, "x": 1}, {"id": 1, "x": 2}),
                ("d", name, {"id": 1, "x": 2}, None),
            ]


async def test_engines_that_keep_nothing_or_only_what_is_new(follower: Follower) -> None:
    """What a BLACKHOLE is given is in the log although it is in no table. Both have no key, or need none."""
    available = {str(name).upper(): support for name, support, *_ in follower.server.execute("SHOW ENGINES")}
    async with Follower(follower.server, follower.database, keyless="inserts_only") as lenient:
        await lenient.start()
        for engine in ("BLACKHOLE", "ARCHIVE", "CSV"):
            if available.get(engine) != "YES":
                continue
            lenient.sql(f"CREATE TABLE t_{engine} (id int NOT NULL) ENGINE = {engine}")
            lenient.sql(f"INSERT INTO t_{engine} VALUES (1)")
            assert await lenient.told() == [("c", f"t_{engine}", None, {"id": 1})]


async def test_temporary_tables_are_nobody_elses(follower: Follower) -> None:
    """Also where one hides a captured table."""
    follower.sql("CREATE TABLE t (id int PRIMARY KEY)")
    async with follower:
        await follower.start()
        follower.sql(
            "CREATE TEMPORARY TABLE t (id int PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
            "CREATE TEMPORARY TABLE other SELECT 1 AS id",
            "UPDATE t SET id = 2",
            "DROP TEMPORARY TABLE t, other",
            "INSERT INTO t VALUES (3)",
        )
        assert await follower.told() == [("c", "t", None, {"id": 3})]


async def test_partitions_are_rows_of_their_table(follower: Follower) -> None:
    follower.sql("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3")
    async with follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1), (2), (3)", "DELETE FROM t PARTITION (p0)")
        assert [(op, name) for op, name, *_ in await follower.told()] == [("c", "t")] * 3 + [("d", "t")]


async def test_a_view_is_told_from_a_table(follower: Follower) -> None:
    """What is changed through it are rows of its table."""
    server, database = follower.server, follower.database
    follower.sql("CREATE TABLE t (id int PRIMARY KEY)", "CREATE VIEW v AS SELECT id FROM t")
    names = [f"{database}.v", "mysql.user", f"{database}.none"]
    async with Follower(server, database, names) as refused:
        errors = [one.error for one in await refused.source.check() if one.error is not None]
    assert [error.code for error in errors] == [NO_TABLE] * 3
    assert [error.found.rpartition(f"{name} ")[2] for error, name in zip(errors, names, strict=True)] == [
        "is no table but a view",
        "is the server's own, and never captured",
        "does not exist, or the account may not read it",
    ]
    async with follower:
        await follower.start()
        follower.sql("INSERT INTO v VALUES (1)")
        assert await follower.told() == [("c", "t", None, {"id": 1})]


async def test_an_engine_whose_log_is_another_is_refused(
    follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no NDB here: another engine stands for it."""
    monkeypatch.setattr(table_checks, "_NOT_READ", ("memory",))
    follower.sql("CREATE TABLE t (id int PRIMARY KEY) ENGINE = MEMORY", "CREATE TABLE u (id int PRIMARY KEY)")
    async with follower:
        (error,) = [one.error for one in await follower.source.check() if one.error is not None]
    assert (error.code, f"{follower.database}.t" in error.found) == (ENGINE, True)
