"""What docs/mysql.md says of the server and the account, done word for word, with no other rights."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from tests.integration.mysql_following import Follower
from tests.servers import MySql, MySqlServer
from tests.servers.mysql_releases import RELEASES, Flavor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mysql.md").read_text()
# What the page sets: a server that nobody has prepared has its own defaults there.
BARE = dict.fromkeys((
    "server_id", "log_bin", "binlog_format", "binlog_row_metadata", "gtid_mode", "enforce_gtid_consistency",
    "gtid_strict_mode", "log_slave_updates",
))  # fmt: skip
STATEMENTS: dict[Flavor, dict[str, str]] = {
    "mysql": {
        "files": "SHOW BINARY LOGS",
        "end": "SHOW BINARY LOG STATUS",
        "replicas": "SHOW REPLICAS",
        "GTIDs": "SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged, @@server_uuid, @@log_bin",
    },
    "mariadb": {
        "files": "SHOW BINARY LOGS",
        "end": "SHOW MASTER STATUS",
        "replicas": "SHOW SLAVE HOSTS",
        "GTIDs": "SELECT @@GLOBAL.gtid_binlog_pos, BINLOG_GTID_POS('binlog.000001', 4), @@server_id",
    },
}
TABLES = """
    SELECT t.table_name, s.column_name FROM information_schema.tables t
    JOIN information_schema.statistics s USING (table_schema, table_name) WHERE t.table_schema = 'shop'
    """


def blocks(language: str, section: str) -> list[str]:
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def configuration(flavor: Flavor) -> dict[str, str]:
    """The settings that the page has for a server's file."""
    group = {"mysql": "[mysqld]", "mariadb": "[mariadb]"}[flavor]
    (block,) = (block for block in blocks("ini", "The server") if block.startswith(group))
    return dict(line.split(" = ") for line in block.splitlines()[1:])


def read(connection: Any, flavor: Flavor, by_gtids: bool) -> bool:
    """Read the log from its beginning to its end, as a replica does; whether there were events.

    The library has no public door to the command.
    """
    ends, replica = 1, 7  # the flag of a reader that does not wait for more; a server id
    command, body = 0x12, struct.pack("<IHI", 4, ends, replica) + b"binlog.000001"
    setup = "SET @master_binlog_checksum = 'CRC32', @mariadb_slave_capability = 4"
    if by_gtids and flavor == "mariadb":
        body = struct.pack("<IHI", 4, ends, replica)
        setup += ", @slave_connect_state = ''"
    elif by_gtids:
        command, body = 0x1E, struct.pack("<HIIQIQ", ends, replica, 0, 4, 8, 0)
    with connection.cursor() as cursor:
        cursor.execute(setup)
    connection._execute_command(command, body)
    events = 0
    while not connection._read_packet().is_eof_packet():
        events += 1
    return events > 1


def cannot(server: MySql) -> set[str]:
    """What the account cannot do, or sees nothing of."""

    def ask(statement: str) -> Callable[[Connection[Any]], bool]:
        return lambda connection: bool(connection.cursor().execute(statement))

    everything: dict[str, Callable[[Connection[Any]], bool]] = {
        **{name: ask(statement) for name, statement in STATEMENTS[server.flavor].items()},
        "tables": ask(TABLES),
        "reading by file": lambda connection: read(connection, server.flavor, by_gtids=False),
        "reading by GTIDs": lambda connection: read(connection, server.flavor, by_gtids=True),
    }
    refused = set()
    for name, does in everything.items():
        # In a connection of its own: rights are those of the moment of the login, and a reader's is its last.
        with server.connect(user="tailrace", password="change me") as connection:
            try:
                if not does(connection) and name != "replicas":  # of which there are none
                    refused.add(name)
            except pymysql.OperationalError as error:
                if error.args[0] != 1227:  # a privilege is missing
                    raise
                refused.add(name)
    return refused


async def follow(server: MySql) -> None:
    """As the account, find nothing at fault, warn of nothing, and deliver a row."""
    url = server.url(user="tailrace")
    async with Follower(server, "shop", url=url, password="change me", ssl_mode="disabled") as follower:
        assert [
            finding for finding in await follower.source.check() if finding.error or finding.warning
        ] == []
        await follower.start()
        follower.sql("INSERT INTO orders VALUES (1)")
        assert await follower.told() == [("c", "orders", None, {"id": 1})]


@pytest.mark.parametrize(
    ("release", "prepared"),
    [("mysql9", "statements"), *((release, "file") for release in RELEASES)],
)
def test_from_scratch(make_mysql: Callable[..., MySqlServer], release: str, prepared: str) -> None:
    wanted = configuration(RELEASES[release].flavor)
    if prepared == "file":
        server = make_mysql(release, {**BARE, **wanted})
    else:
        server = make_mysql(release, {**BARE, "gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"})
        for block in blocks("sql", "The server"):
            server.script(block)
    for name, value in wanted.items():
        [(found,)] = server.execute(f"SELECT @@GLOBAL.{name}")
        assert str(found) == {"ON": "1", "binlog": "1"}.get(value, value) or found == value, name

    server.script("CREATE DATABASE shop;\nCREATE TABLE shop.orders (id int PRIMARY KEY)")
    account, administrator, encrypted = (
        block.replace("10.%", "127.0.0.1") for block in blocks("sql", "The account")
    )
    server.script(account)
    assert cannot(server) == (set() if server.flavor == "mysql" else {"replicas"})

    asyncio.run(follow(server))
    for right, lost in (
        ("REPLICATION SLAVE ON *.*", {"reading by file", "reading by GTIDs", "replicas"}),
        ("REPLICATION CLIENT ON *.*", {"files", "end"}),
        ("SELECT ON shop.*", {"tables"}),
    ):
        server.execute(f"REVOKE {right} FROM tailrace@'127.0.0.1'")
        assert cannot(server) == lost | (set() if server.flavor == "mysql" else {"replicas"})
        server.execute(f"GRANT {right} TO tailrace@'127.0.0.1'")
    server.execute("REVOKE SELECT ON shop.* FROM tailrace@'127.0.0.1'")
    server.execute("GRANT SELECT ON shop.orders TO tailrace@'127.0.0.1'")
    assert "tables" not in cannot(server)

    if server.flavor == "mariadb":
        assert "BINLOG MONITOR" in str(server.execute("SHOW GRANTS FOR tailrace@'127.0.0.1'"))
        server.script(administrator)
        assert cannot(server) == set()
    server.script(encrypted)
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        server.connect(user="tailrace", password="change me")
