"""What happens to a log that is read: its files are rotated and removed, all of it is reset."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from pymysql.cursors import Cursor

from connectors.mysql import source
from connectors.mysql.channel import AHEAD, PURGED
from connectors.mysql.log_questions import begun
from tailrace.clients.mysql.address import Address
from tailrace.errors import Diverged, Gap, Retry, Stop
from tests.integration.mysql_following import Follower, Told, told
from tests.servers import MySql, MySqlServer
from tests.waiting import wait_until

ROWS = 300


@pytest.fixture
def follower(every_mysql: MySql, make_database: Callable[[MySql], str]) -> Follower:
    """Of the empty table `t`."""
    follower = Follower(every_mysql, make_database(every_mysql))
    follower.sql("CREATE TABLE t (id int PRIMARY KEY)")
    return follower


def ids(events: Sequence[Told]) -> list[int]:
    """Of the rows that were inserted."""
    return [row["id"] for op, _, _, row in events if op == "c" and row is not None]


async def nothing(follower: Follower) -> None:
    """Read for ever, and find no event."""
    while True:
        assert told([await follower.batch()]) == []


def rotated_while_written(server: MySql, database: str) -> int:
    """Write all rows, one a transaction, and begin a file after each thirty, which removes the others; how
    often that removed one."""
    removed = 0
    with server.connect(database) as connection, connection.cursor() as cursor:
        for number in range(ROWS):
            cursor.execute("INSERT INTO t VALUES (%s)", (number,))
            if number % 30 == 20:
                cursor.execute("FLUSH BINARY LOGS")
                cursor.execute("SHOW BINARY LOGS")
                files = cursor.fetchall()
                removed += wait_until(partial(_purged, cursor, len(files)), "the reader to leave a file")
    return removed


def _purged(cursor: Cursor, files: int) -> int:
    """How many of so many files are gone once all but the newest were told to go. MariaDB removes one only
    once no crash would need it."""
    cursor.execute("SHOW BINARY LOGS")
    cursor.execute(f"PURGE BINARY LOGS TO '{cursor.fetchall()[-1][0]}'")
    cursor.execute("SHOW BINARY LOGS")
    return files - len(cursor.fetchall())


async def test_files_are_rotated_and_removed_while_they_are_read(follower: Follower) -> None:
    """A server removes none that a reader is in."""
    async with follower:
        await follower.start()
        writing = asyncio.create_task(
            asyncio.to_thread(rotated_while_written, follower.server, follower.database)
        )
        seen: list[int] = []
        while len(seen) < ROWS:
            seen += ids(told([await follower.batch()]))
        assert await writing > 0
    assert seen == list(range(ROWS))


async def test_a_row_that_the_servers_own_statements_do_not_read(
    make_mysql: Callable[..., MySqlServer], make_database: Callable[[MySql], str]
) -> None:
    """One larger than max_allowed_packet is now: MariaDB tells no GTIDs by a place behind it."""
    server = make_mysql("mariadb10", {"max_allowed_packet": "64M"})
    follower = Follower(server, make_database(server))
    follower.sql("CREATE TABLE t (id int PRIMARY KEY, b longblob)")
    follower.sql(f"INSERT INTO t VALUES (0, REPEAT('x', {20 << 20}))")
    server.execute(f"SET GLOBAL max_allowed_packet = {16 << 20}")
    async with follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1, NULL)")
        assert ids(await follower.told()) == [1]


async def test_files_that_were_removed_meanwhile_are_a_gap(follower: Follower) -> None:
    """Told with what is missing, and only where something is: files that were read to their end are not."""
    server = follower.server

    async def purge() -> None:
        async with asyncio.timeout(20):  # MariaDB removes a file only once no crash would need it
            while len(files := server.execute("SHOW BINARY LOGS")) > 1:
                server.execute(f"PURGE BINARY LOGS TO '{files[-1][0]}'")
                await asyncio.sleep(0.05)

    async with follower:
        begin = await follower.start()
        follower.sql("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
        batches = await follower.until()
        newest = re.split("[:-]", batches[-1].events[-1].transaction.id)[-1]  # number of its GTID
        end = batches[-1].end
        await follower.close()
        follower.sql("FLUSH BINARY LOGS")
        await purge()
        follower.sql("INSERT INTO t VALUES (3)")
        await follower.resume(end)
        assert ids(await follower.told()) == [3]
        with pytest.raises(Gap) as raised:
            await follower.resume(begin)
    assert raised.value.code is PURGED
    assert newest in raised.value.found


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
async def test_a_log_that_is_reset_while_it_is_read(
    make_mysql: Callable[..., MySqlServer], release: str
) -> None:
    """Nothing of the new log is delivered behind the old one: the stream ends, and no other may begin."""
    server = make_mysql(release)
    server.execute("CREATE DATABASE shop")
    async with Follower(server, "shop") as follower:
        follower.sql("CREATE TABLE t (id int PRIMARY KEY)")
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        end = (await follower.until())[-1].end
        await follower.source.acknowledge(end)
        server.execute("RESET BINARY LOGS AND GTIDS" if server.flavor == "mysql" else "RESET MASTER")
        follower.sql(*(f"INSERT INTO t VALUES ({number})" for number in range(2, 20)))
        with pytest.raises((Stop, Retry)):
            await nothing(follower)
        with pytest.raises(Diverged) as raised:
            await follower.resume(end)
        assert raised.value.code is AHEAD


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
async def test_a_log_that_is_reset_and_shorter_is_told_at_once(
    make_mysql: Callable[..., MySqlServer], release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what it is, whichever file was read; nothing of the new log comes."""
    monkeypatch.setattr(source, "_OBSERVE_SECONDS", 0.1)
    server = make_mysql(release)
    server.execute("CREATE DATABASE shop")
    async with Follower(server, "shop") as follower:
        follower.sql("CREATE TABLE t (id int PRIMARY KEY)")
        for first in ("INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS"):
            await follower.start()
            follower.sql(first, "INSERT INTO t VALUES (2)")
            await follower.until()
            server.execute("RESET BINARY LOGS AND GTIDS" if server.flavor == "mysql" else "RESET MASTER")
            follower.sql("TRUNCATE t")
            with pytest.raises(Diverged) as raised:
                await nothing(follower)
            assert raised.value.code is AHEAD


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
async def test_a_replica_that_lacks_what_was_delivered(
    make_mysql: Callable[..., MySqlServer], release: str
) -> None:
    """Promoted, it is refused with what it lacks, until it has that; then nothing is left out or repeated."""
    primary, replica = make_mysql(release), make_mysql(release)
    word = "REPLICA" if primary.flavor == "mysql" else "SLAVE"
    replica.follow(primary)
    primary.script("CREATE DATABASE shop;\nCREATE TABLE shop.t (id int PRIMARY KEY)")
    async with Follower(primary, "shop") as before:
        await before.start()
        before.sql("INSERT INTO t VALUES (1)")
        replica.wait_for(primary.gtids())
        replica.execute(f"STOP {word}")
        had = int(primary.gtids().rpartition("-")[2])
        before.sql(*(f"INSERT INTO t VALUES ({number})" for number in range(2, 5)))
        batches = await before.until()
        assert ids(told(batches)) == [1, 2, 3, 4]
        end = batches[-1].end
    async with Follower(replica, "shop") as after:
        with pytest.raises(Diverged) as raised:
            await after.resume(end)
        assert raised.value.code is AHEAD
        assert f"{had + 1}-{had + 3}" in raised.value.found or str(had + 3) in raised.value.found
        replica.execute(f"START {word}")
        replica.wait_for(primary.gtids())
        primary.kill()
        replica.promote()
        after.sql("INSERT INTO t VALUES (5)")
        await after.resume(end)
        assert ids(await after.told()) == [5]


