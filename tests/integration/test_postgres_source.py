"""What the PostgreSQL source makes of the server's log."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.errors import NotReady, TailraceError
from tailrace.events import ABSENT, UNCHANGED, SchemaChange
from tailrace.formats.debezium import DebeziumFormat
from tests.integration.following import Follower, changes, following, tell
from tests.integration.raster import RASTER
from tests.servers import Postgres, PostgresServer


async def test_every_kind_of_change_arrives_in_order(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, name text)", database=postgres_database)
    postgres.execute("INSERT INTO t VALUES (0, 'before')", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1, 'one'), (2, NULL); UPDATE t SET name = 'two' WHERE id = 2")
        follower.sql("UPDATE t SET id = 3 WHERE id = 1")
        follower.sql("DELETE FROM t WHERE id = 3")
        follower.sql("TRUNCATE t")
        assert await follower.told() == [
            ("c", "public.t", None, {"id": 1, "name": "one"}),
            ("c", "public.t", None, {"id": 2, "name": None}),
            ("u", "public.t", None, {"id": 2, "name": "two"}),
            ("d", "public.t", {"id": 1, "name": ABSENT}, {"id": 3, "name": "one"}),
            ("c", "public.t", {"id": 1, "name": ABSENT}, {"id": 3, "name": "one"}),
            ("d", "public.t", {"id": 3, "name": ABSENT}, None),
            ("t", "public.t", None, None),
        ]


async def test_what_was_rolled_back_does_not_arrive(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql(
            "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s;"
            "INSERT INTO t VALUES (3); COMMIT"
        )
        follower.sql("BEGIN; INSERT INTO t VALUES (4); ROLLBACK")
        assert [after for _, _, _, after in await follower.told()] == [{"id": 1}, {"id": 3}]


async def test_names_are_taken_as_they_are(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        'CREATE SCHEMA "Größe"; CREATE TABLE "Größe"."odd.name" ("Schlüssel ""x""" int PRIMARY KEY);'
        'CREATE TABLE "Upper Case" (id int PRIMARY KEY); CREATE TABLE upper (id int PRIMARY KEY)',
        database=postgres_database,
    )
    tables = ['Größe."odd.name"', "public.Upper*"]
    async with following(postgres, postgres_database, tables) as follower:
        follower.sql('INSERT INTO "Größe"."odd.name" VALUES (1); INSERT INTO public."Upper Case" VALUES (2)')
        follower.sql("INSERT INTO public.upper VALUES (3)")
        assert await follower.told() == [
            ("c", "Größe.odd.name", None, {'Schlüssel "x"': 1}),
            ("c", "public.Upper Case", None, {"id": 2}),
        ]


async def test_unchanged_toast_values_are_told_apart(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, n int, large text);"
        "ALTER TABLE t ALTER large SET STORAGE EXTERNAL",
        database=postgres_database,
    )
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1, 1, repeat('x', 10000))")
        follower.sql("UPDATE t SET n = 2")
        follower.sql("ALTER TABLE t REPLICA IDENTITY FULL; UPDATE t SET n = 3")
        large = "x" * 10_000
        assert await follower.told() == [
            ("c", "public.t", None, {"id": 1, "n": 1, "large": large}),
            ("u", "public.t", None, {"id": 1, "n": 2, "large": UNCHANGED}),
            ("u", "public.t", {"id": 1, "n": 2, "large": large}, {"id": 1, "n": 3, "large": large}),
        ]


