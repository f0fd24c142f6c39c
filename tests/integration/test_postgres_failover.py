"""A failover under a pipeline: a physical standby is promoted, and the stream goes on there or is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import psycopg
import pytest

from tailrace.abc import Finding
from tailrace.errors import Retry
from tailrace.log import Reader
from tests.conftest import POSTGRES_URL
from tests.integration.following import Follower, following
from tests.integration.relay import Relay
from tests.pipelines import Pipeline, PipelineProcess
from tests.servers import Postgres, PostgresServer
from tests.servers.standby import Standby, url
from tests.waiting import eventually, wait_until

_TABLES = "CREATE TABLE t (n int PRIMARY KEY); CREATE TABLE counter AS SELECT 0 AS n"
_COUNT_ON = "WITH next AS (UPDATE counter SET n = n + 1 RETURNING n) INSERT INTO t SELECT n FROM next"
_NAME = "failover"
_COPIED = "SELECT synced AND NOT temporary FROM pg_replication_slots WHERE slot_name = %s"


@pytest.fixture
def make_standby() -> Iterator[Callable[..., Standby]]:
    """Starts standbys; arguments as `Standby` takes them."""
    with contextlib.ExitStack() as running:

        def make(primary: PostgresServer, **options: object) -> Standby:
            standby = Standby(primary, **options)  # type: ignore[arg-type]
            running.callback(standby.remove)
            standby.start()
            return standby

        yield make


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[PostgresServer, Standby]]:
    """A primary and its standby, for tests that promote nothing."""
    if POSTGRES_URL:
        pytest.skip("a given server (TAILRACE_TEST_POSTGRES_URL) gets no standby")
    with PostgresServer(18) as primary:
        primary.execute(_TABLES)
        standby = Standby(primary)
        with standby:
            yield primary, standby


class Writers:
    """Clients that count on from 1, one row in a transaction, on whichever server is the primary. The counter
    they share lets them commit in the order of its values."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(3)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        while not self._over.wait(0.05):
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(self._url, autocommit=True) as connection,
            ):
                while not self._over.wait(0.002):
                    connection.execute(_COUNT_ON)


def _pipeline(folder: Path, *servers: PostgresServer, failover: bool = True) -> Pipeline:
    source = {"url": url(*servers), "tables": ["public.t"], "slot": {"failover": failover}}
    return Pipeline(folder, _NAME, source, [{"type": "log", "path": "log.db"}])


def _delivered(folder: Path) -> list[int]:
    """The rows in the log, in its order."""
    numbers: list[int] = []
    topic = f"{_NAME}.public.t"
    with contextlib.closing(Reader(folder / "log.db")) as reader:
        if topic not in [found.name for found in reader.topics()]:
            return numbers
        while not (page := reader.read(topic, len(numbers))).end or page.entries:
            for entry in page.entries:
                assert entry.value is not None
                change = json.loads(entry.value)
                assert change["op"] == "c"
                numbers.append(change["after"]["n"])
    return numbers


def _copied(primary: PostgresServer, standby: Standby) -> bool:
    primary.execute("SELECT pg_log_standby_snapshot()")  # up to where a copy may begin
    return (True,) in standby.execute(_COPIED, (f"tailrace_{_NAME}",))


def _count(server: PostgresServer) -> int:
    [(count,)] = server.execute("SELECT n FROM counter")
    return int(count)


def _wait_until_delivered(process: PipelineProcess, folder: Path, count: int) -> None:
    def delivered() -> bool:
        assert process.running, process.stderr
        return len(_delivered(folder)) >= count

    wait_until(delivered, f"{count} rows to be delivered", 60)