async def test_without_gtids_a_file_is_known_by_when_it_was_begun(
    make_mysql: Callable[..., MySqlServer],
) -> None:
    """A log that was reset and has come as far again fits to the byte; the one that was read goes on, in its
    file and the next."""
    server = make_mysql("mysql9", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"})
    server.execute("CREATE DATABASE shop")
    async with Follower(server, "shop") as follower:
        follower.sql("CREATE TABLE t (id int PRIMARY KEY)")
        server.execute("RESET BINARY LOGS AND GTIDS")
        begin = await follower.start()
        follower.sql("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
        first = (await follower.until())[-1].end
        await follower.resume(begin)
        assert ids(await follower.told()) == [1, 2]
        await follower.resume(first)
        follower.sql("FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)")
        batches = await follower.until()
        assert ids(told(batches)) == [3]
        await follower.resume(batches[-1].end)
        follower.sql("INSERT INTO t VALUES (4)")
        assert ids(await follower.told()) == [4]
        await follower.close()
        before = await begun(Address.parse(server.url()), "binlog.000001")
        wait_until(lambda: _clock(server) > before, "the next second, in which times are told", 20)
        server.execute("RESET BINARY LOGS AND GTIDS")
        follower.sql(*(f"INSERT INTO t VALUES ({number})" for number in range(5, 9)))
        for position in (begin, first):
            with pytest.raises(Diverged) as raised:
                await follower.resume(position)
            assert raised.value.code is AHEAD
            assert "begun" in raised.value.found


def _clock(server: MySql) -> int:
    [(now,)] = server.execute("SELECT UNIX_TIMESTAMP()")
    return int(now)
