"""What a binary log holds of transactions of every kind, as the source tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from connectors.mysql.assembly.refusals import AS_STATEMENT
from connectors.mysql.assembly.tables import KEYLESS, ROW_IMAGE
from tailrace.errors import NotReady, Stop
from tailrace.events import SchemaChange
from tests.integration.mysql_following import Follower, changes, told
from tests.servers import MySql


def row(id: int, x: str | None = None) -> dict[str, object]:
    return {"id": id, "x": x}


@pytest.fixture
def follower(every_mysql: MySql, make_database: Callable[[MySql], str]) -> Follower:
    """Of the tables `t` (InnoDB) and `m` (MyISAM), empty."""
    follower = Follower(every_mysql, make_database(every_mysql))
    for name, engine in (("t", "InnoDB"), ("m", "MyISAM")):
        follower.sql(f"CREATE TABLE {name} (id int PRIMARY KEY, x varchar(20)) ENGINE = {engine}")
    return follower


async def test_every_kind_of_transaction_and_a_start_behind_each(follower: Follower) -> None:
    """What is undone in the log itself does not arrive; behind each a new run goes on."""
    compress = (
        "SET SESSION binlog_transaction_compression = ON"
        if follower.server.flavor == "mysql"
        else "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10"
    )
    # Others use the server too, and in MariaDB no session has the setting for itself.
    whole = compress.replace("= ON", "= OFF")
    long = "y" * 20
    steps = [
        (
            ["INSERT INTO t VALUES (1, 'a'), (2, NULL)"],
            [("c", "t", None, row(1, "a")), ("c", "t", None, row(2))],
        ),
        (["UPDATE t SET x = 'b' WHERE id = 1"], [("u", "t", row(1, "a"), row(1, "b"))]),
        (
            ["UPDATE t SET id = 3 WHERE id = 1"],
            [("d", "t", row(1, "b"), row(3, "b")), ("c", "t", row(1, "b"), row(3, "b"))],
        ),
        (["DELETE FROM t WHERE id = 2"], [("d", "t", row(2), None)]),
        (["INSERT INTO m VALUES (1, 'a')"], [("c", "m", None, row(1, "a"))]),
        (["BEGIN", "INSERT INTO t VALUES (4, 'x')", "ROLLBACK"], []),
        (
            ["BEGIN", "INSERT INTO t VALUES (5, 'x')", "INSERT INTO m VALUES (5, 'x')", "ROLLBACK"],
            # The server keeps what stands in a table without transactions: here it logs both, and undoes one.
            [("c", "m", None, row(5, "x"))],
        ),
        (
            [
                "BEGIN",
                "INSERT INTO t VALUES (6, 'kept')",
                "SAVEPOINT `a``b`",
                "INSERT INTO t VALUES (7, 'undone')",
                "INSERT INTO m VALUES (7, 'stays')",
                "ROLLBACK TO `a``b`",
                "INSERT INTO t VALUES (8, 'kept')",
                "COMMIT",
            ],
            None,
        ),
        (["ALTER TABLE t ADD COLUMN y int", "ALTER TABLE t DROP COLUMN y"], []),
        (
            ["XA START 'one'", "INSERT INTO t VALUES (9, 'xa')", "XA END 'one'", "XA COMMIT 'one' ONE PHASE"],
            [("c", "t", None, row(9, "xa"))],
        ),
        ([compress, f"INSERT INTO t VALUES (10, '{long}')", whole], [("c", "t", None, row(10, long))]),
        (
            ["FLUSH BINARY LOGS", "INSERT INTO t VALUES (11, 'next file')"],
            [("c", "t", None, row(11, "next file"))],
        ),
        (["TRUNCATE TABLE t"], [("t", "t", None, None)]),
        (["CREATE TABLE made (id int PRIMARY KEY) SELECT 1 AS id"], [("c", "made", None, {"id": 1})]),
        (["DROP TABLE made"], []),
    ]
    async with follower:
        position = await follower.start()
        for statements, expected in steps:
            if follower.server.flavor == "mysql" and {"t", "m"} <= set(" ".join(statements).split()):
                continue  # with GTIDs it lets no transaction write to tables of both kinds
            await asyncio.to_thread(follower.sql, *statements)
            batches = await follower.until()
            found = told(batches)
            if expected is None:  # in which order the two engines' rows are logged is the server's business
                assert [one for one in found if one[1] == "t"] == [
                    ("c", "t", None, row(6, "kept")),
                    ("c", "t", None, row(8, "kept")),
                ]
                assert [one for one in found if one[1] == "m"] == [("c", "m", None, row(7, "stays"))]
            else:
                assert found == expected, statements
            async with Follower(follower.server, follower.database, server_id=77) as again:
                await again.resume(position)
                assert told(await again.until()) == found, statements
            position = batches[-1].end


async def test_a_changed_table_is_told_before_its_first_row(follower: Follower) -> None:
    async with follower:
        await follower.start()
        follower.sql(
            "INSERT INTO t VALUES (1, 'a')",
            "ALTER TABLE t ADD COLUMN y int NOT NULL DEFAULT 7 AFTER id",
            "UPDATE t SET x = 'b'",
            "RENAME TABLE t TO old, m TO t",
            "INSERT INTO t VALUES (2, 'm')",
        )
        events = [event for batch in await follower.until() for event in batch.events]
    shown = [
        (type(event).__name__, [column.name for column in event.table.columns], event.table.name)
        for event in events
    ]
    assert shown == [
        ("SchemaChange", ["id", "x"], "t"),
        ("Change", ["id", "x"], "t"),
        ("SchemaChange", ["id", "y", "x"], "t"),
        ("Change", ["id", "y", "x"], "t"),
        ("SchemaChange", ["id", "x"], "t"),
        ("Change", ["id", "x"], "t"),
    ]


async def test_a_version_that_may_not_have_arrived_is_told_again(follower: Follower) -> None:
    """By a source that is connected again, and only then."""
    async with follower:
        origin = await follower.start()
        follower.sql("INSERT INTO t VALUES (1, 'a')")
        batches = await follower.until()
        await follower.resume(origin)
        first = (await follower.until())[0].events[0]
        assert isinstance(first, SchemaChange)
        await follower.resume(batches[-1].end)
        follower.sql("INSERT INTO t VALUES (2, 'b')")
        [change] = [event for batch in await follower.until() for event in batch.events]
        assert change.table is first.table


async def test_a_large_transaction_comes_in_pieces(follower: Follower) -> None:
    """From the file in which its rows wait; gone on from in the middle, by another run."""
    rows = ", ".join(f"({n}, repeat('z', 1000))" for n in range(20_000))
    async with follower:
        await follower.start()
        follower.sql("ALTER TABLE t MODIFY x text", f"INSERT INTO t VALUES {rows}")
        batches = await follower.until()
    batches = [batch for batch in batches if batch.events]
    assert len(batches) > 15
    assert [batch.commit for batch in batches[:-1]] == [False] * (len(batches) - 1)
    assert max(batch.size for batch in batches) < 2 * 1024 * 1024
    assert len({change.position for change in changes(batches)}) == 20_000
    async with Follower(follower.server, follower.database) as again:
        await again.resume(batches[7].end)
        rest = await again.until()
    assert [change.position for change in changes(rest)] == [
        change.position for change in changes(batches[8:])
    ]


async def test_small_rows_come_in_pieces_of_not_too_many(follower: Follower) -> None:
    """A change takes more memory than such a row: by the bytes of their rows all of these were one piece."""
    async with follower:
        await follower.start()
        follower.sql("INSERT INTO m (id) VALUES " + ", ".join([f"({id})" for id in range(30_000)]))
        batches = await follower.until()
    assert len(changes(batches)) == 30_000
    assert max(len(batch.events) for batch in batches) < 20_000


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        (["SET SESSION binlog_format = STATEMENT", "INSERT INTO t VALUES (1, 'a')"], AS_STATEMENT),
        (["SET SESSION binlog_row_image = MINIMAL", "INSERT INTO t (id) VALUES (1)"], ROW_IMAGE),
        (["CREATE TABLE k (id int)", "INSERT INTO k VALUES (1)"], KEYLESS),
    ],
    ids=lambda given: given.id if hasattr(given, "id") else "",
)
async def test_what_cannot_be_delivered_stops_behind_what_stands_before_it(
    follower: Follower, statements: list[str], code: object
) -> None:
    async with follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (7, 'before')", *statements)
        found = told([await follower.batch()])
        with pytest.raises((Stop, NotReady)) as raised:
            await follower.batch()
    assert raised.value.code is code
    assert found == [("c", "t", None, row(7, "before"))]


async def test_the_servers_own_tables_and_sequences_are_left_out(follower: Follower) -> None:
    """Whatever the patterns say."""
    patterns = [f"{follower.database}.*", "mysql.*"]
    async with Follower(follower.server, follower.database, patterns) as every:
        await every.start()
        every.sql("CREATE USER 'made for a test'@'localhost'", "DROP USER 'made for a test'@'localhost'")
        every.sql("INSERT INTO mysql.time_zone_leap_second VALUES (7, 1)")
        every.sql("DELETE FROM mysql.time_zone_leap_second")
        if every.server.flavor == "mariadb":
            every.sql("CREATE SEQUENCE numbers", "SELECT NEXTVAL(numbers)", "DROP SEQUENCE numbers")
        every.sql("INSERT INTO t VALUES (1, 'a')")
        assert await every.told() == [("c", "t", None, row(1, "a"))]


async def test_what_happens_to_other_tables_does_not_matter(
    follower: Follower, make_database: Callable[[MySql], str]
) -> None:
    """Statements, XA transactions, tables without keys: of a database that is not captured."""
    other = make_database(follower.server)
    # MariaDB does not tell in which databases a statement has changed rows: see test_mysql_statements.py.
    update = ["UPDATE t SET id = 2"] if follower.server.flavor == "mysql" else []
    async with follower:
        await follower.start()
        with follower.server.connect(other) as connection, connection.cursor() as cursor:
            for statement in (
                "CREATE TABLE t (id int)",
                "INSERT INTO t VALUES (1)",
                "XA START 'other'",
                "INSERT INTO t VALUES (1)",
                "XA END 'other'",
                "XA PREPARE 'other'",
                "XA COMMIT 'other'",
                "SET SESSION binlog_format = STATEMENT",
                *update,
                "TRUNCATE t",
            ):
                cursor.execute(statement)
        follower.sql("INSERT INTO t VALUES (1, 'a')")
        assert await follower.told() == [("c", "t", None, row(1, "a"))]
