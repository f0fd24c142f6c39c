"""Several hosts in a URL: whichever is the primary is read, and a failover needs no other file."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from connectors.mysql import hosts, source
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.faults import LOST, READ_ONLY, UNREACHABLE
from tailrace.errors import Retry, TailraceError
from tailrace.log import Reader
from tests.integration.mysql_following import Follower, told
from tests.integration.relay import Endpoint, Relay
from tests.pipelines import Pipeline
from tests.servers import MySql, MySqlServer
from tests.servers.process import free_port
from tests.waiting import wait_until


def url(*servers: MySql | str) -> str:
    hosts = [one if isinstance(one, str) else f"{one.host}:{one.port}" for one in servers]
    return f"mysql://root@{','.join(hosts)}/"


async def ended(follower: Follower) -> None:
    """Read until that fails."""
    while True:
        await follower.batch()


def arrived(log: Path) -> list[int]:
    """The keys of the rows in the log."""
    with contextlib.suppress(TailraceError), contextlib.closing(Reader(log)) as reader:
        return [json.loads(entry.key or b"")["id"] for entry in reader.read("hosts.shop.t", 0).entries]
    return []


def nobody() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
def test_a_pipeline_goes_over_to_whoever_was_promoted(
    make_mysql: Callable[..., MySqlServer], tmp_path: Path, release: str
) -> None:
    """While none takes writes it waits, and says so; both orders of the hosts do."""
    primary, replica = make_mysql(release), make_mysql(release, {"read_only": "ON"})
    replica.follow(primary)
    primary.script("CREATE DATABASE shop;\nCREATE TABLE shop.t (id int PRIMARY KEY)")
    replica.wait_for(primary.gtids())
    given = {
        "type": primary.flavor,
        "url": url(replica, primary),
        "tables": ["shop.*"],
        "snapshot": "never",
    }
    pipeline = Pipeline(tmp_path, "hosts", given, [{"type": "log", "path": "log.db"}])
    ids = itertools.count(1)

    def arrives_from(server: MySql) -> bool:
        """Whether of the rows that are written here, one more at each call, some have arrived."""
        server.execute("INSERT INTO shop.t VALUES (%s)", (next(ids),))
        return any(key >= begin for key in arrived(tmp_path / "log.db"))

    with pipeline.start() as process:
        begin = 1
        wait_until(lambda: arrives_from(primary), "rows from the primary", 30)
        replica.wait_for(primary.gtids())
        primary.kill()
        wait_until(lambda: READ_ONLY.id in process.stderr, "the pipeline to wait for a primary", 30)
        replica.promote()
        replica.execute("SET GLOBAL read_only = OFF")
        begin = next(ids)
        wait_until(lambda: arrives_from(replica), "rows from the one that was promoted", 60)
        process.signal(signal.SIGTERM)
        process.wait(30, expected=0)
    found = arrived(tmp_path / "log.db")
    missing = begin  # whose number was only taken
    assert [key for key in range(found[0], found[-1] + 1) if key != missing] == found


async def test_which_of_them_is_read(every_mysql: MySql) -> None:
    """The first that answers and, unless any is wanted, takes writes."""
    database = every_mysql.create_database()
    every_mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    try:
        async with Follower(every_mysql, database, url=url(nobody(), every_mysql)) as follower:
            await follower.start()
            follower.sql("INSERT INTO t VALUES (1)")
            assert [op for op, *_ in await follower.told()] == ["c"]
            (finding,) = [one for one in await follower.source.check() if one.title == "hosts"]
            assert (finding.warning, f"{every_mysql.port} takes writes" in finding.found) == (True, True)
        async with Follower(every_mysql, database, url=url(nobody(), nobody())) as away:
            with pytest.raises(Retry) as unreachable:
                await away.source.identify()
            assert unreachable.value.code is UNREACHABLE
    finally:
        every_mysql.drop_database(database)


async def test_a_host_that_knows_no_such_account(every_mysql: MySql) -> None:
    """It is not away: a pipeline that comes to it stops, and what mends the login is told."""
    there = f"{every_mysql.host}:{every_mysql.port}"
    found = await hosts.look(Address.parse(f"mysql://stranger@{nobody()},{there}/"), "test")
    assert found.warning
    assert found.remedy.startswith(f"A pipeline that comes to {there} stops there. None was given: write")


async def test_a_primary_that_is_to_follow_is_left(
    make_mysql: Callable[..., MySqlServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends no connection by itself. From a replica one may read all the same."""
    monkeypatch.setattr(source, "_OBSERVE_SECONDS", 0.1)
    server = make_mysql("mariadb11")
    server.script("CREATE DATABASE shop;\nCREATE TABLE shop.t (id int PRIMARY KEY)")
    wanting: dict[str, Any] = {"url": url(server, nobody())}
    async with Follower(server, "shop", **wanting) as follower:
        position = await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        assert len(await follower.told()) == 1
        server.execute("SET GLOBAL read_only = ON")
        with pytest.raises(Retry) as left:
            await ended(follower)
        assert left.value.code is READ_ONLY
        with pytest.raises(Retry) as none:
            await follower.resume(position)
        assert none.value.code is READ_ONLY
        assert str(server.port) in none.value.found
    async with Follower(server, "shop", **wanting, target_session_attrs="any") as reading:
        await reading.resume(position)
        assert len(await reading.told()) == 1
        (finding,) = [one for one in await reading.source.check() if one.title == "hosts"]
        assert "is read_only" in finding.found
    alone: dict[str, Any] = {"url": url(server), "target_session_attrs": "primary"}
    async with Follower(server, "shop", **alone) as waiting:
        with pytest.raises(Retry) as refused:
            await waiting.source.identify()
        assert refused.value.code is READ_ONLY


