"""Each thing that is wrong on a server is found before the start, by its code, with what to do."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from tailrace.abc import Finding
from tailrace.errors import Retry, TailraceError
from tests.integration.following import Follower, following
from tests.integration.raster import RASTER
from tests.servers import Postgres, PostgresServer
from tests.waiting import eventually

_TABLE = "CREATE TABLE t (id int PRIMARY KEY)"


async def _check(follower: Follower) -> Sequence[Finding]:
    try:
        return await follower.source.check()
    finally:
        await follower.close()


async def _errors(follower: Follower) -> dict[str, TailraceError]:
    """The errors found, by code; each says what to do."""
    errors = [finding.error for finding in await _check(follower) if finding.error is not None]
    assert all(error.found and error.remedy for error in errors)
    return {error.code.id: error for error in errors}


async def _warnings(follower: Follower) -> dict[str, str]:
    findings = await _check(follower)
    assert not any(finding.error for finding in findings)
    assert all(finding.remedy for finding in findings if finding.warning)
    return {finding.title: finding.found for finding in findings if finding.warning}


@pytest.fixture
def role(postgres: Postgres, postgres_database: str) -> Iterator[str]:
    """A role with a password, its own, that may replicate and owns nothing."""
    name = f"role_{postgres_database}"
    postgres.execute(f"CREATE ROLE {name} LOGIN REPLICATION PASSWORD 'se cret/%'")
    yield name
    postgres.execute(f"DROP OWNED BY {name}", database=postgres_database)
    postgres.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def _as_role(postgres: Postgres, database: str, role: str, password: str = "se cret/%") -> Follower:
    return Follower(postgres, database, url=postgres.url(database, role), password=password)


async def test_a_server_that_is_ready(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    warnings = await _warnings(Follower(postgres, postgres_database))
    assert set(warnings) <= {"log retention"}


async def test_check_changes_nothing(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    await _check(Follower(postgres, postgres_database))
    for view in ("pg_replication_slots WHERE database = current_database()", "pg_publication"):
        assert postgres.execute(f"SELECT FROM {view}", database=postgres_database) == []


async def test_a_running_pipeline_is_still_ready(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        slot = [f for f in await follower.source.check() if f.title == "slot"]
        assert [("in use by server process" in f.found, f.error) for f in slot] == [(True, None)]


async def test_tables_that_are_not_there(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        "CREATE TABLE orders (id int PRIMARY KEY); CREATE VIEW v AS SELECT 1;CREATE UNLOGGED TABLE u (i int)",
        database=postgres_database,
    )
    for tables, code, found, remedy in (
        (["public.Orders"], "TR-PG-210", "no table public.Orders", "Did you mean public.orders?"),
        (["public.v"], "TR-PG-210", "a view", "Take it out"),
        (["public.u"], "TR-PG-210", "an unlogged table", "Take it out"),
        (["audit.*"], "TR-PG-211", "audit.*", "Correct the pattern"),
        (["public.orders", "public.u*"], "TR-PG-211", "public.u*", "Correct the pattern"),
    ):
        errors = await _errors(Follower(postgres, postgres_database, tables))
        assert list(errors) == [code]
        assert found in errors[code].found
        assert remedy in errors[code].remedy
    errors = await _errors(Follower(postgres, postgres_database, ["*.orders"], exclude=["public.*"]))
    assert list(errors) == ["TR-PG-211"]


async def test_tables_without_an_identity(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        "CREATE TABLE ok_key (id int PRIMARY KEY);"
        "CREATE TABLE ok_full (id int); ALTER TABLE ok_full REPLICA IDENTITY FULL;"
        "CREATE TABLE ok_index (id int NOT NULL UNIQUE);"
        "ALTER TABLE ok_index REPLICA IDENTITY USING INDEX ok_index_id_key;"
        "CREATE TABLE bad_none (id int);"
        'CREATE TABLE "bad Nothing" (id int PRIMARY KEY); ALTER TABLE "bad Nothing" REPLICA IDENTITY NOTHING;'
        "CREATE TABLE bad_deferred (id int PRIMARY KEY DEFERRABLE);"
        "CREATE TABLE parted (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE bad_part PARTITION OF parted FOR VALUES FROM (0) TO (1)",
        database=postgres_database,
    )
    findings = await _check(Follower(postgres, postgres_database, ["public.*"]))
    errors = [finding.error for finding in findings if finding.error]
    assert {error.code.id for error in errors} == {"TR-PG-212"}
    bad = ['public."bad Nothing"', "public.bad_deferred", "public.bad_none", "public.parted"]
    assert [error.where for error in errors] == bad
    assert f"ALTER TABLE {bad[0]} REPLICA IDENTITY FULL;" in errors[0].remedy
    follower = Follower(postgres, postgres_database, ["public.*"])
    with pytest.raises(TailraceError) as refused:
        await follower.source.anchor()
    await follower.close()
    assert refused.value.code.id == "TR-PG-212"
    postgres.execute("DELETE FROM bad_none", database=postgres_database)  # nothing was published


async def test_every_rule_of_identity_is_the_servers_own(postgres: Postgres, postgres_database: str) -> None:
    """What passes the check can be updated while it is published."""
    postgres.execute(
        "CREATE TABLE ok_key (id int PRIMARY KEY, n int);"
        "CREATE TABLE ok_full (id int, n int); ALTER TABLE ok_full REPLICA IDENTITY FULL;"
        "CREATE TABLE ok_index (id int NOT NULL UNIQUE, n int);"
        "ALTER TABLE ok_index REPLICA IDENTITY USING INDEX ok_index_id_key",
        database=postgres_database,
    )
    async with following(postgres, postgres_database, ["public.ok*"]) as follower:
        for table in ("ok_key", "ok_full", "ok_index"):
            follower.sql(f"INSERT INTO {table} VALUES (1, 1); UPDATE {table} SET n = 2; DELETE FROM {table}")
        assert [op for op, _, _, _ in await follower.told()] == ["c", "u", "d"] * 3


async def test_types_that_are_not_supported(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        f"{RASTER} CREATE DOMAIN place AS raster;"
        "CREATE TABLE t (id int PRIMARY KEY, a raster, b raster[], c place, ok text[])",
        database=postgres_database,
    )
    errors = [f.error for f in await _check(Follower(postgres, postgres_database)) if f.error]
    assert [error.code.id for error in errors] == ["TR-PG-102"] * 3
    for error, name in zip(
        errors, ("public.raster", "public.raster[]", "public.place (a domain type)"), strict=True
    ):
        assert name in error.found
        assert error.where == "public.t"


async def test_what_is_left_out_is_said(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);"
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        database=postgres_database,
    )
    warnings = await _warnings(Follower(postgres, postgres_database))
    assert "public.t.twice" in warnings["generated columns"]
    assert "public.parted" in warnings["partitioned tables"]


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("SET (publish = 'insert, update, truncate')", "SET (publish = 'insert, update, delete, truncate')"),
        ("SET TABLE t (id)", "DROP TABLE public.t"),
        ("SET TABLE t WHERE (id > 1)", "DROP TABLE public.t"),
        ("SET (publish_via_partition_root = false)", "SET (publish_via_partition_root = true)"),
    ],
)
async def test_a_publication_that_leaves_something_out(
    postgres: Postgres, postgres_database: str, change: str, remedy: str
) -> None:
    if postgres.major < 15 and "TABLE t" in change:
        pytest.skip("filters and column lists came with PostgreSQL 15")
    postgres.execute(
        f"{_TABLE}; CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        database=postgres_database,
    )
    async with following(postgres, postgres_database) as follower:
        position = (await follower.until())[-1].end
    follower.sql(f"ALTER PUBLICATION {follower.name} {change}")
    errors = await _errors(follower)
    assert list(errors) == ["TR-PG-220"]
    assert remedy in errors["TR-PG-220"].remedy
    with pytest.raises(TailraceError) as refused:
        await follower.resume(position)
    await follower.close()
    assert refused.value.code.id == "TR-PG-220"


async def test_a_publication_of_all_tables_will_do(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(
        f"{_TABLE}; CREATE TABLE other (id int PRIMARY KEY);"
        f"CREATE PUBLICATION tailrace_{postgres_database} FOR ALL TABLES",
        database=postgres_database,
    )
    async with following(postgres, postgres_database, ["public.t"]) as follower:
        warnings = [f.found for f in await follower.source.check() if f.title == "publication"]
        assert any("public.other" in found for found in warnings)
        follower.sql("INSERT INTO other VALUES (1); INSERT INTO t VALUES (2)")
        assert await follower.told() == [("c", "public.t", None, {"id": 2})]


async def test_a_wrong_password(postgres: Postgres, postgres_database: str, role: str) -> None:
    errors = await _errors(_as_role(postgres, postgres_database, role, password="wr0ng"))
    assert list(errors) == ["TR-PG-010"]
    assert "wr0ng" not in str(errors["TR-PG-010"]) + errors["TR-PG-010"].remedy


async def test_the_password_is_never_shown(postgres: Postgres, postgres_database: str, role: str) -> None:
    url = postgres.url("no_such_database", role, "se cret/%")
    follower = Follower(postgres, postgres_database, url=url)
    errors = await _errors(follower)
    assert list(errors) == ["TR-PG-011"]
    error = errors["TR-PG-011"]
    shown = f"{error} {error.remedy} {error.__cause__!r} {error.__context__!r} {follower.source._address!r}"
    assert "cret" not in shown


async def test_a_role_that_may_not_replicate(postgres: Postgres, postgres_database: str, role: str) -> None:
    postgres.execute(f"ALTER ROLE {role} NOREPLICATION")
    postgres.execute(f"{_TABLE}; ALTER TABLE t OWNER TO {role}", database=postgres_database)
    postgres.execute(f"GRANT CREATE ON DATABASE {postgres_database} TO {role}")
    errors = await _errors(_as_role(postgres, postgres_database, role))
    assert list(errors) == ["TR-PG-013"]
    assert f'ALTER ROLE "{role}" REPLICATION;' in errors["TR-PG-013"].remedy


async def test_rights_that_a_publication_needs(postgres: Postgres, postgres_database: str, role: str) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    errors = await _errors(_as_role(postgres, postgres_database, role))
    assert list(errors) == ["TR-PG-014"]
    assert f'GRANT CREATE ON DATABASE "{postgres_database}" TO "{role}"' in errors["TR-PG-014"].remedy

    postgres.execute(f"GRANT CREATE ON DATABASE {postgres_database} TO {role}")
    errors = await _errors(_as_role(postgres, postgres_database, role))
    assert list(errors) == ["TR-PG-014"]
    assert "public.t" in errors["TR-PG-014"].found
    assert "Let a role that is no superuser own public.t," in errors["TR-PG-014"].remedy
    statements = errors["TR-PG-014"].remedy.partition("may run: ")[2]

    # The remedy does what it says: somebody else makes the publications, and the role may go on.
    postgres.execute(f"REVOKE CREATE ON DATABASE {postgres_database} FROM {role}")
    for statement in filter(str.strip, statements.split(";")):
        postgres.execute(statement, database=postgres_database)
    follower = _as_role(postgres, postgres_database, role)
    try:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        assert await follower.told() == [("c", "public.t", None, {"id": 1})]
    finally:
        await follower.close()

    follower.sql("CREATE TABLE later (id int PRIMARY KEY)")
    errors = await _errors(_as_role(postgres, postgres_database, role))
    assert list(errors) == ["TR-PG-014"]
    assert f'ALTER PUBLICATION "{follower.name}" OWNER TO' in errors["TR-PG-014"].remedy


async def test_all_rights_that_a_publication_needs_are_named_at_once(
    postgres: Postgres, postgres_database: str, role: str
) -> None:
    """The statements can be typed as they stand, and nothing is missing behind them."""
    owner = f"Owner-{role}"
    postgres.execute(f'CREATE ROLE "{owner}"')
    postgres.execute(f'{_TABLE}; ALTER TABLE t OWNER TO "{owner}"', database=postgres_database)
    try:
        errors = await _errors(_as_role(postgres, postgres_database, role))
        assert list(errors) == ["TR-PG-014"]
        assert "may not create a publication; only a table's owner" in errors["TR-PG-014"].found
        for statement in errors["TR-PG-014"].remedy.partition(" Or let")[0].split(";")[:-1]:
            postgres.execute(statement, database=postgres_database)
        assert await _errors(_as_role(postgres, postgres_database, role)) == {}
    finally:
        postgres.execute(f'DROP OWNED BY "{owner}"', database=postgres_database)
        postgres.execute(f'DROP ROLE "{owner}"')


async def test_a_role_that_owns_its_tables_needs_no_superuser(
    postgres: Postgres, postgres_database: str, role: str
) -> None:
    postgres.execute(f"{_TABLE}; ALTER TABLE t OWNER TO {role}", database=postgres_database)
    postgres.execute(f"GRANT CREATE ON DATABASE {postgres_database} TO {role}")
    follower = _as_role(postgres, postgres_database, role)
    try:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        assert await follower.told() == [("c", "public.t", None, {"id": 1})]
        await follower.close()
        assert len(await follower.source.teardown(dry_run=False)) == 3
    finally:
        await follower.close()


async def test_wal_level(make_postgres: Callable[..., PostgresServer]) -> None:
    server = make_postgres(16, {"wal_level": "replica"})
    server.execute(_TABLE)
    errors = await _errors(Follower(server, "postgres"))
    assert list(errors) == ["TR-PG-203"]
    assert "ALTER SYSTEM SET wal_level = 'logical'" in errors["TR-PG-203"].remedy


async def test_no_free_slot_and_no_free_sender(make_postgres: Callable[..., PostgresServer]) -> None:
    server = make_postgres(18, {"max_replication_slots": 1, "max_wal_senders": 1, "max_connections": 20})
    server.execute(_TABLE)
    first = Follower(server, "postgres")
    try:
        origin = await first.source.anchor()

        async def streams() -> bool:
            try:
                await first.resume(origin)
            except Retry as error:  # the sender of the step before has not left the only place yet
                if error.code.id != "TR-PG-003":
                    raise
                return False
            return True

        await eventually(streams, "the only sender to be free")
        other = server.create_database()
        server.execute(_TABLE, database=other)
        errors = await _errors(Follower(server, other))
        assert list(errors) == ["TR-PG-003", "TR-PG-204"]
        assert isinstance(errors["TR-PG-003"], Retry)
        assert "max_replication_slots" in errors["TR-PG-204"].remedy
    finally:
        await first.close()


async def test_a_standby(make_postgres: Callable[..., PostgresServer]) -> None:
    server = make_postgres(16)
    server.execute(_TABLE)
    server.stop()
    (server.data / "standby.signal").touch()
    server.settings["primary_conninfo"] = "host=127.0.0.1 port=1"
    server.start()
    follower = Follower(server, "postgres")
    assert list(await _errors(follower)) == ["TR-PG-202"]
    # A pipeline that runs already waits for the failover to end instead.
    with pytest.raises(Retry) as waits:
        await follower.source.anchor()
    assert waits.value.code.id == "TR-PG-304"
    await follower.close()


async def test_a_server_that_is_not_there(postgres: Postgres) -> None:
    follower = Follower(postgres, "none", url="postgresql://app@127.0.0.1:1/shop")
    errors = await _errors(follower)
    assert list(errors) == ["TR-PG-001"]
    assert isinstance(errors["TR-PG-001"], Retry)
    assert str(errors["TR-PG-001"]).startswith("127.0.0.1:1/shop: ")
    follower = Follower(postgres, "none", url="postgresql://app@no-such-host.invalid/shop")
    assert list(await _errors(follower)) == ["TR-PG-001"]


async def test_tls_that_the_server_does_not_offer(postgres: Postgres, postgres_database: str) -> None:
    url = postgres.url(postgres_database) + "?sslmode=require"
    assert list(await _errors(Follower(postgres, postgres_database, url=url))) == ["TR-PG-012"]


async def test_a_long_transaction_is_named(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    follower = Follower(postgres, postgres_database, slot_timeout=1.0)
    with postgres.connect(postgres_database) as connection:
        connection.execute("BEGIN; INSERT INTO t VALUES (1)")
        with pytest.raises(Retry) as waits:
            await follower.source.anchor()
        assert waits.value.code.id == "TR-PG-302"
        assert f"server process {connection.info.backend_pid}," in waits.value.found
        assert "INSERT INTO t" in waits.value.found
        connection.execute("COMMIT")

    async def nothing_left() -> bool:
        return not await follower.source.anchored()

    await eventually(nothing_left, "the server to give up the slot")
    await follower.start()
    await follower.close()


async def test_what_an_unfinished_first_start_left_is_used_again(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    follower = Follower(postgres, postgres_database)
    first = await follower.source.anchor()
    follower.sql("INSERT INTO t VALUES (1)")
    assert await follower.source.anchored()
    second = await follower.source.anchor()
    try:
        assert follower.source.covers(second, first)
        assert second != first
        await follower.resume(second)
        assert await follower.told() == []
    finally:
        await follower.close()


@pytest.mark.parametrize("seen", [False, True])
async def test_a_slot_that_another_process_has_made_since_is_not_dropped(
    postgres: Postgres, postgres_database: str, seen: bool
) -> None:
    postgres.execute(_TABLE, database=postgres_database)
    older, newer = Follower(postgres, postgres_database), Follower(postgres, postgres_database)
    try:
        if seen:
            await older.source.anchor()
        assert await older.source.anchored() is seen
        assert await newer.source.anchored() is seen
        origin = await newer.source.anchor()
        with pytest.raises(Retry) as made:
            await older.source.anchor()
        assert made.value.code.id == "TR-PG-306"
        assert newer.confirmed() == origin["lsn"]
    finally:
        await older.close()
        await newer.close()
