"""What sessions write into the log as statements stops the stream, by whatever way it leads to a table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.mysql.assembly.refusals import AS_STATEMENT
from tailrace.errors import Stop
from tests.integration.mysql_following import Follower
from tests.logged import capture_logs
from tests.servers import MySql

AS_STATEMENTS = "SET SESSION binlog_format = STATEMENT"


@pytest.fixture
def follower(every_mysql: MySql, make_database: Callable[[MySql], str]) -> Follower:
    """Of the table `t`, empty."""
    follower = Follower(every_mysql, make_database(every_mysql))
    follower.sql("CREATE TABLE t (id int PRIMARY KEY)")
    return follower


async def stops(follower: Follower, database: str, *statements: str) -> bool:
    """Whether the stream stops at what statements in a database write."""
    await follower.start()
    with follower.server.connect(database) as connection, connection.cursor() as cursor:
        for statement in (AS_STATEMENTS, *statements):
            cursor.execute(statement)
    try:
        await follower.until()
    except Stop as error:
        return error.code is AS_STATEMENT
    return False


async def test_ways_to_a_captured_table_that_a_statement_does_not_name(
    follower: Follower, make_database: Callable[[MySql], str]
) -> None:
    other, captured = make_database(follower.server), f"{follower.database}.t"
    ways = [
        (f"CREATE VIEW v AS SELECT * FROM {captured}", "INSERT INTO v VALUES (1)"),
        (
            f"CREATE TRIGGER r AFTER INSERT ON u FOR EACH ROW INSERT INTO {captured} VALUES (NEW.id)",
            "INSERT INTO u VALUES (2)",
        ),
        (
            "CREATE FUNCTION f() RETURNS int DETERMINISTIC MODIFIES SQL DATA "
            f"BEGIN INSERT INTO {captured} VALUES (3); RETURN 1; END",
            "DO f()",
        ),
    ]
    follower.server.execute("CREATE TABLE u (id int PRIMARY KEY)", database=other)
    async with follower:
        for made, statement in ways:
            follower.server.execute(made, database=other)
            assert await stops(follower, other, statement), statement


async def test_forms_of_statements(follower: Follower) -> None:
    forms = {
        "mysql": ["CREATE TABLE made (id int PRIMARY KEY) TABLE t", "WITH c AS (SELECT 1) DELETE FROM t"],
        "mariadb": [
            "SET STATEMENT max_statement_time = 60 FOR INSERT INTO t VALUES (2)",
            "ANALYZE UPDATE t SET id = 3 WHERE id = 1",
        ],
    }[follower.server.flavor]
    follower.sql("INSERT INTO t VALUES (1)")
    async with follower:
        for statement in forms:
            assert await stops(follower, follower.database, statement), statement


async def test_statements_of_other_databases(
    follower: Follower, make_database: Callable[[MySql], str]
) -> None:
    """MySQL tells in which databases a statement's tables are; where nobody does, it may be any."""
    other = make_database(follower.server)
    follower.server.execute("CREATE TABLE t (id int PRIMARY KEY)", database=other)
    async with follower:
        stopped = await stops(follower, other, "INSERT INTO t VALUES (1)")
        assert stopped == (follower.server.flavor == "mariadb")


async def test_a_truncate_is_that_of_a_captured_table(follower: Follower) -> None:
    """Not of a temporary one of the same name."""
    hidden = [
        AS_STATEMENTS, "CREATE TEMPORARY TABLE t (id int)", "CREATE TEMPORARY TABLE other (id int)",
        "TRUNCATE TABLE t", "DROP TEMPORARY TABLE t",
    ]  # fmt: skip
    settings = "SET STATEMENT lock_wait_timeout = 60 FOR " if follower.server.flavor == "mariadb" else ""
    emptied = [("t", "t", None, None)]
    async with follower:
        await follower.start()
        follower.sql(*hidden)
        assert await follower.told() == []
        follower.sql(*hidden, "TRUNCATE TABLE t")
        assert await follower.told() == emptied
        follower.sql(f"{settings}TRUNCATE TABLE t")
        assert await follower.told() == emptied
        if follower.server.flavor == "mariadb":
            follower.sql("TRUNCATE .t")
            assert await follower.told() == emptied


@pytest.mark.parametrize(
    ("name", "written", "session", "charset"),
    [
        ("größe", "größe", "", "latin1"),
        ("ソ", "`ソ`", "", "sjis"),  # of its bytes the second is a backslash
        ("preis_€", "preis_€", "", "utf8mb4"),  # no letter, and needs no quotes
        ("a\\", '"a\\"', "SET sql_mode = 'ANSI_QUOTES'", "utf8mb4"),
        ("a.b'c\"`", '"a.b\'c""`"', "SET sql_mode = 'ANSI_QUOTES'", "utf8mb4"),
        ("a.b'c\"`", "/* it's */ `a.b'c\"``` -- `", "", "utf8mb4"),
        ("u", '--\n"u" --', "SET sql_mode = 'ANSI_QUOTES'", "utf8mb4"),
        ("u", '--\x01 "x\n"u"', "SET sql_mode = 'ANSI_QUOTES'", "utf8mb4"),
    ],
)
async def test_a_truncate_names_its_table_as_its_session_does(
    follower: Follower, name: str, written: str, session: str, charset: str
) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    follower.sql(f"CREATE TABLE {quoted} (id int PRIMARY KEY)")
    async with follower:
        await follower.start()
        connecting = follower.server.connect(follower.database, charset=charset)
        with connecting as connection, connection.cursor() as cursor:
            for statement in (session or "DO 0", f"TRUNCATE TABLE {written}"):
                cursor.execute(statement)
        assert await follower.told() == [("t", name, None, None)]


async def test_backslashes_that_escape_nothing(follower: Follower) -> None:
    """Where a text ends is a matter of the session's mode: words of a comment fill no table."""
    literal = "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"
    commented = "CREATE TABLE u (id int PRIMARY KEY COMMENT 'x\\', v int COMMENT 'SELECT') COMMENT 'y'"
    filled = "CREATE TABLE w (id int PRIMARY KEY COMMENT 'x\\') SELECT 1 AS id, 'y' AS v"
    async with follower:
        await follower.start()
        follower.sql(literal, commented, "INSERT INTO u VALUES (1, 2)")
        assert await follower.told() == [("c", "u", None, {"id": 1, "v": 2})]
        assert await stops(follower, follower.database, literal, filled)


async def test_rows_that_go_with_a_partition_are_told_of(follower: Follower) -> None:
    """Of captured tables: an event of them there is not."""
    follower.sql(
        "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id) "
        "(PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))",
        "CREATE TABLE apart (id int PRIMARY KEY)",
    )
    async with follower:
        await follower.start()
        follower.sql("INSERT INTO parts VALUES (1), (11)")
        await follower.until()
        with capture_logs() as lines:
            follower.sql(
                "ALTER TABLE parts EXCHANGE PARTITION a WITH TABLE apart",
                "ALTER TABLE parts TRUNCATE PARTITION b",
                "ALTER TABLE apart ADD COLUMN x int",
            )
            assert await follower.told() == []
    warned = [line["tables"] for line in lines if line["level"] == "warning"]
    name = follower.database
    assert warned == [[f"{name}.parts", f"{name}.apart"], [f"{name}.parts"]]
