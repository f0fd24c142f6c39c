"""The connection over time: kept alive, given up, made again; the log freed while nothing happens."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import TypeAlias

import psutil
import pytest

from connectors.postgres.position import parse_lsn
from tailrace.errors import Retry
from tailrace.events import Batch
from tests.conftest import POSTGRES_URL
from tests.integration.following import Follower, changes, following, tell, wait_until_confirmed
from tests.servers import Postgres, PostgresServer
from tests.waiting import eventually

_TABLES = "CREATE TABLE t (id int PRIMARY KEY, x text); CREATE TABLE other (id int, x text)"
_BACKLOG = "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"


Mortal: TypeAlias = Callable[[int], tuple[PostgresServer, str]]


@pytest.fixture(scope="module")
def _mortal() -> Iterator[Callable[[int], PostgresServer]]:
    if POSTGRES_URL:
        pytest.skip("a given server (TAILRACE_TEST_POSTGRES_URL) is not killed")
    with contextlib.ExitStack() as running:
        yield cache(lambda major: running.enter_context(PostgresServer(major)))


@pytest.fixture
def mortal(_mortal: Callable[[int], PostgresServer]) -> Iterator[Mortal]:
    """A server of a version, which runs and which tests may end, and a database of the test's own on it."""
    with contextlib.ExitStack() as made:

        def make(major: int) -> tuple[PostgresServer, str]:
            server = _mortal(major)
            if not server.process.running:
                server.start()
            database = server.create_database()
            made.callback(_drop, server, database)
            return server, database

        yield make


def _drop(server: PostgresServer, database: str) -> None:
    if server.process.running:  # else the test has failed
        server.drop_database(database)


def _sender(follower: Follower) -> int:
    """The server process that streams to the follower."""
    ((pid,),) = follower.sql(
        f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{follower.name}'"
    )
    assert isinstance(pid, int)
    return pid


def _wal(follower: Follower, megabytes: int) -> None:
    follower.sql(
        f"INSERT INTO other SELECT g, repeat('x', 1000) FROM generate_series(1, {megabytes * 1000}) g"
    )


@pytest.mark.parametrize("major", [16, 18])
async def test_a_consumer_that_blocks_does_not_end_the_connection(
    make_postgres: Callable[..., PostgresServer], major: int
) -> None:
    server = make_postgres(major, {"wal_sender_timeout": "2s"})
    server.execute(_TABLES)
    async with following(server, "postgres", ["public.t"]) as follower:
        follower.sql(_BACKLOG)
        first = await follower.batch()
        pid = _sender(follower)
        replies = set()

        async def long_since() -> bool:
            # Two signs of life a second apart at least, until three times the server's patience is over.
            ((reply, age),) = follower.sql(
                "SELECT reply_time, extract(epoch FROM clock_timestamp() - backend_start)"
                f" FROM pg_stat_replication WHERE pid = {pid}"
            )
            replies.add(reply)
            return bool(age > 6)

        await eventually(long_since, "three times wal_sender_timeout to pass")
        assert len(replies) >= 6
        rows = [tell(change)[3] for change in changes([first, *await follower.until()])]
        assert [row["id"] for row in rows if row] == list(range(1, 20001))
        assert _sender(follower) == pid