@pytest.mark.parametrize("major", [17, 18])
def test_a_promoted_standby_goes_on(
    make_postgres: Callable[..., PostgresServer],
    make_standby: Callable[..., Standby],
    tmp_path: Path,
    major: int,
) -> None:
    primary = make_postgres(major)
    primary.execute(_TABLES)
    standby = make_standby(primary)
    primary.execute("ALTER SYSTEM SET synchronized_standby_slots = standby")
    primary.execute("SELECT pg_reload_conf()")
    pipeline = _pipeline(tmp_path, primary, standby)
    with pipeline.start() as process:
        wait_until(lambda: "pipeline streaming" in process.stderr, "the pipeline to stream")
        with Writers(url(primary, standby)):
            wait_until(lambda: _count(primary) > 300, "the writers to write")
            wait_until(lambda: _copied(primary, standby), "the standby to copy the slot", 60)
            primary.kill()
            standby.promote()
            before = _count(standby)
            wait_until(lambda: _count(standby) > before + 300, "the writers to go on")
        _wait_until_delivered(process, tmp_path, _count(standby))
        process.signal(signal.SIGTERM)
        process.wait(20, expected=0)
    assert _delivered(tmp_path) == list(range(1, _count(standby) + 1))


def test_a_standby_that_lacks_what_was_delivered_is_refused(
    make_postgres: Callable[..., PostgresServer], make_standby: Callable[..., Standby], tmp_path: Path
) -> None:
    primary = make_postgres(18)
    primary.execute(_TABLES)
    standby = make_standby(primary)
    pipeline = _pipeline(tmp_path, primary, standby)
    with pipeline.start() as process:
        wait_until(lambda: "pipeline streaming" in process.stderr, "the pipeline to stream")
        with Writers(primary.url()):
            wait_until(lambda: _copied(primary, standby), "the standby to copy the slot", 60)
        standby.stop()
        primary.execute(_COUNT_ON)
        _wait_until_delivered(process, tmp_path, _count(primary))
        count = _count(primary)
        primary.kill()
        standby.start()
        standby.promote()
        process.wait(60, expected=1)
    assert "TR-PG-321" in process.stderr
    assert "decide which of both is right" in process.stderr
    assert _delivered(tmp_path) == list(range(1, count + 1))


def test_a_promoted_standby_without_the_slot_is_a_gap(
    make_postgres: Callable[..., PostgresServer], make_standby: Callable[..., Standby], tmp_path: Path
) -> None:
    primary = make_postgres(18)
    primary.execute(_TABLES)
    standby = make_standby(primary)
    pipeline = _pipeline(tmp_path, primary, standby, failover=False)
    with pipeline.start() as process:
        wait_until(lambda: "pipeline streaming" in process.stderr, "the pipeline to stream")
        primary.execute("INSERT INTO t VALUES (1)")
        _wait_until_delivered(process, tmp_path, 1)
        [(end,)] = primary.execute("SELECT pg_current_wal_flush_lsn()::text")
        wait_until(lambda: standby.has_received(end), "the standby to receive")
        primary.kill()
        standby.promote()
        process.wait(60, expected=1)
    assert "TR-PG-310" in process.stderr
    assert "has no finished copy of slot tailrace_failover" in process.stderr
    assert "slot: {failover: true}" in process.stderr


async def _findings(follower: Follower) -> list[Finding]:
    return [finding for finding in await follower.source.check() if finding.title == "failover"]


async def _warnings(follower: Follower) -> list[str]:
    return [finding.found for finding in await _findings(follower) if finding.warning]