async def test_logical_messages_arrive_except_our_own(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql(
            "INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'app', 'in');"
            "SELECT pg_logical_emit_message(true, 'tailrace', 'own'); INSERT INTO t VALUES (2)"
        )
        follower.sql("SELECT pg_logical_emit_message(false, 'app', 'out')")
        batches = await follower.until()
        assert [tell(change) for change in changes(batches)] == [
            ("c", "public.t", None, {"id": 1}),
            ("m", "message", None, {"prefix": "app", "content": b"in"}),
            ("c", "public.t", None, {"id": 2}),
            ("m", "message", None, {"prefix": "app", "content": b"out"}),
        ]
        assert [change.ordinal for change in changes(batches)] == [1, 2, 4, 0]


async def test_values_are_read_alike_whatever_the_role_and_database_prefer(
    postgres: Postgres, postgres_database: str
) -> None:
    for setting in (
        "DateStyle = 'German'",
        "TimeZone = 'Asia/Tokyo'",
        "extra_float_digits = 0",
        "bytea_output = 'escape'",
        "statement_timeout = '1ms'",
    ):
        postgres.execute(f"ALTER DATABASE {postgres_database} SET {setting}")
    postgres.execute(
        "SET statement_timeout = 0; CREATE TABLE t"
        " (id int PRIMARY KEY, d date, at timestamptz, f float8, b bytea)",
        database=postgres_database,
    )
    async with following(postgres, postgres_database) as follower:
        follower.sql(
            "SET statement_timeout = 0;"
            r"INSERT INTO t VALUES (1, '1970-01-03', '1970-01-01 00:00:01+00', 0.1 + 0.2::float8, '\x00ff')"
        )
        assert [after for _, _, _, after in await follower.told()] == [
            {"id": 1, "d": 2, "at": 1_000_000, "f": 0.1 + 0.2, "b": b"\x00\xff"}
        ]


async def test_a_changed_table_is_told_before_its_first_change(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1)")
        follower.sql("ALTER TABLE t ADD COLUMN more text; INSERT INTO t VALUES (2, 'x')")
        events = [event for batch in await follower.until() for event in batch.events]
        assert [type(event).__name__ for event in events] == ["SchemaChange", "Change"] * 2
        tables = [event.table for event in events if isinstance(event, SchemaChange)]
        assert [[column.name for column in table.columns] for table in tables] == [["id"], ["id", "more"]]


async def test_a_key_that_is_made_later(postgres: Postgres, postgres_database: str) -> None:
    """The log of before holds rows that have no value in it: these have no key."""
    postgres.execute(
        "CREATE TABLE t (v text, id int); ALTER TABLE t REPLICA IDENTITY FULL", database=postgres_database
    )
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES ('a'), ('b'); UPDATE t SET v = 'c' WHERE v = 'b'")
        follower.sql("UPDATE t SET id = ascii(v)")
        follower.sql("ALTER TABLE t ADD PRIMARY KEY (id); DELETE FROM t WHERE v = 'a'")
        records = [
            (record.change.op, record.key and record.key.decode(), record.value is None)
            for batch in await follower.until()
            for record in batch.encoded(DebeziumFormat(DebeziumFormat.Settings()))
        ]
        assert records == [
            ("c", None, False),
            ("c", None, False),
            ("u", None, False),
            ("d", None, False),
            ("c", '{"id":97}', False),
            ("d", None, False),
            ("c", '{"id":99}', False),
            ("d", '{"id":97}', False),
            ("d", '{"id":97}', True),
        ]


async def test_what_stands_before_a_fault_arrives_first(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        f"{RASTER}; CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE shapes (id int PRIMARY KEY)",
        database=postgres_database,
    )
    async with following(postgres, postgres_database) as follower:
        follower.sql(
            "INSERT INTO t VALUES (1); ALTER TABLE shapes ADD outline raster;"
            "INSERT INTO shapes VALUES (1, NULL); INSERT INTO t VALUES (2)"
        )
        batch = await follower.batch()
        assert [tell(change)[3] for change in changes([batch])] == [{"id": 1}]
        assert batch.end.get("ordinal") == 1
        with pytest.raises(NotReady, match="TR-PG-102"):
            await follower.batch()
        follower.sql("ALTER TABLE shapes DROP outline")  # too late: the log holds it
        await follower.resume(batch.end)
        with pytest.raises(NotReady, match="TR-PG-102"):
            await follower.until()


async def test_types_that_the_catalogue_explains(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[])",
        database=postgres_database,
    )
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1, 'happy', '{sad,NULL}')")
        (change,) = changes(await follower.until())
        assert tell(change)[3] == {"id": 1, "m": "happy", "ms": ["sad", None]}
        assert change.table.columns[1].type.labels == ("sad", "happy")