async def test_a_server_that_takes_no_new_connections_is_left(
    mariadb: MySql, make_database: Callable[[MySql], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked and what is read are always the same one."""
    monkeypatch.setattr(source, "_OBSERVE_SECONDS", 0.1)
    database = make_database(mariadb)
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    with Relay(Endpoint(mariadb.host, mariadb.port)) as relay:
        hosts = url(f"127.0.0.1:{relay.port}", mariadb)
        async with Follower(mariadb, database, url=hosts, ssl_mode="disabled") as follower:
            await follower.start()
            ended_at = asyncio.create_task(ended(follower))
            relay.target = Endpoint("127.0.0.1", free_port())
            kill_sessions(mariadb)
            with pytest.raises(Retry) as left:
                await asyncio.wait_for(ended_at, 30)
            assert left.value.code is LOST
            assert f"another server answers now: 127.0.0.1:{mariadb.port}" in left.value.found


def kill_sessions(server: MySql) -> None:
    """All connections that wait for a statement."""
    waiting = "SELECT id FROM information_schema.processlist WHERE command = 'Sleep' AND db IS NULL"
    for (id,) in server.execute(waiting):
        with contextlib.suppress(pymysql.MySQLError):
            server.execute(f"KILL {id}")


async def test_a_line_on_which_nothing_comes_through(
    every_mysql: MySql, make_database: Callable[[MySql], str]
) -> None:
    """It is given up after `silence_timeout`; an idle server says within a third of it that it is there."""
    database = make_database(every_mysql)
    every_mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    with Relay(Endpoint(every_mysql.host, every_mysql.port)) as relay:
        through = url(f"127.0.0.1:{relay.port}", every_mysql)
        async with Follower(every_mysql, database, url=through, silence_timeout=1.5) as follower:
            origin = await follower.start()
            with contextlib.suppress(TimeoutError):
                while True:  # idle, and not given up
                    assert (await follower.batch(timeout=4)).events == []
            await follower.resume(origin)
            relay.hold_all()
            follower.sql("INSERT INTO t VALUES (1)")
            began = time.monotonic()
            with pytest.raises(Retry) as raised:
                await ended(follower)
            assert (raised.value.code, time.monotonic() - began < 10) == (LOST, True)
            relay.release_all()
            await follower.resume(origin)
            assert await follower.told() == [("c", "t", None, {"id": 1})]


async def test_a_member_of_a_group_is_a_server_like_any_other(make_mysql: Callable[..., MySqlServer]) -> None:
    """One that leaves its group takes no writes any more."""
    place = nobody()
    server = make_mysql(
        "mysql9",
        {
            "plugin_load_add": "group_replication.so",
            "group_replication_group_name": str(uuid.uuid4()),
            "group_replication_start_on_boot": "OFF",
            "group_replication_local_address": place,
            "group_replication_group_seeds": place,
            "report_host": "127.0.0.1",
        },
    )
    server.script("SET GLOBAL group_replication_bootstrap_group = ON;\nSTART GROUP_REPLICATION")
    wait_until(
        lambda: server.execute("SELECT @@super_read_only") == [(0,)], "the group to have a primary", 30
    )
    server.script("CREATE DATABASE shop;\nCREATE TABLE shop.t (id int PRIMARY KEY)")
    async with Follower(server, "shop", target_session_attrs="primary") as follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)")
        batches = await follower.until()
        assert [row["id"] for _, _, _, row in told(batches) if row] == [1, 2]
        server.execute("STOP GROUP_REPLICATION")
        with pytest.raises(Retry) as left:
            await follower.resume(batches[-1].end)
        assert left.value.code is READ_ONLY
