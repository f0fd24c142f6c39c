"""Every state in which the log behind a checkpoint cannot be read, or is not the one it was."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from tailrace.errors import Diverged, Gap, NotReady, Retry, TailraceError
from tailrace.events import Position
from tests.integration.following import Follower, changes, following, wait_until_confirmed
from tests.integration.relay import Relay
from tests.servers import Postgres, PostgresServer
from tests.waiting import wait_until


async def _stopped(server: Postgres, database: str) -> tuple[Follower, Position]:
    """A pipeline that has delivered and acknowledged something and does not run; and its position."""
    server.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=database)
    async with following(server, database) as follower:
        follower.sql("INSERT INTO t VALUES (0)")
        position = (await follower.until())[-1].end
        await follower.source.acknowledge(position)
    free = f"SELECT true FROM pg_replication_slots WHERE slot_name = '{follower.name}' AND active_pid IS NULL"
    wait_until(lambda: follower.sql(free), "the slot to be free")
    return follower, position


@asynccontextmanager
async def _going_on(follower: Follower, position: Position) -> AsyncIterator[Follower]:
    """The same one, from there on."""
    try:
        await follower.resume(position)
        yield follower
    finally:
        await follower.close()


async def _refusal(follower: Follower, position: Position) -> TailraceError:
    try:
        with pytest.raises(TailraceError) as refused:
            await follower.resume(position)
        assert refused.value.remedy
        return refused.value
    finally:
        await follower.close()


async def test_the_slot_was_dropped(postgres: Postgres, postgres_database: str) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    follower.sql(f"SELECT pg_drop_replication_slot('{follower.name}')")
    error = await _refusal(follower, position)
    assert (type(error), error.code.id) == (Gap, "TR-PG-310")


async def test_the_slot_was_made_again(postgres: Postgres, postgres_database: str) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    follower.sql(f"SELECT pg_drop_replication_slot('{follower.name}')")
    follower.sql("INSERT INTO t VALUES (1)")
    follower.sql(f"SELECT pg_create_logical_replication_slot('{follower.name}', 'pgoutput')")
    error = await _refusal(follower, position)
    assert (type(error), error.code.id) == (Gap, "TR-PG-312")
    assert str(position["lsn"]) in error.found


async def test_somebody_moved_the_slot(postgres: Postgres, postgres_database: str) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    follower.sql("INSERT INTO t VALUES (1)")
    follower.sql(f"SELECT pg_replication_slot_advance('{follower.name}', pg_current_wal_flush_lsn())")
    error = await _refusal(follower, position)
    assert (type(error), error.code.id) == (Gap, "TR-PG-312")


@pytest.mark.parametrize(
    ("creation", "found"),
    [
        ("SELECT pg_create_logical_replication_slot('{}', 'test_decoding')", "test_decoding"),
        ("SELECT pg_create_physical_replication_slot('{}', true)", "physical"),
        ("SELECT pg_create_logical_replication_slot('{}', 'pgoutput', false, true)", "two_phase"),
    ],
)
async def test_the_slot_is_of_another_kind(
    postgres: Postgres, postgres_database: str, creation: str, found: str
) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    follower.sql(f"SELECT pg_drop_replication_slot('{follower.name}')")
    try:
        follower.sql(creation.format(follower.name))
        error = await _refusal(follower, position)
        assert (type(error), error.code.id) == (NotReady, "TR-PG-313")
        assert found in error.found
    finally:
        follower.sql(f"SELECT pg_drop_replication_slot('{follower.name}')")


async def test_the_slot_belongs_to_another_database(
    postgres: Postgres, postgres_database: str, make_database: Callable[[Postgres], str]
) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    follower.sql(f"SELECT pg_drop_replication_slot('{follower.name}')")
    other = make_database(postgres)
    postgres.execute(
        f"SELECT pg_create_logical_replication_slot('{follower.name}', 'pgoutput')", database=other
    )
    error = await _refusal(follower, position)
    assert (type(error), error.code.id) == (NotReady, "TR-PG-313")
    assert other in error.found


@pytest.mark.parametrize("suffix", ["", "_ins"])
async def test_a_publication_was_dropped(postgres: Postgres, postgres_database: str, suffix: str) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    follower.sql(f"DROP PUBLICATION {follower.name}{suffix}")
    errors = [finding.error for finding in await follower.source.check() if finding.error]
    assert [error.code.id for error in errors] == ["TR-PG-314"]
    error = await _refusal(follower, position)
    assert (type(error), error.code.id) == (Gap, "TR-PG-314")
    assert f"{follower.name}{suffix}" in error.found


async def test_a_publication_that_is_missed_right_at_the_beginning_of_the_stream(
    postgres18: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    """The server's warning may come before its answer to START_REPLICATION."""
    database = make_database(postgres18)
    with Relay(postgres18) as relay:
        postgres18.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
        async with following(postgres18, database, url=relay.url(database)) as follower:
            position = (await follower.until())[-1].end
            fields = b"SWARNING\0VWARNING\0C55000\0Mskipped loading publication: " + follower.name.encode()
            relay.before_stream = b"N" + (len(fields) + 6).to_bytes(4) + fields + b"\0\0"
            await follower.resume(position)
            with pytest.raises(Gap) as refused:
                await follower.batch()
            assert refused.value.code.id == "TR-PG-314"
        relay.cut()