async def test_the_log_is_freed_while_the_captured_tables_are_idle(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    async with following(postgres, postgres_database, ["public.t"]) as follower:
        for _ in range(3):
            _wal(follower, 20)
            (end,) = follower.sql("SELECT pg_current_wal_flush_lsn()::text")[0]
            batch = await follower.batch()
            assert (list(batch.events), batch.commit) == ([], True)
            # At the latest after 16 MB; what is written meanwhile waits for the next.
            assert parse_lsn(str(batch.end["lsn"])) > parse_lsn(end) - 16 * 1024 * 1024
            await follower.source.acknowledge(batch.end)
            await wait_until_confirmed(follower, batch.end)


async def test_idle_positions_are_rare(
    postgres: Postgres, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    monkeypatch.setattr("connectors.postgres.stream._IDLE_SECONDS", 1.0)
    async with following(postgres, postgres_database, ["public.t"]) as follower:
        clock = asyncio.get_running_loop().time
        times = []

        async def write() -> None:
            while True:
                await asyncio.to_thread(follower.sql, "INSERT INTO other VALUES (1)")

        writing = asyncio.create_task(write())
        try:
            for _ in range(3):
                batch = await follower.batch()
                assert not batch.events
                times.append(clock())
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        assert all(later - earlier > 0.9 for earlier, later in pairwise(times))


async def _consume(follower: Follower, read: list[Batch], *, acknowledging: bool) -> str:
    """Read until the connection is lost; the code of the error."""
    try:
        while True:
            read.append(await follower.batch())
            if acknowledging:
                await follower.source.acknowledge(read[-1].end)
    except Retry as lost:
        await follower.close()
        return lost.code.id


@pytest.mark.parametrize("major", [16, 18])
async def test_a_fast_shutdown_waits_only_for_what_becomes_durable(mortal: Mortal, major: int) -> None:
    server, database = mortal(major)
    server.execute(_TABLES, database=database)
    async with following(server, database, ["public.t"]) as follower:
        follower.sql("INSERT INTO t VALUES (0)")
        assert len(await follower.told()) == 1
        follower.sql(_BACKLOG)
        read: list[Batch] = []
        consumer = asyncio.create_task(_consume(follower, read, acknowledging=True))
        await asyncio.to_thread(server.stop, timeout=20)
        assert await consumer == "TR-PG-004"
        assert len(changes(read)) == 20_000  # the server told everything before it went
        server.start()
        await follower.resume(read[-1].end)
        assert await follower.told() == []


@pytest.mark.parametrize("major", [16, 18])
async def test_a_stalled_sink_does_not_hold_up_a_shutdown(mortal: Mortal, major: int) -> None:
    server, database = mortal(major)
    server.execute(_TABLES, database=database)
    async with following(server, database, ["public.t"]) as follower:
        follower.sql("INSERT INTO t VALUES (1)")
        position = (await follower.until())[-1].end
        # The server waits only for who has acknowledged something.
        await follower.source.acknowledge(position)
        await wait_until_confirmed(follower, position)
        follower.sql("INSERT INTO t VALUES (2)")
        consumer = asyncio.create_task(_consume(follower, [], acknowledging=False))
        await asyncio.to_thread(server.stop, timeout=20)
        assert await consumer == "TR-PG-303"
        server.start()
        await follower.resume(position)
        assert [after for _, _, _, after in await follower.told()] == [{"id": 2, "x": None}]


@pytest.mark.parametrize("major", [16, 18])
async def test_a_shutdown_asks_for_the_place_of_what_nobody_was_in_a_hurry_with(
    mortal: Mortal, major: int
) -> None:
    """As where transforms drop a transaction wholly: its place goes with the next idle position."""
    server, database = mortal(major)
    server.execute(_TABLES, database=database)
    async with following(server, database, ["public.t"]) as follower:
        follower.sql("INSERT INTO t VALUES (1)")
        position = (await follower.until())[-1].end
        await follower.source.acknowledge(position)
        await wait_until_confirmed(follower, position)
        follower.sql("INSERT INTO t VALUES (2)")
        while not (dropped := await follower.batch()).events:
            pass  # idle, from before it
        assert len(changes([dropped])) == 1

        async def only_idle() -> str:
            try:
                while True:
                    batch = await follower.batch()
                    if not batch.events:
                        await follower.source.acknowledge(batch.end)
            except Retry as lost:
                await follower.close()
                return lost.code.id

        consumer = asyncio.create_task(only_idle())
        await asyncio.to_thread(server.stop, timeout=20)
        assert await consumer == "TR-PG-004"  # it has ended, and was not given up
        server.start()
        await follower.resume(dropped.end)
        assert await follower.told() == []


@pytest.mark.parametrize("major", [16, 18])
async def test_a_consumer_that_blocks_does_not_hold_up_a_shutdown(mortal: Mortal, major: int) -> None:
    server, database = mortal(major)
    server.execute(_TABLES, database=database)
    async with following(server, database, ["public.t"], status_interval=0.3) as follower:
        origin = (await follower.until())[-1].end
        follower.sql(_BACKLOG)
        while not (await follower.batch()).events:
            pass
        await asyncio.to_thread(server.stop, timeout=20)
        with pytest.raises(Retry) as lost:
            await follower.until({"lsn": "FF/0"})
        assert lost.value.code.id == "TR-PG-004"
        await follower.close()
        server.start()
        await follower.resume(origin)
        assert len(await follower.told()) == 20_000


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_a_lost_connection_is_made_again_without_loss(mortal: Mortal, end: str) -> None:
    server, database = mortal(16)
    server.execute(_TABLES, database=database)
    async with following(server, database, ["public.t"]) as follower:
        follower.sql("INSERT INTO t VALUES (0)")
        position = (await follower.until())[-1].end
        await follower.source.acknowledge(position)
        follower.sql("INSERT INTO t VALUES (1)")
        reading = asyncio.create_task(_consume(follower, [], acknowledging=False))
        if end == "kill":
            await asyncio.to_thread(server.kill)
        else:
            follower.sql(f"SELECT pg_terminate_backend({_sender(follower)})")
        assert await reading == "TR-PG-004"
        await follower.source.acknowledge(position)  # nobody there: kept for the next connection
        if end == "kill":
            with pytest.raises(Retry) as away:
                await follower.resume(position)
            assert away.value.code.id == "TR-PG-001"
            server.start()
        await follower.resume(position)
        assert [after for _, _, _, after in await follower.told()] == [{"id": 1, "x": None}]
        await wait_until_confirmed(follower, position)


async def test_silence_has_a_deadline(mortal: Mortal) -> None:
    server, database = mortal(16)
    server.execute(_TABLES, database=database)
    async with following(server, database, ["public.t"], silence_timeout=1.0) as follower:
        position = (await follower.until())[-1].end
        sender = psutil.Process(_sender(follower))
        # As long as it answers when it is asked, silence is no fault.
        with pytest.raises(TimeoutError):
            await follower.batch(timeout=2.5)
        await follower.resume(position)
        sender = psutil.Process(_sender(follower))
        sender.suspend()
        try:
            with pytest.raises(Retry, match="nothing has come from the server for 1 s"):
                await follower.batch()
        finally:
            sender.resume()
        await follower.resume(position)
        follower.sql("INSERT INTO t VALUES (1)")
        assert len(await follower.told()) == 1


async def test_the_end_of_the_log_is_reached_whatever_it_looks_like(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute(_TABLES, database=postgres_database)
    async with following(postgres, postgres_database, ["public.t"]) as follower:
        for statement in (
            "SELECT 1",
            "SELECT pg_switch_wal()",
            "CHECKPOINT",
            "INSERT INTO other VALUES (1)",
            "SET synchronous_commit = off; INSERT INTO other VALUES (1)",
        ):
            for part in statement.split(";"):
                follower.sql(part)
            goal = await follower.source.current()
            batches = await follower.until(goal, timeout=5)
            assert follower.source.covers(batches[-1].end, goal)
            assert batches[-1].commit


async def test_over_tls(make_postgres: Callable[..., PostgresServer]) -> None:
    """TLS hands out whole records: what it holds back must not be waited for at the socket."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    server = make_postgres(18)
    key, certificate = server.data / "server.key", server.data / "server.crt"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2", "-subj", "/CN=x"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(lambda: subprocess.run(command, check=True, capture_output=True))
    owner = server.data.stat()
    os.chown(key, owner.st_uid, owner.st_gid)
    key.chmod(0o600)
    server.settings["ssl"] = "on"
    server.restart()
    server.execute(_TABLES)
    url = f"{server.url()}?sslmode=verify-full&sslrootcert={certificate}"
    async with following(server, "postgres", ["public.t"], url=url) as follower:
        ((encrypted,),) = follower.sql(
            f"SELECT ssl FROM pg_stat_ssl WHERE pid = {_sender(follower)}",
        )
        assert encrypted
        follower.sql(_BACKLOG)
        assert len(await follower.told()) == 20_000
        for size in (100, 8_000, 15_900, 16_384, 17_000, 33_000, 100_000):
            follower.sql(f"INSERT INTO t VALUES (-{size}, repeat('x', {size}))")
            ((op, _, _, row),) = await asyncio.wait_for(follower.told(), 5)
            assert (op, row and len(row["x"])) == ("c", size)
    wrong = Follower(server, "postgres", url=f"{server.url()}?sslmode=verify-full&sslrootcert=system")
    errors = [finding.error for finding in await wrong.source.check() if finding.error]
    with contextlib.suppress(Retry):
        await wrong.close()
    assert [error.code.id for error in errors] == ["TR-PG-012"]


async def test_an_idle_stream_writes_into_the_log_where_that_is_wanted(
    postgres18: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    """By default nothing; with `heartbeat` a message now and then, which is counted and never delivered."""
    database = make_database(postgres18)
    postgres18.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    witness = f"witness_{database}"

    def beats() -> int:
        ((count,),) = postgres18.execute(
            f"SELECT count(*) FROM pg_logical_slot_peek_changes('{witness}', NULL, NULL) "
            "WHERE data LIKE 'message: transactional: 1 prefix: tailrace%'",
            database=database,
        )
        return int(count)

    async with following(postgres18, database, heartbeat=0.2) as follower:
        postgres18.execute(
            f"SELECT pg_create_logical_replication_slot('{witness}', 'test_decoding')", database=database
        )
        reading = asyncio.create_task(follower.batch())

        async def three() -> bool:
            return beats() >= 3

        await eventually(three, "three heartbeats")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    role = f"role_{database}"
    postgres18.execute(
        f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'w';"
        "REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean) FROM public",
        database=database,
    )
    follower = Follower(postgres18, database, heartbeat=10, url=postgres18.url(database, role, "w"))
    try:
        (found,) = [f for f in await follower.source.check() if f.title == "heartbeat"]
        assert found.error is not None
        statement = found.remedy.partition(";")[0]
        postgres18.execute(statement, database=database)
        (found,) = [f for f in await follower.source.check() if f.title == "heartbeat"]
        assert found.error is None
    finally:
        await follower.close()
        postgres18.execute(f"DROP OWNED BY {role}; DROP ROLE {role}", database=database)