async def test_doctor_tells_what_a_failover_would_do(pair: tuple[PostgresServer, Standby]) -> None:
    primary, standby = pair
    place = f"{standby.host}:{standby.port}/postgres"
    async with following(primary, "postgres", ["public.t"]) as plain:
        (lost,) = await _findings(plain)
        assert lost.warning
        assert "none of them keeps a copy of the slot" in lost.found
        position = (await plain.until())[-1].end
    both = url(primary, standby)
    follower = Follower(primary, "postgres", ["public.t"], url=both, slot={"failover": True})
    try:
        altered, diverging, lacking = await _findings(follower)
        assert not altered.warning
        assert "altered at the next start" in altered.found
        assert diverging.remedy.startswith("ALTER SYSTEM SET synchronized_standby_slots = 'standby';")
        assert lacking.found == f"{place} has no finished copy of the slot"
        await follower.resume(position)
        primary.execute("INSERT INTO t VALUES (-1)")
        await follower.source.acknowledge((await follower.until())[-1].end)

        async def copied() -> bool:
            await asyncio.to_thread(primary.execute, "SELECT pg_log_standby_snapshot()")
            goal = await follower.source.current()
            await follower.source.acknowledge((await follower.until(goal))[-1].end)
            return (True,) in standby.execute(_COPIED, (follower.name,))

        await eventually(copied, "the standby to copy the slot", 60)
        for statement in diverging.remedy.split(";")[:2]:
            primary.execute(statement)
        told = await _findings(follower)
        assert not any(finding.warning for finding in told)
        assert told[-1].found.startswith(f"{place} would take over: its copy stands at ")
        # What the standby lacks, and the statements that mend it.
        for setting in ("sync_replication_slots", "hot_standby_feedback"):
            standby.execute(f"ALTER SYSTEM SET {setting} = off")
        standby.execute("SELECT pg_reload_conf()")
        await eventually(_is(follower, [f"{place} does not copy slots"]), "the settings to be in force")
        for statement in (await _findings(follower))[-1].remedy.removeprefix("There: ").split(";")[:-1]:
            standby.execute(statement)
        await eventually(_is(follower, []), "the settings to be in force again")
        primary.execute("ALTER SYSTEM SET synchronized_standby_slots = 'standby, gone'")
        primary.execute("SELECT pg_create_physical_replication_slot('gone'), pg_reload_conf()")
        (waits,) = await _warnings(follower)
        assert "names gone, and nobody streams from there" in waits
    finally:
        primary.execute("ALTER SYSTEM RESET synchronized_standby_slots")
        primary.execute("SELECT pg_reload_conf()")
        await follower.close()


def _is(follower: Follower, warnings: list[str]) -> Callable[[], Coroutine[None, None, bool]]:
    async def holds() -> bool:
        return await _warnings(follower) == warnings

    return holds


async def test_a_server_of_the_url_that_is_away_is_told(pair: tuple[PostgresServer, Standby]) -> None:
    primary, _ = pair
    away = f"postgresql://postgres@{primary.host}:{primary.port},127.0.0.1:1/postgres"
    follower = Follower(primary, "postgres", ["public.t"], url=away, slot={"failover": True})
    try:
        assert any("127.0.0.1:1/postgres cannot be looked at" in found for found in await _warnings(follower))
    finally:
        await follower.close()


async def test_doctor_asks_a_standby_with_the_rights_of_the_role(
    pair: tuple[PostgresServer, Standby],
) -> None:
    primary, standby = pair
    primary.execute("CREATE ROLE watcher LOGIN REPLICATION PASSWORD 'geheim'")
    database = primary.create_database()
    primary.execute("CREATE TABLE t (n int PRIMARY KEY)", database=database)
    wait_until(lambda: standby.execute(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"), "a copy")
    both = url(primary, standby, database=database).replace("postgres@", "watcher@")
    follower = Follower(primary, database, url=both, password="geheim", slot={"failover": True})
    try:
        found = [warning for warning in await _warnings(follower) if f":{standby.port}/" in warning]
        assert found == [f"{standby.host}:{standby.port}/{database} has no finished copy of the slot"]
    finally:
        await follower.close()


async def test_failover_needs_17(postgres16: Postgres, make_database: Callable[[Postgres], str]) -> None:
    database = make_database(postgres16)
    postgres16.execute("CREATE TABLE t (n int PRIMARY KEY)", database=database)
    follower = Follower(postgres16, database, slot={"failover": True})
    try:
        (finding,) = await _findings(follower)
        assert finding.error is not None
        assert finding.error.code.id == "TR-PG-205"
    finally:
        await follower.close()


async def test_nothing_is_streamed_from_a_standby(pair: tuple[PostgresServer, Standby]) -> None:
    """With several hosts each connection may end at another server."""
    primary, standby = pair
    database = primary.create_database()
    primary.execute("CREATE TABLE t (n int PRIMARY KEY)", database=database)
    wait_until(lambda: standby.execute(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"), "a copy")
    with Relay(primary) as relay:
        follower = Follower(primary, database, url=relay.url(database))
        try:
            position = await follower.start()
            await follower.close()
            await follower.source.identify()
            await follower.source.verify(await follower.checkpoint(position))
            relay.target = standby  # the session stays where it is
            with pytest.raises(Retry) as refused:
                await follower.source.open(position)
            assert refused.value.code.id == "TR-PG-304"
        finally:
            await follower.close()
            relay.cut()
    primary.drop_database(database)