async def test_another_database_system(
    postgres: Postgres,
    postgres_database: str,
    make_database: Callable[[Postgres], str],
) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    checkpoint = await follower.checkpoint(position)
    assert checkpoint.identity
    for identity in (
        replace(checkpoint.identity, system="7"),
        replace(checkpoint.identity, database="another"),
    ):
        with pytest.raises(Diverged) as refused:
            await follower.source.verify(replace(checkpoint, identity=identity))
        assert refused.value.code.id == "TR-PG-320"
    await follower.close()


async def test_the_checkpoint_is_beyond_the_servers_log(postgres: Postgres, postgres_database: str) -> None:
    follower, _ = await _stopped(postgres, postgres_database)
    positions: list[Position] = [
        {"lsn": "FF/0"},
        {"lsn": "FF/0", "ordinal": 1, "end": follower.confirmed()},
    ]
    for position in positions:
        error = await _refusal(follower, position)
        assert (type(error), error.code.id) == (Diverged, "TR-PG-322")


async def test_another_log_before_the_checkpoint(postgres: Postgres, postgres_database: str) -> None:
    """The slot stays where it is, however much is durable: it is what tells, at the next start too."""
    follower, _ = await _stopped(postgres, postgres_database)
    confirmed = follower.confirmed()
    async with _going_on(follower, {"lsn": confirmed}) as follower:
        follower.sql("INSERT INTO t VALUES (1)")
        read = (await follower.until())[-1].end
    for _ in range(2):
        await follower.resume({**read, "proof": f"{str(read['proof']).rpartition('.')[0]}.5"})
        await follower.source.acknowledge(read)
        with pytest.raises(Gap) as refused:
            await follower.until()
        assert refused.value.code.id == "TR-PG-323"
        await follower.close()
        assert follower.confirmed() == confirmed
    async with _going_on(follower, read) as follower:
        follower.sql("INSERT INTO t VALUES (2)")
        batches = await follower.until()
        assert [change.ordinal for change in changes(batches)] == [1]
        await follower.source.acknowledge(batches[-1].end)
        await wait_until_confirmed(follower, {"lsn": batches[-1].end["lsn"]})


async def test_another_log_before_the_checkpoint_of_another_sink(
    postgres: Postgres, postgres_database: str
) -> None:
    follower, position = await _stopped(postgres, postgres_database)
    async with _going_on(follower, position) as follower:
        follower.sql("INSERT INTO t VALUES (1)")
        earlier = (await follower.until())[-1].end
        follower.sql("INSERT INTO t VALUES (2)")
        later = (await follower.until())[-1].end
    for resume, kind in ((earlier, Gap), (later, Diverged)):
        later = {**later, "proof": f"{str(later['proof']).rpartition('.')[0]}.5"}
        await follower.source.identify()
        for checkpoint in (earlier, later):
            await follower.source.verify(await follower.checkpoint(checkpoint))
        await follower.source.open(resume if resume is earlier else later)
        with pytest.raises(kind) as refused:
            async for _ in follower.source.read():
                pass
        assert refused.value.code.id == "TR-PG-323"
        await follower.close()


@pytest.mark.parametrize("major", [16, 18])
async def test_the_server_removed_the_log(make_postgres: Callable[..., PostgresServer], major: int) -> None:
    server = make_postgres(
        major, {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "wal_keep_size": 0}
    )
    follower, position = await _stopped(server, "postgres")
    for _ in range(6):
        server.execute("SELECT pg_switch_wal(); CREATE TABLE w (i int); DROP TABLE w")
        server.execute("CHECKPOINT")
    lost = "SELECT wal_status = 'lost' FROM pg_replication_slots"
    wait_until(lambda: server.execute(lost) == [(True,)], "the slot to be invalidated")
    errors = [finding.error for finding in await follower.source.check() if finding.error]
    assert [error.code.id for error in errors] == ["TR-PG-311"]
    error = await _refusal(follower, position)
    assert (type(error), error.code.id) == (Gap, "TR-PG-311")


