"""Logs that are encrypted on the server's disk: what it sends is not, and nothing changes for a reader."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from connectors.mysql.binlog.event import EventType
from connectors.mysql.binlog.messages import Ignorable
from tailrace.errors import Retry
from tests.conftest import MYSQL_URLS
from tests.integration.mysql_following import Follower, Told, told
from tests.integration.test_mysql_protocol import current, decode, from_file
from tests.servers import MySqlServer
from tests.servers.encryption import ENCRYPTS, encrypting
from tests.servers.mysql_releases import RELEASES

SECRET = "words that stand on no disk"


@pytest.fixture(scope="module", params=RELEASES)
def server(request: pytest.FixtureRequest) -> Iterator[MySqlServer]:
    release: str = request.param
    if MYSQL_URLS[RELEASES[release].flavor]:
        pytest.skip("a given server is neither configured nor killed")
    found = encrypting(release)
    try:
        found.start()
        yield found
    finally:
        found.remove()


def readable(server: MySqlServer) -> bool:
    """Whether the words stand in the log's newest file as they are."""
    return SECRET.encode() in (server.data / current(server)).read_bytes()


def insert(server: MySqlServer, follower: Follower, *ids: int) -> list[Told]:
    follower.sql(*(f"INSERT INTO t VALUES ({id}, '{SECRET}')" for id in ids))
    return [("c", "t", None, {"id": id, "v": SECRET}) for id in ids]


async def test_an_encrypted_log_is_followed(server: MySqlServer) -> None:
    """Over the switch, off and on again, and over the crashes of the server."""
    database = server.create_database()
    server.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(80))", database=database)
    async with Follower(server, database) as follower:
        await follower.start()
        expected = insert(server, follower, 1, 2)
        assert not readable(server)
        for number, mode in enumerate(("OFF", "ON"), 1):
            if server.flavor == "mysql":
                server.execute(f"SET GLOBAL {ENCRYPTS['mysql']} = {mode}")
                expected += insert(server, follower, 10 * number)
                assert readable(server) is (mode == "OFF")
            batches = await follower.until()
            position = batches[-1].end
            found = told(batches)
            server.kill()
            with contextlib.suppress(Retry):
                while True:
                    await follower.batch()
            server.settings[ENCRYPTS[server.flavor]] = mode
            server.start()
            await follower.resume(position)
            expected += insert(server, follower, 10 * number + 1, 10 * number + 2)
            assert readable(server) is (mode == "OFF")
            found += await follower.told()
            assert found == expected
            expected = []


def test_mariadb_says_in_the_stream_that_its_file_is_encrypted(server: MySqlServer) -> None:
    """MySQL does not: its dump is that of a file that is not."""
    server.execute("FLUSH BINARY LOGS")
    kinds = [
        message.type
        for message in decode(server, from_file(server, current(server)))
        if isinstance(message, Ignorable)
    ]
    assert (EventType.START_ENCRYPTION in kinds) is (server.flavor == "mariadb")