async def test_a_partitioned_table_stands_for_its_partitions(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(
        "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (10)",
        database=postgres_database,
    )
    async with following(postgres, postgres_database, ["public.p"]) as follower:
        follower.sql("INSERT INTO p VALUES (1)")
        follower.sql(
            "CREATE TABLE p_high PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (11)"
        )
        follower.sql("UPDATE p SET id = 12 WHERE id = 1; TRUNCATE p")
        assert [(op, table, after) for op, table, _, after in await follower.told()] == [
            ("c", "public.p", {"id": 1}),
            ("c", "public.p", {"id": 11}),
            ("d", "public.p", None),
            ("c", "public.p", {"id": 12}),
            ("t", "public.p", None),
        ]


async def test_a_large_transaction_comes_in_bounded_pieces(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g")
        batches = [batch for batch in await follower.until() if batch.events]
        assert len(batches) >= 5
        assert max(batch.size for batch in batches) < 1.1 * 1024 * 1024
        assert [batch.commit for batch in batches] == [False] * (len(batches) - 1) + [True]
        assert [tell(change)[3]["id"] for change in changes(batches)] == list(range(1, 5001))  # type: ignore[index]  # inserts


async def test_a_row_of_many_megabytes(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (1, repeat('x', 20000000)), (2, 'small')")
        rows = [tell(change)[3] for change in changes(await follower.until())]
        assert [len(row["x"]) for row in rows if row] == [20_000_000, 5]


async def test_a_table_added_to_the_configuration_is_published_at_the_next_start(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);"
        "CREATE TABLE c (id int PRIMARY KEY)",
        database=postgres_database,
    )
    async with following(postgres, postgres_database, ["public.a"]) as follower:
        position = (await follower.until())[-1].end
    follower.sql(f"ALTER PUBLICATION {follower.name} ADD TABLE c")
    again = Follower(postgres, postgres_database, ["public.a", "public.b"])
    warnings = [f.found for f in await again.source.check() if f.title == "publication" and f.warning]
    try:
        await again.resume(position)
        again.sql("INSERT INTO a VALUES (1); INSERT INTO b VALUES (2); INSERT INTO c VALUES (3)")
        assert [table for _, table, _, _ in await again.told()] == ["public.a", "public.b"]
    finally:
        await again.close()
    assert [f"{again.name} lacks public.b;" in warnings[0], "left out: public.c" in warnings[1]] == [True] * 2
    published = again.sql(
        f"SELECT tablename FROM pg_publication_tables WHERE pubname = '{again.name}' ORDER BY 1"
    )
    assert published == [("a",), ("b",), ("c",)]


async def test_teardown_takes_away_what_anchor_made(
    postgres: Postgres, postgres_database: str, tmp_path: Path
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database, data_dir=tmp_path) as follower:
        pass
    spool = tmp_path / "streamed" / postgres_database
    spool.mkdir(parents=True)  # as of a run that was killed
    made = [
        f"replication slot {follower.name}",
        f"folder {spool}",
        f"publication {follower.name}",
        f"publication {follower.name}_ins",
    ]
    assert await follower.source.teardown(dry_run=True) == made
    assert await follower.source.anchored()
    assert await follower.source.teardown(dry_run=False) == made
    assert await follower.source.teardown(dry_run=False) == []
    assert not await follower.source.anchored()
    assert not spool.exists()
    await follower.close()


async def test_the_lag_is_what_the_log_holds_behind_a_position(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    follower = Follower(postgres, postgres_database)
    origin = await follower.source.anchor()
    try:
        assert follower.source.lag(origin) is None
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 1000) g")
        await follower.resume(origin)
        end = (await follower.until())[-1].end
        lag = follower.source.lag(origin)
        assert lag is not None
        assert lag > 1_000_000
        assert (follower.source.lag(end) or 0) < lag / 10
    finally:
        await follower.close()


@pytest.mark.parametrize("text", ["", "0/", "17", "0/16B3748 x", "G/1", "0/1/2"])
def test_what_is_no_position(text: str) -> None:
    follower = Follower(Postgres("postgresql://postgres@127.0.0.1:1/postgres"), "none")
    assert follower.source.parse(" 0/16B3748\n") == {"lsn": "0/16B3748"}
    with pytest.raises(ValueError, match="0/16B3748"):
        follower.source.parse(text)


async def test_an_unsupported_type_that_appears_later_stops_the_stream_by_name(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(f"{RASTER} CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("ALTER TABLE t ADD COLUMN where_it_is raster; INSERT INTO t VALUES (1, '(1,2)')")
        with pytest.raises(TailraceError) as stopped:
            await follower.until()
        assert stopped.value.code.id == "TR-PG-102"
        assert "where_it_is" in str(stopped.value)


async def test_what_another_replication_wrote_is_left_out_where_that_is_wanted(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    name = f"origin_{postgres_database}"
    postgres.execute(f"SELECT pg_replication_origin_create('{name}')")
    position, fingerprint = None, ""
    try:
        for origin, arrives in (("any", [{"id": 1}, {"id": 2}]), ("none", [{"id": 4}])):
            follower = Follower(postgres, postgres_database, origin=origin)
            try:
                await (follower.start() if position is None else follower.resume(position))
                assert follower.source.fingerprint != fingerprint
                fingerprint = follower.source.fingerprint
                first = 1 if origin == "any" else 3
                with postgres.connect(postgres_database) as connection:
                    connection.execute(f"SELECT pg_replication_origin_session_setup('{name}')")
                    connection.execute(f"INSERT INTO t VALUES ({first})")
                follower.sql(f"INSERT INTO t VALUES ({first + 1})")
                batches = await follower.until()
                assert [tell(change)[3] for change in changes(batches)] == arrives
                position = batches[-1].end
            finally:
                await follower.close()
    finally:
        postgres.execute(f"SELECT pg_replication_origin_drop('{name}')")


async def test_stored_generated_columns(postgres: Postgres, postgres_database: str) -> None:
    """Where they are published they may also belong to the identity; the setting may be changed."""
    follower = Follower(postgres, postgres_database, publication={"generated": "stored"})
    follower.sql(
        "CREATE TABLE t (id int, twice int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY);"
        "CREATE TABLE f (id int, twice int GENERATED ALWAYS AS (id * 2) STORED);"
        "ALTER TABLE f REPLICA IDENTITY FULL"
    )
    try:
        if postgres.major < 18:
            errors = [f.error.code.id for f in await follower.source.check() if f.error]
            assert errors[0] == "TR-PG-206"
            return
        assert [f for f in await follower.source.check() if f.error or f.title == "generated columns"] == []
        await follower.start()
        for table in "tf":
            follower.sql(f"INSERT INTO {table} VALUES (1); UPDATE {table} SET id = 2; DELETE FROM {table}")
        batches = await follower.until()
        assert [tell(change)[2:] for change in changes(batches) if change.op == "d"] == [
            ({"id": ABSENT, "twice": 2}, {"id": 2, "twice": 4}),
            ({"id": ABSENT, "twice": 4}, None),
            ({"id": 2, "twice": 4}, None),
        ]
    finally:
        await follower.close()
    follower.sql("DROP TABLE t; ALTER TABLE f ADD PRIMARY KEY (id); ALTER TABLE f REPLICA IDENTITY DEFAULT")
    less = Follower(postgres, postgres_database)
    try:
        await less.resume(batches[-1].end)
        less.sql("INSERT INTO f VALUES (1)")
        assert await less.told() == [("c", "public.f", None, {"id": 1})]
    finally:
        await less.close()


async def test_a_prepared_transaction_arrives_once_it_is_committed(
    make_postgres: Callable[..., PostgresServer],
) -> None:
    server = make_postgres(18, {"max_prepared_transactions": 2})
    server.execute("CREATE TABLE t (id int PRIMARY KEY)")
    async with following(server, "postgres") as follower:
        follower.sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'")
        follower.sql("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'two'")
        follower.sql("INSERT INTO t VALUES (3)")
        follower.sql("COMMIT PREPARED 'two'")
        follower.sql("ROLLBACK PREPARED 'one'")
        assert [after for _, _, _, after in await follower.told()] == [{"id": 3}, {"id": 2}]