def _new_timeline(server: PostgresServer) -> None:
    """Restart the server as after a recovery from an archive that held nothing more."""
    server.stop()
    (server.data / "recovery.signal").touch()
    server.settings["restore_command"] = "false"
    server.start()
    wait_until(
        lambda: server.execute("SELECT pg_is_in_recovery()") == [(False,)], "the server to be a primary"
    )


async def test_a_new_timeline_that_begins_behind_the_checkpoint_is_followed(
    make_postgres: Callable[..., PostgresServer],
) -> None:
    server = make_postgres(18)
    follower, position = await _stopped(server, "postgres")
    checkpoint = await follower.checkpoint(position)
    follower.sql("INSERT INTO t VALUES (1)")
    await follower.close()
    await asyncio.to_thread(_new_timeline, server)
    await follower.source.verify(checkpoint)
    await follower.resume(position)
    follower.sql("INSERT INTO t VALUES (2)")
    try:
        assert [(op, after) for op, _, _, after in await follower.told()] == [
            ("c", {"id": 1, "x": None}),
            ("c", {"id": 2, "x": None}),
        ]
        assert (await follower.source.identify()).timeline == 2
    finally:
        await follower.close()


async def test_a_new_timeline_that_begins_before_the_checkpoint_is_refused(
    make_postgres: Callable[..., PostgresServer],
) -> None:
    server = make_postgres(16)
    follower, position = await _stopped(server, "postgres")
    checkpoint = await follower.checkpoint(position)
    await follower.close()
    await asyncio.to_thread(_new_timeline, server)
    follower.sql("INSERT INTO t VALUES (1)")
    # What an old primary delivered behind the place at which this one parted from it.
    (end,) = follower.sql("SELECT pg_current_wal_flush_lsn()::text")[0]
    for beyond in ({"lsn": end}, {"lsn": end, "ordinal": 1, "end": follower.confirmed()}):
        with pytest.raises(Diverged) as refused:
            await follower.source.verify(replace(checkpoint, position=beyond))
        assert refused.value.code.id in ("TR-PG-321", "TR-PG-322")
    with pytest.raises(Diverged) as refused:
        await follower.source.verify(replace(checkpoint, position={"lsn": end}))
    assert refused.value.code.id == "TR-PG-321"
    assert checkpoint.identity
    unknown = replace(checkpoint, identity=replace(checkpoint.identity, timeline=7))
    with pytest.raises(Diverged) as refused:
        await follower.source.verify(unknown)
    assert refused.value.code.id == "TR-PG-321"
    await follower.close()


async def test_a_slot_that_appears_soon_after_a_promotion_is_waited_for(
    make_postgres: Callable[..., PostgresServer],
) -> None:
    server = make_postgres(18)
    follower, position = await _stopped(server, "postgres")
    checkpoint = await follower.checkpoint(position)
    copy = "SELECT pg_copy_logical_replication_slot('{}', '{}')"
    follower.sql(copy.format(follower.name, "kept"))
    follower.sql(f"SELECT pg_drop_replication_slot('{follower.name}')")
    await follower.close()
    await asyncio.to_thread(_new_timeline, server)
    try:
        verifying = asyncio.create_task(follower.source.verify(checkpoint))
        assert (await asyncio.wait({verifying}, timeout=0.5))[0] == set()
        follower.sql(copy.format("kept", follower.name))
        await verifying
    finally:
        await follower.close()


async def test_a_slot_in_use_is_waited_for(postgres: Postgres, postgres_database: str) -> None:
    """Who waits writes a message into the log: an older process that has nothing else to commit then learns
    that there is a newer one."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as first:
        position = (await first.until())[-1].end
        first.sql(f"SELECT pg_create_logical_replication_slot('{first.name}_seen', 'test_decoding')")
        second = Follower(postgres, postgres_database)
        with pytest.raises(Retry) as busy:
            await second.resume(position)
        assert busy.value.code.id == "TR-PG-301"
        (pid,) = postgres.execute(
            f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{first.name}'"
        )[0]
        assert f"process {pid} for tailrace {postgres_database}" in busy.value.found
        seen = first.sql(f"SELECT data FROM pg_logical_slot_get_changes('{first.name}_seen', NULL, NULL)")
        assert [row for row in seen if "prefix: tailrace" in row[0]] != []
        with pytest.raises(Retry) as busy:
            await second.source.anchor()
        assert busy.value.code.id == "TR-PG-301"
        release = asyncio.get_running_loop().call_later(0.5, lambda: asyncio.ensure_future(first.close()))
        await second.resume(position)
        release.cancel()
        await second.close()
